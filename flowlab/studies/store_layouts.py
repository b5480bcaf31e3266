"""What the folders of a store cost: the same log in several layouts, written, read and counted."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store import EventStore, Layout
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, duration, race, timed, workplace
from flowlab.studies.workload import make_log, workflow_ids

EVENTS: Final = 100_000
"""Events of the log that is compared, at most; its workflows are a hundredth."""
DAYS: Final = 7
LAYOUTS: Final = (
    Layout(),
    Layout.of(),
    Layout.of("namespace", "workflow"),
    Layout.of("namespace", "agent_bucket:16"),
    Layout.of("day", "namespace", "bucket:4"),
)
AGGREGATE: Final = "SELECT agent_id, event_type, count(*), max(time_ns) FROM events GROUP BY ALL"
_DAY_NS: Final = 86_400_000_000_000


def layouts(scale: Scale) -> Measurement:
    """Count over a directory for each workflow, against 16 sorted hash buckets.

    Beside it, of each layout: sealed files and their bytes, the time of one bulk append of the
    whole log, of one stream of 100 events (warm), and of a count by agent and type (warm). The log
    spans a week.
    """
    with workplace(scale) as folder:
        frame, ratio = compare_layouts(folder, scale, LAYOUTS)
    beside = {
        row["layout"]: (
            f"{row['files']:,} files, {row['bytes'] / 1e6:.1f} MB, append "
            f"{duration(row['append_s'])}, stream {duration(row['stream_s'])}, count "
            f"{duration(row['aggregate_s'])}"
        )
        for row in frame.iter_rows(named=True)
    }
    return Measurement(ratio[1], ratio[0], ratio[2], "x", scale.blocks, beside)


def compare_layouts(
    folder: Path, scale: Scale, compared: tuple[Layout, ...]
) -> tuple[pl.DataFrame, tuple[float, float, float]]:
    """Write one log in several layouts, and read each; return a row for each.

    Args:
        folder: where the stores are made.
        scale: events (at most `EVENTS`), blocks and repeats.
        compared: the first is that with which the third is compared.

    Returns:
        A frame of layout, files, bytes, append_s, stream_s, aggregate_s; and low, median, high of
        the third's aggregate against the first's.
    """
    events = min(scale.events, EVENTS)
    log = over_days(make_log(events), DAYS)
    ids = workflow_ids(events)
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        stores = {}
        for number, layout in enumerate(compared):
            store = stack.enter_context(EventStore(folder / str(number), layout=layout))
            append_s, _ = timed(lambda store=store: store.append_table(log))  # type: ignore[misc]
            stores[_name(layout)] = store
            rows.append({"layout": _name(layout), **_size(store), "append_s": append_s})
        streams = race(
            {name: _stream(store, ids) for name, store in stores.items()},
            blocks=scale.blocks,
            repeats=scale.repeats,
            warm=20,
        )
        counts = race(
            {name: _count(store) for name, store in stores.items()},
            blocks=scale.blocks,
            repeats=3,
            warm=1,
        )
    for row in rows:
        row["stream_s"] = median(streams.seconds[row["layout"]])
        row["aggregate_s"] = median(counts.seconds[row["layout"]])
    spread = counts.ratio(_name(compared[2]), _name(compared[0]))
    return pl.DataFrame(rows), (spread.low, spread.median, spread.high)


def over_days(log: pa.Table, days: int) -> pa.Table:
    """Return a log whose times are stretched over so many days, in the same order."""
    times = log.column("time_ns")
    bounds = pc.min_max(times).as_py()
    width = max(bounds["max"] - bounds["min"], 1)
    stretch = max(days * _DAY_NS // width, 1)
    begun = pc.multiply(pc.subtract(times, bounds["min"]), stretch)
    at = log.schema.get_field_index("time_ns")
    return log.set_column(at, "time_ns", pc.add(begun, bounds["min"]))


def _name(layout: Layout) -> str:
    return "/".join(map(str, layout.levels)) or "one folder"


def _size(store: EventStore) -> dict[str, int]:
    info = store.info()
    return {"files": info.sealed_files, "bytes": _bytes(store.path)}


def _bytes(root: Path) -> int:
    """Return the bytes of the sealed files and of the commits that name them."""
    tables = os.walk(root / "workflows")
    return sum((Path(place) / name).stat().st_size for place, _, names in tables for name in names)


def _stream(store: EventStore, ids: list[str]) -> Callable[[int], object]:
    return lambda n: store.read(f"/workflows/{ids[n * 7_919 % len(ids)]}").table


def _count(store: EventStore) -> Callable[[int], object]:
    return lambda _: store.query(AGGREGATE)
