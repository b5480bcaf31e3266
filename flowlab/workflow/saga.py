"""Sagas in code: steps that commit one by one, and the undoing of what was done.

Source of the step kinds: Richardson, *Microservices Patterns*, chapter 4. Compensable steps come
first; then at most one pivot, the last that may fail for a reason of the business; then retryable
steps, which are tried until they succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import ReferenceType, ref

import msgspec

from flowlab.errors import (
    CancelledError,
    ChildWorkflowError,
    CompensationError,
    InvalidArgumentError,
)
from flowlab.workflow.calls import Call, Request
from flowlab.workflow.definition import Activity, Workflow, activity_name, workflow_name
from flowlab.workflow.durations import Duration, as_ns
from flowlab.workflow.handles import ContinueAsNew, Fiber, Handle, NeverBack
from flowlab.workflow.joining import close_unbegun, unbegun
from flowlab.workflow.requests import ChildRequest
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.step import STEP_KINDS, StepKind
from flowlab.workflow.undoing import CompensationResult, Undo, at_once, ends, in_turn

if TYPE_CHECKING:
    from flowlab.workflow.execution import Execution

UNTIL_IT_SUCCEEDS: Final = RetryPolicy()
"""Without limit: how retryable steps and compensations are tried by default."""


class _Step(msgspec.Struct, frozen=True):
    """What a step does, and what undoes it.

    Args:
        name, kind: of the step.
        forward: what it asks for.
        backward: what undoes it, without its input.
        undo_with: makes that input from the step's result.
    """

    name: str
    kind: StepKind
    forward: Request | ChildRequest
    backward: Request | ChildRequest | None
    undo_with: Callable[[Any], Any] | None


class Saga:
    """The steps of one saga; make it with `async with ctx.saga() as saga:`.

    When the block raises, what its steps have done is undone, and the error goes on. Before that,
    it waits for steps still in flight: their effects must not come after their undoing. They are
    not tried again, and children among them are canceled. A step of which an attempt ran out of
    time may have happened, so it is undone too: compensations must tolerate that there is nothing
    to undo. Any other step that its host canceled has not happened. After the pivot nothing is
    undone. No request to stop interrupts the undoing, and a workflow does not end before the sagas
    of its branches have.

    Args:
        execution: the core.
        saga_id: correlates its events (`coordination_id`).
        parallel: undo all steps at once; otherwise in the reverse order of their completion.
        go_on: after a compensation that failed for good, still run the others.

    Attributes:
        outcomes: after a failure, what became of the effect of each compensable step that was
            begun: compensated; nothing to do, where it had none; failed, where it is left.
    """

    __slots__ = (
        "_asked",
        "_ending",
        "_execution",
        "_fiber",
        "_flying",
        "_go_on",
        "_kept",
        "_left",
        "_names",
        "_parallel",
        "_pivot",
        "_undo",
        "outcomes",
        "saga_id",
    )

    def __init__(self, execution: Execution, saga_id: str, *, parallel: bool, go_on: bool) -> None:
        self.saga_id = saga_id
        self.outcomes: dict[str, CompensationResult] = {}
        self._execution = execution
        self._parallel = parallel
        self._go_on = go_on
        self._undo: list[Undo] = []
        self._flying: dict[Handle, Call | None] = {}
        self._pivot = ""
        self._ending = False
        self._names: dict[str, None] = {}
        self._asked: list[ReferenceType[Coroutine[Any, Any, Any]]] = []
        self._kept: list[Coroutine[Any, Any, Any]] = []
        self._left: list[str] = []
        self._fiber: Fiber | None = None

    def __repr__(self) -> str:
        return f"Saga({self.saga_id!r}, {len(self._undo)} to undo)"

    def step(
        self,
        activity: str | Activity,
        value: Any = None,
        *,
        name: str | None = None,
        kind: StepKind = "compensable",
        compensation: str | Activity | None = None,
        undo_with: Callable[[Any], Any] | None = None,
        agent: str | None = None,
        idempotent: bool = False,
        retry: RetryPolicy | None = None,
        compensation_retry: RetryPolicy = UNTIL_IT_SUCCEEDS,
        timeout: Duration | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Do one step: await it for the result of its activity, or give it to `ctx.when_all`.

        Args:
            activity: what it does.
            value: its input, any JSON value.
            name: of the step; None takes the activity's.
            kind: `compensable`, `pivot` or `retryable`.
            compensation: the activity that undoes it; a compensable step needs one.
            undo_with: makes the compensation's input from the step's result, which is None where
                it is not known; without it the input is {"input": ..., "result": ...}.
            agent: who does it, and undoes it.
            idempotent: that doing it twice is doing it once; a retryable step must be.
            retry: of the step; a retryable one is tried without limit by default.
            compensation_retry: of its undoing, without limit by default.
            timeout: of one attempt.

        Raises:
            InvalidArgumentError: the step breaks a rule of sagas; it was not begun.
            ActivityError: it failed for good.
            CancelledError: the saga is being undone.
        """
        step_id = name or activity_name(activity)
        self._admit(step_id, kind, undone=compensation is not None, idempotent=idempotent)
        request = Request(
            activity=activity_name(activity),
            value=value,
            agent=agent,
            policy=retry or (UNTIL_IT_SUCCEEDS if kind == "retryable" else NO_RETRY),
            timeout_ns=None if timeout is None else as_ns(timeout, "timeout", least=1),
            step_id=step_id,
            coordination_id=self.saga_id,
        )
        undo = None
        if compensation is not None:
            undo = msgspec.structs.replace(
                request,
                activity=activity_name(compensation),
                policy=compensation_retry,
                timeout_ns=None,
                family="Compensation",
            )
        return self._ask(_Step(step_id, kind, request, undo, undo_with))

    def child(
        self,
        workflow: str | Workflow,
        value: Any = None,
        *,
        name: str | None = None,
        kind: StepKind = "compensable",
        compensation: str | Workflow | None = None,
        undo_with: Callable[[Any], Any] | None = None,
        workflow_id: str | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Do one step that is a workflow of its own; use it as `step`.

        When the saga fails, a child that has completed is undone by the workflow that
        `@workflow.compensate` declared, which runs as a child; one that has not is canceled, and
        its end awaited. A child is begun once, of whatever kind it is: its own steps are retried.

        Args:
            workflow: what it does; declared with `@workflow`, or its name.
            value: its input, any JSON value.
            name: of the step; None takes the workflow's.
            kind: `compensable`, `pivot` or `retryable`.
            compensation: the workflow that undoes it; None is the one that the workflow declares.
            undo_with: makes the compensation's input from the child's result; without it the input
                is {"input": ..., "result": ...}.
            workflow_id: of the child's stream; None derives one from this workflow's.

        Raises:
            InvalidArgumentError: the step breaks a rule of sagas; it was not begun.
            ChildWorkflowError: the child failed.
            CancelledError: the child was canceled, or the saga is being undone.
        """
        step_id = name or workflow_name(workflow)
        declared = workflow.compensation if isinstance(workflow, Workflow) else None
        undo = compensation or (declared if kind == "compensable" else None)
        self._admit(step_id, kind, undone=undo is not None, idempotent=True)
        request = ChildRequest(
            workflow=workflow_name(workflow),
            value=value,
            workflow_id=workflow_id,
            step_id=step_id,
            coordination_id=self.saga_id,
        )
        backward = None
        if undo is not None:
            undo_name = workflow_name(undo)
            backward = msgspec.structs.replace(
                request, workflow=undo_name, workflow_id=None, undoes=True
            )
        return self._ask(_Step(step_id, kind, request, backward, undo_with))

    def _ask(self, step: _Step) -> Coroutine[Any, Any, Any]:
        asked = self._do(step)
        # Not held: of a step that nobody awaits Python warns where it was forgotten.
        self._asked.append(ref(asked))
        return asked

    async def _do(self, step: _Step) -> Any:
        if self._ending:
            raise CancelledError(self._too_late(step.name))
        call: Call | None = None
        handle: Handle
        if isinstance(step.forward, ChildRequest):
            handle = self._execution.start_child(step.forward)
        else:
            handle = call = self._execution.schedule(step.forward)
        self._flying[handle] = call
        # With the answer, before the code goes on: nothing lies between doing and noting it.
        handle.then(partial(self._landed, step, handle, call))
        result = await handle
        execution = self._execution
        execution.note("SagaStepCommitted", step.name, self.saga_id, {"kind": step.kind})
        if step.kind == "pivot":
            execution.note("PivotReached", step.name, self.saga_id, None)
        return result

    def _landed(self, step: _Step, handle: Handle, call: Call | None) -> None:
        del self._flying[handle]
        error = handle.error
        # An attempt whose time ran out may have happened, whatever came of those after it.
        unknown = error is not None and call is not None and call.in_doubt
        if step.kind == "pivot" and error is None:
            self._pivot = step.name
        if step.backward is None:
            return
        if error is None or unknown:
            self._undo.append(self._undo_of(step, None if unknown else handle.result()))
        elif isinstance(error, ChildWorkflowError) and error.uncompensated:
            self.outcomes[step.name] = CompensationResult.FAILED
            self._left.append(step.name)
        else:
            self.outcomes[step.name] = CompensationResult.NOTHING_TO_DO

    def _undo_of(self, step: _Step, result: Any) -> Undo:
        execution, given, backward = self._execution, step.forward.value, step.backward

        def ask() -> Handle:
            plain = {"input": given, "result": result}
            value = plain if step.undo_with is None else step.undo_with(result)
            if isinstance(backward, ChildRequest):
                return execution.start_child(msgspec.structs.replace(backward, value=value))
            assert backward is not None
            return execution.schedule(msgspec.structs.replace(backward, value=value))

        return Undo(step.name, ask)

    async def __aenter__(self) -> Self:
        self._fiber = self._execution.fiber
        self._fiber.sagas += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fiber = self._fiber
        assert fiber is not None
        try:
            fiber.shield += 1
            if error is not None and not isinstance(
                error, (GeneratorExit, ContinueAsNew, NeverBack)
            ):
                await self._fail(error)
        finally:
            close_unbegun(self._kept)
            fiber.shield -= 1
            fiber.sagas -= 1

    async def _fail(self, error: BaseException) -> None:
        self._ending = True
        while self._flying:
            if not self._pivot:
                for handle, call in list(self._flying.items()):
                    if call is None:
                        handle.stop(f"saga {self.saga_id!r} is being undone", None)
                    else:
                        call.give_up()
            await ends(list(self._flying))
        why = "the pivot was passed"
        if not self._pivot:
            why = "compensations failed"
            undo = at_once(self._undo) if self._parallel else in_turn(self._undo, go_on=self._go_on)
            self.outcomes.update(await undo)
        for one in reversed(self._undo):
            self.outcomes.setdefault(one.step_id, CompensationResult.FAILED)
            if self.outcomes[one.step_id] is CompensationResult.FAILED:
                self._left.append(one.step_id)
        if self._left:
            message = f"{error}; {why}, and these effects are left: {', '.join(self._left)}"
            raise CompensationError(message, uncompensated=tuple(self._left)) from error

    def _admit(self, step_id: str, kind: str, *, undone: bool, idempotent: bool) -> None:
        if self._ending:
            raise CancelledError(self._too_late(step_id))
        rule = None
        if kind not in STEP_KINDS:
            rule = f"its kind is {kind!r}; kinds are {', '.join(STEP_KINDS)}"
        elif step_id in self._names:
            rule = "another step has that name; give it one of its own (name=...)"
        elif kind == "compensable" and not undone:
            rule = "a compensable step needs a compensation; without one it is a pivot"
        elif kind != "compensable" and undone:
            rule = f"a {kind} step is never undone; leave its compensation out"
        elif kind == "compensable" and self._pivot:
            rule = f"no step is compensable after the pivot ({self._pivot!r}); make it retryable"
        elif kind == "pivot" and self._pivot:
            rule = f"{self._pivot!r} was the pivot already; a path has one"
        elif kind == "retryable" and not idempotent:
            rule = "a retryable step may be done twice; declare that it bears it (idempotent=True)"
        if rule is not None:
            # Steps that were to go beside it are not begun either, and nobody has forgotten them.
            self._kept += unbegun(filter(None, (asked() for asked in self._asked)))
            message = f"step {step_id!r} of saga {self.saga_id!r}: {rule}"
            raise InvalidArgumentError(message)
        self._names[step_id] = None

    def _too_late(self, step_id: str | None) -> str:
        return f"saga {self.saga_id!r} is being undone; step {step_id!r} was not begun"
