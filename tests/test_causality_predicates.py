"""Possibly and definitely against all cuts, and all ways through them."""

from __future__ import annotations

import pytest
from causal_cuts import consistent_sets, plain_pasts
from causal_logs import logs
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab import EventLog
from flowlab.causality import CausalOrder, Conjunctive, Cut
from flowlab.errors import InvalidArgumentError, LimitError, NotFoundError
from flowlab.scenarios import scenario_named


def is_unavoidable(log: EventLog, holds: set[frozenset[int]]) -> bool:
    """Say whether every way from nothing to everything leads through one of some sets."""
    every = set(consistent_sets(log))
    reached = {frozenset[int]()} - holds
    todo = list(reached)
    while todo:
        now = todo.pop()
        for row in set(range(len(log))) - now:
            after = now | {row}
            if after in every and after not in holds and after not in reached:
                reached.add(after)
                todo.append(after)
    return frozenset(range(len(log))) not in reached


def rows_of(cut: Cut) -> frozenset[int]:
    return frozenset(cut.rows.tolist())


def is_way_around(log: EventLog, path: tuple[int, ...], holds: set[frozenset[int]]) -> bool:
    pasts = plain_pasts(log)
    ways = [frozenset(path[:count]) for count in range(len(path) + 1)]
    causal = all(pasts[row] <= ways[place] for place, row in enumerate(path))
    return causal and len(ways[-1]) == len(log) and not holds.intersection(ways)


@given(logs(max_events=8), st.data())
def test_possibly_and_definitely_are_what_all_cuts_and_all_ways_say(
    log: EventLog, data: st.DataObject
) -> None:
    order, every = CausalOrder(log), consistent_sets(log)
    holds = {one for one in every if data.draw(st.booleans())}

    def predicate(cut: Cut) -> bool:
        return rows_of(cut) in holds

    possible, definite = order.possibly(predicate), order.definitely(predicate)

    assert bool(possible) == bool(holds)
    assert possible.cut is None or rows_of(possible.cut) in holds
    assert bool(definite) == is_unavoidable(log, holds)
    if definite.path is not None:
        assert is_way_around(log, definite.path, holds)
        assert [rows_of(cut) for cut in definite.cuts()] == [
            frozenset(definite.path[:count]) for count in range(len(log) + 1)
        ]


@given(logs(max_events=9, overlapping=False), st.data())
def test_a_conjunction_is_answered_from_its_agents_as_from_all_cuts(
    log: EventLog, data: st.DataObject
) -> None:
    order = CausalOrder(log)
    agents = sorted(set(log.table.column("agent_id").to_pylist()))
    if not agents:
        return
    chosen = data.draw(st.lists(st.sampled_from(agents), min_size=1, unique=True))
    true = {event.id for event in log if data.draw(st.booleans())}
    predicate = Conjunctive({agent: lambda last: last.id in true for agent in chosen})
    holds = {rows_of(cut) for cut in order.cuts() if predicate(cut)}

    possible, definite = order.possibly(predicate), order.definitely(predicate)

    assert (possible.seen, definite.seen) == (0, 0)
    assert bool(possible) == bool(holds)
    if possible.cut is not None:
        assert rows_of(possible.cut) == frozenset.intersection(*holds)
    assert bool(definite) == is_unavoidable(log, holds)
    if definite.path is not None:
        assert is_way_around(log, definite.path, holds)
    else:
        spans = (definite.spans or {}).values()
        assert all(
            begin is None or end is None or order.happened_before(begin, end) or begin == end
            for begin, _ in spans
            for _, end in spans
        )


@given(logs(max_events=9, overlapping=False))
def test_a_conjunction_holds_where_the_part_of_each_agent_does(log: EventLog) -> None:
    order = CausalOrder(log)
    agents = sorted(set(log.table.column("agent_id").to_pylist()))
    predicate = Conjunctive({agent: lambda last: last.name == "a" for agent in agents or ["x"]})
    for cut in order.cuts() if agents else ():
        last = [cut.last(agent) for agent in agents]
        assert predicate(cut) == all(event is not None and event.name == "a" for event in last)


def test_two_that_took_turns_were_never_inside_together() -> None:
    order = EventLog.from_text("A: enter leave >token | B: <token enter leave").causality
    apart = EventLog.from_text("A: enter leave >token | B: enter leave <token").causality
    both = Conjunctive({agent: lambda last: last.name == "enter" for agent in "AB"})

    assert repr(order.possibly(both)) == "Possibly(never)"
    assert repr(apart.possibly(both)) == "Possibly(at Cut(2 of 6 events))"
    assert not apart.definitely(both)
    assert repr(both) == "Conjunctive(A, B on event)"


def test_two_that_waited_for_each_other_were_inside_together_in_any_case() -> None:
    order = EventLog.from_text(
        "A: enter >here <there leave | B: enter >there <here leave"
    ).causality
    inside = Conjunctive({agent: lambda last: last.name != "leave" for agent in "AB"})
    definite = order.definitely(inside)

    assert definite
    assert definite.spans == {"A": (0, 6), "B": (1, 7)}
    assert repr(definite) == "Definitely(on every way)"
    assert list(definite.cuts()) == []


def test_a_part_may_be_told_from_the_cells_of_its_agent() -> None:
    run = fl.simulate(scenario_named("trip"), seed=1)
    order = run.log.causality
    full = Conjunctive({"hotel": lambda cells: cells.get("free") == 0}, on="state")

    found = order.possibly(full)

    assert found.cut is not None
    assert found.cut.state.get("hotel", "free") == 0
    assert order.definitely(full)
    assert not order.possibly(Conjunctive({"hotel": lambda c: c.get("free") == 9}, on="state"))


def test_what_is_no_predicate_is_refused() -> None:
    order = EventLog.from_text("A: a b c | B: ~a ~b").causality

    with pytest.raises(InvalidArgumentError, match="'x' is no predicate; expected a function"):
        order.possibly("x")
    with pytest.raises(InvalidArgumentError, match="is no predicate"):
        order.definitely(3)
    with pytest.raises(InvalidArgumentError, match="a function of each agent"):
        Conjunctive({})
    with pytest.raises(InvalidArgumentError, match="expected event or state"):
        Conjunctive({"A": bool}, on="both")
    with pytest.raises(NotFoundError, match="no agent 'Z'; it has A, B"):
        order.possibly(Conjunctive({"Z": bool}))
    with pytest.raises(InvalidArgumentError, match="several things at a time"):
        order.possibly(Conjunctive({"B": bool}))


def never(_: Cut) -> bool:
    return False


def test_a_search_without_end_is_given_up_at_its_limit() -> None:
    order = EventLog.from_text("A: a b c | B: a b c").causality

    assert not order.possibly(never, limit=16)
    for search in (order.possibly, order.definitely):
        with pytest.raises(InvalidArgumentError, match="limit is 0; expected an int, 1 or more"):
            search(never, limit=0)
        with pytest.raises(LimitError, match="asked at 15 consistent cuts .* raise limit="):
            search(never, limit=15)


@pytest.mark.parametrize("limit", [0, -1, "many", True])
def test_a_search_has_a_limit_of_one_or_more(limit: object) -> None:
    order = EventLog.from_text("A: a | B: b").causality
    for ask in (order.possibly, order.definitely):
        with pytest.raises(InvalidArgumentError, match="expected an int, 1 or more"):
            ask(lambda cut: len(cut) > 9, limit=limit)
