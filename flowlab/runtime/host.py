"""The core of the durable host: what has happened goes in, what is to be done comes out.

It does no waiting and runs nobody's activity. A turn takes answers, timers and messages, lets the
workflows that they concern go on, and commits everything that follows in one durable write. Only
then are the effects, which the turn asked for, handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from flowlab.errors import FlowlabError
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.codec import encode_json
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.runtime import choreographing
from flowlab.runtime.agents import Agents, Lane
from flowlab.runtime.child_pool import ChildPool, PooledExecution
from flowlab.runtime.clock import Clock
from flowlab.runtime.effect import Done, Effect, Gone, Outcome, checked
from flowlab.runtime.errands import Errands
from flowlab.runtime.families import Families
from flowlab.runtime.handing_back import HandingBack
from flowlab.runtime.hearing import Hearing
from flowlab.runtime.instance import Instance
from flowlab.runtime.pooling import Pooling
from flowlab.runtime.processes import Carried
from flowlab.runtime.recording import Recording, check_sizes
from flowlab.runtime.scheme import RecoveryScheme
from flowlab.runtime.standing import EFFECTS, Standing
from flowlab.runtime.turn import Turn
from flowlab.store import EventStore
from flowlab.workflow import Choreography, PlanExecution
from flowlab.workflow.cells import Cells
from flowlab.workflow.choreography_execution import ChoreographyExecution
from flowlab.workflow.retry import UNKNOWN_ACTIVITY

PROGRAM: Final = int(CauseKind.PROGRAM)
MESSAGE: Final = int(CauseKind.MESSAGE)

Loader = Callable[[str], Instance | None]
"""Gets a workflow that is not in memory; None where there is none."""


class Host(Errands, Families, HandingBack, Pooling):
    """The workflows in memory, and what becomes of them in each turn.

    Args:
        store: where everything is recorded.
        processes: code and plans by name.
        agents: who carries out activities.
        scheme: hears of every commit.
        clock: stamps events.
        seed: of the streams of chance.
        namespace: of every stream.
        load: gets a workflow that is not in memory.
        pool: runs the code of children.
    """

    def __init__(
        self,
        store: EventStore,
        processes: Mapping[str, Carried],
        agents: Agents,
        *,
        scheme: RecoveryScheme,
        clock: Clock,
        seed: object,
        namespace: str,
        load: Loader,
        pool: ChildPool | None = None,
    ) -> None:
        self.processes = processes
        self.agents = agents
        self.pool = pool
        self._running = {}
        self.instances: dict[str, Instance] = {}
        self.recording = Recording(store, namespace, clock)
        self._store = store
        self._hearing = Hearing(store, scheme, namespace, agents)
        self._clock = clock
        self._seed = seed
        self._namespace = namespace
        self._load = load
        self._later: deque[Callable[[], None]] = deque()
        self._settling = False
        self._turn = Turn()
        self._touched: dict[str, None] = {}
        self._unread = {}

    def __repr__(self) -> str:
        return f"Host({len(self.instances)} workflows)"

    # -- what happens -----------------------------------------------------------------------------

    def begin(
        self,
        name: str,
        workflow_id: str,
        value: Any,
        *,
        roles: Mapping[str, str] | None = None,
        parent: Cause | None = None,
    ) -> Instance:
        """Begin a workflow."""
        process = self.processes[name]
        if isinstance(process, Choreography):
            payload = {"event": process.start[0], "input": value}
            nobody = ChoreographyExecution(process, workflow_id)
            instance = Instance(workflow_id, process, nobody, Standing(), parent)
        else:
            execution = self._execution(process, workflow_id, parent)
            instance = Instance(workflow_id, process, execution, Standing(), parent)
            payload = {"input": value} if roles is None else {"input": value, "roles": dict(roles)}
        causes = () if parent is None else (parent,)
        started = Event.of("WorkflowStarted", name=name, payload=payload, causes=causes)
        check_sizes(workflow_id, [started])
        self.instances[workflow_id] = instance
        self._tell(instance, started)
        return instance

    def answer(
        self, lane: Lane | None, effect: Effect, outcome: Outcome, cells: Cells | None = None
    ) -> None:
        """Take the outcome of an effect that was handed out."""
        causes = [Cause(effect.workflow_id, effect.sequence, PROGRAM)]
        outcome, encoded = checked(outcome)
        told = choreographing.told_of(self, effect, outcome) if effect.sequence < 0 else None
        written: Event | None = None
        if lane is not None:
            lane.busy.pop(effect.place, None)
            error = None
            if isinstance(outcome, Gone):
                error = {"message": outcome.message, "type": outcome.error_type}
            try:
                causes.append(
                    self.recording.transaction(lane.name, effect, cells, error, told=told)
                )
            except FlowlabError as refused:  # a cell that is no JSON
                outcome = Gone(type(refused).__name__, str(refused))
                error = {"message": outcome.message, "type": outcome.error_type}
                causes.append(self.recording.transaction(lane.name, effect, None, error, told=told))
            written = self.recording.events[-1]
            self._hand_out(lane)
        if effect.sequence < 0:
            choreographing.reacted(self, effect, outcome, written)
            self._settle()
            return
        if isinstance(outcome, Done):
            kind, payload = "Completed", encoded
        else:
            kind = "Failed"
            error = {"message": outcome.message, "type": outcome.error_type}
            payload = encode_json({"attempt": effect.attempt, "error": error})
        family = "Compensation" if effect.undo else "Activity"
        self._close(effect, f"{family}{kind}", payload, causes)

    def give_up(self, effect: Effect) -> None:
        """Take note that an effect was not answered in time.

        One that holds an agent is stopped, if it can be, so that the agent is free; all else goes
        on, and its answer shows.
        """
        lane, _ = self.agents.find(effect.agent, effect.activity)
        places = self._turn.late if lane is None else self._turn.stopped
        places.append(effect.place)
        payload: dict[str, Any] = {"attempt": effect.attempt}
        kind = "ActivityTimedOut"
        if effect.undo:
            kind = "CompensationFailed"
            payload["error"] = {"message": "it was not answered in time", "type": "TimedOut"}
        causes = [Cause(effect.workflow_id, effect.sequence, PROGRAM)]
        self._close(effect, kind, encode_json(payload), causes)

    def canceled(self, effect: Effect, lane: Lane | None = None) -> None:
        """Take note that an effect was given up; `lane` is whose it was, if it had begun."""
        causes = [Cause(effect.workflow_id, effect.sequence, PROGRAM)]
        if lane is not None:
            lane.busy.pop(effect.place, None)
            error = {"message": "it was given up", "type": "Canceled"}
            causes.append(self.recording.transaction(lane.name, effect, None, error))
            self._hand_out(lane)
        instance = self.instances.get(effect.workflow_id)
        if instance is not None and effect.sequence in instance.standing.open:
            self._close(
                effect, "ActivityCanceled", encode_json({"attempt": effect.attempt}), causes
            )
        self._settle()

    def fired(self, workflow_id: str, sequence: int) -> None:
        """Take note that the time of a timer has come."""
        self.ready(workflow_id)
        instance = self.instances.get(workflow_id)
        if instance is None or not instance.is_open:
            return
        timer = instance.standing.open.get(sequence)
        if timer is None:
            return
        causes = (Cause(workflow_id, sequence, PROGRAM),)
        event = Event.of("TimerFired", name=timer.name, causes=causes)
        if isinstance(instance.execution, PlanExecution):
            event = event.replace(step_id=timer.step_id, coordination_id=timer.coordination_id)
        self._tell(instance, event)

    # -- the end of a turn ------------------------------------------------------------------------

    def commit(self, meanwhile: Callable[[Turn], None] | None = None) -> Turn:
        """Make everything that happened durable; return what is to be done now.

        Args:
            meanwhile: prepares that, while the device writes; it can still fail then.

        Raises:
            FlowlabError: why the store refused. What is in memory is then ahead of the log, and the
                host must be dropped.
        """
        if self._later or self._running:
            self.collect_all()
        turn = self._turn
        touched, self._touched = self._touched, {}

        def prepare() -> None:
            self._turn = Turn()
            self._hand_back()
            turn.read_requests()
            if meanwhile is not None:
                meanwhile(turn)

        turn.events = self.recording.commit(prepare)
        if self._turn is turn:  # of a turn without events
            self._turn = Turn()
        if turn.requests:  # of a turn without events, after a crash
            turn.read_requests()
        if turn.events:
            self._hearing.tell(self, turn.events, touched)
        return turn

    def _settle(self) -> None:
        if not self._settling:  # a child begins a child, and so on, deeper than a stack is
            self._settling = True
            try:
                while self._later:
                    self._later.popleft()()
            finally:
                self._settling = False

    # -- inside a turn ----------------------------------------------------------------------------

    def _known(self, workflow_id: str) -> Instance | None:
        self.ready(workflow_id)
        return self.instances.get(workflow_id) or self._load(workflow_id)

    def _close(self, effect: Effect, kind: str, payload: bytes, causes: list[Cause]) -> None:
        instance = self.instances.get(effect.workflow_id)
        if instance is None:
            return
        event = Event(
            event_type=kind,
            name=effect.activity,
            payload=payload,
            causes=tuple(causes),
            step_id=effect.step_id,
            coordination_id=effect.coordination_id,
        )
        self._tell(instance, event)

    def _tell(self, instance: Instance, event: Event) -> None:
        """Write what has happened, and carry out what the code makes of it."""
        if self._running:
            self.ready(instance.workflow_id)
        generation = instance.standing.generation
        if event.generation != generation:
            event = event.replace(generation=generation)
        self._go_on(instance, [self._write(instance, event)])
        if self._later:
            self._settle()

    def _write(self, instance: Instance, event: Event) -> Event:
        self._touched[instance.workflow_id] = None
        if isinstance(instance.execution, ChoreographyExecution):
            event = event.replace(coordination_id=instance.workflow_id)
        return self.recording.history(instance, event)

    def _go_on(self, instance: Instance, told: list[Event]) -> None:
        """Hand events to the code, and carry out what it asks for, until it waits."""
        while instance.error is None:
            execution = instance.execution
            if isinstance(execution, PooledExecution):
                self._tell_elsewhere(instance, execution, told)
                return
            if self._unread:
                told = self._with_unread(instance, told)
            try:
                drafts = execution.advance(told)
                check_sizes(instance.workflow_id, drafts)
            except FlowlabError as error:
                self._give_up_on(instance, error)
                return
            if isinstance(execution, ChoreographyExecution):
                choreographing.post(self, execution)
            if not drafts:
                return
            told = self._ask_for(instance, list(drafts))
            if instance.execution is execution and self._is_put_off(instance, told):
                return

    def _ask_for(self, instance: Instance, drafts: list[Event]) -> list[Event]:
        """Write what the code asks for, and carry it out; return what the code is told then."""
        told = [self._write(instance, draft) for draft in drafts]
        for asked in told:
            self._carry_out(instance, asked)
        if instance.standing.status == "continued_as_new":
            return self._renew(instance, told[-1])
        return told

    def _give_up_on(self, instance: Instance, error: FlowlabError) -> None:
        # What has happened stays in the log; other workflows go on.
        instance.error = error
        self._turn.ended.append(instance)
        if instance.parent is not None:
            self._later.append(lambda: self.stop_parent(instance))

    def _renew(self, instance: Instance, end: Event) -> list[Event]:
        generation = instance.standing.generation + 1
        name = instance.standing.name
        assert not isinstance(instance.process, Choreography)
        instance.execution = self._execution(
            instance.process, instance.workflow_id, instance.parent
        )
        started = Event.of(
            "WorkflowStarted",
            name=name,
            payload={"input": end.data["input"]},
            generation=generation,
            causes=(Cause(instance.workflow_id, end.sequence, PROGRAM),),
        )
        return [self._write(instance, started)]

    def _carry_out(self, instance: Instance, asked: Event) -> None:
        kind = asked.event_type
        if kind in EFFECTS:
            self.ask(instance, asked)
        elif kind == "TimerStarted":
            delay_ns = asked.data["delay_ns"]
            self._turn.timers.append((instance.workflow_id, asked.sequence, delay_ns))
        elif kind == "TimerCanceled":
            self._turn.stopped += [(instance.workflow_id, c.sequence) for c in asked.causes]
        elif kind == "ChildWorkflowInitiated":
            self._later.append(lambda: self.begin_child(instance, asked))
        elif kind == "SignalInitiated":
            data, cause = asked.data, Cause(instance.workflow_id, asked.sequence, MESSAGE)
            self._later.append(
                lambda: self.signal(data["workflow_id"], asked.name, data["value"], cause)
            )
        elif kind == "CancelInitiated":
            data, cause = asked.data, Cause(instance.workflow_id, asked.sequence, MESSAGE)
            self._later.append(
                lambda: self.cancel(data["workflow_id"], data.get("reason", ""), cause)
            )
        elif kind == "ActivityCancelRequested":
            self._withdraw(instance, asked)
        elif kind in TERMINAL_STATUS:
            self._end(instance, asked)

    def ask(self, instance: Instance, request: Event, *, delivery: int = 1) -> None:
        """Hand a request to whoever carries it out, once the turn is durable."""
        key = instance.standing.keys[request.sequence]
        if not self.agents.lanes and request.name in self.agents.free:
            # It waits for no lane: what it says is read while the device writes it.
            self._turn.requests.append((request, key, delivery))
            return
        effect = Effect.of(request, key, delivery=delivery)
        lane, performer = self.agents.find(effect.agent, effect.activity)
        if performer is None:
            gone = Gone(UNKNOWN_ACTIVITY, self.agents.unknown(effect.agent, effect.activity))
            self._later.append(lambda: self.answer(None, effect, gone))
        elif lane is None:
            self._turn.effects.append((None, effect))
        else:
            lane.waiting.append(effect)
            self._hand_out(lane)

    def _hand_out(self, lane: Lane) -> None:
        while (effect := lane.next()) is not None:
            self.recording.received(lane.name, effect)
            self._turn.effects.append((lane, effect))

    def _withdraw(self, instance: Instance, asked: Event) -> None:
        for cause in asked.causes:
            place = (instance.workflow_id, cause.sequence)
            if cause.sequence not in instance.standing.open:
                continue
            for lane in self.agents.lanes.values():
                effect = lane.withdraw(*place)
                if effect is not None:
                    self._later.append(lambda effect=effect: self.canceled(effect))  # type: ignore[misc]
                    return
            self._turn.stopped.append(place)
