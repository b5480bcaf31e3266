"""The command brings projections up to date, and reads what keys hold besides events."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowlab.cli import main
from flowlab.events import Event
from flowlab.store import EventStore

MODULE = """
from flowlab import projection

@projection(initial=0, by="workflow", on=["Paid"])
def total(state, event):
    return state + event.data

@projection(initial=0, life="live")
def count(state, event):
    return state + 1
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "folds.py").write_text(MODULE)
    with EventStore(tmp_path / "s") as found:
        found.append("a", [Event.of("Paid", payload=3), Event.of("Paid", payload=4)])
        found.checkpoint("a", b'{"n":1}', causality={"clock": {"a": 2}})
    return str(tmp_path / "s")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_a_projection_is_caught_up_and_shown(
    capsys: pytest.CaptureFixture[str], store: str, tmp_path: Path
) -> None:
    target = f"{tmp_path / 'folds.py'}:total"
    code, out, err = run(capsys, "store", "project", store, target)
    assert (code, err) == (0, "folded up to position 3 of 3\n")
    assert out.splitlines()[0] == "'total' (async) at position 3, up to date"
    assert out.splitlines()[-1].split() == ["default", "a", "7"]

    code, out, err = run(capsys, "store", "project", store, target, "--rebuild", "--json")
    told = json.loads(out)
    assert (code, told["position"], told["lag_events"]) == (0, 3, 0)
    assert told["states"] == [
        {"namespace": "default", "run_id": "", "workflow_id": "a", "state": 7}
    ]
    code, out, _ = run(capsys, "store", "project", store, target.replace("total", "count"))
    assert (code, out.splitlines()[-1]) == (0, "3")


def test_values_are_read_by_their_keys(
    capsys: pytest.CaptureFixture[str], store: str, tmp_path: Path
) -> None:
    run(capsys, "store", "project", store, f"{tmp_path / 'folds.py'}:total")
    for key, expected in (
        ("/workflows/a/projections/total/materialized_state", 7),
        ("/workflows/a/checkpoints/00000002/state_snapshot", {"n": 1}),
        ("/workflows/a/checkpoints/00000002/causality_info", {"clock": {"a": 2}}),
    ):
        code, out, _ = run(capsys, "read", "--store", store, key)
        assert (code, json.loads(out)) == (0, expected)
    _, out, _ = run(capsys, "tree", "--store", store, "/workflows/a", "--depth", "2")
    assert "projections  (1)" in out
    assert "00000002  (checkpoint at 2)" in out


def test_what_names_no_projection_is_refused(
    capsys: pytest.CaptureFixture[str],
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for target, words in (
        ("folds", "MODULE:NAME or FILE.py:NAME"),
        ("no_such_module:x", "cannot be loaded: ModuleNotFoundError"),
        ("folds.py:other", "no projection 'other'; it has count, total"),
    ):
        code, _, err = run(capsys, "store", "project", store, target)
        assert code == 2
        assert words in err


def test_a_module_of_the_folder_is_found_by_its_name(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flowlab", "store", "project", store, "folds:total", "--json"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert json.loads(out)["states"][0]["state"] == 7
