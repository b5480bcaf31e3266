"""What a picture of one run shows, before it has coordinates: lanes with bars, points and links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowlab.events import CauseKind, Event
from flowlab.figures.bar import Bar, cut_text, said_in, status_of
from flowlab.figures.bars import read_bars
from flowlab.figures.graph import Link, causal_depth, causal_order, visible_links
from flowlab.figures.holds import taking_part
from flowlab.figures.lane_order import order_lanes
from flowlab.figures.text import clean, duration, moment, plural, words
from flowlab.figures.window import WORLD, LaneKey, Window, lane_key

GLYPHS: Final = {
    "WorkflowStarted": "start",
    "WorkflowCompleted": "end",
    "WorkflowContinuedAsNew": "again",
    "AgentCrashed": "crash",
    "AgentRestarted": "restart",
    "PivotReached": "pivot",
    "BarrierArrived": "arrived",
    "BarrierReleased": "barrier",
    "FaultInjected": "fault",
    "CheckpointTaken": "checkpoint",
    "LogTruncated": "truncated",
    "MessageSent": "sent",
    "SignalInitiated": "sent",
    "CancelInitiated": "sent",
    "MessageReceived": "received",
    "SignalDelivered": "received",
    "CancelDelivered": "received",
    "Signaled": "signal",
    "UpdateAdmitted": "signal",
    "WorkflowCancelRequested": "signal",
    "MessageDropped": "dropped",
    "MessageDuplicated": "duplicated",
    "TransactionCommitted": "commit",
    "TransactionAborted": "aborted",
    "ActivityCompleted": "answer",
    "CompensationCompleted": "answer",
    "SagaStepCommitted": "commit",
    "MarkerRecorded": "marker",
    "ActivityScheduled": "call",
    "CompensationScheduled": "call",
    "ChildWorkflowInitiated": "call",
    "OperationScheduled": "call",
    "UpdateRejected": "failed",
}
"""The sign of each event type that has one of its own; failures and ends follow from the name."""
_QUIET: Final = frozenset({"start", "end", "restart", "commit", "call", "answer", "arrived"})
_ADRIFT: Final = frozenset({"MessageDropped", "MessageDuplicated", "FaultInjected"})
"""What befalls a message on its way: in a simulated world, nobody's lane is the place for it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One event that belongs to no bar."""

    lane: int
    row: int
    glyph: str
    label: str
    tip: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Who did it: an agent, a host, a workflow; and how much."""

    key: LaneKey
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The time for which an agent was down: from its crash to its restart, if there was one."""

    lane: int
    crash: int
    restart: int | None


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier's release, and the lanes that took part."""

    row: int
    lanes: tuple[int, ...]
    tip: str


@dataclass(frozen=True, slots=True)
class Back:
    """An arrow from a compensation back to what it undoes: a bar of the picture or a row."""

    bar: int
    row: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a picture of one run shows.

    `at` gives each row its place on the axis; `broken` are the causes left out of a cycle.
    """

    window: Window
    lanes: tuple[Lane, ...]
    bars: tuple[Bar, ...]
    points: tuple[Point, ...]
    links: tuple[Link, ...]
    gaps: tuple[Gap, ...]
    barriers: tuple[Barrier, ...]
    backs: tuple[Back, ...]
    in_flight: tuple[int, ...]
    damaged: Mapping[int, str]
    broken: tuple[tuple[int, int], ...]
    at: Mapping[int, int]
    adrift: Mapping[int, tuple[int, int]]

    @property
    def lost(self) -> Iterator[int]:
        """The rows of the messages that were dropped on their way."""
        for row, (source, _) in self.adrift.items():
            if self.window.events[row].event_type == "MessageDropped":
                yield source

    def lane_of(self, row: int) -> int:
        """Return the lane of a row's agent, or of whom a message in flight was for."""
        if row in self.adrift:
            return self.adrift[row][1]
        return [lane.key for lane in self.lanes].index(lane_key(self.window.events[row]))


def read_scene(window: Window) -> Scene:
    """Read everything that is drawn out of a window."""
    events = window.events
    links = visible_links(window)
    shown = [row for row, flag in enumerate(window.visible) if flag]
    flying = _flying(window)
    at_home = {lane_key(events[row]) for row in shown if row not in flying}
    keys = [key for key in window.lanes if key in at_home]
    at = _places(window, links, shown)
    keys = _ordered(window, keys, links, at)
    lane_of = {key: index for index, key in enumerate(keys)}
    adrift = {
        row: (source, lane_of[key]) for row, (source, key) in flying.items() if key in lane_of
    }
    bars = read_bars(window, lane_of)
    used = set(_rows_of(bars, events, keys))
    points = tuple(
        Point(lane_of[key], row, *_point(events[row]))
        for row in shown
        if row not in used
        for key in [flying[row][1] if row in flying else lane_key(events[row])]
    )
    return Scene(
        window,
        tuple(_lanes(window, keys, bars, points)),
        tuple(bars),
        points,
        tuple(links),
        tuple(_gaps(window, lane_of)),
        tuple(_barriers(window, bars, lane_of)),
        tuple(_backs(window, bars)),
        tuple(_in_flight(window)),
        _damage(window),
        _broken(window),
        at,
        adrift,
    )


def _ordered(
    window: Window, keys: list[LaneKey], links: Sequence[Link], at: Mapping[int, int]
) -> list[LaneKey]:
    """Put the lanes whose order says nothing so that few arrows cross."""
    if len(window.loose) < 2:
        return keys
    number = {key: index for index, key in enumerate(keys)}
    lanes = {row: number.get(lane_key(window.events[row]), -1) for row in at}
    arrows = [
        (lanes[link.cause], at[link.cause], lanes[link.effect], at[link.effect])
        for link in links
        if lanes[link.cause] >= 0 and lanes[link.effect] >= 0
    ]
    worlds = list(dict.fromkeys(key[:2] for key in keys))
    groups = [worlds.index(key[:2]) if key in window.loose else None for key in keys]
    return [keys[index] for index in order_lanes(arrows, groups, least_gain=window.least_gain)]


def _flying(window: Window) -> dict[int, tuple[int, LaneKey]]:
    """Return what the world does to messages: the row that sent each, and whose lane it was for."""
    lanes = set(window.lanes)
    found: dict[int, tuple[int, LaneKey]] = {}
    for row, event in enumerate(window.events):
        if event.agent_id != WORLD or event.event_type not in _ADRIFT or not window.visible[row]:
            continue
        for cause in event.causes:
            source = window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
            if source is None or not window.visible[source]:
                continue
            to = _addressee(event) or _addressee(window.events[source])
            names = [to, event.coordination_id, window.events[source].agent_id]
            keys = [(event.namespace, event.run_id, name) for name in names if name]
            key = next((key for key in keys if key in lanes), None)
            if key is not None:
                found[row] = (source, key)
                break
    return found


def _addressee(event: Event) -> str:
    """Return to whom a payload says that a message goes."""
    data = event.data if event.payload else None
    to = (data.get("to") or data.get("agent")) if isinstance(data, dict) else None
    return to if isinstance(to, str) else ""


def _places(window: Window, links: Sequence[Link], shown: Sequence[int]) -> dict[int, int]:
    if window.axis == "time":
        return {row: window.events[row].time_ns for row in shown}
    order = [row for row in causal_order(links, len(window.events)) if window.visible[row]]
    if window.axis == "order":
        return {row: place for place, row in enumerate(order)}
    return causal_depth(links, order)


def _rows_of(
    bars: Sequence[Bar], events: Sequence[Event], lanes: Sequence[LaneKey]
) -> Iterator[int]:
    """Yield the rows that a bar shows: those on its own lane, and every attempt of a call."""
    for bar in bars:
        for row in bar.rows:
            own = lane_key(events[row]) == lanes[bar.lane]
            attempt = bar.kind == "activity" and row != bar.asked and row in bar.starts
            if own or attempt:
                yield row


def glyph_of(event_type: str) -> str:
    """Return the name of the sign that stands for an event type.

    Example:
        >>> glyph_of("PivotReached"), glyph_of("OperationTimedOut"), glyph_of("SomethingNew")
        ('pivot', 'timed_out', 'event')
    """
    known = GLYPHS.get(event_type)
    status = status_of(event_type)
    return known or ("event" if status == "completed" else status)


def _point(event: Event) -> tuple[str, str, str]:
    glyph = glyph_of(event.event_type)
    said = said_in(event)
    label = clean(event.name[:200] or words(event.event_type))
    if glyph in _QUIET or event.event_type.startswith("WorkflowTask"):
        label = ""
    elif glyph in {"failed", "timed_out", "canceled", "crash"}:
        label = words(event.event_type) + (f": {said}" if said else "")
    facts = [words(event.event_type), clean(event.name[:200]), clean(event.agent_id[:80])]
    facts += [f"{clean(event.workflow_id[:80])}/{event.sequence}", moment(event.time_ns), said]
    return glyph, label, cut_text(" · ".join(fact for fact in facts if fact))


def _lanes(
    window: Window,
    keys: Sequence[LaneKey],
    bars: Sequence[Bar],
    points: Sequence[Point],
) -> Iterator[Lane]:
    for index, key in enumerate(keys):
        calls = [bar for bar in bars if bar.lane == index and bar.kind == "activity"]
        count = sum(point.lane == index for point in points)
        note = plural(len(calls), "call") if calls else plural(count, "event")
        if calls and window.axis == "time":
            note += f" · {duration(_busy(window, calls))}"
        failed = sum(bar.status in {"failed", "timed_out"} for bar in calls)
        if failed:
            note += f" · {failed} failed"
        yield Lane(key, clean(key[2][:400]) or "(no agent)", note)


def _busy(window: Window, bars: Sequence[Bar]) -> int:
    """Return how long a lane worked: the union of its bars."""
    times = [event.time_ns for event in window.events]
    spans = [
        (times[bar.starts[0]], times[bar.ended])
        for bar in bars
        if bar.starts and bar.ended is not None and not bar.visits
    ]
    spans += [
        (times[visit.start], times[visit.done])
        for bar in bars
        for visit in bar.visits
        if visit.done is not None
    ]
    total, reached = 0, -(2**63)
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _gaps(window: Window, lane_of: Mapping[LaneKey, int]) -> Iterator[Gap]:
    down: dict[int, int] = {}
    for row, event in enumerate(window.events):
        if not window.visible[row]:
            continue
        lane = lane_of.get(lane_key(event), -1)
        if event.event_type == "AgentCrashed":
            down.setdefault(lane, row)
        elif event.event_type == "AgentRestarted" and lane in down:
            yield Gap(lane, down.pop(lane), row)
    for lane, crash in down.items():
        yield Gap(lane, crash, None)


def _barriers(
    window: Window, bars: Sequence[Bar], lane_of: Mapping[LaneKey, int]
) -> Iterator[Barrier]:
    came: dict[int, list[int]] = {}
    for bar in bars:
        if bar.kind == "barrier" and bar.ended is not None:
            came.setdefault(bar.ended, []).append(bar.lane)
    for row, event in enumerate(window.events):
        if event.event_type == "BarrierReleased" and window.visible[row]:
            named = (lane for lane, _ in taking_part(event, lane_of))
            lanes = sorted(set(came.get(row) or named))
            name = clean(event.name or event.step_id or "")
            yield Barrier(row, tuple(lanes), f"barrier {name}: {plural(len(lanes), 'lane')}")


def _backs(window: Window, bars: Sequence[Bar]) -> Iterator[Back]:
    """Find what each compensation undoes: the bar, or else the commit, of the step it names."""
    done: dict[tuple[str, str, str, str], int] = {}
    for bar in bars:
        if bar.kind == "activity" and bar.ended is not None:
            stream = window.events[bar.asked].id[:3]
            if bar.step:
                done[*stream, bar.step] = bar.outcome or bar.ended
            done.setdefault((*stream, window.events[bar.asked].name), bar.outcome or bar.ended)
    for row, event in enumerate(window.events):
        if event.event_type == "SagaStepCommitted" and event.step_id and window.visible[row]:
            done.setdefault((*event.id[:3], event.step_id), row)
    for index, bar in enumerate(bars):
        if bar.kind == "compensation" and bar.step:
            target = done.get((*window.events[bar.asked].id[:3], bar.step))
            if target is not None and target < bar.asked:
                yield Back(index, target)


def _in_flight(window: Window) -> Iterator[int]:
    """Yield the messages that nobody received, dropped or duplicated as far as the log goes."""
    if window.left_out or not window.whole:
        return
    answered = {
        (*event.id[:2], cause.workflow_id, cause.sequence)
        for event in window.events
        for cause in event.causes
        if cause.kind == CauseKind.MESSAGE
    }
    for row, event in enumerate(window.events):
        if event.event_type == "MessageSent" and window.visible[row] and event.id not in answered:
            yield row


def _damage(window: Window) -> dict[int, str]:
    found: dict[int, str] = {}
    for damage in window.damage:
        row, said = damage.row, damage.words
        if window.visible[row]:
            found[row] = cut_text(f"{found[row]} · {said}" if row in found else said)
    return found


def _broken(window: Window) -> tuple[tuple[int, int], ...]:
    """Return the causes that would close a cycle, as (cause, effect)."""
    return tuple(
        (damage.source, damage.row)
        for damage in window.damage
        if damage.kind == "cycle" and damage.source is not None
    )
