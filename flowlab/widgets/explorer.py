"""The live view of a log in a notebook: what is selected in it, the next cell uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any, Final

import anywidget
import numpy as np
import traitlets

from flowlab.causality.choosing import many
from flowlab.errors import FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events import EventId, EventLog, counted
from flowlab.figures import space_time
from flowlab.widgets.content import read_content
from flowlab.widgets.kernel import Kernel
from flowlab.widgets.module import module
from flowlab.widgets.packing import pack
from flowlab.widgets.page import html_target, page_of, write_page
from flowlab.widgets.placeholder import WidgetView, bundle, image_of

MAX_PICTURE: Final = 300
"""Events of the static picture, which stands where no view can be live."""
_numbers = count(1)


class Explorer(anywidget.AnyWidget):  # type: ignore[misc]
    """A log that a person looks into: `log.explore()`.

    In a notebook it is shown as a picture, which becomes live where a kernel runs; without one it
    stays a picture. What is chosen in the view is in the traits, and what is put there is shown.

    Args:
        log: any log.
        title: of the view.
        axis: `time`, `depth` (causal), or `auto`: time where it is usable.
        group: `agent`, `workflow`, `run`, or `auto`: agents of one run, else runs.

    Attributes:
        log: the events, in order of time.
        selected: the chosen events as `EventId`s: one, or two whose relation is shown. May be set
            to whatever `log.causality` takes for an event: ids, (workflow_id, sequence), keys.
        range_ns: the times on screen, (first, last); None for all.
        cut: the place of the cut: how many of its events each agent has done, by agent, or by
            (run_id, agent) or (namespace, run_id, agent) in a log of several runs; None where no
            cut is shown.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": n, "time_ns": n * 10,
        ...                              "event_type": "Signaled"} for n in (1, 2)])
        >>> view = Explorer(log, title="two signals")
        >>> view
        Explorer('two signals', 2 events)
        >>> view.selected = [("w", 2)]
        >>> [event.sequence for event in view.selected_events]
        [2]
    """

    _esm = module()
    _header = traitlets.Unicode("{}").tag(sync=True)
    _data = traitlets.Bytes(b"").tag(sync=True)
    _place = traitlets.Unicode("").tag(sync=True)
    _rows = traitlets.List(traitlets.Int()).tag(sync=True)
    _range = traitlets.List(traitlets.Float()).tag(sync=True)
    _cut = traitlets.List(traitlets.Int()).tag(sync=True)

    selected = traitlets.Any(())
    range_ns = traitlets.Any(None, allow_none=True)
    cut = traitlets.Any(None, allow_none=True)

    def __init__(
        self, log: EventLog, *, title: str, axis: str = "auto", group: str = "auto"
    ) -> None:
        content = read_content(log, title=title, axis=axis, group=group)
        directory, data = pack(content.columns)
        header = json.dumps({**content.header, "columns": directory})
        digest = sha256(header.encode() + data).hexdigest()[:16]
        self._content = content
        self._kernel = Kernel(content)
        self._picture = ""
        super().__init__(
            _header=header,
            _data=data,
            _place=f"{digest}-{next(_numbers)}",
            selected=(),
            range_ns=None,
            cut=None,
        )
        self.on_msg(self._hear)

    @property
    def log(self) -> EventLog:
        """The events, in order of time."""
        return self._content.log

    @property
    def title(self) -> str:
        """What stands above the view."""
        return str(self._content.header["title"])

    @property
    def selected_events(self) -> EventLog:
        """The chosen events as a log."""
        return self._content.order.take(list(self._rows))

    @property
    def range_events(self) -> EventLog:
        """The events of the times on screen."""
        times = self.log.table.column("time_ns").to_numpy()
        if self.range_ns is None:
            return self.log
        first, last = self.range_ns
        return self._content.order.take(np.flatnonzero((times >= first) & (times <= last)))

    @property
    def cut_events(self) -> EventLog:
        """The events before the cut; none where no cut is shown."""
        if not self._cut:
            return self._content.order.take([])
        codes = self._content.lanes.codes
        order = np.argsort(codes, kind="stable")
        firsts = np.searchsorted(codes[order], np.arange(len(self._cut)))
        rank = np.empty(len(codes), np.int64)
        rank[order] = np.arange(len(codes)) - firsts[codes[order]]
        return self._content.order.take(np.flatnonzero(rank < np.asarray(self._cut)[codes]))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the view as a page that can be explored offline; return its path.

        Of a log of more than 20 000 events the page holds marks that stand for many events each,
        and says so.

        Raises:
            InvalidArgumentError: the file has another ending than .html.
        """
        return write_page(html_target(path, "log.diagram()"), page_of(self._content))

    def widget(self) -> WidgetView:
        """Return the view as an ordinary widget, for hosts that keep each output apart."""
        return WidgetView(self)

    def __repr__(self) -> str:
        return f"Explorer({self.title!r}, {counted(len(self.log), 'event')})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # type: ignore[override]
        if not self._picture:
            self._picture = _picture(self.log, self.title)
        return bundle(self._place, self._picture, repr(self))

    # -- what the page says, and what it is told

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        """Answer a question of the page; an error is an answer too."""
        if not isinstance(message, Mapping) or "flowlab" not in message:
            return
        try:
            answer, buffers = self._kernel.answer(dict(message))
        except FlowlabError as error:
            self.send({"id": message.get("id"), "error": str(error)})
            return
        self.send({"id": message.get("id"), "answer": answer}, buffers)

    @traitlets.validate("selected")
    def _valid_selected(self, proposal: Any) -> tuple[EventId, ...]:
        value = proposal["value"]
        rows = [self._content.order.row(item) for item in many(() if value is None else value)]
        if len(rows) > 2:  # noqa: PLR2004 - a relation has two ends
            message = (
                f"{len(rows)} events are selected; a view shows one, or two and their relation"
            )
            raise InvalidArgumentError(message)
        return tuple(self._id(row) for row in rows)

    @traitlets.observe("selected")
    def _put_rows(self, _: Any) -> None:
        self._rows = [self._content.order.row(item) for item in self.selected]

    @traitlets.observe("_rows")
    def _take_rows(self, _: Any) -> None:
        self.selected = tuple(self._id(row) for row in self._rows)

    @traitlets.validate("range_ns")
    def _valid_range(self, proposal: Any) -> tuple[int, int] | None:
        value = proposal["value"]
        if value is None:
            return None
        ends = [int(end) for end in value]
        if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 - it has two ends
            message = f"range_ns is {value!r:.80}; give two times in ns, the earlier first, or None"
            raise InvalidArgumentError(message)
        return ends[0], ends[1]

    @traitlets.observe("range_ns")
    def _put_range(self, _: Any) -> None:
        base = int(self._content.header["base_ns"])
        self._range = [] if self.range_ns is None else [float(end - base) for end in self.range_ns]

    @traitlets.observe("_range")
    def _take_range(self, _: Any) -> None:
        base = int(self._content.header["base_ns"])
        self.range_ns = tuple(base + round(end) for end in self._range) if self._range else None

    @traitlets.validate("cut")
    def _valid_cut(self, proposal: Any) -> dict[Any, int] | None:
        given = proposal["value"]
        if given is not None and not isinstance(given, Mapping):
            message = f"cut is {given!r:.80}; expected how far each agent is, as {{'hotel': 2}}"
            raise InvalidArgumentError(message)
        value = dict(given or {})
        known = self._lane_names()
        counts = np.bincount(self._content.lanes.codes, minlength=len(known))
        for name, done in value.items():
            if name not in known:
                message = f"no agent {name!r} in this log; it has {list(known)[:8]}"
                raise NotFoundError(message)
            if not 0 <= done <= counts[known[name]]:
                message = f"{name!r} has {counts[known[name]]} events; a cut after {done} is none"
                raise InvalidArgumentError(message)
        return {name: int(value.get(name, 0)) for name in known} if value else None

    @traitlets.observe("cut")
    def _put_cut(self, _: Any) -> None:
        self._cut = list((self.cut or {}).values())

    @traitlets.observe("_cut")
    def _take_cut(self, _: Any) -> None:
        self.cut = dict(zip(self._lane_names(), self._cut, strict=True)) if self._cut else None

    def _lane_names(self) -> dict[Any, int]:
        names = self._content.lanes.names
        spaces, runs = ({name[:parts] for name in names} for parts in (1, 2))
        # As short as it tells the agents apart: alone, with the run, with the namespace too.
        parts = slice(0 if len(spaces) > 1 else 1, None)
        return {(name[parts] if len(runs) > 1 else name[2]): c for c, name in enumerate(names)}

    def _id(self, row: int) -> EventId:
        return self._content.order.event(row).id


def _picture(log: EventLog, title: str) -> str:
    figure = space_time(log, limit=MAX_PICTURE, title=title)
    return image_of(figure, figure.text.split("\n")[1])
