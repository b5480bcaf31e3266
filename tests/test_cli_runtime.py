"""`flowlab run` and `flowlab recover`, killed in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowlab.cli import main
from flowlab.cli.executing import _remember
from flowlab.cli.loading import load_module
from flowlab.errors import DeterminismWarning
from flowlab.runtime import Runtime
from flowlab.runtime.code import code_in
from flowlab.store import EventStore
from flowlab.testing import Fault, FaultyDisk

CODE = """
import os, time
from pathlib import Path
from datetime import timedelta
import flowlab as fl

HERE = Path(__file__).parent


@fl.workflow
async def trip(ctx, request):
    room = await ctx.call_activity("book", request["nights"], agent="hotel")
    await ctx.call_activity("pay", room)
    return room


@fl.workflow
async def tour(ctx, request):
    return await ctx.call_child_workflow(trip, request, workflow_id="ann's trip")


@fl.workflow
async def wait(ctx, _):
    return await ctx.wait_for_event("go")


@fl.workflow
async def fail(ctx, _):
    raise ValueError("not today")


def book(ctx, nights):
    ctx.state["rooms"] -= 1
    return {"nights": nights, "left": ctx.state["rooms"]}


def pay(ctx, room):
    with open(HERE / "paid", "a") as file:
        file.write(ctx.idempotency_key + chr(10))
    while (HERE / "hold").exists():
        time.sleep(0.01)


hotel = fl.Agent("hotel", book, state={"rooms": 5})
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "trips.py"
    path.write_text(CODE)
    return path


def command(*words: str) -> list[str]:
    start = "import sys; from flowlab.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, *words]


def killed(words: list[str], seen: Path) -> None:
    """Run a command, and kill it once a file is there."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not seen.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
def test_the_same_command_resumes_after_a_kill_and_names_what_is_uncertain(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(code.parent / "s")
    words = ["run", f"{code}:trip", "--input", '{"nights": 2}', "--id", "t-1", "--store", store]
    (code.parent / "hold").touch()
    killed(command(*words), code.parent / "paid")
    (code.parent / "hold").unlink()

    status, survey = answered(capsys, "recover", "--store", store, "--survey")
    assert status == 0
    (row,) = survey["workflows"]
    assert (row["standing"], row["open_effects"]) == ("unknown", ["pay"])

    status, told = answered(capsys, *words)
    assert status == 0
    assert told["result"] == {"left": 4, "nights": 2}
    assert [effect["activity"] for effect in told["uncertain"]] == ["pay"]
    keys = (code.parent / "paid").read_text().split()
    assert keys == [told["uncertain"][0]["key"]] * 2
    # A third time gives the result, and does nothing.
    assert answered(capsys, *words)[1]["result"] == told["result"]
    assert len((code.parent / "paid").read_text().split()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
def test_the_uncertain_effects_of_a_child_are_named_with_those_of_its_parent(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` named those of the workflow that it was asked for: a child's were in the log alone."""
    store = str(code.parent / "s")
    words = ["run", f"{code}:tour", "--input", '{"nights": 2}', "--id", "t-1", "--store", store]
    (code.parent / "hold").touch()
    killed(command(*words), code.parent / "paid")
    (code.parent / "hold").unlink()

    status, told = answered(capsys, *words)

    assert (status, told["result"]) == (0, {"left": 4, "nights": 2})
    named = [(effect["workflow_id"], effect["activity"]) for effect in told["uncertain"]]
    assert named == [("ann's trip", "pay")]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
@pytest.mark.parametrize("scheme", ["replay", "checkpoint", "incremental", "cache"])
def test_recover_finds_the_code_and_goes_on(
    code: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(code.parent / "s")
    (code.parent / "hold").touch()
    words = ["run", f"{code}:trip", "--input", '{"nights": 2}', "--id", "t-1", "--store", store]
    killed(command(*words), code.parent / "paid")
    (code.parent / "hold").unlink()

    status, told = answered(capsys, "recover", "--store", store, "--scheme", scheme)

    assert status == 0
    (row,) = told["workflows"]
    assert (row["status"], row["standing"]) == ("completed", "finished")
    assert [effect["activity"] for effect in row["uncertain"]] == ["pay"]
    assert answered(capsys, "recover", "--store", store)[1]["workflows"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is not there")
def waiting(folder: Path, name: str, more: str = "") -> Path:
    """Write a module whose workflow asks for `act` after an event, and begin it in the store."""
    path = folder / f"{name}.py"
    path.write_text(
        "import flowlab as fl\n"
        f"def act(ctx, _):\n    return {name!r}\n{more}"
        f"@fl.workflow\nasync def {name}(ctx, _):\n"
        "    await ctx.wait_for_event('go')\n    return await ctx.call_activity('act')\n"
    )
    with EventStore(folder / "s") as store:
        asyncio.run(_begin(store, path, name))
    return path


async def _begin(store: EventStore, path: Path, name: str) -> None:
    code = code_in(load_module(str(path)))
    async with Runtime(store, code.workflow(name), activities=code.activities) as runtime:
        await runtime.start(name, id=f"{name}-1")
    _remember(store, [str(path)])


def test_activities_of_one_name_in_two_modules_are_never_taken_for_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`recover` joined the modules by name, so that the later one's did the earlier one's work."""
    first, second = waiting(tmp_path, "first"), waiting(tmp_path, "second")
    assert main(["recover", "--store", str(tmp_path / "s")]) == 2
    said = capsys.readouterr().err
    assert f"'act' is one of the activities of {first} and of {second}" in said
    assert main(["recover", "--store", str(tmp_path / "s"), "--code", str(first)]) == 1
    assert "second-1: 'second-1' is an instance of 'second'" in capsys.readouterr().err


def test_a_module_that_is_gone_stops_only_the_workflows_that_are_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting(tmp_path, "first").unlink()
    waiting(tmp_path, "second")
    assert main(["recover", "--store", str(tmp_path / "s")]) == 1
    said = capsys.readouterr().err
    assert "first.py is no file of Python code; if it is elsewhere now, say so with --code" in said
    assert "second-1: taken up" in said


def test_an_interrupt_does_not_wait_for_what_runs_in_a_thread(code: Path) -> None:
    store = str(code.parent / "s")
    (code.parent / "hold").touch()
    words = ["run", f"{code}:trip", "--input", '{"nights": 2}', "--id", "t-1", "--store", store]
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True)
    while not (code.parent / "paid").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    # The activity holds on for as long as the file is there, which is for ever.
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "the same command goes on" in said) == (130, True)


def test_what_loaded_code_prints_stands_beside_the_answer(tmp_path: Path) -> None:
    """A print() in an activity, or by a program that it started, made the answer no JSON."""
    path, store = tmp_path / "loud.py", str(tmp_path / "s")
    path.write_text(
        "import subprocess, sys\nimport flowlab as fl\nprint('loaded')\n"
        "def act(ctx, _):\n    print('act')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"started\")'], check=True)\n"
        "@fl.workflow\nasync def loud(ctx, _):\n    print('asked')\n"
        "    await ctx.call_activity('act')\n    return 'answer'\n"
    )
    with EventStore(store) as opened:
        begun = {"event_type": "WorkflowStarted", "name": "loud", "payload": {"input": None}}
        opened.append("w-2", begun)
    for words, printed in (
        (["run", f"{path}:loud", "--id", "w-1"], {"loaded", "asked", "act", "started"}),
        (["recover"], {"loaded", "asked", "act", "started"}),
        (["replay", str(path)], {"loaded", "asked"}),
    ):
        whole = command(*words, "--store", store, "--json")
        done = subprocess.run(whole, check=True, capture_output=True, text=True, timeout=60)
        assert isinstance(json.loads(done.stdout), dict)
        assert [word for word in printed if word not in done.stderr] == []


@pytest.mark.skipif(sys.platform == "win32", reason="no sh")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_with_its_streams_closed_the_command_works_and_leaves_the_store_whole(
    tmp_path: Path, closed: str
) -> None:
    """It failed; and the number of a closed stream was, then, that of a file of the store."""
    path, store = tmp_path / "shut.py", str(tmp_path / "s")
    path.write_text(
        "import subprocess, sys\nimport flowlab as fl\n"
        "def act(ctx, _):\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"started\")'])\n"
        "@fl.workflow\nasync def shut(ctx, _):\n    await ctx.call_activity('act')\n"
        "    return 'answer'\n"
    )
    words = command("run", f"{path}:shut", "--id", "w", "--store", store)
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], check=False)
    assert done.returncode == 0
    with EventStore(store) as opened:
        assert opened.verify().ok
        events = opened.read("/workflows/w/events").events()
    assert [event.event_type for event in events][-1] == "WorkflowCompleted"


def test_a_workflow_that_cannot_go_on_after_it_was_taken_up_is_told_with_its_parent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was taken up, asked for too much, and the command said that all was well."""
    path, store = tmp_path / "greedy.py", str(tmp_path / "s")
    path.write_text(
        "import flowlab as fl\n"
        "def act(ctx, _):\n    return 1\n"
        "@fl.workflow\nasync def greedy(ctx, _):\n    await ctx.call_activity('act')\n"
        "    return await ctx.call_activity('act', 'x' * (17 << 20))\n"
        "@fl.workflow\nasync def above(ctx, _):\n"
        "    return await ctx.call_child_workflow('greedy', workflow_id='below')\n"
    )
    with EventStore(store) as opened:
        begun = {"event_type": "WorkflowStarted", "name": "above", "payload": {"input": None}}
        opened.append("top", begun)
    status, told = answered(capsys, "recover", "--store", store, "--code", str(path))
    assert status == 1
    assert "MAX_PAYLOAD_BYTES" in told["workflows"][0]["error"]
    status, told = answered(capsys, "recover", "--store", store, "--code", str(path))
    errors = {row["workflow_id"]: row["error"] for row in told["workflows"]}
    assert status == 1
    assert errors["below"].startswith("'below': the ActivityScheduled 'act' takes 17 825")
    assert "pass on where they are. Mend that" in errors["top"]


@pytest.mark.parametrize("verb", ["run", "replay"])
def test_a_module_that_ends_the_process_is_an_error_that_says_so(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that ends with sys.exit(0) ended the command, too: with success, and no answer."""
    path, store = tmp_path / "script.py", str(tmp_path / "s")
    path.write_text("import sys\nsys.exit(0)\n")
    EventStore(store).close()
    words = {"run": ["run", f"{path}:w", "--id", "w"], "replay": ["replay", str(path)]}
    assert main([*words[verb], "--store", store]) == 2
    assert "cannot be loaded: SystemExit: 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("nth", "said"), [(1, "; make room, and try again"), (4, "make room, and")]
)
def test_on_a_full_disk_the_command_says_the_next_step(
    code: Path,
    nth: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It said "No space left on device", and nothing more."""
    folder = code.parent / "s"
    EventStore(folder).close()
    full = FaultyDisk(folder, Fault("write", nth=nth, how="ENOSPC", lasting=True))
    monkeypatch.setattr("flowlab.store.EventStore", partial(EventStore, disk=full))
    words = ["run", f"{code}:trip", "--input", '{"nights": 2}', "--id", "t-1"]
    assert main([*words, "--store", str(folder)]) == 2
    assert said in capsys.readouterr().err


def test_a_workflow_that_failed_is_exit_code_1(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", f"{code}:fail", "--id", "f", "--store", str(code.parent / "s"))
    status, told = answered(capsys, *words)
    assert (status, told["error"]["type"]) == (1, "ValueError")


def test_what_waits_for_events_from_outside_is_left_waiting(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = code.parent / "s"
    with EventStore(folder) as store:
        store.append(
            "w", {"event_type": "WorkflowStarted", "name": "wait", "payload": {"input": 1}}
        )
    words = ("recover", "--store", str(folder), "--code", str(code))
    status, told = answered(capsys, *words)
    assert (status, told["workflows"][0]["status"]) == (0, "open")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "trip", "--id", "a", "--store", "{s}"], "MODULE:WORKFLOW"),
        (
            ["run", "{code}:none", "--id", "a", "--store", "{s}"],
            "there are: fail, tour, trip, wait",
        ),
        (["run", "{s}.py:trip", "--id", "a", "--store", "{s}"], "is no file of Python code"),
        (["run", "{code}:trip", "--id", "a", "--store", "{s}", "--input", "x"], "is no JSON"),
        (
            ["run", "{code}:trip", "--id", "a", "--store", "{s}", "--input", "[" * 50_000],
            "deeper than any payload may be; flatten it",
        ),
        (["run", "{code}:trip", "--id", "@a", "--store", "{s}"], "give another"),
        (["recover", "--store", "{s}"], "is not there"),
        (["recover", "--store", "{s}", "--every", "9"], "or give --scheme checkpoint"),
        (
            ["run", "{code}:trip", "--id", "a", "--store", "{s}", "--every", "9"],
            "replay takes none",
        ),
    ],
)
def test_bad_use_is_exit_code_2_and_says_the_next_step(
    code: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"code": str(code), "s": str(code.parent / "none")}
    assert main([word.format(**places) for word in words]) == 2
    assert said in capsys.readouterr().err


def test_an_agent_that_waits_by_the_clock_may_do_so_where_it_is_a_real_one(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "clocked.py"
    path.write_text(
        "import time\nimport flowlab as fl\n"
        "def look(ctx, _):\n    time.sleep(0)\n    return 1\n"
        "clerk = fl.Agent('clerk', look)\n"
        "@fl.workflow\nasync def ask(ctx, _):\n"
        "    return await ctx.call_activity('look', agent='clerk')\n"
    )
    assert main(["run", f"{path}:ask", "--id", "a", "--store", str(tmp_path / "s")]) == 0
    assert not [each for each in recwarn if each.category is DeterminismWarning]


def test_each_namespace_has_its_own_workflows_and_its_own_code(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, there = str(code.parent / "s"), ("--namespace", "tuesday's")
    words = ("run", f"{code}:trip", "--input", '{"nights": 2}', "--id", "t-1", "--store", store)
    assert answered(capsys, *words)[1]["result"] == {"left": 4, "nights": 2}
    with EventStore(store) as opened:
        begun = {"name": "trip", "payload": {"input": {"nights": 3}}}
        started = {"event_type": "WorkflowStarted", **begun}
        opened.append("t-1", started, namespace="tuesday's")
    # What is of another namespace was once reported as unfinished, and never taken up.
    assert answered(capsys, "recover", "--store", store)[1]["workflows"] == []
    # Then it was passed over in silence, as if all was well.
    assert main(["recover", "--store", store]) == 0
    assert '1 workflow of --namespace "tuesday\'s" unfinished' in capsys.readouterr().err
    assert main(["recover", "--store", store, *there]) == 2
    assert "give --code MODULE" in capsys.readouterr().err
    status, told = answered(capsys, "recover", "--store", store, "--code", str(code), *there)
    (row,) = told["workflows"]
    assert (status, row["workflow_id"], row["status"]) == (0, "t-1", "completed")
    again = answered(capsys, *words, *there)[1]
    assert again["result"] == {"left": 4, "nights": 3}
