"""The durable world: runs workflows for real on a store, and goes on after a crash."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from flowlab.errors import (
    FencedError,
    FlowlabError,
    InvalidArgumentError,
    NotFoundError,
    PoisonedError,
)
from flowlab.events.codec import encode_json
from flowlab.events.wording import brief
from flowlab.runtime.agents import AgentLike, Agents, AgentSpec
from flowlab.runtime.child_pool import MAX_PROCESSES, pool_of
from flowlab.runtime.choreographing import check_agents
from flowlab.runtime.clock import Clock, WallClock
from flowlab.runtime.coming_back import ComingBack, check_same
from flowlab.runtime.handle import WorkflowHandle
from flowlab.runtime.host import Host
from flowlab.runtime.instance import Instance
from flowlab.runtime.lease import Lease
from flowlab.runtime.processes import ProcessSpec, as_processes, name_of
from flowlab.runtime.scheme import RecoveryScheme, Replay
from flowlab.runtime.states import restore_states
from flowlab.runtime.turns import Turns
from flowlab.runtime.uncertain import Policy, check_policies, policies_of
from flowlab.store import EventStore
from flowlab.workflow import Activity, Duration, Predicates
from flowlab.workflow.handlers import Handler
from flowlab.workflow.names import as_id, as_workflow_id

THREADS: Final = 8
PROCESSES: Final = 2
MAX_THREADS: Final = 4_096
"""Most threads that carry out activities."""


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
        workflows, more: code and plans, one by one or as a list.
        activities: functions by name, or with names of their own, that no agent in particular
            carries out.
        agents: by name: a function of (ctx, value) for every activity, or a mapping of activities
            to functions; or `Agent` values, whose state is durable then. An agent does one thing
            after the other.
        predicates: the named predicates of plans.
        recovery: the scheme by which workflows are got back; replay by default.
        uncertain: what becomes of an effect that may have happened before a crash: `repeat`,
            `fail`, or a function of (ctx, value), async or not, which finds out and returns
            `Done(result)`, `Gone(type, message)`, or None where it has not happened; for all, or
            by activity ("" for the others).
        where: where functions run, by activity: `async`, `thread`, `process` or `inline`. By
            default async functions are tasks of the loop, others run in threads, and those of
            agents with state at once.
        at_once: how many effects an agent works on at a time, by its name.
        threads, processes: how many of each carry out activities.
        seed: of workflows' streams of chance.
        namespace: of every stream.
        clock: stamps events; tests give one of their own.
        lease: how long after its last sign of life a `Standby` takes over; renewed each third of
            it. None gives no sign.
        children: how many processes run the code of child workflows; None runs it here. Their
            histories are the same. Plans, and code with declared state, always run here.

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
        *more: ProcessSpec,
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
        lease: Duration | None = None,
        children: int | None = None,
    ) -> None:
        self.store = _checked(store)
        self.namespace = as_id(namespace, "namespace")
        scheme, policies = _scheme(recovery), policies_of(uncertain)
        known = as_processes(workflows, *more, predicates=predicates)
        self._back = ComingBack(store, known, scheme, policies, seed=seed, namespace=namespace)
        everybody = Agents(activities, agents, where=where, at_once=at_once)
        check_agents(known.values(), everybody)
        check_policies(policies, everybody)
        self._host = Host(
            store,
            known,
            everybody,
            scheme=scheme,
            clock=_clock(clock),
            seed=seed,
            namespace=namespace,
            load=self._load,
            pool=pool_of(children, known.values(), seed),
        )
        self._turns = Turns(
            self._host,
            self._prepare,
            threads=_count(threads, "threads", MAX_THREADS),
            processes=_count(processes, "processes", MAX_PROCESSES),
            lease=None if lease is None else Lease.on(store, lease),
        )

    def __repr__(self) -> str:
        return f"Runtime({self.store.path.name!r}, {len(self._host.instances)} workflows)"

    def _prepare(self) -> None:
        # What the last writer wrote as it died is shown from here on: nothing is read before.
        self.store.take_role()
        agents, scheme = self._host.agents, self._back.scheme
        restore_states(self.store, agents, scheme, namespace=self.namespace)

    # -- what a person calls ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._turns.enter()
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
        return await self._turns.do(lambda: self._begin(name, workflow_id, input, roles))

    async def recover(self) -> tuple[WorkflowHandle, ...]:
        """Take up every workflow of the store that has not ended, the oldest first.

        Raises:
            NonDeterminismError: the code of one does not fit its history; all others go on.
            InvalidArgumentError: the code of one is not here; all others go on.
        """
        handles, refused = await self.resume_all()
        for error in refused.values():
            raise error
        return handles

    async def resume_all(self) -> tuple[tuple[WorkflowHandle, ...], dict[str, FlowlabError]]:
        """Take up every workflow that has not ended; return them, and why others cannot go on.

        Raises:
            FencedError, PoisonedError: this runtime may write no more.
        """
        handles: list[WorkflowHandle] = []
        refused: dict[str, FlowlabError] = {}
        for workflow_id in self.unfinished():
            try:
                handles.append(await self.resume(workflow_id))
            except (FencedError, PoisonedError):
                raise
            except FlowlabError as error:
                refused[workflow_id] = error
        return tuple(handles), refused

    def unfinished(self) -> tuple[str, ...]:
        """Return the ids of the store's workflows that have not ended, the oldest first."""
        return tuple(workflow_id for workflow_id, _ in self._back.unfinished())

    async def resume(self, workflow_id: str) -> WorkflowHandle:
        """Take up a workflow of the store; durable when this returns.

        Raises:
            NotFoundError: there is no such workflow.
            InvalidArgumentError: the runtime does not have its code.
            NonDeterminismError: the code does not fit its history.
        """
        if workflow_id in self._host.instances:
            return self.handle(workflow_id)
        return await self._turns.do(partial(self._taken_up, workflow_id))

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
        await self._turns.do(lambda: self._host.signal(workflow_id, name, value))

    async def cancel(self, workflow_id: str, reason: str = "") -> None:
        """Ask a workflow to stop; durable when this returns.

        Raises:
            NotFoundError: there is no such workflow.
        """
        await self._turns.do(lambda: self._host.cancel(workflow_id, reason))

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
        """Wait until a workflow's end is durable, or the runtime has stopped."""
        await self._turns.ended(instance)

    async def quiet(self) -> None:
        """Wait until nothing is at work and no timer runs: what is open waits for outside events.

        Raises:
            FlowlabError: the runtime had to stop.
        """
        await self._turns.quiet()

    async def close(self) -> None:
        """Stop; what has not ended goes on when it is started or recovered again.

        The store stays open. Activities that are tasks are canceled, and count as uncertain.
        """
        await self._turns.close()

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
            check_same(workflow_id, instance.standing.name, name)
            self._back.take_up(self._host, *found)
        check_same(workflow_id, instance.standing.name, name)
        _note_input(instance, value)
        return WorkflowHandle(self, instance)

    def _taken_up(self, workflow_id: str) -> WorkflowHandle:
        instance = self._load(workflow_id)
        if instance is None:
            message = f"there is no workflow {workflow_id!r} in the store; start it"
            raise NotFoundError(message)
        return WorkflowHandle(self, instance)

    def _load(self, workflow_id: str) -> Instance | None:
        """Get a workflow that is not in memory, and let it go on."""
        found = self._back.load(workflow_id)
        if found is None:
            return None
        self._back.take_up(self._host, *found)
        return found[0]


def _checked(store: object) -> EventStore:
    if not isinstance(store, EventStore):
        message = f"a runtime works on an EventStore, not on {store!r}"
        raise InvalidArgumentError(message)
    return store


def _scheme(recovery: object) -> RecoveryScheme:
    if recovery is None:
        return Replay()
    if isinstance(recovery, type) or not isinstance(recovery, RecoveryScheme):
        message = (
            f"recovery is {recovery!r}; expected a scheme of flowlab.recovery: Replay(), "
            "Checkpointed(...), Incremental(...) or Cached(...)"
        )
        raise InvalidArgumentError(message)
    return recovery


def _clock(given: object) -> Clock:
    if given is None:
        return WallClock()
    if isinstance(given, type) or not isinstance(given, Clock):
        message = f"clock is {given!r}; expected an object with now_ns(), which returns an int"
        raise InvalidArgumentError(message)
    return given


def _count(value: int, what: str, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        message = f"{what} is {value!r}; expected an int from 1 to {most}"
        raise InvalidArgumentError(message)
    return value


def _note_input(instance: Instance, value: Any) -> None:
    """Warn whoever starts a workflow again with another input: it keeps the one it has."""
    started = instance.standing.started
    if value is None or started is None or started.generation:
        return
    given = (started.data or {}).get("input")
    if encode_json(value) != encode_json(given):
        message = (
            f"{instance.workflow_id!r} was started with the input {brief(given)} and keeps it; "
            f"what is given now, {brief(value)}, is not used: give another id for another input"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
