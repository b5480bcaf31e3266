"""What a replay costs, from a store, at sizes; and beside it what other engines' replays cost."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from flowlab.errors import MissingDependencyError
from flowlab.recovery import Replayer
from flowlab.store import EventStore
from flowlab.store.stream_tables import stream_tables
from flowlab.studies.claim import Bound, Claim, Measurement, Reliability
from flowlab.studies.measuring import Scale, Spread, workplace
from flowlab.studies.replay_peers import Peer, durabletask_replay, temporal_replay
from flowlab.studies.replay_workload import HISTORY_EVENTS, steps, steps_log
from flowlab.workflow.columns import REPLAYED_COLUMNS, generations

_LARGEST: Final = 1_000_000
_FEW: Final = 20
_TIMES: Final = 5
"""How often the small store is replayed in a round: once alone tells more of what came before."""
_RESUMED: Final = 200_000
_PEER_STEPS: Final = 500
"""Steps of the histories of peers; one of them grows faster than its history."""

_Seconds = dict[str, list[float]]


def replay(scale: Scale) -> Measurement:
    """Time replays of whole stores in seconds of the processor: opening, reading, holding against.

    Every command is held against the code in kind, name, step and payload. Each round replays each
    size once; then what the columns alone cost (read and made into lists), a bare coroutine that is
    resumed once for two events, and the peers' replays of equal histories in memory. The value is
    microseconds an event at the size where it is most.
    """
    most = min(scale.largest, _LARGEST)
    sizes = sorted({min(HISTORY_EVENTS, most), min(10 * HISTORY_EVENTS, most), most})
    peers, absent = _peers()
    with workplace(scale) as folder:
        counts = {size: _written(folder / str(size), size) for size in (_FEW, *sizes)}
        contestants: dict[str, Callable[[], object]] = {
            **{str(size): partial(_replayed, folder / str(size)) for size in counts},
            "columns": partial(_columns, folder / str(sizes[-1])),
            "bare": _resumed,
            **peers,
        }
        seconds = _in_turns(contestants, scale.rounds(5))
    each = {size: Spread.of([s / counts[size] * 1e6 for s in seconds[str(size)]]) for size in sizes}
    worst = max(each.values(), key=lambda spread: spread.median)
    median = {name: Spread.of(found).median for name, found in seconds.items()}
    bare, columns = median["bare"] / _RESUMED, median["columns"] / counts[sizes[-1]]
    growth = each[sizes[-1]].median / each[sizes[0]].median
    beside = {
        **{f"at {size:,} events": f"{found.median:.2f} us" for size, found in each.items()},
        "largest against smallest": f"{growth:.2f} x",
        "fixed cost": f"{median[str(_FEW)] * 1e3:.1f} ms (a store of {_FEW} events)",
        "columns alone": f"{columns * 1e6:.2f} us",
        "a bare coroutine": f"{bare * 1e6:.3f} us: ours {worst.median / bare / 1e6:.0f} x",
    }
    for name in peers:
        ours = [s / counts[sizes[0]] * 2 for s in seconds[str(sizes[0])]]
        theirs = [s / _PEER_STEPS for s in seconds[name]]
        ratio = Spread.of([mine / its for mine, its in zip(ours, theirs, strict=True)])
        spread = f"{ratio.median:.4f} x ({ratio.low:.4f} to {ratio.high:.4f})"
        beside[name] = f"{Spread.of(theirs).median * 1e6:.0f} us a step: ours {spread}"
    beside |= absent
    return Measurement(worst.median, worst.low, worst.high, "us an event", worst.count, beside)


def _written(folder: Path, events: int) -> int:
    table = steps_log(events)
    with EventStore(folder) as store:
        store.append_table(table)
    return len(table)


def _replayed(folder: Path) -> None:
    with EventStore(folder, read_only=True) as store:
        report = Replayer([steps]).replay(store)
    assert report.ok, report


def _columns(folder: Path) -> None:
    with EventStore(folder, read_only=True) as store:
        for table in stream_tables(store.snapshot(), REPLAYED_COLUMNS):
            for _ in generations(table):
                pass


class _Answer:
    """What a bare coroutine waits for: nothing is held against anything."""

    def __await__(self) -> Generator[None, None, int]:
        yield
        return 1


def _resumed() -> None:
    async def bare() -> int:
        total, answer = 0, _Answer()
        for _ in range(_RESUMED // 2):
            total += await answer
        return total

    send = bare().send
    with suppress(StopIteration):
        while True:
            send(None)


def _peers() -> tuple[dict[str, Peer], dict[str, str]]:
    peers: dict[str, Peer] = {}
    absent: dict[str, str] = {}
    for name, made in (
        ("durabletask's executor", durabletask_replay),
        ("Temporal's Replayer", temporal_replay),
    ):
        try:
            peers[name] = made(_PEER_STEPS)
        except MissingDependencyError as error:
            absent[name] = f"not measured: {error}"
        else:
            peers[name]()
    return peers, absent


def _in_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> _Seconds:
    """Time each contestant once in each round, and the small store several times in a row.

    What was there before is out of the collector's sight: to go through all of it right before the
    clock empties the processor's caches, and a replay of milliseconds takes twice as long.
    """
    seconds: _Seconds = {name: [] for name in contestants}
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            for name, call in contestants.items():
                times = _TIMES if name == str(_FEW) else 1
                seconds[name] += [_cpu_seconds(call) for _ in range(times)]
    finally:
        gc.unfreeze()
    return seconds


def _cpu_seconds(call: Callable[[], object]) -> float:
    gc.collect()
    began = time.process_time()
    call()
    return time.process_time() - began


REPLAY_CLAIMS: Final = (
    Claim(
        name="recovery.replay",
        statement="A replay from the store, with kind, name and arguments checked, costs at most 2 "
        "us an event from 10 000 events to 1 000 000.",
        source="the design of flowlab",
        reliability=Reliability.ASSERTED,
        measure=replay,
        gate=Bound(at_most=2),
        aim=Bound(at_most=0.7),
    ),
)
"""The claims about replays."""
