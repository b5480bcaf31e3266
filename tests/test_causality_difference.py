"""A difference of two logs is what brute force finds between two labelled orders."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from test_causality_variants import order_of, shuffled, worlds

import flowlab as fl
from flowlab.causality import TraceDifference, diff
from flowlab.causality.matching import pair_up, sides
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.scenarios import SCENARIOS


def label(event: Event) -> tuple[str, str, str]:
    return (event.agent_id, event.event_type, event.name)


def two(log: EventLog) -> tuple[EventLog, EventLog]:
    runs = sorted({event.run_id for event in log})
    assume(len(runs) > 1)
    return log.filter(run_id=runs[0]), log.filter(run_id=runs[1])


@settings(max_examples=200)
@given(worlds())
def test_two_logs_are_equal_exactly_if_their_labelled_orders_are_isomorphic(log: EventLog) -> None:
    a, b = two(log)
    match = nx.algorithms.isomorphism.categorical_node_match("label", None)
    assert diff(a, b).equal == nx.is_isomorphic(order_of(a), order_of(b), node_match=match)


@settings(max_examples=200)
@given(worlds())
def test_every_event_corresponds_or_stands_alone_and_contents_agree(log: EventLog) -> None:
    a, b = two(log)
    found = diff(a, b)
    ones, others = a.events(), b.events()
    assert sorted([*found.pairs[:, 0], *found.only_a_rows]) == list(range(len(a)))
    assert sorted([*found.pairs[:, 1], *found.only_b_rows]) == list(range(len(b)))
    assert all(label(ones[i]) == label(others[j]) for i, j in found.pairs.tolist())
    alone = Counter(map(label, ones)) - Counter(map(label, others))
    assert Counter(map(label, found.only_a)) == alone
    back = diff(b, a)
    assert Counter(map(label, back.only_a)) == Counter(map(label, found.only_b))
    assert back.equal == found.equal


@settings(max_examples=200)
@given(worlds())
def test_reordered_are_the_events_with_other_immediate_causes_among_the_common_ones(
    log: EventLog,
) -> None:
    a, b = two(log)
    found = diff(a, b)
    partner = dict(found.pairs.tolist())
    one = nx.transitive_reduction(order_of(a).subgraph(partner))
    other = nx.transitive_reduction(order_of(b).subgraph(partner.values()))
    expected = {
        (i, j)
        for i, j in partner.items()
        if {partner[cause] for cause in one.predecessors(i)} != set(other.predecessors(j))
    }
    assert {tuple(pair) for pair in found.reordered_rows.tolist()} == expected


@settings(max_examples=200)
@given(worlds())
def test_what_has_one_past_corresponds_and_the_logs_part_right_after(log: EventLog) -> None:
    a, b = two(log)
    one, other = sides(a, b, ("agent_id", "event_type", "name"))
    pairing = pair_up(one, other)
    known = {event for event, past in enumerate(pairing.by_past) if past}
    for event in known:
        partner = pairing.of_a[event]
        assert set(one.causes[event]) <= known
        assert {pairing.of_a[cause] for cause in one.causes[event]} == set(other.causes[partner])
    free = set(range(len(other))) - {pairing.of_a[event] for event in known}
    for event in set(range(len(one))) - known:
        causes = {pairing.of_a[cause] for cause in one.causes[event]} if (
            set(one.causes[event]) <= known
        ) else None  # fmt: skip
        same = [at for at in free if other.content()[at] == one.content()[event]]
        assert all(set(other.causes[at]) != causes for at in same)
    first = diff(a, b).first_rows[0]
    assert (first is None) == (len(known) == len(one))
    if first is not None:
        place = one.whole.rows.tolist().index(first)
        assert place not in known
        assert set(one.causes[place]) <= known


@given(worlds())
def test_rows_in_another_order_and_other_times_are_no_difference(log: EventLog) -> None:
    run = log.filter(run_id=min({event.run_id for event in log} or {""}))
    events = [e.replace(time_ns=-e.time_ns, position=0) for e in reversed(run.events())]
    assert diff(run, EventLog.from_events(events)).equal


def test_an_event_that_is_new_ahead_of_others_reorders_none() -> None:
    a = EventLog.from_text("A: x >m | B: <m y")
    b = EventLog.from_text("A: new x >m | B: <m more y")
    found = diff(a, b)
    assert repr(found) == "TraceDifference(0 and 2 events alone, 0 reordered)"
    assert [event.name for event in found.only_b] == ["new", "more"]
    assert found.first is not None
    assert [event.name for event in found.first if event] == ["x", "new"]
    assert found.to_polars()["change"].to_list() == ["only b", "only b"]


def test_what_comes_after_other_events_is_told_with_them() -> None:
    a = EventLog.from_text("A: >a | B: <a work | C: c")
    b = EventLog.from_text("A: >a | B: work <a | C: c")
    found = diff(a, b)
    assert not found.equal
    assert {event.a.name for event in found.reordered} == {"a", "work"}
    (work,) = (event for event in found.reordered if event.a.name == "work")
    assert [event.name for event in work.after_a] == ["a"]
    assert work.after_b == ()
    assert "2 of 2 changes shown" in found._repr_html_()
    rows = found.to_polars().sort("name").select("change", "name", "after_a", "after_b").rows()
    assert rows[1] == ("reordered", "work", ["B MessageReceived a"], [])


def test_equal_events_at_once_correspond_whoever_was_first() -> None:
    a = EventLog.from_text("~A: call>q call>r | ~B: serve<q>s serve<r>t | ~C: end<s ok<t")
    b = EventLog.from_text("~A: call>r call>q | ~B: serve<r>t serve<q>s | ~C: ok<t end<s")
    assert diff(a, b).equal
    worse = EventLog.from_text("~A: call>r call>q | ~B: serve<r>t serve<q>s | ~C: ok<t end<t,s")
    assert [found.a.name for found in diff(a, worse).reordered] == ["end"]


def test_content_says_in_what_events_have_to_agree() -> None:
    a, b = EventLog.from_text("A: x | B: y"), EventLog.from_text("A: x | C: y")
    assert repr(diff(a, b)) == "TraceDifference(1 and 1 event alone, 0 reordered)"
    assert diff(a, b, content=("name",)).equal


def test_one_name_compares_two_runs_or_two_logs() -> None:
    run = fl.simulate(SCENARIOS["trip"], seed=1)
    twin = fl.simulate(SCENARIOS["trip"], seed=2)
    assert repr(fl.diff(run, run)) == f"Difference('{run.run_id}', '{run.run_id}', none)"
    found = fl.diff(run.log, twin.log)
    assert isinstance(found, TraceDifference)
    assert fl.diff(run.log, run.log).equal
    with pytest.raises(InvalidArgumentError, match="two runs or two logs"):
        fl.diff(run, twin.log)
    with pytest.raises(InvalidArgumentError, match="content"):
        fl.diff(run, twin, content=("name",))


def test_logs_of_several_runs_are_refused_with_the_next_step() -> None:
    log = EventLog.from_text("=== a ===\nA: x\n=== b ===\nA: x")
    with pytest.raises(InvalidArgumentError, match="2 runs.*filter.*variants"):
        diff(log, log)
    assert diff(EventLog.from_events([]), EventLog.from_events([])).equal
    assert diff(log.filter(run_id="a"), EventLog.from_events([])).first_rows == (0, None)


def test_the_same_run_with_its_concurrent_events_in_another_order_is_equal() -> None:
    import random

    log = fl.simulate(SCENARIOS["trip"], seed=3).log
    numbered = [event.replace(position=row) for row, event in enumerate(log, start=1)]
    again = EventLog.from_events(shuffled(numbered, "again", random.Random(5)))
    assert again.digest != log.digest
    assert diff(log, again).equal
    lost = [e.replace(causes=tuple(c for c in e.causes if c.sequence != 3)) for e in log]
    assert not diff(log, EventLog.from_events(lost)).equal


def test_what_an_event_comes_after_is_told_apart_by_id_where_the_words_are_the_same() -> None:
    """Two calls of one activity stood on both sides of a line, and nothing said which was which."""
    a, b = (EventLog.from_text(f"A: work>p work>q | B: end<{m}") for m in "pq")
    sides = "A MessageSent work (@A/1) | A MessageSent work (@A/2)"

    assert str(diff(a, b)).splitlines()[2] == f"B MessageReceived end comes after: {sides}"
