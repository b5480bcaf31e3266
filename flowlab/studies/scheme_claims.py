"""The claims about schemes of recovery: from checkpoints of histories of any length; on a pool."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pyarrow as pa

from flowlab.events import Event, events_from_table
from flowlab.recovery import Checkpointed, Never, Replay, recover
from flowlab.store import EventStore
from flowlab.store.segments import ROW_GROUP_ROWS
from flowlab.studies.claim import Bound, Claim, Measurement, Reliability
from flowlab.studies.measuring import Scale, Spread, race, workplace
from flowlab.studies.scheme_workload import (
    STREAM,
    counting,
    counting_log,
    take_checkpoint,
    unfinished_log,
)

_LEAST: Final = 1_000
_LARGEST: Final = 1_000_000
_TAILS: Final = {"sealed": 0, "in the tail": 900, "sealed as it grew": 0}
"""Events that were not sealed when the process stopped, by where what is new then lies."""
_GREW: Final = "sealed as it grew"
_ALL: Final = 1 << 40
_GROWTH: Final = 65_536
"""Events of a commit where a history was sealed as it grew: what a store seals at by default."""
_SINCE: Final = (60, 600)
"""Events since the checkpoint; their two times give what one event costs."""
_WORKFLOWS: Final = 1_000
_PROCESSES: Final = 2


def length(scale: Scale) -> Measurement:
    """Recover from a checkpoint with equally many events since, after histories of other lengths.

    A history is sealed in one commit, with an equal last row group: what is read at once is a row
    group, however few of its events are wanted. What came since the checkpoint is read from sealed
    files in one set-up, and in the other from the tail, as a stopped process leaves it. Each call
    opens the store and restores the workflow; lengths take turns. The value is the worst ratio, in
    time of the processor, of a length to the least one, block by block, of both set-ups.

    A history that was sealed as it grew has several commits, and opening the store reads those
    since the newest checkpoint of the commit log: at most 32 of them, however long the history is.
    What that costs until they are compacted is told beside.
    """
    ratios, beside = [], {}
    with workplace(scale) as folder:
        for place, tail in _TAILS.items():
            found = _of_lengths(folder / place, scale, tail, _GROWTH if place == _GREW else _ALL)
            sizes = list(found[_SINCE[0]])
            of_place = [
                Spread.of([a / b for a, b in zip(times[size], times[sizes[0]], strict=True)])
                for times in found.values()
                for size in sizes[1:]
            ]
            if place == _GREW:
                beside[f"the worst ratio, {place}"] = f"{_worst(of_place).median:.2f}"
            else:
                ratios += of_place
            for size in sizes:
                few, many = (Spread.of(found[since][size]).median for since in _SINCE)
                each = (many - few) / (_SINCE[1] - _SINCE[0])
                told = f"{(few - each * _SINCE[0]) * 1e3:.1f} ms + {each * 1e6:.1f} us an event"
                beside[f"{size} events, what is new {place}"] = told
    return Measurement.ratio(_worst(ratios), beside)


def _worst(ratios: list[Spread]) -> Spread:
    return max(ratios, key=lambda spread: spread.median)


def _of_lengths(
    folder: Path, scale: Scale, tail: int, commit: int
) -> dict[int, dict[str, list[float]]]:
    """Return what recovery takes, by events since the checkpoint and by length."""
    sizes = _sizes(min(scale.largest, _LARGEST))
    times = {}
    for size in sizes:
        table = counting_log(size)
        with EventStore(folder / str(size)) as store:
            sealed = table.slice(0, size - tail)
            for begin in range(0, sealed.num_rows, commit):
                store.append_table(sealed.slice(begin, commit))
            if tail:
                store.append(STREAM[2], _events(table.slice(size - tail)))
    for since in reversed(_SINCE):
        for size in sizes:
            with EventStore(folder / str(size)) as store:
                take_checkpoint(store, size - since)
        calls = {f"{size:,}": _restore(folder / str(size)) for size in sizes}
        times[since] = _in_turns(calls, scale)
    return times


def pool(scale: Scale) -> Measurement:
    """Recover unfinished workflows by replay, in one process and on a warm pool of two, in turns.

    The value is how many times faster the pool is.
    """
    count = max(4, min(_WORKFLOWS, scale.largest // _LEAST))
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(unfinished_log(count, _LEAST))
        with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as executor:

            def alone(_number: int) -> None:
                assert not recover(store, [counting], scheme=Replay()).failed

            def together(_number: int) -> None:
                report = recover(
                    store, [counting], scheme=Replay(), workers=_PROCESSES, executor=executor
                )
                assert not report.failed

            calls: dict[str, Callable[[int], object]] = {"one": alone, "two": together}
            found = race(calls, blocks=scale.rounds(7), repeats=1, warm=1)
    beside = {
        "one process": found.shown("one"),
        "two": found.shown("two"),
        "workload": f"{count:,} workflows of {_LEAST:,} events",
    }
    return Measurement.ratio(found.ratio("one", "two"), beside)


def _sizes(most: int) -> list[int]:
    """Return lengths, each about ten times the one before, whose last row groups are equal."""
    sizes = [_LEAST]
    while sizes[-1] * 10 <= most:
        groups = round((sizes[-1] * 10 - _LEAST) / ROW_GROUP_ROWS)
        sizes.append(_LEAST + groups * ROW_GROUP_ROWS)
    return sizes


def _events(table: pa.Table) -> list[Event]:
    return [event.replace(position=0, agent_sequence=0) for event in events_from_table(table)]


def _in_turns(calls: dict[str, Callable[[int], object]], scale: Scale) -> dict[str, list[float]]:
    """Return what each call takes of the processor, the median of each block; they take turns.

    The order turns and the cyclic collector stands still: with calls that allocate alike it falls
    due in step with them, and would strike the same one each time.
    """
    names = list(calls)
    found: dict[str, list[float]] = {name: [] for name in names}
    for call in calls.values():
        call(0)
    gc.disable()
    try:
        for _ in range(scale.blocks):
            block: dict[str, list[float]] = {name: [] for name in names}
            gc.collect()
            for number in range(max(5, scale.repeats // 4)):
                first = number % len(names)
                for name in names[first:] + names[:first]:
                    began = time.process_time()
                    calls[name](number)
                    block[name].append(time.process_time() - began)
            for name, times in block.items():
                found[name].append(statistics.median(times))
    finally:
        gc.enable()
    return found


def _restore(path: Path) -> Callable[[int], object]:
    def call(_number: int) -> object:
        with EventStore(path, read_only=True) as store:
            restored = Checkpointed(Never()).restore(store, STREAM, counting)
        assert restored.checkpoint is not None
        return restored

    return call


SCHEME_CLAIMS: Final = (
    Claim(
        name="recovery.length",
        statement="Recovery from a checkpoint costs a + b (events since), whatever the length of "
        "the history from 1 000 to 1 000 000 events, within 10 %.",
        source="the design of flowlab",
        reliability=Reliability.ASSERTED,
        measure=length,
        gate=Bound(at_most=1.1),
    ),
    Claim(
        name="recovery.pool",
        statement="1 000 workflows of 1 000 events recover 1.6 times faster on a warm pool of two "
        "processes than in one.",
        source="the design of flowlab",
        reliability=Reliability.ASSERTED,
        measure=pool,
        aim=Bound(at_least=1.6),
    ),
)
"""The claims about recovery from checkpoints, and on a pool."""
