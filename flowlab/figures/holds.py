"""Bars of those who wait for others: at a lock, which some of them hold, and at a barrier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowlab.events import Event
from flowlab.figures.bar import Bar, cut_text
from flowlab.figures.text import clean, duration
from flowlab.figures.window import Window, lane_key


def lock_bars(window: Window, lane_of: Mapping[tuple[str, str, str], int]) -> Iterator[Bar]:
    """Yield the times for which a lane waited for a lock and held it."""
    open_locks: dict[tuple[Any, ...], dict[str, int]] = {}
    for row, event in enumerate(window.events):
        if not event.event_type.startswith("Lock") or not window.visible[row]:
            continue
        key = (lane_key(event), event.name, event.coordination_id)
        known = open_locks.setdefault(key, {})
        if event.event_type != "LockReleased":
            if event.event_type in known:
                yield from _lock(window, lane_of, known, None)
                known.clear()
            known[event.event_type] = row
        elif known:
            yield from _lock(window, lane_of, open_locks.pop(key), row)
    for known in open_locks.values():
        yield from _lock(window, lane_of, known, None)


def _lock(
    window: Window,
    lane_of: Mapping[tuple[str, str, str], int],
    known: Mapping[str, int],
    released: int | None,
) -> Iterator[Bar]:
    if not known:
        return
    claimed = known.get("LockClaimed")
    asked = min(known.values())
    event = window.events[asked]
    lane = lane_of.get(lane_key(event))
    if lane is None:
        return
    name = clean(event.name or "lock")
    tip = f"lock {name} · {clean(event.agent_id)}"
    waited_until = released if claimed is None else claimed
    for verb, first, last in (("waited", asked, waited_until), ("held", claimed, released)):
        if first is not None and last is not None and first != last:
            took = window.events[last].time_ns - window.events[first].time_ns
            tip += f" · {verb} {duration(took)}"
    status = "running" if released is None else "completed"
    starts = () if claimed is None else (claimed,)
    yield Bar(lane, "lock", name, status, asked, starts, released, 1, cut_text(tip))


def barrier_bars(window: Window, lane_of: Mapping[tuple[str, str, str], int]) -> Iterator[Bar]:
    """Yield the times for which a lane waited at a barrier."""
    waiting: dict[tuple[Any, ...], list[int]] = {}
    for row, event in enumerate(window.events):
        if not window.visible[row] or not event.event_type.startswith("Barrier"):
            continue
        key = (event.namespace, event.run_id, event.coordination_id, event.step_id)
        if event.event_type == "BarrierArrived":
            waiting.setdefault(key, []).append(row)
            continue
        named = {
            window.rows.get((*event.id[:2], cause.workflow_id, cause.sequence))
            for cause in event.causes
        }
        came = waiting.pop(key, [])
        for others in waiting.values():
            came += [other for other in others if other in named]
            others[:] = [other for other in others if other not in named]
        for arrival in sorted(came):
            yield from _barrier_wait(window, lane_of, arrival, row)
    for arrivals in waiting.values():
        for arrival in arrivals:
            yield from _barrier_wait(window, lane_of, arrival, None)


def _barrier_wait(
    window: Window,
    lane_of: Mapping[tuple[str, str, str], int],
    arrival: int,
    released: int | None,
) -> Iterator[Bar]:
    event = window.events[arrival]
    name = clean(event.name or event.step_id or "barrier")
    status = "running" if released is None else "completed"
    for lane, agent in taking_part(event, lane_of):
        tip = f"barrier {name} · {clean(agent)}"
        if released is not None:
            tip += f" · waited {duration(window.events[released].time_ns - event.time_ns)}"
        yield Bar(lane, "barrier", name, status, arrival, (), released, 1, cut_text(tip))


def taking_part(
    event: Event, lane_of: Mapping[tuple[str, str, str], int]
) -> Iterator[tuple[int, str]]:
    """Yield the lanes of those who an event of a barrier says take part, or else its own."""
    data = event.data if event.payload else None
    agents = data.get("agents") if isinstance(data, dict) else None
    listed = agents if isinstance(agents, list) else []
    keys = [(event.namespace, event.run_id, name) for name in listed if isinstance(name, str)]
    lanes = [(lane_of[key], key[2]) for key in keys if key in lane_of]
    if not lanes and lane_key(event) in lane_of:
        lanes = [(lane_of[lane_key(event)], event.agent_id)]
    yield from lanes
