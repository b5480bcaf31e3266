"""The picture in characters: for terminals, logs of a build, and readers that speak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowlab.figures.axis import Axis, make_axis
from flowlab.figures.bar import Bar
from flowlab.figures.draw import Picture
from flowlab.figures.scene import Scene
from flowlab.figures.text import duration

CELLS: Final = 64
"""Characters along the axis."""
_NAME: Final = 22
_SIGNS: Final = {
    "failed": "x",
    "timed_out": "x",
    "canceled": "/",
    "crash": "X",
    "restart": "R",
    "pivot": "◆",
    "barrier": "|",
    "start": ">",
    "end": "<",
}
_FILLS: Final = {"activity": "█", "compensation": "▓", "barrier": "░"}
_DAMAGE: Final = "!"
_OTHER_FILL: Final = "─"
_KEY: Final = (
    ("█", "work"),
    ("▓", "compensation"),
    ("░", "waiting"),
    ("─", "timer, child or lock"),
    ("x", "failed"),
    ("/", "canceled"),
    ("X", "crashed"),
    ("_", "down"),
    ("R", "restarted"),
    ("◆", "pivot"),
    ("|", "barrier"),
    (_DAMAGE, "damage in the log"),
    (">", "start"),
    ("<", "end"),
    ("·", "event"),
)


def chart(picture: Picture) -> Iterator[str]:
    """Yield the lines of every run: its lanes in characters, then its calls in words."""
    seen: set[str] = set()
    for scene, heading in zip(picture.scenes, picture.headings, strict=True):
        if picture.total_runs > 1:
            yield ""
            yield heading
        for name, cells, note in _lanes(scene):
            seen |= set(cells)
            yield f"{name} {cells} {note}"
        if scene.window.axis == "time" and len(scene.at) > 1:
            span = max(scene.at.values()) - min(scene.at.values())
            yield f"{'':{_NAME}} 0{duration(span):>{CELLS - 1}}"
        for bar in scene.bars:
            if bar.kind != "barrier":
                yield f"  {scene.lanes[bar.lane].label} | {bar.status:<9} | {bar.words}"
    key = [f"{sign} {words}" for sign, words in _KEY if sign in seen]
    if key:
        yield "key: " + ", ".join(key)


def _lanes(scene: Scene) -> Iterator[tuple[str, str, str]]:
    axis = make_axis("order", scene.at.values(), [], left=0, right=CELLS - 1)
    for index, lane in enumerate(scene.lanes):
        cells = [" "] * CELLS
        bars = [bar for bar in scene.bars if bar.lane == index]
        for bar in bars:
            _fill(cells, bar, scene, axis)
        for gap in (gap for gap in scene.gaps if gap.lane == index):
            end = CELLS if gap.restart is None else _cell(axis, scene.at[gap.restart])
            for place in range(_cell(axis, scene.at[gap.crash]), end):
                cells[place] = "_"
        for point in scene.points:
            if point.lane == index:
                place = _cell(axis, scene.at[point.row])
                sign = _SIGNS.get(point.glyph, "·")
                if sign != "·" or cells[place] == " ":
                    cells[place] = sign
        for bar in bars:
            if bar.status in _SIGNS and bar.ended is not None:
                cells[_cell(axis, scene.at[bar.ended])] = _SIGNS[bar.status]
        for row in scene.damaged:
            if row in scene.at and scene.lane_of(row) == index:
                cells[_cell(axis, scene.at[row])] = _DAMAGE
        short = lane.label if len(lane.label) <= _NAME else lane.label[: _NAME - 1] + "…"
        yield f"{short:<{_NAME}}", "".join(cells), lane.note


def _fill(cells: list[str], bar: Bar, scene: Scene, axis: Axis) -> None:
    last_row = bar.ended if bar.ended is not None else bar.cut
    last = CELLS - 1 if last_row is None else _cell(axis, scene.at[last_row])
    began = _cell(axis, scene.at[bar.starts[0]]) if bar.starts else last
    for place in range(_cell(axis, scene.at[bar.asked]), began):
        if cells[place] == " ":
            cells[place] = "░"
    for place in range(began, last + 1):
        cells[place] = _FILLS.get(bar.kind, _OTHER_FILL)


def _cell(axis: Axis, value: int) -> int:
    return max(0, min(CELLS - 1, int(axis.x(value))))
