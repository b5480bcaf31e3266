"""What a scene holds as columns of rows: bars with their parts, arrows, gaps, barriers, signs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.figures.bar import Bar
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.window import choose_window
from flowlab.widgets.packing import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.events import EventLog

BAR_KINDS: Final = ("activity", "compensation", "timer", "child", "lock", "barrier")
STATUSES: Final = ("completed", "failed", "timed_out", "canceled", "running", "scheduled")
SEGMENTS: Final = ("waiting", "attempt", "work")
RESULTS: Final = ("", "committed", "aborted", "crashed", "hung", "open")
ARROWS: Final = ("asks", "message", "cause", "assumed")
Part = tuple[int, int, int, int]
"""Of a bar: kind, row where it begins, row where it ends (-1: the log's end), result."""


def scene_of(log: EventLog, *, every: bool) -> Scene:
    """Read the whole of a log that is in order of time: `every` lane, where it has many."""
    lanes = list(dict.fromkeys(log.table.column("agent_id").to_pylist())) if every else "auto"
    window = choose_window(
        log, axis="time", lanes=lanes, detail="activities", limit=10**9, max_lanes=10**9
    )
    return read_scene(window)


def scene_columns(
    scene: Scene, lane_of: dict[tuple[str, ...], int], words: Codes
) -> dict[str, NDArray[Any]]:
    """Return the columns of a scene; its rows are the log's.

    Args:
        scene: of the whole log.
        lane_of: the view's number of each lane.
        words: takes the labels and tips.
    """
    lanes = [lane_of[lane.key] for lane in scene.lanes]
    size = len(scene.window.events)
    point, label = np.zeros(size, np.uint8), np.full(size, -1, np.int32)
    damage = np.full(size, -1, np.int32)
    for one in scene.points:
        point[one.row] = 1
        label[one.row] = words.of(one.label)
    for row, tip in scene.damaged.items():
        damage[row] = words.of(tip)
    hidden = ~np.asarray(scene.window.visible, bool)
    columns: dict[str, NDArray[Any]] = {
        "point": point,
        "label_code": label,
        "damage": damage,
        "hidden": hidden.astype(np.uint8),
        "flying": np.asarray(list(scene.in_flight), np.int32),
    }
    columns |= _table("gap", 3, ((lanes[g.lane], g.crash, _or(g.restart)) for g in scene.gaps))
    columns |= _table("broken", 2, scene.broken)
    columns |= _table("back", 2, ((back.bar, back.row) for back in scene.backs))
    columns |= _table("adrift", 3, ((r, s, lanes[to]) for r, (s, to) in scene.adrift.items()))
    meetings = ((b.row, lanes[lane]) for b in scene.barriers for lane in b.lanes)
    columns |= _table("meeting", 2, meetings)
    columns |= _table("link", 3, _links(scene))
    return columns | _bar_columns(scene, lanes, words)


def _or(row: int | None) -> int:
    return -1 if row is None else row


def _table(name: str, width: int, rows: Iterable[tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Return rows of whole numbers as one column, `width` of them in a row."""
    flat = [value for row in rows for value in row]
    assert len(flat) % width == 0
    return {name: np.asarray(flat, np.int32)}


def _links(scene: Scene) -> Iterator[tuple[int, int, int]]:
    """Yield the arrows: causes that no bar shows by itself."""
    said = set()
    for bar in scene.bars:
        for start in bar.starts:
            said.add((bar.asked, start))
            said.add((start, _or(bar.ended)))
        said.add((bar.asked, _or(bar.ended)))
    for link in scene.links:
        if (link.cause, link.effect) not in said:
            kind = "message" if link.kind == "message" else "cause"
            style = "assumed" if link.bridged or link.kind == "assumed" else kind
            yield link.cause, link.effect, ARROWS.index(style)


def _bar_columns(scene: Scene, lanes: list[int], words: Codes) -> dict[str, NDArray[Any]]:
    bars, parts, rows = [], [], []
    for number, bar in enumerate(scene.bars):
        status = bar.status if bar.status in STATUSES else "running"
        bars.append(
            (
                lanes[bar.lane],
                BAR_KINDS.index(bar.kind),
                STATUSES.index(status),
                bar.asked,
                _or(bar.ended),
                _or(bar.cut),
                words.of(bar.words),
                words.of(bar.tip),
            )
        )
        parts += [(number, *part) for part in parts_of(bar, scene)]
        rows += [(number, row) for row in bar.rows]
    return {
        **_table("bar", 8, bars),
        **_table("part", 5, parts),
        **_table("bar_row", 2, rows),
    }


def parts_of(bar: Bar, scene: Scene) -> Iterator[Part]:
    """Yield the parts of a bar in rows, as `figures.layout` has them in pixels."""
    end = bar.ended if bar.ended is not None else _or(bar.cut)
    waiting, attempt, work = range(3)
    if bar.visits:
        reached = bar.asked
        for visit in bar.visits:
            if visit.start != reached:
                yield waiting, reached, visit.start, 0
            kind = attempt if visit.outcome in {"crashed", "hung"} else work
            yield kind, visit.start, _or(visit.done), RESULTS.index(visit.outcome)
            reached = _or(visit.done)
        if reached not in {-1, end}:
            yield waiting, reached, end, 0
        return
    if not bar.starts:
        yield waiting, bar.asked, end, 0
        return
    if bar.starts[0] != bar.asked:
        yield waiting, bar.asked, bar.starts[0], 0
    crashes = [gap.crash for gap in scene.gaps if gap.lane == bar.lane]
    for start, after in zip(bar.starts, bar.starts[1:], strict=False):
        crash = min((row for row in crashes if start < row < after), default=after)
        yield attempt, start, crash, 0
        if crash < after:
            yield waiting, crash, after, 0
    yield work, bar.starts[-1], end, 0
