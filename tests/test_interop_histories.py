"""Histories of every kind that servers write: who names whom, what is called what, and who acts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from flowlab.events import EventLog
from flowlab.interop import export_log, import_log


def payloads(value: Any) -> dict[str, Any]:
    encoding = base64.b64encode(b"json/plain").decode()
    data = base64.b64encode(json.dumps(value).encode()).decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": data}]}


def history(*events: tuple[str, dict[str, Any]], summaries: dict[int, str] | None = None) -> Any:
    records = []
    for number, (kind, attributes) in enumerate(events, 1):
        words = kind.lower().split("_")
        key = words[0] + "".join(word.capitalize() for word in words[1:]) + "EventAttributes"
        record: dict[str, Any] = {
            "eventId": str(number),
            "eventTime": f"2026-01-01T00:00:{number:02d}Z",
            "eventType": f"EVENT_TYPE_{kind}",
            key: attributes,
        }
        if summaries and number in summaries:
            record["userMetadata"] = {"summary": payloads(summaries[number])["payloads"][0]}
        records.append(record)
    return {"events": records}


def start(**more: Any) -> tuple[str, dict[str, Any]]:
    return ("WORKFLOW_EXECUTION_STARTED", {"workflowType": {"name": "Desk"}, **more})


def read(tmp_path: Path, document: Any, name: str = "h.json") -> EventLog:
    path = tmp_path / name
    path.write_text(json.dumps(document), encoding="utf-8")
    report = import_log(path)
    assert report.failed == []
    assert report.log is not None
    return report.log


def explicit(log: EventLog) -> list[tuple[Any, ...]]:
    query = "SELECT cause_sequence, sequence FROM edges WHERE kind <> 'assumed' ORDER BY ALL"
    return log.sql(query).rows()


def names(log: EventLog) -> list[str]:
    return [row[0] for row in log.sql("SELECT name FROM events ORDER BY sequence").rows()]


def test_a_failure_carried_from_another_history_names_no_event_of_this_one(tmp_path: Path) -> None:
    # A retried run begins with the failure of the run before it, whose ids were taken for this
    # run's own and reported as damage; a child's failure made its ids causes in the parent.
    call = {"activityFailureInfo": {"scheduledEventId": "5", "startedEventId": "6"}}
    document = history(
        start(continuedFailure=call, attempt=2),
        ("START_CHILD_WORKFLOW_EXECUTION_INITIATED", {"workflowId": "kid"}),
        ("CHILD_WORKFLOW_EXECUTION_STARTED", {"initiatedEventId": "2"}),
        ("WORKFLOW_TASK_SCHEDULED", {}),
        ("TIMER_STARTED", {"timerId": "1"}),
        ("TIMER_STARTED", {"timerId": "2"}),
        (
            "CHILD_WORKFLOW_EXECUTION_FAILED",
            {"initiatedEventId": "2", "startedEventId": "3", "failure": {"cause": call}},
        ),
    )
    log = read(tmp_path, document)

    assert log.anomalies.num_rows == 0
    assert explicit(log) == [(2, 3), (2, 7), (3, 7)]


def test_the_call_that_failed_a_workflow_is_among_its_causes(tmp_path: Path) -> None:
    below = {"activityFailureInfo": {"scheduledEventId": "1"}}
    call = {"cause": below, "activityFailureInfo": {"scheduledEventId": 2, "startedEventId": 3}}
    document = history(
        start(),
        ("ACTIVITY_TASK_SCHEDULED", {"activityType": {"name": "pay"}}),
        ("ACTIVITY_TASK_STARTED", {"scheduledEventId": "2"}),
        ("ACTIVITY_TASK_FAILED", {"scheduledEventId": "2", "startedEventId": "3"}),
        ("WORKFLOW_EXECUTION_FAILED", {"failure": {"message": "no", "cause": call}}),
    )
    assert explicit(read(tmp_path, document)) == [(2, 3), (2, 4), (2, 5), (3, 4), (3, 5)]


def test_ids_inside_somebody_s_data_are_no_references(tmp_path: Path) -> None:
    document = history(
        start(),
        ("TIMER_STARTED", {"timerId": "1", "memo": {"scheduledEventId": "99"}}),
        ("MARKER_RECORDED", {"details": {"startedEventId": 98}, "markerName": "m"}),
    )
    log = read(tmp_path, document)

    assert (log.anomalies.num_rows, explicit(log)) == (0, [])


def test_an_id_of_a_child_or_a_parent_is_never_the_workflow_s_own(tmp_path: Path) -> None:
    # A page of a history that begins with the start of a child was stored under the child's id.
    parent = {"parentWorkflowExecution": {"workflowId": "boss"}}
    cut = history(("START_CHILD_WORKFLOW_EXECUTION_INITIATED", {"workflowId": "kid"}))
    for document, expected in (
        (cut, "h"),
        ({**cut, "workflowExecution": {"workflowId": "own"}}, "own"),
        ({**cut, "workflowExecutionInfo": {"execution": {"workflowId": "own"}}}, "own"),
        (history(start(**parent)), "h"),
        ({**history(start(**parent, workflowId="own")), "workflowId": "other"}, "own"),
    ):
        log = read(tmp_path, document)
        assert log.sql("SELECT DISTINCT workflow_id FROM events").rows() == [(expected,)]


def test_a_list_of_histories_is_a_run_each(tmp_path: Path) -> None:
    one, two = history(start(workflowId="a")), history(start(workflowId="b"), ("X", {}))

    alone = read(tmp_path, [one])
    assert alone.sql("SELECT run_id, workflow_id FROM events").rows() == [("h", "a")]
    (path,) = export_log(alone, "temporal", tmp_path / "one")
    assert json.loads(path.read_bytes()) == [one]

    log = read(tmp_path, [one, two, one])
    runs = log.sql("SELECT run_id, count(*) FROM events GROUP BY 1 ORDER BY 1").rows()
    assert runs == [("h/a", 1), ("h/a (2)", 1), ("h/b", 2)]
    written = export_log(log, "temporal", tmp_path / "three")
    assert [json.loads(path.read_bytes()) for path in written] == [one, one, two]


def test_an_event_type_that_is_a_number_is_told_by_its_attributes(tmp_path: Path) -> None:
    document = history(start(), ("TIMER_STARTED", {"timerId": "1"}), ("TIMER_FIRED", {}))
    document["events"][1]["eventType"] = 17
    del document["events"][2]["eventType"]
    log = read(tmp_path, document)

    types = log.sql("SELECT event_type FROM events ORDER BY sequence").rows()
    assert types == [("WorkflowStarted",), ("TimerStarted",), ("TimerFired",)]


def test_a_whole_number_is_a_time_in_nanoseconds_however_small(tmp_path: Path) -> None:
    # A history on a virtual clock has small times, which were taken for seconds.
    document = history(start(), ("X", {}), ("X", {}))["events"]
    for record, time in zip(document, (5, "70", 1561674301723220900), strict=True):
        record["timestamp"] = time
        record["eventTime"] = None
    log = read(tmp_path, document)

    times = log.sql("SELECT time_ns FROM events ORDER BY sequence").rows()
    assert times == [(5,), (70,), (1561674301723220900,)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [
                ("TIMER_STARTED", {"timerId": "1"}),
                ("TIMER_FIRED", {"timerId": "1", "startedEventId": "2"}),
            ],
            ["Wait for payment", "Wait for payment"],
        ),
        (
            [
                ("NEXUS_OPERATION_SCHEDULED", {"operation": "charge"}),
                ("NEXUS_OPERATION_STARTED", {"scheduledEventId": "2"}),
                ("NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED", {"requestedEventId": "3"}),
            ],
            ["Wait for payment", "Wait for payment", "Wait for payment"],
        ),
        (
            [
                (
                    "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
                    {
                        "protocolInstanceId": "71a9",
                        "acceptedRequest": {"input": {"name": "approve", "args": payloads("yes")}},
                    },
                ),
                ("WORKFLOW_EXECUTION_UPDATE_COMPLETED", {"acceptedEventId": "2"}),
            ],
            ["Wait for payment", "Wait for payment"],
        ),
    ],
)
def test_what_goes_on_with_a_call_has_the_call_s_name(
    tmp_path: Path, events: list[tuple[str, dict[str, Any]]], expected: list[str]
) -> None:
    # A fired timer was called 7, a completed operation nothing, and an update by a random id.
    document = history(start(), *events, summaries={2: "Wait for payment"})
    assert names(read(tmp_path, document))[1:] == expected
    plain = {"1": "1", "charge": "charge"}
    first = names(read(tmp_path, history(start(), *events)))[1]
    assert first == plain.get(first, "approve")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"data": payloads({"activity_type": "greet", "attempt": 1})}, "greet"),
        ({"data": payloads({"ActivityType": "greet"})}, "greet"),
        ({"patch-data": payloads({"id": "new-flow", "deprecated": False})}, "new-flow"),
        ({"change-id": payloads("new-flow"), "version": payloads(3)}, "new-flow"),
        (base64.b64encode(b'"new-flow"\n1\n').decode(), "new-flow"),
        (base64.b64encode(b'{"activityType":"greet"}').decode(), "greet"),
        ({"data": payloads([1])}, "kept"),
        (None, "kept"),
    ],
)
def test_a_marker_is_called_what_it_marks(tmp_path: Path, details: Any, expected: str) -> None:
    document = history(start(), ("MARKER_RECORDED", {"markerName": "kept", "details": details}))

    assert names(read(tmp_path, document))[1] == expected


def test_what_an_update_was_given_and_gave_back_is_decoded(tmp_path: Path) -> None:
    request = {"input": {"name": "approve", "args": payloads("yes")}}
    document = history(
        start(),
        ("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", {"acceptedRequest": request}),
        (
            "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
            {"acceptedEventId": 2, "outcome": {"success": payloads({"n": 1})}},
        ),
        (
            "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
            {"acceptedEventId": 2, "outcome": {"failure": {"message": "late"}}},
        ),
    )
    events = list(read(tmp_path, document).sorted())

    assert events[1].data["input"] == "yes"
    assert events[2].data["result"] == {"n": 1}
    assert events[3].data["error"]["message"] == "late"


PREFIX = "# System context\nYou are one of many agents, which hand over to each other.\n "


def asked(text: str, *more: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**fields, "input": [{"role": "user", "content": text}, *more]}


def agents(tmp_path: Path, *calls: tuple[str, Any, str]) -> list[tuple[Any, ...]]:
    events, summaries = [start()], {}
    for kind, given, summary in calls:
        if summary:
            summaries[len(events) + 1] = summary
        attributes = {"activityType": {"name": kind}, "input": payloads(given)}
        events.append(("ACTIVITY_TASK_SCHEDULED", attributes))
        events.append(("ACTIVITY_TASK_STARTED", {"scheduledEventId": len(events)}))
    log = read(tmp_path, history(*events, summaries=summaries))
    return log.sql("SELECT agent_id, name FROM activities ORDER BY sequence").rows()


def test_agents_whose_instructions_begin_alike_have_lanes_of_their_own(tmp_path: Path) -> None:
    # A kit puts the same paragraph before the instructions of each agent, and a lane was named
    # by the first words: three agents shared one lane that said nothing about any of them.
    handed = {"type": "function_call_output", "output": "{'assistant': 'FAQ Agent'}"}
    rows = agents(
        tmp_path,
        ("model", asked("Hello", system_instructions=f"{PREFIX}You triage."), "Hello"),
        ("model", asked("Wifi?", handed, system_instructions=f"{PREFIX}You answer."), ""),
        ("model", asked("Seat 7", system_instructions=f"{PREFIX}You book seats."), ""),
        ("model", asked("Again", system_instructions=f"{PREFIX}You answer."), ""),
    )
    assert rows == [
        ("You triage.", "Hello"),
        ("FAQ Agent", "Wifi?"),
        ("You book seats.", "Seat 7"),
        ("FAQ Agent", "Again"),
    ]


def test_models_are_recognised_however_a_kit_spells_its_calls(tmp_path: Path) -> None:
    told = 'You plan.\n\nYou are an agent. Your internal name is "planner".'
    rows = agents(
        tmp_path,
        (
            "invoke_model",
            {
                "contents": [{"role": "user", "parts": [{"text": "A haiku"}]}],
                "config": {"systemInstruction": told},
            },
            "planner",
        ),
        (
            "invokeModel",
            {
                "options": {
                    "prompt": [
                        {"role": "system", "content": "You write haikus."},
                        {"role": "user", "content": [{"type": "text", "text": "Of recursion"}]},
                    ]
                }
            },
            "",
        ),
        ("agent__weather__model_request", {"city": "Lisbon"}, ""),
        ("get_weather", {"city": "Lisbon"}, "Weather in Lisbon"),
    )
    assert rows == [
        ("planner", "A haiku"),
        ("You write haikus.", "Of recursion"),
        ("weather", "model_request"),
        ("get_weather", "Weather in Lisbon"),
    ]


def test_tokens_are_counted_however_a_kit_spells_them(tmp_path: Path) -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 6, "totalTokenCount": 11}
    document = history(
        start(),
        ("ACTIVITY_TASK_SCHEDULED", {"activityType": {"name": "model"}}),
        ("ACTIVITY_TASK_STARTED", {"scheduledEventId": 2}),
        (
            "ACTIVITY_TASK_COMPLETED",
            {
                "scheduledEventId": 2,
                "startedEventId": 3,
                "result": payloads([{"usageMetadata": usage}]),
            },
        ),
    )
    assert read(tmp_path, document).sql("SELECT tokens FROM activities").item() == 11


def test_a_day_that_no_calendar_has_is_damage_and_not_another_day(tmp_path: Path) -> None:
    # The thirtieth of February became the second of March.
    document = history(start(), ("X", {}))
    document["events"][1]["eventTime"] = "2026-02-30T00:00:00Z"
    log = read(tmp_path, document)

    assert log.sql("SELECT kind, sequence FROM anomalies").rows() == [("time", 2)]
