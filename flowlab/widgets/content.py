"""What a live view is sent: a log as columns of numbers, and a header of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog, is_history_stream, told_absent
from flowlab.figures.glyphs import GLYPHS, glyph
from flowlab.figures.scene import glyph_of
from flowlab.figures.space_time import title_of
from flowlab.figures.text import clean, words
from flowlab.figures.theme import palette
from flowlab.figures.window import MAX_LANES, times_are_usable
from flowlab.widgets.bars import (
    ARROWS,
    BAR_KINDS,
    RESULTS,
    SEGMENTS,
    STATUSES,
    scene_columns,
    scene_of,
)
from flowlab.widgets.calls import call_columns
from flowlab.widgets.packing import Codes, texts
from flowlab.widgets.rows import Groups, RowIndex, groups, in_time_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LOCAL: Final = 20_000
"""Events up to which a view holds everything; of more, payloads stay with the kernel."""
MAX_SENT_EDGES: Final = 600_000
"""Causes up to which a view holds them; more stay with the kernel."""
MAX_WORD: Final = 400
"""Characters of a name that are sent: more would not fit any picture."""
PAYLOAD_ROOMS: Final = (4_096, 1_024, 256, 64)
"""Bytes of a payload that are sent: the first of these with which all fit `PAYLOAD_TOTAL`."""
PAYLOAD_TOTAL: Final = 8_000_000


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """A log as a live view shows it.

    Args:
        log: the events, in order of time: their places are the view's rows.
        header: words and facts, which JSON can hold.
        columns: numbers by name.
        order: what causes what.
        lanes: the lane of each row, and what each lane is called.
    """

    log: EventLog
    header: dict[str, Any]
    columns: dict[str, NDArray[Any]]
    order: CausalOrder
    lanes: Groups

    def __repr__(self) -> str:
        return f"Content({len(self.log)} events, {len(self.columns)} columns)"


def part_of(
    log: EventLog, *, run_id: str | None, workflow_id: str | None, title: str | None
) -> tuple[EventLog, str]:
    """Return the part of a log that a view is of, and what stands above it.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow.
    """
    part = log.filter(run_id=run_id, workflow_id=workflow_id)
    if not len(part) and len(log):
        message = told_absent(log, run_id, workflow_id)
        raise NotFoundError(message)
    return part, title if title is not None else title_of(part, run_id, workflow_id)


def read_content(log: EventLog, *, title: str, axis: str = "auto", group: str = "auto") -> Content:
    """Turn a log into what a live view is sent.

    Raises:
        InvalidArgumentError: axis or group is unknown.
    """
    if axis not in {"auto", "time", "depth"} or group not in {"auto", "agent", "workflow", "run"}:
        message = (
            f"axis is {axis!r} and group {group!r}; expected auto, time or depth, and auto, agent, "
            "workflow or run"
        )
        raise InvalidArgumentError(message)
    log = in_time_order(log)
    order = CausalOrder(log)
    graph = order.graph
    lanes = groups(log.table, ("namespace", "run_id", "agent_id"))
    labels = Codes()
    columns, facts = _events(log.table, lanes)
    marks, stacked = _marks(order, lanes, labels)
    columns |= marks
    columns["depth"] = order.depth - np.int32(1)
    if len(graph.cause) <= MAX_SENT_EDGES:
        kinds = graph.kind.astype(np.uint8)
        columns |= {"src": graph.cause, "dst": graph.effect, "edge_kind": kinds}
    else:
        assert len(order.index.chains)  # a person who selects an event shall not wait for it
    header = {
        **_look(),
        **facts,
        "title": clean(title[:MAX_WORD]),
        "events": len(log),
        "local": len(log) <= MAX_LOCAL,
        "aggregated": False,
        "axis": _axis(log, axis),
        "group": group,
        "lanes": [_cleaned(lanes.names[code]) for code in range(len(lanes.names))],
        "lane_order": stacked,
        "labels": labels.values,
    }
    return Content(log, header, columns, order, lanes)


def _marks(
    order: CausalOrder, lanes: Groups, labels: Codes
) -> tuple[dict[str, NDArray[Any]], list[int]]:
    """Return what is drawn besides the events, and the lanes from top to bottom."""
    log = order.log
    lane_of = {name: code for code, name in enumerate(lanes.names)}
    stacked = list(range(len(lanes.names)))
    columns: dict[str, NDArray[Any]] = {}
    if 0 < len(log) <= MAX_LOCAL:
        scene = scene_of(log, every=len(lanes.names) > MAX_LANES)
        shown = [lane_of[lane.key] for lane in scene.lanes]
        stacked = [*shown, *sorted(set(stacked) - set(shown))]
        columns = scene_columns(scene, lane_of, labels) | _payloads(log.table)
    elif len(log):
        index = RowIndex(log.table)
        columns = call_columns(log, index, lane_of, labels)
        columns["damage"] = _damage(order, index, labels)
    if len(lanes.names) > MAX_LANES:
        # Nobody reads so many lanes one by one: those in which most happens come first.
        counts = np.bincount(lanes.codes)
        stacked.sort(key=lambda code: -int(counts[code]))
    return columns, stacked


def _axis(log: EventLog, axis: str) -> str:
    if axis != "auto":
        return axis
    return "time" if times_are_usable(log) else "depth"


def _look() -> dict[str, Any]:
    """Return what every view is drawn with: the signs, the colours, and the words of the codes."""
    return {
        "glyphs": {name: [glyph(name, 0, 0, 5), words_] for name, (_, words_) in GLYPHS.items()},
        "palette": {"light": palette(), "dark": palette(dark=True)},
        "bar_kinds": BAR_KINDS,
        "statuses": STATUSES,
        "segments": SEGMENTS,
        "results": RESULTS,
        "arrows": ARROWS,
    }


def _events(table: pa.Table, lanes: Groups) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the columns that every event has, and the words of their codes."""
    times = table.column("time_ns").to_numpy()
    base = int(times[0]) if len(times) else 0
    worlds = groups(table, ("namespace", "run_id"))
    streams = groups(table, ("namespace", "run_id", "workflow_id"))
    flows, flow_names = _workflows(table, streams)
    columns: dict[str, NDArray[Any]] = {
        # A difference of two int64 may not fit one; as floats they keep the order.
        "time": times.astype(np.float64) - base if _is_wide(times) else (times - base) * 1.0,
        "lane": lanes.codes,
        "world": worlds.codes,
        "stream": streams.codes,
        "workflow": flows,
        "sequence": table.column("sequence").to_numpy().astype(np.float64),
    }
    facts: dict[str, Any] = {
        "base_ns": str(base),
        "worlds": [_cleaned(name) for name in worlds.names],
        "streams": [_cleaned(name) for name in streams.names],
        "workflows": [_cleaned(name) for name in flow_names],
    }
    for column, plural in (("event_type", "types"), ("name", "names"), ("step_id", "steps")):
        values = pc.fill_null(table.column(column), "").combine_chunks().dictionary_encode()
        sent = "name_code" if column == "name" else column
        columns[sent] = values.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        facts[plural] = _cleaned(values.dictionary.to_pylist())
        if column == "event_type":
            facts["type_words"] = [clean(words(kind[:MAX_WORD])) for kind in facts[plural]]
            facts["type_glyphs"] = [glyph_of(kind) for kind in facts[plural]]
    return columns, facts


def _is_wide(times: NDArray[np.int64]) -> bool:
    return bool(len(times)) and float(times[-1]) - float(times[0]) > 2.0**62


def _cleaned(values: Sequence[str]) -> list[str]:
    return [clean(v[:MAX_WORD]) + ("…" if len(v) > MAX_WORD else "") for v in values]


def _workflows(table: pa.Table, streams: Groups) -> tuple[NDArray[np.int32], list[tuple[str, ...]]]:
    """Return each row's workflow: its history's, the one it worked for, or else its stream."""
    known = {name: code for code, name in enumerate(streams.names)}
    served = pc.fill_null(table.column("coordination_id"), "")
    pairs = groups(
        table.append_column("served", served), ("namespace", "run_id", "workflow_id", "served")
    )
    flows = [
        known[name[:3]]
        if is_history_stream(name[2])
        else known.get((name[0], name[1], name[3]), known[name[:3]])
        for name in pairs.names
    ]
    used = sorted(set(flows))
    place = {code: number for number, code in enumerate(used)}
    codes = np.asarray([place[flow] for flow in flows], np.int32)
    return codes[pairs.codes], [streams.names[code] for code in used]


def _damage(order: CausalOrder, index: RowIndex, labels: Codes) -> NDArray[np.int32]:
    """Return what is wrong with each row, in words; -1 where nothing is."""
    damage = np.full(len(order), -1, np.int32)
    found = order.anomalies
    names = ("namespace", "run_id", "workflow_id")
    rows = index.rows([found.column(name) for name in names], found.column("sequence").to_numpy())
    held = {tuple(name) for name in groups(order.log.table, names).names}
    for row, told in zip(rows.tolist(), found.to_pylist(), strict=True):
        stream = (told["namespace"], told["run_id"], told["ref_workflow_id"])
        # A part of a log names causes in streams that are not in it: that is no damage.
        is_outside = told["kind"] == "never_logged" and stream not in held
        if row >= 0 and not is_outside:
            detail = clean(told["detail"][:MAX_WORD])
            damage[row] = labels.of(f"damage: {clean(told['kind'])}: {detail}")
    return damage


def _payloads(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the beginnings of the payloads, and how long each is."""
    column = table.column("payload")
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    room = next(
        (r for r in PAYLOAD_ROOMS if np.minimum(sizes, r).sum() <= PAYLOAD_TOTAL), PAYLOAD_ROOMS[-1]
    )
    kept = [None if payload is None else payload[:room] for payload in column.to_pylist()]
    packed = texts(kept)
    return {
        "payload_size": sizes.astype(np.float64),
        "payload_end": packed["ends"],
        "payload_bytes": packed["bytes"],
    }
