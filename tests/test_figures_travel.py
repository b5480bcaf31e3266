"""Time travel: what is shown at a place is what a plain fold of the events says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.figures import CheckpointMark, Figure, time_travel
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.figures.text import text_width
from flowlab.figures.time_travel import draw_travel
from flowlab.figures.travel import UNTOLD, Travel, in_order, read_travel
from flowlab.figures.travel_words import shown, state_words
from flowlab.scenarios import SCENARIOS
from flowlab.workflow import states_of

SVG = "{http://www.w3.org/2000/svg}"


@cache
def world(name: str, seed: int, faults: str) -> EventLog:
    return fl.simulate(SCENARIOS[name], seed=seed, faults=faults or None).log


@cache
def travelled(name: str, seed: int, faults: str) -> Travel:
    return read_travel(world(name, seed, faults))


travels = st.builds(
    travelled,
    st.sampled_from(sorted(SCENARIOS)),
    st.integers(0, 1),
    st.sampled_from(["", "crashes"]),
)


def plain(state: Any) -> dict[str, Any]:
    """Return the fields of a workflow's state as JSON has them."""
    found = {}
    for name in state.__dataclass_fields__:
        value = getattr(state, name)
        if isinstance(value, frozenset):
            value = sorted(value)
        found[name] = list(value) if isinstance(value, tuple) else value
    return {k: dict(v) if hasattr(v, "items") else v for k, v in found.items()}


def folded(log: EventLog) -> Iterator[dict[tuple[str, str], str]]:
    """Fold a log in the plainest way: yield (owner, key) -> text after each event."""
    streams: dict[str, list[Event]] = {}
    held: dict[tuple[str, str], str] = {}
    beside = [event for event in log.events() if event.workflow_id.startswith("@")]
    for event in log.events():
        if not event.workflow_id.startswith("@"):
            streams.setdefault(event.workflow_id, []).append(event)
            history, agents = streams[event.workflow_id], log.runs[0].agents
            _, state = states_of(history, agents=agents, beside=beside)[-1]
            held[event.workflow_id, "state"] = state_words(type(state).__name__, plain(state))
        for cell in event.writes or ():
            told = json.loads(event.payload or b"{}")
            values = told.get("values") if cell.owner == event.agent_id else None
            if values is None:
                values = told.get("resources", {}).get(cell.owner)
            is_told = isinstance(values, dict) and cell.key in values
            held[cell.owner, cell.key] = shown(values[cell.key]) if is_told else UNTOLD
        yield dict(held)


@settings(max_examples=12)
@given(travels)
def test_the_state_at_every_place_is_that_of_a_plain_fold(travel: Travel) -> None:
    before: dict[tuple[str, str], str] = {}
    for row, wanted in enumerate(folded(travel.log)):
        found = {(cell.owner, cell.key): text for cell, text in travel.state(row).items()}
        assert found == wanted
        changed = {(cell.owner, cell.key) for cell in travel.changed(row)}
        assert changed >= {name for name in wanted if wanted[name] != before.get(name)}
        before = wanted


@settings(max_examples=12)
@given(travels, st.data())
def test_what_recovery_would_read_is_counted_as_by_hand(
    travel: Travel, data: st.DataObject
) -> None:
    log = travel.log
    ids = [(event.workflow_id, event.sequence) for event in travel.log]
    space, run = log.runs[0].namespace, log.runs[0].run_id
    marks = [
        CheckpointMark((space, run, stream), sequence, data.draw(st.integers(0, 9999)))
        for stream, sequence in data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=6))
    ]
    travel = read_travel(log, checkpoints=marks)
    # Where a checkpoint is taken is where its count changes: there, and somewhere.
    rows = {data.draw(st.integers(0, len(log) - 1)), *(row for row, _, _ in travel.checkpoints)}
    for row in rows:
        past = set(ids[: row + 1])
        loaded: dict[str, CheckpointMark] = {}
        for mark in marks:
            stream = mark.stream[2]
            if (stream, mark.at) in past and mark.at >= loaded.get(stream, mark).at:
                loaded[stream] = mark
        found = travel.reading(row)
        assert found.checkpoints == len(loaded)
        assert found.size_bytes == sum(mark.size_bytes for mark in loaded.values())
        assert found.replay == len(past)
        since = [1 for stream, s in past if stream not in loaded or s > loaded[stream].at]
        assert found.since == len(since)
        lanes = [travel.reading(row, lane) for lane in range(len(travel.lanes))]
        assert sum(one.since for one in lanes) == found.since


def test_checkpoints_that_the_log_tells_of_count_from_their_own_event_on() -> None:
    told = {"at": 2, "bytes": 100, "checkpoint": "c", "savepoint": True, "workflow_id": "w"}
    events = [Event.of("Signaled", workflow_id="w", sequence=n, time_ns=n) for n in (1, 2, 3)]
    taken = Event.of("CheckpointTaken", workflow_id="@world", sequence=1, time_ns=9, payload=told)
    travel = read_travel(EventLog.from_events([*events, taken]))
    ((row, lane, mark),) = travel.checkpoints
    assert (row, travel.lanes[lane].label, mark.at, mark.savepoint) == (3, "w", 2, True)
    assert travel.reading(2, lane).words == (
        "Recovery from here reads 3 events: no checkpoint yet."
    )
    assert travel.reading(3, lane).words == (
        "Recovery from here reads 1 checkpoint (100 B) and 1 event; replay reads 3 events."
    )


def test_a_checkpoint_before_a_truncated_beginning_counts_from_what_follows_it() -> None:
    log = EventLog.from_events(
        Event.of("Signaled", workflow_id="w", sequence=n, time_ns=n) for n in (7, 8, 9)
    )
    stream = ("default", "", "w")
    marks = [CheckpointMark(stream, at, 10 * at) for at in (6, 8, 12)]
    travel = read_travel(log, checkpoints=marks)
    assert [(row, mark.at) for row, _, mark in travel.checkpoints] == [(0, 6), (1, 8)]
    assert [travel.reading(row).since for row in range(3)] == [1, 0, 1]


def test_a_damaged_word_of_a_checkpoint_is_passed_over() -> None:
    wrong = [{"at": -1, "bytes": 1}, {"at": "2"}, {"at": 1, "bytes": None}, {}, [1], None]
    events = [Event.of("Signaled", workflow_id="w", sequence=1, time_ns=0)]
    events += [
        Event.of(
            "CheckpointTaken", workflow_id="@world", sequence=n, time_ns=n,
            payload={**told, "workflow_id": "w"} if isinstance(told, dict) else told,
        )
        for n, told in enumerate(wrong, 1)
    ]  # fmt: skip
    assert read_travel(EventLog.from_events(events)).checkpoints == ()


def test_what_a_store_says_of_its_checkpoints_is_drawn(tmp_path: Path) -> None:
    with fl.EventStore(tmp_path / "s") as store:
        for n in range(4):
            store.append("w", Event.of("WorkflowStarted" if n == 0 else "Signaled"))
            if n == 1:
                store.checkpoint("w", state=b"12345", savepoint=True)
        given = read_travel(store.log(), checkpoints=store.checkpoints("w"))
        told = read_travel(store.log())
    for travel in (given, told):
        ((_, lane, mark),) = travel.checkpoints
        assert (mark.at, mark.size_bytes, mark.savepoint) == (2, 5, True)
        reading = travel.reading(len(travel.log) - 1, lane)
        assert (reading.checkpoints, reading.since, reading.replay) == (1, 2, 4)


@fl.aggregate
class Account:
    initial: Any = None

    def decide(state: Any, command: Any) -> Any: ...  # noqa: N805

    def evolve(state: Any, event: Event) -> Any:  # noqa: N805
        if event.name == "broken":
            message = "no such event"
            raise KeyError(message)
        balance = (state or {}).get("balance", 0) + int(event.name)
        return {"balance": balance, "last": int(event.name)} if balance else {"balance": 0}


def account(*amounts: object) -> EventLog:
    return EventLog.from_events(
        Event.of("Signaled", workflow_id="Account-1", sequence=n, time_ns=n, name=str(amount))
        for n, amount in enumerate(amounts, 1)
    )


@settings(max_examples=15)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_the_cells_of_an_aggregate_are_the_fields_of_its_state(amounts: list[int]) -> None:
    kind = Account  # a class that is an aggregate by its decorator
    log = EventLog.from_events(
        event.replace(workflow_id=kind.stream("1")) for event in account(*amounts)
    )
    travel = read_travel(log, aggregates=[kind])
    assert {lane.kind for lane in travel.lanes} == {"aggregate"}
    state: Any = None
    for row, event in enumerate(travel.log):
        state = kind.evolve(state, event)
        found = {cell.key: text for cell, text in travel.state(row).items()}
        assert found == {key: str(value) for key, value in state.items()}


def test_a_fold_that_fails_is_named_with_its_event() -> None:
    kind = Account
    log = EventLog.from_events(
        event.replace(workflow_id=kind.stream("1")) for event in account(1, "broken")
    )
    with pytest.raises(InvalidArgumentError, match="fails at .*/2: KeyError"):
        read_travel(log, aggregates=[kind])


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_a_stream_keeps_its_order_whatever_its_clock_says(times: list[int]) -> None:
    log = EventLog.from_events(
        Event.of("Signaled", workflow_id=flow, sequence=n, time_ns=time)
        for n, time in enumerate(times, 1)
        for flow in ("a", "b")
    )
    for flow in ("a", "b"):
        found = [event.sequence for event in in_order(log) if event.workflow_id == flow]
        assert found == list(range(1, len(times) + 1))


@settings(max_examples=10)
@given(travels, st.floats(0, 1), st.integers(480, 1400))
def test_any_place_of_any_world_is_one_picture_of_safe_parts_whose_words_keep_apart(
    travel: Travel, share: float, width: int
) -> None:
    at = 1 + int(share * (len(travel.log) - 1))
    figure = draw_travel(travel, at=at, title="one place", width=width)
    assert figure.svg == draw_travel(travel, at=at, title="one place", width=width).svg
    boxes = []
    for part in ET.fromstring(figure.svg).iter():
        assert part.tag.removeprefix(SVG) in ELEMENTS
        assert set(part.attrib) <= ATTRIBUTES
        if part.tag == SVG + "text":
            size, x, y = (float(part.attrib[name]) for name in ("font-size", "x", "y"))
            end = x + text_width(part.text or "", size)
            assert end <= width + 4, part.text
            boxes.append((x, y - size * 0.7, end, y, part.text))
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3]
            assert apart or other[1] >= one[3], (one, other)
    assert figure.text.splitlines()[-1].startswith("Recovery from here reads")


def shown_in_docs() -> Figure:
    """The picture of the page about it: three trips, of which one fails."""
    log = world("trip", 1, "")
    stream = (log.runs[0].namespace, log.runs[0].run_id)
    marks = [
        CheckpointMark((*stream, "trip-1"), 6, 512),
        CheckpointMark((*stream, "trip-2"), 8, 640),
        CheckpointMark((*stream, "@hotel"), 4, 90, savepoint=True),
        CheckpointMark((*stream, "trip-3"), 11, 700),
    ]
    return time_travel(log, at=40, checkpoints=marks, title="Three trips, after event 40")


def test_the_picture_of_the_docs_is_what_the_code_draws() -> None:
    page = Path(__file__).parent.parent / "docs" / "time-travel.svg"
    assert page.read_text(encoding="utf-8") == shown_in_docs().svg


def test_a_picture_says_what_it_leaves_out() -> None:
    runs = [world("trip", seed, "") for seed in range(5)]
    figure = time_travel(EventLog.concat(runs))
    assert "showing 24 of 40 lanes" in figure.svg
    assert "showing 30 of 55 cells" in figure.svg.replace("\u202f", " ")
    assert time_travel(EventLog.from_events([])).text.endswith("An empty log has no state.")


@pytest.mark.parametrize("at", [0, 71, -1])
def test_a_place_that_is_none_is_refused(at: int) -> None:
    with pytest.raises(InvalidArgumentError, match="a place from 1 to 70"):
        time_travel(world("trip", 1, ""), at=at)


def test_what_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="expected .namespace, run_id, workflow_id"):
        CheckpointMark("w", 1, 1)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="at is -1"):
        CheckpointMark(("default", "", "w"), -1, 1)
    with pytest.raises(InvalidArgumentError, match="expected what store.checkpoints"):
        read_travel(world("trip", 1, ""), checkpoints=["trip-1"])  # type: ignore[list-item]
    elsewhere = CheckpointMark(("default", "", "elsewhere"), 1, 1)
    assert read_travel(world("trip", 1, ""), checkpoints=[elsewhere]).checkpoints == ()


def test_changes_stand_in_order_of_their_rows() -> None:
    travel = read_travel(world("supply", 2, "crashes"))
    assert (np.diff(travel.changes.row) >= 0).all()
    assert travel.changes.cell.max() < len(travel.cells)


def test_the_host_of_a_workflow_has_another_label_than_the_workflow() -> None:
    ids = ["trip-1", "@hotel", "@trip-1"]
    log = EventLog.from_events(
        [
            Event(event_type="Noted", workflow_id=name, sequence=1, time_ns=n)
            for n, name in enumerate(ids)
        ]
    )

    assert [lane.label for lane in read_travel(log).lanes] == ["trip-1", "hotel", "host of trip-1"]
