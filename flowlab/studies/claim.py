"""A claim: a statement that one command measures again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.studies.measuring import Scale, Spread


class Verdict(StrEnum):
    """What a measurement says of a statement."""

    HELD = "held"
    REFUTED = "refuted"
    RESTATED = "restated"
    REPORTED = "reported"


class Reliability(StrEnum):
    """How far the source of a statement can be trusted before it is measured."""

    ASSERTED = "asserted"
    MEASURED = "measured elsewhere"
    PROVED = "follows from the design"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on a measured value: at most, at least, or both.

    Raises:
        InvalidArgumentError: neither limit is given.

    Example:
        >>> Bound(at_most=1.25), Bound(at_most=1.25).holds(1.1), Bound(at_least=4).holds(3.9)
        (Bound(at most 1.25), True, False)
    """

    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if self.at_most is None and self.at_least is None:
            message = "a bound needs at_most, at_least or both"
            raise InvalidArgumentError(message)

    def holds(self, value: float) -> bool:
        """Whether a value is inside."""
        return not (
            (self.at_most is not None and value > self.at_most)
            or (self.at_least is not None and value < self.at_least)
        )

    def __str__(self) -> str:
        if self.at_most == self.at_least:
            return f"exactly {self.at_most:g}"
        most = None if self.at_most is None else f"at most {self.at_most:g}"
        least = None if self.at_least is None else f"at least {self.at_least:g}"
        return " and ".join(text for text in (least, most) if text)

    def __repr__(self) -> str:
        return f"Bound({self})"


EXACTLY_ZERO: Final = Bound(at_most=0, at_least=0)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured value with its spread.

    Args:
        value: the median, or a count.
        low, high: the quartiles of the repeated measurements; equal to `value` for a count.
        unit: of all three; a ratio has `x`.
        samples: how many measurements; 1 for a count.
        beside: what is printed with it: the floor, absolute figures, the workload.
        restated: whether the claim's restatement holds; None where the claim has none.
    """

    value: float
    low: float
    high: float
    unit: str
    samples: int = 1
    beside: dict[str, str] = field(default_factory=dict)
    restated: bool | None = None

    @classmethod
    def count(
        cls, value: float, unit: str, beside: dict[str, str], *, restated: bool | None = None
    ) -> Measurement:
        """Return an exact value, which has no spread."""
        return cls(value, value, value, unit, 1, beside, restated)

    @classmethod
    def faults(cls, wrong: Sequence[str], unit: str, beside: dict[str, str]) -> Measurement:
        """Return how much was wrong, the first of it in words."""
        told = {f"wrong {number}": text for number, text in enumerate(wrong[:9], 1)}
        return cls.count(len(wrong), unit, beside | told)

    @classmethod
    def ratio(cls, spread: Spread, beside: dict[str, str]) -> Measurement:
        """Return a ratio with its spread."""
        return cls(spread.median, spread.low, spread.high, "x", spread.count, beside)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A statement, where it comes from, and the function that measures it.

    Args:
        name: `area.word`; `flowlab check` takes either.
        statement: one sentence that can be false.
        source: who says so.
        reliability: of the source, before anything is measured.
        measure: measures at a scale; its docstring says how.
        gate: the statement is refuted outside; None for a figure that is reported.
        aim: what is hoped for; never a verdict.
        restatement: what holds instead, where the statement as such does not.

    Example:
        >>> claim = Claim(name="log.two", statement="One and one is two.", source="arithmetic",
        ...               reliability=Reliability.PROVED, gate=Bound(at_most=2, at_least=2),
        ...               measure=lambda scale: Measurement.count(1 + 1, "", {}))
        >>> claim.judge(claim.measure(Scale())).value
        'held'
    """

    name: str
    statement: str
    source: str
    reliability: Reliability
    measure: Callable[[Scale], Measurement]
    gate: Bound | None = None
    aim: Bound | None = None
    restatement: str = ""

    @property
    def area(self) -> str:
        """The first word of the name."""
        return self.name.partition(".")[0]

    def judge(self, found: Measurement) -> Verdict:
        """Return the verdict of a measurement."""
        if self.gate is None:
            return Verdict.REPORTED
        if self.gate.holds(found.value):
            return Verdict.HELD
        return Verdict.RESTATED if self.restatement and found.restated else Verdict.REFUTED

    def __repr__(self) -> str:
        return f"Claim({self.name!r})"
