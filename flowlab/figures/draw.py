"""The whole picture: a heading, a panel for each run, and the legend, as one SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowlab.figures import theme
from flowlab.figures.emphasis import NOTHING, Pointed
from flowlab.figures.labels import NO_CLOCKS, Beside
from flowlab.figures.layout import lay_out, name_column
from flowlab.figures.legend import draw_legend
from flowlab.figures.panel import AXIS_HEIGHT, draw_panel
from flowlab.figures.scene import Scene
from flowlab.figures.sheet import sheet
from flowlab.figures.svg import text
from flowlab.figures.text import ellipsize, is_wall_time, moment, number, plural

TOP: Final = 74.0
MAX_WIDTH: Final = 2_400
"""Pixels up to which a picture is made wider, so that its clocks have room."""
_HEAD: Final = 34.0
_AXES: Final = {"time": "time", "order": "causal order", "depth": "causal depth"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: the scene of each run with its heading, and how much there is in all."""

    scenes: tuple[Scene, ...]
    headings: tuple[str, ...]
    total_events: int
    total_runs: int
    title: str
    clocks: tuple[Beside, ...] = ()
    pointed: tuple[Pointed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> Iterator[tuple[Scene, str, Beside, Pointed]]:
        """Each run with its heading, its clocks and what is pointed out."""
        clocks = self.clocks or (NO_CLOCKS,) * len(self.scenes)
        pointed = self.pointed or (NOTHING,) * len(self.scenes)
        yield from zip(self.scenes, self.headings, clocks, pointed, strict=True)


def draw(picture: Picture, *, width: int) -> str:
    """Draw a picture."""
    names = name_column(picture.scenes)
    left, right = 20 + names + 16, float(_wide_enough(picture, 20 + names + 16, width)) - 40.0
    parts: list[str] = []
    keys: set[str] = set()
    untold = 0
    y = TOP
    several = picture.total_runs > 1
    for scene, heading, clocks, pointed in picture.parts:
        if several:
            shown = ellipsize(heading, 13, right - 20)
            parts.append(text(20, y + 10, shown, size=13, weight=600, fill=theme.BLUE))
            parts.append(text(20, y + 25, counts(scene), size=11, fill=theme.MUTED))
            y += _HEAD
        room = 16.0 if clocks.words else 0.0
        inset = max(14.0, clocks.width / 2 + 4)
        layout = lay_out(scene, left=left, right=right, top=y, names=names, room=room, inset=inset)
        drawn = draw_panel(scene, layout, clocks, pointed)
        parts += drawn.parts
        keys |= drawn.keys
        untold += len(clocks.words) - drawn.clocks
        y = layout.bottom + AXIS_HEIGHT + (12 if several else 0)
    if not picture.scenes:
        parts.append(text(20, y + 20, "no events", size=14, fill=theme.MUTED))
        y += 40
    legend, height = draw_legend(keys, left=20, right=right, top=y + 6)
    total = round(y + height + 22)
    return sheet(
        [*parts, *legend],
        title=picture.title,
        subtitle="; ".join([summary(picture), *picture.notes, *_untold(picture, untold)]),
        width=right + 40,
        height=total,
    )


def _untold(picture: Picture, count: int) -> Iterator[str]:
    total = sum(len(clocks.words) for clocks in picture.clocks)
    if count:
        yield f"{number(total - count)} of {number(total)} have room, the text has all"


def _wide_enough(picture: Picture, left: float, width: int) -> int:
    """Return a width at which clocks have room beside each other, where a step is an event."""
    needed = [
        left + 60 + (max(scene.at.values()) - min(scene.at.values()) + 1) * (clocks.width + 8)
        for scene, _, clocks, _ in picture.parts
        if clocks.words and scene.at and scene.window.axis != "time"
    ]
    return max(width, min(MAX_WIDTH, round(max(needed, default=0))))


def counts(scene: Scene) -> str:
    """Say how much of a run is shown, and along which axis."""
    window = scene.window
    text_ = f"showing {number(sum(window.visible))} of {plural(window.total, 'event')}"
    if window.hidden:
        text_ += f", {number(window.hidden)} workflow-task events left out"
    if window.left_out:
        text_ += f", {number(window.left_out)} beyond the limit"
    if len(window.lanes) < window.total_lanes:
        text_ += f", {len(window.lanes)} of {plural(window.total_lanes, 'lane')}"
    text_ += f"; along the axis: {_AXES[window.axis]}"
    first = min(scene.at.values(), default=0)
    if window.axis == "time" and is_wall_time(first):
        text_ += f" since {moment(first)}"
    return text_


def summary(picture: Picture) -> str:
    """Say how much of the whole is shown."""
    if not picture.scenes:
        return "showing 0 of 0 events"
    if picture.total_runs == 1:
        return counts(picture.scenes[0])
    shown = sum(sum(scene.window.visible) for scene in picture.scenes)
    text_ = f"showing {number(shown)} of {plural(picture.total_events, 'event')}, "
    text_ += (
        f"{len(picture.scenes)} of {plural(picture.total_runs, 'run')}, each on an axis of its own"
    )
    if len(picture.scenes) < picture.total_runs:
        text_ += "; those with the most agents and calls first"
    return text_
