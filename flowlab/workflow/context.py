"""What a workflow's code is given: the calls that it may make, and its own time and chance."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, get_origin

from flowlab.errors import InvalidArgumentError
from flowlab.workflow.calls import Request, plain_form, schedule
from flowlab.workflow.definition import Activity, Workflow, activity_name, workflow_name
from flowlab.workflow.durations import Duration, as_ns
from flowlab.workflow.handles import ContinueAsNew, Handle
from flowlab.workflow.joining import all_of, any_of, close_unbegun
from flowlab.workflow.names import shortened
from flowlab.workflow.requests import ChildRequest
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.saga import Saga

if TYPE_CHECKING:
    from flowlab.workflow.chance import Random
    from flowlab.workflow.execution import Execution


class WorkflowContext:
    """The first argument of every workflow, `ctx`.

    Calls return handles at once; the work begins when the workflow next waits. The same code and
    the same history always make the same calls: time, chance and ids come from here.

    Attributes:
        workflow_id: of this workflow's stream.
        generation: rises with continue-as-new.
    """

    __slots__ = ("_execution", "generation", "workflow_id")

    def __init__(self, execution: Execution, workflow_id: str, generation: int) -> None:
        self._execution = execution
        self.workflow_id = workflow_id
        self.generation = generation

    def __repr__(self) -> str:
        return f"WorkflowContext({self.workflow_id!r})"

    def call_activity(
        self,
        activity: str | Activity,
        value: Any = None,
        *,
        agent: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
    ) -> Handle:
        """Call an activity; the handle holds its result, or raises ActivityError.

        Args:
            activity: declared with `@activity`, or its name.
            value: its input, any JSON value.
            agent: who shall do it; None leaves it to the host.
            retry: when it is tried again; None is one attempt.
            timeout: of one attempt; nanoseconds or a timedelta.
        """
        if type(activity) is not str or not activity:
            activity = activity_name(activity)
        if retry is None and timeout is None and (agent is None or type(agent) is str):
            execution = self._execution
            if agent is None:
                # A key of one text is quicker to look up.
                return schedule(execution.commands, plain_form(activity), value)
            execution.fiber.called(agent)
            return schedule(execution.commands, plain_form(activity, agent), value)
        request = Request(
            activity=activity,
            value=value,
            agent=agent,
            policy=retry or NO_RETRY,
            timeout_ns=None if timeout is None else as_ns(timeout, "timeout", least=1),
        )
        return self._execution.schedule(request)

    def call_child_workflow(
        self, workflow: str | Workflow, value: Any = None, *, workflow_id: str | None = None
    ) -> Handle:
        """Start another workflow; the handle holds its result, or raises ChildWorkflowError.

        Args:
            workflow: declared with `@workflow`, or its name.
            value: its input, any JSON value.
            workflow_id: of its stream; None derives one from this workflow's.
        """
        request = ChildRequest(
            workflow=workflow_name(workflow), value=value, workflow_id=workflow_id
        )
        return self._execution.start_child(request)

    def sleep(self, duration: Duration) -> Handle:
        """Wait for a time: nanoseconds or a timedelta."""
        return self._execution.start_timer(as_ns(duration, "duration"))

    def wait_for_event(self, name: str) -> Handle:
        """Wait for an event from outside; the handle holds its payload.

        Events of one name are handed out in the order in which they came, each once, also those
        that came before. A handle that lost a `when_any` still waits, and takes the next: keep it.
        """
        return self._execution.expect_signal(name)

    def raise_event(self, workflow_id: str, name: str, value: Any = None) -> None:
        """Send an event to another workflow, which may wait for it by name."""
        self._execution.send_signal(workflow_id, name, value)

    def when_all(self, *waited: Handle | Coroutine[Any, Any, Any]) -> Handle:
        """Wait for all: the values in the order given, or the first error when it comes.

        A coroutine becomes a branch that runs beside the others.
        """
        return all_of(self._handles(waited))

    def when_any(self, *waited: Handle | Coroutine[Any, Any, Any]) -> Handle:
        """Wait for the first: the value is the handle that is done."""
        return any_of(self._handles(waited))

    def barrier(
        self, name: str, agents: Collection[str], arriving: str | Collection[str] | None = None
    ) -> Handle:
        """Arrive at a barrier; the handle is done when all of its agents have arrived.

        Branches of one workflow wait for each other: BarrierArrived tells of each, BarrierReleased
        follows from all, and what the branches do next follows from that. A barrier that has opened
        stays open, so a loop gives each round's barrier a name of its own.

        Args:
            name: of the barrier.
            agents: who must arrive, the same in every branch.
            arriving: for whom this branch arrives; None is for those of `agents` whom it has
                called itself.

        Raises:
            InvalidArgumentError: it arrives for nobody, or for somebody who is not waited for.
        """
        return self._execution.arrive(name, agents, arriving)

    @property
    def state(self) -> Any:
        """What a workflow that declares its state has come to; change it, or give another value.

        Raises:
            InvalidArgumentError: the workflow declares none, or the value is of another type.
        """
        self._check_state(self._execution.state)
        return self._execution.state

    @state.setter
    def state(self, state: Any) -> None:
        self._check_state(state)
        self._execution.state = state

    def _check_state(self, state: Any) -> None:
        workflow = self._execution.workflow
        declared = workflow.state
        kind: Any = get_origin(declared) or declared
        if kind is not None and issubclass(kind, dict):
            kind = dict  # no value is an instance of a TypedDict
        if kind is None or not isinstance(state, kind):
            told = "no state" if kind is None else f"a state of {declared!r}, not {state!r}"
            message = f"workflow {workflow.name!r} declares {told}; write @workflow(state=T)"
            raise InvalidArgumentError(message)

    async def savepoint(self) -> None:
        """Save the state: from here the workflow may be entered anew with (ctx, input, state).

        Nothing may be in flight, and what follows may depend on input and state alone. Ids, chance,
        patches and barriers begin anew here, so that both ways of going on agree.

        Raises:
            InvalidArgumentError: something is in flight, or the workflow declares no state.
        """
        await self._execution.savepoint()

    def saga(self, *, parallel: bool = False, go_on: bool = False) -> Saga:
        """Begin a saga: `async with ctx.saga() as saga:`, and in it `await saga.step(...)`.

        Args:
            parallel: undo all steps at once; otherwise in the reverse order of their completion.
            go_on: after a compensation that failed for good, still run the others.
        """
        saga_id = self._execution.section.next_saga()
        return Saga(self._execution, saga_id, parallel=parallel, go_on=go_on)

    def now_ns(self) -> int:
        """Return the logical time: that of the event which the workflow now answers."""
        return self._execution.now_ns

    def random(self, name: str = "") -> Random:
        """Return a named stream of chance; the same name goes on where it was."""
        return self._execution.section.chance(name)

    def uuid4(self) -> uuid.UUID:
        """Return the next id of this workflow's own stream of ids."""
        bits = self._execution.section.chance("uuid4").getrandbits(128)
        return uuid.UUID(int=bits, version=4)

    def patched(self, patch_id: str) -> bool:
        """Say whether this history takes the new path of a change to the code.

        True for histories that begin, or come here for the first time, with the new code; a marker
        records it. False while a history is replayed that came past here without it.
        """
        return self._execution.patched(patch_id)

    def continue_as_new(self, value: Any = None) -> NoReturn:
        """End this generation; the next begins with this input and an empty history."""
        raise ContinueAsNew(value)

    @property
    def continue_as_new_suggested(self) -> bool:
        """Whether the history has grown so long that replaying it costs."""
        return self._execution.is_long

    def _handles(self, waited: tuple[Handle | Coroutine[Any, Any, Any], ...]) -> list[Handle]:
        for item in waited:
            if not isinstance(item, Handle | Coroutine):
                close_unbegun(waited)
                message = (
                    "when_all and when_any take what ctx gives, or coroutines, not "
                    f"{shortened(item)}; give them one by one, not as a list: "
                    "ctx.when_all(*handles)"
                )
                raise InvalidArgumentError(message)
        return [
            item if isinstance(item, Handle) else self._execution.branch(item) for item in waited
        ]
