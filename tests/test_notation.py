"""The notation: a diagram in words gives the log that it says, and a log the text that gives it."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo
from flowlab.store import EventStore

names = st.sampled_from(["a", "b", "m1", "two words", "", "=b=", '"', "#", "\n", "é🙂"]) | st.text(
    max_size=4
)
agents = st.lists(names.filter(bool), min_size=1, max_size=3, unique=True)
types = st.sampled_from(["MarkerRecorded", "MessageSent", "MessageReceived", "AgentCrashed", "T"])


@st.composite
def diagrams(draw: st.DrawFn) -> EventLog:
    """Draw a log that the notation can say, built from events alone."""
    events: list[Event] = []
    runs = []
    for run_id in draw(st.lists(st.text(max_size=4), max_size=2, unique=True)):
        lanes = draw(agents)
        runs.append(RunInfo(run_id=run_id, clock="virtual", agents=tuple(lanes)))
        events += run_of(draw, run_id, lanes)
    return EventLog.from_events(events, runs=runs)


def run_of(draw: st.DrawFn, run_id: str, lanes: list[str]) -> list[Event]:
    last: dict[str, Event] = {}
    events: list[Event] = []

    def add(lane: str, kind: str, name: str, causes: list[Event], why: int, **more: Any) -> Event:
        follows = "step_id" in more or draw(st.booleans())
        before = [*causes, *([last[lane]] if follows and lane in last else [])]
        depth = max((cause.time_ns for cause in before), default=0) + 1
        timed = draw(st.none() | st.integers(-(2**62), 2**62))
        sequence = last[lane].sequence + 1 if lane in last else 1
        last[lane] = Event(
            run_id=run_id,
            workflow_id=f"@{lane}",
            sequence=sequence,
            agent_id=lane,
            agent_sequence=sequence,
            event_type=kind,
            name=name,
            time_ns=depth if timed is None or "step_id" in more else timed,
            follows_lane=follows,
            causes=tuple(Cause(c.workflow_id, c.sequence, why) for c in causes),
            **more,
        )
        events.append(last[lane])
        return last[lane]

    for step in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 4)) == 0:
            barrier = f"{draw(names)}{step}"
            meet = [lane for lane in lanes if draw(st.booleans())]
            came = [add(lane, "BarrierArrived", barrier, [], 0, step_id=barrier) for lane in meet]
            for event in came:
                add(event.agent_id, "BarrierReleased", barrier, came, 3, step_id=barrier)
        else:
            senders = [event for event in events if event.step_id is None]
            causes = [event for event in senders if draw(st.integers(0, 3)) == 0]
            add(draw(st.sampled_from(lanes)), draw(types), draw(names), causes, CauseKind.MESSAGE)
    return events


def by_depth(log: EventLog) -> EventLog:
    """Return a log without positions: a store gives them, not the notation."""
    return EventLog.from_events([e.replace(position=0) for e in log], runs=log.runs)


@given(diagrams())
def test_the_text_of_a_log_gives_the_log_again(log: EventLog) -> None:
    text = log.to_text()
    again = EventLog.from_text(text)
    assert by_depth(again) == log
    assert again.digest == log.digest
    assert EventLog.from_text(again.to_text()) == again
    assert again.to_text() == text


def order_of(log: EventLog) -> set[Any]:
    """Return all pairs (before, after) of a log as (run, lane, place in the lane)."""
    graph = nx.DiGraph()
    place: dict[Any, Any] = {}
    ordered = sorted(log, key=lambda e: (e.run_id, e.agent_id, e.agent_sequence))
    for (run, lane), own in itertools.groupby(ordered, key=lambda e: (e.run_id, e.agent_id)):
        previous = None
        for number, event in enumerate(own):
            place[event.id] = (run, lane, number)
            graph.add_node(event.id)
            if previous is not None and event.follows_lane:
                graph.add_edge(previous.id, event.id)
            previous = event
    for event in ordered:
        for cause in event.causes:
            before = event.id._replace(workflow_id=cause.workflow_id, sequence=cause.sequence)
            graph.add_edge(before, event.id)
    closure = nx.transitive_closure_dag(graph)
    return set(place.values()) | {(place[a], place[b]) for a, b in closure.edges}


@given(logs())
def test_a_sketch_of_any_log_keeps_its_lanes_and_its_causal_order(log: EventLog) -> None:
    namespaces = sorted({event.namespace for event in log}) or ["default"]
    part = log.filter(namespace=namespaces[0])
    sketch = EventLog.from_text(part.to_text(exact=False), namespace=namespaces[0])
    assert order_of(sketch) == order_of(part)
    types_of = [
        sorted((e.run_id, e.agent_id, e.agent_sequence, e.event_type, e.name) for e in one)
        for one in (sketch, part)
    ]
    assert types_of[0] == types_of[1]


def test_two_lines_are_a_diagram() -> None:
    log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")
    assert log == EventLog.from_text("# a comment\nA: a1 send>m a2  # another\n\nB: recv<m b1\r\n")
    assert [repr(event) for event in log] == [
        "Event('@A'/1 MarkerRecorded 'a1')",
        "Event('@A'/2 MessageSent 'send')",
        "Event('@A'/3 MarkerRecorded 'a2')",
        "Event('@B'/1 MessageReceived 'recv')",
        "Event('@B'/2 MarkerRecorded 'b1')",
    ]
    received = log.events()[3]
    assert received.causes == (Cause("@A", 2, CauseKind.MESSAGE),)
    assert [event.time_ns for event in log] == [1, 2, 3, 3, 4]
    assert log.runs == (RunInfo(clock="virtual", agents=("A", "B")),)
    assert log.sql("SELECT sender, receiver, status FROM messages").row(0) == (
        "A",
        "B",
        "delivered",
    )


def test_a_store_takes_what_the_notation_makes(tmp_path: Any) -> None:
    text = "A: =b= >x !crash !restart\nB: =b= <x\n~C: c1 c2:ActivityStarted<x"
    with EventStore(tmp_path / "s") as store:
        EventLog.from_text(text, run_id="r").save(store)
        assert store.log().to_text() == f"=== r ===\n{text}"


def test_a_barrier_is_an_arrival_and_a_release_on_each_lane() -> None:
    log = EventLog.from_text("A: a =b= c | B: =b=")
    released = [event for event in log if event.event_type == "BarrierReleased"]
    assert [event.agent_id for event in released] == ["A", "B"]
    joined = (Cause("@A", 2, CauseKind.JOIN), Cause("@B", 1, CauseKind.JOIN))
    assert {event.causes for event in released} == {joined}
    assert {event.step_id for event in released} == {"b"}
    assert [event.time_ns for event in released] == [3, 3]


def test_a_lane_may_come_again_and_a_broadcast_has_many_receivers() -> None:
    log = EventLog.from_text("A: >m\nB: <m\nC: <m\nA: later")
    assert log.to_text() == "A: >m later\nB: <m\nC: <m"
    assert log.relation("messages").height == 2


def test_times_are_given_with_units_and_may_contradict_the_order() -> None:
    log = EventLog.from_text("A: a@1.5ms b@-3 c | B: d@2s")
    times = {event.name: event.time_ns for event in log}
    assert times == {"a": 1_500_000, "b": -3, "c": -2, "d": 2_000_000_000}


def test_an_agent_whose_calls_overlap_has_a_lane_without_an_order() -> None:
    log = EventLog.from_text("~A: a b | B: c ~d e")
    follows = {event.name: event.follows_lane for event in log}
    assert follows == {"a": False, "b": False, "c": True, "d": False, "e": True}
    assert log.to_text() == "~A: a b\nB: c ~d e"


REFUSED = {
    "A: a1 | B: recv<m": ("line 1, column 17: nobody sends message 'm'", "^"),
    "A: >m\nB: >m": ("line 2, column 5: message 'm' is sent already", "^"),
    "A: x<m y>n | B: p<n q>m": (
        "before itself: A: x<m -> A: y>n -> B: p<n -> B: q>m -> A: x<m",
        "^^^",
    ),
    "A: x<m>m": ("before itself: A: x<m>m -> A: x<m>m", "^^^^^"),
    "A: =b= x =b=": ("A is at barrier 'b' already", "^^^"),
    "A: =b x": ("a barrier is =name=", "^"),
    "A: x@5parsecs": ("a time is a number of nanoseconds", "^^^^^^^^"),
    "A: x@0.5": ("a whole number of nanoseconds", "^^^"),
    "A: x@9223372036854775808": ("of 64 bits", "^^^^^^^^^^^^^^^^^^^"),
    'A: "x': ("a quoted name ends", "^^"),
    'A: "\\ud800"': ("valid Unicode", "^^^^^^^^"),
    "foo bar": ("a lane begins with its agent and a colon", "^^^"),
    '"": x': ("a lane's agent has a name", "^^"),
    "A: a,b": ("parted by spaces", "^"),
    "A: >": ("a message follows >", "^"),
    "A: x<m<n": ("one list", "^"),
    "A: !boom": ("crash or restart", "^^^^"),
    "A: :T": ("an event has a name", "^"),
    "=== r ===\nA: a\n=== r ===\nA: b": ("there is a run 'r' already", "^^^^^^^^^"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_shown_where_it_stands(text: str) -> None:
    message, caret = REFUSED[text]
    with pytest.raises(InvalidArgumentError) as raised:
        EventLog.from_text(text)
    assert message in str(raised.value)
    assert str(raised.value).splitlines()[-1].strip() == caret


@given(st.text(alphabet='AB: |\n<>@=~!#,"m15', max_size=30))
@example("A: a\x0bb")
def test_any_text_is_a_log_or_is_refused_with_a_caret(text: str) -> None:
    try:
        log = EventLog.from_text(text)
    except InvalidArgumentError as error:
        assert str(error).endswith("^")  # noqa: PT017 - most texts are refused, and some are not
    else:
        assert EventLog.from_text(log.to_text()) == log


def test_a_log_that_holds_more_is_refused_by_field_and_can_be_sketched() -> None:
    log = EventLog.from_events(
        [Event.of("ActivityCompleted", workflow_id="w", sequence=1, agent_id="A", payload=1)]
    )
    with pytest.raises(InvalidArgumentError, match="workflow_id.*payload"):
        log.to_text()
    assert log.to_text(exact=False) == 'A: "":ActivityCompleted'
    bare = EventLog.from_events([Event(workflow_id="w", event_type="", time_ns=1, name="x")])
    with pytest.raises(InvalidArgumentError, match="(?s)cannot be said.*exact=False"):
        bare.to_text()
    assert bare.to_text(exact=False) == '"(no agent)": x'
    known = EventLog.from_text("A: a")
    named = EventLog(known.table, (RunInfo(scenario="trip", agents=("A",)),))
    with pytest.raises(InvalidArgumentError, match="metadata"):
        named.to_text()
