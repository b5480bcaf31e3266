"""Text files that carry their own CRC-32: the manifest, and each commit of the commit log."""

from __future__ import annotations

import re
import zlib
from typing import Final

BLANK: Final = "00000000"
"""What the member `crc32` holds while the checksum is taken."""

_MEMBER: Final = re.compile(rb'"crc32": ?"([0-9a-f]{8})"')


def with_crc(data: bytes) -> bytes:
    """Return JSON text whose blank member `crc32` is filled in: the CRC-32 of the text as given.

    Inside a JSON string the quotes are escaped, so only a member can match.
    """
    found = _MEMBER.search(data)
    assert found is not None
    return data[: found.start(1)] + b"%08x" % zlib.crc32(data) + data[found.end(1) :]


def crc_holds(data: bytes) -> bool:
    """Say whether a text has the checksum that it names; without one, it has not.

    Example:
        >>> text = with_crc(b'{"a": 1, "crc32": "00000000"}')
        >>> text, crc_holds(text), crc_holds(text.replace(b"1,", b"2,"))
        (b'{"a": 1, "crc32": "3d016f1c"}', True, False)
    """
    found = _MEMBER.search(data)
    if found is None:
        return False
    blank = data[: found.start(1)] + BLANK.encode() + data[found.end(1) :]
    return zlib.crc32(blank) == int(found.group(1), 16)
