"""The durable world: runs workflows for real on a store, and goes on after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from flowlab.errors import (
    ConcurrencyError,
    FencedError,
    FlowlabError,
    InvalidArgumentError,
    NotFoundError,
)
from flowlab.runtime.agents import AgentLike, Agents, AgentSpec, Lane
from flowlab.runtime.clock import Clock, WallClock
from flowlab.runtime.coming_back import ComingBack
from flowlab.runtime.effect import Effect, Outcome
from flowlab.runtime.handle import WorkflowHandle
from flowlab.runtime.host import Host, Turn
from flowlab.runtime.instance import Instance
from flowlab.runtime.performing import Performing
from flowlab.runtime.processes import ProcessSpec, as_processes, name_of
from flowlab.runtime.scheme import RecoveryScheme, Replay
from flowlab.runtime.states import restore_states
from flowlab.runtime.uncertain import Policy
from flowlab.store import EventStore
from flowlab.workflow import Activity, Predicates, armed
from flowlab.workflow.cells import Cells
from flowlab.workflow.handlers import Handler
from flowlab.workflow.names import as_id, as_workflow_id

THREADS: Final = 8
PROCESSES: Final = 2
T = TypeVar("T")


class Runtime:
    """Runs workflows for real: wall-clock timers, real activities, every event in the store.

    What a workflow asks for is durable before anybody begins it; a result is durable before
    anything outside depends on it; a result and what follows from it share one sync. A workflow is
    code (`@workflow`) or a plan, the same that a simulation runs. Effects happen at least once: an
    activity is given an idempotency key, and after a crash the effects that may have happened are
    named in the log (`AgentRestarted` in the stream `@{workflow_id}`) before they are repeated.

    It lives in an asyncio loop: `async with Runtime(...) as runtime`, or `runtime.run(...)` in a
    script. One runtime at a time writes a store: a later one fences it (`FencedError`).

    Args:
        store: where everything is recorded; open for writing.
        workflows: code and plans.
        activities: functions by name, or with names of their own, that no agent in particular
            carries out.
        agents: by name: a function of (ctx, value) for every activity, or a mapping of activities
            to functions; or `Agent` values, whose state is durable then. An agent does one thing
            after the other.
        predicates: the named predicates of plans.
        recovery: the scheme by which workflows are got back; replay by default.
        uncertain: what becomes of an effect that may have happened before a crash: `repeat`, or
            `fail`, for all or by activity ("" for the others).
        where: where functions run, by activity: `async`, `thread`, `process` or `inline`. By
            default async functions are tasks of the loop, others run in threads, and those of
            agents with state at once.
        at_once: how many effects an agent works on at a time, by its name.
        threads, processes: how many of each carry out activities.
        seed: of workflows' streams of chance.
        namespace: of every stream.
        clock: stamps events; tests give one of their own.

    Raises:
        InvalidArgumentError: something is none of these.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore, workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return await ctx.call_activity("say", name)
        >>> def say(name):
        ...     return f"hello {name}"
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     Runtime(store, greet, activities=[say]).run(greet, "Ada", id="greet-1")
        'hello Ada'
    """

    def __init__(
        self,
        store: EventStore,
        workflows: ProcessSpec | Iterable[ProcessSpec],
        *,
        activities: Iterable[Handler | Activity] | Mapping[str, Handler | Activity] = (),
        agents: Mapping[str, AgentSpec] | Iterable[AgentLike] = (),
        predicates: Predicates | None = None,
        recovery: RecoveryScheme | None = None,
        uncertain: Policy | Mapping[str, Policy] = "repeat",
        where: Mapping[str, str] | None = None,
        at_once: Mapping[str, int] | None = None,
        threads: int = THREADS,
        processes: int = PROCESSES,
        seed: object = 0,
        namespace: str = "default",
        clock: Clock | None = None,
    ) -> None:
        if not isinstance(store, EventStore):
            message = f"a runtime works on an EventStore, not on {store!r}"
            raise InvalidArgumentError(message)
        self.store = store
        self.namespace = namespace
        scheme = Replay() if recovery is None else recovery
        known = as_processes(workflows, predicates)
        self._back = ComingBack(
            store, known, scheme, seed=seed, namespace=namespace, policies=_policies(uncertain)
        )
        self._host = Host(
            store,
            known,
            Agents(activities, agents, where=where, at_once=at_once),
            scheme=scheme,
            clock=WallClock() if clock is None else clock,
            seed=seed,
            namespace=namespace,
            load=self._load,
        )
        self._performing = Performing(
            self._answered,
            threads=_count(threads, "threads"),
            processes=_count(processes, "processes"),
        )
        self._clock = WallClock() if clock is None else clock
        self._happened: list[tuple[Callable[[], object], asyncio.Future[Any] | None]] = []
        self._scheduled = False
        self._timers: dict[tuple[str, int], asyncio.TimerHandle] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: BaseException | None = None

    def __repr__(self) -> str:
        return f"Runtime({self.store.path.name!r}, {len(self._host.instances)} workflows)"

    # -- what a person calls ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(
        self,
        workflow: ProcessSpec | str,
        input: Any = None,  # noqa: A002 - what a workflow calls it
        *,
        id: str,  # noqa: A002 - what everybody calls it
        roles: Mapping[str, str] | None = None,
    ) -> WorkflowHandle:
        """Start a workflow, or take it up where it stopped if that id has been started before.

        Durable when this returns. A workflow that has ended is not run again: its handle has the
        result. An id that is in use keeps the input that it was first given.

        Args:
            workflow: the code, the plan, or its name.
            input: any JSON value.
            id: the workflow's id, which names its stream.
            roles: which agent takes each role of a plan.

        Raises:
            InvalidArgumentError: the runtime does not have it, or the id is another workflow's.
            InvalidEventError: the input is no JSON.
        """
        name = name_of(workflow, self._host.processes)
        workflow_id = as_workflow_id(id)
        return await self._do(lambda: self._begin(name, workflow_id, input, roles))

    async def recover(self) -> tuple[WorkflowHandle, ...]:
        """Take up every workflow of the store that has not ended, the oldest first."""
        handles = []
        for workflow_id, _ in self._back.unfinished():
            if workflow_id not in self._host.instances:
                handles.append(await self._do(partial(self._taken_up, workflow_id)))
            else:
                handles.append(self.handle(workflow_id))
        return tuple(handles)

    def handle(self, workflow_id: str) -> WorkflowHandle:
        """Return the handle of a workflow that was started or taken up here.

        Raises:
            NotFoundError: it was not.
        """
        instance = self._host.instances.get(workflow_id)
        if instance is None:
            message = f"{workflow_id!r} was not started here; use start(..., id=...) or recover()"
            raise NotFoundError(message)
        return WorkflowHandle(self, instance)

    async def raise_event(self, workflow_id: str, name: str, value: Any = None) -> None:
        """Send a workflow an event; durable when this returns.

        Raises:
            NotFoundError: there is no such workflow.
        """
        as_id(name, "the name of an event")
        await self._do(lambda: self._host.signal(workflow_id, name, value))

    async def cancel(self, workflow_id: str, reason: str = "") -> None:
        """Ask a workflow to stop; durable when this returns.

        Raises:
            NotFoundError: there is no such workflow.
        """
        await self._do(lambda: self._host.cancel(workflow_id, reason))

    def run(
        self,
        workflow: ProcessSpec | str,
        input: Any = None,  # noqa: A002
        *,
        id: str,  # noqa: A002
        roles: Mapping[str, str] | None = None,
    ) -> Any:
        """Start a workflow, or take it up, and return its result: for scripts without a loop.

        Raises:
            InvalidArgumentError: a loop runs already, as in a notebook: await start() there.
            WorkflowError: it failed or was canceled.
        """

        async def whole() -> Any:
            async with self:
                handle = await self.start(workflow, input, id=id, roles=roles)
                return await handle.result()

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(whole())
        message = (
            "run() makes a loop of its own, and one is running here; write "
            "handle = await runtime.start(...), and then await handle.result()"
        )
        raise InvalidArgumentError(message)

    async def ended(self, instance: Instance) -> None:
        """Wait until a workflow has ended, or the runtime has stopped."""
        if instance.settled:
            return
        self._enter()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(instance.workflow_id, []).append(future)
        await future

    async def close(self) -> None:
        """Stop; what has not ended goes on when it is started or recovered again.

        The store stays open. Activities that are tasks are canceled, and count as uncertain.
        """
        if self._stopped is None:
            message = "the runtime was closed; make another one on the store to go on"
            self._stop(InvalidArgumentError(message))
        await self._performing.close()

    # -- turns ------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._stopped is not None:
            raise self._stopped
        loop = asyncio.get_running_loop()
        if self._loop is None:
            restore_states(self.store, self._host.agents, namespace=self.namespace)
            self._loop = loop
        elif self._loop is not loop:
            message = "this runtime lives in another event loop; make one in this loop"
            raise InvalidArgumentError(message)

    async def _do(self, action: Callable[[], T]) -> T:
        """Do something in the next turn; return once it is durable."""
        self._enter()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._occur(action, future)
        return await future

    def _occur(
        self, action: Callable[[], object], future: asyncio.Future[Any] | None = None
    ) -> None:
        self._happened.append((action, future))
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Take all that has happened, make it durable, and do what is to be done then."""
        self._scheduled = False
        if self._stopped is not None:
            return
        happened, self._happened = self._happened, []
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        try:
            with armed():
                for action, future in happened:
                    self._take(action, future, answers)
                turn = self._host.commit()
        except BaseException as error:
            self._happened = [*happened, *self._happened]  # so that everybody hears of it
            self._stop(_told(error))
            if not isinstance(error, (FlowlabError, OSError)):
                raise
            return
        for future, value in answers:
            if not future.done():
                future.set_result(value)
        self._carry_out(turn)

    @staticmethod
    def _take(
        action: Callable[[], object],
        future: asyncio.Future[Any] | None,
        answers: list[tuple[asyncio.Future[Any], Any]],
    ) -> None:
        if future is None:
            action()
            return
        try:
            answers.append((future, action()))
        except FlowlabError as error:  # a caller's mistake is the caller's to hear of
            if not future.done():
                future.set_exception(error)

    def _carry_out(self, turn: Turn) -> None:
        for place in turn.stopped:
            timer = self._timers.pop(place, None)
            if timer is not None:
                timer.cancel()
            self._performing.cancel(*place)
        for workflow_id, sequence, due_ns in turn.timers:
            self._wait(workflow_id, sequence, due_ns)
        for lane, effect in turn.effects:
            self._hand_out(lane, effect)
        for instance in turn.ended:
            instance.settled = True
            for future in self._waiting.pop(instance.workflow_id, ()):
                if not future.done():
                    future.set_result(None)

    def _wait(self, workflow_id: str, sequence: int, due_ns: int) -> None:
        assert self._loop is not None
        place = (workflow_id, sequence)

        def fire() -> None:
            self._timers.pop(place, None)
            self._occur(lambda: self._host.fired(workflow_id, sequence))

        delay = max(0, due_ns - self._clock.now_ns()) / 1e9
        self._timers[place] = self._loop.call_later(delay, fire)

    def _hand_out(self, lane: Lane | None, effect: Effect) -> None:
        assert self._loop is not None
        _, performer = self._host.agents.find(effect.agent, effect.activity)
        assert performer is not None
        if effect.timeout_ns is not None:
            place = (effect.workflow_id, effect.sequence)

            def expire() -> None:
                self._timers.pop(place, None)
                self._occur(lambda: self._host.give_up(effect))

            self._timers[place] = self._loop.call_later(effect.timeout_ns / 1e9, expire)
        self._performing.begin(lane, effect, performer)

    def _answered(
        self, lane: Lane | None, effect: Effect, outcome: Outcome | None, cells: Cells | None
    ) -> None:
        if self._stopped is not None:
            return
        timer = self._timers.pop((effect.workflow_id, effect.sequence), None)
        if timer is not None:
            timer.cancel()
        if outcome is None:
            self._occur(lambda: self._host.canceled(effect, lane))
        else:
            self._occur(lambda: self._host.answer(lane, effect, outcome, cells))

    def _stop(self, error: BaseException) -> None:
        """Do nothing any more: what is in memory may be ahead of the log."""
        self._stopped = error
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        waiting = [future for futures in self._waiting.values() for future in futures]
        waiting += [future for _, future in self._happened if future is not None]
        self._waiting.clear()
        self._happened.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)

    # -- inside a turn ----------------------------------------------------------------------------

    def _begin(
        self, name: str, workflow_id: str, value: Any, roles: Mapping[str, str] | None
    ) -> WorkflowHandle:
        instance = self._host.instances.get(workflow_id)
        if instance is None:
            found = self._back.load(workflow_id, name)
            if found is None:
                return WorkflowHandle(self, self._host.begin(name, workflow_id, value, roles=roles))
            instance = found[0]
            _check_same(instance, name)
            self._back.take_up(self._host, *found)
        _check_same(instance, name)
        return WorkflowHandle(self, instance)

    def _taken_up(self, workflow_id: str) -> WorkflowHandle:
        instance = self._load(workflow_id)
        assert instance is not None
        return WorkflowHandle(self, instance)

    def _load(self, workflow_id: str) -> Instance | None:
        """Get a workflow that is not in memory, and let it go on."""
        found = self._back.load(workflow_id)
        if found is None:
            return None
        self._back.take_up(self._host, *found)
        return found[0]


def _check_same(instance: Instance, name: str) -> None:
    if instance.standing.name not in {name, ""}:
        message = (
            f"{instance.workflow_id!r} is an instance of {instance.standing.name!r}, not of "
            f"{name!r}; give each workflow an id of its own"
        )
        raise InvalidArgumentError(message)


def _policies(uncertain: Policy | Mapping[str, Policy]) -> dict[str, Policy]:
    found: dict[str, Policy] = {"": "repeat"}
    if isinstance(uncertain, str):
        found[""] = uncertain
    else:
        found.update(uncertain)
    for activity, policy in found.items():
        if policy not in {"repeat", "fail"}:
            message = f"uncertain of {activity or 'all'!r} is {policy!r}; expected repeat or fail"
            raise InvalidArgumentError(message)
    return found


def _count(value: int, what: str) -> int:
    if type(value) is not int or value < 1:
        message = f"{what} is {value!r}; expected an int of 1 or more"
        raise InvalidArgumentError(message)
    return value


def _told(error: BaseException) -> BaseException:
    """Return the error that everybody who waits is given."""
    if isinstance(error, ConcurrencyError):
        fenced = FencedError(
            f"another runtime, or somebody else, writes to this runtime's workflows: {error}"
        )
        fenced.__cause__ = error
        return fenced
    return error
