"""The causal order against the transitive closure, on logs whose lanes overlap."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from causal_logs import edges_of, logs, pasts_of
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab import EventLog
from flowlab.causality import CausalOrder, blocks, compiled, hubs
from flowlab.causality.compiled import propagate
from flowlab.causality.indexes import OrderIndex, build_index
from flowlab.errors import (
    FlowlabError,
    InvalidArgumentError,
    InvalidKeyError,
    LimitError,
    NotFoundError,
)
from flowlab.scenarios import scenario_named
from flowlab.studies.simulation_laws import HEALING


@given(logs(worlds=2))
def test_happened_before_is_the_transitive_closure_of_the_edges(log: EventLog) -> None:
    order, pasts = CausalOrder(log), pasts_of(log)
    size = len(log)

    assert [
        [order.happened_before(cause, effect) for cause in range(size)] for effect in range(size)
    ] == [[cause in pasts[effect] for cause in range(size)] for effect in range(size)]


@given(logs(worlds=2))
def test_many_pairs_are_answered_as_one_by_one(log: EventLog) -> None:
    order = CausalOrder(log)
    pairs = [(a, b) for a in range(len(log)) for b in range(len(log))]
    causes, effects = [a for a, _ in pairs], [b for _, b in pairs]

    many = order.happened_before_many(np.array(causes, int), np.array(effects, int))

    assert many.tolist() == [order.happened_before(a, b) for a, b in pairs]


@given(logs(worlds=2))
def test_past_future_and_what_is_concurrent_part_each_world(log: EventLog) -> None:
    order, pasts = CausalOrder(log), pasts_of(log)
    runs = log.table.column("run_id").to_pylist()
    for row in range(len(log)):
        past, future = order.past(row).tolist(), order.future(row).tolist()
        assert sorted(past) == sorted(pasts[row])
        assert sorted(future) == [other for other in range(len(log)) if row in pasts[other]]
        rest = set(order.concurrent_with(row).tolist())
        world = {other for other in range(len(log)) if runs[other] == runs[row]}
        assert rest == world - set(past) - set(future) - {row}


@given(logs(worlds=2))
def test_the_pairs_are_counted_as_they_are(log: EventLog) -> None:
    order, pasts = CausalOrder(log), pasts_of(log)
    runs = log.table.column("run_id").to_pylist()
    pairs = sum(runs[a] == runs[b] for a in range(len(log)) for b in range(a))

    assert order.ordered_pairs == sum(map(len, pasts))
    assert order.ordered_pairs + order.concurrent_pairs == pairs


@given(logs(worlds=2))
def test_the_reduction_is_the_one_of_networkx(log: EventLog) -> None:
    order = CausalOrder(log)
    graph = nx.DiGraph((cause, effect) for cause, effect, _ in edges_of(log))

    found = list(zip(order.reduced.cause.tolist(), order.reduced.effect.tolist(), strict=True))

    assert len(found) == len(set(found))
    assert set(found) == set(nx.transitive_reduction(graph).edges)


@given(logs(worlds=2))
def test_depth_is_the_longest_chain_of_causes(log: EventLog) -> None:
    order = CausalOrder(log)
    graph = nx.DiGraph((cause, effect) for cause, effect, _ in edges_of(log))
    graph.add_nodes_from(range(len(log)))
    longest = dict.fromkeys(range(len(log)), 1)
    for row in nx.topological_sort(graph):
        longest[row] = 1 + max((longest[cause] for cause in graph.predecessors(row)), default=0)

    assert order.depth.tolist() == [longest[row] for row in range(len(log))]
    assert order.causal_depth == max(longest.values(), default=0)


@given(logs(worlds=2))
def test_each_event_of_a_chain_happened_before_the_next(log: EventLog) -> None:
    order, pasts = CausalOrder(log), pasts_of(log)
    chains = order.chains

    assert sorted(chains.rows.tolist()) == list(range(len(log)))
    for chain in range(len(chains)):
        rows = chains.rows_of(chain).tolist()
        assert chains.place[rows].tolist() == list(range(1, len(rows) + 1))
        assert all(first in pasts[second] for first, second in pairwise(rows))


@given(logs(overlapping=False))
def test_of_sequential_lanes_each_is_one_chain(log: EventLog) -> None:
    assert len(CausalOrder(log).chains) == len(set(log.table.column("agent_id").to_pylist()))


@given(logs(), st.data())
def test_a_cone_is_its_tips_and_their_pasts(log: EventLog, data: st.DataObject) -> None:
    order, pasts = CausalOrder(log), pasts_of(log)
    rows = range(len(log))
    tips = data.draw(st.sets(st.sampled_from(rows))) if len(log) else set()

    cone = set(order.cone(tips).tolist())

    assert cone == tips.union(*(pasts[tip] for tip in tips))
    ahead = {row for row in rows if tips & pasts[row]}
    assert set(order.cone(tips, direction="future").tolist()) == tips | ahead


def test_a_tuple_of_keys_is_several_events() -> None:
    # It was taken for one event, a pair of a stream and a sequence.
    order = EventLog.from_text("A: a b c | B: d").causality
    keys = ("/workflows/@A/events/2", "/workflows/@B/events/1")

    assert order.cone(keys).tolist() == order.cone(list(keys)).tolist()
    assert order.cone(("@A", 2)).tolist() == order.cone([("@A", 2)]).tolist()


def test_a_cone_points_back_or_on_and_nowhere_else() -> None:
    # Any other word was taken for the future.
    order = EventLog.from_text("A: a b c").causality

    assert order.cone([1]).tolist() == [0, 1]
    with pytest.raises(InvalidArgumentError, match="'both'; expected past or future"):
        order.cone([1], direction="both")


@given(logs(worlds=2))
def test_a_critical_path_leads_from_a_root_along_edges_to_its_end(log: EventLog) -> None:
    order, edges = CausalOrder(log), {(a, b) for a, b, _ in edges_of(log)}
    times = log.table.column("time_ns").to_pylist()
    for by in ("time", "events"):
        for end in range(len(log)):
            rows = order.critical_path(end, by=by).rows.tolist()
            assert rows[-1] == end
            assert not any(effect == rows[0] for _, effect in edges)
            assert all(pair in edges for pair in pairwise(rows))
            if by == "events":
                assert len(rows) == order.depth[end]
            for cause, effect in pairwise(rows):
                rivals = [a for a, b in edges if b == effect]
                if by == "time":
                    assert times[cause] == max(times[rival] for rival in rivals)


@pytest.mark.parametrize("name", ["trip", "nested", "mapreduce"])
def test_the_order_of_a_simulated_log_is_the_closure(name: str) -> None:
    log = fl.simulate(scenario_named(name), seed=5, faults=HEALING).log
    order = CausalOrder(log)
    graph = nx.DiGraph((cause, effect) for cause, effect, _ in edges_of(log))
    graph.add_nodes_from(range(len(log)))

    for row in range(len(log)):
        assert set(order.past(row).tolist()) == nx.ancestors(graph, row)
        assert set(order.future(row).tolist()) == nx.descendants(graph, row)


@given(st.data())
def test_machine_code_makes_the_clocks_that_python_makes(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    earlier = [data.draw(st.integers(0, made)) for made in range(count)]
    source = [data.draw(st.integers(0, made)) for made in range(count)]
    chain = [data.draw(st.integers(0, width - 1)) for _ in range(count)]
    place = np.array([data.draw(st.integers(1, 9)) for _ in range(count)], np.int32)
    made = np.arange(1, count + 1, dtype=np.int32)
    steps = (made, np.array(earlier, np.int32), np.array(source, np.int32))
    start = np.arange(count + 1, dtype=np.int64) * width
    cell = start[made] + np.array(chain)
    both = [np.zeros((count + 1) * width, np.uint16) for _ in range(2)]

    for machine, cells in zip((False, True), both, strict=True):
        propagate(cells, start, steps, cell, place, compiled=machine)

    assert both[0].tolist() == both[1].tolist()


def test_an_event_is_named_by_row_event_id_pair_or_key() -> None:
    log = fl.simulate(scenario_named("trip"), seed=1).log
    order = CausalOrder(log)
    event = order.event(7)
    key = f"/runs/{event.run_id}/workflows/{event.workflow_id}/events/{event.sequence}"

    for name in (7, np.int32(7), event, event.id, (event.workflow_id, event.sequence), key):
        assert order.row(name) == 7


@pytest.mark.parametrize("bad", [-1, 10**6, ("nobody", 1), "/workflows/nobody/events/1"])
def test_an_event_that_the_log_does_not_have_is_refused(bad: object) -> None:
    order = CausalOrder(fl.simulate(scenario_named("trip"), seed=1).log)

    with pytest.raises(NotFoundError, match="row|the log has no event"):
        order.row(bad)


@pytest.mark.parametrize("bad", [True, None, 1.5, "/agents/a", ("a", "b"), "/workflows/w"])
def test_what_names_no_event_is_refused_with_what_does(bad: object) -> None:
    order = CausalOrder(fl.simulate(scenario_named("trip"), seed=1).log)

    with pytest.raises(InvalidArgumentError, match="expected a row, an Event"):
        order.row(bad)


FACTS = {
    "facebook": (4, 47, 43, 23, 1_013, 68, 35),
    "simple-reliable-broadcast": (3, 39, 36, 16, 546, 195, 17),
    "simpledb": (5, 509, 504, 95, 112_349, 16_937, 175),
    "chord": (8, 1_235, 1_227, 541, 746_099, 15_896, 880),
}


@pytest.mark.parametrize("name", FACTS)
def test_the_order_of_a_real_log_is_known(shared: Path, name: str) -> None:
    (file,) = [path for path in shared.glob("data/shiviz/*") if path.stem == name]
    log = fl.import_log(file).log
    order = CausalOrder(log)
    lanes, edges = order.graph.lane, order.reduced
    cross = int(np.count_nonzero(lanes[edges.cause] != lanes[edges.effect]))
    local = len(edges) - cross

    assert FACTS[name] == (
        len(order.graph.lanes), len(log), len(log) - len(order.graph.lanes), cross,
        order.ordered_pairs, order.concurrent_pairs, order.causal_depth,
    )  # fmt: skip
    assert local <= len(log) - len(order.graph.lanes)


def test_a_log_computes_its_order_once_and_sends_none_of_it_to_other_processes() -> None:
    log = fl.simulate(scenario_named("trip"), seed=1).log

    assert log.causality is log.causality
    assert isinstance(log.causality, CausalOrder)
    assert len(log.causality.past(5)) >= 0
    assert pickle.loads(pickle.dumps(log)).derived == {}


def other_indexes(log: EventLog) -> list[OrderIndex]:
    order = CausalOrder(log)
    blocks.BLOCK_BYTES, before = 1, blocks.BLOCK_BYTES
    searched = blocks.BlockIndex(order.graph, order.scope, order.joins)
    blocks.BLOCK_BYTES = before
    parted = hubs.find_hubs(order.graph, order.scope)
    return [searched] + ([] if parted is None else [hubs.build_hubs(order.graph, parted)])


@given(logs(worlds=2))
def test_every_index_gives_the_same_order(log: EventLog) -> None:
    order = CausalOrder(log)
    size = len(log)
    rows = np.arange(size, dtype=np.int32)
    pairs = np.repeat(rows, size), np.tile(rows, size)
    many = order.index.reaches_many(*pairs).tolist()
    for index in other_indexes(log):
        assert index.reaches_many(*pairs).tolist() == many
        assert [index.reaches(a, b) for a in range(size) for b in range(size)] == many
        for row in range(size):
            assert index.prefix(row).tolist() == order.index.prefix(row).tolist()
            assert index.suffix(row).tolist() == order.index.suffix(row).tolist()


@given(logs(worlds=2))
def test_without_clocks_pasts_are_counted_alike(log: EventLog) -> None:
    searched = other_indexes(log)[0]

    assert searched.past_sizes().tolist() == CausalOrder(log).index.past_sizes().tolist()


def test_a_log_of_workflows_around_agents_is_indexed_by_its_hubs() -> None:
    log = fl.simulate(scenario_named("trip"), seed=5, faults=HEALING).log
    order, small = CausalOrder(log), CausalOrder(log)
    small.index = build_index(small.graph, small.scope, small.joins, max_bytes=1_000)

    assert isinstance(small.index, hubs.HubIndex)
    for row in range(len(log)):
        assert set(small.past(row).tolist()) == set(order.past(row).tolist())
        assert set(small.future(row).tolist()) == set(order.future(row).tolist())
    with pytest.raises(LimitError, match="take one run"):
        _ = small.ordered_pairs


@given(logs(worlds=2))
def test_machine_code_gives_the_order_that_numpy_gives(log: EventLog) -> None:
    plain = CausalOrder(log)
    least, compiled.MIN_COMPILED = compiled.MIN_COMPILED, 0
    try:
        quick = CausalOrder(log)
        size = len(log)
        rows = np.arange(size, dtype=np.int32)
        pairs = np.repeat(rows, size), np.tile(rows, size)
        known = quick.index.reaches_many(*pairs).tolist()
        assert quick.graph.lane_rows.tolist() == plain.graph.lane_rows.tolist()
        assert quick.graph.before.tolist() == plain.graph.before.tolist()
        assert quick.depth.tolist() == plain.depth.tolist()
    finally:
        compiled.MIN_COMPILED = least
    assert known == plain.index.reaches_many(*pairs).tolist()


def test_whoever_names_an_event_wrongly_is_told_how_it_is_named() -> None:
    """A class began with `happened_before("a1", "b1")` and was told to begin with a slash."""
    order = EventLog.from_text("A: a1 a2>m | B: b1<m").causality

    with pytest.raises(InvalidKeyError, match=r"'a1' is not the key of one event.*\('@alice', 1\)"):
        order.happened_before("a1", "b1")
    with pytest.raises(NotFoundError, match="no event A/1; 'A' is an agent, .* stream is '@A'"):
        order.row(("A", 1))
    with pytest.raises(InvalidArgumentError, match=r"say order\.cut\(frontier="):
        order.cut({"A": 1})
    with pytest.raises(InvalidArgumentError, match=r"is no cut; order\.cut"):
        order.state_on({"A": 1})


def test_a_cone_has_one_tip_or_several_and_one_of_two_directions() -> None:
    """A misspelt direction gave the future, and a single pair was taken for two events."""
    order = EventLog.from_text("A: a1 a2>m | B: b1<m").causality

    assert order.cone(("@A", 2)).tolist() == order.cone([("@A", 2)]).tolist() == [0, 1]
    assert order.cone(("@A", 2), direction="future").tolist() == [1, 2]
    with pytest.raises(InvalidArgumentError, match="direction is 'pst'; expected past or future"):
        order.cone([0], direction="pst")


def test_no_part_of_an_order_shows_an_address() -> None:
    order = EventLog.from_text("A: a1 a2>m | B: b1<m").causality

    assert repr(order.reduced) == "Edges(2 edges)"
    assert repr(order.graph.lanes) == "Names(2 names)"


def test_an_order_and_its_cuts_can_be_pickled_and_copied() -> None:
    order = EventLog.from_text("A: a >m b | B: <m c").causality
    cut = order.cut(frontier={"B": 1})
    assert not cut.is_consistent
    assert order.width == 2
    for again in (copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        other, its_cut, its_cuts = again((order, cut, order.cuts()))
        assert other.past(4).tolist() == order.past(4).tolist()
        assert other.log == order.log
        assert its_cut.rows.tolist() == cut.rows.tolist()
        assert its_cut == other.cut(frontier={"B": 1})
        assert its_cuts.count() == order.cuts().count()


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda order: order.take([True] * 5), "expected rows as integers, got bool"),
        (lambda order: order.take([9]), "rows go from 0 to 4; got 9"),
        (lambda order: order.take(3), "expected a list of rows, got 3"),
        (lambda order: order.event(-1), "there is no row -1"),
        (lambda order: order.row(("@A", 2**70)), "the log has no event @A"),
        (lambda order: order.cone([0], direction="back"), "expected past or future"),
        (lambda order: order.happened_before_many([0, 1], [1]), "2 causes and 1 effects"),
    ],
)
def test_what_names_no_events_is_refused_and_never_guessed(
    ask: Callable[[CausalOrder], object], told: str
) -> None:
    order = EventLog.from_text("A: a >m b | B: <m c").causality
    with pytest.raises(FlowlabError, match=told):
        ask(order)


def test_one_stream_is_asked_for_by_its_name() -> None:
    order = EventLog.from_text("A: a >m b | B: <m c").causality
    assert order.sql("SELECT count(*) FROM causality", streams="@B").item() == 2


def test_the_time_of_a_path_does_not_wrap_around_at_the_edges_of_64_bits() -> None:
    log = EventLog.from_text(f"A: a@{-(2**63)} >m@{2**63 - 1}")
    assert log.causality.critical_path().duration_ns == 2**64 - 1
