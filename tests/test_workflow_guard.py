"""The guard of a running workflow: what it refuses, what it lets pass, what it leaves behind."""

from __future__ import annotations

import logging
import os
import pickle
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import NonDeterminismError
from flowlab.events import Event
from flowlab.workflow import Execution, Workflow
from flowlab.workflow.guard import armed, disarmed

STARTED = Event.of("WorkflowStarted", workflow_id="w", sequence=1, time_ns=0, payload={"input": 1})


def execution(reach: Callable[[], Any], unchecked: str = "") -> Execution:
    async def body(_ctx: object, _value: object) -> None:
        reach()

    return Execution(Workflow("reaching", body, unchecked), "w")


def reaching(dotted: str) -> Callable[[], Any]:
    """Return a call that looks the function up when it is made, as code does."""
    module, name = dotted.split(".")
    return lambda: getattr(import_module(module), name)()  # noqa: PLW0108 - looked up late


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "a clock: time.time()": ("blocked call", reaching("time.time")),
    "a clock: time.localtime()": ("blocked call", reaching("time.localtime")),
    "a clock: time.sleep()": ("blocked call", lambda: time.sleep(0)),
    "chance: random.random()": ("blocked call", reaching("random.random")),
    "chance: random.shuffle()": ("blocked call", lambda: random.shuffle([1])),
    "chance: random._urandom()": ("blocked call", reaching("secrets.token_hex")),
    "chance: os.urandom()": ("blocked call", lambda: os.urandom(1)),
    "chance: uuid.uuid4()": ("blocked call", reaching("uuid.uuid4")),
    "the environment: os.environ('HOME')": ("blocked call", lambda: os.environ["HOME"]),
    "the environment: os.environ('SHELL')": ("blocked call", lambda: os.getenv("SHELL")),
    "a thread: ": ("blocked call", lambda: threading.Thread(target=print).start()),
    "a file: open('/dev/null')": ("audit hook", lambda: Path("/dev/null").read_text()),
    "a file: os.listdir('.')": ("audit hook", lambda: os.listdir(".")),  # noqa: PTH208
    "a process: subprocess.Popen('true')": (
        "audit hook",
        lambda: subprocess.run(["true"], check=False),
    ),
    "a socket: socket.__new__(<socket>)": ("audit hook", reaching("socket.socket")),
}


@pytest.mark.parametrize("saw", REFUSED)
def test_a_workflow_that_reaches_out_is_stopped_and_told_what_to_write_instead(saw: str) -> None:
    mean, reach = REFUSED[saw]
    with pytest.raises(NonDeterminismError) as caught:
        execution(reach).advance([STARTED])
    told = str(caught.value)
    assert caught.value.mean == mean
    assert f"workflow 'reaching' reaches for {saw}" in told
    assert told.startswith(f"{__file__}:")
    assert "ctx." in told or "activity" in told


@pytest.mark.parametrize("saw", REFUSED)
def test_what_the_code_catches_itself_is_told_all_the_same(saw: str) -> None:
    def reach() -> None:
        try:
            REFUSED[saw][1]()
        except BaseException:  # noqa: BLE001 - as code that swallows everything
            return

    with pytest.raises(NonDeterminismError, match="reaches for"):
        execution(reach).advance([STARTED])


@pytest.mark.parametrize(
    "reach",
    [
        lambda: random.Random(7).random(),
        lambda: time.localtime(0),
        lambda: time.strftime("%Y", time.gmtime(0)),
        lambda: print("seen"),
        lambda: logging.getLogger("flowlab.test").warning("seen"),
        lambda: __import__("xmlrpc.client"),
        lambda: sys.stdout.write("seen"),
    ],
)
def test_output_logging_imports_and_seeded_chance_pass(reach: Callable[[], Any]) -> None:
    (end,) = execution(reach).advance([STARTED])
    assert end.event_type == "WorkflowCompleted"


def test_an_unchecked_workflow_and_one_under_disarmed_may_reach_out() -> None:
    (end,) = execution(time.time_ns, unchecked="it measures itself").advance([STARTED])
    assert end.event_type == "WorkflowCompleted"
    with disarmed():
        (end,) = execution(reaching("time.time")).advance([STARTED])
    assert end.event_type == "WorkflowCompleted"


def test_an_iterator_that_a_host_gives_may_read_files() -> None:
    def read() -> Any:
        Path("/dev/null").read_text(encoding="utf-8")
        yield STARTED

    (end,) = execution(lambda: None).advance(read())
    assert end.event_type == "WorkflowCompleted"


def test_other_threads_read_clocks_and_files_while_a_workflow_runs() -> None:
    told: list[object] = []
    asked, answered = threading.Event(), threading.Event()

    def other() -> None:
        asked.wait()
        told.extend([time.time() > 0, Path("/dev/null").read_text(encoding="utf-8")])
        answered.set()

    thread = threading.Thread(target=other)
    thread.start()

    def wait() -> None:
        asked.set()
        answered.wait()

    (end,) = execution(wait).advance([STARTED])
    thread.join()
    assert (end.event_type, told) == ("WorkflowCompleted", [True, ""])


def test_everything_is_put_back_as_it_was() -> None:
    before = time.time, random.random, os.urandom, uuid.uuid4, dict(vars(os.environ))
    with armed():
        assert time.time is not before[0]
        assert time.time() > 0
        assert execution(lambda: None).advance([STARTED])
        assert time.time is not before[0]
    assert (time.time, random.random, os.urandom, uuid.uuid4, dict(vars(os.environ))) == before


def test_what_another_tool_replaces_is_called_and_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 7.0)
    with armed():
        assert time.time() == 7.0
        monkeypatch.setattr(time, "monotonic", lambda: 8.0)
    assert (time.time(), time.monotonic()) == (7.0, 8.0)


def test_a_replaced_function_is_an_attribute_no_method_and_can_be_pickled() -> None:
    with armed():

        class Holder:
            clock = time.time

        assert Holder().clock() > 0
        assert pickle.loads(pickle.dumps(time.time)) is time.time
        assert random.randint.__name__ == "randint"


def test_the_guard_of_an_outer_workflow_holds_after_an_inner_one() -> None:
    inner = execution(lambda: None)

    def reach() -> None:
        inner.advance([STARTED])
        time.time()

    with pytest.raises(NonDeterminismError, match="a clock"):
        execution(reach).advance([STARTED])
