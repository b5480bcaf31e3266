"""How streams map to folders: a value, chosen when a store is created."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import encode_id

Stream = tuple[str, str, str]
"""(namespace, run_id, workflow_id)."""

DEFAULT_BUCKETS: Final = 16
MAX_BUCKETS: Final = 4096
MAX_NAMESPACE_BYTES: Final = 240
"""Longest namespace as part of a folder's name, percent-encoded: file systems take 255 bytes."""
_MOST_ENCODED: Final = 12  # bytes of one character


def fits_folder(namespace: str) -> bool:
    """Say whether a namespace can name a folder, and so be sealed.

    Example:
        >>> fits_folder("n" * 240), fits_folder("n" * 241), fits_folder("é" * 41)
        (True, False, False)
    """
    if len(namespace) * _MOST_ENCODED <= MAX_NAMESPACE_BYTES:
        return True
    return len(encode_id(namespace)) <= MAX_NAMESPACE_BYTES


@dataclass(frozen=True, slots=True)
class Layout:
    """Namespace, then hash buckets of (run, workflow).

    Args:
        buckets: how many, 1 to 4 096.

    Raises:
        InvalidArgumentError: `buckets` is not between 1 and 4 096.

    Example:
        >>> Layout().partition("default", "", "trip-1")
        ('default', 10)
    """

    buckets: int = DEFAULT_BUCKETS

    def __post_init__(self) -> None:
        if type(self.buckets) is not int or not 1 <= self.buckets <= MAX_BUCKETS:
            message = f"buckets is {self.buckets}; expected 1 to MAX_BUCKETS ({MAX_BUCKETS})"
            raise InvalidArgumentError(message)

    def bucket(self, run_id: str, workflow_id: str) -> int:
        """Return the bucket of a stream: CRC-32 of run, NUL and workflow in UTF-8, modulo."""
        return zlib.crc32(f"{run_id}\0{workflow_id}".encode()) % self.buckets

    def buckets_of(
        self, runs: Sequence[str], flows: Sequence[str], run: Sequence[int], flow: Sequence[int]
    ) -> list[int]:
        """Return the buckets of many streams: each is a place among runs and one among workflows.

        Example:
            >>> Layout().buckets_of(["", "r"], ["trip-1"], [0, 1], [0, 0])
            [10, 0]
        """
        # A checksum goes on where that of the run has ended.
        begun = [zlib.crc32(f"{name}\0".encode()) for name in runs]
        rest = [name.encode() for name in flows]
        count, crc32 = self.buckets, zlib.crc32
        return [crc32(rest[f], begun[r]) % count for r, f in zip(run, flow, strict=True)]

    def partition(self, namespace: str, run_id: str, workflow_id: str) -> tuple[str, int]:
        """Return the partition of a stream."""
        return namespace, self.bucket(run_id, workflow_id)

    def folder(self, namespace: str, bucket: int) -> str:
        """Return the folder of a partition below `workflows/`, its namespace escaped once."""
        return f"namespace={encode_id(namespace)}/bucket={bucket}"

    def to_json(self) -> dict[str, Any]:
        """Return what `flowlab.json` records."""
        return {"kind": "namespace-bucket", "buckets": self.buckets}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """Read what `to_json` wrote."""
        if data.get("kind") != "namespace-bucket" or not isinstance(data.get("buckets"), int):
            message = f"the store's layout {data!r} is not one that this flowlab knows"
            raise InvalidArgumentError(message)
        return cls(buckets=data["buckets"])
