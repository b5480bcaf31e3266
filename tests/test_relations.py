"""The relations say what happened: each case a small log with the rows it must give."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flowlab.errors import QueryError
from flowlab.events import (
    RELATION_NAMES,
    Cause,
    CauseKind,
    Event,
    EventLog,
    connect,
    run_query,
)
from flowlab.store import EventStore


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


# What undoes was listed under the workflow that asked, while activities are under who does them.
def test_a_compensation_is_by_the_agent_that_it_is_asked_of() -> None:
    found = log(
        ("w", "CompensationScheduled", {"name": "release", "payload": b'{"agent":"hotel"}'}),
        ("w", "CompensationScheduled", {"name": "refund", "agent_id": "boss"}),
    )
    rows = found.sql("SELECT name, agent_id FROM compensations ORDER BY sequence").rows()
    assert rows == [("release", "hotel"), ("refund", "boss")]


# Activities hand back their usage in the result; only what importers put beside it was counted.
def test_tokens_and_cost_are_found_in_the_result_too() -> None:
    usage = {"payload": b'{"result":{"text":"yes","usage":{"total_tokens":7,"cost":0.5}}}'}
    found = log(
        ("w", "ActivityScheduled", {"name": "review"}),
        ("w", "ActivityCompleted", {**usage, **after("w", 1)}),
    )
    assert found.sql("SELECT tokens, cost FROM activities").rows() == [(7, 0.5)]


MESSAGES = "SELECT name, sender, receiver, sent_ns, received_ns, status FROM messages ORDER BY ALL"


def test_a_message_is_delivered_dropped_duplicated_or_in_flight() -> None:
    to_b = {"payload": b'{"to":"b"}'}
    found = log(
        *(("@a", "MessageSent", {"name": f"m{n}", "agent_id": "a"}) for n in range(1, 6)),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@a", 1, CauseKind.MESSAGE)}),
        ("@world", "MessageDropped", {**to_b, **after("@a", 2, CauseKind.MESSAGE)}),
        ("@world", "MessageDuplicated", {**to_b, **after("@a", 3, CauseKind.MESSAGE)}),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@a", 3, CauseKind.MESSAGE)}),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@world", 2, CauseKind.MESSAGE)}),
        ("@b", "MarkerRecorded", {"agent_id": "b", **after("@a", 4)}),
        ("@world", "MessageDropped", after("@a", 5, CauseKind.MESSAGE)),
    )

    assert found.sql(MESSAGES).rows() == [
        ("m1", "a", "b", 10, 60, "delivered"),
        ("m2", "a", "b", 20, 70, "dropped"),
        ("m3", "a", "b", 30, 90, "delivered"),
        ("m3", "a", "b", 30, 100, "duplicated"),
        ("m4", "a", None, 40, None, "in_flight"),
        ("m5", "a", None, 50, 120, "dropped"),
    ]


# A duplicate was a row whose receiver was the world, and what it delivered was sent by the world.
@pytest.mark.parametrize("kind", [CauseKind.MESSAGE, CauseKind.FAULT])
def test_a_copy_has_the_fate_of_its_own_whatever_becomes_of_the_original(kind: int) -> None:
    found = log(
        *(("@a", "MessageSent", {"name": f"m{n}", "agent_id": "a"}) for n in range(1, 5)),
        *(("@world", "MessageDuplicated", after("@a", n, CauseKind.MESSAGE)) for n in range(1, 5)),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@world", 1, kind)}),
        ("@b", "MessageReceived", {"agent_id": "b", **after("@a", 2, CauseKind.MESSAGE)}),
        ("@world", "MessageDropped", {"payload": b'{"to":"b"}', **after("@world", 3, kind)}),
    )

    assert found.sql(MESSAGES).rows() == [
        ("m1", "a", "b", 10, 90, "duplicated"),
        ("m1", "a", None, 10, None, "in_flight"),
        ("m2", "a", "b", 20, 100, "delivered"),
        ("m2", "a", None, 20, None, "in_flight"),
        ("m3", "a", "b", 30, 110, "dropped"),
        ("m3", "a", None, 30, None, "in_flight"),
        ("m4", "a", None, 40, None, "in_flight"),
        ("m4", "a", None, 40, None, "in_flight"),
    ]


def test_a_call_and_its_answer_are_messages_where_agents_take_it_up() -> None:
    found = log(
        ("w", "ActivityScheduled", {"name": "pay", "agent_id": "desk"}),
        ("w", "CompensationScheduled", {"name": "refund", "agent_id": "desk"}),
        ("@bank", "MessageReceived", {"agent_id": "bank", **after("w", 1, CauseKind.MESSAGE)}),
        ("@world", "MessageDropped", {"payload": b'{"to":"bank"}', **after("w", 2, 1)}),
        ("@bank", "TransactionCommitted", {"name": "pay", "agent_id": "bank"}),
        (
            "w",
            "ActivityCompleted",
            {
                "agent_id": "desk",
                "causes": (Cause("w", 1, 0), Cause("@bank", 2, CauseKind.MESSAGE)),
            },
        ),
    )

    assert found.sql(MESSAGES).rows() == [
        ("pay", "bank", "desk", 50, 60, "delivered"),
        ("pay", "desk", "bank", 10, 30, "delivered"),
        ("refund", "desk", "bank", 20, 40, "dropped"),
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
        "SELECT name, agent_id, attempt, retries, scheduled_ns, started_ns, ended_ns, status, "
        "tokens, cost FROM activities ORDER BY sequence"
    )
    assert found.sql(query).rows() == [
        ("pay", "y", 2, 1, 10, 60, 70, "completed", 7, 0.5),
        ("ask", "x", 1, 0, 20, 80, None, "running", None, None),
        ("wait", "w", 1, 0, 30, None, None, "scheduled", None, None),
    ]


def called(agent: str, attempt: int = 1) -> dict[str, Any]:
    payload = f'{{"agent":"{agent}","attempt":{attempt},"input":null}}'
    return {"name": "pay", "agent_id": "desk", "payload": payload.encode()}


def test_a_simulated_call_starts_when_its_agent_takes_the_message() -> None:
    message = CauseKind.MESSAGE
    found = log(
        ("w", "ActivityScheduled", called("bank")),
        ("w", "ActivityScheduled", called("bank", attempt=2)),
        ("w", "ActivityScheduled", called("shop")),
        ("w", "ActivityScheduled", called("shop")),
        ("w", "ActivityScheduled", called("post")),
        ("@bank-2", "MessageReceived", {"agent_id": "bank-2", **after("w", 1, message)}),
        ("@bank-2", "MessageReceived", {"agent_id": "bank-2", **after("w", 2, message)}),
        ("w", "ActivityFailed", {"agent_id": "desk", **after("w", 1)}),
        ("w", "ActivityTimedOut", {"agent_id": "desk", **after("w", 3)}),
        ("@world", "MessageDuplicated", after("w", 4, message)),
        ("@shop", "MessageReceived", {"agent_id": "shop", **after("@world", 1, message)}),
        ("w", "ActivityCompleted", {"agent_id": "desk", **after("w", 2)}),
        ("@bank-2", "MessageReceived", {"agent_id": "bank-2", **after("w", 1, message)}),
    )

    query = (
        "SELECT agent_id, attempt, retries, started_ns, ended_ns, status, started_workflow_id, "
        "started_sequence FROM activities ORDER BY sequence"
    )
    assert found.sql(query).rows() == [
        ("bank-2", 1, 0, 60, 80, "failed", "@bank-2", 1),
        ("bank-2", 2, 1, 70, 120, "completed", "@bank-2", 2),
        ("shop", 1, 0, None, 90, "timed_out", None, None),
        ("shop", 1, 0, 110, None, "running", "@shop", 1),
        ("post", 1, 0, None, None, "scheduled", None, None),
    ]


# The last answer to a request was taken for the one that counted: a call that had been given
# up was "completed" once the late answer came, and a message that came twice made the call longer.
def test_an_answer_that_comes_late_changes_neither_a_call_nor_when_its_workflow_ended() -> None:
    found = log(
        ("w", "WorkflowStarted", {"name": "order"}),
        ("w", "ActivityScheduled", called("bank")),
        ("w", "ActivityScheduled", called("shop")),
        ("w", "ActivityTimedOut", after("w", 2)),
        ("w", "ActivityCompleted", after("w", 3)),
        ("w", "CompensationScheduled", called("shop")),
        ("w", "CompensationCompleted", after("w", 6)),
        ("w", "WorkflowFailed", {}),
        ("w", "ActivityCompleted", after("w", 2)),
        ("w", "ActivityFailed", after("w", 3)),
        ("w", "CompensationFailed", after("w", 6)),
    )

    calls = found.sql("SELECT status, ended_ns, ended_sequence FROM activities ORDER BY sequence")
    assert calls.rows() == [("timed_out", 40, 4), ("completed", 50, 5)]
    assert found.sql("SELECT status, ended_ns FROM compensations").rows() == [("completed", 70)]
    ended = found.sql("SELECT status, ended_ns, duration_ns, events FROM workflows").rows()
    assert ended == [("failed", 80, 70, 11)]


def test_retries_are_the_later_attempts_and_each_counts_once() -> None:
    def retries(*events: tuple[str, int]) -> int:
        made = [
            ("w", kind, {"payload": f'{{"attempt":{attempt}}}'.encode() if attempt else None})
            for kind, attempt in events
        ]
        return int(log(*made).sql("SELECT retries FROM workflows").item())

    asked, began = "ActivityScheduled", "ActivityStarted"
    assert retries((asked, 1), (asked, 2), (asked, 3)) == 2
    assert retries((asked, 1), (began, 1), (asked, 2), (began, 2), (asked, 3), (began, 3)) == 2
    assert retries((asked, 0), (began, 3), (asked, 0), (began, 1), (asked, 0), (began, 2)) == 3
    assert retries((asked, 0), ("CompensationScheduled", 2)) == 0


def test_the_edges_are_the_named_causes_and_the_lane() -> None:
    found = log(
        ("a", "MarkerRecorded", {"agent_id": "x"}),
        ("b", "MarkerRecorded", {"agent_id": "x"}),
        ("a", "MarkerRecorded", {"agent_id": "x", "follows_lane": False, **after("b", 1, 4)}),
    )

    query = "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence, kind FROM edges"
    assert sorted(found.sql(query).rows()) == [("a", 1, "b", 1, "lane"), ("b", 1, "a", 2, "timer")]


def shows_progress(_: int) -> object:
    """Ask in a process of its own whether DuckDB would write its progress on the output."""
    setting = "SELECT current_setting('enable_progress_bar') AS shown"
    return log(("trip", "WorkflowStarted", {})).sql(setting).item()


def test_a_worker_of_a_pool_writes_no_progress_on_the_output_of_its_command() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map_async(shows_progress, [0]).get(timeout=60) == [False]


# -- a query has the relations that it names ---------------------------------------------------


every_kind = pytest.mark.parametrize(
    "query",
    [
        *(f'SELECT count(*) FROM "{name}"' for name in RELATION_NAMES),
        "FROM RUNS",
        "WITH w AS (FROM workflows) SELECT w.status, category(e.event_type) FROM w, events e",
        "DESCRIBE states",
        "SELECT count(*) FROM events, (DESCRIBE)",
        "SELECT count(*) FROM events, (/* all */ DESC)",
        "SHOW TABLES",
        "SELECT count(*) FROM checkpoints",
        "SELECT count(*) FROM information_schema.tables",
        "SELECT view_name FROM duckdb_views() WHERE temporary ORDER BY ALL",
        "SELECT count(*) FROM query_table('ed' || 'ges')",
        "SELECT * FROM activitys",
        "SELECT nothing FROM edges",
    ],
)


def answer(ask: Callable[[str], pa.Table], query: str) -> Any:
    try:
        return ask(query).to_pylist()
    except QueryError as error:
        return str(error)


@every_kind
def test_a_log_answers_a_query_as_a_connection_that_has_every_relation(query: str) -> None:
    found = log(("w", "WorkflowStarted", {}), ("w", "WorkflowCompleted", after("w", 1)))
    assert answer(found.query, query) == answer(partial(run_query, connect(found)), query)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s"
    with EventStore(path) as store:
        store.append("w", [{"event_type": "WorkflowStarted"}, {"event_type": "WorkflowCompleted"}])
    return path


@every_kind
def test_a_snapshot_answers_a_query_as_one_that_has_every_relation(
    query: str, folder: Path
) -> None:
    with EventStore(folder, read_only=True) as one, EventStore(folder, read_only=True) as other:
        whole, fresh = other.snapshot(), one.snapshot()
        assert len(whole.query("SHOW TABLES")) > len(RELATION_NAMES)
        assert len(fresh.query("SELECT payload_json(payload) FROM events")) == 2
        assert answer(fresh.query, query) == answer(whole.query, query)
        assert answer(fresh.query, query) == answer(whole.query, query)
