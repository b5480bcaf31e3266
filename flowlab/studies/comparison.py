"""The arms of a campaign compared: what each gives, and what the difference is on equal worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from flowlab.errors import InvalidArgumentError
from flowlab.events.wording import brief
from flowlab.studies import comparison_text as words
from flowlab.studies.comparison_rows import ArmRows, Reader, read_outcomes, rows_of
from flowlab.studies.intervals import (
    Interval,
    check_confidence,
    mean_of,
    paired_rates,
    pairs_for_means,
    pairs_for_rates,
    wilson,
)

if TYPE_CHECKING:
    from flowlab.figures.estimates import Chart

_SCHEMA = {
    "arm": pl.String, "runs": pl.Int64, "successes": pl.Int64,
    "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "base": pl.String, "pairs": pl.Int64, "gained": pl.Int64, "lost": pl.Int64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    "detectable": pl.Boolean, "pairs_needed": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """What one arm gives.

    Args:
        label: the arm's value, as text.
        runs: how many.
        successes: of them; None where the outcome is a number.
        estimate: the rate with Wilson's interval, or the mean with Student's.

    Example:
        >>> ArmEstimate("off", 4, 3, wilson(3, 4))
        ArmEstimate(label='off', runs=4, successes=3, estimate=Interval(0.75, 0.3006 to 0.9544))
    """

    label: str
    runs: int
    successes: int | None
    estimate: Interval


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """What one arm gives more than the base on the same worlds.

    Args:
        arm, base: the labels.
        pairs: worlds that both arms ran.
        gained, lost: pairs in which only the arm succeeds, and only the base; None where the
            outcome is a number.
        alone: runs of either arm without a partner; they count in their arm, and not here.
        estimate: arm - base, with Tango's interval of paired rates or Student's of paired means.
        pairs_needed: how many pairs would tell with a power of 80 %, were the difference and the
            disagreement of the pairs seen here the true ones; None where no difference was seen.

    Example:
        >>> rates = paired_rates(30, 20, 500)
        >>> PairedDifference("on", "off", 500, 30, 20, 0, rates, 1960).detectable
        False
    """

    arm: str
    base: str
    pairs: int
    gained: int | None
    lost: int | None
    alone: int
    estimate: Interval
    pairs_needed: int | None

    @property
    def detectable(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.estimate.holds(0.0)


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """The arms of a campaign, and the difference of each from the base on equal worlds.

    Args:
        outcome, by: what is compared, and by what.
        pair: what two runs of one world have in common.
        confidence: of an arm's interval, and of all intervals of differences together.
        arms: in the order in which the runs name them.
        differences: of every other arm from the base.
        base: the arm that the others are compared with.

    Example:
        >>> runs = [{"seed": seed, "arm": arm, "cost": seed % 3 + (arm == "b")}
        ...         for arm in "ab" for seed in range(30)]
        >>> found = compare(runs, by="arm", outcome="cost")
        >>> found.base.estimate, found.difference_of("b").estimate
        (Interval(1, 0.6899 to 1.31), Interval(1, 1 to 1))
        >>> found.figure()
        Chart('cost by arm')
    """

    outcome: str
    by: str
    pair: tuple[str, ...]
    confidence: float
    arms: tuple[ArmEstimate, ...]
    differences: tuple[PairedDifference, ...]
    base: ArmEstimate

    @property
    def are_rates(self) -> bool:
        """Whether the outcome is a yes or a no."""
        return self.base.successes is not None

    @property
    def difference_confidence(self) -> float:
        """The confidence of one interval of a difference: Bonferroni's share."""
        return 1 - (1 - self.confidence) / len(self.differences)

    @property
    def text(self) -> str:
        """All that was found, in lines."""
        return words.paragraph(self)

    def difference_of(self, label: str) -> PairedDifference | None:
        """Return an arm's difference from the base; None for the base itself."""
        return next((found for found in self.differences if found.arm == label), None)

    def to_polars(self) -> pl.DataFrame:
        """Return a row an arm; what is of a difference is null in the base's row."""
        rows = []
        for arm in self.arms:
            estimate = arm.estimate
            row: list[Any] = [arm.label, arm.runs, arm.successes]
            row += [estimate.value, estimate.low, estimate.high]
            other = self.difference_of(arm.label)
            if other is None:
                row += [None] * (len(_SCHEMA) - len(row))
            else:
                row += [other.base, other.pairs, other.gained, other.lost, other.estimate.value]
                row += [other.estimate.low, other.estimate.high, other.detectable]
                row.append(other.pairs_needed)
            rows.append(row)
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")

    def figure(self, *, title: str | None = None) -> Chart:
        """Draw it: what each arm gives, and beside it the differences about a line at zero.

        Returns:
            A Matplotlib figure; `save(path)` writes it equal to the byte each time.
        """
        # Matplotlib loads when a picture is asked for, and not with every comparison.
        from flowlab.figures.estimates import Estimate, EstimateRow, chart  # noqa: PLC0415

        unit = words.unit_of(self)

        def drawn(found: Interval, *said: str, firm: bool = True) -> Estimate:
            value, low, high = (unit.times * end for end in (found.value, found.low, found.high))
            return Estimate(value, low, high, said, firm=firm)

        rows = []
        for arm in self.arms:
            other, right = self.difference_of(arm.label), None
            if other is not None:
                said = words.verdict(other, unit)
                parts = (said,) if other.detectable else said.split(", ")
                right = drawn(other.estimate, *parts, firm=other.detectable)
            left = drawn(arm.estimate, words.measured(arm.estimate, unit))
            rows.append(EstimateRow(arm.label, left, right))
        where = f" in{unit.of_difference}" if unit.of_difference else ""
        return chart(
            rows,
            title=f"{self.outcome} by {self.by}" if title is None else title,
            headings=(
                f"{'Rate' if self.are_rates else 'Mean'} of each arm",
                f"Difference from {self.base.label}{where}",
            ),
            caption=words.caption(self),
            unit=unit.word,
            bounds=(0, 100) if self.are_rates else None,
        )

    def __repr__(self) -> str:
        return f"Comparison({words.line(self)})"

    def _repr_html_(self) -> str:
        return words.table(self)


def compare(
    runs: Any,
    *,
    by: Reader,
    outcome: Reader,
    pair: str | Sequence[str] = "seed",
    base: Any = None,
    confidence: float = 0.95,
    name: str | None = None,
) -> Comparison:
    """Compare the arms of a campaign on the worlds that they share.

    An outcome that is true or false gives rates with Wilson's intervals, and the difference of the
    paired rates with Tango's score interval (1998); one that is a number gives means and the mean
    of the paired differences, both with Student's intervals. Every arm is compared with the base;
    with more than one difference their intervals are Bonferroni's, so that all of them hold
    together. Where an interval holds 0, the result says that no difference is detectable and how
    many pairs would tell (Connor 1987; for means Guenther 1981).

    Args:
        runs: a row a run: a Polars frame, an Arrow table, rows as dictionaries, anything with
            `to_polars()`, or a log or a store, of which the relation `runs` is read.
        by: what tells the arms apart: a column, a parameter, or a function of a row.
        outcome: the same; it gives True, False or a finite number.
        pair: the column, or columns, that two runs of one world have in common.
        base: the arm that the others are compared with, by value or label; the first by default.
        confidence: between 0 and 1.
        name: what the outcome is called; the column's or the function's name by default. A number
            whose name ends in `_ns` is shown in the unit of time that fits.

    Raises:
        InvalidArgumentError: a column is missing; an outcome is null, text or not finite; an arm
            has two runs of one world; there are fewer than two arms, no such base, or no world
            that two arms share (two, where the outcome is a number).
        LimitError: there are more than 40 arms.

    Example:
        >>> runs = [{"seed": seed, "retry": retry, "done": seed % 10 > (0 if retry == "on" else 2)}
        ...         for retry in ("off", "on") for seed in range(200)]
        >>> found = compare(runs, by="retry", outcome="done")
        >>> found
        Comparison(done by retry: on - off +20.0 points (15.0 to 26.1))
        >>> print(found.text)
        done by retry, paired by seed
          off  70.0 % (63.3 to 75.9), 140 of 200 runs
          on   90.0 % (85.1 to 93.4), 180 of 200 runs
        on - off: +20.0 points (15.0 to 26.1); 200 pairs, 40 gained, 0 lost
        intervals of arms are Wilson's 95 %, of differences Tango's 95 %
    """
    check_confidence(confidence)
    if name is not None and not isinstance(name, str):
        message = f"name is {brief(name)}; expected text: what the outcome is called"
        raise InvalidArgumentError(message)
    keys = _keys(pair)
    read = read_outcomes(rows_of(runs), by=by, outcome=outcome, pair=keys)
    if len(read.arms) < 2:  # noqa: PLR2004 - what a comparison needs
        named = ", ".join(repr(arm.label) for arm in read.arms) or "none, since there are no runs"
        message = f"by={_called(by, 'by')!r} has {named}; expected at least two arms to compare"
        raise InvalidArgumentError(message)
    chosen = _base(read.arms, base)
    others = [arm for arm in read.arms if arm is not chosen]
    share = 1 - (1 - confidence) / len(others)
    arms = {
        arm.label: _arm(arm, are_rates=read.are_rates, confidence=confidence) for arm in read.arms
    }
    return Comparison(
        outcome=name if name is not None else _called(outcome, "outcome"),
        by=_called(by, "arm"),
        pair=keys,
        confidence=confidence,
        arms=tuple(arms.values()),
        differences=tuple(
            _difference(arm, chosen, are_rates=read.are_rates, confidence=share, pair=keys)
            for arm in others
        ),
        base=arms[chosen.label],
    )


def _keys(pair: str | Sequence[str]) -> tuple[str, ...]:
    keys = (pair,) if isinstance(pair, str) else pair
    if not isinstance(keys, Sequence) or not all(isinstance(key, str) for key in keys):
        message = f"pair is {brief(pair)}; expected a column, or several: ('seed', 'network')"
        raise InvalidArgumentError(message)
    return tuple(keys)


def _called(reader: Reader, otherwise: str) -> str:
    if isinstance(reader, str):
        return reader
    name = getattr(reader, "__name__", otherwise)
    return otherwise if name == "<lambda>" else name


def _base(arms: Sequence[ArmRows], base: Any) -> ArmRows:
    if base is None:
        return arms[0]
    for arm in arms:
        if base in (arm.value, arm.label):
            return arm
    message = f"base is {base!r}; the arms are {', '.join(repr(arm.label) for arm in arms)}"
    raise InvalidArgumentError(message)


def _arm(arm: ArmRows, *, are_rates: bool, confidence: float) -> ArmEstimate:
    values = list(arm.outcomes.values())
    if are_rates:
        successes = int(sum(values))
        estimate = wilson(successes, len(values), confidence=confidence)
        return ArmEstimate(arm.label, len(values), successes, estimate)
    return ArmEstimate(arm.label, len(values), None, mean_of(values, confidence=confidence))


def _difference(
    arm: ArmRows, base: ArmRows, *, are_rates: bool, confidence: float, pair: tuple[str, ...]
) -> PairedDifference:
    differences = [
        value - base.outcomes[key] for key, value in arm.outcomes.items() if key in base.outcomes
    ]
    pairs = len(differences)
    if pairs < (1 if are_rates else 2):
        message = (
            f"the arms {arm.label!r} and {base.label!r} share {pairs} values of "
            f"{' and '.join(pair)}; run both on the same seeds"
        )
        raise InvalidArgumentError(message)
    alone = len(arm.outcomes) + len(base.outcomes) - 2 * pairs
    gained = lost = None
    if are_rates:
        gained, lost = differences.count(1.0), differences.count(-1.0)
        estimate = paired_rates(gained, lost, pairs, confidence=confidence)
        needed = pairs_for_rates(gained, lost, pairs, confidence=confidence)
    else:
        estimate = mean_of(differences, confidence=confidence)
        needed = pairs_for_means(differences, confidence=confidence)
    return PairedDifference(arm.label, base.label, pairs, gained, lost, alone, estimate, needed)
