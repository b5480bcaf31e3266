"""What an append costs: measurements of the tail against the device and against other stores."""

from __future__ import annotations

import threading
from pathlib import Path

from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import (
    Scale,
    Spread,
    counted_calls,
    counted_syncs,
    duration,
    race,
    timed,
    workplace,
)
from flowlab.studies.peers import BareFile, Eventsourcing
from flowlab.studies.workload import make_log, make_payloads

CALLERS = 16
BATCH = 1_000
WATERMARK_BYTES = 40
_NEVER = 1 << 40


def _open(folder: Path) -> EventStore:
    """Open a store that seals only when told: what is timed is the append alone."""
    return EventStore(folder, seal_events=_NEVER, seal_bytes=_NEVER)


def _events(payloads: list[bytes], start: int = 0) -> list[Event]:
    return [
        Event(
            event_type="ActivityScheduled",
            agent_id=f"agent-{(start + number) % 50:02d}",
            name="charge_card",
            payload=payload,
        )
        for number, payload in enumerate(payloads)
    ]


def syncs(scale: Scale) -> Measurement:
    """Count what the process asks of the device in 2 000 appends, file growth included."""
    appends = 2_000 if scale.events >= 100_000 else 200  # noqa: PLR2004 - sizes
    payloads = make_payloads(appends)
    with workplace(scale) as folder, _open(folder / "s") as store:
        store.append("first", _events(payloads[:1]))
        with counted_syncs() as found:
            for number, event in enumerate(_events(payloads)):
                store.append(f"order-{number % 50}", [event])
    each = (found["data"] + found["directory"]) / appends
    return Measurement.count(
        each,
        "syncs an append",
        {
            "data": str(found["data"]),
            "directory": str(found["directory"]),
            "appends": f"{appends:,}",
        },
    )


def group_commit(scale: Scale) -> Measurement:
    """Count the syncs of 16 threads that append at the same time, each its own stream."""
    appends = 100 if scale.events >= 100_000 else 20  # noqa: PLR2004 - sizes
    shares = []
    with workplace(scale) as folder, _open(folder / "s") as store:
        store.append("first", _events(make_payloads(1)))
        for turn in range(scale.rounds(5)):
            with counted_syncs() as found:
                _in_threads(store, turn, appends)
            shares.append(found["data"] / (CALLERS * appends))
    spread = Spread.of(shares)
    return Measurement(
        spread.median,
        spread.low,
        spread.high,
        "syncs an append",
        spread.count,
        {"callers": str(CALLERS), "appends of each": str(appends)},
    )


def _in_threads(store: EventStore, turn: int, appends: int) -> None:
    ready = threading.Barrier(CALLERS)

    def work(caller: int) -> None:
        events = _events(make_payloads(appends, seed=caller))
        ready.wait()
        for event in events:
            store.append(f"caller-{turn}-{caller}", [event])

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def append_against_fsync(scale: Scale) -> Measurement:
    """Time one append of one event against write and fsync of the bytes that it put in the tail."""
    payloads = make_payloads(512)
    events = _events(payloads)
    with workplace(scale) as folder, _open(folder / "s") as store:
        store.append("first", [events[0]])
        store.append("order-0", [events[1]])
        size = _frame_bytes(store, events[2])
        data = (payloads[0] * (size // len(payloads[0]) + 1))[:size]
        floor = BareFile(folder / "bare")
        found = race(
            {
                "append": lambda n: store.append(f"order-{n % 50}", [events[n % 512]]),
                "fsync": lambda _: floor.append(data),
            },
            # Short blocks, since a shared disk's speed drifts within a second.
            blocks=scale.blocks * 64,
            repeats=10,
        )
        floor.close()
    ratio = found.ratio("append", "fsync")
    return Measurement.ratio(
        ratio,
        {
            "one append": found.shown("append"),
            "append and fsync": found.shown("fsync"),
            "bytes": str(size),
        },
    )


def _frame_bytes(store: EventStore, event: Event) -> int:
    """Return what one append adds to the tail: bytes written, without the watermark."""
    before = store.disk.bytes_written
    store.append("order-0", [event])
    return store.disk.bytes_written - before - WATERMARK_BYTES


def batch_against_eventsourcing(scale: Scale) -> Measurement:
    """Time one commit of 1 000 events against the library eventsourcing on SQLite.

    Both are handed events that exist, and both validate, encode and commit them durably.
    """
    payloads = make_payloads(BATCH)
    with workplace(scale) as folder, _open(folder / "s") as store:
        peer = Eventsourcing(folder / "peer.db")
        floor = BareFile(folder / "bare")
        data = b"".join(payloads)
        ours = _events(payloads)
        blocks = scale.blocks
        theirs = [peer.events(f"order-{number}", payloads) for number in range(blocks * 2 + 4)]
        found = race(
            {
                "append": lambda n: store.append(f"order-{n}", ours),
                "eventsourcing": lambda _: peer.put(theirs.pop()),
                "fsync": lambda _: floor.append(data),
            },
            blocks=blocks,
            repeats=2,
            warm=2,
        )
        peer.close()
        floor.close()
    ratio = found.ratio("eventsourcing", "append")
    return Measurement.ratio(
        ratio,
        {name: found.shown(name) for name in ("append", "eventsourcing", "fsync")},
    )


def sealed_against_eventsourcing(scale: Scale) -> Measurement:
    """Time Python events to sealed Parquet, in appends of 1 000 and one seal, against inserts."""
    batches = min(20, scale.events // BATCH)
    payloads = make_payloads(BATCH)
    with workplace(scale) as folder:
        stores = [_open(folder / f"s{turn}") for turn in range(scale.rounds(5) + 1)]
        peer = Eventsourcing(folder / "peer.db")
        theirs = [
            [peer.events(f"{turn}-{n}", payloads) for n in range(batches)]
            for turn in range(len(stores))
        ]

        def ours(_: int) -> None:
            store = stores.pop()
            for number in range(batches):
                store.append(f"order-{number}", _events(payloads, number))
            store.seal()
            store.close()

        def put(_: int) -> None:
            for events in theirs.pop():
                peer.put(events)

        found = race({"ours": ours, "peer": put}, blocks=scale.rounds(5), repeats=1, warm=1)
        peer.close()
    ratio = found.ratio("peer", "ours")
    count = batches * BATCH
    return Measurement.ratio(
        ratio,
        {
            "to sealed Parquet": f"{found.shown('ours', count)} an event",
            "eventsourcing": f"{found.shown('peer', count)} an event",
            "events": f"{count:,}",
        },
    )


def append_is_constant(scale: Scale) -> Measurement:
    """Count the calls and bytes of one append to a log of 1 000 events and to the large log.

    The first append after opening looks its stream up, and reads what the commits tell of lanes
    (`store.first_append` counts that): it is timed and told beside, and the appends after it count.
    """
    counts, firsts = [], []
    sizes = (1_000, scale.events)
    event = _events(make_payloads(1))
    for size in sizes:
        with workplace(scale) as folder:
            with _open(folder / "s") as store:
                store.append_table(make_log(size))
            with _open(folder / "s") as store:
                firsts.append(timed(lambda: store.append("order-new", event))[0])
                before = store.disk.bytes_written
                calls = counted_calls(lambda: store.append("order-new", event))
                counts.append((calls["system"], calls["work"], store.disk.bytes_written - before))
    ratio = max(large / small for small, large in zip(*counts, strict=True))
    beside = {
        f"at {size:,} events": f"{system} system calls, {work} calls, {written} bytes; "
        f"the first after opening took {duration(first)}"
        for size, (system, work, written), first in zip(sizes, counts, firsts, strict=True)
    }
    return Measurement.count(ratio, "x", beside)


def bulk_and_verify(scale: Scale) -> Measurement:
    """Append the large log at once, query it, verify every event, and count the problems."""
    table = make_log(scale.events)
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        appending, _ = timed(lambda: store.append_table(table))
        querying, rows = timed(lambda: store.sql("SELECT count(*) FROM events").item())
        verifying, report = timed(store.verify)
        problems = report.count + (rows != scale.events)
    return Measurement.count(
        problems,
        "problems",
        {
            "events": f"{scale.events:,}",
            "appended in": duration(appending),
            "counted in": duration(querying),
            "verified in": duration(verifying),
        },
    )
