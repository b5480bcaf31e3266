"""How events map to folders: a value, chosen when a store is created."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.events import encode_id

Stream = tuple[str, str, str]
"""The values of `STREAM_COLUMNS`."""
STREAM_COLUMNS: Final = ("namespace", "run_id", "workflow_id")
EVENT_ID: Final = (*STREAM_COLUMNS, "sequence")
"""The columns that name an event, and by which sealed files are sorted."""
LIVE_RUN: Final = ""
"""The run of what is appended without one."""
Home = tuple[str, ...]
"""The values of the levels that a stream determines, in the layout's order."""

DEFAULT_BUCKETS: Final = 16
MAX_BUCKETS: Final = 4096
MAX_NAMESPACE_BYTES: Final = 240
"""Longest namespace as part of a folder's name, percent-encoded: file systems take 255 bytes."""
MAX_SEGMENT_BYTES: Final = 200
"""Longest other id as part of a folder's name; of a longer one a part and a digest stand there."""
_KEPT_BYTES: Final = 160
_DIGEST_CHARS: Final = 32
_MOST_ENCODED: Final = 12  # bytes of one character
_COLUMNS: Final = {
    "namespace": ("namespace", "string"),
    "run": ("run_partition", "string"),
    "workflow": ("workflow_partition", "string"),
    "bucket": ("bucket", "integer"),
    "agent": ("agent_partition", "string"),
    "agent_bucket": ("agent_bucket", "integer"),
    "day": ("day", "date"),
    "hour": ("hour", "string"),
}
_COUNTED: Final = frozenset({"bucket", "agent_bucket"})
_OF_STREAM: Final = frozenset({"namespace", "run", "workflow", "bucket"})


def fits_folder(namespace: str) -> bool:
    """Say whether a namespace can name a folder, and so be sealed.

    Example:
        >>> fits_folder("n" * 240), fits_folder("n" * 241), fits_folder("é" * 41)
        (True, False, False)
    """
    if len(namespace) * _MOST_ENCODED <= MAX_NAMESPACE_BYTES:
        return True
    return len(encode_id(namespace)) <= MAX_NAMESPACE_BYTES


def bucket_of(run_id: str, name: str, buckets: int) -> int:
    """Return the hash bucket of a name in a run: CRC-32 of run, NUL and name in UTF-8, modulo.

    Example:
        >>> bucket_of("", "trip-1", 16)
        10
    """
    return zlib.crc32(f"{run_id}\0{name}".encode()) % buckets


def buckets_of(
    runs: Sequence[str],
    names: Sequence[str],
    run: Sequence[int],
    name: Sequence[int],
    buckets: int,
) -> list[int]:
    """Return many buckets: each is of a place among the runs and one among the names.

    Example:
        >>> buckets_of(["", "r"], ["trip-1"], [0, 1], [0, 0], 16)
        [10, 0]
    """
    # A checksum goes on where that of the run has ended.
    begun = [zlib.crc32(f"{text}\0".encode()) for text in runs]
    rest = [text.encode() for text in names]
    crc32 = zlib.crc32
    return [crc32(rest[n], begun[r]) % buckets for r, n in zip(run, name, strict=True)]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a layout's folders.

    Args:
        kind: what a folder of it holds: a `namespace`, a `run`, a `workflow`, a hash `bucket` of
            (run, workflow), an `agent`, an `agent_bucket` of (run, agent), a UTC `day` or `hour`
            of the events' time.
        count: of buckets, 0 for the other kinds.

    Raises:
        InvalidArgumentError: there is no such kind, or the count does not fit it.
    """

    kind: str
    count: int = 0

    def __post_init__(self) -> None:
        if self.kind not in _COLUMNS:
            message = f"{self.kind!r} is no level of a layout; expected {', '.join(_COLUMNS)}"
            raise InvalidArgumentError(message)
        if self.kind in _COUNTED:
            if type(self.count) is not int or not 1 <= self.count <= MAX_BUCKETS:
                message = f"buckets is {self.count}; expected 1 to MAX_BUCKETS ({MAX_BUCKETS})"
                raise InvalidArgumentError(message)
        elif self.count != 0:
            message = f"level {self.kind!r} has no number; of buckets alone there is a count"
            raise InvalidArgumentError(message)

    @classmethod
    def parse(cls, text: str) -> Level:
        """Read a level as a person writes it: `workflow`, or `bucket:16`.

        Raises:
            InvalidArgumentError: it is none.

        Example:
            >>> Level.parse("agent_bucket:4"), str(Level.parse("bucket"))
            (Level(kind='agent_bucket', count=4), 'bucket:16')
        """
        if not isinstance(text, str):
            message = f"a level of a layout is {text!r} ({type(text).__name__}); expected text"
            raise InvalidArgumentError(message)
        kind, colon, number = text.partition(":")
        if not colon:
            return cls(kind, DEFAULT_BUCKETS if kind in _COUNTED else 0)
        if not number.isdecimal():
            message = f"level {text!r} has no count after the colon; write {kind + ':16'!r}"
            raise InvalidArgumentError(message)
        return cls(kind, int(number))

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}" if self.count else self.kind

    @property
    def column(self) -> str:
        """The name of its partition column."""
        return _COLUMNS[self.kind][0]

    @property
    def delta_type(self) -> str:
        """The type of its partition column in Delta's words."""
        return _COLUMNS[self.kind][1]

    @property
    def of_stream(self) -> bool:
        """Whether all events of a stream have the same value."""
        return self.kind in _OF_STREAM

    def value_of(self, namespace: str, run_id: str, workflow_id: str) -> str:
        """Return the value of a stream at a level that a stream determines."""
        if self.kind == "bucket":
            return str(bucket_of(run_id, workflow_id, self.count))
        return {"namespace": namespace, "run": run_id, "workflow": workflow_id}[self.kind]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Layout:
    """The folders of a store's sealed files, level under level; it never changes.

    `Layout(buckets=16)` is a folder for each namespace, and in it hash buckets of (run, workflow).
    `Layout.of(...)` takes any levels in any order, or none: one folder for everything. Whatever
    the layout, a store gives the same answers; what they cost differs, and is an object of study.

    Args:
        buckets: how many, 1 to 4 096.

    Attributes:
        levels: from the outermost on.

    Raises:
        InvalidArgumentError: `buckets` is not between 1 and 4 096.

    Example:
        >>> Layout.of("namespace", "bucket:16") == Layout(), Layout.of("day", "workflow")
        (True, Layout.of('day', 'workflow'))
    """

    levels: tuple[Level, ...]

    def __init__(self, buckets: int = DEFAULT_BUCKETS) -> None:
        object.__setattr__(self, "levels", (Level("namespace"), Level("bucket", buckets)))

    @classmethod
    def of(cls, *levels: str | Level) -> Layout:
        """Return the layout of these levels, as `Level.parse` reads them.

        Raises:
            InvalidArgumentError: a level is none, or is there twice.

        Example:
            >>> Layout.of("namespace", "workflow").folder(
            ...     {"namespace": "default", "workflow_partition": "trip/1"})
            'namespace=default/workflow_partition=trip%2F1'
        """
        parsed = tuple(
            level if isinstance(level, Level) else Level.parse(level) for level in levels
        )
        kinds = [level.kind for level in parsed]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            message = f"the layout has the level {twice[0]!r} twice; give each once"
            raise InvalidArgumentError(message)
        layout = object.__new__(cls)
        object.__setattr__(layout, "levels", parsed)
        return layout

    def __repr__(self) -> str:
        if self._is_default_kind:
            return f"Layout(buckets={self.buckets})"
        return f"Layout.of({', '.join(repr(str(level)) for level in self.levels)})"

    def __str__(self) -> str:
        if self._is_default_kind:
            return f"{self.buckets} buckets"
        return f"layout {'/'.join(map(str, self.levels)) or 'of one folder'}"

    @property
    def buckets(self) -> int:
        """How many hash buckets of (run, workflow) there are, 0 where that is no level."""
        return next((level.count for level in self.levels if level.kind == "bucket"), 0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the partition columns."""
        return tuple(level.column for level in self.levels)

    @property
    def keeps_streams_whole(self) -> bool:
        """Whether all events of a stream lie in one partition."""
        return all(level.of_stream for level in self.levels)

    def home(self, namespace: str, run_id: str, workflow_id: str) -> Home:
        """Return where a stream lies, as far as a stream says: the values of such levels.

        Example:
            >>> Layout.of("day", "namespace", "bucket:4").home("default", "", "trip-1")
            ('default', '2')
        """
        stream = (namespace, run_id, workflow_id)
        return tuple(level.value_of(*stream) for level in self.levels if level.of_stream)

    def home_of(self, partition: Mapping[str, str]) -> Home:
        """Return the same of a file, by its partition's values.

        Raises:
            CorruptionError: the partition is of another layout.
        """
        return tuple(_value(partition, level) for level in self.levels if level.of_stream)

    def may_hold(
        self, partition: Mapping[str, str], namespace: str, run_id: str | None, workflow_id: str
    ) -> bool:
        """Say whether a partition can hold events of a workflow, in one run or (None) in any."""
        for level in self.levels:
            if not level.of_stream or (run_id is None and level.kind in {"run", "bucket"}):
                continue
            if _value(partition, level) != level.value_of(namespace, run_id or "", workflow_id):
                return False
        return True

    def folder(self, partition: Mapping[str, str]) -> str:
        """Return the folder of a partition below `workflows/`, empty where there are no levels.

        Ids are escaped once; of one that is too long for a folder's name a part and a digest
        stand there, since values are never read from a path.
        """
        names = ((column, partition[column]) for column in self.columns)
        return "/".join(f"{column}={_segment(column, value)}" for column, value in names)

    def to_json(self) -> dict[str, Any]:
        """Return what `flowlab.json` records."""
        if self._is_default_kind:
            return {"kind": "namespace-bucket", "buckets": self.buckets}
        return {"kind": "levels", "levels": [str(level) for level in self.levels]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Layout:
        """Read what `to_json` wrote.

        Raises:
            InvalidArgumentError: it is no layout that this flowlab knows.
        """
        kind, buckets, levels = data.get("kind"), data.get("buckets"), data.get("levels")
        if kind == "namespace-bucket" and isinstance(buckets, int):
            return cls(buckets=buckets)
        if kind == "levels" and isinstance(levels, list):
            return cls.of(*levels)
        message = f"the store's layout {data!r} is not one that this flowlab knows; use a newer one"
        raise InvalidArgumentError(message)

    @property
    def _is_default_kind(self) -> bool:
        return [level.kind for level in self.levels] == ["namespace", "bucket"]


def _value(partition: Mapping[str, str], level: Level) -> str:
    try:
        return partition[level.column]
    except KeyError:
        message = (
            f"a sealed file lies in {dict(partition)}, but the store's layout has the column "
            f"{level.column!r}: its commit is of another store; restore the commit log from a copy"
        )
        raise CorruptionError(message) from None


def _segment(column: str, value: str) -> str:
    encoded = encode_id(value)
    if column == "namespace" or len(encoded) <= MAX_SEGMENT_BYTES:
        return encoded
    kept = encoded[:_KEPT_BYTES]
    cut = kept.rfind("%", _KEPT_BYTES - 2)
    kept = kept if cut < 0 else kept[:cut]
    # Other readers decode folder names, and some drop the rows of one that is no UTF-8.
    kept = encode_id(unquote_to_bytes(kept).decode(errors="ignore"))
    digest = hashlib.sha256(value.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{kept}~{digest}"
