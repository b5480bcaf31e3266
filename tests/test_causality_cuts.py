"""Cuts of a log against all subsets of its events."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from causal_cuts import consistent_sets, plain_edges, plain_pasts
from causal_logs import logs
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab import Cause, EventLog
from flowlab.causality import CausalOrder, Cut, Cuts, causal_facts
from flowlab.causality.facts import facts_of
from flowlab.causality.hubs import HubIndex
from flowlab.causality.indexes import build_index
from flowlab.errors import InvalidArgumentError, LimitError, NotFoundError
from flowlab.scenarios import scenario_named

SMALL = 8


def rows_of(cut: Cut) -> frozenset[int]:
    return frozenset(cut.rows.tolist())


def drawn_set(log: EventLog, data: st.DataObject) -> set[int]:
    return data.draw(st.sets(st.sampled_from(range(len(log))))) if len(log) else set()


@given(logs(max_events=SMALL))
def test_the_consistent_cuts_are_the_sets_that_hold_the_past_of_their_events(log: EventLog) -> None:
    cuts = CausalOrder(log).cuts()
    found = [rows_of(cut) for cut in cuts]

    assert len(found) == len(set(found)) == cuts.count()
    assert set(found) == set(consistent_sets(log))
    assert (found[0], found[-1]) == (rows_of(cuts.first), rows_of(cuts.last))


@given(logs(max_events=SMALL, worlds=2))
def test_each_run_has_its_own_cuts(log: EventLog) -> None:
    order = CausalOrder(log)
    for run in set(log.table.column("run_id").to_pylist()):
        cuts = order.cuts(run_id=run)
        own = consistent_sets(log, run)
        assert {rows_of(cut) for cut in cuts} == set(own)
        assert cuts.count() == len(own)


@given(logs(max_events=SMALL))
def test_cuts_are_visited_in_lexical_order(log: EventLog) -> None:
    counts = [cut.counts for cut in CausalOrder(log).cuts()]

    assert counts == sorted(counts)


@given(logs(max_events=SMALL))
def test_a_count_is_exact_up_to_its_limit_and_none_beyond_it(log: EventLog) -> None:
    cuts = CausalOrder(log).cuts()
    number = len(consistent_sets(log))

    for limit in {1, 2, max(number - 1, 1), number, number + 1, 2**80}:
        assert cuts.count(limit) == (number if number <= limit else None)


@given(logs(max_events=SMALL), st.data())
def test_any_set_of_events_is_a_cut_and_comes_back(log: EventLog, data: st.DataObject) -> None:
    order, pasts = CausalOrder(log), plain_pasts(log)
    chosen = drawn_set(log, data)

    cut = order.cut(chosen)

    assert rows_of(cut) == chosen
    assert len(cut) == len(chosen)
    assert [row for row in range(len(log)) if row in cut] == sorted(chosen)
    assert cut.is_consistent == all(pasts[row] <= chosen for row in chosen)
    assert order.cut(json=json.loads(json.dumps(cut.to_json()))) == cut
    broken = {(a, b) for a, b in plain_edges(log) if b in chosen and a not in chosen}
    edges = cut.violations
    assert set(zip(edges.cause.tolist(), edges.effect.tolist(), strict=True)) == broken
    assert cut.is_consistent == (not broken)


@given(logs(max_events=SMALL), st.data())
def test_the_closest_consistent_cut_is_the_union_of_all_within(
    log: EventLog, data: st.DataObject
) -> None:
    chosen = drawn_set(log, data)
    cut = CausalOrder(log).cut(chosen)
    every = consistent_sets(log)

    inside = frozenset[int]().union(*(one for one in every if one <= chosen))
    around = reduce(frozenset.intersection, (one for one in every if one >= chosen))

    assert rows_of(cut.closest_consistent()) == inside
    assert rows_of(cut.closest_consistent("after")) == around
    assert cut.closest_consistent().is_consistent
    assert cut.closest_consistent("after").is_consistent


@given(logs(max_events=SMALL), st.data())
def test_cuts_are_sets_and_consistent_ones_a_distributive_lattice(
    log: EventLog, data: st.DataObject
) -> None:
    order = CausalOrder(log)
    sets = [frozenset(drawn_set(log, data)) for _ in range(2)]
    a, b = (order.cut(chosen) for chosen in sets)

    assert rows_of(a & b) == sets[0] & sets[1]
    assert rows_of(a | b) == sets[0] | sets[1]
    assert (a <= b, a < b, a == b) == (
        sets[0] <= sets[1],
        sets[0] < sets[1],
        sets[0] == sets[1],
    )
    x, y, z = (data.draw(st.sampled_from(list(order.cuts()))) for _ in range(3))
    assert (x & y).is_consistent
    assert (x | y).is_consistent
    assert x & (x | y) == x == x | (x & y)
    assert x & (y | z) == (x & y) | (x & z)
    assert hash(x & y) == hash(y & x)


@given(logs(max_events=SMALL))
def test_what_is_enabled_is_what_leads_to_the_cuts_with_one_event_more(log: EventLog) -> None:
    every = set(consistent_sets(log))
    for cut in CausalOrder(log).cuts():
        rows = rows_of(cut)
        more = {one for one in every if one > rows and len(one) == len(rows) + 1}
        assert {rows_of(after) for after in cut.successors()} == more
        assert {rows | {row} for row in cut.enabled} == more


@given(logs(), st.data())
def test_the_past_of_events_is_the_least_consistent_cut_with_them(
    log: EventLog, data: st.DataObject
) -> None:
    order = CausalOrder(log)
    tips = drawn_set(log, data)

    cut = order.cut(past_of=tips)

    assert rows_of(cut) == set(order.cone(tips).tolist())
    assert cut.is_consistent


@given(logs(), st.integers(-1, 21))
def test_the_cut_of_a_time_is_all_that_happened_until_then(log: EventLog, time: int) -> None:
    times = log.table.column("time_ns").to_pylist()

    cut = CausalOrder(log).cut(time_ns=time)

    assert cut.rows.tolist() == [row for row in range(len(log)) if times[row] <= time]


@given(logs(), st.data())
def test_the_frontier_is_the_last_event_of_each_agent(log: EventLog, data: st.DataObject) -> None:
    order, chosen = CausalOrder(log), drawn_set(log, data)
    events = log.events()
    last: dict[str, int] = {}
    for row in sorted(chosen, key=lambda row: events[row].agent_sequence):
        last[events[row].agent_id] = row

    cut = order.cut(chosen)

    assert cut.frontier_rows == last
    assert cut.frontier == {agent: events[row].id for agent, row in last.items()}
    for agent, row in last.items():
        assert cut.last(agent) == events[row]
    assert cut.last("nobody") is None


@given(logs(), st.data())
def test_a_frontier_is_a_prefix_of_each_lane(log: EventLog, data: st.DataObject) -> None:
    order, events = CausalOrder(log), log.events()
    agents = sorted({event.agent_id for event in events})
    most = {agent: max(e.agent_sequence for e in events if e.agent_id == agent) for agent in agents}
    ticks = {agent: data.draw(st.integers(0, most[agent])) for agent in agents}

    cut = order.cut(frontier=ticks)

    wanted = [r for r, event in enumerate(events) if event.agent_sequence <= ticks[event.agent_id]]
    assert cut.rows.tolist() == wanted
    assert order.cut(frontier=cut.frontier) == cut
    assert order.cut(frontier={agent: cut.last(agent) for agent in agents}) == cut


CUTS = {
    "facebook": 123,
    "simple-reliable-broadcast": 382,
    "simpledb": 1_541_953,
    "chord": 530_195,
}


@pytest.mark.parametrize("name", CUTS)
def test_the_cuts_of_a_real_log_are_counted_exactly(shared: Path, name: str) -> None:
    (file,) = [path for path in shared.glob("data/shiviz/*") if path.stem == name]
    cuts = fl.import_log(file).log.causality.cuts()

    assert cuts.count() == CUTS[name]
    assert cuts.count(CUTS[name]) == CUTS[name]
    assert cuts.count(CUTS[name] - 1) is None
    if CUTS[name] < 1_000:
        assert sum(1 for _ in cuts) == CUTS[name]


@pytest.mark.parametrize("lanes", [2, 5, 30])
def test_independent_lanes_multiply(lanes: int) -> None:
    log = EventLog.from_text("\n".join(f"L{lane}: a b c" for lane in range(lanes)))

    assert log.causality.cuts().count(4**lanes) == 4**lanes
    assert log.causality.cuts().count(4**lanes - 1) is None


@given(logs(max_events=5), logs(max_events=5))
def test_phases_that_follow_each_other_add_up(first: EventLog, second: EventLog) -> None:
    ids = [Cause(event.workflow_id, event.sequence) for event in first]
    later = [
        event.replace(
            workflow_id=f"later {event.workflow_id}",
            agent_id=f"later {event.agent_id}",
            causes=(
                *ids,
                *(Cause(f"later {c.workflow_id}", c.sequence, c.kind) for c in event.causes),
            ),
        )
        for event in second
    ]
    both = EventLog.from_events([*first, *later])
    one, two, sum_ = (log.causality.cuts().count() for log in (first, second, both))

    assert sum_ == one + two - 1


def test_of_astronomically_many_it_is_known_at_once_that_there_are_too_many() -> None:
    lanes = [f"L{lane}: " + " ".join(f"e{step}" for step in range(300)) for lane in range(40)]
    order = EventLog.from_text("\n".join(lanes)).causality

    assert order.cuts().count() is None
    assert order.cuts().count(10**60) is None
    assert order.cuts().count(301**40) == 301**40


def test_a_simulated_run_is_seen_consistently_at_every_time() -> None:
    order = fl.simulate(scenario_named("trip"), seed=3).log.causality
    times = order.log.table.column("time_ns").to_pylist()

    assert all(order.cut(time_ns=time).is_consistent for time in times)
    assert order.cut(time_ns=timedelta(microseconds=times[9] // 1_000)) <= order.cut(
        time_ns=times[9]
    )


def test_a_cut_says_what_it_is() -> None:
    order = EventLog.from_text("A: a >m | B: b <m").causality
    cut = order.cut(frontier={"A": ("@A", 1), "B": 2})

    assert repr(cut) == "Cut(3 of 4 events, not consistent)"
    assert "<td" in cut._repr_html_()
    assert cut.world == ("default", "")
    assert cut.to_json() == {
        "namespace": "default",
        "run_id": "",
        "lanes": {"A": 1, "B": 2},
        "besides": [],
    }
    assert [event.name for event in cut.events] == ["a", "b", "m"]
    assert repr(order.cuts()) == "Cuts(4 events on 2 chains)"


def test_an_empty_log_has_one_cut() -> None:
    cuts = EventLog.from_events([]).causality.cuts()

    assert isinstance(cuts, Cuts)
    assert (cuts.count(), [len(cut) for cut in cuts]) == (1, [0])
    assert cuts.first == cuts.last
    assert cuts.first.is_consistent


def test_a_cut_of_several_runs_asks_which() -> None:
    log = EventLog.from_text("=== one ===\nA: a b\n=== two ===\nA: a")
    order = log.causality

    with pytest.raises(InvalidArgumentError, match=r"2 runs .*default/one, default/two"):
        order.cut(time_ns=5)
    with pytest.raises(NotFoundError, match="no run 'three'"):
        order.cuts(run_id="three")
    with pytest.raises(InvalidArgumentError, match="2 runs; a cut lies in one"):
        order.cut(range(len(log)))
    assert order.cuts(run_id="one").count() == 3
    one, two = (order.cut(time_ns=99, run_id=run) for run in ("one", "two"))
    assert (len(one), len(two)) == (2, 1)
    with pytest.raises(InvalidArgumentError, match="within one world"):
        _ = one & two
    assert one != two


@pytest.mark.parametrize(
    ("ways", "error"),
    [
        ({}, "got nothing; expected one of"),
        ({"time_ns": 1, "position": 1}, "got position, time_ns"),
        ({"time_ns": "noon"}, "time_ns is 'noon'; expected an int of nanoseconds"),
        ({"position": 1.5}, "position is 1.5; expected an int"),
        ({"frontier": ["A"]}, "expected a mapping"),
        ({"frontier": {"Z": 1}}, "no agent 'Z'; it has A, B"),
        ({"frontier": {"A": ("@B", 1)}}, "an event of another agent"),
        ({"events": 1.5}, "names no events"),
        ({"past_of": ("@A", 99)}, "the log has no event @A/99"),
        ({"json": {"A": 1}}, "is no cut in JSON"),
    ],
)
def test_what_makes_no_cut_is_refused_with_what_does(ways: dict[str, Any], error: str) -> None:
    order = EventLog.from_text("A: a >m | B: b <m").causality

    with pytest.raises((InvalidArgumentError, NotFoundError), match=error):
        order.cut(**ways)


def test_a_limit_and_a_side_are_checked() -> None:
    order = EventLog.from_text("A: a >m | B: b <m").causality

    with pytest.raises(InvalidArgumentError, match="limit is 0; expected an int, 1 or more"):
        order.cuts().count(0)
    with pytest.raises(InvalidArgumentError, match="expected before or after"):
        order.cuts().first.closest_consistent("left")


def test_a_log_too_large_to_be_counted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowlab.causality.world_chains.MAX_TABLE_CELLS", 7)

    with pytest.raises(LimitError, match="4 events on 2 chains need 8 cells, more than MAX_TABLE"):
        EventLog.from_text("A: a >m | B: b <m").causality.cuts().count()


def test_of_a_run_too_large_to_be_counted_the_other_facts_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The refusal of the count ended the whole command.
    monkeypatch.setattr("flowlab.causality.world_chains.MAX_TABLE_CELLS", 7)

    (facts,) = causal_facts(EventLog.from_text("A: a >m | B: b <m"))

    assert (facts.consistent_cuts, facts.ordered_pairs) == (None, 4)


def test_a_run_indexed_by_its_hubs_has_facts_without_pairs_and_cuts() -> None:
    # Its pairs are not counted, and a count of its cuts that asked for them ended the command.
    log = fl.simulate(scenario_named("trip"), seed=5).log
    order = CausalOrder(log)
    order.index = build_index(order.graph, order.scope, order.joins, max_bytes=1_000)

    facts = facts_of("trip", order, cuts_limit=1_000)

    assert isinstance(order.index, HubIndex)
    assert (facts.ordered_pairs, facts.concurrent_pairs, facts.consistent_cuts) == (None,) * 3
    assert facts.width == CausalOrder(log).width


def test_positions_cut_a_log_as_it_was_recorded() -> None:
    log = EventLog.from_text("A: a >m | B: b <m")
    table = log.table.set_column(
        log.table.schema.get_field_index("position"), "position", [np.array([2, 4, 1, 3])]
    )
    order = EventLog(table).causality

    assert order.cut(position=3).rows.tolist() == [0, 2, 3]
    assert not order.cut(position=3).is_consistent
    assert order.cut(position=2).is_consistent
    none = log.table.set_column(4, "position", [np.zeros(4, np.int64)])
    with pytest.raises(InvalidArgumentError, match="no positions: a store gives them"):
        EventLog(none).causality.cut(position=2)


def test_what_is_no_row_is_in_no_cut() -> None:
    cut = EventLog.from_text("A: a b").causality.cut(frontier={"A": 2})
    assert 1 in cut
    assert not any(row in cut for row in (2, -1, True, "a"))


def test_positions_cut_no_log_of_which_some_events_have_none() -> None:
    log = EventLog.from_text("A: a b")
    some = log.table.set_column(
        log.table.schema.get_field_index("position"), "position", [np.array([0, 1])]
    )
    with pytest.raises(InvalidArgumentError, match="some events have no positions"):
        EventLog(some).causality.cut(position=1)


def test_a_state_is_that_of_a_cut_of_this_log() -> None:
    order, other = (EventLog.from_text(text).causality for text in ("A: a", "A: a b"))
    for cut in (other.cut(frontier={"A": 1}), 3):
        with pytest.raises(InvalidArgumentError, match="is no cut; .* of this log"):
            order.state_on(cut)


@pytest.mark.parametrize("besides", [5, [5], [["@A"]], [["@A", "1"]]])
def test_a_cut_in_json_names_events_by_stream_and_sequence(besides: object) -> None:
    order = EventLog.from_text("A: a").causality
    with pytest.raises(InvalidArgumentError, match="expected a list of"):
        order.cut(json={"lanes": {}, "besides": besides})


@pytest.mark.parametrize("tick", [-1, 4])
def test_a_frontier_beyond_an_agent_s_events_is_refused(tick: int) -> None:
    order = EventLog.from_text("A: a1 send>m a2 | B: recv<m").causality

    assert len(order.cut(frontier={"A": 0})) == 0
    assert len(order.cut(frontier={"A": 3})) == 3
    with pytest.raises(InvalidArgumentError, match="expected its tick, from 0 to 3"):
        order.cut(frontier={"A": tick})
