"""How an open store is read: always as of now, or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flowlab.errors import InvalidArgumentError, NotFoundError, TruncatedError
from flowlab.events import EventLog, RunInfo
from flowlab.store.info import StoreInfo, describe
from flowlab.store.parts import StoreParts
from flowlab.store.snapshot import Snapshot
from flowlab.store.tree import Tree

if TYPE_CHECKING:
    import polars as pl


class StoreReading(StoreParts):
    """Reads of an open store."""

    def as_of(
        self,
        *,
        position: int | None = None,
        time_ns: int | None = None,
        version: int | None = None,
    ) -> Snapshot:
        """Return the store as it was: after a position, at a commit time, or at a sealed version.

        Args:
            position: the last event to show.
            time_ns: show what was committed until then (nanoseconds since 1970).
            version: of the commit log: the sealed part alone.

        Raises:
            InvalidArgumentError: not exactly one of the three was given.
            NotFoundError: there is no such version, or the position is not reached yet.
            TruncatedError: events of that state were truncated and are gone; the message says
                where they are.
        """
        given = [value for value in (position, time_ns, version) if value is not None]
        if [type(value) for value in given] != [int]:
            message = f"give exactly one of position, time_ns and version, as an int; got {given}"
            raise InvalidArgumentError(message)
        if version is not None:
            return self._at(version)
        now = self.snapshot()
        state, view = now.state, now.tail
        if time_ns is not None:
            position = self._metadata.upto(state).position_at(time_ns)
            for mark in view.marks() if view is not None else ():
                if mark.committed_ns <= time_ns:
                    position = mark.position
        assert position is not None
        if not 0 <= position <= now.position:
            message = f"there is no position {position}; the log holds 1 to {now.position}"
            raise NotFoundError(message)
        cut = next((row for row in now.bases.rows if row.position > position), None)
        if cut is None:
            held = self._held(state, view, bound=position)
            return self.as_of(position=position) if held is None else held
        # What was there then is in the files of the version before the truncation.
        if cut.version - 1 < state.info.floor:
            message = f"the state at position {position} is gone: {now.bases.told(cut)}"
            raise TruncatedError(message)
        return self._at(cut.version - 1, bound=position)

    def _at(self, version: int, *, bound: int | None = None) -> Snapshot:
        """Return the sealed part at a version of the commit log.

        Raises:
            NotFoundError: there is none, or vacuum has let go of its files.
        """
        state, known = self._log.at(version), self._log.versions()
        if state is None or version < 0:
            message = f"there is no version {version}; there are {known[0]} to {known[-1]}"
            raise NotFoundError(message)
        held = self._held(state, None, bound=bound) if version >= known[0] else None
        if held is None:
            message = (
                f"vacuum has let go of version {version}; versions {known[0]} to {known[-1]} can "
                "be read, and any position by as_of(position=...)"
            )
            raise NotFoundError(message)
        return held

    def read(self, key: str, *, reverse: bool = False, limit: int | None = None) -> EventLog:
        """Return the events of a key or prefix, as of now. See `Snapshot.read`."""
        return self.snapshot().read(key, reverse=reverse, limit=limit)

    def metadata(self, key: str) -> Any:
        """Return what `/workflows/{id}/metadata` holds. See `Snapshot.metadata`."""
        return self.snapshot().metadata(key)

    def value(self, key: str) -> Any:
        """Return what a key holds that names no events, as of now. See `Snapshot.value`."""
        return self.snapshot().value(key)

    def log(self) -> EventLog:
        """Return everything as one log, by stream and sequence."""
        return self.snapshot().log()

    def sql(self, query: str) -> pl.DataFrame:
        """Query the relations with DuckDB, as of now; return a Polars frame.

        Raises:
            QueryError: the SQL is refused; the message points at the place.
        """
        return self.snapshot().sql(query)

    def query(self, query: str) -> pa.Table:
        """Query the relations with DuckDB, as of now; return an Arrow table."""
        return self.snapshot().query(query)

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The metadata of each run that has some."""
        return self.snapshot().runs

    def tree(self, prefix: str = "/", *, depth: int = 3, limit: int = 20) -> Tree:
        """Return the key tree below a prefix, with counts. See `Snapshot.tree`."""
        return self.snapshot().tree(prefix, depth=depth, limit=limit)

    def info(self) -> StoreInfo:
        """Return sizes, versions, and where durability is weaker on this platform."""
        state, view = self._pin()
        now = Snapshot(self._files, state, view)
        return describe(
            self.path,
            self._manifest,
            state,
            view,
            runs=len(now.runs),
            anomalies=now.anomalies.num_rows,
            namespaces=self._files.reader.namespaces,
            clusterings=self._files.clusterings,
        )
