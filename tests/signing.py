"""The `acs` signature, computed as the reference describes it and independently of the project's own code."""

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any


def sign(
    key_id: str, secret: str, method: str, target: str, body: Any = None, nonce: str | None = None
) -> dict[str, str]:
    """Return the headers of a signed request for a target, path and query as on the wire. A body is sent as JSON."""
    content_type = "application/json" if body is not None else ""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    nonce = nonce or str(uuid.uuid4())
    text = f"{method}\napplication/json\n\n{content_type}\n{date}\nx-acs-signature-nonce:{nonce}\n{target}"
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {
        "Accept": "application/json",
        "Date": date,
        "x-acs-signature-nonce": nonce,
        "Authorization": f"acs {key_id}:{signature}",
    }
    return headers | ({"Content-Type": content_type} if content_type else {})
