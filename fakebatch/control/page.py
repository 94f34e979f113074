"""The page, and the policy with which it is served. Knows nothing of what is on it."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page() -> tuple[bytes, str]:
    """Return the page, and its Content-Security-Policy: what is inline in it runs, by its hash, and nothing else."""
    content = (files(__package__) / "page.html").read_bytes()
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, inline in _INLINE.findall(content):
        hashes[kind].append(f"'sha256-{base64.b64encode(hashlib.sha256(inline).digest()).decode()}'")
    policy = [
        "default-src 'none'",
        *(f"{kind.decode()}-src {' '.join(found)}" for kind, found in hashes.items() if found),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return content, "; ".join(policy)
