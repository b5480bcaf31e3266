"""The mission's statements about the log, measured: metadata, conflicts, readers, other engines."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flowlab.errors import ConcurrencyError, MissingDependencyError
from flowlab.events import Event
from flowlab.store import ROW_GROUP_ROWS, WRITE_OPTIONS, EventStore, Layout
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, workplace
from flowlab.studies.peers import PEERS_EXTRA
from flowlab.studies.workload import make_log, make_payloads

AGENT_COUNTS = (4, 16, 64)
MESSAGE_SHARE = 0.3
MOST_SHARE = 0.3
RIVALS = 4
SEAL_EVENTS = 250
STREAMS = 200
PAUSE_S = 0.002


def metadata_share(scale: Scale) -> Measurement:
    """Weigh causal metadata against the rest of the log, for 4, 16 and 64 agents.

    Three events in ten receive a message from an event drawn among the newest. Stored two ways, in
    the sealed files' encoding: each event's vector clock, and the causes that it names. The rest is
    that of the process-like log, of as many events.
    """
    rows = min(scale.events, 100_000)
    shares = [_shares(rows, agents) for agents in AGENT_COUNTS]
    clocks = [clock for clock, _ in shares]
    named = max(cause for _, cause in shares)
    beside = {
        f"{agents} agents": f"clocks {clock:.0%}, causes {cause:.1%}"
        for agents, (clock, cause) in zip(AGENT_COUNTS, shares, strict=True)
    }
    return Measurement.count(
        max(clocks),
        "of the rest",
        beside,
        restated=named < clocks[0] < MOST_SHARE < clocks[-1] and clocks == sorted(clocks),
    )


def _shares(rows: int, agents: int) -> tuple[float, float]:
    rng = np.random.Generator(np.random.PCG64(SEED + agents))
    lane = rng.integers(0, agents, rows)
    received = rng.random(rows) < MESSAGE_SHARE
    back = rng.integers(1, 4 * agents + 1, rows)
    clock = np.zeros((agents, agents), np.int64)
    clocks = np.zeros((rows, agents), np.int64)
    sender = np.full(rows, -1)
    for row in range(rows):
        own = clock[lane[row]]
        source = row - int(back[row])
        if received[row] and source >= 0:
            sender[row] = source
            np.maximum(own, clocks[source], out=own)
        own[lane[row]] += 1
        clocks[row] = own
    ticks = clocks[np.arange(rows), lane]
    offsets = pa.array(np.concatenate([[0], np.cumsum(sender >= 0)]).astype(np.int32))
    chosen = sender[sender >= 0]
    names = pa.array([f"@agent-{number:02d}" for number in range(agents)])
    causes = pa.StructArray.from_arrays(
        [names.take(pa.array(lane[chosen])), pa.array(ticks[chosen])],
        names=["workflow_id", "sequence"],
    )
    width = pa.array(np.arange(0, (rows + 1) * agents, agents, dtype=np.int32))
    rest = make_log(rows // 100 * 100).drop_columns(["causes", "cause_kinds"])
    base = _weight(rest)
    told = _weight(pa.table({"clock": pa.ListArray.from_arrays(width, pa.array(clocks.ravel()))}))
    named = _weight(pa.table({"causes": pa.ListArray.from_arrays(offsets, causes)}))
    return told / base, named / base


def _weight(table: pa.Table) -> int:
    present = set(table.column_names)
    options: dict[str, Any] = dict(WRITE_OPTIONS)
    options["use_dictionary"] = [
        name for name in WRITE_OPTIONS["use_dictionary"] if name.partition(".")[0] in present
    ]
    options["column_encoding"] = {
        name: kind
        for name, kind in WRITE_OPTIONS["column_encoding"].items()
        if name.partition(".")[0] in present
    }
    if "clock" in present:
        options["column_encoding"] = {"clock.list.element": "DELTA_BINARY_PACKED"}
    options["write_statistics"] = False
    out = BytesIO()
    pq.write_table(table, out, row_group_size=ROW_GROUP_ROWS, **options)
    return out.tell()


def conflicts(scale: Scale) -> Measurement:
    """Let four threads decide on one head of one stream, and then each on a stream of its own."""
    rounds = 50 if scale.events >= 100_000 else 5  # noqa: PLR2004 - sizes
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        for name in ("shared", *(f"own-{rival}" for rival in range(RIVALS))):
            store.append(name, Event.of("WorkflowStarted"))
        shared = _rounds(store, rounds, lambda _: "shared")
        apart = _rounds(store, rounds, lambda rival: f"own-{rival}")
        kept = len(store.read("/workflows/shared/events"))
    return Measurement.count(
        shared / (rounds * RIVALS),
        "of the appends refused",
        {
            "one stream": f"{shared} of {rounds * RIVALS} refused, {kept} kept",
            "own streams": f"{apart} of {rounds * RIVALS} refused",
        },
        restated=apart == 0 and shared == rounds * (RIVALS - 1) and kept == 1 + rounds,
    )


def _rounds(store: EventStore, rounds: int, stream: Callable[[int], str]) -> int:
    meeting = threading.Barrier(RIVALS)
    refused: list[int] = []

    def rival(number: int) -> None:
        name = stream(number)
        for _ in range(rounds):
            meeting.wait()
            head = len(store.read(f"/workflows/{name}/events"))
            meeting.wait()
            try:
                store.append(name, Event.of("MarkerRecorded"), expected_version=head)
            except ConcurrencyError:
                refused.append(number)

    threads = [threading.Thread(target=rival, args=(number,)) for number in range(RIVALS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(refused)


def readers(scale: Scale) -> Measurement:
    """Read pinned snapshots while another process appends and seals; count reads that are wrong.

    A read is wrong if its count is not its snapshot's position, if a second read of the same
    snapshot differs, or if a stream has a gap.
    """
    reads = 200 if scale.events >= 100_000 else 20  # noqa: PLR2004 - sizes
    wrong, sealed = 0, set()
    with workplace(scale) as folder:
        EventStore(folder / "s", layout=Layout(buckets=2)).close()
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        writer = context.Process(target=_write_and_seal, args=(folder / "s", stop), daemon=True)
        writer.start()
        try:
            with EventStore(folder / "s", read_only=True) as store:
                while store.snapshot().version < 1 and writer.is_alive():
                    pass
                for _ in range(reads):
                    snapshot = store.snapshot()
                    sealed.add(snapshot.version)
                    first = snapshot.sql("SELECT count(*) FROM events").item()
                    stream = snapshot.read("/workflows/order-3/events")
                    places = stream.table.column("sequence").to_pylist()
                    again = snapshot.sql("SELECT count(*) FROM events").item()
                    whole = places == list(range(1, len(places) + 1))
                    wrong += not (first == again == snapshot.position and whole)
        finally:
            stop.set()
            writer.join(timeout=60)
    assert writer.exitcode == 0, "the writing process failed"
    return Measurement.count(
        wrong, "wrong reads", {"reads": str(reads), "versions seen": str(len(sealed))}
    )


def _write_and_seal(path: Path, stop: Any) -> None:
    events = [Event(event_type="MarkerRecorded", payload=data) for data in make_payloads(5)]
    with EventStore(path, seal_events=SEAL_EVENTS) as store:
        number = 0
        # A killed parent sets no event: the writer must not outlive it.
        parent = multiprocessing.parent_process()
        while not stop.is_set() and parent is not None and parent.is_alive():
            store.append(f"order-{number % STREAMS}", events)
            number += 1
            # Unhindered, the writer fills the disk, and what is timed is reading a larger log.
            time.sleep(PAUSE_S)


def delta(scale: Scale) -> Measurement:
    """Read the sealed part with deltalake and Polars, at every version; count what differs."""
    try:
        from deltalake import DeltaTable  # noqa: PLC0415
    except ImportError as error:
        message = f"this claim reads a store with the library deltalake: {PEERS_EXTRA}"
        raise MissingDependencyError(message) from error
    rows = min(scale.events, 50_000)
    different = 0
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append("räksmörgås/1 %", [Event.of("MarkerRecorded", payload=7)], namespace="a b/%")
        store.seal()
        store.append_table(make_log(rows))
        store.append("last", [Event.of("MarkerRecorded")])
        store.seal()
        versions = range(store.info().version + 1)
        for version in versions:
            ours = _comparable(store.as_of(version=version).log().to_polars())
            table = str(folder / "s" / "workflows")
            # Polars alone looks for a folder under the name that its URL has: `a%20b` for `a b`.
            escaped = quote(table) != table
            opened = DeltaTable(table, version=version)
            deltas = pa.table(opened.to_pyarrow_table())
            scanned = (
                pl.scan_pyarrow_dataset(opened.to_pyarrow_dataset())
                if escaped
                else pl.scan_delta(table, version=version)
            )
            for theirs in (
                pl.DataFrame(deltas),
                scanned.collect(),
            ):
                different += not ours.equals(_comparable(theirs))
    return Measurement.count(
        different, "differences", {"versions": str(len(versions)), "events": f"{rows + 2:,}"}
    )


def _comparable(frame: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in frame.columns if name != "bucket"]
    ordered = frame.select(sorted(columns)).sort("position")
    return ordered.with_columns(
        pl.col(name).cast(pl.String) for name in columns if frame[name].dtype == pl.Categorical
    )
