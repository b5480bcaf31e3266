"""Clocks that follow from a log: vector, Lamport and hybrid logical ones.

An event records its causes and no clock; the clocks are derived when they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.errors import LimitError
from flowlab.events import EventId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.order import CausalOrder

MAX_CLOCK_CELLS: Final = 200_000_000
"""Most cells of a matrix of vector clocks; ask for the rows that you need where it is reached."""

BARRIERS: Final = ("BarrierArrived", "BarrierReleased")


@dataclass(frozen=True, slots=True, repr=False)
class CausalityInfo:
    """What the log says of an event's place in the causal order.

    Args:
        agent_clock: its vector clock: of each agent, how many of its events are this one or its
            past; agents that have none are left out.
        dependencies: the ids of its immediate causes, in the order of the log's rows.
        coordination_barrier: the barrier it arrived at or was released from, or else the last one
            that was released in its past; None where there was none.
    """

    agent_clock: dict[str, int]
    dependencies: tuple[EventId, ...]
    coordination_barrier: str | None

    def __repr__(self) -> str:
        clock = ", ".join(f"{agent}: {count}" for agent, count in self.agent_clock.items())
        names = ", ".join(f"{cause.workflow_id}/{cause.sequence}" for cause in self.dependencies)
        barrier = self.coordination_barrier
        return f"CausalityInfo({{{clock}}}, after [{names}], barrier {barrier!r})"


def vector_clock(order: CausalOrder, row: int) -> dict[str, int]:
    """Return the vector clock of a row, by agent."""
    graph = order.graph
    counts = np.bincount(graph.lane[order.past(row)], minlength=len(graph.lanes))
    counts[graph.lane[row]] += 1
    clock = {graph.lanes.ids[lane]: int(counts[lane]) for lane in np.flatnonzero(counts)}
    if order.resumed is not None:
        for agent, gone in order.resumed.of_row(row).items():
            clock[agent] = clock.get(agent, 0) + gone
    return dict(sorted(clock.items()))


def vector_clocks(order: CausalOrder, rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the vector clocks of some rows: rows by lanes, in the order of `graph.lanes`.

    Raises:
        LimitError: the matrix would have more than `MAX_CLOCK_CELLS`.
    """
    graph, chains = order.graph, order.chains
    width = len(graph.lanes)
    if len(rows) * width > MAX_CLOCK_CELLS:
        message = (
            f"the clocks of {len(rows)} events over {width} lanes have {len(rows) * width} cells, "
            f"more than MAX_CLOCK_CELLS={MAX_CLOCK_CELLS}; ask for fewer rows"
        )
        raise LimitError(message)
    clocks = np.zeros((len(rows), width), np.int32)
    if chains.whole.all():
        order.index.prefixes(rows, out=clocks)
    else:  # a chain of work that overlaps may pass through several lanes: count each lane's part
        for at, row in enumerate(rows.tolist()):
            np.add.at(clocks[at], graph.lane[order.past(row)], 1)
            clocks[at, graph.lane[row]] += 1
    if order.resumed is not None:
        worlds = [graph.worlds[world] for world in graph.lanes.world.tolist()]
        lanes = [(*world, agent) for world, agent in zip(worlds, graph.lanes.ids, strict=True)]
        order.resumed.add_to(clocks, rows, lanes)
    return clocks


def hybrid_clocks(
    graph: CausalGraph, times: NDArray[np.int64], *, resumed: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the hybrid logical clock of each row: its time part, and its counter.

    The time part is the greatest time seen so far, its own or of its causes; the counter orders
    what has the same time part. So it never runs backwards along causes, stays as close to the
    recorded time as that allows, and a clock that lags is seen as a time part ahead of its own.
    Where they resume, truncated causes count as well as those left.

    Source: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014.
    """
    into, causes = graph.into.tolist(), graph.cause.tolist()
    physical = times.tolist()
    seen, counter = [0] * graph.size, [0] * graph.size
    gone = defaultdict(list)
    for row, event in graph.over if resumed else ():
        if event.clock is not None:
            gone[row].append(event.clock.hybrid)
    for row in graph.order.tolist():
        latest, count = physical[row], -1
        for edge in range(into[row], into[row + 1]):
            cause = causes[edge]
            if seen[cause] > latest:
                latest, count = seen[cause], counter[cause]
            elif seen[cause] == latest and counter[cause] > count:
                count = counter[cause]
        if row in gone:
            latest, count = max((latest, count), *gone[row])
        seen[row], counter[row] = latest, count + 1
    return np.array(seen, np.int64), np.array(counter, np.int64)


def info(order: CausalOrder, row: int) -> CausalityInfo:
    """Return what is known of a row; see `CausalityInfo`."""
    table = order.log.table
    named = ("namespace", "run_id", "workflow_id", "sequence")
    causes = table.select(named).take(pa.array(np.sort(order.causes(row)))).to_pylist()
    dependencies = tuple(EventId(*cause.values()) for cause in causes)
    return CausalityInfo(vector_clock(order, row), dependencies, _barrier(order, row))


def _barrier(order: CausalOrder, row: int) -> str | None:
    table = order.log.table
    types, steps = table.column("event_type"), table.column("step_id")
    if types[row].as_py() in BARRIERS:
        return _text(steps[row].as_py())
    past = order.past(row)
    released = past[np.isin(past, order.barriers)]
    if not len(released):
        return None
    last = released[np.lexsort((order.graph.rank[released], order.depth[released]))[-1]]
    return _text(steps[int(last)].as_py())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def info_table(order: CausalOrder, rows: Sequence[int]) -> pa.Table:
    """Return the relation `causality` of some rows.

    Columns: the id (`namespace`, `run_id`, `workflow_id`, `sequence`), `lamport`, `hybrid_ns`,
    `hybrid_counter`, `agent_clock` (a map), `dependencies` (a list of workflow_id and sequence) and
    `coordination_barrier`.
    """
    at = np.array(rows, np.int64)
    ids = order.log.table.select(["namespace", "run_id", "workflow_id", "sequence"]).take(at)
    known = [info(order, row) for row in rows]
    seen, counter = order.hybrid
    reference = pa.struct([("workflow_id", pa.string()), ("sequence", pa.int64())])
    causes = [
        [{"workflow_id": cause.workflow_id, "sequence": cause.sequence} for cause in item]
        for item in (one.dependencies for one in known)
    ]
    columns = {
        "lamport": pa.array(order.lamport[at], pa.int64()),
        "hybrid_ns": pa.array(seen[at]),
        "hybrid_counter": pa.array(counter[at]),
        "agent_clock": pa.array(
            [list(one.agent_clock.items()) for one in known], pa.map_(pa.string(), pa.int64())
        ),
        "dependencies": pa.array(causes, pa.list_(reference)),
        "coordination_barrier": pa.array([one.coordination_barrier for one in known], pa.string()),
    }
    for name, column in columns.items():
        ids = ids.append_column(name, column)
    return ids
