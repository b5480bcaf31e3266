"""What a table about a log's causality says of each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from flowlab.causality.counting import MAX_CUTS
from flowlab.causality.order import CausalOrder
from flowlab.errors import LimitError, NotFoundError
from flowlab.events import told_absent

if TYPE_CHECKING:
    from flowlab.events import EventLog


@dataclass(frozen=True, slots=True)
class CausalFacts:
    """A run's events and their causal order in numbers; None is what was too many to count.

    Args:
        run_id: the run.
        hosts: lanes.
        events: events.
        local_edges: pairs of neighbours on a lane of which the second follows the first.
        cross_edges: edges between lanes that the transitive reduction keeps.
        ordered_pairs: pairs of events of which one happened before the other.
        concurrent_pairs: the other pairs.
        causal_depth: events of the longest chain of causes.
        width: events of the largest set of which any two are concurrent.
        consistent_cuts: sets of events that hold the causes of all that they hold, the empty one
            among them.
        anomalies: pieces of damage, as many as the relation `anomalies` and the references show.
    """

    run_id: str
    hosts: int
    events: int
    local_edges: int
    cross_edges: int
    ordered_pairs: int | None
    concurrent_pairs: int | None
    causal_depth: int
    width: int
    consistent_cuts: int | None
    anomalies: int

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return asdict(self)


def causal_facts(
    log: EventLog,
    *,
    run_id: str | None = None,
    workflow_id: str | None = None,
    cuts_limit: int = MAX_CUTS,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[CausalFacts]:
    """Yield the facts of each run, in the order of their names.

    Args:
        log: any log.
        run_id: that run alone.
        workflow_id: the events of that workflow alone.
        cuts_limit: most consistent cuts that are counted.
        progress: is told how many runs of how many are done, and the name of the last.

    Raises:
        NotFoundError: the log has no such events.

    Example:
        >>> from flowlab.events import EventLog
        >>> (facts,) = causal_facts(EventLog.from_text("A: a1 send>m a2 | B: b1 recv<m"))
        >>> facts.ordered_pairs, facts.concurrent_pairs, facts.width, facts.consistent_cuts
        (6, 4, 2, 10)
    """
    part = log.filter(run_id=run_id, workflow_id=workflow_id)
    if not len(part) and (run_id is not None or workflow_id is not None):
        message = told_absent(log, run_id, workflow_id)
        raise NotFoundError(message)
    names = part.table.select(["namespace", "run_id"]).group_by(["namespace", "run_id"])
    worlds = sorted((row["namespace"], row["run_id"]) for row in names.aggregate([]).to_pylist())
    for done, (space, run) in enumerate(worlds, 1):
        one = part.filter(namespace=space, run_id=run) if len(worlds) > 1 else part
        facts = facts_of(run, CausalOrder(one), cuts_limit)
        if workflow_id is not None:
            # A reference to an event outside the workflow is none: the whole run says what is.
            damage = CausalOrder(log.filter(namespace=space, run_id=run)).anomalies
            own = damage.filter(pc.equal(damage.column("workflow_id"), workflow_id))
            facts = replace(facts, anomalies=own.num_rows)
        yield facts
        if progress is not None:
            progress(done, len(worlds), run)


def facts_of(run: str, order: CausalOrder, cuts_limit: int) -> CausalFacts:
    """Return the facts of the order of one run; see `causal_facts`."""
    graph = order.graph
    lanes, reduced = graph.lane, order.reduced
    return CausalFacts(
        run_id=run,
        hosts=len(graph.lanes),
        events=len(order),
        local_edges=int(np.count_nonzero(graph.before >= 0)),
        cross_edges=int(np.count_nonzero(lanes[reduced.cause] != lanes[reduced.effect])),
        ordered_pairs=_counted(lambda: order.ordered_pairs),
        concurrent_pairs=_counted(lambda: order.concurrent_pairs),
        causal_depth=order.causal_depth,
        width=order.width,
        consistent_cuts=_counted(lambda: order.cuts().count(cuts_limit)) if cuts_limit else None,
        anomalies=order.anomalies.num_rows,
    )


def _counted(count: Callable[[], int | None]) -> int | None:
    """Return a number; None where it is too large a run to count in."""
    try:
        return count()
    except LimitError:
        return None
