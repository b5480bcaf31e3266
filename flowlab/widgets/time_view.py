"""The live view of time travel: a scrubber over a log, and the state of everything at its place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from itertools import count
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import numpy as np
import traitlets

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.figures.text import clean
from flowlab.figures.theme import palette
from flowlab.figures.time_travel import draw_travel
from flowlab.figures.travel import ABSENT, Travel, read_travel
from flowlab.figures.travel_values import CellName, Folding, Reading, Taken
from flowlab.widgets.module import TIME_FILES, joined
from flowlab.widgets.packing import pack, texts
from flowlab.widgets.page import html_target, shell, write_page
from flowlab.widgets.placeholder import WidgetView, bundle, image_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_BETWEEN: Final = 512
"""Changes between two keyframes, or as many as there are cells where these are more."""
MAX_WORD: Final = 200
_numbers = count(1)


class TimeTravelView(anywidget.AnyWidget):  # type: ignore[misc]
    """The state of everything at each event of a log: `log.time_travel()`.

    In a notebook it is shown as a picture, which becomes live where a kernel runs; without one it
    stays a picture. The place is in `at`; what is put there is shown.

    Args:
        log: of at most 100 000 events.
        checkpoints: where they lie; None for those that the log tells of.
        aggregates: kinds whose state is shown.
        at: the place, from 1; None for the last.
        title: of the view.

    Attributes:
        at: how many events have happened, from 1 to all of them. May be set.

    Raises:
        InvalidArgumentError: the log is too long, there is no such place, or a fold fails.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": n, "time_ns": n,
        ...     "event_type": kind} for n, kind in enumerate(("WorkflowStarted",
        ...                                                    "WorkflowCompleted"), 1)])
        >>> view = TimeTravelView(log, title="one workflow")
        >>> view
        TimeTravelView('one workflow', event 2 of 2)
        >>> view.at = 1
        >>> view.state
        {('w', 'state'): 'initiated'}
    """

    _esm = joined(TIME_FILES, "js_time/style")
    _header = traitlets.Unicode("{}").tag(sync=True)
    _data = traitlets.Bytes(b"").tag(sync=True)
    _place = traitlets.Unicode("").tag(sync=True)
    _at = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        log: EventLog,
        *,
        checkpoints: Iterable[Taken] | None = None,
        aggregates: Iterable[Folding] = (),
        at: int | None = None,
        title: str = "",
    ) -> None:
        self._travel = read_travel(log, checkpoints=checkpoints, aggregates=aggregates)
        self._pictures: dict[int, str] = {}
        place = len(log) if at is None else self._checked(at)
        header, self._bytes = content_of(self._travel, at=place, title=title)
        self._facts = header
        sent = json.dumps(header)
        digest = sha256(sent.encode() + self._bytes).hexdigest()[:16]
        super().__init__(
            _header=sent, _data=self._bytes, _place=f"{digest}-{next(_numbers)}", _at=place
        )

    @property
    def log(self) -> EventLog:
        """The events, in the order of the places."""
        return self._travel.log

    @property
    def title(self) -> str:
        """What stands above the view."""
        return str(self._facts["title"])

    @property
    def at(self) -> int:
        """How many events have happened."""
        return int(self._at)

    @at.setter
    def at(self, value: int) -> None:
        self._at = self._checked(value)

    @property
    def event(self) -> Event:
        """The event of the place.

        Raises:
            InvalidArgumentError: the log is empty.
        """
        self._checked(self.at)
        return EventLog(self.log.table.slice(self.at - 1, 1)).events()[0]

    @property
    def state(self) -> dict[tuple[str, str], str]:
        """What each cell holds at the place, as text, by (owner, key)."""
        found = self._travel.state(self.at - 1)
        return {(cell.owner, cell.key): value for cell, value in found.items()}

    @property
    def reading(self) -> Reading:
        """What recovery from the place would read."""
        return self._travel.reading(self.at - 1)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the view as a page that works offline, at its place; return its path.

        Raises:
            InvalidArgumentError: the file has another ending than .html.
        """
        target = html_target(path, "flowlab.figures.time_travel(log)")
        header = {**self._facts, "at": self.at}
        return write_page(target, shell(header, self._bytes, joined(TIME_FILES, "js_time/style")))

    def widget(self) -> WidgetView:
        """Return the view as an ordinary widget, for hosts that keep each output apart."""
        return WidgetView(self)

    def __repr__(self) -> str:
        return f"TimeTravelView({self.title!r}, event {self.at} of {len(self.log)})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # type: ignore[override]
        if self.at not in self._pictures:
            place = self.at if len(self.log) else None
            figure = draw_travel(self._travel, at=place, title=self.title)
            self._pictures = {self.at: image_of(figure, figure.text.split("\n")[-1])}
        return bundle(self._place, self._pictures[self.at], repr(self))

    def _checked(self, at: int) -> int:
        size = len(self._travel.log)
        if type(at) is not int or not 1 <= at <= size:
            message = f"at is {at!r}; expected a place from 1 to {size}"
            raise InvalidArgumentError(message)
        return at


def content_of(travel: Travel, *, at: int, title: str) -> tuple[dict[str, Any], bytes]:
    """Return what the view is sent: a header of words, and columns of numbers."""
    changes, table = travel.changes, travel.log.table
    every = max(LEAST_BETWEEN, len(travel.cells))
    packed = texts([value.encode() for value in travel.values])
    columns: dict[str, NDArray[Any]] = {
        "lane": travel.lane,
        "sequence": table.column("sequence").to_numpy().astype(np.float64),
        "change_row": changes.row,
        "change_cell": changes.cell,
        "change_value": changes.value,
        "key_values": keyframes(travel, every),
        "value_end": packed["ends"],
        "value_bytes": packed["bytes"],
    }
    marks = travel.checkpoints
    columns["mark_row"] = np.asarray([row for row, _, _ in marks], np.int32)
    columns["mark_lane"] = np.asarray([lane for _, lane, _ in marks], np.int32)
    columns["mark_at"] = np.asarray([mark.at for _, _, mark in marks], np.float64)
    columns["mark_size"] = np.asarray([mark.size_bytes for _, _, mark in marks], np.float64)
    columns["mark_save"] = np.asarray([mark.savepoint for _, _, mark in marks], np.uint8)
    times = table.column("time_ns").to_numpy()
    base = int(times[0]) if len(times) else 0
    is_wide = bool(len(times)) and float(times.max()) - float(times.min()) > 2.0**62
    # A difference of two int64 may not fit one; as floats they keep the order.
    columns["time"] = times.astype(np.float64) - float(base) if is_wide else (times - base) * 1.0
    said: dict[str, list[str]] = {}
    for column, name in (("event_type", "event_type"), ("name", "name"), ("agent_id", "agent"),
                         ("workflow_id", "stream")):  # fmt: skip
        values = table.column(column).combine_chunks().dictionary_encode()
        columns[name] = values.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        said[name] = [clean(word[:MAX_WORD]) for word in values.dictionary.to_pylist()]
    directory, data = pack(columns)
    header = {
        "title": title or "Time travel",
        "at": at,
        "base_ns": str(base),
        "lanes": [[clean(lane.label[:MAX_WORD]), lane.kind] for lane in travel.lanes],
        "cells": [_cell(cell) for cell in travel.cells],
        "cell_order": sorted(range(len(travel.cells)), key=lambda n: (travel.cells[n].lane, n)),
        "key_every": every,
        "words": said,
        "palette": {"light": palette(), "dark": palette(dark=True)},
        "columns": directory,
    }
    return header, data


def keyframes(travel: Travel, every: int) -> NDArray[np.int32]:
    """Return what each cell holds before each so many changes, one state after the other."""
    held = np.full(len(travel.cells), ABSENT, np.int32)
    frames = [held.copy()]
    changes = travel.changes
    for start in range(0, len(changes.row) - every + 1, every):
        stretch = slice(start, start + every)
        held[changes.cell[stretch]] = changes.value[stretch]
        frames.append(held.copy())
    return np.concatenate(frames)


def _cell(cell: CellName) -> list[Any]:
    owner, key = (clean(word[:MAX_WORD]) for word in (cell.owner, cell.key))
    return [cell.kind, cell.lane, owner, key]
