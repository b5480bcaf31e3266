"""Where the branches of one instance of a plan meet: ends of parallel parts, and barriers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowlab.workflow.plan_program import BarrierOp, JoinOp, Program


@dataclass(slots=True)
class Gate:
    """The state of one barrier.

    Args:
        opened: the event that opened it; None while it is shut.
        asked: whether its opening was asked for.
        arrived: the agents that have.
        through: the arrivals by which each of them was the first to.
        waiting: the branches there, each with its arrival.
    """

    opened: int | None = None
    asked: bool = False
    arrived: set[str] = field(default_factory=set)
    through: list[int] = field(default_factory=list)
    waiting: list[tuple[BarrierOp, int]] = field(default_factory=list)

    def arrive(self, op: BarrierOp, ref: int) -> bool:
        """Let a branch wait; say whether the barrier is to open now."""
        if not self.arrived.issuperset(op.arrives):
            self.arrived.update(op.arrives)
            self.through.append(ref)
        self.waiting.append((op, ref))
        self.asked, before = self.arrived.issuperset(op.required), self.asked
        return self.asked and not before

    def open(self, ref: int) -> list[tuple[BarrierOp, tuple[int, ...]]]:
        """Open it; return the branches that go on, and what each of them has waited for."""
        self.opened = ref
        through = set(self.through)
        waiting, self.waiting = self.waiting, []
        return [(op, (ref,) if own in through else (ref, own)) for op, own in waiting]

    def to_json(self) -> list[Any]:
        """Return it as JSON."""
        waiting = [[op.index, ref] for op, ref in self.waiting]
        return [self.opened, self.asked, sorted(self.arrived), list(self.through), waiting]

    @classmethod
    def from_json(cls, value: Any, program: Program) -> Gate:
        """Read what `to_json` wrote."""
        opened, asked, arrived, through, waiting = value
        there = []
        for index, ref in waiting:
            op = program.points[index]
            assert isinstance(op, BarrierOp)
            there.append((op, ref))
        return cls(opened, asked, set(arrived), list(through), there)


class Meetings:
    """The parallel parts that are under way, and the barriers that somebody has come to.

    Example:
        >>> from flowlab.workflow.plan_program import EndOp
        >>> both, meetings = JoinOp(0, None, (), 2, EndOp()), Meetings()
        >>> meetings.fork(both)
        >>> meetings.end(both, [4]), meetings.end(both, [7]), meetings.idle
        (None, [4, 7], True)
    """

    __slots__ = ("_gates", "_joins")

    def __init__(self) -> None:
        self._joins: dict[int, tuple[int, list[int]]] = {}
        self._gates: dict[str, Gate] = {}

    def __repr__(self) -> str:
        return f"Meetings({len(self._joins)} parallel, {len(self._gates)} barriers)"

    @property
    def idle(self) -> bool:
        """Whether nothing runs side by side now."""
        return not self._joins

    def fork(self, join: JoinOp) -> None:
        """Begin a parallel part."""
        self._joins[join.index] = (join.branches, [])

    def end(self, join: JoinOp, refs: list[int]) -> list[int] | None:
        """End a branch that has waited for some events; after the last, return those of all."""
        left, ends = self._joins[join.index]
        ends += refs
        if left > 1:
            self._joins[join.index] = (left - 1, ends)
            return None
        del self._joins[join.index]
        return ends

    def gate(self, name: str) -> Gate:
        """Return the state of a barrier."""
        if name not in self._gates:
            self._gates[name] = Gate()
        return self._gates[name]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "joins": [[index, left, list(ends)] for index, (left, ends) in self._joins.items()],
            "gates": {name: gate.to_json() for name, gate in self._gates.items()},
        }

    @classmethod
    def from_json(cls, value: Any, program: Program) -> Meetings:
        """Read what `to_json` wrote."""
        meetings = cls()
        for index, left, ends in value["joins"]:
            meetings._joins[index] = (left, list(ends))
        for name, gate in value["gates"].items():
            meetings._gates[name] = Gate.from_json(gate, program)
        return meetings
