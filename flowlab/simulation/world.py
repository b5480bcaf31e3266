"""What is simulated, as a value: who takes part, what they do together, and what must hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.agent import Agent, Resource
from flowlab.simulation.network import Network
from flowlab.workflow import (
    SECOND,
    Choreography,
    Duration,
    Node,
    Plan,
    Predicates,
    Program,
    Workflow,
    as_ns,
    as_plan,
    check_choreography,
)

if TYPE_CHECKING:
    from flowlab.simulation.run import Run

MAX_EVENTS: Final = 1_000_000
"""Most events of one world by default."""
MAX_TIME_NS: Final = 365 * 24 * 3_600 * SECOND
"""Longest virtual time of one world by default: a year."""

Process = Workflow | Plan | Choreography
Delays = Callable[[str, int], tuple[int, int, int]]
Invariant = Callable[["Run"], object]
"""Looks at a finished run; returns None or True where it holds, otherwise what is wrong."""


@dataclass(frozen=True, slots=True)
class Start:
    """A workflow that begins.

    Args:
        workflow_id: of its stream.
        input: any JSON value.
        at: when, from the beginning of the world: nanoseconds or a timedelta.
        workflow: which, by name; None is the world's first.
        roles: of a plan: the agent for each name that the plan uses.

    Example:
        >>> Start("trip-1", {"nights": 2})
        Start(workflow_id='trip-1', input={'nights': 2}, at=0, workflow=None, roles=None)
    """

    workflow_id: str
    input: Any = None
    at: Duration = 0
    workflow: str | None = None
    roles: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """An event that a workflow is sent from outside.

    Args:
        workflow_id: which workflow.
        name, value: what it may wait for, and any JSON value.
        at: when.

    Example:
        >>> Signal("trip-1", "approved", True, at=5)
        Signal(workflow_id='trip-1', name='approved', value=True, at=5)
    """

    workflow_id: str
    name: str
    value: Any = None
    at: Duration = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request from outside that a workflow stop.

    Example:
        >>> Cancel("trip-1", "the customer changed her mind", at=5).at
        5
    """

    workflow_id: str
    reason: str = ""
    at: Duration = 0


Input = Start | Signal | Cancel
Starts = Iterable[Input] | Callable[["Chances"], Iterable[Input]]


class Chances:
    """Named streams of chance for what happens before the world begins: its arrivals.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __repr__(self) -> str:
        return f"Chances({self._seed})"

    def random(self, name: str) -> Any:
        """Return the stream of a name, from its beginning."""
        from flowlab.workflow.chance import stream  # noqa: PLC0415

        return stream(self._seed, "@world", name)


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class World:
    """Agents, the workflows that they carry out, the network between them, and the invariants.

    Args:
        agents: who takes part.
        workflow: a plan (or a node of one), a `@workflow`, a choreography, or several of them; what
            `@workflow.compensate` declared comes with its workflow.
        starts: the workflows that begin (`Start`), and what else comes from outside (`Signal`,
            `Cancel`), in order of time; or a function from `Chances` to them.
            A number n is n workflows without input at the beginning.
        resources: cells that several agents use.
        network: how long messages take.
        invariants: what must hold at the end, each a function of the run.
        predicates: the named predicates of plans.
        timeout: of an attempt whose step or call names none; None waits for ever.
        delays: how long each call takes, where that was recorded: a function of the workflow's id
            and the number of the call in it, from 0, to (request, service, reply) in nanoseconds;
            None draws them from the network and the agents.
        max_events, max_time: where a world that does not end is stopped.

    Raises:
        InvalidArgumentError: no agent, two of one name, or nothing to carry out.
        PlanError: a plan or a choreography breaks a rule.

    Example:
        >>> from flowlab.workflow import Step
        >>> bank = Agent("bank", lambda: None, named={"charge": lambda ctx, value: value})
        Traceback (most recent call last):
        flowlab.errors.InvalidArgumentError: agent 'bank' has a handler without a name ...
        >>> bank = Agent("bank", named={"charge": lambda ctx, value: value})
        >>> World([bank], Step("charge", agent="bank", kind="pivot"), 3)
        World(1 agent, workflow plan)
    """

    agents: tuple[Agent, ...]
    names: tuple[str, ...]
    workflows: Mapping[str, Process]
    starts: Starts
    resources: tuple[Resource, ...]
    network: Network
    invariants: tuple[Invariant, ...]
    predicates: Predicates | None
    timeout_ns: int | None
    max_events: int
    max_time_ns: int
    delays: Delays | None
    programs: Mapping[str, Program]

    def __init__(
        self,
        agents: Iterable[Agent],
        workflow: Process | Node | Iterable[Process],
        starts: Starts | int = 1,
        *,
        resources: Iterable[Resource] = (),
        network: Network | None = None,
        invariants: Iterable[Invariant] = (),
        predicates: Predicates | None = None,
        timeout: Duration | None = 30 * SECOND,
        max_events: int = MAX_EVENTS,
        max_time: Duration = MAX_TIME_NS,
        delays: Delays | None = None,
    ) -> None:
        taking_part = _by_name(agents, Agent, "agents")
        if not taking_part:
            message = "a world needs agents; give World([Agent(...), ...], workflow, ...)"
            raise InvalidArgumentError(message)
        shared = _by_name(resources, Resource, "resources")
        processes = _processes(workflow)
        for process in processes.values():
            _check(process, taking_part)
        fields = {
            "agents": tuple(taking_part[name] for name in sorted(taking_part)),
            "names": tuple(sorted(taking_part)),
            "workflows": MappingProxyType(processes),
            "starts": _starts(starts, next(iter(processes))),
            "resources": tuple(shared[name] for name in sorted(shared)),
            "network": network or Network(),
            "invariants": tuple(invariants),
            "predicates": predicates,
            "timeout_ns": None if timeout is None else as_ns(timeout, "timeout", least=1),
            "max_events": max_events,
            "max_time_ns": as_ns(max_time, "max_time", least=1),
            "delays": delays,
            "programs": MappingProxyType(
                {
                    name: Program.of(process, predicates)
                    for name, process in processes.items()
                    if isinstance(process, Plan)
                }
            ),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        count = len(self.agents)
        many = "s" * (len(self.workflows) != 1)
        return (
            f"World({count} agent{'s' * (count != 1)}, workflow{many} {', '.join(self.workflows)})"
        )

    @property
    def runs_code(self) -> bool:
        """Whether a workflow is code, which the guard watches."""
        return any(isinstance(process, Workflow) for process in self.workflows.values())

    def inputs(self, seed: int) -> Iterator[Input]:
        """Yield what begins, in order of time.

        Raises:
            InvalidArgumentError: an entry is no `Start`, or time goes back from one to the next.
        """
        source = self.starts(Chances(seed)) if callable(self.starts) else self.starts
        last = 0
        for start in source:
            if not isinstance(start, (Start, Signal, Cancel)):
                message = f"starts are Start, Signal or Cancel values; got {start!r}"
                raise InvalidArgumentError(message)
            at_ns = start.at if type(start.at) is int else as_ns(start.at, "at")
            if at_ns < last:
                message = (
                    f"what is listed for {start.workflow_id!r} comes at {at_ns} ns, before what is "
                    f"listed ahead of it ({last} ns); list what comes from outside in order of time"
                )
                raise InvalidArgumentError(message)
            last = at_ns
            yield start


def _processes(given: Any) -> dict[str, Process]:
    if isinstance(given, Node):
        given = as_plan(given)
    listed = [given] if isinstance(given, (Workflow, Plan, Choreography)) else None
    if listed is None:
        if isinstance(given, str) or not isinstance(given, Iterable):
            message = (
                f"a world carries out a plan, a @workflow or a choreography; got {given!r}. "
                "Declare an async function with @workflow first"
            )
            raise InvalidArgumentError(message)
        listed = [as_plan(item) if isinstance(item, Node) else item for item in given]
    found: dict[str, Process] = {}
    for process in listed:
        if not isinstance(process, (Workflow, Plan, Choreography)):
            message = f"a world carries out plans, @workflows and choreographies; got {process!r}"
            raise InvalidArgumentError(message)
        if process.name in found:
            message = f"two workflows of the world are called {process.name!r}; name them apart"
            raise InvalidArgumentError(message)
        found[process.name] = process
    for process in list(found.values()):
        undo = process.compensation if isinstance(process, Workflow) else None
        if undo is not None:
            found.setdefault(undo.name, undo)
    if not found:
        message = "a world needs a workflow to carry out; it was given none"
        raise InvalidArgumentError(message)
    return found


def _by_name(given: Any, kind: Any, what: str) -> dict[str, Any]:
    if isinstance(given, kind) or not isinstance(given, Iterable):
        message = f"{what} is a list of {kind.__name__}s; got {given!r}"
        raise InvalidArgumentError(message)
    found: dict[str, Any] = {}
    listed: list[Any] = list(given)
    for item in listed:
        if type(item) is not kind:
            message = f"{what} is a list of {kind.__name__}s; it holds {item!r}"
            raise InvalidArgumentError(message)
        if item.name in found:
            message = f"two of the {what} are called {item.name!r}; names are ids"
            raise InvalidArgumentError(message)
        found[item.name] = item
    return found


def _check(process: Process, agents: Mapping[str, Agent]) -> None:
    if isinstance(process, Plan):
        asked = _asked(process)
    elif isinstance(process, Choreography):
        check_choreography(process, agents=list(agents))
        asked = [(r.agent, r.activity) for r in process.reactions]
        asked += [
            (r.compensation.agent or r.agent, r.compensation.activity)
            for r in process.reactions
            if r.compensation is not None
        ]
    else:
        return
    for name, activity in asked:
        # A plan's name that is no agent is a role: each start says who takes it.
        if name in agents and activity not in agents[name].handlers:
            has = ", ".join(agents[name].handlers) or "none"
            message = (
                f"{process.name!r} asks agent {name!r} for {activity!r}, for which it has no "
                f"handler; it has: {has}. Give Agent({name!r}, ...) a function of that name"
            )
            raise InvalidArgumentError(message)


def _asked(plan: Plan) -> list[tuple[str, str]]:
    pairs = []
    for step in plan.steps:
        pairs.append((step.agent, step.activity))
        undo = step.compensation
        if undo is not None:
            pairs.append((undo.agent or step.agent, undo.activity))
    return pairs


def _starts(given: Starts | int, first: str) -> Starts:
    if isinstance(given, bool) or (isinstance(given, int) and given < 0):
        message = (
            f"starts is a number of workflows from 0, a list of Start, or a function; got {given!r}"
        )
        raise InvalidArgumentError(message)
    if isinstance(given, int):
        return tuple(Start(f"{first}-{number}") for number in range(1, given + 1))
    if callable(given):
        places = inspect.signature(given).parameters
        if len(places) != 1:
            message = "a function that gives the starts takes one argument: the streams of chance"
            raise InvalidArgumentError(message)
        return given
    if isinstance(given, (Start, Signal, Cancel)):
        return (given,)
    return tuple(given)
