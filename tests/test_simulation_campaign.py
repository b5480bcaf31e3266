"""Campaigns: the same rows and logs whoever runs them, and the same worlds in every arm."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from simulated_worlds import STORMY, booked, booking, saving, unruled

from flowlab import EventLog, EventStore, FlowlabError
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.simulation import (
    Agent,
    Faults,
    Network,
    Run,
    World,
    scenario,
    simulate,
    simulate_many,
)
from flowlab.simulation.grid import COLUMNS
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.work import Job, run_job
from flowlab.workflow import RetryPolicy, Step

GRID = {
    "retry": {"once": RetryPolicy(maximum_attempts=1), "thrice": RetryPolicy(maximum_attempts=3)},
    "faults": {"none": None, "stormy": STORMY},
}
FEW: dict[str, Any] = {"seeds": range(5, 25), "grid": GRID, "batch": 7}


class Backwards(Executor):
    """Runs nothing until a result is asked for, and then what was submitted last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        outer = self

        class Lazy(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                while not self.done():
                    future, work = outer.waiting.pop()
                    future.set_result(work())
                return super().result(timeout)

        future: Future[Any] = Lazy()
        self.waiting.append((future, lambda: function(*args, **kwargs)))
        return future


class Kept:
    """A sink that keeps each log that is appended to it."""

    def __init__(self) -> None:
        self.logs: list[EventLog] = []

    def append_log(self, log: EventLog) -> object:
        self.logs.append(log)
        return None


def alike(one: Any, other: Any) -> None:
    assert one.digest == other.digest
    assert_frame_equal(one.rows, other.rows)
    assert_frame_equal(one.violations, other.violations)
    assert_frame_equal(one.stuck, other.stuck)
    assert repr(one) == repr(other)


def test_a_campaign_depends_neither_on_its_executor_nor_on_the_order_of_completion() -> None:
    sink = Kept()
    here = simulate_many(booking, store=sink, **FEW)
    assert len(here) == 80
    for executor in (ThreadPoolExecutor(3), Backwards(), ProcessPoolExecutor(2)):
        kept = Kept()
        with executor:
            alike(here, simulate_many(booking, executor=executor, store=kept, **FEW))
        assert [log.table for log in kept.logs] == [log.table for log in sink.logs]
        assert [log.runs for log in kept.logs] == [log.runs for log in sink.logs]


def test_what_a_worker_hands_back_arrives_as_it_was_sent() -> None:
    recipe = Recipe.of(booking, 0, STORMY, {})
    for seeds, wants_events in ((range(1, 30), True), (range(1), True), (range(3), False)):
        sent = run_job(Job(recipe, seeds, "there", {}, wants_events=wants_events))
        come = pickle.loads(pickle.dumps(sent))
        assert come.events == sent.events
        assert (come.events is None) is not wants_events
        for field in ("columns", "violations", "stuck", "digests", "infos"):
            assert getattr(come, field) == getattr(sent, field)


def test_a_number_of_processes_is_an_executor_and_code_goes_there_too() -> None:
    measures = {"balance": _balance}
    here = simulate_many(saving, seeds=6, measures=measures)
    assert here.rows["balance"].to_list() == [40] * 6
    alike(here, simulate_many(saving, seeds=6, batch=2, executor=2, measures=measures))


def _balance(run: Run) -> int:
    return int(run.states["account"]["balance"])


@settings(max_examples=20)
@given(
    st.integers(1, 30),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12, unique=True),
)
def test_the_size_of_batches_changes_nothing(batch: int, seeds: list[int]) -> None:
    alike(
        simulate_many(booking, seeds=seeds, faults=STORMY, batch=batch),
        simulate_many(booking, seeds=seeds, faults=STORMY, batch=1),
    )


def test_every_run_of_a_campaign_is_the_run_that_simulate_gives() -> None:
    kept = Kept()
    campaign = simulate_many(booking, store=kept, measures={"booked": booked}, **FEW)
    log = EventLog.concat(kept.logs)
    assert log.digest == campaign.digest
    for place, arm in enumerate(campaign.arms):
        for row in campaign.rows[place * 20 : place * 20 + 20].iter_rows(named=True):
            labels = arm.labels
            run = simulate(
                booking,
                seed=row["seed"],
                faults=GRID["faults"][labels["faults"]],
                retry=GRID["retry"][labels["retry"]],
            )
            assert run.run_id == row["run_id"]
            assert run.digest == campaign.run(row["run_id"]).digest
            assert run.digest == log.filter(run_id=run.run_id).digest
            assert (row["retry"], row["faults"]) == (labels["retry"], labels["faults"])
            assert row["ok"] == run.ok
            assert row["events"] == run.event_count == len(run.log)
            assert row["duration_ns"] == run.end_ns
            assert row["workflows"] == len(run.statuses) == 2
            for status in ("completed", "failed", "canceled"):
                assert row[status] == list(run.statuses.values()).count(status)
            assert row["stuck"] == len(run.stuck)
            assert row["violations"] == len(run.violations)
            assert row["fault_count"] == len(run.faults)
            assert row["fault_kinds"] == sorted({id_.partition(":")[0] for id_ in run.faults})
            assert row["booked"] == booked(run)


def test_the_same_worlds_run_in_every_arm() -> None:
    campaign = simulate_many(booking, **FEW)
    seeds = campaign.rows.group_by("retry", "faults", maintain_order=True).agg("seed")
    assert seeds["seed"].to_list() == [list(range(5, 25))] * 4
    # What goes wrong is drawn by names: a patient arm meets all that befell the impatient one
    # before its first retry, and where nothing goes wrong both are the same world.
    calm = campaign.rows.filter(faults="none")
    once, thrice = calm.filter(retry="once"), calm.filter(retry="thrice")
    assert once["duration_ns"].to_list() == thrice["duration_ns"].to_list()


def test_findings_are_listed_with_the_world_that_they_are_in() -> None:
    campaign = simulate_many(booking, seeds=40, faults=STORMY, strict=True)
    assert not campaign.ok
    assert campaign.violations.columns == ["run_id", "seed", "invariant", "message"]
    assert campaign.violations["invariant"].unique().to_list() == ["no_more_than_completed"]
    for row in campaign.violations.iter_rows(named=True):
        assert campaign.run(row["run_id"]).violations[0].message == row["message"]
    assert str(campaign).splitlines()[1].startswith(campaign.violations["run_id"][0])
    hanging = simulate_many(unruled, seeds=9, faults=Faults(hang=0.5), network=Network())
    assert hanging.rows["failed"].sum() > 0


def test_a_campaign_is_saved_whole_and_in_the_order_of_its_worlds(tmp_path: Path) -> None:
    with EventStore(tmp_path / "store") as store:
        campaign = simulate_many(booking, store=store, namespace="trial", **FEW)
        log = store.snapshot().log()
        assert log.digest == campaign.digest
        assert {run.run_id for run in log.runs} == set(campaign.rows["run_id"])
        order = log.to_polars().sort("position")["run_id"].unique(maintain_order=True)
        assert order.to_list() == campaign.rows["run_id"].to_list()
        assert {run.namespace for run in log.runs} == {"trial"}


def test_a_run_that_the_store_has_is_refused_before_anything_runs(tmp_path: Path) -> None:
    # Of seeds that overlapped, the new ones before were kept, and the error named a sequence.
    with EventStore(tmp_path / "store") as store:
        run = simulate(booking, seed=7)
        run.save(store)
        position = store.snapshot().position
        told = r"has the run 'booking-7' already.*give other seeds, another namespace"
        with pytest.raises(InvalidArgumentError, match=told):
            run.save(store)
        with pytest.raises(InvalidArgumentError, match=told):
            simulate_many(booking, seeds=range(9), batch=2, store=store)
        assert store.snapshot().position == position
        simulate_many(booking, seeds=[7], store=store, namespace="other")
        assert len(store.runs) == 2


def test_a_network_and_a_retry_policy_may_be_varied_in_any_world_of_plans() -> None:
    policies = {"one": RetryPolicy(maximum_attempts=1), "nine": RetryPolicy(maximum_attempts=9)}
    campaign = simulate_many(
        unruled,
        seeds=30,
        faults=Faults(fail=0.3),
        grid={"retry": policies, "network": [None, Network(latency=7)]},
    )
    assert campaign.axes == ("retry", "network")
    failed = campaign.by_arm()["failed"].to_list()
    assert failed[0] == failed[1] > 0 == failed[2] == failed[3]
    assert set(campaign.rows["network"]) == {"null", "Network(latency=Constant(value=7))"}
    told = campaign.run(campaign.rows["run_id"][-1]).log.runs[0].parameters
    assert told["retry"] == {"maximum_attempts": 9}
    with pytest.raises(
        InvalidArgumentError, match="'saver' is no plan.*give the scenario a parameter"
    ):
        simulate_many(saving, seeds=1, retry=policies["nine"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"grid": {"clients": [1]}}, "has no parameter 'clients'; it has: customers"),
        ({"clients": 1}, "has no parameter 'clients'"),
        ({"grid": {"customers": []}}, "'customers' of the grid has no values"),
        ({"grid": {"customers": 3}}, "expected a list of values"),
        ({"grid": {"customers": [2, 2]}}, "are told alike"),
        ({"grid": {"customers": [1]}, "customers": 2}, "'customers' is given and is an axis"),
        ({"grid": {"faults": ["none"]}, "faults": "chaos"}, "'faults' is given and is an axis"),
        ({"grid": {"faults": [Faults(), None]}}, "are the same worlds"),
        ({"grid": {"faults": ["storm"]}}, "no preset of faults 'storm'"),
        ({"grid": {"network": ["fast"]}}, "network is 'fast'; expected a Network"),
        ({"grid": [1]}, "expected a mapping such as"),
        ({"grid": {"retry": [3]}}, "retry is a RetryPolicy"),
        ({"seeds": 0}, "expected ints"),
        ({"seeds": []}, "needs seeds"),
        ({"seeds": [1, 2, 1]}, "seed 1 is there twice"),
        ({"seeds": [1.5]}, "seed is 1.5"),
        ({"seeds": "12"}, "expected ints"),
        ({"batch": 0}, "batch is 0"),
        ({"store": 3}, "expected an EventStore"),
        ({"executor": 0}, "executor is 0"),
        ({"measures": {"ok": len}}, "measure 'ok'"),
        ({"measures": {"size": 3}}, "measure 'size' is 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_runs(given: dict[str, Any], told: str) -> None:
    kept = Kept()
    with pytest.raises(FlowlabError, match=told):
        simulate_many(booking, **{"seeds": 3, "store": kept, **given})
    assert kept.logs == []


# A column of nulls was told as one of texts, and one of numbers and texts as texts: in silence.
@pytest.mark.parametrize(
    ("measure", "told"),
    [
        (lambda _: None, "measure 'x' is None in the world of seed 4; expected a number, a te"),
        (lambda run: 1 if run.seed < 6 else None, "is None in the world of seed 6; expected"),
        (lambda run: 1 << 33 * run.seed, "is an int of 133 bits in the world of seed 4, and a"),
        (lambda run: [run.seed], r"measure 'x' is \[4\] in the world of seed 4; expected"),
        (lambda run: run.seed if run.seed < 6 else "a", "'a' in the world of seed 6, and a number"),
        (lambda run: run.seed == 4 or run.seed, "is 5 in the world of seed 5, and a truth value"),
    ],
)
@pytest.mark.parametrize("batch", [1, 10])
def test_what_is_measured_is_of_one_kind_in_all_worlds(
    measure: Callable[[Run], Any], told: str, batch: int
) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        simulate_many(booking, seeds=range(4, 8), measures={"x": measure}, batch=batch)


def test_numbers_of_several_types_are_one_kind() -> None:
    found = simulate_many(
        booking, seeds=4, measures={"x": lambda run: [1, 2.5, np.int64(3), np.float64(4)][run.seed]}
    )
    assert found.rows["x"].to_list() == [1.0, 2.5, 3.0, 4.0]


def test_an_int_that_a_column_has_room_for_is_the_value_of_its_row() -> None:
    large = [(1 << 127) - 1, -(1 << 127) + 1]
    found = simulate_many(booking, seeds=2, measures={"x": lambda run: large[run.seed]})
    assert found.rows["x"].to_list() == large


def test_an_axis_that_is_a_column_is_refused() -> None:
    @scenario
    def odd(*, events: int = 1) -> World:
        return World(
            [Agent("bank", named={"charge": print})],
            Step("charge", agent="bank", kind="pivot"),
            events,
        )

    with pytest.raises(InvalidArgumentError, match="has the name of a column"):
        simulate_many(odd, seeds=1, grid={"events": [1, 2]})
    with pytest.raises(InvalidArgumentError, match="not at the top level of a module"):
        simulate_many(odd, seeds=1, executor=2)
    with pytest.raises(InvalidArgumentError, match="cannot go to another process.*measures must"):
        simulate_many(booking, seeds=1, executor=2, measures={"n": lambda _: 1})


SCRIPT = """
import flowlab as fl
from flowlab.scenarios import SCENARIOS
print("begun")
{guard}print(fl.simulate_many(SCENARIOS["trip"], seeds=4, executor=2, progress=False))
"""


def ran(script: str, *words: str) -> tuple[str, str]:
    """Run a script, from standard input if no words say how; return what it prints and told."""
    command = [sys.executable, *(words or ["-"])]
    ended = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    return ended.stdout, ended.stderr


# Each process ran the script again, with a campaign of its own, and saved the worlds first.
def test_a_script_that_each_process_would_begin_again_is_refused_before_any_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=""), encoding="utf-8")
    printed, told = ran("", str(path))
    assert printed == "begun\n"
    assert 'put what runs under if __name__ == "__main__":' in told
    path.write_text(SCRIPT.format(guard='if __name__ == "__main__": '), encoding="utf-8")
    printed, told = ran("", str(path))
    assert printed.count("Campaign('trip', 4 runs, 4 ok)") == 1
    assert told == ""


# The processes looked for a file of the name <stdin>, and ended.
def test_a_script_from_standard_input_may_use_processes() -> None:
    assert ran(SCRIPT.format(guard="")) == ("begun\nCampaign('trip', 4 runs, 4 ok)\n", "")


def test_a_scenario_is_pickled_by_the_name_that_its_module_has_for_it() -> None:
    assert pickle.loads(pickle.dumps(booking)) is booking
    recipe = simulate(booking, seed=3, customers=1).recipe
    again = pickle.loads(pickle.dumps(recipe))
    assert again.run_id == recipe.run_id != "booking-3"
    # A default that was given, or that came from another process, is no other world.
    assert simulate(booking, seed=3, retry=RetryPolicy(maximum_attempts=2)).run_id == "booking-3"


@scenario
def broken(*, at: int = 2) -> World:
    def invariant(run: Run) -> bool:
        return 1 // (run.seed - at) != 99

    bank = Agent("bank", named={"charge": lambda: "paid"})
    return World([bank], Step("charge", agent="bank", kind="pivot"), invariants=[invariant])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_world_that_raises_is_named(workers: int) -> None:
    with ThreadPoolExecutor(workers or 1) as pool, pytest.raises(ZeroDivisionError) as raised:
        simulate_many(broken, seeds=5, batch=1, executor=pool if workers else None)
    assert raised.value.__notes__ == [
        "in the invariant 'invariant'",
        "in the world 'broken-2', seed 2",
    ]


def test_an_invariant_that_reads_the_log_sees_its_own_world_alone() -> None:
    kept = Kept()
    seen = simulate_many(
        booking,
        seeds=20,
        faults=STORMY,
        store=kept,
        measures={"digest": lambda run: run.digest, "events_seen": lambda run: len(run.log)},
    )
    log = EventLog.concat(kept.logs)
    for row in seen.rows.iter_rows(named=True):
        assert row["digest"] == log.filter(run_id=row["run_id"]).digest
        assert row["events_seen"] == row["events"]


def test_a_world_without_events_counts_and_has_no_digest() -> None:
    campaign = simulate_many(booking, seeds=3, customers=0)
    assert campaign.rows["events"].to_list() == [0, 0, 0]
    assert campaign.digest == EventLog.from_events([]).digest


def test_rows_have_the_columns_that_the_page_lists_and_axes_after_the_seed() -> None:
    campaign = simulate_many(booking, seeds=2, grid={"customers": [1, 2]}, measures={"n": booked})
    assert campaign.rows.columns == ["run_id", "seed", "customers", *COLUMNS[2:], "n"]
    assert campaign.rows["customers"].dtype == pl.Int64
    assert campaign.to_polars() is campaign.rows
    assert repr(campaign) == "Campaign('booking', 4 runs, 2 arms by customers, 4 ok)"
    assert campaign._repr_html_().count("<tr>") == 3
    assert json.loads(campaign.by_arm().write_json())[1]["completed"] == 4
    with pytest.raises(NotFoundError, match="no run 'booking-99'"):
        campaign.run("booking-99")


def test_arms_are_compared_on_the_worlds_that_they_share() -> None:
    from flowlab.studies.comparison import compare

    policies = {"one": RetryPolicy(maximum_attempts=1), "five": RetryPolicy(maximum_attempts=5)}
    campaign = simulate_many(
        booking, seeds=60, faults=Faults(fail=0.2), grid={"retry": policies}, customers=1
    )
    done = compare(campaign, by="retry", outcome="completed")
    difference = done.difference_of("five")
    assert difference is not None
    assert difference.pairs == 60
    assert difference.detectable
    assert compare(campaign, by="retry", outcome="ok").difference_of("five").estimate.value == 0
