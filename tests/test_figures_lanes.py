"""The order of lanes and the calls of a window: what is quick here is what the slow way gives."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import causal_logs
import duckdb
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import STORMY, booking
from test_figures import logs, saga, texts

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Cause, Event, EventLog, RunInfo, connect
from flowlab.figures import space_time
from flowlab.figures.calls import read_calls
from flowlab.figures.graph import visible_links
from flowlab.figures.lane_order import count_crossings, order_lanes
from flowlab.figures.scene import read_scene
from flowlab.figures.window import Window, choose_window
from flowlab.simulation import simulate


def window_of(log: EventLog, lanes: str | list[str] = "auto", axis: str = "order") -> Window:
    return choose_window(log, axis=axis, lanes=lanes, detail="all", limit=2_000)


def calls_of(log: EventLog) -> list[tuple[object, ...]]:
    window = window_of(log)
    events = window.events

    def ref(row: int | None) -> tuple[str | None, int | None]:
        return (None, None) if row is None else (events[row].workflow_id, events[row].sequence)

    return sorted(
        (
            *ref(call.asked), call.agent_id, call.attempt, call.status, call.tokens,
            *ref(call.began), ref(call.ended)[1],
        )
        for call in read_calls(window)
    )  # fmt: skip


@cache
def relations() -> duckdb.DuckDBPyConnection:
    """Define the relations once, for one log after the other: that costs more than to ask."""
    return connect(EventLog.from_events([]))


def asked_of(log: EventLog) -> list[tuple[object, ...]]:
    relations().register("events", log.table)
    return (
        relations()
        .sql(
            "SELECT workflow_id, sequence, agent_id, attempt, status, tokens, started_workflow_id, "
            "started_sequence, ended_sequence FROM activities ORDER BY workflow_id, sequence"
        )
        .fetchall()
    )


@settings(max_examples=60)
@given(logs())
def test_the_calls_of_a_picture_are_the_relation_activities(log: EventLog) -> None:
    assert calls_of(log) == asked_of(log)


@pytest.mark.parametrize("seed", range(6))
def test_so_they_are_in_simulated_worlds(seed: int) -> None:
    log = simulate(booking(), seed=seed, faults=STORMY).log
    assert calls_of(log) == asked_of(log)
    assert calls_of(saga()) == asked_of(saga())


ARROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 4), st.integers(0, 30)),
    max_size=25,
)


def crossings(arrows: list[tuple[int, int, int, int]], order: tuple[int, ...]) -> int:
    """Count crossings one pair at a time, in whole numbers."""
    rank = {lane: place for place, lane in enumerate(order)}
    lines = [(rank[a], x, rank[b], y) for a, x, b, y in arrows if a != b]

    def side(line: tuple[int, int, int, int], lane: int, place: int) -> int:
        a, x, b, y = line
        return (y - x) * (lane - a) - (b - a) * (place - x)

    def cross(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> bool:
        return (
            side(p, q[0], q[1]) * side(p, q[2], q[3]) < 0
            and side(q, p[0], p[1]) * side(q, p[2], p[3]) < 0
        )

    return sum(cross(lines[a], lines[b]) for b in range(len(lines)) for a in range(b))


@settings(max_examples=60)
@given(ARROWS, st.permutations(range(5)))
def test_crossings_are_the_pairs_of_arrows_that_meet_between_their_ends(
    arrows: list[tuple[int, int, int, int]], order: list[int]
) -> None:
    rank = np.argsort(order)
    told = np.array([a for a in arrows if a[0] != a[2]], float).reshape(-1, 4)
    assert count_crossings(told, rank) == crossings(arrows, tuple(order))


@settings(max_examples=60)
@given(ARROWS, st.lists(st.sampled_from([0, 1, None]), min_size=5, max_size=5))
def test_no_order_of_lanes_has_more_crossings_than_the_given_one_and_groups_stay(
    arrows: list[tuple[int, int, int, int]], groups: list[int | None]
) -> None:
    order = order_lanes(arrows, groups)
    assert sorted(order) == list(range(5))
    assert crossings(arrows, order) <= crossings(arrows, tuple(range(5)))
    assert [groups[lane] for lane in order] == groups
    assert [lane for place, lane in enumerate(order) if groups[place] is None] == [
        lane for lane in range(5) if groups[lane] is None
    ]
    assert order_lanes(arrows, groups) == order


def test_the_order_found_is_near_the_best_of_all() -> None:
    found = best = 0
    drawn = np.random.default_rng(5)
    for _ in range(20):
        arrows = [
            (int(a), int(x), int(b), int(x + length))
            for a, b, x, length in zip(
                *(drawn.integers(0, 5, 20) for _ in range(2)),
                drawn.integers(0, 100, 20), drawn.integers(1, 20, 20), strict=True,
            )
        ]  # fmt: skip
        found += crossings(arrows, order_lanes(arrows, [0] * 5))
        best += min(crossings(arrows, order) for order in permutations(range(5)))
    assert found <= 1.05 * best


def crossed() -> EventLog:
    """Two pairs of agents that talk across each other, and an event of the world before all."""
    told = [("a", "c"), ("d", "b"), ("a", "c"), ("d", "b")]
    events = []
    ticks: dict[str, int] = {}

    def add(agent: str, kind: str, at: int, *causes: Cause) -> Cause:
        ticks[agent] = ticks.get(agent, 0) + 1
        number = ticks[agent]
        events.append(
            Event(
                workflow_id=f"@{agent}",
                sequence=number,
                agent_id=agent,
                agent_sequence=number,
                event_type=kind,
                name=f"{agent}{number}",
                time_ns=at,
                causes=causes,
            )
        )
        return Cause(f"@{agent}", number, 1)

    for at, agent in enumerate(["@world", "a", "b", "c", "d"]):
        add(agent, "MarkerRecorded", at - 9)
    for place, (sender, receiver) in enumerate(told):
        sent = add(sender, "MessageSent", 10 * place)
        add(receiver, "MessageReceived", 10 * place + 25, sent)
    return EventLog.from_events(events)


def lanes_of(log: EventLog, lanes: str | list[str]) -> list[str]:
    return [lane.label for lane in read_scene(window_of(log, lanes, "time")).lanes]


def test_the_world_s_lane_is_the_last() -> None:
    assert lanes_of(crossed(), "given") == ["a", "b", "c", "d", "@world"]
    assert lanes_of(crossed(), "fewest") == ["c", "a", "b", "d", "@world"]


def test_lanes_stand_as_they_are_listed_and_no_others() -> None:
    assert lanes_of(crossed(), ["d", "a", "c"]) == ["d", "a", "c"]
    with pytest.raises(NotFoundError, match="nearest"):
        space_time(crossed(), lanes=["e"])
    with pytest.raises(InvalidArgumentError, match="auto, given, fewest"):
        space_time(crossed(), lanes="best")


def test_lanes_that_a_run_names_keep_its_order() -> None:
    agents = ("d", "a", "c", "b")
    log = EventLog.from_events(crossed(), runs=[RunInfo(agents=agents)])
    assert lanes_of(log, "fewest")[:4] == list(agents)


def test_a_missing_parent_a_cycle_and_a_second_event_of_one_id_are_drawn_as_damage() -> None:
    def event(number: int, agent: str, *causes: int, stream: str = "w") -> dict[str, object]:
        refs = [{"workflow_id": stream, "sequence": cause} for cause in causes]
        return {"workflow_id": "w", "sequence": number, "agent_id": agent, "causes": refs,
                "agent_sequence": number, "event_type": "Signaled", "time_ns": number,
                "follows_lane": False}  # fmt: skip

    log = EventLog.from_events(
        [event(1, "a", 2), event(2, "b", 1), event(2, "c"), event(3, "a", 9),
         event(4, "b", 1, stream="elsewhere")]
    )  # fmt: skip
    figure = space_time(log)

    said = {words for words in texts(figure.svg) if words}
    assert {"damage in the log", "damage: would close a cycle"} <= said
    assert "cause outside of this log" in said
    assert {"cycle", "never_logged", "duplicate_id"} <= {
        part for part in ("cycle", "never_logged", "duplicate_id") if part in figure.svg
    }
    assert "! damage in the log" in figure.text


def test_a_part_of_a_log_asked_for_by_workflow_is_not_damaged_by_what_is_left_out() -> None:
    log = simulate(booking(), seed=1).log
    stream = next(name for name in log.table["workflow_id"].to_pylist() if name[0] != "@")
    said = texts(space_time(log, workflow_id=stream).svg)
    assert not {"damage in the log", "cause outside of this log"} & said


@given(causal_logs.logs(), st.data())
def test_what_is_drawn_is_ordered_as_the_log_is_whatever_is_hidden(
    log: EventLog, data: st.DataObject
) -> None:
    agents = sorted(set(log.table.column("agent_id").to_pylist()))
    shown = data.draw(st.lists(st.sampled_from(agents), min_size=1, unique=True)) if agents else []
    window = choose_window(log, axis="depth", lanes=shown or None, detail="activities", limit=10**6)
    drawn = nx.DiGraph([(link.cause, link.effect) for link in visible_links(window)])
    rows = [row for row, flag in enumerate(window.visible) if flag]
    drawn.add_nodes_from(rows)
    order = log.causality

    for effect in rows:
        before = nx.ancestors(drawn, effect)
        events = window.events
        assert before == {
            cause for cause in rows if order.happened_before(events[cause], events[effect])
        }
