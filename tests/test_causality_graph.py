"""The causal graph: the edges of the relation, causes first, damage told and left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from causal_logs import edges_of, logs, related_edges
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab import Cause, Event, EventLog
from flowlab.causality.graph import KIND_LABELS, read_graph
from flowlab.errors import InvalidEventError
from flowlab.scenarios import scenario_named
from flowlab.studies.simulation_laws import HEALING


def mark(stream: str, sequence: int, *causes: tuple[str, int], **fields: object) -> Event:
    fields.setdefault("follows_lane", False)
    return Event(
        workflow_id=stream,
        sequence=sequence,
        agent_id=stream.removeprefix("@"),
        agent_sequence=sequence,
        event_type="MarkerRecorded",
        time_ns=0,
        causes=tuple(Cause(*cause) for cause in causes),
        **fields,
    )


def edges_in(log: EventLog) -> set[tuple[int, int, str]]:
    graph = read_graph(log)
    kinds = [KIND_LABELS[kind] for kind in graph.kind]
    return set(zip(graph.cause.tolist(), graph.effect.tolist(), kinds, strict=True))


@settings(max_examples=40)
@given(logs(worlds=2))
def test_the_graph_has_exactly_the_edges_of_the_relation(log: EventLog) -> None:
    assert edges_in(log) == related_edges(log)
    assert read_graph(log).anomalies.num_rows == 0


@given(logs(worlds=2))
def test_the_graph_has_the_named_causes_and_the_lanes(log: EventLog) -> None:
    assert edges_in(log) == edges_of(log)


@given(logs(worlds=2))
def test_every_cause_stands_before_its_effects_in_the_graph_s_order(log: EventLog) -> None:
    graph = read_graph(log)

    assert sorted(graph.order.tolist()) == list(range(len(log)))
    assert np.all(graph.rank[graph.cause] < graph.rank[graph.effect])
    for row in range(len(log)):
        assert np.all(graph.effect[graph.into[row] : graph.into[row + 1]] == row)


@pytest.mark.parametrize("name", ["trip", "order", "mapreduce"])
def test_a_simulated_log_has_the_edges_of_the_relation_and_no_damage(name: str) -> None:
    log = fl.simulate(scenario_named(name), seed=3, faults=HEALING).log

    assert edges_in(log) == edges_of(log) == related_edges(log)
    assert read_graph(log).anomalies.num_rows == 0


def test_a_cycle_is_opened_and_each_of_its_edges_is_told() -> None:
    log = EventLog.from_events(
        [mark("@a", 1, ("@b", 1)), mark("@b", 1, ("@a", 1)), mark("@c", 1, ("@b", 1))]
    )

    graph = read_graph(log)

    assert edges_in(log) == {(1, 2, "program")}
    told = graph.anomalies.to_pylist()
    assert [(row["workflow_id"], row["kind"], row["ref_workflow_id"]) for row in told] == [
        ("@a", "cycle", "@b"),
        ("@b", "cycle", "@a"),
    ]


def test_an_event_that_names_itself_is_a_cycle() -> None:
    graph = read_graph(EventLog.from_events([mark("@a", 1, ("@a", 1))]))

    assert graph.anomalies.column("kind").to_pylist() == ["cycle"]
    assert len(graph.cause) == 0


def test_a_lane_s_own_edges_are_never_what_opens_a_cycle() -> None:
    log = EventLog.from_events(
        [mark("@a", 1, ("@a", 2)), mark("@a", 2, follows_lane=True)],
    )

    assert edges_in(log) == {(0, 1, "lane")}
    assert read_graph(log).anomalies.column("detail").to_pylist() == [
        "@a/2 would come before and after it"
    ]


def test_a_cause_that_the_log_does_not_hold_is_told_with_its_place() -> None:
    log = EventLog.from_events([mark("@a", 1), mark("@a", 2, ("@a", 9), ("@z", 1))])

    told = read_graph(log).anomalies.to_pylist()

    assert [(row["sequence"], row["kind"], row["detail"]) for row in told] == [
        (2, "never_logged", "its cause @a/9 is not in the log"),
        (2, "never_logged", "its cause @z/1 is not in the log"),
    ]


def test_a_cause_below_what_is_left_of_its_stream_is_before_the_horizon_and_no_damage() -> None:
    graph = read_graph(EventLog.from_events([mark("@a", 5), mark("@b", 1, ("@a", 4))]))

    assert graph.anomalies.num_rows == 0
    assert (graph.truncated.row.tolist(), graph.truncated.sequence.tolist()) == ([1], [4])


def test_of_two_events_with_one_id_the_first_is_meant_and_the_second_is_told() -> None:
    log = EventLog.from_events([mark("@a", 1), mark("@a", 1), mark("@b", 1, ("@a", 1))])

    assert edges_in(log) == {(0, 2, "program")}
    assert read_graph(log).anomalies.column("kind").to_pylist() == ["duplicate_id"]


def test_an_effect_that_was_recorded_before_its_cause_is_told_and_its_edge_is_kept() -> None:
    log = EventLog.from_events([mark("@b", 1, ("@a", 1), position=1), mark("@a", 1, position=2)])

    assert edges_in(log) == {(1, 0, "program")}
    assert read_graph(log).anomalies.column("kind").to_pylist() == ["effect_before_cause"]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=8, unique=True))
def test_sequences_that_lie_far_apart_are_found(sequences: list[int]) -> None:
    events = [mark("@a", sequence) for sequence in sequences]
    events += [mark("@b", 1, *(("@a", sequence) for sequence in sequences))]

    graph = read_graph(EventLog.from_events(events))

    assert sorted(graph.cause.tolist()) == list(range(len(sequences)))
    assert graph.anomalies.num_rows == 0


@pytest.mark.parametrize("sequence", [-(2**63), -1, 0, 6, 2**63 - 1])
def test_a_cause_at_any_sequence_that_no_event_has_is_told(sequence: int) -> None:
    # The distance from the least sequence did not fit 64 bits, turned positive, and was looked up.
    log = EventLog.from_events([
        {"workflow_id": "a", "sequence": 5, "event_type": "Signaled"},
        {"workflow_id": "b", "sequence": 1, "event_type": "Signaled",
         "causes": [{"workflow_id": "a", "sequence": sequence}]},
    ])  # fmt: skip

    assert read_graph(log).anomalies.column("kind").to_pylist() == ["never_logged"]


def test_a_log_whose_kinds_do_not_match_its_causes_is_refused() -> None:
    table = EventLog.from_events([mark("@a", 1), mark("@b", 1, ("@a", 1))]).table
    none = pa.array([[], []], table.schema.field("cause_kinds").type)
    column = table.column_names.index("cause_kinds")

    with pytest.raises(InvalidEventError, match="1 causes and 0 cause kinds"):
        read_graph(EventLog(table.set_column(column, table.schema.field("cause_kinds"), none)))


def test_what_was_found_is_in_the_relation_anomalies_with_what_the_log_said_itself() -> None:
    log = EventLog.from_events([mark("@a", 1, ("@z", 1)), mark("@b", 1, ("@b", 1))])
    order = log.causality
    query = "SELECT workflow_id, kind FROM anomalies ORDER BY ALL"

    assert log.sql(query).rows() == []
    assert order.sql(query).rows() == [("@a", "never_logged"), ("@b", "cycle")]
    assert order.diagnosed().sql(query).rows() == order.sql(query).rows()
    assert order.diagnosed().causality.diagnosed() == order.diagnosed()


def test_an_empty_log_has_an_empty_graph() -> None:
    assert repr(read_graph(EventLog.from_events([]))) == "CausalGraph(0 events, 0 edges)"
