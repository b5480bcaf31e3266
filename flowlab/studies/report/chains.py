"""The slowest chains: for each run, the longest chain of causes and where its time went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

MAX_EVENTS: Final = 300_000
"""Events of a log up to which its chains are looked for."""

NUMBERED: Final = (
    "SELECT namespace, run_id, workflow_id, sequence, agent_id, event_type, name, time_ns,\n"
    "       row_number() OVER (ORDER BY namespace, run_id, workflow_id, sequence) - 1 AS row\n"
    "FROM events"
)
"""The events with a number each: what `LINKS` speaks of."""

LINKS: Final = (
    f"WITH numbered AS (\n{NUMBERED})\n"
    "SELECT c.row AS cause, e.row AS effect, (e.time_ns - c.time_ns) AS took_ns\n"
    "FROM edges\n"
    "JOIN numbered e USING (namespace, run_id, workflow_id, sequence)\n"
    "JOIN numbered c ON (edges.namespace, edges.run_id, edges.cause_workflow_id,\n"
    "                    edges.cause_sequence)\n"
    "                 = (c.namespace, c.run_id, c.workflow_id, c.sequence)\n"
    "ORDER BY effect, cause"
)
"""Every cause with its effect, by number: the graph in which chains are looked for."""

_HOUSEKEEPING: Final = "WorkflowTask"


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain: an event, how long after its cause, and what that time was spent on."""

    event: dict[str, Any]
    took_ns: int
    on: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The longest chain of causes of one run, from its first event to its last.

    Args:
        namespace, run_id: the run.
        length_ns: from the first event to the last; 0 where the log has no usable times.
        links: its events; the first has no cause.
    """

    namespace: str
    run_id: str
    length_ns: int
    links: tuple[Link, ...]

    def spent(self) -> list[tuple[str, int]]:
        """Return what the time was spent on, the longest first."""
        sums: dict[str, int] = {}
        for link in self.links[1:]:
            sums[link.on] = sums.get(link.on, 0) + link.took_ns
        return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def longest_chains(ask: Callable[[str], pa.Table], *, by_time: bool) -> list[Chain]:
    """Return the longest chain of each run, the longest run first.

    A chain's length is the time from its first event to its last, or the number of its events
    where times are unusable. Among the causes of an event that reach back as far, the chain takes
    the latest: the one that the event waited for.

    Args:
        ask: runs a query on the log's relations.
        by_time: whether the log's times can be used.
    """
    events = ask(f"{NUMBERED} ORDER BY row")
    links = ask(LINKS)
    times = events.column("time_ns").to_numpy() if by_time else np.zeros(len(events), np.int64)
    before, depth, root = _walk(
        times.tolist(), links.column("cause").to_pylist(), links.column("effect").to_pylist()
    )
    best: dict[tuple[str, str], tuple[int, int, int]] = {}
    names = zip(
        events.column("namespace").to_pylist(), events.column("run_id").to_pylist(), strict=True
    )
    for row, key in enumerate(names):
        rank = (int(times[row]) - root[row], depth[row], -row)
        if key not in best or rank > best[key]:
            best[key] = rank
    chains = []
    for (namespace, run_id), (length, _, last) in best.items():
        rows = list(reversed(list(_back(-last, before))))
        shown = events.take(pa.array(rows)).to_pylist()
        chains.append(Chain(namespace, run_id, length, tuple(_links(shown, by_time=by_time))))
    chains.sort(key=lambda c: (-c.length_ns, -len(c.links), c.namespace, c.run_id))
    return chains


def _walk(
    times: list[int], causes: list[int], effects: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return for each event its predecessor on its longest chain, its depth and its root's time."""
    size = len(times)
    into: list[list[int]] = [[] for _ in range(size)]
    out: list[list[int]] = [[] for _ in range(size)]
    for cause, effect in zip(causes, effects, strict=True):
        if cause != effect:
            into[effect].append(cause)
            out[cause].append(effect)
    missing = [len(found) for found in into]
    ready = [row for row in range(size) if not missing[row]]
    before, depth, root = [-1] * size, [0] * size, list(times)
    for row in ready:
        if into[row]:
            chosen = min(into[row], key=lambda c: (root[c], -times[c], -depth[c], c))
            if root[chosen] <= times[row]:
                before[row], depth[row] = chosen, depth[chosen] + 1
                root[row] = root[chosen]
        for effect in out[row]:
            missing[effect] -= 1
            if not missing[effect]:
                ready.append(effect)
    return before, depth, root


def _back(row: int, before: list[int]) -> Iterator[int]:
    while row >= 0:
        yield row
        row = before[row]


def _links(events: list[dict[str, Any]], *, by_time: bool) -> Iterator[Link]:
    yield Link(events[0], 0, "")
    for cause, effect in pairwise(events):
        took = effect["time_ns"] - cause["time_ns"] if by_time else 0
        yield Link(effect, took, _spent_on(cause, effect))


def _spent_on(cause: dict[str, Any], effect: dict[str, Any]) -> str:
    """Say in words what happened between a cause and its effect."""
    kind, name = effect["event_type"], effect["name"] or cause["name"] or effect["agent_id"]
    if kind.startswith(_HOUSEKEEPING) or cause["event_type"].startswith(_HOUSEKEEPING):
        return "the orchestrator's own turns"
    if kind == "ActivityStarted":
        return f"waiting for {name}"
    if kind.startswith(("Activity", "Compensation", "ChildWorkflow", "Operation")):
        return name if not kind.endswith(("Scheduled", "Initiated")) else "deciding"
    if kind in {"TimerFired", "TimerCanceled"}:
        return f"timer {name}"
    if kind in {"MessageReceived", "SignalDelivered"}:
        return f"message {name}"
    if kind in {"BarrierReleased", "LockClaimed"}:
        return f"waiting at {name}"
    return f"{effect['agent_id']}: up to {name}"
