"""Requests with mistakes, for whoever is to survive them."""

import random

SEEDS = (
    b"GET /images?MaxItemCount=50&Marker=a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    b'POST /images HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\nContent-Type: application/json\r\n\r\n{"Name": "a"}',
    b"POST /images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: t\r\n\r\n",
    b"PUT /images/x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    b"HEAD http://host:80/images HTTP/1.0\r\nX_Y: z\r\n\r\n",
)
PIECES = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b":",
        b" ",
        b"\0",
        b"%",
        b"%zz",
        b"\xff",
        b"HTTP/2.0",
        b"fffffffff\r\n",
        b"0\r\n\r\n",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n", b"x" * 3000, b"A: b\r\n" * 120),
)
"""What a mutation puts in."""


def mutated(source: random.Random) -> bytes:
    """Return a request with one to four mistakes."""
    raw = source.choice(SEEDS)
    for _ in range(source.randint(1, 4)):
        at, end = sorted((source.randint(0, len(raw)), source.randint(0, len(raw))))
        match source.randrange(6):
            case 0:
                raw = raw[:at] + source.randbytes(source.randint(1, 4)) + raw[at:]
            case 1:
                raw = raw[:at] + source.choice(PIECES) + raw[at:]
            case 2:
                raw = raw[:at] + raw[min(end, at + 8) :]
            case 3:
                raw = raw[:at] + raw[at:end] * 2 + raw[end:]
            case 4:
                raw = raw[:end]
            case _:
                raw = raw[:at] + bytes([raw[at] ^ 1 << source.randrange(8)]) + raw[at + 1 :] if at < len(raw) else raw
    return raw
