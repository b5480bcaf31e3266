"""What the clusterings are worth: one agent's time range with them, and without."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from flowlab.store import EventStore
from flowlab.store.parts import SEAL_EVENTS
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, duration, race, timed
from flowlab.studies.store_growth import copied

SHARE: Final = 10
"""A range holds as many events of its agent as a tenth of a full segment."""
STARTS: Final = 997
"""Places of a range in its agent's time, visited in no order."""


def agent_range(scale: Scale) -> Measurement:
    """Time one agent's range of a tenth of a segment's events, with the clustering and without.

    Two stores of the same sealed files, one of them with `agents/`, are read in alternating
    blocks, to an Arrow table; agents and ranges change from read to read. The floor is pyarrow
    alone, reading the row groups that hold the range from open files.
    """
    with copied(scale, scale.largest) as path:
        bare = path.with_name("without")
        shutil.copytree(path, bare, copy_function=os.link)
        with EventStore(path) as store:
            took, (built,) = timed(partial(store.cluster, "agents"))
            rows = store.sql(
                "SELECT agent_id, count(*), min(time_ns), max(time_ns) FROM events GROUP BY 1"
            ).rows()
        wanted = min(SEAL_EVENTS // SHARE, scale.largest // (10 * len(rows)))
        ranges = [_ranges(row[0], row[1], row[2], row[3], wanted) for row in sorted(rows)]
        with (
            EventStore(path, read_only=True) as ours,
            EventStore(bare, read_only=True) as without,
        ):
            floor = _Floor(path / "agents")
            assert ours.read(_key(ranges, 1)).table.equals(without.read(_key(ranges, 1)).table)
            found = race(
                {
                    "with": lambda number: ours.read(_key(ranges, number)),
                    "without": lambda number: without.read(_key(ranges, number)),
                    "pyarrow alone": lambda number: floor.read(*_range(ranges, number)),
                },
                blocks=scale.blocks,
                repeats=max(3, scale.repeats // 8),
            )
    return Measurement.ratio(
        found.ratio("with", "without"),
        {
            **{name: found.shown(name) for name in found.seconds},
            "events of a range": f"about {wanted:,}",
            "events in the log": f"{scale.largest:,}",
            "the build": f"{duration(took)}, {built.files} files",
        },
    )


def _ranges(
    agent: str, count: int, first: int, last: int, wanted: int
) -> tuple[str, int, int, int]:
    """Return an agent with the length of its ranges and where they may begin."""
    length = (last - first) * wanted // count
    return agent, length, first, last - length


def _range(ranges: list[tuple[str, int, int, int]], number: int) -> tuple[str, int, int]:
    agent, length, first, last = ranges[number * 31 % len(ranges)]
    start = first + (last - first) * (number * 7_919 % STARTS) // STARTS
    return agent, start, start + length


def _key(ranges: list[tuple[str, int, int, int]], number: int) -> str:
    agent, first, last = _range(ranges, number)
    return f"/agents/{agent}/events/{first}..{last}"


class _Floor:
    """The row groups of a clustering, read by pyarrow from files that are open."""

    def __init__(self, root: Path) -> None:
        self._groups: list[tuple[str, str, int, int, Callable[[], object]]] = []
        for path in root.glob("namespace=*/bucket=*/*.parquet"):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for index in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(index)
                agent, time = (
                    group.column(_place(group, name)).statistics for name in ("agent_id", "time_ns")
                )
                read = partial(file.read_row_groups, [index], use_threads=False)
                self._groups.append((agent.min, agent.max, time.min, time.max, read))

    def read(self, agent: str, first: int, last: int) -> list[object]:
        """Read every row group that can hold a range."""
        return [
            read()
            for low, high, least, most, read in self._groups
            if low <= agent <= high and most >= first and least <= last
        ]


def _place(group: pq.RowGroupMetaData, name: str) -> int:
    """Return the place of a column among the leaves of a row group."""
    return next(
        place for place in range(group.num_columns) if group.column(place).path_in_schema == name
    )
