"""Importing: what is asked for is taken, the rest is said, and one bad file stops nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, QueryError
from flowlab.interop import (
    export_log,
    import_log,
    load_mapping,
    propose_mapping,
    references,
    shiviz,
)
from flowlab.interop.records import attributes_of
from flowlab.interop.trace import Source
from flowlab.store import EventStore

HISTORY: list[dict[str, Any]] = [
    {
        "eventId": "1",
        "eventTime": "2026-01-01T00:00:00.000000001Z",
        "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
        "workflowExecutionStartedEventAttributes": {
            "workflowType": {"name": "Trip"},
            "workflowId": "trip-1",
            "parentInitiatedEventId": "5",
        },
    },
    {
        "eventId": "2",
        "eventTime": "2026-01-01T00:00:01Z",
        "eventType": "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
        "activityTaskScheduledEventAttributes": {"activityType": {"name": "book"}},
    },
    {
        "eventId": "3",
        "eventTime": "2026-01-01T00:00:00.5Z",
        "eventType": "ActivityTaskStarted",
        "activityTaskStartedEventAttributes": {"scheduledEventId": "2", "attempt": 3},
    },
    {
        "eventId": "4",
        "eventTime": 1767225602000000000,
        "eventType": "ActivityTaskFailed",
        "activityTaskFailedEventAttributes": {
            "scheduledEventId": 2,
            "startedEventId": 9,
            "failure": {"message": "sold out"},
        },
    },
]


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("shape", ["list", "events", "history", "newest first"])
def test_a_history_in_any_shape_comes_in_by_id_and_goes_out_equal(
    tmp_path: Path, shape: str
) -> None:
    document: Any = {
        "list": HISTORY,
        "events": {"events": HISTORY, "extra": 1},
        "history": {"history": {"events": HISTORY}, "workflowId": "other"},
        "newest first": {"events": HISTORY[::-1]},
    }[shape]
    log = import_log(write(tmp_path / "h.json", document)).log
    assert log is not None

    rows = log.sql("SELECT workflow_id, run_id, event_type, agent_id FROM events ORDER BY sequence")
    assert rows.rows() == [
        ("trip-1", "h", "WorkflowStarted", "Trip"),
        ("trip-1", "h", "ActivityScheduled", "Trip"),
        ("trip-1", "h", "ActivityStarted", "book"),
        ("trip-1", "h", "ActivityFailed", "book"),
    ]
    found = log.sql("SELECT cause_sequence, sequence, kind FROM edges ORDER BY 2").rows()
    assert found == [(1, 2, "assumed"), (2, 3, "fork"), (2, 4, "program")]
    assert log.sql("SELECT sequence, ref_sequence FROM anomalies").rows() == [(4, 9)]
    assert log.sql("SELECT status, attempt FROM activities").rows() == [("failed", 3)]
    assert log.sql("SELECT min(time_ns) FROM events").item() == 1767225600000000001
    (path,) = export_log(log, "temporal", tmp_path / "out")
    assert json.loads(path.read_bytes()) == document


def test_a_folder_goes_on_past_bad_files_and_says_what_it_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    write(folder / "a" / "good.json", {"events": HISTORY})
    write(folder / "b" / "good.json", {"events": HISTORY})
    write(folder / "empty.json", "")
    write(folder / "cut.json", json.dumps({"events": HISTORY})[:200])
    write(folder / "binary.json", bytes(range(256)))
    write(folder / "other.json", {"spans": []})
    write(folder / "notes.md", "hello")
    write(folder / "table.csv", "a,b\n1,2\n")
    write(folder / "plain.log", "nothing here\n")

    report = import_log(folder)

    assert [item.runs for item in report.imported] == [("a/good",), ("b/good",)]
    assert sorted(item.file for item in report.skipped) == ["notes.md", "table.csv"]
    assert sorted(item.file for item in report.failed) == [
        "binary.json",
        "cut.json",
        "empty.json",
        "other.json",
        "plain.log",
    ]
    only = import_log(folder, format="shiviz")
    assert [item.file for item in only.failed] == ["plain.log"]
    assert len(only.skipped) == 8
    assert import_log(tmp_path / "absent").failed[0].error.startswith("there is no such")
    with pytest.raises(InvalidArgumentError, match="temporal, shiviz"):
        import_log(folder, format="xes")


@pytest.mark.parametrize("payloads", ["hash", "drop"])
def test_hidden_payloads_leave_no_word_of_theirs_behind(tmp_path: Path, payloads: str) -> None:
    secret = [*HISTORY[:1], {**HISTORY[1], "userMetadata": {"summary": "SECRET"}}, *HISTORY[2:]]
    secret[3] = json.loads(json.dumps(secret[3]).replace("sold out", "SECRET"))
    path = write(tmp_path / "h.json", {"events": secret, "note": "SECRET"})
    with EventStore(tmp_path / "s") as store:
        import_log(path, payloads=payloads, store=store)
        log = store.log()

        assert "SECRET" not in str(log.table.to_pylist()) + str(log.runs[0].attributes)
        assert all(b"SECRET" not in file.read_bytes() for file in store.path.rglob("*.parquet"))
        with pytest.raises(InvalidArgumentError, match="hashed or dropped"):
            export_log(log, "temporal", tmp_path / "out")


def test_a_lane_expression_is_sql_over_the_event(tmp_path: Path) -> None:
    path = write(tmp_path / "h.json", HISTORY)
    log = import_log(path, lane="lower(event_type)").log
    assert log is not None
    assert (
        log.sql("SELECT agent_id FROM events ORDER BY sequence LIMIT 1").item() == "workflowstarted"
    )
    with pytest.raises(QueryError, match="no_such_column"):
        import_log(path, lane="no_such_column")


MAPPING = """
id = "span"
lane = "service"
name = "op"
time = "at"
parent = "up"
order = false
"""


def test_a_mapping_of_ten_lines_reads_json_lines_and_csv(tmp_path: Path) -> None:
    rows = [
        {"span": "a", "service": "api", "op": "get", "at": "2026-01-01T00:00:00Z", "up": ""},
        {"span": "b", "service": "db", "op": "select", "at": "2026-01-01T00:00:01Z", "up": "a"},
        {"span": "c", "service": "db", "op": "select", "at": "?", "up": "zz"},
    ]
    mapping = load_mapping(write(tmp_path / "m.toml", MAPPING))
    lines = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
    text = "\n".join(",".join(values) for values in [list(rows[0]), *(r.values() for r in rows)])
    table = write(tmp_path / "x.csv", text + "\n")

    for path in (lines, table):
        log = import_log(path, mapping=mapping).log
        assert log is not None
        assert log.sql("SELECT agent_id, name FROM events ORDER BY sequence").rows() == [
            ("api", "get"),
            ("db", "select"),
            ("db", "select"),
        ]
        assert log.sql("SELECT cause_sequence, sequence, kind FROM edges").rows() == [
            (1, 2, "fork")
        ]
        assert log.sql("SELECT kind FROM anomalies ORDER BY 1").rows() == [("cause",), ("time",)]
        assert 'id = "' in propose_mapping(path)
        assert "mapping" in import_log(path).failed[0].error
    with pytest.raises(InvalidArgumentError, match="colour"):
        load_mapping(write(tmp_path / "bad.toml", 'colour = "red"'))


DAMAGED = """\
a {"a": 1}
start
a {"a": 3, "b": 1}
gap
b {"b": 1}
sent
b {"b": 2, "a": 9}
never logged
b {"b": 2, "a": 1}
twice, and a falls
c {"a": 1}
no own entry
"""


def test_damaged_clocks_are_named_by_line_and_never_refused(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        report = import_log(write(tmp_path / "d.log", DAMAGED), store=store)

        assert report.failed == []
        found = store.sql("SELECT kind, detail FROM anomalies ORDER BY ALL").rows()
        assert [kind for kind, _ in found] == [
            "clock_decreases",
            "duplicate_tick",
            "gap",
            "never_logged",
            "no_own_entry",
        ]
        assert all("line " in detail for _, detail in found)
        assert store.read("/runs/d/workflows/@a").table.num_rows == 2


def test_a_trace_of_a_model_checker_and_a_pattern_of_one_s_own_are_read(tmp_path: Path) -> None:
    tlc = (
        'State 1: <Initial predicate>\n/\\ Host = 3\n/\\ Clock = "{\\"3\\": 1}"\n\n'
        "State 2: <Send line 3, col 5 to line 4 of module M>\n/\\ Host = 5\n"
        '/\\ Clock = "{\\"3\\": 1, \\"5\\": 1}"\n'
    )
    log = import_log(write(tmp_path / "t.log", tlc)).log
    assert log is not None
    assert log.sql("SELECT agent_id, name FROM events ORDER BY 1").rows() == [
        ("3", "Initial predicate"),
        ("5", "Send"),
    ]
    own = write(tmp_path / "o.log", '[x] go :: {"x": 1}\n[y] got :: {"x": 1, "y": 1}\n')
    pattern = r"^\[(?P<host>\w+)\] (?P<event>.*) :: (?P<clock>\{.*\})$"
    log = import_log(own, pattern=pattern).log
    assert log is not None
    assert log.sql("SELECT count(*) FROM edges WHERE kind = 'message'").item() == 1
    with pytest.raises(InvalidArgumentError, match="clock"):
        import_log(own, pattern="(?P<host>x)")


def test_several_executions_in_one_file_are_several_runs(tmp_path: Path) -> None:
    text = 'a {"a": 1}\nx\n=== second ===\na {"a": 1}\ny\n=== second ===\na {"a": 1}\nz\n'
    report = import_log(write(tmp_path / "e.log", text))

    assert report.imported[0].runs == ("e", "e/second", "e/second (2)")


lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12)
texts = lines.map(str.strip) | st.sampled_from(['a {"a": 1}', "=== x ===", "State 1: <x>", "{"])
hosts = lines.filter(lambda host: host.strip() and " {" not in host and host == host.strip())


@settings(max_examples=60)
@given(st.lists(st.tuples(hosts, texts, st.integers(0, 3)), min_size=1, max_size=12))
def test_a_shiviz_log_goes_out_and_comes_back_equal(steps: list[tuple[str, str, int]]) -> None:
    clocks: dict[str, dict[str, int]] = {}
    sent: list[dict[str, int]] = []
    given = [r"^(?<host>.*?) (?<clock>\{.*\})\n(?<event>.*)", "(?!)"]
    for host, text, pick in steps:
        clock = clocks.setdefault(host, {})
        for other, tick in (sent[-pick] if 0 < pick <= len(sent) else {}).items():
            clock[other] = max(tick, clock.get(other, 0))
        clock[host] = clock.get(host, 0) + 1
        sent.append(dict(clock))
        given += [f"{host} {json.dumps(clock)}", text]
    source = Source("x.log", "x")
    (trace,) = shiviz.decode("\n".join(given), source)
    (back,) = shiviz.decode(shiviz.encode(trace.log(), trace.info), source)

    assert trace.anomalies == []
    assert back.log().digest == trace.log().digest
    assert len(trace.events) == len(steps)


def test_references_to_other_histories_are_no_causes() -> None:
    assert dict(references.references_of(attributes_of(HISTORY[0]))) == {}
