"""Two processes append at once: to one stream, and to a stream each."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Final

from flowlab.errors import ConcurrencyError, FencedError
from flowlab.events import Event
from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, workplace

WRITERS: Final = ("a", "b")
SHARED: Final = "shared"
TURNS: Final = 200
QUICK_TURNS: Final = 5
MANY_EVENTS: Final = 100_000
TIMEOUT_S: Final = 300


@dataclass(slots=True)
class WritersReport:
    """What writers told, and what is in the log.

    Args:
        attempts: calls of append.
        acknowledged: those that returned.
        conflicts: those refused because the head was not the expected version.
        fenced: those refused because the other writer had taken over.
        events: in the log at the end.
        wrong: in words: an event that is missing, there twice or out of order, a count that
            disagrees, a refusal that does not name the other process.
    """

    attempts: int = 0
    acknowledged: int = 0
    conflicts: int = 0
    fenced: int = 0
    events: int = 0
    wrong: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"WritersReport({self.attempts} attempts, {self.acknowledged} acknowledged, "
            f"{self.conflicts} conflicts, {self.fenced} takeovers, {len(self.wrong)} wrong)"
        )

    def __str__(self) -> str:
        return (
            f"{self.attempts} appends: {self.acknowledged} acknowledged, {self.conflicts} refused "
            f"for the version, {self.fenced} for a takeover"
        )


def two_writers(folder: Path, *, same: bool, turns: int) -> WritersReport:
    """Let two processes append at once, each deciding on the head that it has read.

    In each turn both decide before either appends. One that is refused for the version reads again
    and decides again; one that was taken over opens the store again and tries what it had decided.

    Args:
        folder: for the store.
        same: whether they append to one stream, or to one each.
        turns: acknowledged appends of each.
    """
    root = folder / "s"
    EventStore(root).close()
    context = multiprocessing.get_context("spawn")
    told, both = context.Queue(), context.Barrier(len(WRITERS))
    streams = {name: SHARED if same else name for name in WRITERS}
    writers = [
        context.Process(target=_write, args=(root, name, streams[name], turns, (both, told)))
        for name in WRITERS
    ]
    for writer in writers:
        writer.start()
    report, found = WritersReport(), []
    try:
        found = [told.get(timeout=TIMEOUT_S) for _ in writers]
    except Empty:
        report.wrong.append("a writing process failed")
    for writer in writers:
        writer.join(timeout=TIMEOUT_S)
    pids = {writer.pid for writer in writers}
    for counts, refusals, pid in found:
        report.attempts += counts["attempts"]
        report.acknowledged += counts["acknowledged"]
        report.conflicts += counts["conflicts"]
        report.fenced += counts["fenced"]
        (other,) = pids - {pid}
        nameless = [text for text in refusals if f"process {other})" not in text]
        report.wrong += [f"does not name process {other}: {text}" for text in nameless]
    _compare(report, root, set(streams.values()), turns)
    return report


def _compare(report: WritersReport, root: Path, streams: set[str], turns: int) -> None:
    """Compare the log with what was acknowledged."""
    with EventStore(root, read_only=True) as store:
        if not store.verify().ok:
            report.wrong.append(str(store.verify().problems))
        for stream in sorted(streams):
            events = store.read(f"/workflows/{stream}/events").events()
            report.events += len(events)
            for place, event in enumerate(events):
                if event.sequence != place + 1 or event.data["expected"] != place:
                    report.wrong.append(f"{event!r} was decided on {event.data}, at {place}")
            for name in WRITERS if stream == SHARED else (stream,):
                own = [event.data["turn"] for event in events if event.agent_id == name]
                if own != list(range(turns)):
                    report.wrong.append(f"of {name} in {stream}: {own}")
    if not report.events == report.acknowledged == turns * len(WRITERS):
        report.wrong.append(f"{report.events} events, {report.acknowledged} acknowledged")
    refused = report.attempts - report.events
    if refused != report.conflicts + report.fenced:
        report.wrong.append(f"{refused} refused, {report.conflicts} + {report.fenced} told")


def _write(root: Path, name: str, stream: str, turns: int, queues: tuple[Any, Any]) -> None:
    both, told = queues
    counts: Counter[str] = Counter()
    refusals: list[str] = []
    store, turn, decided = EventStore(root), 0, False
    expected = 0
    while turn < turns:
        if not decided:
            expected, decided = store.snapshot().head(stream), True
            both.wait(TIMEOUT_S)
        data = {"turn": turn, "expected": expected}
        event = Event.of("MarkerRecorded", agent_id=name, payload=data)
        counts["attempts"] += 1
        try:
            store.append(stream, event, expected_version=expected)
        except ConcurrencyError:
            counts["conflicts"] += 1
            expected = store.snapshot().head(stream)
        except FencedError as error:
            counts["fenced"] += 1
            refusals.append(str(error))
            store.close()
            store = EventStore(root)
        else:
            counts["acknowledged"] += 1
            turn, decided = turn + 1, False
    store.close()
    told.put((counts, refusals, os.getpid()))


def writers(scale: Scale) -> Measurement:
    """Let two processes append at once, to one stream and then to a stream each.

    Each append expects the version that its writer decided on, and both decide before either
    appends. The value is how many appends to the one stream were refused for it. Beside it stand
    those of the streams apart, and how often a writer found that the other had taken over and had
    to open the store again. Every acknowledged append has to be there once, in order, on the
    version that it expected, and the writers' counts have to be those of the log.
    """
    turns = TURNS if scale.events >= MANY_EVENTS else QUICK_TURNS
    found = {}
    for name, same in (("one stream", True), ("a stream each", False)):
        with workplace(scale) as folder:
            found[name] = two_writers(folder, same=same, turns=turns)
    shared, apart = found.values()
    wrong = shared.wrong + apart.wrong
    beside = {name: str(report) for name, report in found.items()}
    beside |= {f"wrong {number}": text for number, text in enumerate(wrong[:9], 1)}
    holds = not wrong and apart.conflicts == 0
    return Measurement.count(shared.conflicts, "conflicts", beside, restated=holds)
