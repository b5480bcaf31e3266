"""Saved histories held against today's code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.causality.order import order_of
from flowlab.cli import main
from flowlab.errors import CorruptionError, InvalidArgumentError, NotFoundError
from flowlab.events import Event, EventLog
from flowlab.recovery import Replayer, ReplayReport, cones
from flowlab.runtime import Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate
from flowlab.workflow import Choreography, Execution, Plan, Workflow, WorkflowContext, workflow

COUNT = 5


@workflow(name="trip")
async def old(ctx: WorkflowContext, count: int) -> int:
    for number in range(count):
        await ctx.call_activity("book", number)
    return count


@workflow(name="trip")
async def renamed(ctx: WorkflowContext, count: int) -> int:
    for number in range(count):
        await ctx.call_activity("reserve" if number == 2 else "book", number)
    return count


@workflow(name="trip")
async def patched(ctx: WorkflowContext, count: int) -> int:
    for number in range(count):
        name = "reserve" if number == 2 and ctx.patched("reserve") else "book"
        await ctx.call_activity(name, number)
    return count


@workflow(name="trip")
async def shorter(ctx: WorkflowContext, count: int) -> int:
    for number in range(count - 1):
        await ctx.call_activity("book", number)
    return count


@workflow(name="trip")
async def other_result(ctx: WorkflowContext, count: int) -> str:
    for number in range(count):
        await ctx.call_activity("book", number + 10)
    return "other"


def book(value: int) -> int:
    return value


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with fl.EventStore(tmp_path / "store") as opened:
        for number in range(3):
            runtime = Runtime(opened, old, activities={"book": book})
            runtime.run(old, COUNT, id=f"trip-{number}")
        yield opened


def report_of(code: Any, log: Any, **more: Any) -> ReplayReport:
    return Replayer(code).replay(log, **more)


def test_the_code_that_made_a_history_replays_it_from_tail_files_and_log(store: Any) -> None:
    expected = {"equal": 3}
    assert report_of([old], store).counts == expected
    log = store.snapshot().log()
    assert report_of([old], log).counts == expected
    shuffled = EventLog(log.table.take(list(reversed(range(log.table.num_rows)))), log.runs)
    assert report_of([old], shuffled).counts == expected
    store.compact()
    assert report_of([old], store).counts == expected
    (row,) = report_of([old], store, workflow_id="trip-1").rows
    assert (row.workflow_id, row.closed, row.status) == ("trip-1", True, "equal")
    assert Replayer([old]).replay(store).ok


def test_changed_code_is_told_with_both_sides_its_line_and_the_events_before(store: Any) -> None:
    report = report_of([renamed], store)
    assert report.counts == {"needs_patch": 3}
    parted = report.diverged[0].divergence
    assert parted is not None
    assert parted.recorded == 'ActivityScheduled book({"attempt":1,"input":2})'
    assert parted.asked == 'ActivityScheduled reserve({"attempt":1,"input":2})'
    assert parted.differs == "name"
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    file, _, line = parted.line.rpartition(":")
    assert file == __file__
    assert '"reserve" if number == 2 else' in lines[int(line) - 1]
    assert "ctx.patched" in parted.hint
    assert parted.cone is not None
    assert [e.sequence for e in parted.cone.events()] == list(range(1, parted.sequence + 1))
    assert "needs_patch at event" in str(report)
    assert report.to_polars()["sequence"].to_list() == [parted.sequence] * 3
    assert "<table>" in report._repr_html_()
    assert json.loads(json.dumps(report.to_json()))["counts"] == {"needs_patch": 3}


@workflow
async def inner(ctx: WorkflowContext, value: int) -> Any:
    return await ctx.call_activity("book", value)


@workflow(name="outer")
async def outer(ctx: WorkflowContext, value: int) -> Any:
    got = await ctx.call_child_workflow(inner, value)
    told = await ctx.call_activity("tell", got, agent="ann")
    return await ctx.call_activity("book", told)


@workflow(name="outer")
async def outer_changed(ctx: WorkflowContext, value: int) -> Any:
    got = await ctx.call_child_workflow(inner, value)
    told = await ctx.call_activity("tell", got, agent="ann")
    return await ctx.call_activity("book", told + 1)


def test_a_cone_of_a_store_is_that_of_its_log_and_holds_all_that_led_there(tmp_path: Path) -> None:
    with fl.EventStore(tmp_path / "cones") as store:
        agents: Any = {"ann": {"tell": book}}
        for number in range(3):
            runtime = Runtime(store, outer, inner, activities={"book": book}, agents=agents)
            runtime.run(outer, number, id=f"o-{number}")
        for sealed in (False, True):
            if sealed:
                store.compact()
            log = store.log()
            events = {(e.workflow_id, e.sequence): e for e in log.events()}
            lanes = {(e.agent_id, e.agent_sequence): place for place, e in events.items()}
            code = [outer_changed, inner]
            parted = {row.workflow_id: row.divergence for row in report_of(code, log).diverged}
            for source in (store, store.snapshot()):
                rows = report_of(code, source).diverged
                assert len(rows) == 3
                for row in rows:
                    assert row.divergence is not None
                    assert row.divergence.cone is not None
                    found = {(e.workflow_id, e.sequence) for e in row.divergence.cone.events()}
                    left = [(row.workflow_id, row.divergence.sequence)]
                    expected = set()
                    while left:
                        place = left.pop()
                        if place in expected:
                            continue
                        expected.add(place)
                        event = events[place]
                        left += [(cause.workflow_id, cause.sequence) for cause in event.causes]
                        if event.follows_lane and event.agent_sequence > 1:
                            left.append(lanes[event.agent_id, event.agent_sequence - 1])
                    assert found == expected
                    assert {f"{row.workflow_id}/0.1", "@ann"} <= {stream for stream, _ in found}
                    other = parted[row.workflow_id]
                    assert other is not None
                    assert other.cone is not None
                    assert found == {(e.workflow_id, e.sequence) for e in other.cone.events()}


def test_a_cone_that_lacks_something_says_what_and_why(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {row.divergence.cone_lacks for row in report_of([renamed], store).diverged} == {""}
    assert "its causal cone" not in str(report_of([renamed], store))

    def told(source: Any, *, whole: bool = False) -> set[str]:
        """Return what the cones of the divergences lack; each, where there is one, is its past."""
        report = report_of([renamed], source)
        for row in report.diverged:
            parted = row.divergence
            assert (parted.cone is None) == whole
            if parted.cone is not None:
                found = [event.sequence for event in parted.cone.events()]
                assert found == list(range(1, parted.sequence + 1))
        lacks = {row.divergence.cone_lacks for row in report.diverged}
        assert {row["cone_lacks"] for row in report.to_json()["histories"]} == lacks
        assert set(report.to_polars()["cone_lacks"]) == lacks
        assert all(f"  its causal cone lacks {it}" in str(report) for it in lacks)
        return lacks

    with monkeypatch.context() as patch:
        patch.setattr(cones, "MAX_CONE_EVENTS", 3)
        events = store.snapshot().position
        why = f"the store has {events} events, and up to 3 are read for it"
        assert told(store) == {f"the events of other streams: {why}"}
    with monkeypatch.context() as patch:
        patch.setattr(cones, "MAX_CONES", 0)
        why = "all of it: only the first 0 divergences have one"
        assert told(store, whole=True) == told(store.log(), whole=True) == {why}

    def damaged(log: EventLog) -> Any:
        if len(set(log.table["workflow_id"].to_pylist())) > 1:
            message = "sequence 7 is missing"
            raise CorruptionError(message)
        return order_of(log)

    monkeypatch.setattr(cones, "order_of", damaged)
    why = "the log has no causal order: sequence 7 is missing"
    assert told(store) == {f"the events of other streams: {why}"}
    assert told(store.log(), whole=True) == {f"all of it: {why}"}


def test_a_change_that_is_guarded_is_none(store: Any) -> None:
    assert report_of([patched], store).ok


def test_code_that_asks_for_less_is_found_where_it_ends(store: Any) -> None:
    # Its line was one of the host, another in each replay, so that it was told to be unstable.
    report = report_of([shorter], store)
    assert set(report.counts) == {"needs_patch"}
    parted = report.diverged[0].divergence
    assert parted is not None
    assert parted.line == ""
    assert parted.differs == "kind"
    assert parted.asked.startswith("WorkflowCompleted")


def test_a_grade_lets_pass_what_it_does_not_hold_against_the_code(store: Any) -> None:
    log = store.snapshot().log()
    assert report_of([other_result], log, grade="name").ok
    assert report_of([renamed], log, grade="kind").ok
    found = report_of([other_result], log, grade="argument").diverged
    assert {row.divergence.differs for row in found if row.divergence} == {"arguments"}


def test_damage_truncation_and_unknown_workflows_are_named_and_stop_no_other(store: Any) -> None:
    events = list(store.snapshot().log().events())
    one, two, three = ([e for e in events if e.workflow_id == f"trip-{n}"] for n in range(3))
    foreign = [e.replace(workflow_id="other", name="other", causes=()) for e in one[:1]]
    log = EventLog.from_events([*one[:4], *one[5:], *two[2:], *three, *foreign])
    rows = {row.workflow_id: row for row in report_of([old], log).rows}
    assert {name: row.status for name, row in rows.items()} == {
        "other": "unknown",
        "trip-0": "damaged",
        "trip-1": "incomplete",
        "trip-2": "equal",
    }
    assert "follows 4" in rows["trip-0"].detail
    assert "begins with event 3" in rows["trip-1"].detail


def test_code_that_asks_for_something_else_each_time_is_no_matter_of_a_patch(store: Any) -> None:
    drawn: list[int] = []

    @workflow(name="trip", unchecked="what it reads outside is what the test is about")
    async def unstable(ctx: WorkflowContext, count: int) -> None:
        drawn.append(1)
        await ctx.call_activity("book", len(drawn) + count)

    assert set(report_of([unstable], store).counts) == {"nondeterministic"}


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_replays_with_its_own_code_and_plans(name: str) -> None:
    world = SCENARIOS[name]()
    known = [w for w in world.workflows.values() if isinstance(w, (Workflow, Plan, Choreography))]
    for preset in ("none", "chaos"):
        run = simulate(world, seed=3, faults=preset)
        if known:
            report = report_of(known, run.log)
            assert set(report.counts) <= {"equal", "unknown", "incomplete"}, str(report)
            assert report.counts.get("equal", 0) > 0


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=8), at_once=st.integers(1, 40))
def test_many_generations_are_cut_out_of_a_table_whole(lengths: list[int], at_once: int) -> None:
    @workflow(name="rounds")
    async def rounds(ctx: WorkflowContext, left: list[int]) -> None:
        for number in range(left[0] if left else 0):
            await ctx.call_activity("step", number)
        if len(left) > 1:
            ctx.continue_as_new(left[1:])

    events: list[Event] = []
    for generation in range(len(lengths)):
        events += _one_generation(rounds, lengths[generation:], len(events), generation)
    with pytest.MonkeyPatch.context() as patched_at:
        patched_at.setattr("flowlab.workflow.columns.ROWS_AT_ONCE", at_once)
        report = report_of([rounds], EventLog.from_events(events))
    assert [row.events for row in report.rows] == [2 * length + 2 for length in lengths]
    assert report.ok


def _one_generation(code: Workflow, left: list[int], before: int, generation: int) -> list[Event]:
    execution, events = Execution(code, "r"), []

    def record(event: Event) -> Event:
        place = before + len(events) + 1
        stamped = event.replace(
            workflow_id="r", sequence=place, time_ns=place, generation=generation
        )
        events.append(stamped)
        return stamped

    told = [record(Event.of("WorkflowStarted", name=code.name, payload={"input": left}))]
    while drafts := execution.advance(told):
        told = [record(draft) for draft in drafts]
        for asked in [e for e in told if e.event_type == "ActivityScheduled"]:
            cause = fl.Cause("r", asked.sequence)
            told.append(record(Event.of("ActivityCompleted", name="step", causes=(cause,))))
    return events


def test_what_cannot_be_replayed_with_is_refused_by_name(store: Any) -> None:
    for wrong in ([], [3], [old, renamed]):
        with pytest.raises(InvalidArgumentError):
            Replayer(wrong)
    with pytest.raises(InvalidArgumentError, match="grade is 'all'"):
        report_of([old], store, grade="all")
    with pytest.raises(InvalidArgumentError, match="takes an EventLog"):
        report_of([old], 3)
    with pytest.raises(NotFoundError, match="'nobody'"):
        report_of([old], store, workflow_id="nobody")


CODE = """
from flowlab import workflow

@workflow(name="trip")
async def trip(ctx, count):
    for number in range(count):
        await ctx.call_activity("NAME", number)
    return count
"""


def test_the_command_says_by_its_exit_code_whether_all_is_equal(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    where = str(store.path)
    store.close()
    for name, code in (("book", 0), ("reserve", 1)):
        file = tmp_path / f"code_{name}.py"
        file.write_text(CODE.replace("NAME", name), encoding="utf-8")
        assert main(["replay", str(file), "--store", where, "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert (told["ok"], len(told["histories"])) == (code == 0, 3)
    assert main(["replay", str(file), "--store", where, "--workflow-id", "trip-1"]) == 1
    assert f"{file}:7" in capsys.readouterr().out
    assert main(["replay", str(file), "--store", where, "--grade", "kind"]) == 0
    assert main(["replay", str(file), "--store", f"{where}-not"]) == 2
    assert main(["replay", str(tmp_path / "none.py"), "--store", where]) == 2
