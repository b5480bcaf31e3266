"""A choreography: who reacts to which event by emitting which, as a value that nobody conducts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, get_args

from flowlab.errors import LimitError, PlanError
from flowlab.workflow.plan_drawing import Drawing, DrawnEdge, DrawnNode, EdgeKind
from flowlab.workflow.plan_json import compensation_from_json, compensation_to_json
from flowlab.workflow.step import (
    Compensation,
    StepKind,
    as_compensation,
    name_of,
    set_fields,
)
from flowlab.workflow.strict_json import built, flag, items, load, members, text, texts, version

CHOREOGRAPHY_VERSION: Final = 1
"""The version of a choreography's JSON that this flowlab reads and writes."""

MAX_REACTIONS: Final = 2_000
"""Most reactions of a choreography."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Reaction:
    """What one agent does when it hears of an event.

    Args:
        agent: who reacts.
        on: the event that it reacts to.
        emits: the events that it emits when its activity has succeeded, all of them in this order.
        activity: what is done; the event's name by default.
        kind: "compensable", "pivot" or "retryable", as of a step.
        fails_with: the event that it emits when the activity fails; None where none is.
        compensation: what undoes it, as of a step.
        undone_by: the events on which the compensation runs.
        effect: False for a compensable reaction that changes nothing.
        idempotent: whether doing it twice is the same as once.

    Example:
        >>> Reaction(
        ...     "kitchen", on="OrderPlaced", emits="TicketMade", activity="make_ticket",
        ...     compensation="drop_ticket", undone_by="PaymentRefused",
        ... )
        Reaction('kitchen', on='OrderPlaced', emits=('TicketMade',))
    """

    agent: str
    on: str
    emits: tuple[str, ...]
    activity: str
    kind: StepKind
    fails_with: str | None
    compensation: Compensation | None
    undone_by: tuple[str, ...]
    effect: bool
    idempotent: bool

    def __init__(
        self,
        agent: str,
        *,
        on: str,
        emits: str | Iterable[str] = (),
        activity: str | None = None,
        kind: StepKind = "compensable",
        fails_with: str | None = None,
        compensation: str | Compensation | None = None,
        undone_by: str | Iterable[str] = (),
        effect: bool = True,
        idempotent: bool = False,
    ) -> None:
        name_of(agent, "an agent")
        what = f"the reaction of {agent!r} to {name_of(on, 'an event')!r}"
        if kind not in get_args(StepKind):
            kinds = ", ".join(get_args(StepKind))
            message = f"{what} is of the kind {kind!r}; kinds are {kinds}"
            raise PlanError(message)
        set_fields(
            self,
            agent=agent,
            on=on,
            emits=_events(emits, what),
            activity=name_of(on if activity is None else activity, "an activity"),
            kind=kind,
            fails_with=None if fails_with is None else name_of(fails_with, "an event"),
            compensation=as_compensation(compensation, what),
            undone_by=_events(undone_by, what),
            effect=effect,
            idempotent=idempotent,
        )
        self._check(what)

    def _check(self, what: str) -> None:
        message = ""
        if not isinstance(self.effect, bool) or not isinstance(self.idempotent, bool):
            message = f"{what}: effect and idempotent are True or False"
        elif self.compensation is not None and (self.kind != "compensable" or not self.effect):
            message = f"{what} has a compensation that never runs: it has nothing to be undone"
        elif not self.effect and self.kind != "compensable":
            message = f"{what} has effect=False, which only a compensable reaction says"
        elif self.undone_by and self.compensation is None:
            message = f"{what} says undone_by and not how: give compensation=..."
        elif self.kind == "retryable" and self.fails_with is not None:
            message = f"{what} is retryable, so it never emits {self.fails_with!r}"
        elif self.fails_with in self.emits:
            message = f"{what} emits {self.fails_with!r} whether it succeeds or fails"
        if message:
            raise PlanError(message)

    @property
    def may_emit(self) -> tuple[str, ...]:
        """The events that it may emit, the one of a failure last."""
        return self.emits if self.fails_with is None else (*self.emits, self.fails_with)

    def to_json(self) -> dict[str, Any]:
        """Return the reaction as JSON, without what has its default."""
        value: dict[str, Any] = {"agent": self.agent, "on": self.on, "emits": list(self.emits)}
        if self.activity != self.on:
            value["activity"] = self.activity
        if self.kind != "compensable":
            value["kind"] = self.kind
        if self.fails_with is not None:
            value["fails_with"] = self.fails_with
        if self.compensation is not None:
            value["compensation"] = compensation_to_json(self.compensation)
        if self.undone_by:
            value["undone_by"] = list(self.undone_by)
        if not self.effect:
            value["effect"] = False
        return value | ({"idempotent": True} if self.idempotent else {})

    @classmethod
    def from_json(cls, value: Any, at: str = "$") -> Reaction:
        """Return the reaction of a JSON value; errors begin with its place."""
        members(value, at, required=("agent", "on"), optional=_OPTIONAL)
        fields: dict[str, Any] = {
            name: text(value[name], f"{at}.{name}")
            for name in ("agent", "on", "activity", "kind", "fails_with")
            if name in value
        }
        for name in ("emits", "undone_by"):
            fields[name] = texts(value.get(name, []), f"{at}.{name}")
        for name in ("effect", "idempotent"):
            if name in value:
                fields[name] = flag(value[name], f"{at}.{name}")
        if "compensation" in value:
            undo = compensation_from_json(value["compensation"], f"{at}.compensation")
            fields["compensation"] = undo
        return built(at, lambda: cls(**fields))

    def __repr__(self) -> str:
        fails = "" if self.fails_with is None else f", fails_with={self.fails_with!r}"
        return f"Reaction({self.agent!r}, on={self.on!r}, emits={self.emits!r}{fails})"


_OPTIONAL: Final = (
    *("emits", "activity", "kind", "fails_with"),
    *("compensation", "undone_by", "effect", "idempotent"),
)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Choreography:
    """Reactions that make a saga together, from the events that start it to the final ones.

    Args:
        reactions: who reacts to what.
        start: the event or events that come from outside.
        final: the events that nobody needs to react to.
        name: what it is called.
        agents: who may take part; None means whoever reacts.

    Example:
        >>> order = Choreography(
        ...     Reaction("bank", on="Placed", emits="Paid", kind="pivot", fails_with="Refused"),
        ...     start="Placed", final=["Paid", "Refused"], name="order",
        ... )
        >>> print(order)
        order
        └─ Placed (start)
           └─ bank does Placed, pivot → Paid; or Refused
        >>> Choreography.from_json(order.to_json()) == order
        True
    """

    reactions: tuple[Reaction, ...]
    start: tuple[str, ...]
    final: tuple[str, ...]
    name: str
    agents: tuple[str, ...] | None

    def __init__(
        self,
        *reactions: Reaction,
        start: str | Iterable[str],
        final: str | Iterable[str] = (),
        name: str = "choreography",
        agents: Iterable[str] | None = None,
    ) -> None:
        name_of(name, "a choreography")
        wrong = next((item for item in reactions if not isinstance(item, Reaction)), None)
        if wrong is not None:
            message = f"a choreography is made of Reaction(agent, on=..., emits=...); got {wrong!r}"
            raise PlanError(message)
        if len(reactions) > MAX_REACTIONS:
            message = f"{len(reactions)} reactions, more than MAX_REACTIONS = {MAX_REACTIONS}"
            raise LimitError(message)
        if isinstance(agents, str):
            message = f"agents is a list of names; got the text {agents!r}"
            raise PlanError(message)
        known = None if agents is None else tuple(sorted({name_of(a, "an agent") for a in agents}))
        what = f"choreography {name!r}"
        started, ended = _events(start, what), _events(final, what)
        set_fields(self, reactions=reactions, start=started, final=ended, name=name, agents=known)

    @property
    def events(self) -> tuple[str, ...]:
        """Every event that is named, in the order in which it first is."""
        found = dict.fromkeys(self.start)
        for reaction in self.reactions:
            found |= dict.fromkeys((reaction.on, *reaction.may_emit, *reaction.undone_by))
        return tuple(found | dict.fromkeys(self.final))

    def to_json(self) -> dict[str, Any]:
        """Return the choreography as JSON, with the version of its form."""
        value: dict[str, Any] = {
            "version": CHOREOGRAPHY_VERSION,
            "name": self.name,
            "start": list(self.start),
            "final": list(self.final),
            "reactions": [reaction.to_json() for reaction in self.reactions],
        }
        return value if self.agents is None else value | {"agents": list(self.agents)}

    @classmethod
    def from_json(cls, document: Any) -> Choreography:
        """Return the choreography of a JSON document, as text or as its value.

        Raises:
            PlanError: the text is damaged, or a field, a type or a version is wrong; the message
                begins with the place.
        """
        value = load(document, "a choreography")
        required = ("version", "start", "reactions")
        members(value, "$", required=required, optional=("name", "final", "agents"))
        version(value, CHOREOGRAPHY_VERSION, "choreographies")
        found = [Reaction.from_json(*item) for item in items(value["reactions"], "$.reactions")]
        fields: dict[str, Any] = {
            name: texts(value[name], f"$.{name}")
            for name in ("start", "final", "agents")
            if name in value
        }
        if "name" in value:
            fields["name"] = text(value["name"], "$.name")
        return built("$", lambda: cls(*found, **fields))

    def drawing(self) -> Drawing:
        """Return what a picture shows: events, reactions, and the arrows between them."""
        nodes = [DrawnNode(f"event:{event}", "event", event) for event in self.events]
        edges = []
        for position, reaction in enumerate(self.reactions):
            here = f"{position}:{reaction.activity}"
            nodes.append(DrawnNode(here, "step", reaction.activity, reaction.agent, reaction.kind))
            edges.append(DrawnEdge(f"event:{reaction.on}", here, "next"))
            for event in reaction.may_emit:
                kind: EdgeKind = "emits" if event in reaction.emits else "fails"
                edges.append(DrawnEdge(here, f"event:{event}", kind))
            if reaction.compensation is not None:
                undo, by = f"{here}+compensation", reaction.compensation.agent or reaction.agent
                label = reaction.compensation.activity
                nodes.append(DrawnNode(undo, "compensation", label, by))
                edges += [DrawnEdge(f"event:{on}", undo, "undoes") for on in reaction.undone_by]
                edges.append(DrawnEdge(undo, here, "compensates"))
        return Drawing(tuple(nodes), tuple(edges))

    def __str__(self) -> str:
        heard = [event for event in self.events if self._on(event)]
        lines = [self.name]
        for event in heard:
            last = event == heard[-1]
            lines.append(f"{'└─' if last else '├─'} {event}{' (start)' * (event in self.start)}")
            reactions = self._on(event)
            for reaction in reactions:
                branch = "└─" if reaction is reactions[-1] else "├─"
                lines.append(f"{'   ' if last else '│  '}{branch} {_headline(reaction)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        count = len(self.reactions)
        many = "s" * (count != 1)
        return f"Choreography({self.name!r}, {count} reaction{many}, start {', '.join(self.start)})"

    def _on(self, event: str) -> list[Reaction]:
        return [reaction for reaction in self.reactions if reaction.on == event]


def _events(value: object, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable) or isinstance(value, (set, frozenset)):
        message = f"{what}: events are a name or a list of names; got {value!r}"
        raise PlanError(message)
    found = tuple(name_of(event, "an event") for event in value)
    if len(set(found)) < len(found):
        message = f"{what} names an event twice: {', '.join(found)}"
        raise PlanError(message)
    return found


def _headline(reaction: Reaction) -> str:
    facts = [f"{reaction.agent} does {reaction.activity}"]
    if reaction.kind != "compensable":
        facts.append(reaction.kind)
    if reaction.compensation is not None:
        by = f" on {', '.join(reaction.undone_by)}" if reaction.undone_by else ""
        facts.append(f"undone by {reaction.compensation.activity}{by}")
    emits = ", ".join(reaction.emits) or "nothing"
    fails = "" if reaction.fails_with is None else f"; or {reaction.fails_with}"
    return f"{', '.join(facts)} → {emits}{fails}"
