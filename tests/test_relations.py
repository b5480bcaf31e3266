"""The relations say what happened: each case a small log with the rows it must give."""

from __future__ import annotations

from typing import Any

from flowlab.events import Cause, CauseKind, Event, EventLog


def log(*events: tuple[str, str, dict[str, Any]]) -> EventLog:
    """Make a log of (stream, event type, further fields); times are 10, 20, ... in row order."""
    heads: dict[str, int] = {}
    made = []
    for number, (stream, event_type, fields) in enumerate(events, 1):
        heads[stream] = heads.get(stream, 0) + 1
        made.append(
            Event(
                workflow_id=stream,
                sequence=heads[stream],
                agent_id=fields.pop("agent_id", stream),
                agent_sequence=number,
                event_type=event_type,
                time_ns=10 * number,
                **fields,
            )
        )
    return EventLog.from_events(made)


def after(stream: str, sequence: int, kind: int = CauseKind.PROGRAM) -> dict[str, Any]:
    return {"causes": (Cause(stream, sequence, kind),)}


# A stream goes on across generations: one that had continued as new stayed so for ever, and its
# run counted as finished while it worked.
def test_a_workflow_that_continued_as_new_is_open_until_its_last_generation_ends() -> None:
    first = ("w", "WorkflowStarted", {"name": "poll"})
    again = ("w", "WorkflowContinuedAsNew", {})
    second = ("w", "WorkflowStarted", {"name": "poll again", "generation": 1})
    end = ("w", "WorkflowFailed", {"generation": 1})

    def told(*events: tuple[str, str, dict[str, Any]]) -> list[Any]:
        found = log(*((stream, kind, dict(fields)) for stream, kind, fields in events))
        query = "SELECT w.status, w.name, w.generation, r.outcome FROM workflows w, runs r"
        return found.sql(query).rows()

    assert told(first) == [("open", "poll", 0, "open")]
    assert told(first, again) == [("continued_as_new", "poll", 0, "completed")]
    assert told(first, again, second) == [("open", "poll", 1, "open")]
    assert told(first, again, second, end) == [("failed", "poll", 1, "failed")]


# The later of two ends was chosen by its name, so a compensation that failed, was tried again and
# held counted as failed; and one stream's end was taken for another's of the same sequence.
def test_a_compensation_has_the_status_of_its_last_end_in_its_own_stream() -> None:
    found = log(
        ("a", "CompensationScheduled", {"name": "cancel_flight", "step_id": "flight"}),
        ("b", "CompensationScheduled", {"name": "cancel_hotel"}),
        ("a", "CompensationFailed", after("a", 1)),
        ("a", "CompensationCompleted", after("a", 1)),
        ("b", "CompensationCompleted", after("a", 1)),
    )

    rows = found.sql(
        "SELECT workflow_id, name, step_id, status, ended_ns FROM compensations"
    ).rows()
    assert sorted(rows) == [
        ("a", "cancel_flight", "flight", "completed", 40),
        ("b", "cancel_hotel", None, "pending", None),
    ]


def test_a_message_is_delivered_dropped_duplicated_or_in_flight() -> None:
    found = log(
        *(("@a", "MessageSent", {"name": f"m{n}", "agent_id": "a"}) for n in range(1, 5)),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@a", 1, CauseKind.MESSAGE)}),
        ("@world", "MessageDropped", after("@a", 2, CauseKind.MESSAGE)),
        ("@world", "MessageDuplicated", after("@a", 3, CauseKind.MESSAGE)),
        ("@b", "MarkerRecorded", {"agent_id": "b", **after("@a", 4)}),
    )

    query = "SELECT name, sender, receiver, sent_ns, received_ns, status FROM messages ORDER BY ALL"
    assert found.sql(query).rows() == [
        ("m1", "a", "b", 10, 50, "delivered"),
        ("m2", "a", "@world", 20, 60, "dropped"),
        ("m3", "a", "@world", 30, 70, "duplicated"),
        ("m4", "a", None, 40, None, "in_flight"),
    ]


def test_a_call_is_one_row_from_its_schedule_to_its_last_end() -> None:
    usage = {"payload": b'{"usage":{"total_tokens":7,"cost":0.5}}'}
    found = log(
        ("w", "ActivityScheduled", {"name": "pay"}),
        ("w", "ActivityScheduled", {"name": "ask"}),
        ("w", "ActivityScheduled", {"name": "wait"}),
        ("w", "ActivityStarted", {"agent_id": "x", **after("w", 1)}),
        ("w", "ActivityFailed", {"agent_id": "x", **after("w", 1)}),
        ("w", "ActivityStarted", {"agent_id": "y", **after("w", 1)}),
        ("w", "ActivityCompleted", {"agent_id": "y", **usage, **after("w", 6)}),
        ("w", "ActivityStarted", {"agent_id": "x", **after("w", 2)}),
    )

    query = (
        "SELECT name, agent_id, attempt, scheduled_ns, started_ns, ended_ns, status, tokens, cost "
        "FROM activities ORDER BY sequence"
    )
    assert found.sql(query).rows() == [
        ("pay", "y", 2, 10, 60, 70, "completed", 7, 0.5),
        ("ask", "x", 1, 20, 80, None, "running", None, None),
        ("wait", "w", 1, 30, None, None, "scheduled", None, None),
    ]


def test_the_edges_are_the_named_causes_and_the_lane() -> None:
    found = log(
        ("a", "MarkerRecorded", {"agent_id": "x"}),
        ("b", "MarkerRecorded", {"agent_id": "x"}),
        ("a", "MarkerRecorded", {"agent_id": "x", "follows_lane": False, **after("b", 1, 4)}),
    )

    query = "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence, kind FROM edges"
    assert sorted(found.sql(query).rows()) == [("a", 1, "b", 1, "lane"), ("b", 1, "a", 2, "timer")]
