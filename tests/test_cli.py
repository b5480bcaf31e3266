"""The command: answers on standard output, the rest on standard error, exit codes that mean it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowlab.cli import main, reference
from flowlab.cli.verbs import VERBS
from flowlab.events import Event, encode_id
from flowlab.store import EventStore

NASTY = "a/b%\n\u00e9\x1b[31m'\""


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Give the folder of a store with one event whose ids are hard."""
    with EventStore(tmp_path / "s") as made:
        made.append(NASTY, Event.of("Signaled", agent_id=NASTY, name=NASTY, payload={"x": NASTY}))
    return str(tmp_path / "s")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example_of_itself(
    capsys: pytest.CaptureFixture[str], verb: object
) -> None:
    name = verb.name  # type: ignore[attr-defined]
    code, out, _ = run(capsys, *name.split(), "--help")

    assert code == 0
    assert f"example:\n  flowlab {name} " in out
    assert "exit codes:" in out


def test_the_page_of_the_command_is_what_the_command_says() -> None:
    page = Path(__file__).parent.parent / "docs" / "cli.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: make docs"


def test_hard_ids_go_through_every_reading_verb(
    capsys: pytest.CaptureFixture[str], store: str
) -> None:
    code, out, _ = run(capsys, "sql", "--store", store, "FROM events", "--format", "json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["workflow_id"], row["agent_id"], row["payload"]) == (NASTY, NASTY, {"x": NASTY})
    key = f"/workflows/{encode_id(NASTY)}/events"
    code, out, _ = run(capsys, "read", "--store", store, key, "--format", "json")
    assert (code, json.loads(out)[0]["name"]) == (0, NASTY)
    code, out, _ = run(capsys, "read", "--store", store, key)
    assert (code, "\x1b" in out) == (0, False)
    code, out, _ = run(capsys, "tree", "--store", store)
    assert (code, encode_id(NASTY) in out) == (0, True)
    code, out, _ = run(capsys, "sql", "--store", store, "SELECT 1 AS a", "--format", "csv")
    assert (code, out) == (0, "a\n1\n")


def test_exit_codes_say_done_found_and_usage(
    capsys: pytest.CaptureFixture[str], store: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text("{")
    cases = [
        (("store", "info", store), 0, ""),
        (("store", "seal", store), 0, ""),
        (("store", "verify", store), 0, "checking"),
        (("import", str(tmp_path / "bad.json"), "--store", str(tmp_path / "t")), 1, "bad.json"),
        (("sql", "--store", store, "SELEC"), 2, "LINE 1"),
        (("read", "--store", store, "workflows"), 2, "must begin with '/'"),
        (("read", "--store", store, "/workflows/zz"), 2, "nearest"),
        (("tree", "--store", str(tmp_path / "absent")), 2, "not there"),
        (("nonsense",), 2, "invalid choice"),
        ((), 2, "verbs"),
    ]
    for words, expected, said in cases:
        code, _, err = run(capsys, *words)
        assert (code, said in err) == (expected, True), (words, err)
        assert "Traceback" not in err


def test_a_damaged_store_is_found_by_verify(capsys: pytest.CaptureFixture[str], store: str) -> None:
    main(["store", "seal", store])
    (part,) = Path(store).rglob("*.parquet")
    data = bytearray(part.read_bytes())
    data[60] ^= 0xFF
    part.write_bytes(data)
    capsys.readouterr()

    code, out, _ = run(capsys, "store", "verify", store)
    assert (code, "damaged: workflows/" in out) == (1, True)


def test_the_module_is_the_command_and_a_closed_pipe_is_quiet(store: str) -> None:
    command = [sys.executable, "-m", "flowlab", "sql", "--store", store, "FROM range(100000)"]
    with subprocess.Popen(
        [*command, "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"range\n"
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()
