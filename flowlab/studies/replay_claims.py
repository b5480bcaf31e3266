"""What a replay costs, from a store, at sizes; and beside it what other engines' replays cost."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
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
_PEER_STEPS: Final = 500
"""Steps of the histories of peers; one of them grows faster than its history."""


def replay(scale: Scale) -> Measurement:
    """Time replays of whole stores in seconds of the processor: opening, reading, holding against.

    Every command is held against the code in kind, name, step and payload. Each round replays each
    size once, then what the columns alone cost (read and made into lists), then the peers' replays
    of equal histories in memory. The value is microseconds an event at the size where it is most.
    """
    most = min(scale.largest, _LARGEST)
    sizes = sorted({min(HISTORY_EVENTS, most), min(10 * HISTORY_EVENTS, most), most})
    rounds = scale.rounds(5)
    peers, absent = _peers()
    with workplace(scale) as folder:
        counts = {size: _written(folder / str(size), size) for size in (20, *sizes)}
        ours: dict[int, list[float]] = {size: [] for size in counts}
        floors: list[float] = []
        theirs: dict[str, list[float]] = {name: [] for name in peers}
        for _ in range(rounds):
            for size in counts:
                ours[size].append(_cpu_seconds(lambda: _replayed(folder / str(size))))  # noqa: B023
            floors.append(_cpu_seconds(lambda: _columns(folder / str(sizes[-1]))))
            for name, peer in peers.items():
                theirs[name].append(_cpu_seconds(peer))
    each = {size: Spread.of([took / counts[size] * 1e6 for took in ours[size]]) for size in sizes}
    worst = max(each.values(), key=lambda spread: spread.median)
    floor = Spread.of([took / counts[sizes[-1]] * 1e6 for took in floors])
    step = [took / counts[sizes[0]] * 2e6 for took in ours[sizes[0]]]
    beside = {
        f"at {size:,} events": f"{found.median:.2f} us an event" for size, found in each.items()
    }
    beside["largest against smallest"] = f"{each[sizes[-1]].median / each[sizes[0]].median:.2f} x"
    beside["fixed cost"] = f"{Spread.of(ours[20]).median * 1e3:.1f} ms (a store of 20 events)"
    beside["columns alone"] = f"{floor.median:.2f} us an event"
    for name, found in theirs.items():
        times = Spread.of(
            [mine / (its / _PEER_STEPS * 1e6) for mine, its in zip(step, found, strict=True)]
        )
        took = Spread.of(found).median / _PEER_STEPS * 1e6
        beside[name] = (
            f"{took:.0f} us a step, ours {times.median:.4f} x ({times.low:.4f} to {times.high:.4f})"
        )
    return Measurement(
        worst.median, worst.low, worst.high, "us an event", rounds, {**beside, **absent}
    )


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
