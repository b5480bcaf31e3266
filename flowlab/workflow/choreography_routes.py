"""Who hears which event of a choreography, and what each of its messages is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from flowlab.workflow.choreography import Choreography, Reaction


@dataclass(frozen=True, slots=True)
class Heard:
    """What one agent does about an event: a reaction, or the undoing of one.

    Attributes:
        reaction: what is done, or what is undone.
        index: its place in the choreography.
        undo: whether it is undone.
        agent, activity: who does what.
        step: what it is called.
    """

    reaction: Reaction
    index: int
    undo: bool
    agent: str
    activity: str
    step: str


class Routes:
    """The ways of the events of one choreography.

    Attributes:
        agents: who reacts or undoes.
        start: the event that the input of a workflow is.
        final: the events that nobody needs to react to.
        heard: by event, who hears it: those who react first, then those who undo.
        steps: what each reaction is called.
        reactions: of the choreography.
        joining: the events that may come about in several ways, each of them another event.
    """

    __slots__ = ("agents", "final", "heard", "joining", "reactions", "start", "steps")

    def __init__(self, choreography: Choreography) -> None:
        self.reactions = choreography.reactions
        self.start = choreography.start[0]
        self.final = frozenset(choreography.final)
        self.steps = _steps(choreography)
        self.joining = _joining(choreography)
        found: dict[str, list[Heard]] = {event: [] for event in choreography.events}
        for index, reaction in enumerate(choreography.reactions):
            step = self.steps[index]
            forward = Heard(reaction, index, False, reaction.agent, reaction.activity, step)
            found[reaction.on].append(forward)
        for index, reaction in enumerate(choreography.reactions):
            undo = reaction.compensation
            if undo is not None:
                agent = undo.agent or reaction.agent
                backward = Heard(reaction, index, True, agent, undo.activity, self.steps[index])
                for event in reaction.undone_by:
                    found[event].append(backward)
        self.heard: Mapping[str, tuple[Heard, ...]] = {
            event: tuple(listed) for event, listed in found.items()
        }

        self.agents = tuple(sorted({each.agent for listed in found.values() for each in listed}))

    def __repr__(self) -> str:
        return f"Routes({len(self.steps)} reactions)"


def _steps(choreography: Choreography) -> tuple[str, ...]:
    """Name each reaction by its activity, and by agent and event where that is not enough."""
    counts = Counter(reaction.activity for reaction in choreography.reactions)
    return tuple(
        reaction.activity
        if counts[reaction.activity] == 1
        else f"{reaction.agent}.{reaction.activity}@{reaction.on}"
        for reaction in choreography.reactions
    )


def _joining(choreography: Choreography) -> frozenset[str]:
    """Return the events that may come about in several ways, and those that follow from them."""
    sources = Counter(choreography.start)
    following: dict[str, set[str]] = {}
    for reaction in choreography.reactions:
        sources.update(reaction.may_emit)
        following.setdefault(reaction.on, set()).update(reaction.may_emit)
    found: set[str] = set()
    todo = [event for event, count in sources.items() if count > 1]
    while todo:
        event = todo.pop()
        if event not in found:
            found.add(event)
            todo += following.get(event, ())
    return frozenset(found)
