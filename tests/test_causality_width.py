"""The width of an order against antichains by brute force, and matchings of the closure."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from causal_cuts import plain_edges, plain_pasts
from causal_logs import logs
from hypothesis import example, given

import flowlab as fl
from flowlab import EventLog
from flowlab.causality import CausalOrder
from flowlab.scenarios import scenario_named


def matched_width(order: CausalOrder) -> int:
    """Return events minus the largest matching of causes with effects."""
    size = len(order.log)
    graph = nx.Graph()
    for row in range(size):
        graph.add_nodes_from([(row, 0), (row, 1)])
        graph.add_edges_from(((int(cause), 0), (row, 1)) for cause in order.past(row))
    top = [(row, 0) for row in range(size)]
    matching = nx.bipartite.hopcroft_karp_matching(graph, top)
    return size - len(matching) // 2


@given(logs(max_events=12))
@example(EventLog.from_text("A: ~a | B: b"))
def test_the_width_is_the_size_of_the_widest_antichain(log: EventLog) -> None:
    order = CausalOrder(log)
    graph = nx.DiGraph(plain_edges(log))
    graph.add_nodes_from(range(len(log)))
    most = max(len(antichain) for antichain in nx.antichains(graph))

    assert order.width == len(order.widest()) == most


@given(logs(max_events=30, worlds=2))
def test_the_widest_antichain_is_one_and_the_width_that_of_each_run(log: EventLog) -> None:
    order, pasts = CausalOrder(log), plain_pasts(log)
    runs = log.table.column("run_id").to_pylist()
    for (_, run), width in order.widths.items():
        rows = order.widest(run_id=run).tolist()
        assert len(set(rows)) == len(rows) == width
        assert {runs[row] for row in rows} == {run}
        assert not any(a in pasts[b] or b in pasts[a] for a, b in combinations(rows, 2))
        alone = CausalOrder(log.filter(run_id=run))
        assert width == alone.width == matched_width(alone)
    assert order.width == max(order.widths.values(), default=0)


@pytest.mark.parametrize("name", ["trip", "nested", "mapreduce"])
def test_the_width_of_a_simulated_run_is_that_of_a_largest_matching(name: str) -> None:
    order = fl.simulate(scenario_named(name), seed=2).log.causality
    rows = order.widest()

    assert order.width == matched_width(order)
    assert not order.happened_before_many(
        np.repeat(rows, len(rows)), np.tile(rows, len(rows))
    ).any()


@pytest.mark.parametrize("name", ["facebook", "simple-reliable-broadcast", "simpledb"])
def test_the_width_of_a_real_log_is_that_of_a_largest_matching(shared: Path, name: str) -> None:
    (file,) = [path for path in shared.glob("data/shiviz/*") if path.stem == name]
    order = fl.import_log(file).log.causality

    assert order.width == matched_width(order)


def test_an_empty_log_has_no_width() -> None:
    order = EventLog.from_events([]).causality

    assert (order.width, order.widths, order.widest().tolist()) == (0, {}, [])
