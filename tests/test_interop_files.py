"""Folders as they are: links, odd names and bad files; tables by mapping; what must not leak."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flowlab.cli import main
from flowlab.errors import InvalidArgumentError
from flowlab.interop import Mapping, export_log, import_log, load_mapping, propose_mapping
from flowlab.store import EventStore

START = {
    "eventId": "1",
    "eventTime": "2026-01-01T00:00:00Z",
    "eventType": "WorkflowExecutionStarted",
    "workflowExecutionStartedEventAttributes": {"workflowType": {"name": "T"}, "workflowId": "w"},
}
TIMER = {
    "eventId": "2",
    "eventTime": "2026-01-01T00:00:01Z",
    "eventType": "TimerStarted",
    "timerStartedEventAttributes": {"timerId": "7"},
}
HISTORY = {"events": [START, TIMER]}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_history_is_read_in_any_encoding_of_json(tmp_path: Path, encoding: str) -> None:
    # A byte order mark made a history a file "of no format that is known".
    path = write(tmp_path / "h.json", json.dumps(HISTORY, indent=1).replace("\n", "\r\n"))
    path.write_bytes(path.read_bytes().decode().encode(encoding))
    report = import_log(path)

    assert (report.failed, report.events) == ([], 2)


def test_links_are_not_followed_in_circles_and_nothing_goes_missing_in_silence(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "f"
    write(folder / "h.json", HISTORY)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone.json").symlink_to("nowhere.json")
    (folder / "self.json").symlink_to("self.json")
    (folder / "gone.txt").symlink_to("nowhere.txt")
    os.mkfifo(folder / "pipe.json")

    report = import_log(folder)

    assert [item.file for item in report.imported] == ["h.json"]
    assert {item.file for item in report.skipped} == {"loop", "gone.txt", "pipe.json"}
    assert {item.file for item in report.failed} == {"gone.json", "self.json"}
    assert all("cannot be read" in item.error for item in report.failed)


def test_a_folder_that_may_not_be_listed_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "f" / "shut" / "h.json", HISTORY)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (failed,) = import_log(tmp_path / "f").failed

    assert (failed.file, failed.error) == ("shut", "the folder cannot be read: Permission denied")


def test_a_file_of_two_gigabytes_costs_nothing_but_its_name(tmp_path: Path) -> None:
    with (tmp_path / "big.json").open("wb") as stream:
        stream.truncate(2 << 30)
    (failed,) = import_log(tmp_path).failed

    assert "MAX_IMPORT_FILE_BYTES" in failed.error


def test_odd_names_of_files_are_runs_that_can_be_read_back(tmp_path: Path) -> None:
    names = ["a b%2F#?", "é😀", "UP", "a.b.c", "-rf", "q'uote\"", "new\nline"]
    for name in names:
        suffix = ".JSON" if name == "UP" else ".json"
        write(tmp_path / "f" / f"{name}{suffix}", HISTORY)
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/f/\xff.json"))).write_text(json.dumps(HISTORY))
    with EventStore(tmp_path / "s") as store:
        report = import_log(tmp_path / "f", store=store)

        assert report.failed == []
        assert {run for item in report.imported for run in item.runs} == {*names, "?"}
        rows = store.sql("SELECT run_id, count(*) FROM events GROUP BY 1").rows()
        assert set(rows) == {(name, 2) for name in (*names, "?")}
        assert store.verify().ok


@pytest.mark.parametrize(
    "flow", ["a/b", "%2F", ".", "..", "@world", "events", "\u0000\u202e\t", "😀", "metadata"]
)
def test_ids_of_any_kind_come_in_and_go_out(tmp_path: Path, flow: str) -> None:
    start = json.loads(json.dumps(START))
    start["workflowExecutionStartedEventAttributes"]["workflowId"] = flow
    path = write(tmp_path / "h.json", {"events": [start, TIMER]})
    with EventStore(tmp_path / "s") as store:
        assert import_log(path, store=store).failed == []
        store.seal()
        assert store.verify().ok
        (written,) = export_log(store.log(), "temporal", tmp_path / "out")
        assert json.loads(written.read_bytes()) == json.loads(path.read_bytes())
        assert store.sql("SELECT DISTINCT workflow_id FROM events").item() == flow


def test_one_odd_record_is_damage_and_not_the_end_of_the_file(tmp_path: Path) -> None:
    document = {"events": [START, TIMER, "torn", {"eventId": "9"}, {**TIMER, "eventId": "3"}]}
    path = write(tmp_path / "h.json", document)
    report = import_log(path)
    assert report.log is not None

    assert report.failed == []
    damage = report.log.sql("SELECT sequence FROM anomalies WHERE kind = 'record'").rows()
    assert damage == [(3,), (4,)]
    (written,) = export_log(report.log, "temporal", tmp_path / "out")
    assert json.loads(written.read_bytes()) == document
    mostly = write(tmp_path / "m.json", {"events": [START, 1, 2, 3]})
    assert len(import_log(mostly).failed) == 1


def test_half_a_pair_of_surrogates_goes_out_as_it_came(tmp_path: Path) -> None:
    # JSON may escape half a pair; writing it as UTF-8 ended the export with a traceback.
    path = write(tmp_path / "h.json", {"events": [{**START, "note": "\ud800"}, TIMER]})
    log = import_log(path).log
    assert log is not None

    for format, name in (("temporal", "o.json"), ("jsonl", "o.jsonl"), ("csv", "o.csv")):  # noqa: A001
        (written,) = export_log(log, format, tmp_path / name)
        assert "\\ud800" in written.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "o.json").read_bytes()) == json.loads(path.read_bytes())


def test_a_file_named_twice_is_read_once_and_an_import_twice_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "h.json", HISTORY)
    report = import_log([path, path])
    assert (len(report.imported), len(report.skipped), report.failed) == (1, 1, [])
    with EventStore(tmp_path / "s") as store:
        import_log(path, store=store)
        (failed,) = import_log(path, store=store).failed
        assert "imported before" in failed.error
        assert import_log(path, store=store, namespace="again").failed == []


def test_one_file_that_is_named_with_its_format_is_taken_whatever_its_suffix(
    tmp_path: Path,
) -> None:
    log = write(tmp_path / "host-Log.txt", 'a {"a": 1}\nx\n')
    assert import_log(log, format="shiviz").events == 1
    assert len(import_log([log, log.with_name("b")], format="shiviz").skipped) == 1


def test_executions_of_one_name_never_stop_the_others(tmp_path: Path) -> None:
    # Names that were made unique met a name that looked so already, and the import ended.
    text = '=== x (2) ===\na {"a": 1}\nt\n=== x ===\na {"a": 1}\nt\n=== x ===\na {"a": 1}\nt\n'
    report = import_log(write(tmp_path / "e.log", text))

    assert report.imported[0].runs == ("e/x (2)", "e/x", "e/x (3)")


def test_lanes_of_one_s_own_keep_the_order(tmp_path: Path) -> None:
    # The host's own order stood in its lane alone, and was lost with it.
    path = write(tmp_path / "x.log", 'a {"a": 1}\nx\na {"a": 2}\ny\nb {"b": 1, "a": 2}\nz\n')
    plain, mine = import_log(path).log, import_log(path, lane="name").log
    assert plain is not None
    assert mine is not None
    query = (
        "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence FROM edges ORDER BY ALL"
    )

    assert mine.sql(query).rows() == plain.sql(query).rows()
    assert mine.runs[0].agents == ("x", "y", "z")


def secrets() -> dict[str, Any]:
    text = "SECRET"
    failure = {"message": text, "applicationFailureInfo": {"type": text}}
    accepted = {"input": {"name": "up", "args": [text]}}
    events = [
        (
            "WORKFLOW_EXECUTION_STARTED",
            {"workflowType": {"name": "T"}, "input": text, "memo": {"fields": {"m": text}}},
        ),
        ("ACTIVITY_TASK_SCHEDULED", {"activityType": {"name": "a"}, "input": [text]}),
        ("ACTIVITY_TASK_FAILED", {"scheduledEventId": 2, "failure": failure}),
        ("MARKER_RECORDED", {"markerName": "m", "details": {"activity_type": text}}),
        ("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", {"acceptedRequest": accepted}),
        ("TIMER_STARTED", {"timerId": "1"}),
        ("TIMER_FIRED", {"startedEventId": 99, "note": text}),
    ]
    records = []
    for number, (kind, attributes) in enumerate(events, 1):
        words = kind.lower().split("_")
        key = words[0] + "".join(word.capitalize() for word in words[1:]) + "EventAttributes"
        records.append({"eventId": number, "eventType": f"EVENT_TYPE_{kind}", key: attributes})
        records[-1]["userMetadata"] = {"summary": text, "details": text}
    return {"events": [*records, text], "note": text}


@pytest.mark.parametrize("payloads", ["hash", "drop"])
def test_no_file_of_a_store_holds_a_word_of_hidden_payloads(tmp_path: Path, payloads: str) -> None:
    write(tmp_path / "f" / "h.json", secrets())
    write(tmp_path / "f" / "l.log", '=== one ===\na {"a": 1}\nSECRET\na {"a": 2\nSECRET\n')
    rows = [{"id": 1, "op": "SECRET", "up": None}, {"id": 2, "op": "SECRET", "up": "SECRET"}]
    write(tmp_path / "f" / "t.jsonl", "\n".join(map(json.dumps, rows)))
    mapping = Mapping(id="id", name="op", parent="up")
    with EventStore(tmp_path / "s") as store:
        report = import_log(tmp_path / "f", payloads=payloads, mapping=mapping, store=store)
        assert (report.failed, len(report.imported)) == ([], 3)
        for _ in range(2):
            for path in tmp_path.joinpath("s").rglob("*"):
                if path.is_file():
                    assert b"SECRET" not in path.read_bytes(), path
                if path.suffix == ".parquet":
                    assert "SECRET" not in str(pq.read_table(path).to_pylist()), path
            log = store.log()
            assert "SECRET" not in str((log.table.to_pylist(), log.anomalies.to_pylist()))
            assert "SECRET" not in str([run.attributes for run in log.runs])
            store.seal()


SPANS = {
    "resource": "shop",
    "data": [
        {
            "traceID": "t",
            "spans": [
                {"spanID": "s1", "op": "get", "ctx": {"service": "api", "a.b": 5}, "ref": {}},
                {"spanID": "s2", "op": "sel", "ctx": {"service": "db"}, "ref": {"parent": "s1"}},
            ],
        },
        {"traceID": "u", "spans": [{"spanID": "s3", "op": "put", "ctx": {}, "ref": None}]},
    ],
}


def test_an_unknown_document_gets_a_mapping_that_works_once_it_is_edited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "spans.json", json.dumps(SPANS, indent=1))
    assert main(["import", str(path), "--store", str(tmp_path / "s")]) == 1
    shown = capsys.readouterr().err
    proposed = propose_mapping(path)
    assert proposed in shown
    assert 'rows = "data.spans"' in proposed
    assert 'lane = "ctx.service"' in proposed
    edited = proposed.replace('# parent = ""', 'parent = "ref.parent"')
    mapping = write(tmp_path / "m.toml", edited)

    code = main(["import", str(path), "--store", str(tmp_path / "s"), "--mapping", str(mapping)])
    assert code == 0
    with EventStore(tmp_path / "s") as store:
        rows = store.sql("SELECT agent_id, name FROM events ORDER BY sequence").rows()
        assert rows == [("api", "get"), ("db", "sel"), ("spans", "put")]
        edges = store.sql("SELECT cause_sequence, sequence FROM edges WHERE kind = 'fork'").rows()
        assert edges == [(1, 2)]


def test_a_mapping_reads_documents_beside_histories(tmp_path: Path) -> None:
    write(tmp_path / "f" / "h.json", HISTORY)
    write(tmp_path / "f" / "spans.json", SPANS)
    mapping = Mapping(rows="data.spans", name="op", lane="ctx.a.b")
    report = import_log(tmp_path / "f", mapping=mapping)

    assert [(item.file, item.events) for item in report.imported] == [
        ("h.json", 2),
        ("spans.json", 3),
    ]
    (failed,) = import_log(tmp_path / "f" / "spans.json", mapping=Mapping(rows="no")).failed
    assert "'no'" in failed.error


def test_lines_of_json_end_only_where_lines_end(tmp_path: Path) -> None:
    # U+2028 and U+0085 may stand in a JSON text, and cut its line in two.
    row = {"op": "a\u2028b\u0085c"}
    path = write(tmp_path / "x.jsonl", json.dumps(row, ensure_ascii=False) + "\r\n\r\n")
    report = import_log(path, mapping=Mapping(name="op"))

    assert (report.failed, report.events) == ([], 1)


@pytest.mark.parametrize(
    ("text", "what"),
    [("a,b\n1,2,3\n", "line 2"), ('a\n"x\n', "CSV"), ("", "empty"), ("a,b\n", "no records")],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, text: str, what: str
) -> None:
    (failed,) = import_log(write(tmp_path / "x.csv", text), mapping=Mapping(name="a")).failed
    assert what in failed.error


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id = 5", "id is 5"),
        ('order = "yes"', "order is"),
        ('time_unit = "weeks"', "weeks"),
        ("[1]", "a mapping has"),
        ("id = ", "neither"),
    ],
)
def test_a_mapping_is_checked_at_the_door(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InvalidArgumentError, match=what):
        load_mapping(write(tmp_path / "m.toml", text))
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        load_mapping(tmp_path / "absent.toml")
