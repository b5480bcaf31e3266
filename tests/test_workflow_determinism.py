"""The determinism guard: planted violations are caught by name, innocent programs are let be."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import guard_programs
import pytest
from guard_innocent import INNOCENT
from guard_programs import BY_CHANCE, HEAD, PLANTED, Planted

import flowlab.workflow
from flowlab.cli import main
from flowlab.errors import (
    DeterminismWarning,
    FlowlabError,
    InvalidArgumentError,
    LimitError,
    NonDeterminismError,
    NotFoundError,
)
from flowlab.studies.determinism import DeterminismReport, determinism
from flowlab.workflow import GUARD_RULES, Finding, source_findings, try_out, workflow
from flowlab.workflow.guard_check import collecting
from flowlab.workflow.guard_trial import MAX_TRIAL_EVENTS, difference, replay, run_once

DOCS = Path(__file__).parent.parent / "docs"
GUARD = ("blocked call", "audit hook")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DeterminismReport]:
    """Try all programs out, in as many processes as one needs."""
    folder = tmp_path_factory.mktemp("programs")
    codes = {row.what: row.code for row in PLANTED} | INNOCENT
    targets = []
    for number, code in enumerate(codes.values()):
        path = folder / f"planted_{number}.py"
        path.write_text(HEAD + code, encoding="utf-8")
        targets.append(f"{path}:program")
    return dict(zip(codes, determinism(*targets), strict=True))


@pytest.mark.parametrize("row", PLANTED, ids=lambda row: row.what)
def test_a_planted_violation_is_caught_and_by_these_means(
    reports: dict[str, DeterminismReport], row: Planted
) -> None:
    report = reports[row.what]
    running = [mean for mean in report.means if mean in GUARD]
    runs = [mean for mean in report.means if mean not in {*GUARD, "source check"}]

    assert not report.ok
    assert report.rules == ((row.rule,) if row.rule else ())
    assert running == ([row.running] if row.running else [])
    assert len(set(report.violations)) == len(report.violations)
    if row.runs != BY_CHANCE:
        assert runs == ([row.runs] if row.runs else [])


@pytest.mark.parametrize("what", INNOCENT)
def test_an_innocent_program_is_not_accused(
    reports: dict[str, DeterminismReport], what: str
) -> None:
    report = reports[what]
    assert report.violations == ()
    assert report.end.startswith("WorkflowCompleted")


def test_there_are_enough_of_both() -> None:
    assert len(PLANTED) >= 20
    assert len(INNOCENT) >= 20
    assert {row.rule for row in PLANTED if row.rule} == GUARD_RULES.keys()


def test_the_table_on_the_page_is_the_one_that_is_tested() -> None:
    page = (DOCS / "determinism.md").read_text(encoding="utf-8")
    assert page.endswith(guard_programs.table()), "run: python tests/guard_programs.py"
    for rule in GUARD_RULES.values():
        verdict = "refused" if rule.refused else "warned of"
        assert f"| {rule.name} | {verdict} | {rule.instead} |" in page


def declared(code: str, tmp_path: Path, name: str = "declared") -> ModuleType:
    path = tmp_path / f"{name}.py"
    path.write_text(HEAD + code, encoding="utf-8")
    module = ModuleType(name)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    return module


def planted(what: str) -> str:
    return next(row.code for row in PLANTED if row.what == what)


def test_what_the_world_answers_is_refused_with_every_place_and_what_to_write(
    tmp_path: Path,
) -> None:
    code = planted("time.time").replace("return", "await ctx.sleep(time.monotonic())\n    return")
    with pytest.raises(NonDeterminismError) as caught:
        declared(code, tmp_path)
    path = tmp_path / "declared.py"
    assert caught.value.mean == "source check"
    assert f"{path}:8: clock: time.monotonic; the time is ctx.now_ns()" in str(caught.value)
    assert f"{path}:9: clock: time.time;" in str(caught.value)
    assert "@workflow(unchecked=" in str(caught.value)


# It was told of the clock, and to let an activity do it, which is what the code does.
def test_a_function_that_is_asked_for_as_an_activity_is_none_of_the_workflow_s_code(
    tmp_path: Path,
) -> None:
    row = INNOCENT["an activity that does what a workflow may not"].replace("@activity\n", "")
    asked = "return await ctx.call_activity(stamp, 1)"
    assert asked in row
    step = "saga.step(stamp, compensation=stamp)"
    saga = f"async with ctx.saga() as saga:\n        return await {step}"
    for named in (asked, saga):
        assert declared(row.replace(asked, named), tmp_path).program.name == "program"
    for called in ("return stamp(1)", "return ctx.step(stamp)"):
        with pytest.raises(NonDeterminismError, match="clock"):
            declared(row.replace(asked, called), tmp_path)


def test_what_may_be_harmless_is_warned_of_at_its_line(tmp_path: Path) -> None:
    with pytest.warns(DeterminismWarning, match="sorted") as caught:
        declared(planted("the order of a set decides the order of calls"), tmp_path)
    (warned,) = caught
    assert (warned.filename, warned.lineno) == (str(tmp_path / "declared.py"), 5)


def test_a_reason_lets_any_workflow_pass(tmp_path: Path) -> None:
    code = planted("time.time").replace("@workflow", '@workflow(unchecked="it shows the clock")')
    assert declared(code, tmp_path).program.unchecked == "it shows the clock"
    for reason in ("", " ", True):
        with pytest.raises(InvalidArgumentError, match="the reason"):
            workflow(unchecked=reason)(declared(code, tmp_path).program.body)  # type: ignore[call-overload]


def test_without_source_nothing_is_said() -> None:
    space: dict[str, Any] = {}
    exec(HEAD + planted("time.time"), space)
    assert source_findings(space["program"].body) == ()


def test_the_check_sees_helpers_before_and_after_and_those_they_call(tmp_path: Path) -> None:
    code = """
import time

def first(): return second()

@workflow
async def program(ctx, value):
    return first()

def second(): return third()
def third(): return time.time()
def unused(): return time.monotonic()
"""
    with collecting() as found:
        declared(code, tmp_path)
    assert [(finding.rule, finding.line) for finding in found] == [("clock", 12)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("min({'a', 'b'}, key=len)", "set order"),
        ("min({'a', 'b'})", ""),
        ("sorted(list({'a'}))", "set order"),
        ("sorted(x for x in {'a'})", ""),
        ("','.join({'a', 'b'})", "set order"),
        ("f\"{set('ab')}\"", "set order"),
        ("[x for x in {1, 2, 3}]", ""),
        ("[x for x in {'a': 1}.keys() - {'b': 2}.keys()]", "set order"),
        ("[x for x in {'a': 1}.keys()]", ""),
        ("next(iter(frozenset('ab')))", "set order"),
        ("{x: 1 for x in set(value)}", "set order"),
        ("{x for x in set(value)}", ""),
        ("len(set(value))", ""),
        ("dict.fromkeys(set(value))", "set order"),
        ("value.pop()", ""),
        ("value.update(a=1)", ""),
        ("__import__('os').getcwd()", ""),
        ("hash(value)", "identity"),
        ("value.hash(1)", ""),
        ("open", "file"),
        ("value.open()", ""),
        ("(lambda time: time.time())(value)", ""),
        ("(lambda id: id)(1)", ""),
        ("vars()", "global"),
        ("vars(value)", ""),
        ("(lambda a=[]: a)()", "mutable default"),
    ],
)
def test_an_expression_is_accused_of_this(line: str, rule: str, tmp_path: Path) -> None:
    with collecting() as found:
        declared(f"@workflow\nasync def program(ctx, value):\n    return {line}\n", tmp_path)
    assert {finding.rule for finding in found} == ({rule} if rule else set())


def functions() -> list[Callable[..., Any]]:
    found: list[Callable[..., Any]] = []
    modules = [value for value in vars(flowlab.workflow).values() if inspect.ismodule(value)]
    for module in modules:
        for value in vars(module).values():
            if inspect.isfunction(value):
                found.append(value)
            elif inspect.isclass(value):
                found += [member for member in vars(value).values() if inspect.isfunction(member)]
    return found


def test_the_check_reads_any_code_and_says_the_same_twice() -> None:
    checked = [function for function in functions() if function.__module__ == inspect.__name__]
    checked += functions()[:200]
    for function in checked:
        assert source_findings(function) == source_findings(function)


def test_a_finding_of_no_rule_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="rules are clock"):
        Finding("weather", "a.py", 1, "rain")


# -- trial runs -----------------------------------------------------------------------------------


def test_a_trial_answers_signals_and_cuts_what_never_ends() -> None:
    @workflow
    async def waiting(ctx: Any, _: Any) -> Any:
        return await ctx.wait_for_event("go")

    @workflow
    async def endless(ctx: Any, _: Any) -> Any:
        while True:
            await ctx.sleep(1)

    @workflow
    async def stuck(ctx: Any, _: Any) -> Any:
        await ctx.when_all(*[ctx.wait_for_event("go"), ctx.when_any(ctx.wait_for_event("go"))])

    assert try_out(waiting).end.startswith("WorkflowCompleted")
    tried = try_out(endless, orders=1)
    assert "MAX_TRIAL_EVENTS" in tried.end
    assert tried.violations == ()
    assert MAX_TRIAL_EVENTS <= len(tried.histories[0]) <= MAX_TRIAL_EVENTS + 2
    assert try_out(stuck).violations == ()
    with pytest.raises(InvalidArgumentError, match="orders is 0"):
        try_out(waiting, orders=0)


def test_a_replay_says_what_is_left_over_and_a_difference_names_both_sides() -> None:
    @workflow
    async def short(_ctx: Any, _: Any) -> int:
        return 1

    @workflow
    async def long(ctx: Any, _: Any) -> int:
        return await ctx.call_activity("more")

    left, right = run_once(short, None), run_once(long, None)
    assert replay(short, left) is None
    assert "asks for WorkflowCompleted short" in str(replay(short, left[:1]))
    assert "they differ in kind" in str(replay(long, left))
    assert difference(left, left) is None
    assert difference(left, right) == (
        'event 2 is WorkflowCompleted short({"result":1}) in the first run and '
        'ActivityScheduled more({"attempt":1,"input":null}) in the second'
    )
    assert str(difference(left, left[:1])).endswith("in the first run and nothing in the second")


# -- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_it_found_and_by_which_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trips.py"
    path.write_text(HEAD + planted("time.time") + INNOCENT["a saga"].replace("program", "good"))

    assert main(["determinism", f"{path}:program", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    means = [violation["mean"] for violation in told["violations"]]
    assert (told["ok"], means) == (False, ["source check", "blocked call", "second run"])

    assert main(["determinism", f"{path}:good", "--input", '{"n": 1}', "--seed", "3"]) == 0
    assert "good: nothing found; 4 histories were replayed" in capsys.readouterr().out


def test_the_command_takes_answers_and_says_why_a_workflow_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "priced.py"
    path.write_text(
        HEAD
        + """
@workflow(unchecked="for the test")
async def priced(ctx, value):
    return (await ctx.call_activity("price", value))["total"]
"""
    )
    assert main(["determinism", f"{path}:priced", "--answers", '{"price": {"total": 7}}']) == 0
    out = capsys.readouterr().out
    assert 'WorkflowCompleted {"result":7}' in out
    assert "the guard leaves it alone: for the test" in out
    assert "priced: nothing found" in out


def test_a_plan_is_data_and_a_scenario_is_asked_for_its_workflow(tmp_path: Path) -> None:
    path = tmp_path / "mixed.py"
    path.write_text(
        HEAD
        + INNOCENT["a saga"]
        + """
from flowlab.workflow import Plan, Sequential, Step


class Scenario:
    workflow = program


plan = Plan(Sequential(Step("a", agent="b", compensation="c")))
scenario = Scenario()
"""
    )
    of_plan, of_scenario = determinism(f"{path}:plan", f"{path}:scenario")
    assert of_plan.plan
    assert "is a plan" in str(of_plan)
    assert (of_scenario.ok, of_scenario.runs) == (True, 4)


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("trips", InvalidArgumentError, "MODULE:WORKFLOW"),
        ("trips:", InvalidArgumentError, "MODULE:WORKFLOW"),
        ("no_such_module_here:trip", InvalidArgumentError, "cannot be loaded"),
        ("no/such/file.py:trip", NotFoundError, "no file"),
        ("json:absent", NotFoundError, "workflows there are: none"),
        ("json:dumps", InvalidArgumentError, "is no workflow"),
    ],
)
def test_a_target_that_is_none_is_refused_by_name(
    target: str, error: type[FlowlabError], said: str
) -> None:
    with pytest.raises(error, match=said):
        determinism(target)


def test_a_loop_without_an_end_is_stopped_at_a_limit_and_an_exit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.studies.determinism.TIMEOUT_S", 2)
    path = tmp_path / "stubborn.py"
    path.write_text(HEAD + "while True:\n    pass\n")
    with pytest.raises(LimitError, match="TIMEOUT_S"):
        determinism(f"{path}:program")
    monkeypatch.undo()
    path.write_text(HEAD + "raise SystemExit(3)\n")
    with pytest.raises(InvalidArgumentError, match="ended with code 3"):
        determinism(f"{path}:program")


def test_options_that_are_no_json_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["determinism", "json:dumps", "--input", "Ada"]) == 2
    assert "double quotes" in capsys.readouterr().err
    assert main(["determinism", "json:dumps", "--answers", "[]"]) == 2
    assert "JSON object" in capsys.readouterr().err
