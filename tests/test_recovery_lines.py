"""Recovery lines and Z-paths, against every cut of small patterns."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog
from flowlab.recovery.lines import Line, Message, Pattern, pattern_of


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    agents = "abcd"[: draw(st.integers(2, 4))]
    counts = {agent: draw(st.integers(0, 4)) for agent in agents}
    ends = st.sampled_from(agents).flatmap(
        lambda agent: st.tuples(st.just(agent), st.integers(0, counts[agent]))
    )
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=7))
    messages = tuple(Message(*a, *b) for a, b in pairs if a[0] != b[0])
    return Pattern(counts, messages)


def lines(pattern: Pattern) -> list[Line]:
    """Every global checkpoint, volatile states included."""
    ranges = [range(count + 2) for count in pattern.checkpoints.values()]
    return [dict(zip(pattern.checkpoints, places, strict=True)) for places in product(*ranges)]


def consistent(pattern: Pattern, line: Line) -> bool:
    """The definition, message by message."""
    return all(
        message.sent_in < line[message.sender] or message.received_in >= line[message.receiver]
        for message in pattern.messages
    )


@given(patterns())
def test_a_line_is_consistent_if_no_message_is_received_before_and_sent_after_it(
    pattern: Pattern,
) -> None:
    for line in lines(pattern):
        assert pattern.is_consistent(line) == consistent(pattern, line)


@given(patterns(), st.data())
def test_the_recovery_line_is_the_latest_of_all_consistent_ones(
    pattern: Pattern, data: st.DataObject
) -> None:
    failed = data.draw(st.sets(st.sampled_from(sorted(pattern.checkpoints))))
    most = {a: n + (a not in failed) for a, n in pattern.checkpoints.items()}
    below = [
        line
        for line in lines(pattern)
        if consistent(pattern, line) and all(line[agent] <= most[agent] for agent in most)
    ]
    latest = {agent: max(line[agent] for line in below) for agent in most}
    assert pattern.recovery_line(failed=failed) == latest
    lost = {agent: pattern.now[agent] - latest[agent] for agent in latest}
    assert pattern.rollback(failed) == lost


@given(patterns(), st.data())
def test_checkpoints_belong_together_exactly_if_no_z_path_joins_them(
    pattern: Pattern, data: st.DataObject
) -> None:
    agents = data.draw(st.sets(st.sampled_from(sorted(pattern.checkpoints)), min_size=1))
    part = {a: data.draw(st.integers(0, pattern.checkpoints[a] + 1)) for a in sorted(agents)}
    possible = any(
        consistent(pattern, line) and all(line[agent] == part[agent] for agent in part)
        for line in lines(pattern)
    )
    assert pattern.can_be_extended(part) == possible
    joined = any(pattern.has_z_path(a, b) for a in part.items() for b in part.items())
    assert joined == (not possible)


def test_alternating_messages_and_checkpoints_in_the_wrong_phase_fall_to_the_start() -> None:
    rounds = 6
    there = [Message("a", k, "b", k) for k in range(rounds)]
    back = [Message("b", k + 1, "a", k) for k in range(rounds - 1)]
    counts = {"a": rounds - 1, "b": rounds - 1}
    pattern = Pattern(counts, (*there, *back))
    assert pattern.recovery_line(failed=["a"]) == {"a": 0, "b": 0}
    assert pattern.rollback(["a"]) == {"a": rounds, "b": rounds}
    useless = [k for k in range(1, rounds) if pattern.is_useless("a", k)]
    assert useless == list(range(1, rounds))


def test_a_pattern_is_read_from_a_log() -> None:
    log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1 send>n | C: recv<n")
    pattern = pattern_of(log)
    assert pattern.checkpoints == {"A": 0, "B": 0, "C": 0}
    assert pattern.messages == (Message("A", 0, "B", 0), Message("B", 0, "C", 0))
    assert pattern.rollback(["A"]) == {"A": 1, "B": 1, "C": 1}


def test_what_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="'c': it is no agent"):
        Pattern({"a": 0, "b": 0}, (Message("a", 0, "c", 0),))
    with pytest.raises(InvalidArgumentError, match="its intervals are 0 to 0"):
        Pattern({"a": 0, "b": 0}, (Message("a", 1, "b", 0),))
    pattern = Pattern({"a": 1, "b": 0})
    with pytest.raises(InvalidArgumentError, match="expected 0 to 2"):
        pattern.is_consistent({"a": 3})
    with pytest.raises(InvalidArgumentError, match=r"no checkpoint of \['b'\]"):
        pattern.recovery_line(start={"a": 0})


def test_every_checkpoint_of_a_log_ends_an_interval() -> None:
    def event(agent: str, number: int, kind: str, *causes: Cause) -> Event:
        told = Event.of(kind, name=kind, causes=causes)
        place = {"workflow_id": f"@{agent}", "sequence": number}
        return told.replace(agent_id=agent, agent_sequence=number, **place)

    a = ["CheckpointTaken", "MessageSent", "CheckpointTaken"]
    rows = [event("A", number, kind) for number, kind in enumerate(a, 1)]
    rows.append(event("B", 1, "CheckpointTaken"))
    rows.append(event("B", 2, "CheckpointTaken"))
    rows.append(event("B", 3, "MessageReceived", Cause("@A", 2, int(CauseKind.MESSAGE))))
    pattern = pattern_of(EventLog.from_events(rows))
    assert pattern.checkpoints == {"A": 2, "B": 2}
    assert pattern.messages == (Message("A", 1, "B", 2),)
