"""From a scene to pixels: lanes as high as their work is parallel, each bar on a free track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from flowlab.figures.axis import Axis, make_axis
from flowlab.figures.bar import Bar
from flowlab.figures.scene import Scene
from flowlab.figures.text import text_width, wrap

NAME_SIZE: Final = 13
BOLD: Final = 1.1
"""How much wider bold text is."""
MAX_NAME_WIDTH: Final = 200.0
MAX_TRACKS: Final = 40
"""Calls at once that one lane shows apart; more share the last track."""
PAD: Final = 16.0
_TRACK_HEIGHTS: Final = ((4, 24.0), (10, 17.0), (MAX_TRACKS, 8.0))
_THIN: Final = frozenset({"timer", "lock", "barrier"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: waiting, an attempt that did not end it, or the work itself.

    `result` is how work that has an end of its own ended: committed or aborted.
    """

    kind: str
    x1: float
    x2: float
    result: str = ""


@dataclass(frozen=True, slots=True)
class PlacedBar:
    """A bar in pixels: `open` says that nothing ended it, `end` where its ending stands."""

    bar: Bar
    segments: tuple[Segment, ...]
    y: float
    height: float
    track: int
    open: bool
    end: float | None = None

    @property
    def work(self) -> Segment:
        """The widest of its works, or its last part."""
        works = [segment for segment in self.segments if segment.kind == "work"]
        return max(works, key=lambda work: work.x2 - work.x1, default=self.segments[-1])

    @property
    def x1(self) -> float:
        """Where it begins, waiting included."""
        return min(segment.x1 for segment in self.segments)

    @property
    def x2(self) -> float:
        """Where it ends."""
        return max(segment.x2 for segment in self.segments)


@dataclass(frozen=True, slots=True)
class LaneBox:
    """A lane in pixels: its band, the line that events stand on, and its tracks of bars."""

    top: float
    height: float
    base: float
    tracks: int
    names: tuple[str, ...]

    @property
    def bottom(self) -> float:
        """Where the next lane begins."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything of a scene in pixels, except labels."""

    axis: Axis
    left: float
    right: float
    top: float
    lanes: tuple[LaneBox, ...]
    bars: tuple[PlacedBar, ...]
    anchors: Mapping[int, tuple[float, float]]
    radius: float

    @property
    def bottom(self) -> float:
        """The lower edge of the last lane."""
        return self.lanes[-1].bottom if self.lanes else self.top


def name_column(scenes: Sequence[Scene]) -> float:
    """Return the width that the names of lanes need."""
    names = [lane.label for scene in scenes for lane in scene.lanes]
    notes = [lane.note for scene in scenes for lane in scene.lanes]
    lines = [line for name in names for line in wrap(name, NAME_SIZE, MAX_NAME_WIDTH / BOLD)]
    widths = [text_width(line, NAME_SIZE) * BOLD for line in lines]
    widths += [text_width(note, 11) for note in notes]
    return min(MAX_NAME_WIDTH, max([70.0, *widths]))


def lay_out(
    scene: Scene,
    *,
    left: float,
    right: float,
    top: float,
    names: float,
    beside: Sequence[Scene] = (),
    room: float = 0.0,
    inset: float = 14.0,
) -> Layout:
    """Give every lane, bar and event of a scene its place; on one axis with those `beside` it.

    Args:
        scene: what is drawn.
        left: of the axis.
        right: of the axis.
        top: of the first lane.
        names: the width of the column of names.
        beside: scenes of the same axis.
        room: what each lane is higher for clocks above its events.
        inset: how far within the axis its first and last places stand.
    """
    shown = (scene, *beside)
    axis = make_axis(
        scene.window.axis,
        [place for one in shown for place in one.at.values()],
        [span for one in shown for span in _working(one)],
        left=left + inset,
        right=right - inset,
    )
    spans = [_segments(bar, scene, axis) for bar in scene.bars]
    points: list[list[float]] = [[] for _ in scene.lanes]
    for point in scene.points:
        if point.row not in scene.adrift:
            points[point.lane].append(axis.x(scene.at[point.row]))
    tracks, apart = _tracks(scene, spans, points)
    lanes: list[LaneBox] = []
    placed: dict[int, PlacedBar] = {}
    y = top
    for index, lane in enumerate(scene.lanes):
        mine = [place for place, bar in enumerate(scene.bars) if bar.lane == index]
        count = 1 + max((tracks[place] for place in mine), default=0)
        step = next(height for most, height in _TRACK_HEIGHTS if count <= most)
        own_row = 22.0 if apart[index] else 0.0
        lines = wrap(lane.label, NAME_SIZE, names / BOLD)
        height = max(2 * PAD + own_row + step * count, 30.0 + 16 * len(lines)) + room
        first = y + (height - own_row - step * count + room) / 2
        base = first + (own_row or step) / 2
        lanes.append(LaneBox(y, height, base, count, lines))
        for place in mine:
            bar, track = scene.bars[place], tracks[place]
            middle = first + own_row + step * (track + 0.5)
            thin = min(8.0 if bar.kind in _THIN else step - 4, step - 2)
            is_open, end = bar.ended is None and bar.cut is None, _end(bar, scene, axis)
            placed[place] = PlacedBar(bar, spans[place], middle, thin, track, is_open, end)
        y += height
    bars = tuple(placed[place] for place in range(len(scene.bars)))
    anchors = _anchors(scene, axis, lanes, bars)
    return Layout(axis, left, right, top, tuple(lanes), bars, anchors, _radius(points))


def _working(scene: Scene) -> list[tuple[int, int]]:
    return [
        (scene.at[bar.asked], scene.at[bar.ended]) for bar in scene.bars if bar.ended is not None
    ]


def _end(bar: Bar, scene: Scene, axis: Axis) -> float | None:
    return None if bar.ended is None else axis.x(scene.at[bar.ended])


def _visited(bar: Bar, scene: Scene, axis: Axis) -> tuple[Segment, ...]:
    """Return the parts of a bar that agents handled: the rest of its length it waited."""
    parts: list[Segment] = []
    reached = axis.x(scene.at[bar.asked])
    for visit in bar.visits:
        start = axis.x(scene.at[visit.start])
        end = axis.end if visit.done is None else axis.x(scene.at[visit.done])
        if start - reached > 1:
            parts.append(Segment("waiting", reached, start))
        kind = "attempt" if visit.outcome in {"crashed", "hung"} else "work"
        reached = max(start + 3, end)
        parts.append(Segment(kind, start, reached, visit.outcome))
    end_row = bar.ended if bar.ended is not None else bar.cut
    end = axis.end if end_row is None else axis.x(scene.at[end_row])
    if end - reached > 1:
        parts.append(Segment("waiting", reached, end))
    return tuple(parts)


def _segments(bar: Bar, scene: Scene, axis: Axis) -> tuple[Segment, ...]:
    if bar.visits:
        return _visited(bar, scene, axis)
    end_row = bar.ended if bar.ended is not None else bar.cut
    end = axis.end if end_row is None else axis.x(scene.at[end_row])
    asked = axis.x(scene.at[bar.asked])
    if not bar.starts:
        return (Segment("waiting", asked, max(asked + 3, end)),)
    starts = [axis.x(scene.at[row]) for row in bar.starts]
    crashes = [
        axis.x(scene.at[gap.crash]) for gap in scene.gaps if gap.lane == bar.lane and gap.crash
    ]
    parts = []
    if starts[0] - asked > 1:
        parts.append(Segment("waiting", asked, starts[0]))
    for start, after in pairwise(starts):
        crash = min((x for x in crashes if start < x < after), default=after)
        parts.append(Segment("attempt", start, crash))
        if crash < after:
            parts.append(Segment("waiting", crash, after))
    return (*parts, Segment("work", starts[-1], max(starts[-1] + 3, end)))


def _tracks(
    scene: Scene, spans: Sequence[tuple[Segment, ...]], points: Sequence[Sequence[float]]
) -> tuple[list[int], list[bool]]:
    """Put each bar on the first free track; say which lanes need a line apart for events."""
    ends: list[list[float]] = [[] for _ in scene.lanes]
    apart = [False] * len(scene.lanes)
    tracks = [0] * len(spans)
    order = sorted(range(len(spans)), key=lambda place: (spans[place][0].x1, place))
    for place in order:
        lane = scene.bars[place].lane
        first, last = spans[place][0].x1, max(part.x2 for part in spans[place])
        free = next((n for n, end in enumerate(ends[lane]) if end <= first + 0.5), None)
        if free is None and len(ends[lane]) < MAX_TRACKS:
            ends[lane].append(0.0)
        track = len(ends[lane]) - 1 if free is None else free
        ends[lane][track] = max(ends[lane][track], last)
        tracks[place] = track
        apart[lane] |= any(first - 5 < x < last + 5 for x in points[lane])
    return tracks, apart


def _anchors(
    scene: Scene, axis: Axis, lanes: Sequence[LaneBox], bars: Sequence[PlacedBar]
) -> dict[int, tuple[float, float]]:
    """Return where arrows to and from each row meet it."""
    anchors = {
        point.row: (axis.x(scene.at[point.row]), lanes[point.lane].base) for point in scene.points
    }
    for placed in bars:
        for row in placed.bar.rows:
            anchors.setdefault(row, (axis.x(scene.at[row]), placed.y))
    for row, (source, lane) in scene.adrift.items():
        y = anchors[source][1] if source in anchors else lanes[lane].base
        anchors[row] = (axis.x(scene.at[row]), (y + lanes[lane].base) / 2)
    return anchors


def _radius(points: Sequence[Sequence[float]]) -> float:
    """Return the radius of an event's sign: smaller where events stand close."""
    gaps = sorted(
        after - before
        for xs in points
        for before, after in pairwise(sorted(xs))
        if after - before > 0.2
    )
    usual = gaps[len(gaps) // 4] if gaps else 99.0
    return max(1.6, min(4.5, usual * 0.45))
