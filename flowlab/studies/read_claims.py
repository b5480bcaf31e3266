"""What reading costs: measurements of sealed files, streams, queries and imports."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flowlab.events import EventLog
from flowlab.interop import import_log
from flowlab.interop.samples import write_samples
from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, Spread, counted_calls, duration, race, timed, workplace
from flowlab.studies.peers import AGGREGATE, SqliteLog, as_object, json_line
from flowlab.studies.workload import PAYLOAD_BITS, make_log, workflow_ids


def bytes_against_json(scale: Scale) -> Measurement:
    """Weigh sealed files against JSON lines of the same events, every column of each."""
    table = make_log(scale.events)
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(table)
        sealed = _sealed_bytes(folder / "s") / scale.events
        events = EventLog(store.log().table.slice(0, 20_000)).events()
    lines = sum(len(json_line(event)) + 1 for event in events) / len(events)
    bare = sum(len(_without_empty(as_object(event))) + 1 for event in events) / len(events)
    payload = sum(len(event.payload or b"") for event in events) / len(events)
    return Measurement.count(
        sealed / lines,
        "x",
        {
            "sealed": f"{sealed:.1f} B an event",
            "JSON lines": f"{lines:.0f} B",
            "without empty fields": f"{bare:.0f} B ({sealed / bare:.3f} x)",
            "payload": f"{payload:.0f} B with {PAYLOAD_BITS} random bits",
            "events": f"{scale.events:,}",
        },
    )


def _without_empty(row: dict[str, Any]) -> str:
    kept = {key: value for key, value in row.items() if value not in (None, [], "", 0)}
    return json.dumps(kept, separators=(",", ":"))


def metadata_bytes(scale: Scale) -> Measurement:
    """Weigh every column but the payload in sealed files, and the causes by themselves."""
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(make_log(scale.events))
        columns = column_bytes(folder / "s")
    each = {name: size / scale.events for name, size in columns.items()}
    rest = sum(size for name, size in each.items() if name != "payload")
    causes = sum(size for name, size in each.items() if name.startswith("cause"))
    largest = sorted(each.items(), key=lambda item: -item[1])[:5]
    return Measurement.count(
        rest,
        "B an event",
        {
            "causes": f"{causes:.2f} B",
            "largest": ", ".join(f"{name} {size:.2f}" for name, size in largest),
            "events": f"{scale.events:,}",
        },
    )


def stream_against_sqlite(scale: Scale) -> Measurement:
    """Time a stream of 100 events out of the large log, to Python values on both sides.

    Ours: the native path, then every event as a value with its payload decoded. SQLite: the
    unique index, then `json.loads` of each event. Streams are drawn at random, both warm.
    """
    table = make_log(scale.events)
    ids = workflow_ids(scale.events)
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(table)
        peer = SqliteLog(folder / "peer.db")
        peer.load(store.log().table)

        def ours(number: int) -> list[Any]:
            log = store.read(f"/workflows/{_pick(ids, number)}/events")
            return [event.data for event in log.events()]

        def native(number: int) -> EventLog:
            return store.read(f"/workflows/{_pick(ids, number)}/events")

        def backwards(number: int) -> EventLog:
            return store.read(f"/workflows/{_pick(ids, number)}/events", reverse=True)

        def theirs(number: int) -> list[Any]:
            return peer.stream(_pick(ids, number))

        assert len(ours(1)) == len(theirs(1)) == 100  # noqa: PLR2004 - a stream has 100 events
        found = race(
            {"ours": ours, "as a table": native, "in reverse": backwards, "SQLite": theirs},
            blocks=scale.blocks,
            repeats=scale.repeats,
            warm=20,
        )
        peer.close()
    ratio = found.ratio("ours", "SQLite")
    beside = {name: found.shown(name) for name in found.seconds}
    return Measurement.ratio(
        ratio,
        {**beside, "events in the log": f"{scale.events:,}"},
    )


def _pick(ids: list[str], number: int) -> str:
    # A multiplicative step visits the streams in no order of the files.
    return ids[number * 7_919 % len(ids)]


def aggregate_against_sqlite(scale: Scale) -> Measurement:
    """Time a count by agent and type over the whole log."""
    table = make_log(scale.events)
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(table)
        peer = SqliteLog(folder / "peer.db")
        peer.load(store.log().table)
        query = f"{AGGREGATE} ORDER BY 1, 2"
        assert store.sql(query).rows() == peer.aggregate()
        found = race(
            {"ours": lambda _: store.query(query), "SQLite": lambda _: peer.aggregate()},
            blocks=scale.rounds(7),
            repeats=1,
            warm=1,
        )
        peer.close()
    ratio = found.ratio("SQLite", "ours")
    beside = {name: found.shown(name) for name in found.seconds}
    return Measurement.ratio(
        ratio,
        {**beside, "events in the log": f"{scale.events:,}"},
    )


def range_read_is_logarithmic(scale: Scale) -> Measurement:
    """Count what reading 100 events touches, in logs from 10 000 events to the large one.

    Row groups decoded and calls of the operating system, the means of 50 streams, warm; their
    growth is compared with that of log2 of the sizes.
    """
    sizes = sorted({min(10_000, scale.events), min(100_000, scale.events), scale.events})
    touched = []
    for size in sizes:
        with workplace(scale) as folder, EventStore(folder / "s") as store:
            store.append_table(make_log(size))
            ids = workflow_ids(size)
            counts = [_touched(store, _pick(ids, number)) for number in range(1, 51)]
            groups, calls = (sum(column) / len(counts) for column in zip(*counts, strict=True))
            touched.append((groups, calls))
    growth = max(large / small for small, large in zip(touched[0], touched[-1], strict=True))
    allowed = math.log2(sizes[-1]) / math.log2(sizes[0])
    beside = {
        f"at {size:,} events": f"{groups:.2f} row groups, {calls:.2f} system calls"
        for size, (groups, calls) in zip(sizes, touched, strict=True)
    }
    return Measurement.count(
        growth / allowed, "x of log2 growth", {**beside, "log2 growth": f"{allowed:.2f}"}
    )


def _touched(store: EventStore, stream: str) -> tuple[int, int]:
    reader = store._files.reader  # noqa: SLF001 - what is counted lies behind the store's door
    groups = []
    real = reader.read_rows

    def counting(*arguments: Any) -> Any:
        groups.append(arguments[1])
        return real(*arguments)

    setattr(reader, "read_rows", counting)  # noqa: B010 - for a moment, and on this object alone
    try:
        calls = counted_calls(partial(store.read, f"/workflows/{stream}/events"))
    finally:
        delattr(reader, "read_rows")
    return len(groups), calls["system"]


def import_against_parsing(scale: Scale) -> Measurement:
    """Time an import of histories into a store against parsing the same bytes as JSON."""
    copies = 20 if scale.events >= 100_000 else 2  # noqa: PLR2004 - sizes
    ratios, speeds = [], []
    with workplace(scale) as folder:
        for number in range(copies):
            write_samples(folder / "in" / f"{number:02d}")
        files = sorted((folder / "in").rglob("*.json"))
        texts = [path.read_bytes() for path in files]
        for turn in range(scale.rounds(5)):
            with EventStore(folder / f"s{turn}") as store:
                took, report = timed(partial(import_log, folder / "in", store=store))
            parsing, _ = timed(lambda: [json.loads(text) for text in texts])
            ratios.append(took / parsing)
            speeds.append(report.events / took)
    found = Spread.of(ratios)
    return Measurement.ratio(
        found,
        {
            "speed": f"{Spread.of(speeds).median:,.0f} events/s",
            "files": str(len(files)),
            "parsing alone": duration(parsing),
        },
    )


def column_bytes(store: Path) -> dict[str, int]:
    """Return the compressed bytes of each column in the sealed files of a store."""
    sizes: dict[str, int] = {}
    for path in (store / "workflows").rglob("*.parquet"):
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                name = column.path_in_schema
                sizes[name] = sizes.get(name, 0) + column.total_compressed_size
    return sizes


def _sealed_bytes(store: Path) -> int:
    return sum(path.stat().st_size for path in (store / "workflows").rglob("*.parquet"))
