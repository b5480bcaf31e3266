"""What recovery costs, drawn: schemes against the interval, the history, and one crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.figures import theme
from flowlab.figures.figure import Figure
from flowlab.figures.recovery_axes import Frame
from flowlab.figures.recovery_model import SCHEMES, MeasuredRecovery, RecoveryCosts, best
from flowlab.figures.recovery_panels import (
    Bests,
    cost_panel,
    phase_key,
    run_panel,
    shape,
    stroke,
    tag,
    time_panel,
)
from flowlab.figures.recovery_run import CrashedRun, crashed_run, told_run
from flowlab.figures.recovery_words import LOOKS, advice, count, seconds, told_best
from flowlab.figures.sheet import sheet
from flowlab.figures.svg import line, num, text
from flowlab.figures.text import clean, text_width

WIDTH: Final = 1_080
MIN_WIDTH: Final = 480
_SIDE: Final = 900
"""Width from which on panels stand side by side."""
_TABLE: Final = 356.0
_ROW: Final = 40.0
_PLOT: Final = 240.0
_SMALL: Final = 170.0
_NOTES: Final = 70.0
_TITLE: Final = "What recovery costs"


def recovery_cost(
    costs: RecoveryCosts | None = None,
    /,
    *,
    measured: Sequence[MeasuredRecovery] = (),
    crash_s: float | None = None,
    title: str = _TITLE,
    width: int = WIDTH,
    **numbers: float,
) -> Figure:
    """Draw what each scheme of recovery costs, and recommend an interval.

    Above: seconds an event of every scheme against the events between checkpoints, both axes
    logarithmic, each least marked; the band in which what the interval changes is at most 5 %
    above its least; 2 N*, below which a history needs no checkpoint. Below: the time of a recovery
    by the events of the history, and one run with a crash, which is a fluid approximation.

    Args:
        costs: of the case.
        measured: recoveries that were measured, drawn hollow over the curves. In the first panel
            they stand at `S/every + p * seconds`, so let `seconds` be a mean over places of crash.
        crash_s: when the run of the last panel crashes, within its first four intervals.
        title: of the picture.
        width: in pixels, at least 480; below 900 the panels stand below each other.
        **numbers: those of a `RecoveryCosts` by name, in place of it.

    Raises:
        InvalidArgumentError: a number is out of its range.

    Example:
        >>> figure = recovery_cost(S=50, L=20, r=.5, p=.001)
        >>> figure
        Figure('What recovery costs')
        >>> print(figure.text.splitlines()[3])
        B checkpoint, then the events since: 243 ms an event, every 447 events
    """
    case = case_of(costs, numbers)
    if width < MIN_WIDTH:
        message = f"a width of {width}; expected at least {MIN_WIDTH}"
        raise InvalidArgumentError(message)
    bests = {scheme: best(scheme, case) for scheme in SCHEMES}
    every = interval_of(bests)
    run = crashed_run(every, case, crash_s)
    parts, bottom = _panels(case, bests, measured, run, float(width))
    said = [*advice(case), told_run(run)]
    for sentence in said[:-1]:
        for words in lines_of(sentence, 13, width - 40.0):
            parts.append(text(20, bottom, words, size=13))
            bottom += 19
    svg = sheet(
        parts, title=title, subtitle=told_case(case, width), width=width, height=round(bottom + 4)
    )
    return Figure(svg, "\n".join(_told(case, bests, measured, said, title)), title)


def case_of(costs: RecoveryCosts | None, numbers: dict[str, float]) -> RecoveryCosts:
    """Return the numbers of a case, given as a value or by name.

    Raises:
        InvalidArgumentError: both were given, or a name is missing or unknown.
    """
    if costs is not None and not numbers:
        return costs
    known = RecoveryCosts.__slots__
    missing = [name for name in ("S", "L", "r", "p") if name not in numbers]
    unknown = [name for name in numbers if name not in known]
    if costs is not None or missing or unknown:
        message = (
            f"missing {missing}, unknown {unknown}; expected a RecoveryCosts, or its numbers by "
            f"name: {', '.join(known)}"
        )
        raise InvalidArgumentError(message)
    return RecoveryCosts(**numbers)


def interval_of(bests: Bests) -> float:
    """Return the best whole number of events between checkpoints."""
    return max(1.0, float(int(bests["checkpoint"].n_star + 0.5)))


def told_case(costs: RecoveryCosts, width: float) -> str:
    """Say the numbers of a case in one line, the most telling first."""
    c = costs
    parts = [
        f"write {seconds(c.full_s)}",
        f"load {seconds(c.load_s)}",
        f"replay {seconds(c.r)} an event",
        f"a recovery in {count(1 / c.p)} events",
        f"{count(c.history)} events",
    ]
    if c.growth:
        parts.append(f"state grows {seconds(c.growth)} an event")
    if c.rate:
        parts.append(f"a failure each {seconds(1 / c.rate)}")
    if c.D:
        parts.append(f"down {seconds(c.D)}")
    while len(parts) > 1 and text_width("; ".join(parts), 12) > width - 44:
        parts.pop()
    return "; ".join(parts)


def _panels(
    case: RecoveryCosts,
    bests: Bests,
    measured: Sequence[MeasuredRecovery],
    run: CrashedRun,
    width: float,
) -> tuple[list[str], float]:
    """Return the panels, and where they end."""
    is_wide = width >= _SIDE
    right = width - (_TABLE + 74 if is_wide else 56)
    frame = Frame(78, 84 + _NOTES, right, 84 + _NOTES + _PLOT)
    parts = [*heading(20, 76, "Cost of an event, by the events between checkpoints")]
    parts += cost_panel(frame, case, bests, measured)
    parts.append(_under(frame, "events between checkpoints, N"))
    if is_wide:
        parts += _table(right + 48, frame.top - 24, case, bests)
        bottom = frame.bottom + 60
    else:
        parts += _table(24, frame.bottom + 58, case, bests)
        bottom = frame.bottom + 58 + _ROW * len(SCHEMES) + 20
    half = (width - 60) / 2 if is_wide else width - 40
    left = Frame(78, bottom + 18, 20 + half - 36, bottom + 18 + _SMALL)
    parts += [*heading(20, bottom, "Time of a recovery, by the history")]
    parts += time_panel(left, case, bests, measured)
    parts.append(_under(left, "events of the history"))
    if is_wide:
        other = Frame(40 + half + 50, left.top, width - 32, left.bottom)
    else:
        top = left.bottom + 76
        other = Frame(78, top, width - 48, top + _SMALL)
    start = other.left - 58
    parts += [*heading(start, other.top - 18, "One run: events since the last checkpoint")]
    parts += run_panel(other, run)
    parts += phase_key(start, other.bottom + 38)
    end = other.bottom + 62
    for words in lines_of(told_run(run), 11, width - 20 - start):
        parts.append(text(start, end, words, size=11, fill=theme.MUTED))
        end += 15
    return parts, end + 16


def heading(x: float, y: float, words: str) -> Iterator[str]:
    """Write what stands above a panel."""
    yield text(x, y, words, size=13, weight=600)


def _under(frame: Frame, words: str) -> str:
    return text(frame.right, frame.bottom + 38, words, size=11, fill=theme.MUTED, anchor="end")


def _table(x: float, y: float, case: RecoveryCosts, bests: Bests) -> Iterator[str]:
    """Draw the schemes with their letters, lines and signs, and where each costs least."""
    for place, scheme in enumerate(SCHEMES):
        top, look = y + place * _ROW, LOOKS[scheme]
        yield from tag(x + 8, top + 12, look)
        yield stroke(f"M{num(x + 22)} {num(top + 12)}L{num(x + 58)} {num(top + 12)}", look)
        if bests[scheme].n_star:
            yield shape(scheme, x + 40, top + 12, 4.4, fill=look.colour)
        yield text(x + 68, top + 9, look.name, size=12, weight=600)
        words = told_best(scheme, bests[scheme], case)
        yield text(x + 68, top + 24, words, size=11, fill=theme.MUTED)
    y += len(SCHEMES) * _ROW
    yield line(x, y, x + _TABLE - 20, y, stroke=theme.GRID)


def lines_of(words: str, size: float, room: float) -> list[str]:
    """Break a sentence into lines that fit.

    Example:
        >>> lines_of("one two three", 10, 50)
        ['one two', 'three']
    """
    lines = [""]
    for word in clean(words).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and text_width(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _told(
    case: RecoveryCosts,
    bests: Bests,
    measured: Sequence[MeasuredRecovery],
    said: Sequence[str],
    title: str,
) -> Iterator[str]:
    yield clean(title)
    yield told_case(case, 1e9)
    for scheme in SCHEMES:
        look = LOOKS[scheme]
        yield f"{look.letter} {look.name}: {told_best(scheme, bests[scheme], case)}"
    for one in measured:
        every = f" every {count(one.every)}" if one.every else ""
        yield (
            f"measured: {LOOKS[one.scheme].name}{every}, {count(one.events_since)} events since: "
            f"{seconds(one.seconds)}, from {seconds(one.low)} to {seconds(one.high)}"
        )
    yield from said
