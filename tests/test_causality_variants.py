"""Variants equate exactly what is isomorphic as a labelled order, and nothing else."""

from __future__ import annotations

import itertools
import random
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowlab.causality import diff, read_graph, variants
from flowlab.causality.canonical import Search
from flowlab.causality.piece_reduction import reduce_pieces
from flowlab.causality.pieces import piece_graph, pieces
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import Cause, Event, EventLog


@st.composite
def worlds(draw: st.DrawFn) -> EventLog:
    """Draw a log of small runs: many events are alike, lanes overlap, and some runs are equal."""
    events: list[Event] = []
    for run in range(draw(st.integers(1, 4))):
        own: list[Event] = []
        ticks = {"A": 0, "B": 0}
        for number in range(draw(st.integers(0, 7))):
            lane = draw(st.sampled_from("AAB"))
            ticks[lane] += 1
            causes = [e for e in own if draw(st.integers(0, 3)) == 0]
            own.append(
                Event(
                    run_id=f"r{run}",
                    workflow_id=draw(st.sampled_from(["w", "@A"])),
                    agent_id=lane,
                    agent_sequence=ticks[lane],
                    event_type="T",
                    name=draw(st.sampled_from("xxy")),
                    time_ns=number,
                    position=len(events) + number + 1,
                    follows_lane=draw(st.integers(0, 3)) == 0,
                    coordination_id=draw(st.none() | st.just("w")),
                    causes=tuple(Cause(e.workflow_id, e.sequence) for e in causes),
                )
            )
            count = sum(e.workflow_id == own[-1].workflow_id for e in own)
            own[-1] = own[-1].replace(sequence=count)
        events += own
        if own and draw(st.booleans()):
            events += shuffled(own, f"r{run}b", draw(st.randoms(use_true_random=False)))
    return EventLog.from_events(events)


def shuffled(own: list[Event], run_id: str, chance: random.Random) -> list[Event]:
    """Return the same run with its overlapping events recorded in another order of its causes."""
    graph = order_of(EventLog.from_events(own))
    left, order = dict(graph.in_degree()), []
    ready = [row for row, count in left.items() if not count]
    while ready:
        row = ready.pop(chance.randrange(len(ready)))
        order.append(row)
        for after in graph.successors(row):
            left[after] -= 1
            if not left[after]:
                ready.append(after)
    names = {}
    counts: dict[str, int] = {}
    for row in order:
        stream = own[row].workflow_id
        counts[stream] = counts.get(stream, 0) + 1
        names[own[row].workflow_id, own[row].sequence] = (stream, counts[stream])
    again = []
    for place, row in enumerate(order):
        before = [own[cause] for cause in graph.predecessors(row)]
        stream, sequence = names[own[row].workflow_id, own[row].sequence]
        again.append(
            own[row].replace(
                run_id=run_id,
                sequence=sequence,
                follows_lane=False,
                agent_sequence=place + 1,
                position=own[0].position + place,
                causes=tuple(Cause(*names[e.workflow_id, e.sequence]) for e in before),
            )
        )
    return again


def order_of(log: EventLog, *, by: str = "run") -> nx.DiGraph[int]:
    """Return the transitive closure of a log within its pieces, by the definition."""
    events = log.events()
    rows = {event.id: row for row, event in enumerate(events)}
    graph: nx.DiGraph[int] = nx.DiGraph()
    pieces_of = [piece_of(event, by) for event in events]
    for row, event in enumerate(events):
        if pieces_of[row] is not None:
            graph.add_node(row, label=(event.agent_id, event.event_type, event.name))
    for row, event in enumerate(events):
        for cause in event.causes:
            before = rows[event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)]
            if pieces_of[row] is not None and pieces_of[before] == pieces_of[row]:
                graph.add_edge(before, row)
    lanes: dict[Any, list[int]] = {}
    for row, event in enumerate(events):
        lanes.setdefault((event.run_id, event.agent_id), []).append(row)
    for lane in lanes.values():
        lane.sort(key=lambda row: (events[row].agent_sequence, events[row].position))
        for one, other in itertools.combinations(range(len(lane)), 2):
            joined = all(events[row].follows_lane for row in lane[one + 1 : other + 1])
            same = pieces_of[lane[one]] == pieces_of[lane[other]] is not None
            if joined and same:
                graph.add_edge(lane[one], lane[other])
    return nx.transitive_closure_dag(graph)


def piece_of(event: Event, by: str) -> Any:
    if by == "run":
        return event.run_id
    own = event.workflow_id if not event.workflow_id.startswith("@") else event.coordination_id
    return None if own is None else (event.run_id, own)


def brute_force(log: EventLog, by: str) -> list[set[Any]]:
    """Group pieces by isomorphism of their labelled orders."""
    events = log.events()
    closure = order_of(log, by=by)
    members: dict[Any, list[int]] = {}
    for row in closure:
        members.setdefault(piece_of(events[row], by), []).append(row)
    groups: list[tuple[nx.DiGraph[int], set[Any]]] = []
    match = nx.algorithms.isomorphism.categorical_node_match("label", None)
    for piece, rows in members.items():
        own = closure.subgraph(rows)
        for known, group in groups:
            if nx.is_isomorphic(known, own, node_match=match):
                group.add(piece)
                break
        else:
            groups.append((own, {piece}))
    return [group for _, group in groups]


@settings(max_examples=300)
@given(worlds(), st.sampled_from(["run", "workflow"]))
def test_variants_are_the_classes_of_isomorphic_labelled_orders(log: EventLog, by: str) -> None:
    found = variants(log, by=by)  # type: ignore[arg-type]
    key = (lambda m: m[1]) if by == "run" else (lambda m: (m[1], m[2]))
    ours = [{key(member) for member in variant.members} for variant in found]
    theirs = brute_force(log, by)
    assert sorted(map(sorted, ours)) == sorted(map(sorted, theirs))
    assert sum(variant.count * variant.events for variant in found) + found.left_out == len(log)


@given(worlds())
def test_an_edge_is_left_out_exactly_if_another_way_replaces_it(log: EventLog) -> None:
    graph = read_graph(log)
    trimmed = reduce_pieces(piece_graph(graph, pieces(log.table, "run")), log)
    edges = {
        (int(trimmed.rows[a]), int(trimmed.rows[b]))
        for a, b in zip(trimmed.cause, trimmed.effect, strict=True)
    }
    assert edges == set(nx.transitive_reduction(order_of(log)).edges)


@given(worlds(), st.sampled_from(["run", "workflow"]))
def test_a_large_piece_is_reduced_as_a_small_one(log: EventLog, by: str) -> None:
    graph = read_graph(log)
    whole = piece_graph(graph, pieces(log.table, by))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowlab.causality.piece_reduction._SIZES", ())
        large = reduce_pieces(whole, log)
    small = reduce_pieces(whole, log)
    assert np.array_equal(large.cause, small.cause)
    assert np.array_equal(large.effect, small.effect)


@given(worlds(), st.randoms(use_true_random=False))
def test_a_variant_s_digest_does_not_depend_on_the_rest_of_the_log(
    log: EventLog, chance: random.Random
) -> None:
    rows = list(range(len(log)))
    chance.shuffle(rows)
    mixed = EventLog.from_events(log.events()[row] for row in rows)
    digests = sorted((v.digest, v.count) for v in variants(log, by="run"))
    assert sorted((v.digest, v.count) for v in variants(mixed, by="run")) == digests
    for variant in variants(log, by="run"):
        (alone,) = variants(log.filter(run_id=variant.members[0][1]), by="run")
        assert alone.digest == variant.digest
        assert alone.representative.digest == variant.representative.digest


@given(st.integers(2, 8), st.floats(0, 1), st.randoms(use_true_random=False))
@example(8, 0.5, random.Random(1))
def test_the_search_finds_one_form_for_all_numberings_of_equal_events(
    size: int, density: float, chance: random.Random
) -> None:
    edges = [(a, b) for b in range(size) for a in range(b) if chance.random() < density]
    forms = set()
    for _ in range(4):
        number = list(range(size))
        chance.shuffle(number)
        causes: list[list[int]] = [[] for _ in range(size)]
        for a, b in edges:
            causes[number[b]].append(number[a])
        forms.add(Search("a run", causes).best([0] * size)[0])
    assert len(forms) == 1


RING = [(one, 4 + (one + step) % 4) for one in range(4) for step in (0, 1)]
SQUARES = [(one, 4 + other) for one in range(4) for other in (one // 2 * 2, one // 2 * 2 + 1)]
"""Four events that cause four others, two each: in a ring of eight, or in two squares."""


def numbered(edges: list[tuple[int, int]], chance: random.Random) -> list[list[int]]:
    size = max(map(max, edges)) + 1
    number = list(range(size))
    chance.shuffle(number)
    causes: list[list[int]] = [[] for _ in range(size)]
    for one, other in edges:
        causes[number[other]].append(number[one])
    return causes


def test_events_that_their_surroundings_do_not_tell_apart_have_one_form_still() -> None:
    both = RING + [(one + 8, other + 8) for one, other in SQUARES]
    best, first = set(), set()
    for seed in range(12):
        search = Search("a run", numbered(both, random.Random(seed)))
        best.add(search.best([0] * 16)[0])
        first.add(search.first([0] * 16)[0])
    assert len(best) == 1
    assert len(first) > 1


def test_orders_that_look_alike_around_every_event_are_two_variants() -> None:
    def text(edges: list[tuple[int, int]]) -> str:
        sent = " ".join(f"x>m{number}" for number in range(4))
        got = " ".join(
            "y<" + ",".join(f"m{a}" for a, b in edges if b == number) for number in range(4, 8)
        )
        return f"~A: {sent}\n~B: {got}"

    log = EventLog.from_text(f"=== ring ===\n{text(RING)}\n=== squares ===\n{text(SQUARES)}")
    assert len(variants(log, by="run")) == 2


def test_concurrency_makes_no_variants_of_its_own() -> None:
    orders = list(itertools.permutations("BCD"))
    text = "\n".join(
        f"=== {number} ===\nA: >go@1 "
        + " ".join(f"got{agent}<{agent}" for agent in "BCD").replace("got", "~got")
        + "\n"
        + "\n".join(f"{agent}: <go@{2 + place} >{agent}" for place, agent in enumerate(order))
        for number, order in enumerate(orders)
    )
    log = EventLog.from_text(text)
    assert len(variants(log, by="run")) == 1
    assert len(variants(log, by="run", order="recorded")) == 6


def test_two_workflows_that_differ_in_their_names_alone_are_one_variant() -> None:
    def history(name: str, activity: str) -> list[dict[str, Any]]:
        facts = {"workflow_id": name, "agent_id": name, "follows_lane": False}
        return [
            {**facts, "sequence": 1, "event_type": "WorkflowStarted"},
            {**facts, "sequence": 2, "event_type": "ActivityScheduled", "name": activity,
             "causes": [Cause(name, 1)]},
            {"workflow_id": f"@bank-{name}", "sequence": 1, "agent_id": "bank",
             "event_type": "MessageReceived", "coordination_id": name,
             "causes": [Cause(name, 2)]},
            {"workflow_id": "@bank-rest", "sequence": 1, "agent_id": "bank", "event_type": "X"}
            if name == "a" else
            {**facts, "sequence": 3, "event_type": "WorkflowCompleted", "causes": [Cause(name, 2)]},
        ]  # fmt: skip

    log = EventLog.from_events([*history("a", "pay"), *history("b", "pay"), *history("c", "eat")])
    found = variants(log)
    assert [sorted(member[2] or "" for member in v.members) for v in found] == [["a"], ["b"], ["c"]]
    assert len(variants(log, content=("event_type",))) == 2
    assert found.left_out == 1
    assert repr(found) == "Variants(3 workflows, 3 variants, the first is 33.3%)"
    assert found.to_polars()["events"].to_list() == [3, 4, 4]
    assert "3 of 3 variants shown" in found._repr_html_()
    assert found[0].representative.to_polars()["sequence"].to_list() == [1, 2, 1]


def test_equal_calls_at_once_are_one_variant_whoever_is_first() -> None:
    def text(order: list[int]) -> str:
        calls = " ".join(f"~call>q{n}" for n in range(6))
        served = " ".join(f"~serve<q{n}>r{n}" for n in order)
        return f"A: {calls}\n~B: {served}\nA: ~all<" + ",".join(f"r{n}" for n in range(6))

    chance = random.Random(3)
    orders = [chance.sample(range(6), 6) for _ in range(40)]
    log = EventLog.from_text(
        "\n".join(f"=== {n} ===\n{text(order)}" for n, order in enumerate(orders))
    )
    assert len(variants(log, by="run")) == 1


def test_a_piece_that_is_too_alike_is_refused_by_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowlab.causality.canonical.MAX_SEARCH_STEPS", 100)
    asked, got = (" ".join(f"{word}m{turn}" for turn in range(30)) for word in ("x>", "y<"))
    log = EventLog.from_text(f"~A: {asked} | ~B: {got}", run_id="r")
    with pytest.raises(LimitError, match="run 'r'.*MAX_SEARCH_STEPS.*step_id"):
        variants(log, by="run")


def test_what_no_log_has_is_refused() -> None:
    log = EventLog.from_text("A: a")
    with pytest.raises(InvalidArgumentError, match="time_ns"):
        variants(log, content=("time_ns",))
    with pytest.raises(InvalidArgumentError, match="'run' or by 'workflow'"):
        variants(log, by="day")  # type: ignore[arg-type]
    assert repr(variants(log)) == "Variants(no workflows)"
    assert variants(EventLog.from_events([]), by="run").to_polars().height == 0
    assert np.isclose(sum(v.share for v in variants(log, by="run")), 1)


def test_what_is_no_log_has_no_variants() -> None:
    graph: Any = read_graph(EventLog.from_text("A: a"))
    with pytest.raises(InvalidArgumentError, match=r"got CausalGraph\(.*take run.log"):
        variants(graph)


def test_equal_events_with_equal_causes_and_effects_need_no_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowlab.causality.canonical.MAX_SEARCH_STEPS", 10_000)
    log = EventLog.from_text("~A: " + "x " * 2_000 + ">m | B: <m", run_id="r")
    assert len(variants(log, by="run")) == 1
    assert diff(log, log).equal
