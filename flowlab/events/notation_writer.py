"""Logs as text in the notation of `flowlab.events.notation`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.events.event import Event, EventId
from flowlab.events.log import EventLog
from flowlab.events.notation import read_text
from flowlab.events.notation_marks import FAULTS, is_bare, written
from flowlab.events.run import RunInfo

_PLAIN_RUN: Final = re.compile(r'[^\s"](?:[^\n]*\S)?')
_HALVES: Final = ("BarrierArrived", "BarrierReleased")


def write_text(log: EventLog, *, exact: bool) -> str:
    """Write a log: `EventLog.to_text`."""
    events = log.events()
    keys = sorted({(event.namespace, event.run_id) for event in events} | {r.key for r in log.runs})
    if len({namespace for namespace, _ in keys}) > 1:
        message = "a text holds runs of one namespace; take one: log.filter(namespace=...)"
        raise InvalidArgumentError(message)
    blocks = []
    for key in keys:
        info = log.run(key[1], namespace=key[0])
        own = [event for event in events if (event.namespace, event.run_id) == key]
        lanes = "\n".join(_Page(info, own, exact=exact).lanes())
        blocks.append(lanes if len(keys) == 1 and not key[1] else f"{_rule(key[1])}\n{lanes}")
    text = "\n".join(blocks)
    if exact:
        namespace = keys[0][0] if keys else "default"
        try:
            again = read_text(text, namespace=namespace)
        except InvalidArgumentError as error:
            message = (
                f"the log cannot be said in the notation ({error}); for its lanes and causal order "
                "alone, to_text(exact=False)"
            )
            raise InvalidArgumentError(message) from error
        _prove(log, again)
    return text


def _rule(run_id: str) -> str:
    plain = run_id.isprintable() and (not run_id or _PLAIN_RUN.fullmatch(run_id))
    return f"=== {run_id if plain else written(run_id)} ==="


class _Page:
    """The lanes of one run."""

    def __init__(self, info: RunInfo, events: Sequence[Event], *, exact: bool) -> None:
        self._exact = exact
        self._lanes: dict[str, list[Event]] = {agent: [] for agent in info.agents}
        for event in events:
            self._lanes.setdefault(event.agent_id, []).append(event)
        for own in self._lanes.values():
            own.sort(key=lambda e: (e.agent_sequence, e.position, e.workflow_id, e.sequence))
        self._events = [event for own in self._lanes.values() for event in own]
        self._by_id = {event.id: event for event in self._events}
        self._before = {
            own[at].id: own[at - 1]
            for own in self._lanes.values()
            for at in range(1, len(own))
            if own[at].follows_lane
        }
        self._halves = set(self._barrier_halves())
        self._labels = self._label()

    def lanes(self) -> Iterator[str]:
        """Yield a line for each lane."""
        for agent, own in self._lanes.items():
            loose = len(own) > 0 and not any(event.follows_lane for event in own)
            marks = [
                self._mark(event, loose=loose)
                for event in own
                if event.id not in self._halves or event.event_type == _HALVES[0]
            ]
            head = written(agent if agent or self._exact else "(no agent)")
            yield " ".join([f"{'~' if loose else ''}{head}:", *marks])

    def _barrier_halves(self) -> Iterator[EventId]:
        """Yield the events that are both halves of a lane's part in a barrier."""
        if not self._exact:
            return
        told = {
            event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)
            for event in self._events
            if event.event_type != _HALVES[1]
            for cause in event.causes
        }
        for own in self._lanes.values():
            for arrived, released in pairwise(own):
                kinds = (arrived.event_type, released.event_type)
                plain = arrived.step_id is not None and not arrived.causes
                if kinds == _HALVES and plain and not told & {arrived.id, released.id}:
                    yield arrived.id
                    yield released.id

    def _causes(self, event: Event) -> list[Event]:
        """Return the senders of what an event receives, without those that are not there."""
        if event.id in self._halves:
            return []
        found: dict[EventId, Event] = {}
        for cause in event.causes:
            place = event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)
            if place in self._by_id:
                found[place] = self._by_id[place]
        return list(found.values())

    def _label(self) -> dict[EventId, str]:
        """Name the messages: as the event that sends it where that is plain, or else by number."""
        receivers: dict[EventId, list[Event]] = {
            event.id: [] for event in self._events if event.event_type == "MessageSent"
        }
        for event in self._events:
            for sender in self._causes(event):
                receivers.setdefault(sender.id, []).append(event)
        names = Counter(self._by_id[place].name for place in receivers)
        taken = {name for name, count in names.items() if count == 1 and is_bare(name)}
        labels: dict[EventId, str] = {}
        number = 0
        for event in self._events:
            if event.id not in receivers:
                continue
            if event.name in taken:
                labels[event.id] = event.name
                continue
            number += 1
            while f"m{number}" in taken:
                number += 1
            labels[event.id] = f"m{number}"
        return labels

    def _mark(self, event: Event, *, loose: bool) -> str:
        tilde = "" if loose or event.follows_lane else "~"
        time = self._time(event)
        if event.id in self._halves:
            return f"{tilde}={written(event.name)}={time}"
        received = [self._labels[sender.id] for sender in self._causes(event)]
        sent = self._labels.get(event.id)
        for word, kind in FAULTS.items():
            same = (event.event_type, event.name) == (kind, event.agent_id)
            if same and not received and sent is None:
                return f"{tilde}!{word}{time}"
        labels = [*received, *([] if sent is None else [sent])]
        name = "" if labels and labels[0] == event.name else written(event.name)
        default = (
            "MessageReceived" if received else "MarkerRecorded" if sent is None else "MessageSent"
        )
        plain = event.event_type == default or not (event.event_type or self._exact)
        kind = "" if plain else f":{written(event.event_type)}"
        got = "<" + ",".join(received) if received else ""
        gone = "" if sent is None else f">{sent}"
        return f"{tilde}{name}{kind}{got}{gone}{time}"

    def _time(self, event: Event) -> str:
        if not self._exact:
            return ""
        places = (
            event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)
            for cause in event.causes
        )
        before = [self._by_id.get(place) for place in places]
        before.append(self._before.get(event.id))
        latest = max((cause.time_ns for cause in before if cause is not None), default=0)
        return "" if event.time_ns == latest + 1 else f"@{event.time_ns}"


def _prove(log: EventLog, again: EventLog) -> None:
    """Refuse a log that its text does not give back, and say what is lost."""
    assert len(log) == len(again), "each event is one mark, or one half of one"
    mine, yours = log.sorted(), again.sorted()
    for one, other in zip(mine, yours, strict=True):
        if one.replace(position=0) == other.replace(position=0):
            continue
        fields = [
            name
            for name in Event.__struct_fields__
            if name != "position" and getattr(one, name) != getattr(other, name)
        ]
        message = (
            f"{one!r} of lane {one.agent_id!r} holds more than the notation can say "
            f"({', '.join(fields)}); for its lanes and causal order alone, to_text(exact=False)"
        )
        raise InvalidArgumentError(message)
    lost = [run for run in log.runs if run not in again.runs]
    if lost or len(log.runs) != len(again.runs):
        told = f"of {lost[0]!r}" if lost else "is missing"
        message = (
            f"the metadata {told}: a text holds the run's name and its agents and no more; "
            "for lanes and causal order alone, to_text(exact=False)"
        )
        raise InvalidArgumentError(message)
    if len(log.anomalies):
        message = "the notation has no words for damage; to_text(exact=False) leaves it out"
        raise InvalidArgumentError(message)
