"""The verbs that list scenarios and simulate them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowlab.cli import main
from flowlab.events import EventLog
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import FAULT_PRESETS, Agent, Scenario, World, scenario, simulate
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

KEYS = ["scenario", "seed", "runs", "events", "statuses", "violations", "digest"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def simulated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, err = run(capsys, "simulate", *words, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_scenarios_are_listed_with_what_each_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "scenarios", "--json")
    listed = json.loads(out)

    assert code == 0
    assert [item["name"] for item in listed] == list(SCENARIOS)
    assert all(item["summary"] and item["agents"] for item in listed)
    assert [item["parameters"]["bug"] for item in listed] == [False] * len(listed)
    assert not any(item["name"].split() != [item["name"]] for item in listed)
    assert run(capsys, "scenarios")[1].splitlines()[0].startswith(listed[0]["name"])


def test_the_help_names_every_preset_of_faults(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "simulate", "--help")
    assert FAULT_PRESETS.keys() <= set(out.replace(",", " ").split())


def test_one_run_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    expected = simulate(SCENARIOS["trip"], seed=11, faults="chaos", bug=True)
    words = ("trip", "--seed", "11", "--faults", "chaos", "--param", "bug=true")
    told = simulated(capsys, *words)

    assert list(told) == KEYS
    assert (told["scenario"], told["seed"], told["runs"]) == ("trip", 11, 1)
    assert (told["events"], told["digest"]) == (expected.event_count, expected.digest)
    assert sum(told["statuses"].values()) == len(expected.statuses)
    assert told["violations"] == [
        {"seed": 11, "invariant": found.invariant, "message": found.message}
        for found in expected.violations
    ]
    assert simulated(capsys, *words) == told


def test_several_runs_are_the_sum_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    expected = [simulate(SCENARIOS["order"], seed=seed, faults="network") for seed in range(4, 9)]
    told = simulated(capsys, "order", "--seed", "4", "--runs", "5", "--faults", "network")

    assert told["events"] == sum(run.event_count for run in expected)
    assert sum(told["statuses"].values()) == sum(len(run.statuses) for run in expected)
    assert told["digest"] == EventLog.concat(run.log for run in expected).digest


def test_what_is_stored_is_what_was_simulated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("trip", "--seed", "1", "--runs", "3", "--store", str(tmp_path / "s"))
    told = simulated(capsys, *words)

    with EventStore(tmp_path / "s", read_only=True) as store:
        assert store.log().digest == told["digest"]
        assert [(r.scenario, r.seed) for r in store.runs] == [("trip", n) for n in (1, 2, 3)]
    code, _, err = run(capsys, "simulate", *words)
    assert (code, "has the run 'trip-1' already" in err) == (2, True)
    code, out, _ = run(capsys, "simulate", "trip", "--seed", "9", "--store", str(tmp_path / "s"))
    assert (code, "next: flowlab sql --store" in out) == (0, True)


def test_a_person_reads_statuses_violations_and_what_to_do_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, one, _ = run(capsys, "simulate", "email", "--seed", "1", "--param", "bug=true")
    assert "email, seed 1: " in one
    assert "customer-1  failed" in one
    assert "violation: seed 1: every_mail_is_true: customer-1 was told" in one
    assert "next: flowlab simulate email --seed 1 --param bug=true --store DIR" in one
    _, many, _ = run(capsys, "simulate", "email", "--runs", "50", "--param", "bug=true")
    assert "email, seeds 0 to 49: " in many
    assert "completed  " in many
    assert "20 of " in many
    _, parts, _ = run(capsys, "simulate", "email", "--param", "mail_as=pivot")
    assert "violation" not in parts


def test_a_workflow_that_does_not_end_is_told_with_what_it_waits_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow
    async def asks(ctx: WorkflowContext, _: Any) -> Any:
        while True:
            await ctx.call_activity("when", agent="bank")

    @scenario(name="stuck")
    def build(*, bug: bool = False) -> World:
        del bug
        return World([Agent("bank", named={"when": lambda: None})], asks, max_events=100)

    assert isinstance(build, Scenario)
    monkeypatch.setattr("flowlab.scenarios.scenario_named", lambda _: build)
    code, out, _ = run(capsys, "simulate", "stuck")

    assert code == 0
    assert "asks-1    open" in out
    assert "stuck: seed 0: asks-1 waits for " in out
    assert "stopped world: seed 0: max_events" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope",), "no scenario 'nope'"),
        (("trip", "--faults", "foo"), "no preset of faults 'foo'"),
        (("trip", "--param", "size=3"), "has no parameter 'size'"),
        (("trip", "--param", "trips=many"), "expected int"),
        (("trip", "--param", "declined=true"), "expected float"),
        (("trip", "--param", "bug"), "is not NAME=JSON"),
        (("trip", "--runs", "0"), "no number from 1"),
        (("trip", "--seed", "one"), "invalid int value"),
        (("trip", "--seed", str(2**64)), "expected an int of 64 bits"),
        (("email", "--param", "mail_as=compensable"), "no-compensation"),
    ],
)
def test_bad_input_is_one_clear_error_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, "simulate", *words, "--store", str(tmp_path / "s"))

    assert (code, out, said in err) == (2, "", True), err
    assert not (tmp_path / "s").exists()
