"""The body of a checkpoint, and what has changed between two: read as written, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_hosts import PlanHost
from test_workflow_savepoint import batch, finished
from workflow_host import ID

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError
from flowlab.recovery.checkpoint import WorkflowCheckpoint, process_digest
from flowlab.recovery.deltas import changed, changes_between
from flowlab.runtime import Standing
from flowlab.workflow import Parallel, PlanExecution, Program, Sequential, Step, workflow

GOLDEN = Path(__file__).parent / "golden" / "checkpoint-1"

PLAN = Program.of(
    Sequential(
        Step("book", agent="hotel", compensation="cancel"),
        Parallel(
            Step("ticket", agent="rail", compensation="refund"),
            Step("insure", agent="broker", compensation="revoke"),
        ),
        Step("pay", agent="bank", kind="pivot"),
    )
)


def plan_checkpoint() -> WorkflowCheckpoint:
    host = PlanHost(code=PLAN, answer=lambda name, _v, attempt: [name, attempt])
    host.begin({"p": 1})
    host.step()
    host.step()
    return WorkflowCheckpoint.of(
        host.execution,
        Standing.of(host.history),
        vector={ID: len(host.history), "@bank": 2},
        agents={"bank": {"balance": 7}},
    )


def code_checkpoint() -> WorkflowCheckpoint:
    host = finished(batch, 2, 1)
    mark = [event for event in host.history if event.name == "savepoint"][1]
    execution = finished(batch, 2, 1).execution
    history = host.history[: mark.sequence]
    return WorkflowCheckpoint.of(execution, Standing.of(history), savepoint=mark)


def golden_bodies() -> dict[str, bytes]:
    plan = plan_checkpoint()
    whole = json.loads(plan.encode())
    parts = {name: whole[name] for name in ("state", "standing", "pending")}
    older = json.loads(json.dumps(parts))
    older["state"]["now_ns"] = 1
    older["pending"] = []
    return {
        "plan": plan.encode(),
        "code": msgspec.json.encode({**json.loads(code_checkpoint().encode()), "digest": ""}),
        "delta": plan.delta_body("00000003", changes_between(older, parts)),
    }


# -- the format ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plan", "code", "delta"])
def test_a_body_of_version_1_is_written_as_it_always_was(name: str) -> None:
    written, golden = (
        json.loads(body) for body in (golden_bodies()[name], (GOLDEN / f"{name}.json").read_bytes())
    )
    # How a workflow stands may say more than it did: what it said is still there.
    more, less = written.pop("standing") or {}, golden.pop("standing") or {}
    assert {key: more[key] for key in less} == less
    assert json.dumps(written) == json.dumps(golden)


@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_body_of_version_1_is_read_for_ever() -> None:
    plan = WorkflowCheckpoint.decode((GOLDEN / "plan.json").read_bytes())
    assert (plan.kind, plan.process, plan.at, plan.generation) == ("plan", "plan", 6, 0)
    assert plan.vector == {"w": 6, "@bank": 2}
    assert plan.pending == ("ticket", "book")
    assert plan.agents == {"bank": {"balance": 7}}
    execution, standing, place = plan.restored(PLAN, "w")
    assert isinstance(execution, PlanExecution)
    assert execution.instance is not None
    assert execution.instance.results == {"book": ["book", 1], "ticket": ["ticket", 1]}
    assert (place, standing.head) == (6, 6)
    assert [event.step_id for event in standing.open.values()] == ["insure"]
    code = WorkflowCheckpoint.decode((GOLDEN / "code.json").read_bytes())
    assert (code.kind, code.process, code.at) == ("code", "batch", 24)
    again, standing, place = code.restored(batch, "w")
    assert place == again.last_sequence == code.at
    assert standing.head > code.at
    with pytest.raises(CorruptionError, match="is a delta of checkpoint '00000003'"):
        WorkflowCheckpoint.decode((GOLDEN / "delta.json").read_bytes())


def test_what_is_read_is_what_was_written() -> None:
    for content in (plan_checkpoint(), code_checkpoint()):
        read = WorkflowCheckpoint.decode(content.encode())
        assert read.encode() == content.encode()


def test_a_newer_version_is_refused_by_its_number() -> None:
    body = json.loads(plan_checkpoint().encode())
    newer = json.dumps({**body, "version": 2, "state": "of another kind"}).encode()
    with pytest.raises(FormatVersionError, match="f has version 2 .* up to 1: use a newer one"):
        WorkflowCheckpoint.decode(newer, where="f")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": "1"},
        {"kind": "dream"},
        {"at": 0},
        {"vector": [1]},
        {"pending": [1]},
        {"base": "00000001"},
        {"changes": []},
    ],
)
def test_a_body_that_is_none_is_refused(change: dict[str, Any]) -> None:
    body = json.loads(plan_checkpoint().encode())
    with pytest.raises(CorruptionError, match="f is no checkpoint of a workflow"):
        WorkflowCheckpoint.decode(json.dumps({**body, **change}).encode(), where="f")
    for name in set(body) - {"learned", "base", "changes"}:
        rest = {key: value for key, value in body.items() if key != name}
        with pytest.raises(CorruptionError, match="no checkpoint"):
            WorkflowCheckpoint.decode(json.dumps(rest).encode())


def test_bytes_of_somebody_else_are_no_checkpoint() -> None:
    for body in (b"", b"\xff\x00", b"null", b"[1]", b"[" * 5_000):
        with pytest.raises(CorruptionError, match="no checkpoint"):
            WorkflowCheckpoint.decode(body)


def test_a_checkpoint_is_only_gone_on_from_by_the_plan_that_wrote_it() -> None:
    other = Program.of(Sequential(Step("book", agent="hotel", kind="pivot")))
    with pytest.raises(InvalidArgumentError, match="not the state of an instance of"):
        plan_checkpoint().restored(other, ID)
    with pytest.raises(CorruptionError, match="a checkpoint of 'v' holds the state of"):
        plan_checkpoint().restored(PLAN, "v")
    with pytest.raises(InvalidArgumentError, match="holds the state of a plan"):
        plan_checkpoint().restored(batch, ID)
    with pytest.raises(InvalidArgumentError, match="holds the state of a code"):
        code_checkpoint().restored(PLAN, ID)


def test_a_state_that_is_no_json_is_refused_when_it_is_written() -> None:
    content = WorkflowCheckpoint("state", "@a", "", 1, 0, {}, {"x": object()})
    with pytest.raises(InvalidArgumentError, match="no JSON value"):
        content.encode()


def test_the_digest_of_code_tells_versions_apart_and_no_constants_order() -> None:
    @workflow(name="one")
    async def one(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("a", value in {1, 2, "b"})

    @workflow(name="one")
    async def same(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("a", value in {1, 2, "b"})

    @workflow(name="one")
    async def other(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("b", value in {1, 2, "b"})

    assert process_digest(one) == process_digest(same)
    assert process_digest(one) != process_digest(other)


# -- deltas ----------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(-1, 1)
    | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_a_state_is_its_delta_on_the_one_before_to_the_byte(old: Any, new: Any) -> None:
    changes = json.loads(json.dumps(changes_between(old, new)))
    again = changed(json.loads(json.dumps(old)), changes)
    assert json.dumps(again) == json.dumps(new)


@given(VALUES)
def test_what_is_equal_has_no_changes(value: Any) -> None:
    assert changes_between(value, json.loads(json.dumps(value))) == []


@given(st.lists(st.integers(), max_size=30), st.integers(0, 30), st.integers(0, 30), VALUES)
def test_a_list_that_loses_and_gains_costs_what_is_new_in_it(
    old: list[Any], start: int, count: int, come: Any
) -> None:
    new = [*old[:start], come, *old[start + count :]]
    changes = changes_between(old, new)
    assert changed(list(old), changes) == new
    assert len(changes) <= 1


@pytest.mark.parametrize(
    "changes",
    [
        [["set", ["x", "y"], 1]],
        [["drop", ["z"]]],
        [["splice", ["a"], 2, 5, []]],
        [["splice", [], 0, 0, [1]]],
        [["burn", ["a"]]],
        [["set"]],
        [[]],
        [7],
    ],
)
def test_a_delta_that_does_not_fit_is_damage(changes: Any) -> None:
    with pytest.raises(CorruptionError, match="delta|list|kind of change"):
        changed({"a": [1, 2]}, changes)
