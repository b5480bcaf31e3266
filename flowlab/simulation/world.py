"""What is simulated, as a value: who takes part, what they do together, and what must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.agent import Agent, Handler, Resource
from flowlab.simulation.doors import as_time
from flowlab.simulation.handler_check import warn_of_world
from flowlab.simulation.inputs import (
    Chances,
    Input,
    Starts,
    as_starts,
    in_order,
)
from flowlab.simulation.network import Network
from flowlab.simulation.processes import (
    Needs,
    Process,
    as_processes,
    check_handlers,
    check_roles,
    needs_of,
)
from flowlab.workflow import SECOND, Duration, Node, Plan, Predicates, Program, Workflow, as_ns
from flowlab.workflow.names import as_workflow_id

if TYPE_CHECKING:
    from flowlab.simulation.run import Run

MAX_EVENTS: Final = 1_000_000
"""Most events of one world by default."""
MAX_TIME_NS: Final = 365 * 24 * 3_600 * SECOND
"""Longest virtual time of one world by default: a year."""
MAX_TURN_NS: Final = 60 * SECOND
"""How long code may take on the wall by default until it comes back."""

Delays = Callable[[str, int], tuple[int, int, int]]
Invariant = Callable[["Run"], object]
"""Looks at a finished run; returns None or True where it holds, otherwise what is wrong."""


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
        max_turn: where code is left that does not come back, and its world stopped: so long on the
            wall from one await, or one handler, to the next. A world that was stopped here is no
            function of its seed alone, and says so in `Run.stopped`; None has no limit.

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
    max_turn_ns: int | None
    delays: Delays | None
    programs: Mapping[str, Program]
    handlers: Mapping[str, Mapping[str, Handler]]
    needs: Mapping[str, Needs]

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
        max_turn: Duration | None = MAX_TURN_NS,
        delays: Delays | None = None,
    ) -> None:
        taking_part = _by_name(agents, Agent, "agents")
        if not taking_part:
            message = "a world needs agents; give World([Agent(...), ...], workflow, ...)"
            raise InvalidArgumentError(message)
        shared = _by_name(resources, Resource, "resources")
        if both := sorted(shared.keys() & taking_part.keys()):
            message = f"an agent and a resource are called {both[0]!r}; name them apart"
            raise InvalidArgumentError(message)
        processes = as_processes(workflow)
        handlers = {name: taking_part[name].handlers for name in sorted(taking_part)}
        check_handlers(processes.values(), handlers)
        warn_of_world(handlers.values())
        plans = {name: found for name, found in processes.items() if isinstance(found, Plan)}
        fields = {
            "agents": tuple(taking_part[name] for name in sorted(taking_part)),
            "names": tuple(sorted(taking_part)),
            "workflows": MappingProxyType(processes),
            "resources": tuple(shared[name] for name in sorted(shared)),
            "network": _network(network, taking_part),
            "invariants": _functions(invariants),
            "predicates": _of_kind(predicates, Predicates | None, "predicates", "Predicates"),
            "timeout_ns": None if timeout is None else as_ns(timeout, "timeout", least=1),
            **_limits(max_events, max_time, max_turn),
            "delays": _of_kind(delays, Callable | None, "delays", "a function"),
            "programs": MappingProxyType(
                {name: Program.of(plan, predicates) for name, plan in plans.items()}
            ),
            "handlers": MappingProxyType(handlers),
            "needs": MappingProxyType({name: needs_of(plan) for name, plan in plans.items()}),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        listed = as_starts(starts, next(iter(processes)), self.check_start)
        object.__setattr__(self, "starts", listed)

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
            InvalidArgumentError: a function gives what cannot be; what is listed was checked.
        """
        if callable(self.starts):
            return in_order(self.starts(Chances(seed)))
        return iter(self.starts)

    def process(self, name: str | None) -> Process:
        """Return a workflow by name; None is the first.

        Raises:
            InvalidArgumentError: there is none of that name.
        """
        known = self.workflows
        found = known[next(iter(known))] if name is None else known.get(name)
        if found is None:
            message = f"no workflow is called {name!r}; the world has {', '.join(known)}"
            raise InvalidArgumentError(message)
        return found

    def check_start(
        self, workflow: str | None, workflow_id: str, roles: Mapping[str, str] | None
    ) -> Process:
        """Return the workflow that begins, if it can.

        Raises:
            InvalidArgumentError: it is none of the world's, its id is none or an agent's name, or a
                role of its plan is taken by nobody.
        """
        process = self.process(workflow)
        if as_workflow_id(workflow_id) in self.handlers:
            message = (
                f"workflow id {workflow_id!r} is an agent's name, and their events would have one "
                "lane; give another"
            )
            raise InvalidArgumentError(message)
        needs = self.needs.get(process.name)
        if needs is not None:
            check_roles(process.name, workflow_id, needs, self.handlers, roles)
        elif roles is not None:
            kind = "code" if isinstance(process, Workflow) else "a choreography"
            message = (
                f"workflow {workflow_id!r} is {kind}, which names its agents itself; roles are for "
                "plans. Give the agents in its input"
            )
            raise InvalidArgumentError(message)
        return process


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


def _network(network: Network | None, agents: Iterable[str]) -> Network:
    found: Network = _of_kind(network or Network(), Network, "the network", "a Network")
    found.check_names(agents)
    return found


def _of_kind(value: Any, kind: Any, what: str, expected: str) -> Any:
    if not isinstance(value, kind):
        message = f"{what} of a world: got {value!r}; expected {expected}"
        raise InvalidArgumentError(message)
    return value


def _functions(given: Any) -> tuple[Invariant, ...]:
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for invariant in found:
        if not callable(invariant):
            message = f"invariants is a list of functions of the run; it holds {invariant!r}"
            raise InvalidArgumentError(message)
    return found


def _limits(max_events: Any, max_time: Duration, max_turn: Duration | None) -> dict[str, Any]:
    if type(max_events) is not int or max_events < 1:
        message = f"max_events is {max_events!r}; expected an int from 1"
        raise InvalidArgumentError(message)
    return {
        "max_events": max_events,
        "max_time_ns": as_time(as_ns(max_time, "max_time", least=1), "max_time"),
        "max_turn_ns": None if max_turn is None else as_ns(max_turn, "max_turn", least=1),
    }
