"""What is done in a plan, and where it waits: `Step`, its `Compensation`, and `Barrier`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from flowlab.errors import LimitError, PlanError
from flowlab.workflow.durations import Duration, as_ns
from flowlab.workflow.retry import RetryPolicy
from flowlab.workflow.template import Place, Template

StepKind = Literal["compensable", "pivot", "retryable"]
"""What a step may do: be undone, decide, or be tried until it succeeds."""

STEP_KINDS: Final[tuple[StepKind, ...]] = get_args(StepKind)

MAX_NAME_CHARS: Final = 200
"""Longest name of a step, an agent, an activity, a barrier or a plan."""


class Node:
    """A part of a plan: `Step`, `Sequential`, `Parallel`, `Conditional` or `Barrier`.

    Nodes are immutable values: two with the same content are equal, and hash alike.

    Example:
        >>> isinstance(Barrier("ready", ["a"]), Node)
        True
    """

    __slots__ = ()

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes inside, by position."""
        return ()

    @property
    def places(self) -> tuple[Place, ...]:
        """The data of later that this node itself reads: its input, or its condition."""
        return ()


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Compensation:
    """What undoes a step that has completed, where its activity's name does not say enough.

    Args:
        activity: the activity that undoes the step.
        agent: who does it; None means the agent of the step.
        input: a JSON value that may hold `field(...)` and `result(...)`, the result of the step to
            undo included; None hands over {"input": ..., "result": ...}, those of the step. A step
            that was not answered in time may have happened: its result is null there.
        retry: how it is tried again.
        timeout: nanoseconds or a timedelta.

    Example:
        >>> from flowlab.workflow import result
        >>> Compensation("refund", input={"receipt": result("charge", "receipt")})
        Compensation('refund', input={"receipt":{"$result":["charge","receipt"]}})
    """

    activity: str
    agent: str | None
    input: Template | None
    retry: RetryPolicy | None
    timeout: int | None

    def __init__(
        self,
        activity: str,
        *,
        agent: str | None = None,
        input: Any = None,  # noqa: A002 - what the field calls it
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
    ) -> None:
        what = f"the compensation {activity!r}"
        set_fields(
            self,
            activity=name_of(activity, "an activity"),
            agent=None if agent is None else name_of(agent, "an agent"),
            input=None if input is None else Template.of(input),
            retry=_retry(retry, what),
            timeout=_timeout(timeout, what),
        )

    def __repr__(self) -> str:
        return _call(
            "Compensation",
            self.activity,
            self,
            {"agent": None, "input": None, "retry": None, "timeout": None},
        )


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Step(Node):
    """One activity of one agent, and what its failure may mean.

    Args:
        name: what the plan calls it; no two steps of a plan have one name.
        agent: who does it.
        activity: what is done; the step's name by default.
        input: a JSON value that may hold `field(...)` and `result(...)`.
        kind: "compensable" (it may fail, and is undone by its compensation), "pivot" (the last that
            may fail: after it there is no way back) or "retryable" (tried until it succeeds).
        compensation: the activity that undoes it, by name or as a `Compensation`.
        effect: False for a compensable step that changes nothing, so there is nothing to undo.
        idempotent: whether doing it twice is the same as once; a retryable step must say so.
        retry: how it is tried again.
        timeout: nanoseconds or a timedelta.

    Raises:
        PlanError: an argument cannot be; nothing is made.

    Example:
        >>> from flowlab.workflow import field
        >>> Step("charge", agent="bank", input={"amount": field("total")}, compensation="refund")
        Step('charge', agent='bank', input={"amount":{"$state":["total"]}}, compensation='refund')
    """

    name: str
    agent: str
    activity: str
    input: Template | None
    kind: StepKind
    compensation: Compensation | None
    effect: bool
    idempotent: bool
    retry: RetryPolicy | None
    timeout: int | None

    def __init__(
        self,
        name: str,
        *,
        agent: str,
        activity: str | None = None,
        input: Any = None,  # noqa: A002 - what the field calls it
        kind: StepKind = "compensable",
        compensation: str | Compensation | None = None,
        effect: bool = True,
        idempotent: bool = False,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
    ) -> None:
        what = f"step {name_of(name, 'a step')!r}"
        if kind not in STEP_KINDS:
            message = f"{what} is of the kind {kind!r}; kinds are {', '.join(STEP_KINDS)}"
            raise PlanError(message)
        if not isinstance(effect, bool) or not isinstance(idempotent, bool):
            message = f"{what}: effect and idempotent are True or False"
            raise PlanError(message)
        set_fields(
            self,
            name=name,
            agent=name_of(agent, "an agent"),
            activity=name if activity is None else name_of(activity, "an activity"),
            input=None if input is None else Template.of(input),
            kind=kind,
            compensation=as_compensation(compensation, what),
            effect=effect,
            idempotent=idempotent,
            retry=_retry(retry, what),
            timeout=_timeout(timeout, what),
        )
        self._check_compensation(what)

    def _check_compensation(self, what: str) -> None:
        if self.compensation is not None and self.kind != "compensable":
            message = (
                f"{what} is {self.kind} and has a compensation, which would never run: only a "
                "compensable step is undone. Leave it out, or change the kind"
            )
            raise PlanError(message)
        if not self.effect and (self.compensation is not None or self.kind != "compensable"):
            message = (
                f"{what} has effect=False, which says that a compensable step leaves nothing to "
                "undo; it goes with no compensation and no other kind"
            )
            raise PlanError(message)

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return () if self.input is None else self.input.places

    def __repr__(self) -> str:
        defaults = {
            "agent": None,
            "activity": self.name,
            "input": None,
            "kind": "compensable",
            "compensation": None,
            "effect": True,
            "idempotent": False,
            "retry": None,
            "timeout": None,
        }
        return _call("Step", self.name, self, defaults)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Barrier(Node):
    """Where branches wait for each other: it opens when every required agent has arrived.

    A barrier of one name may stand in several branches; it is one barrier, with one set of required
    agents. Who arrives is told in `flowlab.workflow.plan_order`.

    Args:
        name: the name of the barrier.
        required_agents: who must arrive; their order says nothing.

    Example:
        >>> Barrier("ready", ["b", "a"])
        Barrier('ready', ('a', 'b'))
    """

    name: str
    required_agents: tuple[str, ...]

    def __init__(self, name: str, required_agents: Iterable[str]) -> None:
        name_of(name, "a barrier")
        if isinstance(required_agents, str) or not isinstance(required_agents, Iterable):
            message = f"barrier {name!r} needs a list of agents; got {required_agents!r}"
            raise PlanError(message)
        agents = sorted({name_of(agent, "an agent") for agent in required_agents})
        if not agents:
            message = f"barrier {name!r} requires no agent, so it would keep nobody; name some"
            raise PlanError(message)
        set_fields(self, name=name, required_agents=tuple(agents))

    def __repr__(self) -> str:
        return f"Barrier({self.name!r}, {self.required_agents!r})"


def name_of(value: object, what: str) -> str:
    """Return a name as it is: text of one line, not empty, without spaces around it.

    Example:
        >>> name_of("charge", "a step")
        'charge'
    """
    if not isinstance(value, str) or not value.isprintable() or value != value.strip() or not value:
        message = f"the name of {what} is text of one line without spaces around it; got {value!r}"
        raise PlanError(message)
    if len(value) > MAX_NAME_CHARS:
        message = (
            f"the name of {what} has {len(value)} characters, more than "
            f"MAX_NAME_CHARS = {MAX_NAME_CHARS}: {value[:40]!r}..."
        )
        raise LimitError(message)
    return value


def set_fields(value: object, **fields: Any) -> None:
    """Set the fields of a frozen value while it is made.

    Example:
        >>> step = Step("a", agent="x")
        >>> set_fields(step, agent="y")
        >>> step.agent
        'y'
    """
    for name, content in fields.items():
        object.__setattr__(value, name, content)


def as_compensation(value: object, what: str) -> Compensation | None:
    """Return a compensation that may be given by its activity's name.

    Example:
        >>> as_compensation("refund", "step 'charge'")
        Compensation('refund')
    """
    if value is None or isinstance(value, Compensation):
        return value
    if isinstance(value, str):
        return Compensation(value)
    message = (
        f"{what}: a compensation is the name of an activity, or Compensation(activity, agent=..., "
        f"input=...); got {value!r}"
    )
    raise PlanError(message)


def _retry(value: object, what: str) -> RetryPolicy | None:
    if value is None or isinstance(value, RetryPolicy):
        return value
    message = (
        f"{what}: retry is a RetryPolicy, as in RetryPolicy(maximum_attempts=3); got {value!r}"
    )
    raise PlanError(message)


def _timeout(value: Duration | None, what: str) -> int | None:
    return None if value is None else as_ns(value, f"the timeout of {what}", least=1)


def _call(of: str, first: str, value: object, defaults: dict[str, Any]) -> str:
    parts = [repr(first)]
    for name, default in defaults.items():
        content = getattr(value, name)
        if content != default:
            shown = content.text if isinstance(content, Template) else repr(content)
            if isinstance(content, Compensation) and content == Compensation(content.activity):
                shown = repr(content.activity)
            parts.append(f"{name}={shown}")
    return f"{of}({', '.join(parts)})"
