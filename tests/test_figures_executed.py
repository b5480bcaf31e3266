"""The graph of an executed plan: each node's state, and the compensation chain."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from test_figures import texts

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventLog
from flowlab.figures import flow
from flowlab.figures.flow_states import Executed, read_executed
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.scenarios import SCENARIOS, trip
from flowlab.simulation import simulate
from flowlab.workflow import states_of


@pytest.fixture(scope="module")
def log() -> EventLog:
    """Three trips under faults: one that is completed, two that fail and are undone."""
    return simulate(SCENARIOS["trip"], seed=3, faults="production").log


def executed(log: EventLog, workflow_id: str, upto: int | None = None) -> Executed:
    return read_executed(trip.PLAN.drawing(), log, workflow_id=workflow_id, upto=upto)


def by_label(told: Executed) -> dict[str, str]:
    drawing = trip.PLAN.drawing()
    return {
        node.label: told.states[node.node_id]
        for node in drawing.nodes
        if node.kind == "step" and node.node_id in told.states
    }


def test_every_step_of_a_completed_run_is_done(log: EventLog) -> None:
    told = executed(log, "trip-1")
    assert told.outcome == "completed"
    assert set(by_label(told).values()) == {"done"}
    assert told.chain == ()
    assert told.states["end"] == "done"


def test_a_failed_run_shows_what_failed_what_was_undone_and_what_was_skipped(log: EventLog) -> None:
    told = executed(log, "trip-3")
    assert by_label(told) == {
        "flight": "compensated", "room": "failed", "car": "compensated",
        "charge": "skipped", "mail": "skipped",
    }  # fmt: skip
    assert told.states["end"] == "skipped"
    figure = flow(trip.PLAN, executed=log, workflow_id="trip-3")
    assert "compensation chain: car, then flight" in figure.text
    legend = texts(figure.svg)
    assert {"done", "failed", "done, and compensated", "skipped: never begun"} <= legend
    assert {"1", "2"} <= legend


def test_a_run_that_goes_on_shows_what_runs_and_what_is_still_to_come(log: EventLog) -> None:
    told = executed(log, "trip-3", upto=5)
    assert told.outcome == "running"
    assert by_label(told) == {"flight": "done", "room": "running", "car": "running"}
    legend = texts(flow(trip.PLAN, executed=log, workflow_id="trip-3", upto=5).svg)
    assert {"running", "still to come"} <= legend
    assert "skipped: never begun" not in legend


@pytest.mark.parametrize("seed", range(5))
def test_what_is_drawn_agrees_with_the_state_of_the_workflow_at_every_event(seed: int) -> None:
    world = simulate(SCENARIOS["trip"], seed=seed, faults="production").log
    for stream in ("trip-1", "trip-2"):
        history = world.filter(workflow_id=stream).sorted().events()
        for sequence, state in states_of(history):
            told = executed(world, stream, upto=sequence)
            kind = type(state).__name__
            assert (told.outcome == "running") == (kind not in {"Completed", "Failed", "Canceled"})
            begun = any(event.event_type == "CompensationScheduled"
                        for event in history if event.sequence <= sequence)  # fmt: skip
            assert bool(told.chain) == begun


def test_the_picture_is_well_formed_of_safe_parts_and_the_same_each_time(log: EventLog) -> None:
    for stream in ("trip-1", "trip-2", "trip-3"):
        for upto in (None, 0, 1, 4, 8):
            figure = flow(trip.PLAN, executed=log, workflow_id=stream, upto=upto)
            root = ET.fromstring(figure.svg)
            assert {element.tag.rpartition("}")[2] for element in root.iter()} <= ELEMENTS
            assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
            assert flow(trip.PLAN, executed=log, workflow_id=stream, upto=upto) == figure


def test_several_workflows_ask_for_a_name_and_an_unknown_one_is_refused(log: EventLog) -> None:
    with pytest.raises(InvalidArgumentError, match="name one of them"):
        flow(trip.PLAN, executed=log)
    with pytest.raises(NotFoundError, match="no workflow 'trip-9'"):
        flow(trip.PLAN, executed=log, workflow_id="trip-9")
    with pytest.raises(InvalidArgumentError, match="0 workflows"):
        flow(trip.PLAN, executed=EventLog.from_events([]))
