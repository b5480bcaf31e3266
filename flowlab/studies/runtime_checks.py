"""What must hold after a runtime was killed, from the log and from what was kept outside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowlab.errors import NotAStoreError
from flowlab.events import Event
from flowlab.runtime import Replay, Standing
from flowlab.runtime.processes import as_processes
from flowlab.store import EventStore
from flowlab.studies.runtime_work import EFFECTS, NOTES, STORE, WORKFLOWS, Notes, shelf
from flowlab.workflow import Choreography

Occurrence = tuple[str, int]
"""An effect outside: its idempotency key, and which attempt."""
Histories = dict[str, list[Event]]
"""Every stream's events, by workflow id."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run without kills gives.

    Args:
        results: by workflow id, as JSON.
        shelf: the agent's durable state.
        effects: how many different effects each workflow has.
        boundaries: of the disk, that it came by, and how often.
    """

    results: dict[str, str]
    shelf: dict[str, Any]
    effects: Counter[str]
    boundaries: Counter[str]

    @classmethod
    def of(cls, folder: Path, boundaries: Counter[str]) -> Undisturbed:
        """Read what a run without kills has left in a folder."""
        with EventStore(folder / STORE, read_only=True) as store:
            left = shelf(store)
        found = Notes.read(folder / NOTES).results
        return cls(found, left, _by_workflow(effects_in(folder)), boundaries)


def effects_in(folder: Path) -> list[Occurrence]:
    """Return the effects that have happened, in order."""
    path = folder / EFFECTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return occurrences(lines)


def occurrences(lines: Iterable[str]) -> list[Occurrence]:
    """Read the lines that effects left."""
    return [(key, int(attempt)) for key, attempt, _ in map(str.split, lines)]


def _by_workflow(effects: Iterable[Occurrence]) -> Counter[str]:
    return Counter(key.partition("/")[0].partition("@")[0] for key, _ in set(effects))


# -- what must hold after every kill ------------------------------------------------------------


def problems(folder: Path) -> list[str]:
    """Return what is wrong with what a process left, in words.

    What callers were told of is in the log; each effect was asked for there before it happened; the
    log named it before it happened again; and verify finds nothing.
    """
    notes = Notes.read(folder / NOTES)
    effects = effects_in(folder)
    try:
        store = EventStore(folder / STORE, read_only=True)
    except NotAStoreError:
        return ["what was acknowledged is gone with the store"] if effects or notes.results else []
    with store:
        verified = store.verify()
        if not verified.ok:
            return [str(verified.problems)]
        histories = histories_in(store)
    return [*lost(histories, notes), *unnamed(histories, effects)]


def histories_in(store: EventStore) -> Histories:
    """Return every stream's events, by workflow id."""
    found: Histories = {}
    for event in store.log().events():
        found.setdefault(event.workflow_id, []).append(event)
    return found


def lost(histories: Histories, notes: Notes) -> list[str]:
    """Return what callers were told of and is not in the log."""
    found = []
    for line in notes.lines:
        word, _, rest = line.partition(" ")
        name, _, what = rest.partition(" ")
        events = histories.get(name, [])
        there = True
        if word == "started":
            there = bool(events)
        elif word == "raised":
            there = any(e.event_type == "Signaled" and e.name == what for e in events)
        elif word == "canceled":
            there = any(e.event_type == "WorkflowCancelRequested" for e in events)
        elif word == "result":
            there = _has_result(events, json.loads(what))
        if not there:
            found.append(f"{line!r} was acknowledged, and is not in the log")
    return found


def _has_result(events: list[Event], result: Any) -> bool:
    ends = [e for e in events if e.event_type in _ENDS]
    if not ends:
        return False
    if isinstance(result, dict) and "failed" in result:
        return ends[-1].event_type != "WorkflowCompleted"
    return ends[-1].event_type == "WorkflowCompleted" and ends[-1].data["result"] == result


_ENDS: Final = frozenset({"WorkflowCompleted", "WorkflowFailed", "WorkflowCanceled"})


def unnamed(histories: Histories, effects: list[Occurrence]) -> list[str]:
    """Return the effects that happened without being asked for, or again without being named."""
    asked: set[Occurrence] = set()
    named: Counter[Occurrence] = Counter()
    for name, events in histories.items():
        if name.startswith("@"):
            named += _named(events)
        else:
            asked |= _asked(events)
    found = [f"{effect} happened, and was not asked for" for effect in set(effects) - asked]
    for effect, times in Counter(effects).items():
        if times - 1 > named[effect]:
            found.append(f"{effect} happened {times} times, and was named {named[effect]} times")
    return found


def _asked(events: list[Event]) -> set[Occurrence]:
    standing, found = Standing(), set()
    for event in events:
        standing.take(event)
        if event.event_type in {"ActivityScheduled", "CompensationScheduled"}:
            found.add((standing.keys[event.sequence], event.data["attempt"]))
    return found


def _named(events: list[Event]) -> Counter[Occurrence]:
    restarts = (event for event in events if event.event_type == "AgentRestarted")
    return Counter(
        (effect["key"], effect["attempt"])
        for event in restarts
        for effect in event.data["uncertain"]
    )


# -- what must hold once all is done ------------------------------------------------------------


def differences(folder: Path, usual: Undisturbed) -> list[str]:
    """Return in what the work differs from the same work without kills, in words."""
    found = []
    results = Notes.read(folder / NOTES).results
    for name, result in usual.results.items():
        if results.get(name) != result:
            found.append(f"{name} gave {results.get(name)}, and without kills {result}")
    if _by_workflow(effects_in(folder)) != usual.effects:
        found.append("the effects are not those of a run without kills")
    with EventStore(folder / STORE, read_only=True) as store:
        if shelf(store) != usual.shelf:
            found.append(f"the agent's state is {shelf(store)}, and without kills {usual.shelf}")
        found += _unreplayable(store)
    return found


def _unreplayable(store: EventStore) -> list[str]:
    """Return the histories that today's code does not fit."""
    found, processes = [], as_processes(WORKFLOWS)
    for name, events in histories_in(store).items():
        if name.startswith("@"):
            continue
        process = processes[events[0].name]
        assert not isinstance(process, Choreography)
        restored = Replay().restore(store, ("default", "", name), process)
        drafts = restored.execution.advance(())
        if drafts:
            found.append(f"{name} asks for {drafts} when it is replayed")
    return found
