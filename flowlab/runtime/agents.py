"""Who carries out activities: functions, and agents that do one thing after the other."""

from __future__ import annotations

import inspect
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, get_args, runtime_checkable

from flowlab.errors import InvalidArgumentError
from flowlab.runtime.effect import Effect
from flowlab.workflow import Activity
from flowlab.workflow.handlers import Handler, Wants, adapted, wants_of
from flowlab.workflow.names import as_id, listed, shortened

Place = Literal["async", "thread", "process", "inline"]
"""Where a function runs: as a task of the loop, in a thread, in another process, or at once."""


@runtime_checkable
class AgentLike(Protocol):
    """An agent with handlers by activity and state by cell, as `flowlab.Agent` is."""

    @property
    def name(self) -> str:
        """Its id."""
        ...

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Functions of (ctx, value) by activity."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """Its cells at the beginning."""
        ...


@dataclass(frozen=True, slots=True)
class Performer:
    """A function that carries out an activity.

    Args:
        activity: its name.
        function: the function itself.
        wants: which of (ctx, value) it takes.
        place: where it runs.

    Attributes:
        call: the function as one of (ctx, value).
    """

    activity: str
    function: Handler
    wants: Wants
    place: Place
    call: Handler = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "call", adapted(self.function, self.wants))

    @classmethod
    def of(cls, activity: str, function: Handler | Activity, place: str | None = None) -> Performer:
        """Read a function's signature, and decide where it runs.

        Raises:
            InvalidArgumentError: it cannot be called so, or cannot run there.

        Example:
            >>> Performer.of("double", lambda value: 2 * value).place
            'thread'
        """
        body = function.function if isinstance(function, Activity) else function
        wants = wants_of(body, activity)
        is_async = inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(
            getattr(body, "__call__", None)  # noqa: B004 - an object whose call is async
        )
        if place is None:
            place = "async" if is_async else "thread"
        if place not in get_args(Place):
            message = f"{activity!r} is to run in {place!r}; places are {listed(get_args(Place))}"
            raise InvalidArgumentError(message)
        if is_async != (place == "async"):
            kind = "an async function" if is_async else "a plain function"
            message = (
                f"{activity!r} is {kind} and cannot run as {place!r}; async functions run as "
                "'async', others as 'thread', 'process' or 'inline'"
            )
            raise InvalidArgumentError(message)
        if place == "process":
            _check_pickles(activity, body)
        return cls(activity, body, wants, place)  # type: ignore[arg-type]


def _check_pickles(activity: str, function: Handler) -> None:
    try:
        pickle.dumps(function)
    except Exception as error:
        message = (
            f"{activity!r} cannot run in another process: {error}; give a function that a module "
            "defines at its top level, or let it run in a thread"
        )
        raise InvalidArgumentError(message) from error


class Lane:
    """One agent: it begins what it is asked for in order, one thing at a time unless told so.

    Attributes:
        name: the agent's id.
        handlers: what it can do; empty where one function does all.
        anything: carries out every activity; None where it has handlers.
        state: its durable cells.
        at_once: how many effects it works on at a time.
        waiting: what it has not begun.
        busy: what it works on, by (workflow_id, sequence).
    """

    __slots__ = ("anything", "at_once", "busy", "handlers", "name", "state", "stateful", "waiting")

    def __init__(
        self,
        name: str,
        handlers: dict[str, Performer],
        anything: Performer | None,
        state: dict[str, Any] | None,
        at_once: int,
    ) -> None:
        self.name = name
        self.handlers = handlers
        self.anything = anything
        self.state = {} if state is None else state
        self.stateful = state is not None
        self.at_once = at_once
        self.waiting: deque[Effect] = deque()
        self.busy: dict[tuple[str, int], Effect] = {}

    def __repr__(self) -> str:
        return f"Lane({self.name!r}, {len(self.busy)} at work, {len(self.waiting)} waiting)"

    def performer(self, activity: str) -> Performer | None:
        """Return what carries out an activity, if anything does."""
        return self.handlers.get(activity, self.anything)

    def next(self) -> Effect | None:
        """Begin what has waited longest, if there is room."""
        if not self.waiting or len(self.busy) >= self.at_once:
            return None
        effect = self.waiting.popleft()
        self.busy[effect.place] = effect
        return effect

    def withdraw(self, workflow_id: str, sequence: int) -> Effect | None:
        """Give up what has not begun; None where it has, or is not here."""
        for effect in self.waiting:
            if effect.place == (workflow_id, sequence):
                self.waiting.remove(effect)
                return effect
        return None


AgentSpec = AgentLike | Callable[..., Any] | Mapping[str, Callable[..., Any]]
"""An agent as a person gives it: a value, a function for every activity, or one for each."""

MAX_AT_ONCE: Final = 10_000
"""Most effects that one agent works on at a time."""


class Agents:
    """Everybody who carries out activities for a runtime.

    Args:
        activities: functions that no agent in particular carries out.
        agents: by name, or values with a name.
        where: where the function of an activity runs, by its name.
        at_once: how many effects an agent works on at a time; 1 by default.
    """

    __slots__ = ("free", "lanes")

    def __init__(
        self,
        activities: Iterable[Handler | Activity] | Mapping[str, Handler | Activity] = (),
        agents: Mapping[str, AgentSpec] | Iterable[AgentLike] = (),
        *,
        where: Mapping[str, str] | None = None,
        at_once: Mapping[str, int] | None = None,
    ) -> None:
        places = dict(where or {})
        limits = dict(at_once or {})
        self.free: dict[str, Performer] = {}
        for name, function in _named(activities):
            if name in self.free:
                message = f"two activities are called {name!r}; give one another name"
                raise InvalidArgumentError(message)
            self.free[name] = Performer.of(name, function, places.get(name))
        self.lanes: dict[str, Lane] = {}
        for name, spec in _by_name(agents):
            if name in self.lanes:
                message = f"two agents are called {name!r}; give one another name"
                raise InvalidArgumentError(message)
            self.lanes[name] = _lane(name, spec, places, _limit(name, limits.get(name, 1)))
        known = {*self.free, *(a for lane in self.lanes.values() for a in lane.handlers)}
        known.update(name for name, lane in self.lanes.items() if lane.anything)
        if strange := sorted(places.keys() - known):
            message = (
                f"where names {strange[0]!r}, which nobody carries out; known are {listed(known)}"
            )
            raise InvalidArgumentError(message)
        if strange := sorted(limits.keys() - self.lanes.keys()):
            message = f"at_once names {strange[0]!r}; the agents are {listed(self.lanes)}"
            raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        return f"Agents({len(self.lanes)} agents, {len(self.free)} activities)"

    def find(self, agent: str | None, activity: str) -> tuple[Lane | None, Performer | None]:
        """Return who carries out an activity: a lane, or a free function; (None, None) if nobody.

        Whoever is asked by name does it, or else a free function of that name on nobody's lane;
        where nobody is named, a free function, or the first agent by name that can.
        """
        if agent is not None:
            lane = self.lanes.get(agent)
            if lane is not None:
                return lane, lane.performer(activity)
            return None, self.free.get(activity) if not self.lanes else None
        if activity in self.free:
            return None, self.free[activity]
        for name in sorted(self.lanes):
            if activity in self.lanes[name].handlers:
                return self.lanes[name], self.lanes[name].handlers[activity]
        return None, None

    def unknown(self, agent: str | None, activity: str) -> str:
        """Say why nobody carries out an activity."""
        if agent is not None and agent in self.lanes:
            return f"agent {agent!r} has no activity {activity!r}"
        if agent is not None:
            return f"no agent is called {agent!r}; the runtime has {listed(sorted(self.lanes))}"
        return f"nobody carries out {activity!r}; the runtime has {listed(sorted(self.free))}"


def _named(
    activities: Iterable[Handler | Activity] | Mapping[str, Handler | Activity],
) -> Iterable[tuple[str, Handler | Activity]]:
    if isinstance(activities, Mapping):
        return [(as_id(name, "an activity"), function) for name, function in activities.items()]
    found = []
    for function in activities:
        name = function.name if isinstance(function, Activity) else _own_name(function)
        found.append((name, function))
    return found


def _own_name(function: Any) -> str:
    name = getattr(function, "__name__", "")
    if not name or name == "<lambda>":
        message = (
            f"{shortened(function)} has no name of its own; give activities as a mapping: "
            "{'activity': function}"
        )
        raise InvalidArgumentError(message)
    return str(name)


def _by_name(
    agents: Mapping[str, AgentSpec] | Iterable[AgentLike],
) -> Iterable[tuple[str, AgentSpec]]:
    if isinstance(agents, Mapping):
        return [(as_id(name, "an agent's name"), spec) for name, spec in agents.items()]
    found: list[tuple[str, AgentSpec]] = []
    for agent in agents:
        if not isinstance(agent, AgentLike):
            message = (
                f"{shortened(agent)} is no agent; give a mapping of names to functions, or values "
                "with name, handlers and state"
            )
            raise InvalidArgumentError(message)
        found.append((agent.name, agent))
    return found


def _lane(name: str, spec: AgentSpec, places: Mapping[str, str], at_once: int) -> Lane:
    if isinstance(spec, AgentLike):
        # What a simulated agent does takes no time; its handlers run at once, one by one.
        handlers = {
            activity: Performer.of(
                activity, function, places.get(activity, _place_of_agent(function))
            )
            for activity, function in spec.handlers.items()
        }
        if at_once != 1:
            message = f"agent {name!r} has a state, so it does one thing at a time; got {at_once}"
            raise InvalidArgumentError(message)
        return Lane(name, handlers, None, dict(spec.state), 1)
    if isinstance(spec, Mapping):
        handlers = {
            as_id(activity, f"an activity of {name!r}"): Performer.of(
                activity, function, places.get(activity)
            )
            for activity, function in spec.items()
        }
        return Lane(name, handlers, None, None, at_once)
    return Lane(name, {}, Performer.of(name, spec, places.get(name)), None, at_once)


def _place_of_agent(function: Handler) -> str | None:
    return None if inspect.iscoroutinefunction(function) else "inline"


def _limit(name: str, count: object) -> int:
    if type(count) is not int or not 1 <= count <= MAX_AT_ONCE:
        message = f"at_once of {name!r} is {count!r}; expected 1 to {MAX_AT_ONCE:,}"
        raise InvalidArgumentError(message)
    return count
