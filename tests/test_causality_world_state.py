"""The state of the world on a cut against the states that agents really had."""

from __future__ import annotations

from typing import Any

import pytest
from causal_cuts import plain_pasts
from causal_logs import logs
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab import Cell, EventLog
from flowlab.causality import CausalOrder
from flowlab.events import decode_payload, encode_payload
from flowlab.scenarios import SCENARIOS
from flowlab.scenarios.countermeasures import COUNTERMEASURES
from flowlab.studies.simulation_laws import HEALING

WORLDS = {**SCENARIOS, **{f"{name}, fixed": it.fixed for name, it in COUNTERMEASURES.items()}}


def replayed(log: EventLog, until: int) -> dict[Cell, Any]:
    """Apply every recorded write up to a time, one by one, as the world made them."""
    held: dict[Cell, Any] = {}
    for event in log:
        if event.time_ns > until or not event.writes:
            continue
        payload = decode_payload(event.payload)
        told = {event.agent_id: payload.get("values", {}), **payload.get("resources", {})}
        for cell in event.writes:
            held[cell] = told[cell.owner][cell.key]
    return held


@pytest.mark.parametrize("name", WORLDS)
def test_the_state_on_everything_is_the_final_state_of_the_run(name: str) -> None:
    for seed in range(2):
        run = fl.simulate(WORLDS[name], seed=seed, faults=HEALING)
        order = run.log.causality

        state = order.state_on(order.cuts().last)

        assert state.cells == {c: run.states[c.owner].get(c.key) for c in state.cells}
        written = {cell for event in run.log for cell in event.writes or ()}
        assert {*state.cells, *state.conflicts} == written
        assert state.unknown == ()
        assert state.conflicts == {}


@pytest.mark.parametrize("name", ["trip", "mapreduce"])
def test_the_state_on_the_cut_of_a_time_is_what_agents_held_then(name: str) -> None:
    run = fl.simulate(SCENARIOS[name], seed=4, faults=HEALING)
    order = run.log.causality
    for share in range(11):
        until = run.end_ns * share // 10
        assert order.state_on(order.cut(time_ns=until)).cells == replayed(run.log, until)


@given(logs(max_events=10), st.data())
def test_a_cell_holds_what_the_last_event_before_no_other_wrote_or_is_told_to_be_in_conflict(
    log: EventLog, data: st.DataObject
) -> None:
    names = [Cell("agent-0", "x"), Cell("shared", "y")]
    events = [
        event.replace(
            writes=tuple(cells),
            payload=encode_payload(
                {
                    "values": {c.key: row for c in cells if c.owner == event.agent_id},
                    "resources": {c.owner: {c.key: row} for c in cells if c.owner == "shared"},
                }
            ),
        )
        for row, event in enumerate(log)
        for cells in [data.draw(st.lists(st.sampled_from(names), unique=True))]
    ]
    order, pasts = CausalOrder(EventLog.from_events(events)), plain_pasts(log)
    inside = data.draw(st.sets(st.sampled_from(range(len(log))))) if len(log) else set()

    state = order.state_on(order.cut(inside))

    for cell in names:
        writers = {row for row in inside if cell in events[row].writes}
        last = sorted(row for row in writers if not any(row in pasts[other] for other in writers))
        told = cell.owner == "shared" or not last or events[last[0]].agent_id == cell.owner
        assert state.conflicts.get(cell, ()) == (tuple(last) if len(last) > 1 else ())
        assert (cell in state.unknown) == (len(last) == 1 and not told)
        assert state.writers.get(cell) == (last[0] if len(last) == 1 else None)
        assert state.get(cell.owner, cell.key) == (last[0] if len(last) == 1 and told else None)


def test_a_state_says_what_it_is() -> None:
    run = fl.simulate(SCENARIOS["trip"], seed=1)
    order = run.log.causality
    state = order.cuts().last.state

    assert repr(state) == "WorldState(8 cells of 5 owners)"
    assert state.of("airline") == {"free": 1, "trips": run.states["airline"]["trips"]}
    assert state == order.state_on(order.cuts().last)
    assert state != order.cuts().first.state
    assert "<script>" not in state._repr_html_()
    assert state.get("airline", "places", "never written") == "never written"
