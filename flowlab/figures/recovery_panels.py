"""The three panels of recovery costs: cost by interval, time by history, and one run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from flowlab.figures import theme
from flowlab.figures.recovery_axes import (
    Frame,
    Scale,
    decades,
    draw_x,
    draw_y,
    events_words,
    log_ticks,
    power_words,
    ticks,
    time_ticks,
)
from flowlab.figures.recovery_model import (
    SCHEMES,
    Best,
    MeasuredRecovery,
    RecoveryCosts,
    recovery_time,
    scheme_cost,
)
from flowlab.figures.recovery_run import CrashedRun
from flowlab.figures.recovery_words import LOOKS, Look, count, seconds
from flowlab.figures.svg import circle, group, line, num, path, rect, text
from flowlab.figures.text import text_width

POINTS: Final = 120
"""Points of a curve."""
MOST_DECADES: Final = 7
ROW: Final = 16.0
TEETH: Final = 50
"""Teeth of a saw up to which each is drawn; of more, the area that they fill."""
_TAG: Final = 15.0

Bests = dict[str, Best]
Points = Sequence[tuple[float, float]]


def cost_scales(
    frame: Frame, costs: RecoveryCosts, bests: Bests, measured: Sequence[MeasuredRecovery]
) -> tuple[Scale, Scale]:
    """Return the axes of the first panel: events between checkpoints, and seconds an event."""
    stars = [one.n_star for one in bests.values() if one.n_star]
    everys = [one.every for one in measured if one.every]
    first, last = decades(
        max(1.0, min([*stars, *everys, costs.history]) / 12),
        max([2.4 * bests["checkpoint"].n_star, *stars, *everys, costs.history]),
    )
    x = Scale(first, last, frame.left, frame.right, is_log=True)
    ends = [scheme_cost("checkpoint", n, costs) for n in (first, last)]
    prices = [one.cost for one in bests.values()] + [measured_cost(m, costs) for m in measured]
    known = [value for value in (*ends, *prices) if 0 < value < math.inf]
    low, high = decades(min(known), max(known))
    high = min(high, low * 10**MOST_DECADES)
    return x, Scale(low, high, frame.bottom, frame.top, is_log=True)


def measured_cost(one: MeasuredRecovery, costs: RecoveryCosts, seconds_: float = -1) -> float:
    """Return the seconds an event that a measured recovery stands for: S/N + p times it."""
    write = costs.full_s / one.every if one.every else 0.0
    return write + costs.p * (one.seconds if seconds_ < 0 else seconds_)


def cost_panel(
    frame: Frame, costs: RecoveryCosts, bests: Bests, measured: Sequence[MeasuredRecovery]
) -> Iterator[str]:
    """Draw what each scheme costs against the events between checkpoints."""
    x, y = cost_scales(frame, costs, bests, measured)
    found = bests["checkpoint"]
    low, high = x.at(found.low), x.at(found.high)
    height = frame.bottom - frame.top
    yield rect(low, frame.top, high - low, height, fill=theme.SKY, fill_opacity=0.22)
    marks = log_ticks(y, 26)
    yield from draw_y(frame, y, marks, map(power_words, marks))
    marks = log_ticks(x, 56)
    yield from draw_x(frame, x, marks, events_words(marks))
    yield from _notes(frame, x, costs, found)
    ends = []
    for scheme in SCHEMES:
        curve = [(n, scheme_cost(scheme, n, costs)) for n in steps(x)]
        yield from _curve(curve, x, y, LOOKS[scheme])
        ends.append(y.at(min(curve[-1][1], y.last)))
        one = bests[scheme]
        if one.n_star and one.cost <= y.last:
            yield _dot(x.at(one.n_star), y.at(one.cost), LOOKS[scheme], scheme, one)
    yield from _tags(frame, SCHEMES, ends)
    for m in measured:
        if m.every:
            three = [measured_cost(m, costs, s) for s in (m.low, m.seconds, m.high)]
            yield measured_mark(x.at(m.every), [y.at(value) for value in three], m)


def steps(x: Scale) -> list[float]:
    """Return the numbers at which a curve is drawn, evenly apart on its axis."""
    return [x.value(x.start + (x.end - x.start) * n / POINTS) for n in range(POINTS + 1)]


def _curve(curve: Points, x: Scale, y: Scale, look: Look) -> Iterator[str]:
    """Draw the parts of a curve that are within the picture."""
    pieces: list[list[str]] = [[]]
    for n, value in curve:
        if value <= y.last:
            pieces[-1].append(f"{num(x.at(n))} {num(y.at(value))}")
        elif pieces[-1]:
            pieces.append([])
    for piece in pieces:
        if len(piece) > 1:
            d = "M" + "L".join(piece)
            yield stroke(d, look)


def stroke(d: str, look: Look) -> str:
    """Draw a line in the look of a scheme."""
    dash = look.dash or None
    return path(d, stroke=look.colour, stroke_width=look.width, stroke_dasharray=dash)


def _notes(frame: Frame, x: Scale, costs: RecoveryCosts, found: Best) -> Iterator[str]:
    """Write what the marks on the axis mean, each on a row of its own, above the plot."""
    star, twice = found.n_star, 2.0 * found.n_star
    notes = (
        (star, f"N* = {count(max(1.0, star))} events, for B", theme.BLUE),
        (found.low, f"{count(found.low)} to {count(found.high)}: at most 5 % more", theme.BLUE),
        (twice, f"2 N* = {count(twice)}: a shorter history needs none", theme.INK),
        (costs.history, f"this history: {count(costs.history)}", theme.MUTED),
    )
    rows = [frame.top - ROW * (len(notes) - n) + 3 for n in range(len(notes))]
    for row, (at, _, colour) in zip(rows, notes, strict=True):
        dash = "4 3" if at in {twice, costs.history} else None
        if at != found.low:
            yield line(x.at(at), row - 4, x.at(at), frame.bottom, stroke=colour,
                       stroke_dasharray=dash)  # fmt: skip
    low, high = x.at(found.low), x.at(found.high)
    yield path(
        f"M{num(low)} {num(frame.top)}L{num(low)} {num(rows[1] - 4)}"
        f"L{num(high)} {num(rows[1] - 4)}L{num(high)} {num(frame.top)}",
        stroke=theme.BLUE,
    )
    for row, (at, words, colour) in zip(rows, notes, strict=True):
        width = text_width(words, 11) + 6
        right = high if at == found.low else x.at(at)
        left = x.at(at) - width - 3 if right + width + 4 > frame.right + 20 else right + 4
        left = max(frame.left - 60, left)
        yield rect(left, row - 10, width, 14, fill=theme.PANEL)
        fill = theme.MUTED if colour == theme.MUTED else theme.INK
        yield text(left + 3, row + 1, words, size=11, fill=fill)


def _dot(x: float, y: float, look: Look, scheme: str, one: Best) -> str:
    tip = f"{look.name}: least at {count(max(1.0, one.n_star))} events, {seconds(one.cost)}"
    return group(shape(scheme, x, y, 5, fill=look.colour), tip=tip)


def shape(scheme: str, x: float, y: float, r: float, *, fill: str) -> str:
    """Draw the sign of a scheme: a shape of its own."""
    colour = LOOKS[scheme].colour
    look: dict[str, str | float | None] = {"fill": fill, "stroke": colour, "stroke_width": 1.6}
    corners: tuple[tuple[float, float], ...]
    match scheme:
        case "checkpoint":
            return circle(x, y, r, **look)
        case "incremental":
            return rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8, **look)
        case "cache":
            corners = ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0))
        case "replay":
            corners = ((0, -1.2), (1.1, 0.9), (-1.1, 0.9))
        case _:
            corners = ((0, 1.2), (1.1, -0.9), (-1.1, -0.9))
    d = "M" + "L".join(f"{num(x + r * a)} {num(y + r * b)}" for a, b in corners) + "Z"
    return path(d, **look)


def measured_mark(x: float, three: Sequence[float], one: MeasuredRecovery) -> str:
    """Draw a measured point hollow, with a line from its low to its high."""
    low, middle, high = three
    colour = LOOKS[one.scheme].colour
    parts = [line(x, low, x, high, stroke=colour, stroke_width=1.6)]
    parts += [line(x - 3, end, x + 3, end, stroke=colour, stroke_width=1.6) for end in (low, high)]
    parts.append(shape(one.scheme, x, middle, 3.6, fill=theme.PANEL))
    tip = f"measured: {LOOKS[one.scheme].name}: {seconds(one.seconds)}, from {seconds(one.low)} to "
    return group(*parts, tip=tip + seconds(one.high))


def tag(x: float, y: float, look: Look) -> Iterator[str]:
    """Draw the letter of a scheme at the end of its curve."""
    yield circle(x, y, 7.5, fill=theme.PANEL, stroke=look.colour, stroke_width=2)
    yield text(x, y + 3.8, look.letter, size=10.5, weight=700, anchor="middle")


def _tags(frame: Frame, schemes: Sequence[str], ends: Sequence[float]) -> Iterator[str]:
    """Draw the letters of schemes beside the ends of their curves, none over another."""
    places = spread(ends, frame.top, frame.bottom)
    for scheme, end, place in zip(schemes, ends, places, strict=True):
        look = LOOKS[scheme]
        yield line(frame.right, end, frame.right + 16, place, stroke=look.colour)
        yield from tag(frame.right + 20, place, look)


def spread(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move places apart, so that their letters do not cover each other.

    Example:
        >>> spread([10.0, 12.0, 90.0], 0, 90)
        [10.0, 26.0, 90.0]
    """
    order = sorted(range(len(places)), key=lambda n: places[n])
    found = list(places)
    last = top - _TAG - 1
    for n in order:
        found[n] = last = max(found[n], last + _TAG + 1)
    limit = bottom
    for n in reversed(order):
        found[n] = min(found[n], limit)
        limit = found[n] - _TAG - 1
    return found


def time_panel(
    frame: Frame, costs: RecoveryCosts, bests: Bests, measured: Sequence[MeasuredRecovery]
) -> Iterator[str]:
    """Draw how long a recovery takes, by the events of the history."""
    places = [m.history or m.events_since for m in measured]
    x_marks = ticks(max([costs.history, *places]), 4 if frame.right - frame.left > 300 else 3)
    x = Scale(0.0, x_marks[-1], frame.left, frame.right)
    lines = [(s, saw(s, x, costs, bests)) for s in ("replay", "checkpoint", "incremental", "cache")]
    most = max(high for _, found in lines for _, _, high in found)
    marks, words = time_ticks(max([most, *(m.high for m in measured)]), 5)
    y = Scale(0.0, marks[-1], frame.bottom, frame.top)
    yield from draw_y(frame, y, marks, words)
    yield from draw_x(frame, x, x_marks, events_words(x_marks))
    ends = []
    for scheme, found in lines:
        yield from _saw_parts(found, x, y, LOOKS[scheme])
        ends.append(y.at((found[-1][1] + found[-1][2]) / 2))
    yield from _tags(frame, [scheme for scheme, _ in lines], ends)
    for m, place in zip(measured, places, strict=True):
        if m.scheme != "every_task":
            three = [y.at(value) for value in (m.low, m.seconds, m.high)]
            yield measured_mark(x.at(place), three, m)


def saw(
    scheme: str, x: Scale, costs: RecoveryCosts, bests: Bests
) -> list[tuple[float, float, float]]:
    """Return a line as (events, low, high): equal ends for a line, others for an area."""
    last = x.last
    every = max(1.0, float(math.floor(bests[scheme].n_star + 0.5)))

    def at(h: float) -> float:
        return recovery_time(scheme, h, every, costs)

    if scheme == "replay" or every >= last:
        return [(h, at(h), at(h)) for h in (0.0, last)]
    teeth = math.floor(last / every)
    if teeth <= TEETH:
        found = [(0.0, at(0.0), at(0.0))]
        for tooth in range(1, teeth + 1):
            high, low = at(tooth * every - 1e-9 * every), at(tooth * every)
            found += [(tooth * every, high, high), (tooth * every, low, low)]
        return [*found, (last, at(last), at(last))]
    area = []
    for n in range(TEETH + 1):
        h = last * n / TEETH
        m = math.floor(h / every)
        low = 0.0 if m == 0 else recovery_time("checkpoint", m * every, every, costs)
        share = 1.0 - costs.hit_ratio if scheme == "cache" else 1.0
        extra = 1.0
        if scheme == "incremental":
            chain = max(0, math.floor(bests[scheme].full_every + 0.5) - 1)
            extra += costs.delta * min(chain, max(0, m - 1))
        load = max(0.0, low - costs.D)
        high = costs.D + load * extra + costs.r * min(h, every)
        area.append((h, (low if m else costs.D) * share, high * share))
    return area


def _saw_parts(
    found: Sequence[tuple[float, float, float]], x: Scale, y: Scale, look: Look
) -> Iterator[str]:
    over = [f"{num(x.at(h))} {num(y.at(high))}" for h, _, high in found]
    if any(low != high for _, low, high in found):
        under = [f"{num(x.at(h))} {num(y.at(low))}" for h, low, _ in reversed(found)]
        yield path("M" + "L".join(over + under) + "Z", fill=look.colour, fill_opacity=0.18)
        over = [f"{num(x.at(h))} {num(y.at((low + high) / 2))}" for h, low, high in found]
    yield stroke("M" + "L".join(over), replace(look, width=1.6))


def run_panel(frame: Frame, run: CrashedRun) -> Iterator[str]:
    """Draw the events since the last checkpoint over time, with the crash and what follows."""
    x = Scale(0.0, run.end_s, frame.left, frame.right)
    marks = ticks(run.every, 4)
    y = Scale(0.0, marks[-1], frame.bottom, frame.top)
    bounds = [run.crash_s, run.down_s, run.loaded_s, run.back_s, min(run.caught_s, run.end_s)]
    fills = ((theme.FAINT, 0.45), (theme.ORANGE, 0.3), (theme.SKY, 0.35), (theme.GREEN, 0.16))
    height = frame.bottom - frame.top
    for (colour, opacity), first, last in zip(fills, bounds, bounds[1:], strict=False):
        if last > first:
            left, wide = x.at(first), x.at(last) - x.at(first)
            yield rect(left, frame.top, wide, height, fill=colour, fill_opacity=opacity)
    yield from draw_y(frame, y, marks, events_words(marks))
    found, words = time_ticks(run.end_s, 5 if frame.right - frame.left > 300 else 3)
    kept = [(at, said) for at, said in zip(found, words, strict=True) if at <= run.end_s]
    yield from draw_x(frame, x, [at for at, _ in kept], [said for _, said in kept])
    look = LOOKS["checkpoint"]
    for points in (run.before, run.after):
        d = "M" + "L".join(f"{num(x.at(at))} {num(y.at(since))}" for at, since in points)
        yield path(d, stroke=look.colour, stroke_width=2.2)
    at, lost = x.at(run.crash_s), y.at(run.since)
    replayed = f"M{num(at)} {num(lost)}L{num(at)} {num(frame.bottom)}"
    replayed += f"L{num(x.at(run.loaded_s))} {num(frame.bottom)}"
    replayed += f"L{num(x.at(run.back_s))} {num(lost)}"
    yield path(replayed, stroke=look.colour, stroke_width=2.2, stroke_dasharray="3 3")
    yield line(at, frame.top - 4, at, frame.bottom, stroke=theme.VERMILION, stroke_width=1.6)
    yield cross(at, lost, 5)


def cross(x: float, y: float, r: float) -> str:
    """Draw the sign of a crash."""
    one = f"M{num(x - r)} {num(y - r)}L{num(x + r)} {num(y + r)}"
    other = f"M{num(x + r)} {num(y - r)}L{num(x - r)} {num(y + r)}"
    return path(one + other, stroke=theme.VERMILION, stroke_width=2.6)


PHASES: Final = (
    ("down", theme.FAINT, 0.45),
    ("load", theme.ORANGE, 0.3),
    ("replay", theme.SKY, 0.35),
    ("catch up", theme.GREEN, 0.16),
)
"""What follows a crash, in its order, and how it is shaded."""


def phase_key(left: float, y: float) -> Iterator[str]:
    """Draw what the shades of the run mean."""
    yield cross(left + 5, y - 4, 4.5)
    yield text(left + 14, y, "crash", size=11, fill=theme.MUTED)
    left += 14 + text_width("crash", 11) + 12
    for words, colour, opacity in PHASES:
        yield rect(left, y - 10, 12, 12, fill=colour, fill_opacity=opacity, stroke=theme.FAINT)
        yield text(left + 16, y, words, size=11, fill=theme.MUTED)
        left += 16 + text_width(words, 11) + 12
