"""The space-time diagram's laws: same bytes, a mark for each event, nothing unsafe, no overlap."""

from __future__ import annotations

from inspect import signature
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab import Cause, Event, EventLog
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events.vocabulary import EVENT_CATEGORIES
from flowlab.figures import space_time
from flowlab.figures.arrows import arrows
from flowlab.figures.flight import Step, flight_chart
from flowlab.figures.glyphs import GLYPHS
from flowlab.figures.labels import Box, place_labels
from flowlab.figures.layout import lay_out
from flowlab.figures.scene import Scene, glyph_of, read_scene
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.figures.window import choose_window
from flowlab.studies.causality_workload import traffic

MS = 1_000_000
Ref = tuple[str, int]


class Story:
    """Writes a log event by event, counting sequences and ticks."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._sequence: dict[str, int] = {}

    def add(
        self, at_ms: int, kind: str, agent: str, name: str = "", *causes: Ref, **more: Any
    ) -> Ref:
        stream = more.pop("stream", "trip")
        self._sequence[stream] = self._sequence.get(stream, 0) + 1
        self.events.append(
            Event.of(
                kind,
                workflow_id=stream,
                sequence=self._sequence[stream],
                agent_id=agent,
                agent_sequence=len(self.events) + 1,
                name=name,
                time_ns=at_ms * MS,
                causes=tuple(
                    Cause(*cause, kind=1 if kind.startswith("Message") else 0) for cause in causes
                ),
                follows_lane=False,
                **more,
            )
        )
        return stream, self._sequence[stream]

    @property
    def log(self) -> EventLog:
        return EventLog.from_events(self.events)


def saga() -> EventLog:
    """A booking that is retried, crashes, meets at a barrier, passes a pivot and is undone."""
    story = Story()
    add = story.add
    start = add(0, "WorkflowStarted", "boss", "Trip")
    flight = add(5, "ActivityScheduled", "boss", "book_flight", start, step_id="flight")
    first = add(15, "ActivityStarted", "flights", "book_flight", flight, payload={"attempt": 1})
    again = add(40, "ActivityStarted", "flights", "book_flight", flight, payload={"attempt": 2})
    booked = add(70, "ActivityCompleted", "flights", "book_flight", again)
    assert first < again
    timer = add(72, "TimerStarted", "boss", "cool-down", booked)
    add(100, "TimerFired", "boss", "cool-down", timer)
    add(105, "Signaled", "boss", "approved")
    child = add(106, "ChildWorkflowInitiated", "boss", "Visa", booked)
    add(120, "ChildWorkflowCompleted", "boss", "Visa", child)
    came = [
        add(at, "BarrierArrived", who, "ready", stream=f"@{who}", step_id="b")
        for at, who in ((130, "flights"), (150, "cars"))
    ]
    free = add(160, "BarrierReleased", "boss", "ready", *came, step_id="b")
    held = add(165, "LockClaimed", "cars", "seat", free, stream="@cars")
    stashed = add(168, "LockStashed", "flights", "seat", free, stream="@flights")
    gone = add(180, "LockReleased", "cars", "seat", held, stream="@cars")
    got = add(182, "LockClaimed", "flights", "seat", gone, stashed, stream="@flights")
    add(195, "LockReleased", "flights", "seat", got, stream="@flights")
    offer = add(200, "MessageSent", "cars", "offer", stream="@cars")
    add(215, "MessageReceived", "flights", "offer", offer, stream="@flights")
    lost = add(220, "MessageSent", "cars", "lost", stream="@cars")
    add(225, "MessageDropped", "network", "lost", lost, stream="@world")
    twice = add(228, "MessageSent", "cars", "twice", stream="@cars")
    add(230, "MessageDuplicated", "network", "twice", twice, stream="@world")
    add(232, "MessageSent", "cars", "never", stream="@cars")
    rent = add(240, "ActivityScheduled", "boss", "rent_car", free)
    add(250, "ActivityStarted", "cars", "rent_car", rent)
    add(260, "AgentCrashed", "cars", "power", stream="@cars")
    add(300, "AgentRestarted", "cars", "", stream="@cars")
    retried = add(310, "ActivityStarted", "cars", "rent_car", rent, payload={"attempt": 2})
    failed = add(330, "ActivityFailed", "cars", "rent_car", retried)
    add(335, "PivotReached", "boss", "charge", failed)
    undo = add(340, "CompensationScheduled", "boss", "cancel_flight", failed, step_id="flight")
    add(370, "CompensationFailed", "flights", "cancel_flight", undo, step_id="flight")
    add(380, "CheckpointTaken", "flights", "ck", stream="@flights")
    add(390, "WorkflowFailed", "boss", "Trip", payload={"error": {"message": "no cars"}})
    return story.log


def titles(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter() if element.tag.endswith("}title")]


def texts(svg: str) -> set[str]:
    root = ET.fromstring(svg)
    return {element.text or "" for element in root.iter() if element.tag.endswith("}text")}


def scene_of(log: EventLog) -> Scene:
    return read_scene(choose_window(log, axis="auto", lanes=None, detail="activities", limit=2000))


def test_the_legend_names_what_occurs_and_nothing_else() -> None:
    legend = texts(space_time(saga()).svg)
    expected = {
        "working",
        "waiting",
        "attempt that was tried again",
        "number of attempts",
        "compensation",
        "timer",
        "child workflow or operation",
        "holds a lock",
        "agent down",
        "barrier: all who took part go on",
        "agent crashed",
        "agent restarted",
        "pivot: no way back",
        "failed",
        "checkpoint",
        "sent",
        "received",
        "message dropped",
        "message duplicated",
        "message never received",
        "signal",
        "undoes",
        "asks for work",
    }
    assert expected <= legend
    assert not {"canceled", "timed out", "log truncated", "marker", "damage in the log"} & legend


def test_waiting_attempts_and_work_are_parts_of_one_bar() -> None:
    scene = scene_of(saga())
    layout = lay_out(scene, left=200, right=1100, top=0, names=150)
    parts = {p.bar.label: [s.kind for s in p.segments] for p in layout.bars}

    assert parts["book_flight"] == ["waiting", "attempt", "work"]
    assert parts["rent_car"] == ["waiting", "attempt", "waiting", "work"]
    assert parts["ready"] == ["waiting"]


def test_a_crash_interrupts_its_lane_until_the_restart() -> None:
    scene = scene_of(saga())
    (gap,) = scene.gaps
    assert gap.restart is not None
    assert scene.lanes[gap.lane].label == "cars"
    assert [scene.at[gap.crash], scene.at[gap.restart]] == [260 * MS, 300 * MS]


def test_a_barrier_reaches_over_those_who_took_part() -> None:
    scene = scene_of(saga())
    (barrier,) = scene.barriers
    assert [scene.lanes[lane].label for lane in barrier.lanes] == ["flights", "cars"]


def test_a_compensation_points_back_to_the_step_that_it_undoes() -> None:
    scene = scene_of(saga())
    (back,) = scene.backs
    assert scene.bars[back.bar].label == "cancel_flight"
    assert scene.window.events[back.row].event_type == "ActivityCompleted"
    assert scene.window.events[back.row].name == "book_flight"


# A message that came twice was answered twice, and the bar went on after its workflow had ended.
def test_a_compensation_ends_when_it_has_held_whatever_comes_late() -> None:
    asked, done = Cause("w", 1), Cause("w", 2)
    told = [
        ("CompensationScheduled", ()),
        ("CompensationCompleted", (asked,)),
        ("WorkflowFailed", (done,)),
        ("CompensationCompleted", (asked,)),
    ]
    events = [
        Event(
            workflow_id="w",
            sequence=n,
            agent_id="w",
            agent_sequence=n,
            event_type=event_type,
            name="cancel",
            time_ns=10 * n,
            causes=causes,
        )
        for n, (event_type, causes) in enumerate(told, 1)
    ]
    (bar,) = scene_of(EventLog.from_events(events)).bars
    assert (bar.label, bar.ended) == ("cancel", 1)


def test_a_diagram_has_the_help_of_the_picture() -> None:
    log = saga()
    assert log.diagram.__doc__ == space_time.__doc__
    assert "axis" in signature(log.diagram).parameters


def test_only_the_message_that_nobody_answered_is_in_flight() -> None:
    scene = scene_of(saga())
    assert [scene.window.events[row].name for row in scene.in_flight] == ["never"]


@pytest.mark.parametrize("event_type", sorted(EVENT_CATEGORIES))
def test_every_event_type_has_a_mark_that_says_its_name(event_type: str) -> None:
    story = Story()
    story.add(1, "Signaled", "someone", "first")
    story.add(2, event_type, "someone", "second")
    svg = space_time(story.log, detail="all", axis="order").svg

    assert glyph_of(event_type) in GLYPHS
    assert any("second" in title for title in titles(svg))


def test_parallel_calls_of_one_lane_never_share_a_place() -> None:
    story = Story()
    for number in range(12):
        asked = story.add(number, "ActivityScheduled", "boss", f"call {number}")
        began = story.add(number + 5, "ActivityStarted", "worker", f"call {number}", asked)
        story.add(40 + 7 * number, "ActivityCompleted", "worker", f"call {number}", began)
    layout = lay_out(scene_of(story.log), left=200, right=1100, top=0, names=150)
    boxes = [Box(p.x1, p.y - p.height / 2, p.x2, p.y + p.height / 2) for p in layout.bars]

    assert len({p.track for p in layout.bars}) == 12
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def placed(log: EventLog) -> tuple[list[Box], list[Box]]:
    """Return the boxes of a log's labels, and of the bars and signs that they must keep off."""
    scene = scene_of(log)
    layout = lay_out(scene, left=200, right=1100, top=0, names=150)
    labels = place_labels(scene, layout, arrows(scene, layout))
    bars = [Box(p.x1, p.y - p.height / 2, p.x2, p.y + p.height / 2) for p in layout.bars]
    signs = [Box(x - 1, y - 1, x + 1, y + 1) for x, y in layout.anchors.values()]
    for label in labels:
        lane = layout.lanes[label.lane]
        assert lane.top <= label.box.y1
        assert label.box.y2 <= lane.bottom
        assert label.box.x2 <= 1100 + 18
    outside = [label.box for label in labels if label.bar is None]
    assert not [(a, b) for a in outside for b in bars + signs if a.overlaps(b)]
    return [label.box for label in labels], bars


def test_no_label_covers_another_or_a_mark() -> None:
    labels, _ = placed(saga())
    assert len(labels) > 15
    assert not [pair for pair in combinations(labels, 2) if pair[0].overlaps(pair[1])]


IDS = st.text(max_size=8) | st.sampled_from(["<script>alert(1)</script>", "]]>", "\x00\x1f", "😀"])


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    """Logs of any events with any names, times, lanes and causes, cycles among them."""
    size = draw(st.integers(0, 25))
    lanes = draw(st.lists(IDS | st.just("@world"), min_size=1, max_size=4))
    told = {"waited_ns": 0, "agents": lanes, "to": lanes[0], "attempt": 2}
    said = {"attempt": 3, "error": {"message": "<&>"}}
    kinds = st.sampled_from([*sorted(EVENT_CATEGORIES), "SomethingNew"])
    events = []
    for place in range(1, size + 1):
        causes = draw(st.lists(st.integers(1, size), max_size=2, unique=True))
        events.append(
            Event.of(
                draw(kinds),
                workflow_id="w",
                sequence=place,
                agent_id=draw(st.sampled_from(lanes)),
                agent_sequence=place,
                name=draw(IDS),
                time_ns=draw(st.integers(-(2**62), 2**62) | st.integers(0, 50)),
                follows_lane=draw(st.booleans()),
                causes=tuple(Cause("w", cause, draw(st.integers(0, 7))) for cause in causes),
                step_id=draw(st.none() | st.sampled_from(["a", "b"])),
                payload=draw(st.sampled_from([None, said, told, [1], {"agents": 1, "to": 2}])),
            )
        )
    return EventLog.from_events(events)


@settings(max_examples=60)
@given(logs(), st.sampled_from(["auto", "time", "order", "depth"]))
def test_any_log_gives_one_well_formed_picture_of_safe_parts(log: EventLog, axis: str) -> None:
    figure = space_time(log, axis=axis)
    root = ET.fromstring(figure.svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    names = {name for element in root.iter() for name in element.attrib} | {"xmlns"}
    values = [value for element in root.iter() for value in element.attrib.values()]

    assert tags <= ELEMENTS
    assert names <= ATTRIBUTES
    assert not [value for value in values if "url(" in value or "script" in value]
    assert "nan" not in figure.svg.replace("nanoseconds", "")
    assert space_time(log, axis=axis).svg == figure.svg


@settings(max_examples=30)
@given(logs())
def test_labels_of_any_log_keep_apart(log: EventLog) -> None:
    if len(log):
        labels, _ = placed(log)
        assert not [pair for pair in combinations(labels, 2) if pair[0].overlaps(pair[1])]


def test_an_empty_log_draws_an_empty_picture_that_says_so() -> None:
    figure = space_time(EventLog.from_events([]))
    assert "no events" in texts(figure.svg)
    assert "showing 0 of 0 events" in figure.text


def test_a_run_that_is_not_there_is_named_as_missing() -> None:
    with pytest.raises(NotFoundError, match="no such events"):
        space_time(saga(), run_id="no such run")


@pytest.mark.parametrize("wrong", [{"axis": "x"}, {"detail": "x"}, {"limit": 0}, {"width": 10}])
def test_a_wrong_argument_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected"):
        space_time(saga(), **wrong)  # type: ignore[arg-type]


def test_a_long_name_and_a_large_payload_do_not_swell_the_picture() -> None:
    story = Story()
    story.add(1, "Signaled", "a" * 10_000, "b" * 10_000, payload={"summary": "c" * 5_000_000})
    story.add(2, "Signaled", "<script>", "d")
    figure = space_time(story.log)

    assert len(figure.svg) < 20_000
    assert "<script" not in figure.svg


def test_each_run_has_a_panel_and_an_axis_of_its_own_and_the_rest_is_counted() -> None:
    events = [
        Event.of("Signaled", run_id=f"run {run:02}", workflow_id="w", sequence=1 + n,
                 agent_id="a", agent_sequence=n, time_ns=run * 10**17 + n)
        for run in range(20)
        for n in range(2)
    ]  # fmt: skip
    figure = space_time(EventLog.from_events(events))

    assert "12 of 20 runs" in figure.text
    assert {"run 00", "run 11"} <= texts(figure.svg)
    assert "run 12" not in texts(figure.svg)


def test_damage_is_drawn_where_it_is() -> None:
    log = saga()
    row = {"namespace": "default", "run_id": "", "workflow_id": "trip", "sequence": 1}
    row |= {"kind": "missing_cause", "detail": "leads nowhere", "source": "x"}
    damaged = EventLog(
        log.table, log.runs, log.anomalies.from_pylist([row], schema=log.anomalies.schema)
    )
    svg = space_time(damaged).svg

    assert "damage in the log" in texts(svg)
    assert any("leads nowhere" in title for title in titles(svg))


def test_the_picture_in_characters_shows_waiting_work_failure_and_absence() -> None:
    lines = space_time(saga()).text.splitlines()
    cars = next(line for line in lines if line.startswith("cars"))
    assert {"░", "█", "x", "X", "_", "R"} <= set(cars)
    assert lines[-1].startswith("key: ")


def test_calls_in_flight_keep_their_peaks_however_many_steps_there_are() -> None:
    steps = [Step(n, n % 7 == 0, 50 if n == 7777 else 1) for n in range(10_000)]
    svg = flight_chart(steps, title="many")
    ET.fromstring(svg)
    assert "at most 51 at once" in svg
    assert len(svg) < 60_000


def test_the_picture_survives_a_file(tmp_path: Path) -> None:
    figure = space_time(saga())
    path = figure.save(tmp_path / "saga.svg")
    assert path.read_text(encoding="utf-8") == figure.svg
    assert figure._repr_html_().count("<svg") == 1


def test_a_picture_of_few_lanes_among_many_is_drawn_in_time() -> None:
    """Each event shown once walked back through all the hidden ones: minutes, for 20 000 events."""
    log = traffic(20_000, agents=100)

    figure = log.diagram(limit=2_000)

    assert "showing 2 000 of 20 000 events" in figure.text.replace("\u202f", " ")
