"""Drives the durable host with the completion order of a simulated run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowlab.events import Event, EventLog
from flowlab.runtime.agents import Agents, Lane, Performer
from flowlab.runtime.effect import Done, Effect, Gone
from flowlab.runtime.host import Host
from flowlab.runtime.scheme import Replay
from flowlab.runtime.turn import Turn
from flowlab.simulation import World
from flowlab.store import EventStore
from flowlab.workflow import Choreography, Program
from flowlab.workflow.matching import COMMAND_TYPES

ANSWERED = ("ActivityCompleted", "ActivityFailed", "CompensationCompleted", "CompensationFailed")


class RecordedClock:
    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns


class RecordedAgents(Agents):
    """Knows whom the simulated world knows; its answers come from the log."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._performer = Performer.of("any", lambda value: value)

    def find(self, agent: str | None, activity: str) -> tuple[Lane | None, Performer | None]:
        known = self._world.handlers
        names = known if agent is None else [agent]
        found = any(activity in known.get(name, {}) for name in names)
        return None, self._performer if found else None


class Recorded:
    """One run, carried out again by the host: answers, timers and messages come as recorded."""

    def __init__(self, world: World, log: EventLog, folder: Path, *, seed: int) -> None:
        self.log = log
        self.clock = RecordedClock()
        self.store = EventStore(folder)
        self.effects: dict[tuple[str, int], Effect] = {}
        self.reactions: dict[tuple[str, str], Effect] = {}
        self.errands: dict[str, list[int]] = {}
        processes = {}
        for name, process in world.workflows.items():
            processes[name] = world.programs.get(name, process)
        self.host = Host(
            self.store,
            processes,
            RecordedAgents(world),
            scheme=Replay(),
            clock=self.clock,
            seed=seed,
            namespace="default",
            load=lambda _: None,
        )

    def drive(self, after: Callable[[Turn], Any] | None = None) -> EventLog:
        """Return the log that the host writes."""
        rows = self.log.to_polars().sort("position")
        ids = zip(rows["workflow_id"], rows["sequence"], strict=True)
        order = {key: place for place, key in enumerate(ids)}
        events = sorted(self.log.events(), key=lambda e: order[e.workflow_id, e.sequence])
        for event in events:
            if event.workflow_id.startswith("@"):
                continue
            if event.event_type in COMMAND_TYPES and event.workflow_id not in self.errands:
                continue
            self.clock.at_ns = event.time_ns
            if self.take(event):
                turn = self.host.commit()
                for _, effect in turn.effects:
                    self.effects[effect.workflow_id, effect.sequence] = effect
                    if effect.sequence < 0:
                        self.reactions[effect.workflow_id, str(effect.step_id)] = effect
                for workflow_id, number, _ in turn.errands:
                    self.errands.setdefault(workflow_id, []).append(number)
                if after is not None:
                    after(turn)
        return self.store.log()

    def take(self, event: Event) -> bool:
        """Let happen what an event records, unless it follows from what has happened."""
        own = [c.sequence for c in event.causes if c.workflow_id == event.workflow_id]
        others = [
            c
            for c in event.causes
            if c.workflow_id != event.workflow_id and not c.workflow_id.startswith("@")
        ]
        kind, data = event.event_type, event.data or {}
        effect = next(
            (
                self.effects[event.workflow_id, s]
                for s in own
                if (event.workflow_id, s) in self.effects
            ),
            None,
        )
        nobody = self._take_of_nobody(event, kind, data)
        if nobody is not None:
            return nobody
        if kind == "WorkflowStarted" and not event.causes:
            self.host.begin(event.name, event.workflow_id, data["input"], roles=data.get("roles"))
        elif kind == "TimerFired":
            self.host.fired(event.workflow_id, own[0])
        elif kind == "Signaled" and not others:
            self.host.signal(event.workflow_id, event.name, data["value"])
        elif kind == "WorkflowCancelRequested" and not others:
            self.host.cancel(event.workflow_id, data.get("reason", ""))
        elif effect is None:
            return False
        elif kind == "ActivityTimedOut" or data.get("error", {}).get("type") == "TimedOut":
            self.host.give_up(effect)
        elif kind == "ActivityCanceled":
            self.host.canceled(effect)
        elif kind in ANSWERED:
            if kind.endswith("Completed"):
                outcome: Done | Gone = Done(data["result"])
            else:
                outcome = Gone(data["error"]["type"], data["error"]["message"])
            self.host.answer(None, effect, outcome)
        else:
            return False
        return True

    def _take_of_nobody(self, event: Event, kind: str, data: Any) -> bool | None:
        """Let happen what an event of a choreography records; None where that is for `take`."""
        instance = self.host.instances.get(event.workflow_id)
        if instance is None or not isinstance(instance.process, Choreography):
            return None
        if kind in {"WorkflowCompleted", "WorkflowFailed", "CompensationScheduled"}:
            return self._run_errands(event, None if kind.startswith("W") else data["attempt"])
        if kind == "Signaled" and event.step_id is not None:
            return self._react(event, data["value"])
        return None

    def _react(self, event: Event, value: Any) -> bool:
        effect = self.reactions.pop((event.workflow_id, str(event.step_id)), None)
        if effect is None:
            return False
        outcome: Done | Gone = Done(value)
        instance = self.host.instances[event.workflow_id]
        heard = instance.execution.errands[effect.sequence].heard
        if event.name == heard.reaction.fails_with:
            outcome = Gone(value["error"]["type"], value["error"]["message"])
        self.host.answer(None, effect, outcome)
        return True

    def _run_errands(self, event: Event, attempt: int | None) -> bool:
        numbers = self.errands.get(event.workflow_id, [])
        execution = self.host.instances[event.workflow_id].execution
        if attempt is not None:
            wanted = execution.state.deeds[event.step_id].index
            numbers = [n for n in numbers if execution.errands[n].heard.index == wanted][:1]
        for number in list(numbers):
            self.errands[event.workflow_id].remove(number)
            self.host.run_errand(event.workflow_id, number, attempt)
        return bool(numbers)


def recorded(world: World, log: EventLog, folder: Path, *, seed: int) -> Recorded:
    assert all(isinstance(p, Program) for p in world.programs.values())
    return Recorded(world, log, folder, seed=seed)
