"""How hard the tests that draw their own inputs try: once in the gate, a thousand times as much in `tox -e soak`."""

import os

EFFORT = int(os.environ.get("FAKEBATCH_EFFORT", "1"))
"""What to multiply numbers of rounds and of examples with: `range(2000 * EFFORT)`, `max_examples=60 * EFFORT`."""
