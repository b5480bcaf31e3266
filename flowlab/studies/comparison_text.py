"""A comparison in words: one line, a paragraph, a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final

from flowlab.events.wording import grouped

if TYPE_CHECKING:
    from flowlab.studies.comparison import Comparison, PairedDifference
    from flowlab.studies.intervals import Interval

NONE_DETECTABLE: Final = "no difference detectable"
_MOST_DIGITS: Final = 9
_EXACT_DIGITS: Final = 3
_SECONDS: Final = (("s", 10**9), ("ms", 10**6), ("µs", 10**3), ("ns", 1))


def line(found: Comparison) -> str:
    """Say in one line what was found."""
    what = f"{found.outcome} by {found.by}"
    if len(found.differences) > 1:
        told = sum(difference.detectable for difference in found.differences)
        return (
            f"{what}: {len(found.arms)} arms, {told} of {len(found.differences)} differences from "
            f"{found.base.label} detectable"
        )
    (only,) = found.differences
    return f"{what}: {only.arm} - {only.base} {verdict(only, unit_of(found))}"


@dataclass(frozen=True, slots=True)
class Unit:
    """How a number is written: times what, with which word after it and how many decimals."""

    times: float
    word: str
    of_difference: str
    digits: int = 0


def unit_of(found: Comparison) -> Unit:
    """Return percent for rates; for an outcome whose name ends in `_ns` the unit that fits.

    All numbers of a comparison have the decimals that its narrowest interval gives sense to: so
    they read alike, and a difference is that of the numbers beside it.
    """
    unit = _scale(found)
    estimates = [arm.estimate for arm in found.arms]
    estimates += [difference.estimate for difference in found.differences]
    return replace(unit, digits=_digits(estimates, unit.times))


def _scale(found: Comparison) -> Unit:
    if found.are_rates:
        return Unit(100, " %", " points")
    if not found.outcome.endswith("_ns"):
        return Unit(1, "", "")
    largest = max(abs(arm.estimate.value) for arm in found.arms)
    name, ns = next(((n, ns) for n, ns in _SECONDS if largest >= ns), _SECONDS[-1])
    return Unit(1 / ns, f" {name}", f" {name}")


def _digits(estimates: Sequence[Interval], times: float) -> int:
    """Return the decimals that the width of the narrowest interval gives sense to."""
    widths = [times * (estimate.high - estimate.low) / 2 for estimate in estimates]
    half = min(filter(None, widths), default=0.0)
    return min(max(1 - math.floor(math.log10(half)), 0), _MOST_DIGITS) if half else _EXACT_DIGITS


def verdict(difference: PairedDifference, unit: Unit) -> str:
    """Say what a difference is, or that none can be told, and how many pairs would tell."""
    if difference.detectable:
        return seen(difference, unit)
    if difference.pairs_needed is None:
        return f"{NONE_DETECTABLE}, and none seen"
    return f"{NONE_DETECTABLE}, n needed: {grouped(difference.pairs_needed)} pairs"


def seen(difference: PairedDifference, unit: Unit) -> str:
    """Write the difference that was seen, with its interval."""
    value, low, high = _numbers(difference.estimate, unit.times, unit.digits)
    sign = "+" if difference.estimate.value > 0 else ""
    return f"{sign}{value}{unit.of_difference} ({low} to {high})"


def measured(estimate: Interval, unit: Unit) -> str:
    """Write what an arm gives, with its interval."""
    value, low, high = _numbers(estimate, unit.times, unit.digits)
    return f"{value}{unit.word} ({low} to {high})"


def _numbers(estimate: Interval, times: float, digits: int) -> tuple[str, str, str]:
    value, low, high = (
        f"{times * part:,.{digits}f}".replace(",", " ")
        for part in (estimate.value, estimate.low, estimate.high)
    )
    return _positive_zero(value), _positive_zero(low), _positive_zero(high)


def _positive_zero(text: str) -> str:
    return text.removeprefix("-") if not text.strip("-0.") else text


def methods(found: Comparison) -> str:
    """Say what the intervals are, and how sure."""
    arms, pairs = ("Wilson's", "Tango's") if found.are_rates else ("Student's", "Student's")
    text = f"intervals of arms are {arms} {_percent(found.confidence)}"
    text += f", of differences {pairs} {_percent(found.difference_confidence)}"
    if len(found.differences) > 1:
        text += (
            f", so that all {len(found.differences)} together hold at "
            f"{_percent(found.confidence)} (Bonferroni)"
        )
    return text


def paired_by(found: Comparison) -> str:
    """Say what pairs the runs."""
    return f"paired by {' and '.join(found.pair)}"


def caption(found: Comparison) -> str:
    """Say what is below a picture or above a table."""
    sizes = {difference.pairs for difference in found.differences}
    pairs = f", {grouped(sizes.pop())} pairs" if len(sizes) == 1 else ""
    return f"{paired_by(found)}{pairs}; {methods(found)}"


def _percent(part: float) -> str:
    return f"{round(100 * part, 2):g} %"


def paragraph(found: Comparison) -> str:
    """Say all that was found: a line an arm, a line a difference, and the methods."""
    unit = unit_of(found)
    width = max(len(arm.label) for arm in found.arms)
    lines = [f"{found.outcome} by {found.by}, {paired_by(found)}"]
    for arm in found.arms:
        part = f"{grouped(arm.runs)} runs"
        if arm.successes is not None:
            part = f"{grouped(arm.successes)} of {part}"
        shown = measured(arm.estimate, unit)
        lines.append(f"  {arm.label:<{width}}  {shown}, {part}")
    lines += [f"{one.arm} - {one.base}: {_explained(one, unit)}" for one in found.differences]
    return "\n".join([*lines, methods(found)])


def _explained(difference: PairedDifference, unit: Unit) -> str:
    parts = [verdict(difference, unit)]
    if not difference.detectable:
        parts.append(f"seen {seen(difference, unit)}")
    parts.append(pairs_of(difference))
    return "; ".join(parts)


def pairs_of(difference: PairedDifference) -> str:
    """Say how many pairs there are, and in how many only one of the two succeeds."""
    text = f"{grouped(difference.pairs)} pairs"
    if difference.gained is not None and difference.lost is not None:
        text += f", {grouped(difference.gained)} gained, {grouped(difference.lost)} lost"
    if difference.alone:
        text += f", {grouped(difference.alone)} runs without a partner"
    return text


def table(found: Comparison) -> str:
    """Return the comparison as an HTML table."""
    heads = (found.by, "runs", found.outcome, f"difference from {found.base.label}", "pairs")
    unit = unit_of(found)
    rows = []
    for arm in found.arms:
        difference = found.difference_of(arm.label)
        cells = [arm.label, grouped(arm.runs), measured(arm.estimate, unit)]
        cells += (
            ["", ""] if difference is None else [verdict(difference, unit), pairs_of(difference)]
        )
        rows.append(_row("td", cells))
    return (
        f"<table><caption>{escape(caption(found))}</caption>"
        f"<thead>{_row('th', heads)}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    sides = ("left", "right", "right", "left", "left")
    shown = (
        f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"
