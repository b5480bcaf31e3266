"""Getting workflows back: from the store into memory, with what a crash left open named first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

from flowlab.errors import (
    CorruptionError,
    FlowlabError,
    InvalidArgumentError,
    NotFoundError,
    TruncatedError,
)
from flowlab.events import Cause, CauseKind, Event
from flowlab.events.keys import Key
from flowlab.runtime import choreographing
from flowlab.runtime.agents import Performer
from flowlab.runtime.child_pool import PooledExecution
from flowlab.runtime.effect import Effect, Gone
from flowlab.runtime.host import Host
from flowlab.runtime.instance import Instance
from flowlab.runtime.processes import Carried
from flowlab.runtime.scheme import RecoveryScheme, Restored, Stream
from flowlab.runtime.standing import OPEN, Standing
from flowlab.runtime.uncertain import UNCERTAIN_EFFECT, Begun, Policies, backwards, left_open
from flowlab.runtime.unfinished import find_unfinished, nameless
from flowlab.store import EventStore
from flowlab.store.position_read import newest_of_type, stream_events
from flowlab.workflow import Choreography, Workflow
from flowlab.workflow.choreography_execution import ChoreographyExecution, Errand
from flowlab.workflow.names import listed

Told = Callable[[Restored, Instance], None]


class ComingBack:
    """Restores workflows of one runtime.

    Args:
        store: where their histories are.
        processes: code and plans by name.
        scheme: of recovery.
        seed: of the streams of chance.
        namespace: of every stream.
        policies: what becomes of an activity that may have happened, by its name; "" for all.

    Attributes:
        scheme: of recovery.
    """

    def __init__(
        self,
        store: EventStore,
        processes: Mapping[str, Carried],
        scheme: RecoveryScheme,
        policies: Policies,
        *,
        seed: object,
        namespace: str,
    ) -> None:
        self._store = store
        self._processes = processes
        self.scheme = scheme
        self._seed = seed
        self._namespace = namespace
        self._policies = policies
        self._begun = Begun(store, namespace)

    def __repr__(self) -> str:
        return f"ComingBack({self.scheme!r})"

    def first(self, workflow_id: str) -> Event | None:
        """Return the oldest event of a stream that is left; None where it is gone."""
        key = Key("workflows", workflow_id, section="events", namespace=self._namespace)
        try:
            events = self._store.read(str(key), limit=1).events()
        except (NotFoundError, TruncatedError):
            return None
        # A key without a run may mean that of the only run which has the stream.
        return events[0] if events and not events[0].run_id else None

    def load(self, workflow_id: str, name: str | None = None) -> tuple[Instance, Restored] | None:
        """Return a workflow from the store as it stands; None where there is none.

        Raises:
            InvalidArgumentError: its code is not here, or it is no workflow.
            NonDeterminismError: the code does not fit its history.
        """
        if not self._store.head(workflow_id, namespace=self._namespace):
            return None
        stream = (self._namespace, "", workflow_id)
        first = self.first(workflow_id)
        begun = first is not None and first.event_type == "WorkflowStarted"
        if name is None:
            name = first.name if first is not None and begun else self._found_out(stream)
        elif first is not None and begun:
            check_same(workflow_id, first.name, name)
        process = self._processes.get(name)
        if process is None:
            message = (
                f"{workflow_id!r} is an instance of {name!r}, which this runtime does not have; "
                f"it has {listed(sorted(self._processes))}: give it workflows=[...]"
            )
            raise InvalidArgumentError(message)
        if isinstance(process, Choreography):
            return self._load_choreography(workflow_id, process)
        restored = self.scheme.restore(self._store, stream, process, seed=self._seed)
        standing = restored.standing
        parent = standing.parent
        if parent is None and first is not None and begun:
            parent = Standing.parent_of(first)
        instance = Instance(workflow_id, process, restored.execution, standing, parent)
        if standing.status != OPEN:
            instance.result = self._end_of(workflow_id, standing)
            instance.settled = True
        return instance, restored

    def _found_out(self, stream: Stream) -> str:
        """Return what a stream is an instance of that does not begin with a workflow's beginning.

        Raises:
            CorruptionError: it was truncated, and nothing that is left says so.
            InvalidArgumentError: it is no workflow.
        """
        snapshot = self._store.snapshot()
        start = newest_of_type(snapshot, stream, "WorkflowStarted")
        if start is not None:
            return stream_events(snapshot, stream, first=start, last=start)[0].name
        name = self.scheme.identify(self._store, stream)
        if name is not None:
            return name
        if snapshot.bases.base(stream):
            raise CorruptionError(nameless(stream[2]))
        message = (
            f"{stream[2]!r} is no workflow: none of its events begins one; name a workflow's "
            "stream (recover() passes over what is none)"
        )
        raise InvalidArgumentError(message)

    def _load_choreography(
        self, workflow_id: str, process: Choreography
    ) -> tuple[Instance, Restored]:
        execution, standing, count = choreographing.restore(
            self._store, process, workflow_id, namespace=self._namespace
        )
        instance = Instance(workflow_id, process, execution, standing, standing.parent)
        if standing.status != OPEN:
            instance.result = self._end_of(workflow_id, standing)
            instance.settled = True
        # Schemes never see it: a saga that nobody conducts comes back from its log alone.
        return instance, Restored(execution, standing, count, count)  # type: ignore[arg-type]

    def _end_of(self, workflow_id: str, standing: Standing) -> Any:
        """Return the result that a workflow's end says."""
        end = self._end(workflow_id)
        if end is None:
            return None
        data = end.data or {}
        return data.get("result") if standing.status == "completed" else data

    def _end(self, workflow_id: str) -> Event | None:
        """Return the event that ended a workflow; late answers may have come after it."""
        events = backwards(self._store, workflow_id, namespace=self._namespace, at_once=64)
        return next((event for event in events if event.event_type in _ENDS), None)

    def unfinished(self) -> list[tuple[str, str]]:
        """Return (workflow_id, name) of every workflow that has not ended, the oldest first.

        Of one that was truncated, so that nothing says what it is, there is a warning.
        """
        identify = partial(self.scheme.identify, self._store)
        found = find_unfinished(self._store.snapshot(), identify, self._namespace)
        found.warn()
        return list(found.names.items())

    def take_up(self, host: Host, instance: Instance, restored: Restored) -> list[Effect]:
        """Let a workflow go on; return what may have happened before, which is named first."""
        standing, workflow_id = instance.standing, instance.workflow_id
        host.instances[workflow_id] = instance
        process = instance.process
        if isinstance(process, Workflow) and host.runs_elsewhere(process, instance.parent):
            instance.execution = PooledExecution(process, workflow_id)
        if standing.status != OPEN:
            return []
        host.recording.went_on_until(host.recording.last_of(workflow_id))
        uncertain, untouched = left_open(
            self._store, standing, host.agents, self._begun, workflow_id, namespace=self._namespace
        )
        undo: list[Errand] = []
        if isinstance(instance.execution, ChoreographyExecution):
            begun, waiting, undo = choreographing.left_open(instance.execution)
            uncertain, untouched = [*uncertain, *begun], [*untouched, *waiting]
        self._name(host, instance, restored, uncertain, untouched)
        requests = list(standing.open.values())
        try:
            for request in requests:
                if request.event_type == "ChildWorkflowInitiated":
                    self._check_child(host, instance, request)
        except FlowlabError:
            # A child cannot go on here: neither does its parent, until that is mended.
            del host.instances[workflow_id]
            raise
        for request in requests:
            if request.event_type == "TimerStarted" and request.sequence in standing.open:
                host.arm_again(instance, request)
        self._go_on(host, instance, uncertain, untouched)
        for errand in undo:
            host.put_off(workflow_id, errand.number, 0)
        host.resume(instance)
        return uncertain

    def _go_on(
        self, host: Host, instance: Instance, uncertain: list[Effect], untouched: list[Effect]
    ) -> None:
        """Hand out again what was left open, find out about it, or fail it.

        What its workflow asked to give up is given up: it may have happened, and is not repeated.
        """
        may_have = {effect.sequence for effect in uncertain}
        for effect in sorted([*uncertain, *untouched], key=lambda effect: effect.sequence):
            is_uncertain = effect.sequence in may_have
            asked = instance.standing.open.get(effect.sequence)
            if asked is None and effect.sequence > 0:
                continue
            policy = self._policy(effect)
            if is_uncertain and isinstance(policy, Performer):
                host.inquire(effect, policy)
            elif effect.sequence in instance.standing.withdrawn:
                host.canceled(effect)
            elif is_uncertain and policy == "fail":
                told = (
                    f"{effect.key} may have happened before the process stopped, and is not to be "
                    "repeated"
                )
                host.answer(None, effect, Gone(UNCERTAIN_EFFECT, told))
            elif asked is None:
                host.hand_to_agent(effect)
            else:
                host.ask(instance, asked, delivery=effect.delivery + is_uncertain)

    def _policy(self, effect: Effect) -> Literal["repeat", "fail"] | Performer:
        return self._policies.get(effect.activity, self._policies[""])

    def _called(self, instance: Instance, effect: Effect) -> str:
        policy = self._policy(effect)
        if isinstance(policy, Performer):
            return "ask"
        return "give up" if effect.sequence in instance.standing.withdrawn else policy

    def _name(
        self,
        host: Host,
        instance: Instance,
        restored: Restored,
        uncertain: list[Effect],
        untouched: list[Effect],
    ) -> None:
        """Write that the host is back, and which effects it cannot know of."""
        workflow_id = instance.workflow_id
        host.recording.beside(
            f"@{workflow_id}",
            workflow_id,
            "AgentRestarted",
            name=instance.standing.name,
            payload={
                "scheme": repr(self.scheme),
                "checkpoint": restored.checkpoint,
                "events_read": restored.events_read,
                "events_replayed": restored.replayed,
                "uncertain": [
                    {**effect.facts(), "policy": self._called(instance, effect)}
                    for effect in uncertain
                ],
                "not_begun": [effect.facts() for effect in untouched],
            },
            causes=(Cause(workflow_id, instance.standing.head, int(CauseKind.FAULT)),),
            coordination_id=workflow_id,
        )

    def _check_child(self, host: Host, parent: Instance, asked: Event) -> None:
        """Look after a child whose end, or whose beginning, its parent has not heard of."""
        child_id = asked.data["workflow_id"]
        child = host.instances.get(child_id)
        if child is None:
            found = self.load(child_id)
            if found is None:
                host.begin_child(parent, asked)
                return
            child = found[0]
            if child.standing.status == OPEN:
                self.take_up(host, *found)
                return
            host.instances[child_id] = child
        if child.standing.status != OPEN and child.parent is not None:
            end = self._end(child_id)
            if end is not None:
                host.tell_parent(child, end)


_ENDS: Final = frozenset({"WorkflowCompleted", "WorkflowFailed", "WorkflowCanceled"})


def check_same(workflow_id: str, recorded: str, name: str) -> None:
    """Check that an id which was started before is one of this workflow.

    Raises:
        InvalidArgumentError: it is of another.
    """
    if recorded not in {name, ""}:
        message = (
            f"{workflow_id!r} is an instance of {recorded!r}, not of {name!r}; give each workflow "
            "an id of its own"
        )
        raise InvalidArgumentError(message)
