"""Readers that hold a state of the store while it is sealed, compacted and vacuumed under them."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any, Final

from flowlab.events import Event
from flowlab.store import EventStore, Layout
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, workplace

READERS: Final = 2
STREAMS: Final = 40
BATCH: Final = 5
SEAL_EVENTS: Final = 250
READS_OF_A_PIN: Final = 20
SQL_EVERY: Final = 50
COMPACT_EVERY: Final = 4
VACUUM_EVERY: Final = 8
PAUSE_S: Final = 0.001


def pinned_readers(scale: Scale) -> Measurement:
    """Count wrong reads of two processes that hold snapshots, while a third maintains the store.

    What is written is a function of its place, so that each read is compared with what its
    snapshot's position says: every event of a stream, its payload included; one read in fifty asks
    SQL for the count. Each snapshot is read twenty times, and held meanwhile.
    """
    reads = 10_000 if scale.events >= 100_000 else 200  # noqa: PLR2004 - sizes
    with workplace(scale) as folder:
        EventStore(folder / "s", layout=Layout(buckets=2)).close()
        context = multiprocessing.get_context("spawn")
        stop, told = context.Event(), context.Queue()
        writer = context.Process(target=_maintain, args=(folder / "s", stop, told), daemon=True)
        readers = [
            context.Process(target=_read, args=(folder / "s", reads // READERS, seed, told))
            for seed in range(READERS)
        ]
        writer.start()
        found: list[dict[str, int]] = []
        try:
            for reader in readers:
                reader.start()
            while len(found) < READERS and any(reader.is_alive() for reader in readers):
                found += _told(told)
            for reader in readers:
                reader.join(timeout=60)
            found += _told(told)
        finally:
            stop.set()
            done = _told(told, timeout=60)
            writer.join(timeout=60)
    assert len(found) == READERS, "a reading process failed"
    assert done, "the writing process failed"
    beside = {name: str(sum(one[name] for one in found)) for name in ("reads", "snapshots")}
    beside |= {name: str(count) for name, count in done[0].items()}
    return Measurement.count(sum(one["wrong"] for one in found), "wrong reads", beside)


def _told(told: Any, *, timeout: float = 0.2) -> list[dict[str, int]]:
    found = []
    try:
        found.append(told.get(timeout=timeout))
        while True:
            found.append(told.get_nowait())
    except Exception as error:
        if type(error).__name__ != "Empty":
            raise
    return found


def _events(number: int) -> tuple[str, list[Event]]:
    """Return the stream and the events of the batch of a number."""
    first = number * BATCH + 1
    events = [
        Event.of("MarkerRecorded", payload={"position": first + place}) for place in range(BATCH)
    ]
    return f"order-{number % STREAMS}", events


def _expected(stream: int, position: int) -> list[int]:
    """Return the positions of a stream's events up to a position."""
    batches = range(stream, position // BATCH, STREAMS)
    return [number * BATCH + 1 + place for number in batches for place in range(BATCH)]


def _maintain(path: Path, stop: Any, told: Any) -> None:
    done = {"events": 0, "seals": 0, "compactions": 0, "vacuums": 0}
    parent = multiprocessing.parent_process()
    with EventStore(path, seal_events=1 << 40, seal_bytes=1 << 40) as store:
        number = 0
        # A killed parent sets no event: the writer must not outlive it.
        while not stop.is_set() and parent is not None and parent.is_alive():
            store.append(*_events(number))
            number += 1
            if number * BATCH % SEAL_EVENTS == 0:
                store.seal()
                done["seals"] += 1
                if done["seals"] % COMPACT_EVERY == 0:
                    store.compact()
                    done["compactions"] += 1
                if done["seals"] % VACUUM_EVERY == 0:
                    store.vacuum(retain=0)
                    done["vacuums"] += 1
            time.sleep(PAUSE_S)
        done["events"] = number * BATCH
    told.put(done)


def _read(path: Path, reads: int, seed: int, told: Any) -> None:
    wrong = snapshots = 0
    with EventStore(path, read_only=True) as store:
        for number in range(reads):
            if number % READS_OF_A_PIN == 0:
                snapshot = store.snapshot()
                snapshots += 1
            if number % SQL_EVERY == 0:
                count = snapshot.sql("SELECT count(*) FROM events").item()
                wrong += count != snapshot.position
                continue
            stream = (seed + number * 7) % STREAMS
            wanted = _expected(stream, snapshot.position)
            if not wanted:
                continue
            log = snapshot.read(f"/workflows/order-{stream}/events")
            found = [event.data["position"] for event in log.events()]
            wrong += not (log.table.column("position").to_pylist() == found == wanted)
    told.put({"wrong": wrong, "reads": reads, "snapshots": snapshots})
