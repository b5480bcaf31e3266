"""How a store grows: what an append and a read touch in a small log and in a large one."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flowlab.events import Event
from flowlab.store import EventStore, segment_reader, segments
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import (
    Scale,
    Traffic,
    counted_calls,
    counted_traffic,
    duration,
    race,
    timed,
    workplace,
)
from flowlab.studies.workload import EVENTS_PER_WORKFLOW, grow, make_payloads, workflow_ids

SMALLEST: Final = 1_000
SMALL: Final = 10_000
STREAMS_READ: Final = 50
BYTES_A_DOUBLING: Final = 16_384
"""Bytes that reading 100 events, or a first append, may touch for each doubling of the log."""
CALLS_A_DOUBLING: Final = 4
TAIL_BYTES: Final = 2 * 1024 * 1024
"""What a writer reads and writes of a tail file that it resumes."""
_NEVER: Final = 1 << 40


def grown(scale: Scale, events: int) -> Path:
    """Return a store of so many events, in compact files; measurements share it."""
    return Path(_grown(scale.folder, events).name) / "s"


@lru_cache
def _grown(folder: Path | None, events: int) -> TemporaryDirectory[str]:
    # Gone with the process at the latest.
    held = TemporaryDirectory(prefix="flowlab-check-", dir=folder)
    with EventStore(Path(held.name) / "s", seal_events=_NEVER, seal_bytes=_NEVER) as store:
        grow(store, events)
    return held


@contextmanager
def copied(scale: Scale, events: int) -> Iterator[Path]:
    """Lend a store of so many events that may be changed; sealed files, which never do, are shared.

    A file system without hard links copies them, too.
    """

    def copy(source: str, target: str) -> None:
        if source.endswith(".parquet"):
            with suppress(OSError):
                os.link(source, target)
                return
        shutil.copy2(source, target)

    with workplace(scale) as folder:
        shutil.copytree(grown(scale, events), folder / "s", copy_function=copy)
        yield folder / "s"


def _sizes(scale: Scale, least: int) -> list[int]:
    """Return the powers of ten from the least to the largest."""
    steps = range(round(math.log10(least)), round(math.log10(scale.largest)) + 1)
    return sorted({*(10**step for step in steps if 10**step < scale.largest), scale.largest})


def append_growth(scale: Scale) -> Measurement:
    """Count system calls and bytes of one append, in a log of 1 000 events and in the largest.

    Once its stream's head and its lane's tick are known, an append is a write and a sync; the first
    after opening looks them up, and is told beside.
    """
    warm, first = [], []
    sizes = (SMALLEST, scale.largest)
    for size in sizes:
        with EventStore(grown(scale, size)) as store:
            store.info()
            append = _appender(store, size, "a")
            first.append(counted_traffic(append))
            warm.append(_several(append))
    small, large = warm
    ratio = max(large[name] / small[name] for name in small)
    beside = {
        f"at {size:,} events": f"{found['calls']:g} system calls, {found['written']:g} bytes "
        f"written, {found['read']:g} read; the first after opening "
        f"{opening.calls} calls, {opening.bytes:,} bytes"
        for size, found, opening in zip(sizes, warm, first, strict=True)
    }
    return Measurement.count(ratio, "x", beside)


def _appender(store: EventStore, size: int, end: str) -> Callable[[], object]:
    ids = workflow_ids(size)
    (payload,) = make_payloads(1)
    event = Event(event_type="MarkerRecorded", agent_id="agent-07", payload=payload)
    # A new stream, for which the bounds leave room among the others.
    return lambda: store.append(ids[len(ids) // 2] + end, [event])


def _several(append: Callable[[], object]) -> dict[str, float]:
    append()
    traffic = [counted_traffic(append) for _ in range(20)]
    calls = counted_calls(append)["system"]
    return {
        "calls": calls + sum(found.calls for found in traffic) / len(traffic),
        "written": sum(found.bytes_written for found in traffic) / len(traffic),
        "read": sum(found.bytes_read for found in traffic) / len(traffic),
    }


def first_append_growth(scale: Scale) -> Measurement:
    """Count calls and bytes of the first append after opening, from 10 000 events to the largest.

    Its stream's head is looked up by bounds, and the ticks of lanes stand in the commits' sidecars:
    beside the tail file of 1 MiB, which is read, and written anew behind its last frame, the bytes
    are those of one footer, of a row group's ids and of the sidecars. The most of reads and writes
    against 4 x log2 n, and of bytes against 16 KiB x log2 n beside the tail's 2 MiB, counts.
    """
    shares, beside = [], {}
    for size in _sizes(scale, SMALL):
        with EventStore(grown(scale, size)) as store:
            _appender(store, size, "b")()
        with EventStore(grown(scale, size)) as store:
            store.info()
            found = counted_traffic(_appender(store, size, "c"))
        doublings = math.log2(size)
        shares.append(found.calls / (CALLS_A_DOUBLING * doublings))
        shares.append((found.bytes - TAIL_BYTES) / (BYTES_A_DOUBLING * doublings))
        beside[f"at {size:,} events"] = f"{found.calls} reads and writes, {found.bytes:,} bytes"
    return Measurement.count(max(shares), "of c x log2 n", beside)


@dataclass(frozen=True, slots=True)
class Touched:
    """What reading a stream touched: footers, row groups, and bytes from the system."""

    footers: int
    groups: int
    traffic: Traffic


def read_growth(scale: Scale) -> Measurement:
    """Count what reading 100 events touches, from 10 000 events to the largest log, cold and warm.

    Cold is the first read after opening, its commit log read; warm is the mean of 50 streams, each
    read for the second time. The most of footers, row groups and bytes counts, against log2 n
    footers, log2 n row groups and 16 KiB x log2 n.
    """
    shares, beside = [], {}
    for size in _sizes(scale, SMALL):
        ids = workflow_ids(size)
        path = grown(scale, size)
        with EventStore(path, read_only=True) as store:
            store.info()
            cold = _touched(store, ids[len(ids) // 2])
        with EventStore(path, read_only=True) as store:
            picked = [ids[n * 7_919 % len(ids)] for n in range(1, STREAMS_READ + 1)]
            for stream in picked:
                store.read(f"/workflows/{stream}/events")
            warm = [_touched(store, stream) for stream in picked]
        shares += [_share(found, size) for found in (cold, *warm)]
        mean = [sum(values) / len(warm) for values in zip(*map(_counts, warm), strict=True)]
        beside[f"at {size:,} events"] = (
            f"cold {cold.footers} footers, {cold.groups} row groups, {cold.traffic.bytes:,} bytes; "
            f"warm {mean[0]:g} footers, {mean[1]:.2f} row groups, {mean[2]:,.0f} bytes"
        )
    return Measurement.count(max(shares), "of c x log2 n", beside)


def _counts(found: Touched) -> tuple[int, int, int]:
    return found.footers, found.groups, found.traffic.bytes


def _share(found: Touched, size: int) -> float:
    allowed = (1, 1, BYTES_A_DOUBLING)
    pairs = zip(_counts(found), allowed, strict=True)
    return max(count / (most * math.log2(size)) for count, most in pairs)


def _touched(store: EventStore, stream: str) -> Touched:
    with counted_reads(store) as counts:
        traffic = counted_traffic(lambda: _whole(store, stream))
    return Touched(counts["footers"], counts["groups"], traffic)


def _whole(store: EventStore, stream: str) -> None:
    count = len(store.read(f"/workflows/{stream}/events"))
    assert count == EVENTS_PER_WORKFLOW, f"{stream} has {count} events"


@contextmanager
def counted_reads(store: EventStore) -> Iterator[Counter[str]]:
    """Count the `footers` and row `groups` that a store reads, of the events' files."""
    reader = store._files.reader  # noqa: SLF001 - what is counted lies behind the store's door
    found: Counter[str] = Counter()
    read, read_footer = reader.read, segments.read_footer

    def reading(data: Any, groups: list[int] | None = None, **options: Any) -> Any:
        found["groups"] += len(reader.row_groups(data) if groups is None else groups)
        return read(data, groups, **options)

    def reading_footer(path: Path) -> bytes:
        found["footers"] += 1
        return read_footer(path)

    setattr(reader, "read", reading)  # noqa: B010 - for a moment, and on this object alone
    setattr(segment_reader, "read_footer", reading_footer)  # noqa: B010 - for a moment
    try:
        yield found
    finally:
        delattr(reader, "read")
        setattr(segment_reader, "read_footer", read_footer)  # noqa: B010 - as it was


def stream_growth(scale: Scale) -> Measurement:
    """Time one stream of 100 events in the largest log, and in one of a tenth, both warm.

    Streams are drawn from all over each log, and each is decoded to an Arrow table.
    """
    sizes = {"a tenth": scale.largest // 10, "the largest": scale.largest}
    ids = {name: workflow_ids(size) for name, size in sizes.items()}
    with (
        EventStore(grown(scale, sizes["a tenth"]), read_only=True) as small,
        EventStore(grown(scale, sizes["the largest"]), read_only=True) as large,
    ):
        stores = {"a tenth": small, "the largest": large}

        def reader(name: str) -> Callable[[int], object]:
            names, store = ids[name], stores[name]
            return lambda n: _whole(store, names[n * 7_919 % len(names)])

        for name in sizes:
            for number in range(20 * STREAMS_READ):
                reader(name)(number)
        contestants = {name: reader(name) for name in sizes}
        found = race(contestants, blocks=scale.blocks * 4, repeats=scale.repeats)
    beside = {f"{sizes[name]:,} events": found.shown(name) for name in sizes}
    return Measurement.ratio(found.ratio("the largest", "a tenth"), beside)


def opening(scale: Scale) -> Measurement:
    """Time opening a store of 1 000 commits for reading, to its first snapshot."""
    commits = 1_000 if scale.events >= 100_000 else 50  # noqa: PLR2004 - sizes
    event = Event(event_type="MarkerRecorded")
    with workplace(scale) as folder:
        with EventStore(folder / "s") as store:
            for number in range(commits):
                store.append(f"order-{number % 50}", event)
                store.seal()

        def reopen(_: int) -> None:
            with EventStore(folder / "s", read_only=True) as store:
                assert store.snapshot().position == commits

        found = race({"open": reopen}, blocks=scale.blocks, repeats=3, warm=1)
        first, _ = timed(lambda: reopen(0))
        traffic = counted_traffic(lambda: reopen(0))
    seconds = sorted(found.seconds["open"])
    quartiles = [seconds[len(seconds) * place // 4] * 1e3 for place in (1, 2, 3)]
    return Measurement(
        quartiles[1],
        quartiles[0],
        quartiles[2],
        "ms",
        len(seconds),
        {
            "commits": f"{commits:,}",
            "reads": f"{traffic.reads} system calls, {traffic.bytes_read:,} bytes",
            "once more": duration(first),
        },
    )
