"""Where labels go: the first free place around what they name, and never one over another."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flowlab.figures.arrows import MANY, Arrow
from flowlab.figures.layout import BOLD, Layout, PlacedBar
from flowlab.figures.scene import Point, Scene
from flowlab.figures.text import ellipsize, text_width

BAR_SIZE: Final = 11.0
POINT_SIZE: Final = 10.0
CLOCK_SIZE: Final = 10.5
MAX_WIDTH: Final = 190.0
WHOLE_WIDTH: Final = 280.0
"""A name up to so wide stands whole where there is room, else shortened to `MAX_WIDTH`."""
_CELL: Final = 48.0
_BAD: Final = frozenset({"failed", "timed_out", "canceled", "crash"})
_URGENT: Final = frozenset({"failed", "timed_out", "crash", "pivot", "dropped", "barrier", "fault"})


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    def overlaps(self, other: Box) -> bool:
        """Say whether two boxes share an area."""
        return (
            self.x1 < other.x2 and other.x1 < self.x2 and self.y1 < other.y2 and other.y1 < self.y2
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text: `x` is its left edge, `y` its base line; `bar` is the bar it stands in.

    It names the event `row`, or the bar `placed`. A clock belongs to the row `clock`; `blank` is
    the width of the box that stands for one.
    """

    x: float
    y: float
    text: str
    size: float
    lane: int
    tip: str
    muted: bool = False
    bar: int | None = None
    row: int | None = None
    placed: int | None = None
    clock: int | None = None
    blank: float = 0.0

    @property
    def box(self) -> Box:
        """The room that it takes."""
        width = text_width(self.text, self.size) * (1.0 if self.clock is None else BOLD)
        if self.blank:
            return Box(self.x, self.y - 11, self.x + width + 3 + self.blank, self.y + 4)
        return Box(self.x, self.y - self.size * 0.85, self.x + width, self.y + self.size * 0.25)


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside events: clocks, or numbers of boxes to fill in, each so wide."""

    words: Mapping[int, str]
    blank: float = 0.0

    @property
    def width(self) -> float:
        """The room that the widest of them takes."""
        widest = max((text_width(words, CLOCK_SIZE) for words in self.words.values()), default=0.0)
        return widest * BOLD + (self.blank + 3 if self.blank else 0.0)


NO_CLOCKS: Final = Beside({})
NO_RINGS: Final[Mapping[int, float]] = {}


class Room:
    """The boxes that are taken, found by their place."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[Box]] = {}

    def take(self, box: Box) -> None:
        """Mark a box as taken."""
        for cell in _cells(box):
            self._cells.setdefault(cell, []).append(box)

    def is_free(self, box: Box) -> bool:
        """Say whether a box overlaps none that is taken."""
        x1, y1, x2, y2 = box.x1, box.y1, box.x2, box.y2
        for cell in _cells(box):
            for other in self._cells.get(cell, ()):
                if x1 < other.x2 and other.x1 < x2 and y1 < other.y2 and other.y1 < y2:
                    return False
        return True


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    for column in range(int(box.x1 // _CELL), int(box.x2 // _CELL) + 1):
        for row in range(int(box.y1 // _CELL), int(box.y2 // _CELL) + 1):
            yield column, row


def place_labels(
    scene: Scene,
    layout: Layout,
    arrows: Sequence[Arrow],
    extra: Iterable[Box] = (),
    *,
    clocks: Beside = NO_CLOCKS,
    rings: Mapping[int, float] = NO_RINGS,
) -> tuple[Label, ...]:
    """Place the labels of bars and events; what finds no room is left to the tip of its mark.

    No label covers a mark or another label. Where there is a choice, none stands on an arrow; the
    name of an ordinary event never does. Clocks come first, and names go where these leave room.
    """
    room, lines = Room(), Room()
    for box in (*_obstacles(scene, layout), *extra, *_heads(arrows)):
        room.take(box)
    for box in _along(arrows):
        lines.take(box)
    labels: list[Label] = []
    for row, size in rings.items():
        x, y = layout.anchors[row]
        room.take(Box(x - size, y - size, x + size, y + size))
    for label in _clocks(scene, layout, clocks, rings, (room, lines)):
        room.take(label.box)
        labels.append(label)
    for mark, number in _wanted(scene, layout):
        if isinstance(mark, PlacedBar):
            found = _bar_label(mark, number, layout, room, lines)
        else:
            r = rings.get(mark.row, layout.radius)
            found = _point_label(mark, r, scene.adrift, layout, (room, lines))
        if found is not None:
            room.take(found.box)
            if isinstance(mark, PlacedBar):
                labels.append(replace(found, placed=number))
            else:
                labels.append(replace(found, row=mark.row))
    return tuple(labels)


def _clocks(
    scene: Scene,
    layout: Layout,
    clocks: Beside,
    rings: Mapping[int, float],
    rooms: tuple[Room, Room],
) -> Iterator[Label]:
    """Place clocks above their events, else below or beside; a box to fill in is never left out."""
    room, lines = rooms
    lanes = {point.row: point.lane for point in scene.points}
    halves: dict[int, float] = {}
    for placed in layout.bars:
        for row in placed.bar.rows:
            if row not in lanes and row not in halves:
                halves[row] = placed.height / 2
                lanes[row] = placed.bar.lane
    for row in sorted(clocks.words.keys() & lanes.keys(), key=lambda row: layout.anchors[row]):
        words = clocks.words[row]
        x, y = layout.anchors[row]
        half = halves.get(row, rings.get(row, layout.radius))
        width = text_width(words, CLOCK_SIZE) * BOLD + (clocks.blank + 3 if clocks.blank else 0)
        drop = 15.0 if clocks.blank else CLOCK_SIZE + 2
        places = (
            (x - width / 2, y - half - 7),
            (x - width / 2, y + half + drop),
            (x + half + 5, y - half - 7),
            (x - width - half - 5, y - half - 7),
            (x + half + 5, y + half + drop),
            (x - width - half - 5, y + half + drop),
        )
        made = [
            Label(a, b, words, CLOCK_SIZE, lanes[row], "", clock=row, blank=clocks.blank)
            for a, b in places
        ]
        found = _first_free(made, layout, room, lines) or _first_free(made, layout, room, None)
        if found is not None:
            yield found
        elif clocks.blank:
            yield made[0]


def _wanted(scene: Scene, layout: Layout) -> Iterator[tuple[PlacedBar | Point, int]]:
    """Yield what wants a label, the most urgent first."""
    found: list[tuple[int, float, int, PlacedBar | Point]] = []
    for number, placed in enumerate(layout.bars):
        urgent = placed.bar.status in _BAD or placed.bar.kind == "compensation"
        found.append((0 if urgent else 1, placed.x1, number, placed))
    for number, point in enumerate(scene.points):
        if point.label:
            x = layout.anchors[point.row][0]
            found.append((0 if point.glyph in _URGENT else 2, x, number, point))
    for _, _, number, mark in sorted(found, key=lambda item: item[:3]):
        yield mark, number


def _obstacles(scene: Scene, layout: Layout) -> Iterator[Box]:
    for placed in layout.bars:
        half = placed.height / 2
        yield Box(placed.x1 - 1, placed.y - half, placed.x2 + _sign_room(placed), placed.y + half)
    for point in scene.points:
        x, y = layout.anchors[point.row]
        r = layout.radius + 1.5
        yield Box(x - r, y - (r * 2.4 if point.glyph == "signal" else r), x + r, y + r)
    for row in scene.damaged.keys() & layout.anchors.keys():
        x, y = layout.anchors[row]
        yield Box(x - 8, y - 21, x + 8, y - 6)
    for barrier in scene.barriers:
        x = layout.anchors[barrier.row][0]
        touched = [*barrier.lanes, scene.lane_of(barrier.row)]
        top, bottom = layout.lanes[min(touched)], layout.lanes[max(touched)]
        yield Box(x - 3, top.top, x + 3, bottom.bottom)


def _sign_room(placed: PlacedBar) -> float:
    return 7.0 if placed.bar.status in _BAD or placed.bar.kind in {"timer", "lock"} else 1.0


def _heads(arrows: Sequence[Arrow]) -> Iterator[Box]:
    if len(arrows) <= MANY:
        for arrow in arrows:
            down = arrow.y2 > arrow.y1
            top = arrow.y2 - 8 if down else arrow.y2
            yield Box(arrow.x2 - 4, top, arrow.x2 + 4, top + 8)


def _along(arrows: Sequence[Arrow]) -> Iterator[Box]:
    """Cover each arrow with boxes: narrow ones where it is steep, low ones where it is flat."""
    for arrow in arrows:
        dx, dy = arrow.x2 - arrow.x1, arrow.y2 - arrow.y1
        steps = int(min(abs(dx), abs(dy)) // 8) + 1
        for step in range(steps):
            x1, y1 = arrow.x1 + dx * step / steps, arrow.y1 + dy * step / steps
            x2, y2 = x1 + dx / steps, y1 + dy / steps
            yield Box(min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1)


def _bar_label(
    placed: PlacedBar, number: int, layout: Layout, room: Room, lines: Room
) -> Label | None:
    """Write a name into its bar if all of it fits, else beside the bar, else what fits inside."""
    whole = _inside(placed, number)
    if whole is not None and whole.text == placed.bar.words:
        return whole
    best = _beside_bar(placed, layout, WHOLE_WIDTH, room, lines)
    if best is None:
        best = _beside_bar(placed, layout, MAX_WIDTH, room, lines)
    if best is None and (whole is None or len(whole.text) < 10):
        best = _beside_bar(placed, layout, MAX_WIDTH, room, None)
    if best is None and whole is None:
        best = _beside_bar(placed, layout, 90.0, room, None)
    return best or whole


def _inside(placed: PlacedBar, number: int) -> Label | None:
    work = placed.work
    size = BAR_SIZE if placed.height >= 15 else 9.5
    if work.kind != "work" or placed.height < 11:
        return None
    taken = 7 if placed.bar.status in _BAD or placed.open else 0
    shown = ellipsize(placed.bar.words, size, work.x2 - work.x1 - 10 - taken)
    if not shown:
        return None
    y = placed.y + size * 0.36
    return Label(work.x1 + 5, y, shown, size, placed.bar.lane, placed.bar.tip, bar=number)


def _beside_bar(
    placed: PlacedBar, layout: Layout, most: float, room: Room, lines: Room | None
) -> Label | None:
    size = BAR_SIZE if placed.height >= 8 else 9.0
    half = placed.height / 2
    work = placed.work
    text = ellipsize(placed.bar.words, size, most)
    if not text:
        return None
    width = text_width(text, size)
    places = (
        (placed.x2 + _sign_room(placed) + 4, placed.y + size * 0.36),
        (work.x1, placed.y + half + size),
        (work.x1, placed.y - half - 4),
        (placed.x2 - width, placed.y + half + size),
        (placed.x2 - width, placed.y - half - 4),
        (placed.x1 - width - 4, placed.y + size * 0.36),
    )
    made = [Label(x, y, text, size, placed.bar.lane, placed.bar.tip) for x, y in places]
    return _first_free(made, layout, room, lines)


def _lane_at(y: float, layout: Layout) -> int:
    """Return the lane in which something stands that belongs to none."""
    return next((n for n, lane in enumerate(layout.lanes) if y < lane.bottom), 0)


def _point_label(
    point: Point, r: float, adrift: Container[int], layout: Layout, rooms: tuple[Room, Room]
) -> Label | None:
    room, lines = rooms
    x, y = layout.anchors[point.row]
    urgent = point.glyph in _URGENT
    for most in (150.0, 80.0) if urgent else (150.0,):
        text = ellipsize(point.label, POINT_SIZE, most)
        if not text:
            continue
        width = text_width(text, POINT_SIZE)
        places = (
            (x - 2, y + r + 10),
            (x - 2, y - r - 5),
            (x + r + 5, y + 3.5),
            (x - width + 2, y + r + 10),
            (x - width + 2, y - r - 5),
            (x - width - r - 5, y + 3.5),
        )
        lane = _lane_at(y, layout) if point.row in adrift else point.lane
        made = [Label(a, b, text, POINT_SIZE, lane, point.tip, not urgent) for a, b in places]
        found = _first_free(made, layout, room, lines)
        if found is None and urgent:
            found = _first_free(made, layout, room, None)
        if found is not None:
            return found
    return None


def _first_free(
    labels: Sequence[Label], layout: Layout, room: Room, lines: Room | None
) -> Label | None:
    for label in labels:
        box, lane = label.box, layout.lanes[label.lane]
        within = layout.left <= box.x1 and box.x2 <= layout.right + 18
        within = within and lane.top <= box.y1 and box.y2 <= lane.bottom
        if within and room.is_free(box) and (lines is None or lines.is_free(box)):
            return label
    return None
