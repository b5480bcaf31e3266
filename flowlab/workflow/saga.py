"""Sagas in code: steps that commit one by one, and the undoing of what was done.

Source of the step kinds: Richardson, *Microservices Patterns*, chapter 4. Compensable steps come
first; then at most one pivot, the last that may fail for a reason of the business; then retryable
steps, which are tried until they succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from flowlab.errors import ActivityError, CancelledError, CompensationError, InvalidArgumentError
from flowlab.workflow.calls import Request
from flowlab.workflow.definition import Activity, activity_name
from flowlab.workflow.durations import Duration, as_ns
from flowlab.workflow.handles import ContinueAsNew, Handle, all_of
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.step import STEP_KINDS, StepKind

if TYPE_CHECKING:
    from flowlab.workflow.execution import Execution

UNTIL_IT_SUCCEEDS: Final = RetryPolicy()
"""Without limit: how retryable steps and compensations are tried by default."""


class Saga:
    """The steps of one saga; make it with `async with ctx.saga() as saga:`.

    When the block raises, what its steps have done is undone, and the error goes on. Before that,
    it waits for steps still in flight: their effects must not come after their undoing. A step
    whose time ran out may have happened, so it is undone too: compensations must tolerate that
    there is nothing to undo. After the pivot nothing is undone.

    Args:
        execution: the core.
        saga_id: correlates its events (`coordination_id`).
        parallel: undo all steps at once; otherwise in the reverse order of their completion.
        go_on: after a compensation that failed for good, still run the others.
    """

    def __init__(self, execution: Execution, saga_id: str, *, parallel: bool, go_on: bool) -> None:
        self.saga_id = saga_id
        self._execution = execution
        self._parallel = parallel
        self._go_on = go_on
        self._undo: list[Request] = []
        self._flying: dict[Handle, None] = {}
        self._pivot = ""
        self._ending = False
        self._names: set[str] = set()

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
        step_id = self._admit(activity, name, kind, compensation, idempotent=idempotent)
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
            undo = replace(
                request,
                activity=activity_name(compensation),
                policy=compensation_retry,
                timeout_ns=None,
                family="Compensation",
            )
        return self._do(request, kind, undo, undo_with)

    async def _do(
        self,
        request: Request,
        kind: StepKind,
        undo: Request | None,
        undo_with: Callable[[Any], Any] | None,
    ) -> Any:
        if self._ending:
            raise CancelledError(self._too_late(request.step_id))
        handle = self._execution.schedule(request)
        self._flying[handle] = None

        def landed() -> None:
            # With the answer, before the code goes on: nothing lies between doing and noting it.
            del self._flying[handle]
            unknown = isinstance(handle.error, ActivityError) and handle.error.timed_out
            if undo is not None and (handle.error is None or unknown):
                result = None if unknown else handle.result()
                plain = {"input": request.value, "result": result}
                value = plain if undo_with is None else undo_with(result)
                self._undo.append(replace(undo, value=value))
            elif kind == "pivot" and handle.error is None:
                self._pivot = str(request.step_id)

        handle.then(landed)
        result = await handle
        step_id = str(request.step_id)
        self._execution.note("SagaStepCommitted", step_id, self.saga_id, {"kind": kind})
        if kind == "pivot":
            self._execution.note("PivotReached", step_id, self.saga_id, None)
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, (GeneratorExit, ContinueAsNew)):
            return
        self._ending = True
        while self._flying:
            await _ends(list(self._flying))
        if self._pivot:
            if self._undo:
                raise self._left(error, "the pivot was passed", self._undo) from error
            return
        failed = await (self._undo_at_once() if self._parallel else self._undo_in_turn())
        if failed:
            raise self._left(error, "compensations failed", failed) from error

    def _admit(
        self,
        activity: str | Activity,
        name: str | None,
        kind: str,
        compensation: str | Activity | None,
        *,
        idempotent: bool,
    ) -> str:
        step_id = name or activity_name(activity)
        if self._ending:
            raise CancelledError(self._too_late(step_id))
        rule = None
        if kind not in STEP_KINDS:
            rule = f"its kind is {kind!r}; kinds are {', '.join(STEP_KINDS)}"
        elif step_id in self._names:
            rule = "another step has that name; give it one of its own (name=...)"
        elif kind == "compensable" and compensation is None:
            rule = "a compensable step needs a compensation; without one it is a pivot"
        elif kind != "compensable" and compensation is not None:
            rule = f"a {kind} step is never undone; leave its compensation out"
        elif kind == "compensable" and self._pivot:
            rule = f"no step is compensable after the pivot ({self._pivot!r}); make it retryable"
        elif kind == "pivot" and self._pivot:
            rule = f"{self._pivot!r} was the pivot already; a path has one"
        elif kind == "retryable" and not idempotent:
            rule = "a retryable step may be done twice; declare that it bears it (idempotent=True)"
        if rule is not None:
            message = f"step {step_id!r} of saga {self.saga_id!r}: {rule}"
            raise InvalidArgumentError(message)
        self._names.add(step_id)
        return step_id

    def _too_late(self, step_id: str | None) -> str:
        return f"saga {self.saga_id!r} is being undone; step {step_id!r} was not begun"

    async def _undo_in_turn(self) -> list[Request]:
        failed: list[Request] = []
        waiting = list(self._undo)
        while waiting:
            undo = waiting.pop()
            handle = self._execution.schedule(undo)
            await _ends([handle])
            if handle.error is not None:
                failed.append(undo)
                if not self._go_on:
                    return failed + waiting[::-1]
        return failed

    async def _undo_at_once(self) -> list[Request]:
        handles = [(undo, self._execution.schedule(undo)) for undo in reversed(self._undo)]
        await _ends([handle for _, handle in handles])
        return [undo for undo, handle in handles if handle.error is not None]

    def _left(self, error: BaseException, why: str, undone: list[Request]) -> CompensationError:
        names = tuple(str(undo.step_id) for undo in undone)
        message = f"{error}; {why}, and these effects are left: {', '.join(names)}"
        return CompensationError(message, uncompensated=names)


def _ends(handles: list[Handle]) -> Handle:
    """Return a handle that is done when all are, however they ended."""
    ends = []
    for handle in handles:
        end = Handle(f"the end of {handle.what}")
        handle.then(lambda end=end, handle=handle: end.resolve(None, handle.because))  # type: ignore[misc]
        ends.append(end)
    return all_of(ends)
