"""What followed from what in one instance of a plan, kept as far as a meeting may ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowlab.events import CauseKind
from flowlab.workflow.plan_command import Causes

PROGRAM = int(CauseKind.PROGRAM)
JOIN = int(CauseKind.JOIN)
FORK = int(CauseKind.FORK)
AFTER_TIMER = int(CauseKind.TIMER)


class Past:
    """The answers of one instance, and for each those that its request followed from.

    Example:
        >>> past = Past()
        >>> for ref, causes in [(1, ()), (3, ((1, 2),)), (5, ((1, 2),)), (6, ((3, 0),))]:
        ...     past.note(ref, causes)
        >>> past.meeting([1, 6, 5]), past.frontier()
        (((5, 3), (6, 3)), ((5, 3), (6, 3)))
    """

    __slots__ = ("_asked", "_why")

    def __init__(self) -> None:
        self._why: dict[int, tuple[int, Causes]] = {}
        self._asked: dict[int, Causes] = {}

    def __repr__(self) -> str:
        return f"Past({len(self._why)} events)"

    def note(self, ref: int, causes: Causes) -> None:
        """Take note of an event; those it follows from were noted before."""
        self._why[ref] = (len(self._why), causes)

    def asked(self, step: int, causes: Causes) -> None:
        """Take note of why a step is asked for."""
        self._asked[step] = causes

    def answered(self, step: int, ref: int) -> None:
        """Take note of the answer to what a step was asked for last."""
        why = self._why
        why[ref] = (len(why), self._asked.pop(step, ()))

    def meeting(self, refs: Iterable[int]) -> Causes:
        """Return events as causes, without those that others of them follow from."""
        why = self._why
        kept = sorted(set(refs), key=why.__getitem__)
        if len(kept) > 1:
            earliest = why[kept[0]][0]
            implied: set[int] = set()
            todo = list(kept)
            while todo:
                for ref, _ in why[todo.pop()][1]:
                    # What came before all of them implies none of them.
                    if ref not in implied and ref in why and why[ref][0] >= earliest:
                        implied.add(ref)
                        todo.append(ref)
            kept = [ref for ref in kept if ref not in implied]
        kind = JOIN if len(kept) > 1 else PROGRAM
        return tuple((ref, kind) for ref in kept)

    def frontier(self) -> Causes:
        """Return the events that no other follows from, as causes."""
        implied = {ref for _, causes in self._why.values() for ref, _ in causes}
        kept = [ref for ref in self._why if ref not in implied]
        kind = JOIN if len(kept) > 1 else PROGRAM
        return tuple((ref, kind) for ref in kept)

    def forget(self, causes: Causes) -> None:
        """Forget what came before some events from which all that comes will follow."""
        self._why = {ref: (place, ()) for place, (ref, _) in enumerate(causes)}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "why": [[ref, _listed(causes)] for ref, (_, causes) in self._why.items()],
            "asked": [[step, _listed(causes)] for step, causes in self._asked.items()],
        }

    @classmethod
    def from_json(cls, value: Any) -> Past:
        """Read what `to_json` wrote."""
        past = cls()
        for ref, causes in value["why"]:
            past.note(ref, _causes(causes))
        for step, causes in value["asked"]:
            past.asked(step, _causes(causes))
        return past


def _listed(causes: Causes) -> list[list[int]]:
    return [list(cause) for cause in causes]


def _causes(value: Any) -> Causes:
    return tuple((ref, kind) for ref, kind in value)
