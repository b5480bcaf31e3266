"""Of a recorded workflow only what is affected is done again; the end is as if all of it were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from itertools import combinations
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plan_hosts import PlanHost, driven
from test_recovery_parallel import batch
from workflow_host import ID

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import Cause, Event
from flowlab.recovery import provenance_plan, provenance_rerun, recorded_twin
from flowlab.recovery.record import Record
from flowlab.recovery.redoing import Again, Redone
from flowlab.runtime.scheme import Process
from flowlab.scenarios.relief import relief
from flowlab.scenarios.trip import trip
from flowlab.simulation import simulate
from flowlab.workflow import (
    Conditional,
    Node,
    Parallel,
    Program,
    Sequential,
    Step,
    WorkflowContext,
    result,
    workflow,
)
from flowlab.workflow.matching import COMMAND_TYPES

Act = Callable[[str, Any], Any]


def symbolic(changed: Collection[str] = ()) -> Act:
    """Return activities of which no two results are equal by chance."""
    return lambda name, value: ["new" if name in changed else "old", name, value]


def small(changed: Collection[str] = ()) -> Act:
    """Return activities of which many results are equal by chance."""

    def act(name: str, value: Any) -> int:
        text = f"{name in changed} {name} {value}"
        return hashlib.sha256(text.encode()).digest()[0] % 2

    return act


@st.composite
def wired(draw: st.DrawFn, *, most: int = 6) -> Program:
    """Return plans whose steps read results of steps before them, and choose by them."""
    count = draw(st.integers(2, most))
    nodes: list[Node] = []
    certain: list[str] = []
    number = 0
    while number < count:
        width = draw(st.integers(1, 2)) if number + 1 < count else 1
        steps = []
        for _ in range(width):
            known = st.lists(st.sampled_from(certain or ["?"]), max_size=2, unique=True)
            reads = draw(known) if certain else []
            value = [result(name) for name in reads]
            steps.append(Step(f"s{number}", agent=f"a{number}", effect=False, input=value))
            number += 1
        node: Node = steps[0] if width == 1 else Parallel(*steps)
        chosen = bool(certain) and draw(st.integers(0, 3)) == 0
        if chosen:
            nodes.append(Conditional(result(draw(st.sampled_from(certain))) == 1, node))
        else:
            nodes.append(node)
            certain += [step.name for step in steps]
    return Program.of(Sequential(*nodes))


def first_time(process: Process, act: Act, value: Any = None) -> Redone:
    again = Again(process, ID, Record([]), act)
    again.tell(Event.of("WorkflowStarted", name="p", payload={"input": value}, time_ns=0))
    return again.run()


def run_with(program: Program, act: Act, kept: dict[str, Any], done: Collection[str]) -> Any:
    """Do a plan again, the given steps now, and whatever else with what is kept, right or wrong."""

    def chosen(name: str, value: Any) -> Any:
        return act(name, value) if name in done or name not in kept else kept[name]

    return first_time(program, chosen).result


# -- provenance ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(wired(), st.data(), st.sampled_from([symbolic, small]))
def test_the_end_is_that_of_doing_everything_again(
    program: Program, data: st.DataObject, made: Callable[..., Act]
) -> None:
    recorded = first_time(program, made())
    names = [step.name for step in program.steps]
    failed = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=2))
    full = first_time(program, made(failed))
    again = provenance_rerun(program, recorded.events, failed=failed, execute=made(failed))
    assert again.result == full.result
    assert again.status == full.status
    static = provenance_plan(program, recorded.events, failed=failed)
    assert set(again.rerun) <= set(static.rerun)
    assert {name: full.result[name] for name in static.reuse} == dict(static.reuse)


@settings(max_examples=40)
@given(wired(most=5), st.data())
def test_no_smaller_set_of_steps_leads_to_that_end(program: Program, data: st.DataObject) -> None:
    recorded = first_time(program, symbolic())
    names = [step.name for step in program.steps]
    failed = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=2))
    assume(failed <= recorded.result.keys())
    full = first_time(program, symbolic(failed))
    again = provenance_rerun(program, recorded.events, failed=failed, execute=symbolic(failed))
    for size in range(len(names) + 1):
        enough = [
            set(done)
            for done in combinations(names, size)
            if run_with(program, symbolic(failed), recorded.result, done) == full.result
        ]
        if enough:
            break
    assert enough == [set(again.rerun)]
    static = provenance_plan(program, recorded.events, failed=failed)
    assert set(static.rerun) & recorded.result.keys() == set(again.rerun)


def test_a_lost_output_that_comes_back_the_same_spares_all_that_reads_it() -> None:
    plan = Program.of(
        Sequential(
            Step("a", agent="x", effect=False),
            Step("b", agent="x", effect=False, input=result("a")),
            Step("c", agent="x", effect=False, input=result("b")),
        )
    )
    recorded = first_time(plan, symbolic())
    assert provenance_plan(plan, recorded.events, failed={"a"}).rerun == ("a", "b", "c")
    again = provenance_rerun(plan, recorded.events, failed={"a"}, execute=symbolic())
    assert (again.rerun, again.reused) == (("a",), ("b", "c"))
    assert again.result == recorded.result


def test_a_plan_that_failed_is_finished_and_what_was_undone_is_done_again() -> None:
    plan = Program.of(
        Sequential(
            Step("look", agent="x", effect=False),
            Step("book", agent="x", compensation="cancel"),
            Step("pay", agent="x", compensation="refund", input=result("look")),
        )
    )

    def broken(name: str, value: Any, _attempt: int) -> Any:
        if name == "pay":
            message = "no money"
            raise ValueError(message)
        return ["old", name, value]

    host = driven(PlanHost(code=plan, answer=broken), 0, value=None)
    assert host.types.count("CompensationCompleted") == 1
    static = provenance_plan(plan, host.history, failed={"pay"})
    assert (static.failed, static.rerun) == (("book", "pay"), ("book", "pay"))
    assert repr(static) == "Provenance(rerun ['book', 'pay'], reuse ['look'])"
    again = provenance_rerun(plan, host.history, failed={"pay"}, execute=symbolic())
    assert (again.status, again.rerun, again.reused) == ("completed", ("book", "pay"), ("look",))
    assert again.result == first_time(plan, symbolic()).result


def test_what_is_no_step_and_no_history_is_refused() -> None:
    plan = Program.of(Sequential(Step("a", agent="x", effect=False)))
    events = first_time(plan, symbolic()).events
    with pytest.raises(InvalidArgumentError, match="no step 'b'; it has a"):
        provenance_plan(plan, events, failed={"b"})
    with pytest.raises(InvalidArgumentError, match="does not begin with WorkflowStarted"):
        provenance_plan(plan, events[1:], failed={"a"})


# -- twins -----------------------------------------------------------------------------------------


def told(events: Any) -> list[Any]:
    return [(e.event_type, e.name, e.step_id, e.payload, e.sequence) for e in events]


@pytest.mark.parametrize("scenario", [trip, relief])
@pytest.mark.parametrize("seed", range(4))
def test_with_the_answer_that_it_had_a_recorded_workflow_is_as_it_was(
    scenario: Any, seed: int
) -> None:
    run = simulate(scenario, seed=seed)
    world = run.recipe.world()
    streams: dict[str, list[Event]] = {}
    for event in run.log.events():
        if not event.workflow_id.startswith("@"):
            streams.setdefault(event.workflow_id, []).append(event)
    for history in streams.values():
        process = world.programs.get(history[0].name) or world.workflows[history[0].name]
        answers = [e for e in history if e.event_type == "ActivityCompleted"]
        for at in answers[:: max(1, len(answers) // 4)]:
            twin = recorded_twin(
                history,
                process,
                at=at,
                result=at.data["result"],
                execute=lambda name, _v: pytest.fail(name),
                reuse="data",
                seed=seed,
            )
            assert told(twin.events) == told(history)
            assert twin.executed == ()


@settings(max_examples=40)
@given(wired(), st.data())
def test_only_what_a_changed_answer_affects_is_carried_out_again(
    program: Program, data: st.DataObject
) -> None:
    recorded = first_time(program, symbolic())
    answers = [e for e in recorded.events if e.event_type == "ActivityCompleted"]
    at = data.draw(st.sampled_from(answers))
    changed = recorded.events[at.causes[0].sequence - 1].step_id
    twin = recorded_twin(
        recorded.events, program, at=at, result="other", execute=symbolic(), reuse="data"
    )
    act = symbolic()
    full = first_time(program, lambda n, v: "other" if n == changed else act(n, v))
    assert twin.result == full.result
    assert changed not in twin.rerun
    again = provenance_rerun(
        program, recorded.events, failed={str(changed)},
        execute=lambda n, v: "other" if n == changed else act(n, v),
    )  # fmt: skip
    assert set(again.rerun) - {changed} == set(twin.rerun)
    causal = recorded_twin(recorded.events, program, at=at, result="other", execute=symbolic())
    assert causal.result == full.result
    assert set(causal.rerun) >= set(twin.rerun)
    assert told(causal.events[: at.sequence - 1]) == told(recorded.events[: at.sequence - 1])


@workflow
async def asking(ctx: WorkflowContext, value: Any) -> Any:
    first = await ctx.call_activity("first", value)
    try:
        second = await ctx.call_activity("second", first)
    except Exception as error:  # noqa: BLE001 - to be told
        second = type(error).__name__
    return [first, second, await ctx.wait_for_event("go")]


def test_an_answer_may_fail_or_never_come_and_a_signal_may_say_something_else() -> None:
    again = Again(asking, ID, Record([]), symbolic())
    again.tell(Event.of("WorkflowStarted", name="asking", payload={"input": 1}, time_ns=0))
    again.outside([Event.of("Signaled", name="go", payload={"value": 5}, time_ns=9, sequence=99)])
    history = list(again.run().events)
    answers = {e.event_type + str(i): e for i, e in enumerate(history)}
    second = answers["ActivityCompleted4"]
    signal = history[5]
    twin = recorded_twin(history, asking, at=second, error=ValueError("no"), execute=symbolic())
    assert twin.result[1:] == ["ActivityError", 5]
    assert not twin.executed
    twin = recorded_twin(history, asking, at=signal, result=6, execute=symbolic())
    assert twin.result[2] == 6
    for at in (second, signal.sequence):
        twin = recorded_twin(history, asking, at=at, without=True, execute=symbolic())
        assert (twin.status, twin.result) == ("open", None)
    assert repr(twin) == "Redone(open, 0 calls executed, 0 reused)"
    log = twin.log(run_id="what-if")
    assert log.table.num_rows == len(twin.events)
    assert set(log.table.column("run_id").to_pylist()) == {"what-if"}


def test_a_change_that_is_none_is_refused() -> None:
    history = first_time(batch, lambda _n, value: value, 3).events
    asked = next(e for e in history if e.event_type in COMMAND_TYPES)
    answer = next(e for e in history if e.event_type == "ActivityCompleted")
    with pytest.raises(InvalidArgumentError, match="give one change"):
        recorded_twin(history, batch, at=answer, execute={})
    with pytest.raises(InvalidArgumentError, match="give one change"):
        recorded_twin(history, batch, at=answer, execute={}, result=1, without=True)
    with pytest.raises(NotFoundError, match="no event 999"):
        recorded_twin(history, batch, at=999, execute={}, result=1)
    with pytest.raises(InvalidArgumentError, match=r"give execute=\{'add': \.\.\.\}"):
        recorded_twin(history, batch, at=asked, execute={}, result=1)
    with pytest.raises(InvalidArgumentError, match="give the event itself"):
        recorded_twin(
            [*history, answer.replace(workflow_id="v")], batch, at=1, execute={}, result=1
        )
    with pytest.raises(InvalidArgumentError, match="give result=..., another input"):
        recorded_twin(history, batch, at=1, execute={}, without=True)
    twin = recorded_twin(history, batch, at=answer, execute={"add": lambda v: v}, result=100)
    assert twin.result == 103


def test_a_plan_that_is_done_again_begins_at_the_time_at_which_it_began() -> None:
    plan = Program.of(Step("a", agent="x", effect=False))
    first = first_time(plan, symbolic())
    recorded = [event.replace(time_ns=event.time_ns + 7) for event in first.events]
    again = provenance_rerun(plan, recorded, failed=set(), execute=symbolic())
    assert [event.time_ns for event in again.events] == [7] * len(recorded)


def test_a_step_that_was_not_chosen_is_not_done_again_for_what_it_does_not_read() -> None:
    plan = Program.of(
        Sequential(
            Step("a", agent="x", effect=False),
            Conditional(result("a") == "never", Step("b", agent="x", effect=False)),
            Step("c", agent="x", effect=False),
        )
    )
    recorded = first_time(plan, symbolic())
    assert provenance_plan(plan, recorded.events, failed={"c"}).rerun == ("c",)


def test_what_came_after_the_end_of_a_plan_is_no_result_of_it() -> None:
    plan = Program.of(Step("a", agent="x", effect=False))
    started, asked, *_ = first_time(plan, symbolic()).events
    failed = Event.of("WorkflowFailed", workflow_id=ID, sequence=3)
    late = Event.of(
        "ActivityCompleted",
        workflow_id=ID,
        sequence=4,
        payload={"result": 1},
        causes=(Cause(ID, asked.sequence),),
    )
    assert provenance_plan(plan, [started, asked, failed], failed=set()).rerun == ("a",)
    assert provenance_plan(plan, [started, asked, failed, late], failed=set()).rerun == ("a",)
    assert provenance_plan(plan, [started, asked, late], failed=set()).rerun == ()
