"""The states of a workflow as values, and the table of the transitions between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from flowlab.errors import IllegalTransitionError


class _Shown:
    """Shows sets in order: a repr is the same in every process."""

    __slots__ = ()

    def __repr__(self) -> str:
        told = []
        for name in self.__dataclass_fields__:  # type: ignore[attr-defined]
            value = getattr(self, name)
            if isinstance(value, frozenset):
                text = "{" + ", ".join(map(repr, sorted(value))) + "}"
            else:
                text = repr(dict(value) if isinstance(value, Mapping) else value)
            told.append(f"{name}={text}")
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, slots=True, repr=False)
class Initiated(_Shown):
    """It has begun, and neither an agent nor a child has been asked for anything.

    Args:
        agents: who may take part.
    """

    agents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, repr=False)
class AgentExecuting(_Shown):
    """Agents and children work; several at once, since branches run in parallel.

    Args:
        current: who is asked and has not answered: agents, and children by their workflow ids.
        pending: which of what they are asked for nobody has begun, by activity.
    """

    current: frozenset[str] = frozenset()
    pending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Compensating(_Shown):
    """Something failed for good, and what was done is being undone.

    Args:
        failed_agents: whose work failed: agents, and children by their workflow ids.
        compensation_chain: the steps still to be undone, by an agent or by a child, the next one
            first; of a plan those whose compensation is asked for, since its log tells no more.
    """

    failed_agents: frozenset[str] = frozenset()
    compensation_chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Completed(_Shown):
    """It ended well.

    Args:
        results: by step.
    """

    results: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", MappingProxyType(dict(self.results)))


@dataclass(frozen=True, slots=True, repr=False)
class Failed(_Shown):
    """It ended badly.

    Args:
        error: what failed.
        final_state: the effects left uncompensated, by the steps, activities or children that they
            are of: whatever was done and not undone, the pivot and retryable steps included;
            `states_of` says which are listed.
    """

    error: str = ""
    final_state: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Canceled(_Shown):
    """It was asked to stop, and has.

    Args:
        reason: why, as given by who asked.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class ContinuedAsNew(_Shown):
    """Its history ended so that the next generation begins with a short one.

    Args:
        generation: the one that follows.
    """

    generation: int = 0


WorkflowState = (
    Initiated | AgentExecuting | Compensating | Completed | Failed | Canceled | ContinuedAsNew
)
"""Every state of a workflow."""

TRANSITIONS: Final[Mapping[type, tuple[type, ...]]] = MappingProxyType(
    {
        Initiated: (AgentExecuting, Compensating, Completed, Failed, Canceled, ContinuedAsNew),
        AgentExecuting: (
            AgentExecuting,
            Compensating,
            Completed,
            Failed,
            Canceled,
            ContinuedAsNew,
        ),
        Compensating: (Compensating, Completed, Failed, Canceled, ContinuedAsNew),
        Completed: (Compensating,),
        Failed: (),
        Canceled: (),
        ContinuedAsNew: (Initiated,),
    }
)
"""From each state to those that may follow it.

`Compensating` to `Completed` is a workflow that handled a failure and went on to a good end, or
to `ContinuedAsNew` to its next generation;
`Completed` to `Compensating` is a child that its parent undoes.
"""

TERMINAL: Final = frozenset({Completed, Failed, Canceled, ContinuedAsNew})
"""The states that end a workflow, or its generation."""


def transition(state: WorkflowState, following: WorkflowState) -> WorkflowState:
    """Return the state that follows, if it may.

    Raises:
        IllegalTransitionError: it may not; the message shows the table.

    Example:
        >>> transition(Initiated(), AgentExecuting(frozenset({"airline"})))
        AgentExecuting(current={'airline'}, pending=())
    """
    if type(following) in TRANSITIONS[type(state)]:
        return following
    message = (
        f"{type(state).__name__} cannot become {type(following).__name__}; the transitions are\n"
        f"{transition_table()}"
    )
    raise IllegalTransitionError(message)


def transition_table() -> str:
    """Return the table of transitions as text, a line for each state.

    Example:
        >>> print(transition_table().splitlines()[3])
        Completed -> Compensating
    """
    return "\n".join(
        f"{state.__name__} -> {', '.join(to.__name__ for to in following) or '(end)'}"
        for state, following in TRANSITIONS.items()
    )
