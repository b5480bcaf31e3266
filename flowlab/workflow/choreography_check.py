"""Whether a choreography can run as meant: each refusal names the reaction, the event and the rule.

The order of steps is judged along chains of events of success: a reaction that follows a pivot is
one that an event of its success leads to. Two reactions that no chain connects run in any order,
and nobody is there to order them, so nothing is said of those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from flowlab.errors import PlanError
from flowlab.workflow.choreography import Choreography, Reaction
from flowlab.workflow.plan_check import PlanProblem

CHOREOGRAPHY_RULES: Final[dict[str, str]] = {
    "empty": "a choreography has a reaction and a start",
    "unknown-agent": "every agent is one of the agents that may take part",
    "duplicate-reaction": "no agent reacts twice to one event by one activity",
    "never-emitted": "every event that is reacted to starts the saga, or somebody emits it",
    "never-heard": "every event that is emitted is reacted to, undoes something, or is final",
    "cycle": "no event leads to itself",
    "no-compensation": "a compensable reaction with an effect says how and when it is undone",
    "not-idempotent": "a retryable reaction is declared idempotent",
    "compensable-after-pivot": "no compensable reaction follows from a pivot's success",
    "two-pivots": "no pivot follows from another's success",
}
"""The rules of `check_choreography`, by name."""


def check_choreography(
    choreography: Choreography, *, agents: Collection[str] | None = None
) -> Choreography:
    """Return the choreography if it keeps every rule of `CHOREOGRAPHY_RULES`.

    Raises:
        PlanError: it breaks a rule; the message names each reaction, event and rule.

    Example:
        >>> check_choreography(Choreography(
        ...     Reaction("a", on="Ping", emits="Pong", effect=False),
        ...     Reaction("b", on="Pong", emits="Ping", effect=False),
        ...     start="Ping",
        ... ))
        Traceback (most recent call last):
        flowlab.errors.PlanError: ... leads back to itself: Ping → (a) → Pong → (b) → Ping; ...
    """
    found = choreography_problems(choreography, agents=agents)
    if found:
        shown = "\n  ".join(map(str, found[:5]))
        more = f"\n  and {len(found) - 5} more" * (len(found) > 5)  # noqa: PLR2004 - five are shown
        gap = "\n  " if len(found) > 1 else " "
        message = f"choreography {choreography.name!r} cannot run:{gap}{shown}{more}"
        raise PlanError(message)
    return choreography


def choreography_problems(
    choreography: Choreography, *, agents: Collection[str] | None = None
) -> tuple[PlanProblem, ...]:
    """Return every rule that a choreography breaks, in the order of the reactions.

    Example:
        >>> once = Choreography(Reaction("a", on="Ping", emits="Pong", effect=False), start="Ping")
        >>> print(*choreography_problems(once))
        the event 'Pong' is emitted by 'a' and nobody reacts to it; ... [never-heard]
    """
    if isinstance(agents, str):
        message = f"agents is a list of names; got the text {agents!r}"
        raise PlanError(message)
    known = choreography.agents if agents is None else agents
    checks: list[Callable[[], Iterator[PlanProblem]]] = [
        lambda: _empty(choreography),
        lambda: iter(()) if known is None else _unknown_agents(choreography, known),
        lambda: _duplicates(choreography),
        lambda: _events(choreography),
        lambda: _cycles(choreography),
        lambda: _kinds(choreography),
        lambda: _pivots(choreography),
    ]
    return tuple(problem for check in checks for problem in check())


def _empty(choreography: Choreography) -> Iterator[PlanProblem]:
    if not choreography.reactions:
        message = f"choreography {choreography.name!r} has no reaction; add a Reaction(...)"
        yield PlanProblem("empty", "", message)
    if not choreography.start:
        message = f"choreography {choreography.name!r} has no event that starts it; give start=..."
        yield PlanProblem("empty", "", message)


def _unknown_agents(choreography: Choreography, known: Collection[str]) -> Iterator[PlanProblem]:
    have = ", ".join(sorted(known)) or "nobody"
    for node_id, reaction in _located(choreography):
        undo = reaction.compensation
        for agent in (reaction.agent, undo.agent if undo else None):
            if agent is not None and agent not in known:
                message = f"{_named(reaction)} names the agent {agent!r}; there is {have}"
                yield PlanProblem("unknown-agent", node_id, message)


def _duplicates(choreography: Choreography) -> Iterator[PlanProblem]:
    seen: set[tuple[str, str, str]] = set()
    for node_id, reaction in _located(choreography):
        key = (reaction.agent, reaction.on, reaction.activity)
        if key in seen:
            message = f"{_named(reaction)} by {reaction.activity!r} stands twice; take one out"
            yield PlanProblem("duplicate-reaction", node_id, message)
        seen.add(key)


def _events(choreography: Choreography) -> Iterator[PlanProblem]:
    emitted = {event for reaction in choreography.reactions for event in reaction.may_emit}
    heard = {reaction.on for reaction in choreography.reactions}
    undoing = {event for reaction in choreography.reactions for event in reaction.undone_by}
    there = emitted.union(choreography.start)
    for node_id, reaction in _located(choreography):
        for event in (reaction.on, *reaction.undone_by):
            if event not in there:
                message = (
                    f"{_named(reaction)} waits for the event {event!r}, which nobody emits; "
                    f"emitted are {', '.join(sorted(there)) or 'none'}, or name it in start=..."
                )
                yield PlanProblem("never-emitted", node_id, message)
    known = heard.union(undoing, choreography.final)
    for event in choreography.events:
        if event in there and event not in known:
            by = ", ".join(repr(r.agent) for r in choreography.reactions if event in r.may_emit)
            source = f"is emitted by {by}" if by else "starts the saga"
            message = (
                f"the event {event!r} {source} and nobody reacts to it; add a reaction, or name it "
                "in final=..."
            )
            yield PlanProblem("never-heard", "", message)


def _cycles(choreography: Choreography) -> Iterator[PlanProblem]:
    reacting = _reacting(choreography)
    finished: set[str] = set()
    for root in choreography.events:
        # (event, reactions yet to be followed); the path is the stack itself
        stack: list[tuple[str, Iterator[tuple[str, str]]]] = []
        if root not in finished:
            stack.append((root, iter(reacting.get(root, ()))))
        through: list[str] = []
        while stack:
            event, following = stack[-1]
            agent, emitted = next(following, ("", ""))
            on_path = [name for name, _ in stack]
            if not emitted:
                finished.add(event)
                stack.pop()
                if through:
                    through.pop()
            elif emitted in on_path:
                start = on_path.index(emitted)
                agents = [*through[start:], agent]
                steps = zip(on_path[start:], agents, strict=True)
                path = " → ".join(f"{name} → ({by})" for name, by in steps)
                message = (
                    f"the event {emitted!r} leads back to itself: {path} → {emitted}; give one "
                    "reaction an event of its own"
                )
                yield PlanProblem("cycle", "", message)
            elif emitted not in finished:
                through.append(agent)
                stack.append((emitted, iter(reacting.get(emitted, ()))))


def _kinds(choreography: Choreography) -> Iterator[PlanProblem]:
    for node_id, reaction in _located(choreography):
        if reaction.kind == "compensable" and reaction.effect:
            if reaction.compensation is None:
                message = (
                    f"{_named(reaction)} is compensable and names no compensation; give "
                    "compensation=... and undone_by=..., or effect=False if it changes nothing"
                )
                yield PlanProblem("no-compensation", node_id, message)
            elif not reaction.undone_by:
                message = (
                    f"{_named(reaction)} has a compensation that no event starts; give "
                    "undone_by=... with the events after which it is undone"
                )
                yield PlanProblem("no-compensation", node_id, message)
        if reaction.kind == "retryable" and not reaction.idempotent:
            message = (
                f"{_named(reaction)} is retryable but not declared idempotent: a retry would do it "
                "twice. Make the activity so that twice is once, and say idempotent=True"
            )
            yield PlanProblem("not-idempotent", node_id, message)


def _pivots(choreography: Choreography) -> Iterator[PlanProblem]:
    for _, pivot in _located(choreography):
        if pivot.kind != "pivot":
            continue
        after = _after_success(choreography, pivot)
        for node_id, reaction in _located(choreography):
            if reaction.on not in after or reaction is pivot or reaction.kind == "retryable":
                continue
            rule = "two-pivots" if reaction.kind == "pivot" else "compensable-after-pivot"
            message = (
                f"{_named(reaction)} is {reaction.kind} and follows the pivot, "
                f"{_named(pivot)}, after which there is no way back; make it retryable"
            )
            yield PlanProblem(rule, node_id, message)


def _after_success(choreography: Choreography, first: Reaction) -> set[str]:
    found: set[str] = set()
    todo = list(first.emits)
    while todo:
        event = todo.pop()
        if event not in found:
            found.add(event)
            todo += (e for r in choreography.reactions if r.on == event for e in r.may_emit)
    return found


def _reacting(choreography: Choreography) -> dict[str, list[tuple[str, str]]]:
    following: dict[str, list[tuple[str, str]]] = {}
    for reaction in choreography.reactions:
        edges = ((reaction.agent, event) for event in reaction.may_emit)
        following.setdefault(reaction.on, []).extend(edges)
    return following


def _located(choreography: Choreography) -> Iterator[tuple[str, Reaction]]:
    for position, reaction in enumerate(choreography.reactions):
        yield f"{position}:{reaction.activity}", reaction


def _named(reaction: Reaction) -> str:
    return f"the reaction of {reaction.agent!r} to {reaction.on!r}"
