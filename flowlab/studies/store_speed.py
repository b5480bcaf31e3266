"""What filling and reading a store costs: bulk appends, unsealed and uncompacted logs, memory."""

from __future__ import annotations

import multiprocessing
import os
import statistics
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import rmtree

import pyarrow as pa
import pyarrow.parquet as pq

from flowlab.errors import MissingDependencyError
from flowlab.events import Event
from flowlab.store import ROW_GROUP_ROWS, WRITE_OPTIONS, EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, Spread, duration, race, timed, workplace
from flowlab.studies.peers import AGGREGATE
from flowlab.studies.workload import EVENTS_PER_WORKFLOW, grow, make_log, make_payloads

PIECES = 20
TAIL_EVENTS = 65_000


def bulk_against_raw(scale: Scale) -> Measurement:
    """Time a durable bulk append against one raw durable Parquet write of the same rows.

    Ours: an Arrow table in time order, to checked, numbered, sorted, sealed files and a commit. The
    peer: pyarrow writes the table that came out of it, sorted already, with the same encodings and
    row groups to one file, which is synced with its directory. Each is timed in turn.
    """
    table = make_log(scale.events)
    with workplace(scale) as folder:
        with EventStore(folder / "sorted") as store:
            store.append_table(table)
            rows = store.log().table.drop_columns(["namespace"]).combine_chunks()
        ratios, ours, raws = [], [], []
        for turn in range(scale.rounds(7) + 1):
            raw, _ = timed(partial(_write_raw, rows, folder / f"raw-{turn}"))
            with EventStore(folder / f"s-{turn}") as store:
                own, _ = timed(partial(store.append_table, table))
            for path in (folder / f"raw-{turn}", folder / f"s-{turn}"):
                rmtree(path)
            if turn:  # the first makes what both go on with: pages, imports, allocated memory
                ratios.append(raw / own)
                ours.append(own)
                raws.append(raw)
    return Measurement.ratio(
        Spread.of(ratios),
        {
            "bulk append": duration(statistics.median(ours)),
            "raw write": duration(statistics.median(raws)),
            "events": f"{scale.events:,}",
            "cores": str(os.cpu_count()),
        },
    )


def _write_raw(rows: pa.Table, folder: Path) -> None:
    folder.mkdir()
    with (folder / "raw.parquet").open("xb") as stream:
        pq.write_table(rows, stream, row_group_size=ROW_GROUP_ROWS, **WRITE_OPTIONS)
        stream.flush()
        os.fsync(stream.fileno())
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def uncompacted_aggregation(scale: Scale) -> Measurement:
    """Time a count by agent and type over many small files and a full tail, and compacted."""
    events = min(scale.events, 1_000_000)
    tail = min(TAIL_EVENTS, events // 10)
    query = f"{AGGREGATE} ORDER BY 1, 2"
    with (
        workplace(scale) as folder,
        EventStore(folder / "many", seal_events=1 << 40, seal_bytes=1 << 40) as many,
        EventStore(folder / "few") as few,
    ):
        _fill(many, events, tail)
        _fill(few, events, tail)
        few.seal()
        few.compact(full=True)
        stores = {"uncompacted": many, "compacted": few}
        assert many.sql(query).rows() == few.sql(query).rows()

        def counting(store: EventStore) -> Callable[[int], object]:
            return lambda _: store.query(query)

        contestants = {name: counting(store) for name, store in stores.items()}
        found = race(contestants, blocks=scale.blocks, repeats=3, warm=1)
        files = {name: len(store.snapshot().state.files) for name, store in stores.items()}
    beside = {name: f"{found.shown(name)}, {files[name]} files" for name in stores}
    return Measurement.ratio(
        found.ratio("uncompacted", "compacted"),
        {**beside, "events": f"{events + tail:,}", "in the tail": f"{tail:,}"},
    )


def _fill(store: EventStore, events: int, tail: int) -> None:
    piece = events // PIECES // EVENTS_PER_WORKFLOW * EVENTS_PER_WORKFLOW
    for number in range(PIECES):
        first = number * piece // EVENTS_PER_WORKFLOW
        store.append_table(make_log(piece, first=first))
    payloads = make_payloads(500)
    for start in range(0, tail, len(payloads)):
        agent = f"agent-{start // len(payloads) % 50:02d}"
        events_ = [
            Event(event_type="MarkerRecorded", agent_id=agent, time_ns=start, payload=payload)
            for payload in payloads[: tail - start]
        ]
        store.append(f"tail-{start // len(payloads)}", events_)


def growing_memory(scale: Scale) -> Measurement:
    """Read the most memory of a process that imports the largest log in pieces and compacts it.

    The pieces are Arrow tables of at most a million events, made in the same process.
    """
    with workplace(scale) as folder:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_grow_and_tell, args=(folder / "s", scale.largest, there))
        process.start()
        there.close()
        try:
            peaks = here.recv()
        except EOFError:
            peaks = {}
        process.join()
    if not peaks:
        message = "this claim reads the memory of a process with the module resource of Unix"
        raise MissingDependencyError(message)
    return Measurement.count(
        round(peaks["grown"] / 1e6, 1),
        "MB",
        {
            "before the store": f"{peaks['start'] / 1e6:,.0f} MB",
            "events": f"{scale.largest:,}",
        },
    )


def _grow_and_tell(path: Path, events: int, told: Connection) -> None:
    try:
        import resource  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    start = peak()
    with EventStore(path) as store:
        grow(store, events)
    told.send({"start": start, "grown": peak()})
