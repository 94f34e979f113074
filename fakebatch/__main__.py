"""`python -m fakebatch`: the same as the command `fakebatch`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
