"""The verb diff: what differs between two runs, and exit codes that say whether anything does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowlab.cli import main
from flowlab.events import EventLog
from flowlab.interop import export_log
from flowlab.store import EventStore

TEXT = """
=== one ===
A: >a >b | B: <a work | C: <b
=== same ===
A: >a@5 >b@6 | C: <b@7 | B: <a@9 work@12
=== other ===
A: >a >b | B: <a | C: <b work
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    with EventStore(tmp_path / "s") as made:
        EventLog.from_text(TEXT).save(made)
    return str(tmp_path / "s")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["diff", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_two_runs_of_a_store_are_compared_and_the_exit_code_says_whether_they_differ(
    capsys: pytest.CaptureFixture[str], store: str
) -> None:
    code, out, _ = run(capsys, "--store", store, "--run", "one", "--run", "same")
    assert (code, out) == (0, "TraceDifference(none in 5 events)\n")
    code, out, _ = run(capsys, "--store", store, "--run", "one", "--run", "other")
    assert code == 1
    assert out.splitlines()[1:] == [
        "they part at: B MarkerRecorded work | C MarkerRecorded work",
        "only in a: B MarkerRecorded work",
        "only in b: C MarkerRecorded work",
    ]


def test_two_paths_are_compared_and_json_has_all_that_differs(
    capsys: pytest.CaptureFixture[str], store: str, tmp_path: Path
) -> None:
    log = EventLog.from_text(TEXT)
    for name in ("one", "other"):
        export_log(log, "shiviz", tmp_path / f"{name}.log", run_id=name)
    files = [str(tmp_path / f"{name}.log") for name in ("one", "other")]
    code, out, _ = run(capsys, *files, "--json")
    found = json.loads(out)
    assert (code, found["equal"]) == (1, False)
    assert [event["agent_id"] for event in (*found["only_a"], *found["only_b"])] == ["B", "C"]
    code, out, _ = run(capsys, store, store, "--run", "other", "--json")
    assert (code, json.loads(out)["equal"]) == (0, True)
    code, _, _ = run(capsys, *files, "--content", "event_type")
    assert code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "two paths"),
        (["--store", "S", "--run", "one"], "name two runs"),
        (["--store", "S", "--run", "one", "--run", "none"], "there is no run 'none'"),
        (["S", "S"], "3 runs"),
        (["--store", "S", "--run", "one", "--run", "same", "--content", "when"], "no content"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], store: str, words: list[str], message: str
) -> None:
    code, _, err = run(capsys, *(store if word == "S" else word for word in words))
    assert code == 2
    assert message in err
