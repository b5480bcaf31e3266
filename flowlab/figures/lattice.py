"""The lattice of consistent cuts: every state of the world that the run may have gone through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from flowlab.causality import MAX_CUTS, CausalOrder
from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog
from flowlab.figures import theme
from flowlab.figures.cuts import MAX_DRAWN_CUTS, Counts, Lattice, Predicate, read_lattice
from flowlab.figures.figure import Figure
from flowlab.figures.sheet import sheet
from flowlab.figures.space_time import MIN_WIDTH
from flowlab.figures.svg import circle, group, line, num, path, rect, text
from flowlab.figures.text import clean, ellipsize, number, plural, text_width

MAX_NAMED_CHAINS: Final = 5
"""Chains up to which the counts of a cut are written into it."""
MAX_WIDTH: Final = 6_000
_TOP, _LEFT, _SIZE = 74.0, 34.0, 10.5
_LISTED: Final = 60
_HEIGHT: Final = 900.0


def lattice(
    log: EventLog,
    *,
    where: Predicate | None = None,
    limit: int = MAX_DRAWN_CUTS,
    title: str = "Consistent cuts",
    width: int = 1200,
) -> Figure:
    """Draw every consistent cut of a small run, from left to right by how many events it holds.

    A line leads from a cut to each that holds one event more. The way that the recorded order
    took is thick. Levels are drawn whole, the first ones up to the limit, and the picture says how
    many cuts there are.

    Args:
        log: of one run.
        where: asked of each `Cut` (its `last(agent)`, `state`, `len`); cuts at which it holds are
            marked, and the picture says whether it possibly and whether it definitely held.
        limit: cuts drawn at most.
        title: of the picture.
        width: in pixels, at least 480; a long run is wider.

    Raises:
        InvalidArgumentError: the log holds several runs, or width or limit is too small.
        LimitError: not even the cuts of one event are within the limit.

    Example:
        >>> log = EventLog.from_text("a: a1 a2>m | b: b1 b2<m")
        >>> print(lattice(log).text)
        Consistent cuts
        7 cuts of 4 events by [a, b]
        level 0: [0,0]*
        level 1: [1,0]* [0,1]
        level 2: [2,0] [1,1]*
        level 3: [2,1]*
        level 4: [2,2]*
        *: the recorded order
    """
    if limit < 1 or width < MIN_WIDTH:
        message = f"limit is {limit} and width {width}; expected at least 1 and {MIN_WIDTH}"
        raise InvalidArgumentError(message)
    found = read_lattice(CausalOrder(log), where, limit)
    told = "; ".join(_notes(found, asked=where is not None))
    lines = [clean(title), told, *_lines(found)]
    return Figure(_draw(found, title, told, width), "\n".join(lines), title)


def _names(found: Lattice) -> list[str]:
    """Return the names of the chains: of lanes, numbered where a lane is split."""
    chains, ids = found.order.chains, found.order.graph.lanes.ids
    lanes = [int(chains.lane[chain]) for chain in found.chains]
    agents = [clean(ids[lane][:40]) or "(no agent)" for lane in lanes]
    return [
        f"{agent}.{agents[: place + 1].count(agent)}" if agents.count(agent) > 1 else agent
        for place, agent in enumerate(agents)
    ]


def _notes(found: Lattice, *, asked: bool) -> Iterator[str]:
    total = f"more than {number(MAX_CUTS)} cuts"
    if found.total is not None:
        total = plural(found.total, "cut")
    events = plural(len(found.order), "event")
    shown = "" if found.is_whole else f"showing {number(found.drawn)} of "
    names = _names(found)
    by = f" by [{', '.join(names)}]" if len(names) <= MAX_NAMED_CHAINS else ""
    yield f"{shown}{total} of {events}{by}"
    if asked and found.is_whole:
        possibly = "possibly" if found.holding else "not possibly"
        definitely = "definitely" if found.is_definite else "not definitely"
        yield f"it holds at {number(len(found.holding))} of them: {possibly}, and {definitely}"
    elif asked:
        yield f"it holds at {number(len(found.holding))} of those shown"


def _label(cut: Counts) -> str:
    return f"[{','.join(map(str, cut))}]"


def _lines(found: Lattice) -> Iterator[str]:
    recorded = set(found.recorded)
    for place, level in enumerate(found.levels[:_LISTED]):
        told = [
            _label(cut) + "*" * (cut in recorded) + "!" * (cut in found.holding)
            for cut in level[:_LISTED]
        ]
        more = [f"({_LISTED} of {number(len(level))} listed)"] * (len(level) > _LISTED)
        yield f"level {place}: {' '.join([*told, *more])}"
    if len(found.levels) > _LISTED:
        yield f"{_LISTED} of {number(len(found.levels))} levels listed"
    yield "*: the recorded order" + ("; !: it holds" if found.holding else "")


def _draw(found: Lattice, title: str, told: str, width: int) -> str:
    named = len(found.order.chains) <= MAX_NAMED_CHAINS
    cuts = [cut for level in found.levels for cut in level]
    widest = max(text_width(_label(cut), _SIZE) for cut in cuts) + 10 if named else 12.0
    columns = max(1, len(found.levels) - 1)
    gap = max((width - 2 * _LEFT - widest) / columns, widest + 24 if named else 22.0)
    gap = min(gap, 150.0)
    most = max(map(len, found.levels))
    row = 30.0 if named else max(9.0, min(17.0, _HEIGHT / most))
    height = most * row
    wide = max(float(width), 2 * _LEFT + widest + gap * columns)
    if wide > MAX_WIDTH:
        gap, wide = (MAX_WIDTH - 2 * _LEFT - widest) / columns, float(MAX_WIDTH)
    at: dict[Counts, tuple[float, float]] = {}
    for place, level in enumerate(_untangled(found)):
        x = _LEFT + widest / 2 + gap * place
        for spot, cut in enumerate(level):
            at[cut] = (x, _TOP + height / 2 + (spot - (len(level) - 1) / 2) * row)
    on_way = set(zip(found.recorded, found.recorded[1:], strict=False))
    parts = [_step(at[one], at[other]) for one, other in found.steps if (one, other) not in on_way]
    parts += [_step(at[one], at[other], thick=True) for one, other in found.steps
              if (one, other) in on_way]  # fmt: skip
    recorded = set(found.recorded)
    half = widest / 2 if named else 6.0
    for cut in cuts:
        node = partial(_node, cut, *at[cut], half, named=named)
        mark = node(recorded=cut in recorded, holds=cut in found.holding)
        parts.append(group(mark, tip=_tip(found, cut)))
    bottom = _TOP + height + 8
    parts += _levels(found, _LEFT + widest / 2, gap, bottom)
    parts += _legend(found, bottom + 40)
    return sheet(parts, title=title, subtitle=told, width=wide, height=bottom + 62)


def _untangled(found: Lattice) -> list[list[Counts]]:
    """Order each level by where its cuts come from, so that few lines cross."""
    before: dict[Counts, list[Counts]] = {}
    after: dict[Counts, list[Counts]] = {}
    for one, other in found.steps:
        before.setdefault(other, []).append(one)
        after.setdefault(one, []).append(other)
    levels = [list(level) for level in found.levels]
    for _ in range(3):
        for place in range(1, len(levels)):
            _sort_level(levels[place], levels[place - 1], before)
        for place in range(len(levels) - 2, -1, -1):
            _sort_level(levels[place], levels[place + 1], after)
    return levels


def _sort_level(
    level: list[Counts], beside: Sequence[Counts], near: Mapping[Counts, Sequence[Counts]]
) -> None:
    """Sort a level by the middle of the neighbours of each cut, equal ones as they stand."""
    spot = {cut: n - (len(beside) - 1) / 2 for n, cut in enumerate(beside)}
    middles = {cut: _middle(near.get(cut, ()), spot) for cut in level}
    level.sort(key=middles.__getitem__)


def _middle(cuts: Sequence[Counts], spot: dict[Counts, float]) -> float:
    return sum(spot[cut] for cut in cuts) / len(cuts) if cuts else 0.0


def _step(one: tuple[float, float], other: tuple[float, float], *, thick: bool = False) -> str:
    stroke, wide = (theme.INK, 2.6) if thick else (theme.FAINT, 1.0)
    return line(*one, *other, stroke=stroke, stroke_width=wide)


def _node(
    cut: Counts, x: float, y: float, half: float, *, named: bool, recorded: bool, holds: bool
) -> str:
    stroke, wide = (theme.INK, 2.2) if recorded else (theme.MUTED, 1.0)
    if named:
        sign = rect(
            x - half, y - 10, 2 * half, 20, rx=5, fill=theme.PANEL, stroke=stroke, stroke_width=wide
        )
        tint = rect(x - half, y - 10, 2 * half, 20, rx=5, fill=theme.ORANGE, fill_opacity=0.35)
        weight = 600 if recorded else 400
        words = text(x, y + 4, _label(cut), size=_SIZE, weight=weight, anchor="middle")
        return sign + (tint if holds else "") + words + (_diamond(x + half, y - 9) if holds else "")
    sign = circle(
        x, y, 4.5 if recorded else 3.5, fill=theme.PANEL, stroke=stroke, stroke_width=wide
    )
    return sign + (_diamond(x, y) if holds else "")


def _diamond(x: float, y: float) -> str:
    d = f"M{num(x)} {num(y - 6)}L{num(x + 6)} {num(y)}L{num(x)} {num(y + 6)}L{num(x - 6)} {num(y)}Z"
    return path(d, fill=theme.ORANGE, stroke=theme.INK, stroke_width=1.2)


def _tip(found: Lattice, cut: Counts) -> str:
    told = [f"{name}: {count}" for name, count in zip(_names(found), cut, strict=True) if count]
    return ellipsize(f"{plural(sum(cut), 'event')}. {', '.join(told[:20])}", 11, 900)


def _levels(found: Lattice, left: float, gap: float, bottom: float) -> Iterator[str]:
    step = max(1, int(28 // gap) + 1 if gap < 28 else 1)
    for place in range(0, len(found.levels), step):
        x = left + gap * place
        yield text(x, bottom + 14, str(place), size=11, fill=theme.MUTED, anchor="middle")


def _legend(found: Lattice, y: float) -> Iterator[str]:
    x = 20.0
    plain = partial(_sample, recorded=False)
    items = [
        (partial(plain, holds=False), "a consistent cut"),
        (partial(_sample, recorded=True, holds=False), "on the way of the recorded order"),
    ]
    if found.holding:
        items.append((partial(plain, holds=True), "it holds here"))
    for draw, words in items:
        yield draw(x, y)
        yield text(x + 34, y + 4, words, size=11, fill=theme.MUTED)
        x += 34 + text_width(words, 11) + 20
    words = "below: how many events lie before the cuts above"
    yield text(x, y + 4, words, size=11, fill=theme.MUTED)


def _sample(x: float, y: float, *, recorded: bool, holds: bool) -> str:
    way = _step((x, y), (x + 26, y), thick=recorded)
    return way + _node((), x + 13, y, 7, named=False, recorded=recorded, holds=holds)
