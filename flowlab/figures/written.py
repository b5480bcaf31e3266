"""Clocks and what is pointed out, in words: below a picture's title, and in its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError
from flowlab.events import EventId
from flowlab.figures.clocks import KINDS, MAX_PLACES, Clocks, clock_texts, read_clocks
from flowlab.figures.emphasis import Emphasis, event_id
from flowlab.figures.labels import Beside
from flowlab.figures.overlay import RINGS
from flowlab.figures.scene import Scene
from flowlab.figures.text import clean, plural, words
from flowlab.figures.window import Window

MAX_NAMED: Final = 40
"""Events that are named in the text, of each kind."""
_BLANK_PLACE: Final = 17.0
_MOST_PLACES: Final = 6

Written = str | Mapping[Any, str]
"""A kind of clock, or what is written beside some events, each named as an `EventRef`."""


class Writer:
    """Writes clocks, or other words, beside the events of windows.

    Args:
        order: of the log that is drawn.
        clocks: a kind of clock, or words by event.
    """

    def __init__(self, order: CausalOrder, clocks: Written) -> None:
        self.kind = clocks if isinstance(clocks, str) else ""
        if self.kind not in {*KINDS, ""}:
            message = f"clocks is {clocks!r}; expected {', '.join(KINDS)}, or words by event"
            raise InvalidArgumentError(message)
        self._words: dict[EventId, str] = {}
        self.clocks: Clocks | None = None
        if not isinstance(clocks, str):
            self._words = {
                event_id(order, order.row(event)): clean(said)[:200]
                for event, said in clocks.items()
            }
        elif clocks != "none":
            self.clocks = read_clocks(order)

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return self.clocks is not None or bool(self._words)

    def beside(self, window: Window) -> Beside:
        """Return what stands beside the events of a window."""
        if self.clocks is None:
            rows = window.rows
            return Beside({rows[key]: said for key, said in self._words.items() if key in rows})
        texts = clock_texts(self.clocks, window, self.kind)
        if self.kind != "blank":
            return Beside(texts)
        lanes = len(window.lanes)
        return Beside(texts, max(30.0, min(110.0, _BLANK_PLACE * min(lanes, _MOST_PLACES) + 12)))

    def note(self, windows: list[Window]) -> Iterator[str]:
        """Yield what a reader has to know of what is written."""
        if self.kind == "lamport":
            yield "beside each event its Lamport clock"
        elif self.kind in {"vector", "blank"} and len(windows) == 1:
            names = [clean(key[2][:40]) or "(no agent)" for key in windows[0].lanes]
            order = f" [{', '.join(names)}]" if len(names) <= MAX_PLACES else ""
            if self.kind == "vector":
                yield f"beside each event its vector clock{order}"
            else:
                yield f"write each event's clock into its box: a number, or a vector{order}"
        elif self.kind == "vector":
            yield "beside each event its vector clock"
        elif self.kind == "blank":
            yield "write each event's clock into its box"


def lines_of(scene: Scene, beside: Beside, *, blank: bool) -> Iterator[str]:
    """Yield a line for each lane: its events, and what is written beside them."""
    events = scene.window.events
    for index, lane in enumerate(scene.lanes):
        mine = [row for row in beside.words if row in scene.at and scene.lane_of(row) == index]
        told = []
        for row in sorted(mine, key=lambda row: (events[row].agent_sequence, row))[:MAX_NAMED]:
            name = clean(events[row].name[:60]) or words(events[row].event_type)
            said = beside.words[row]
            told.append(f"{said}. {name} ____" if blank else f"{name} {said}")
        if len(mine) > MAX_NAMED:
            told.append(f"{MAX_NAMED} of {plural(len(mine), 'event')} listed")
        if told:
            yield f"  {lane.label[:60]}: {', '.join(told)}"


def lines_about(emphasis: Emphasis, order: CausalOrder) -> Iterator[str]:
    """Yield what is pointed out, and the cut, in lines."""
    for role, ring in RINGS.items():
        named = [key for key, found in emphasis.roles.items() if found == role]
        if not named:
            continue
        told = []
        for key in named[:MAX_NAMED]:
            event = order.event(order.row(key))
            name = clean(event.name[:60]) or words(event.event_type)
            told.append(f"{name} of {clean(event.agent_id[:40])}")
        if len(named) > MAX_NAMED:
            told.append(f"{MAX_NAMED} of {plural(len(named), 'event')} listed")
        yield f"{ring.words}: {', '.join(told)}"
    if emphasis.cut is not None:
        yield emphasis.cut.words
