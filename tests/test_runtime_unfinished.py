"""What is unfinished: workflows alone, whatever other streams a store has beside them.

Any stream without an end was taken for an unfinished workflow, so that one of an aggregate, or of
a person's notes, made recovery fail and kept a standby from taking over.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowlab.cli import main
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.recovery import Checkpointed, EveryEvents, checkpoint_states, recover
from flowlab.runtime import Runtime, Standby
from flowlab.runtime.ledger import survey
from flowlab.store import EventStore, aggregate
from flowlab.workflow import Program, Step, WorkflowContext, workflow

PLAN = Program.of(Step("pay", agent="a", kind="pivot"))
BEGUN = {"event_type": "WorkflowStarted", "name": "plan", "payload": {"input": 1}}
WORKFLOWS = {"open", "ended", "truncated", "emptied"}
SHORT = timedelta(milliseconds=40)
UNFINISHED = WORKFLOWS - {"ended"}


@aggregate(version=1)
class Account:
    initial: Any = None

    def decide(state: Any, command: int) -> Event:  # noqa: N805
        return Event.of("Deposited", payload={"amount": command})

    def evolve(state: Any, event: Event) -> Any:  # noqa: N805
        return (state or 0) + event.data["amount"]


def write(store: EventStore, kind: str, name: str) -> None:
    """Write a stream of a kind."""
    if kind == "aggregate":
        store.execute(Account, name, 3)
    elif kind == "notes":
        store.append(name, [{"event_type": "Written"}, {"event_type": "Read"}])
    elif kind == "shortened notes":
        store.append(name, [{"event_type": "Written"}, {"event_type": "Read"}])
        store.truncate(name, upto=1)
    elif kind == "account that was looked back at":
        store.execute(Account, name, 3)
        stream = ("default", "", f"account-{name}")
        checkpoint_states(store, stream, every=1, aggregate=Account)
        store.truncate(stream[2], upto=1)
    else:
        store.append(name, BEGUN)
        if kind == "ended":
            store.append(name, {"event_type": "WorkflowCompleted", "payload": {"result": 1}})
        elif kind != "open":
            scheme = Checkpointed(EveryEvents(1))
            restored = scheme.restore(store, ("default", "", name), PLAN)
            stream = ("default", "", name)
            scheme.checkpoint(store, stream, restored.execution, restored.standing)
            if kind == "truncated":
                store.append(name, {"event_type": "Signaled", "name": "go"})
            store.truncate(name, upto=1)


KINDS = (
    *sorted(WORKFLOWS),
    "aggregate",
    "notes",
    "shortened notes",
    "account that was looked back at",
)


def test_of_any_streams_those_and_only_those_are_unfinished_that_are_open_workflows(
    tmp_path: Path,
) -> None:
    named = {f"s{number}": kind for number, kind in enumerate(KINDS)}
    left = {name for name, kind in named.items() if kind in UNFINISHED}
    with EventStore(tmp_path) as store:
        for name, kind in named.items():
            write(store, kind, name)
        runtime = Runtime(store, PLAN, agents=[], recovery=Checkpointed())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert set(runtime.unfinished()) == left
            assert {row.workflow_id for row in recover(store, [PLAN]).rows} == left
        rows = survey(store).to_dicts()
        told = {row["workflow_id"]: row["standing"] for row in rows}
        known = {name for name, kind in named.items() if kind in WORKFLOWS}
        assert told.keys() == known
        assert {name for name, standing in told.items() if standing != "finished"} == left


@workflow
async def wait(ctx: WorkflowContext, _: object) -> str:
    return str(await ctx.wait_for_event("go"))


async def _began(folder: Path) -> None:
    with EventStore(folder) as store:
        write(store, "aggregate", "7")
        write(store, "notes", "notes")
        async with Runtime(store, wait, lease=SHORT) as runtime:
            await runtime.start(wait, id="x")


def test_a_standby_takes_over_a_store_that_holds_other_streams_than_workflows(
    tmp_path: Path,
) -> None:
    async def both() -> str:
        await _began(tmp_path)
        async with Standby(tmp_path, lambda store: Runtime(store, wait), lease=SHORT) as standby:
            runtime = await standby.take_over()
            await runtime.raise_event("x", "go", "went")
            return str(await runtime.handle("x").result())

    assert asyncio.run(both()) == "went"


def test_a_stream_that_is_no_workflow_is_refused_by_that_name(tmp_path: Path) -> None:
    async def resumed() -> None:
        await _began(tmp_path)
        with EventStore(tmp_path) as store:
            async with Runtime(store, wait) as runtime:
                await runtime.resume("notes")

    with pytest.raises(InvalidArgumentError, match="'notes' is no workflow: none of its events"):
        asyncio.run(resumed())


def test_a_truncated_workflow_of_which_nothing_says_what_it_is_is_warned_of_and_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def recovered() -> list[str]:
        with EventStore(tmp_path) as store:
            async with Runtime(store, wait) as runtime:
                return [handle.workflow_id for handle in await runtime.recover()]

    asyncio.run(_began(tmp_path))
    with EventStore(tmp_path) as store:
        write(store, "truncated", "w")
    with pytest.warns(RuntimeWarning, match="left as it is: the beginning of 'w' is gone"):
        assert asyncio.run(recovered()) == ["x"]
    module = tmp_path / "waits.py"
    module.write_text(
        "import flowlab as fl\n@fl.workflow\nasync def wait(ctx, _):\n"
        "    return await ctx.wait_for_event('go')\n"
    )
    words = ["recover", "--store", str(tmp_path), "--code", str(module), "--json"]
    assert main(words) == 1
    rows = {row["workflow_id"]: row for row in json.loads(capsys.readouterr().out)["workflows"]}
    assert rows.keys() == {"x", "w"}
    assert "error" not in rows["x"]
    assert "recover it by the scheme that took its checkpoints" in rows["w"]["error"]


def test_a_survey_names_a_truncated_workflow_where_the_log_or_a_checkpoint_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"event_type": "ChildWorkflowInitiated", "name": "survey", "payload": {}}
    with EventStore(tmp_path) as store:
        write(store, "truncated", "saved")
        for name in ("child", "told by nobody"):
            store.append(name, [BEGUN, {"event_type": "Signaled", "name": "go"}])
            store.truncate(name, upto=1)
        store.append("parent", [BEGUN, {**asked, "payload": {"workflow_id": "child"}}])
        known = {"parent": "plan", "child": "survey"}
        found = survey(store)
        names = dict(zip(found["workflow_id"], found["name"], strict=True))
        assert names == {**known, "saved": None, "told by nobody": None}
        found = survey(store, partial(Checkpointed().identify, store))
    names = dict(zip(found["workflow_id"], found["name"], strict=True))
    assert names == {**known, "saved": "plan", "told by nobody": None}
    words = ["recover", "--store", str(tmp_path), "--survey"]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["workflows"]
    assert {row["workflow_id"]: row["workflow"] for row in rows} == names
    assert main(words) == 0
    told = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, of in names.items():
        assert f"  {of or 'not known'}  " in told[name]


def test_the_command_recovers_workflows_and_passes_over_other_streams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EventStore(tmp_path / "plain") as store:
        write(store, "notes", "notes")
    assert main(["recover", "--store", str(tmp_path / "plain")]) == 0
    assert "nothing is unfinished; 0 workflows have ended" in capsys.readouterr().out
    asyncio.run(_began(tmp_path / "s"))
    module = tmp_path / "other.py"
    module.write_text("")
    words = ["recover", "--store", str(tmp_path / "s"), "--code", str(module)]
    # The names were sorted with None among them.
    assert main(words) == 2
    assert "the workflows wait are in none of" in capsys.readouterr().err
    assert main([*words, "--survey", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["workflows"]
    assert row["workflow_id"] == "x"
