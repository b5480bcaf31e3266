"""What a log tells of failures, and when to checkpoint what it shows."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowlab as fl
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.recovery.estimates import Costs, Estimates, Prior
from flowlab.recovery.failures import Exponential, Weibull
from flowlab.recovery.measured import fit_costs
from flowlab.recovery.observed import observe
from flowlab.recovery.policies import EveryEvents, Lawful
from flowlab.recovery.recommending import poisson_interval, recommend
from flowlab.recovery.replaying import band, best_interval, cost
from flowlab.recovery.schemes import Checkpointed
from flowlab.runtime import Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext

COSTS = Costs(snapshot_s=0.05, load_s=0.02, replay_s=0.0005)
SECOND = 10**9


def history(
    workflow: str,
    times_s: list[float],
    *,
    agent: str = "host",
    ends: bool = True,
    generation: int = 0,
    first: int = 1,
) -> list[Event]:
    kinds = ["WorkflowStarted", *["MarkerRecorded"] * (len(times_s) - 1)]
    if ends and len(times_s) > 1:
        kinds[-1] = "WorkflowCompleted"
    return [
        Event(
            workflow_id=workflow,
            sequence=first + k,
            agent_id=agent,
            agent_sequence=first + k,
            time_ns=round(at * SECOND),
            event_type=kind,
            name="m",
            generation=generation,
            payload=b"{}",
        )
        for k, (at, kind) in enumerate(zip(times_s, kinds, strict=True))
    ]


def faults(told: list[tuple[str, float]], *, agent: str = "host") -> list[Event]:
    return [
        Event(
            workflow_id=f"@{agent}",
            sequence=k,
            agent_id=agent,
            agent_sequence=10**6 + k,
            time_ns=round(at * SECOND),
            event_type={"crash": "AgentCrashed", "restart": "AgentRestarted"}[kind],
            name=agent,
        )
        for k, (kind, at) in enumerate(told, 1)
    ]


def paced(events: int, seconds: float) -> list[float]:
    return [seconds * k / (events - 1) for k in range(events)]


def test_crashes_gaps_and_downtimes_are_those_of_the_log() -> None:
    told = [("crash", 10), ("restart", 14), ("crash", 50), ("restart", 52)]
    log = EventLog.from_events([*history("w", paced(101, 100)), *faults(told)])
    seen = observe(log)
    assert (seen.kind, seen.events, seen.longest, seen.failures) == ("workflow", 101, 101, 2)
    assert (seen.gaps_s, seen.censored_s, seen.down_s) == ((10.0, 36.0), (48.0,), 3.0)
    assert seen.events_per_s == 101 / 94
    assert seen.payload_bytes == 2.0
    assert repr(seen) == "Observed(1 workflow, 101 events, 2 recoveries in 94 s)"


def test_a_restart_without_a_crash_is_a_crash_that_nobody_could_write() -> None:
    log = EventLog.from_events([*history("w", paced(11, 100)), *faults([("restart", 30)])])
    seen = observe(log)
    assert (seen.failures, seen.gaps_s, seen.censored_s, seen.down_s) == (1, (30.0,), (70.0,), None)


def test_a_crash_recovers_each_workflow_that_was_open_on_its_agent_and_no_other() -> None:
    log = EventLog.from_events(
        [
            *history("open", [0, 20, 40]),
            *history("ended", [0, 5]),
            *history("later", [30, 40]),
            *history("waiting", [0, 3], ends=False),
            *history("elsewhere", [0, 40], agent="other"),
            *faults([("crash", 10)]),
        ]
    )
    seen = observe(log)
    # "waiting" has not ended, and can fail up to the end of the run.
    assert (seen.failures, seen.gaps_s) == (2, (10.0, 10.0))
    assert sorted(seen.censored_s) == [5.0, 10.0, 30.0, 30.0, 40.0]


def test_a_generation_counts_as_a_workflow_since_recovery_reads_the_newest_alone() -> None:
    log = EventLog.from_events(
        [
            *history("w", paced(30, 10)),
            *history("w", [10.0, 11.0], generation=1, first=31),
        ]
    )
    assert observe(log).lengths == ((2, 1), (30, 1))


def test_where_crashes_hit_agents_alone_agents_are_what_recovers() -> None:
    log = EventLog.from_events(
        [
            *history("w", paced(50, 10)),
            *faults([("crash", 4), ("restart", 5)], agent="worker"),
        ]
    )
    assert (observe(log).kind, observe(log).events) == ("agent", 2)
    assert observe(log, kind="workflow").failures == 0


def test_of_a_simulated_campaign_every_crash_of_a_host_is_counted() -> None:
    logs = [
        fl.simulate(SCENARIOS["trip"], seed=seed, faults=fl.Faults(host_crash=0.1)).log
        for seed in range(12)
    ]
    log = EventLog.concat(logs)
    seen = observe(log)
    crashes = [event for event in log if event.event_type == "AgentCrashed"]
    history_events = [event for event in log if not event.workflow_id.startswith("@")]
    assert seen.failures == len(crashes) > 8
    assert seen.events == len(history_events)
    lengths = Counter((event.run_id, event.workflow_id) for event in history_events)
    assert seen.lengths == tuple(sorted(Counter(lengths.values()).items()))
    found = recommend(log, costs=COSTS)
    assert found.p == len(crashes) / len(history_events)
    assert not found.worth
    assert "No checkpoint is needed" in found.words


def test_each_time_the_durable_host_takes_a_workflow_up_is_a_recovery(tmp_path: Path) -> None:
    @fl.workflow
    async def wait(ctx: WorkflowContext, _: object) -> None:
        await ctx.call_activity("give", 1)
        await ctx.wait_for_event("go")

    def give(value: int) -> int:
        return value

    async def stopped() -> None:
        async with Runtime(store, wait, activities={"give": give}) as runtime:
            if not await runtime.recover():
                await runtime.start(wait, id="w")
            await asyncio.sleep(0.02)

    with EventStore(tmp_path / "s") as store:
        for _ in range(3):
            asyncio.run(stopped())
        seen = observe(store)
        assert observe(store.snapshot()) == observe(store.read("/")) == seen
    assert (seen.kind, seen.count, seen.failures) == ("workflow", 1, 2)


CRASHES = [(kind, at) for at in (7.0, 31, 33, 58, 79, 95) for kind in ("crash", "restart")]
LONG = EventLog.from_events([*history("w", paced(10_000, 100)), *faults(CRASHES)])
SEEN = observe(LONG)
QUIET = observe(EventLog.from_events(history("w", paced(10_001, 100))))


def test_the_answer_is_the_law_at_what_the_log_tells() -> None:
    found = recommend(LONG, costs=COSTS)
    law = {"S": 0.05, "L": 0.02, "r": 0.0005, "p": 6 / 10_000}
    assert found.p == law["p"]
    assert found.mean_s == pytest.approx(100 / 6)
    assert found.uninterrupted == best_interval(**law)
    assert found.interrupted == best_interval(**law, rate=6 / 100)
    assert found.best == found.interrupted
    assert found.every == found.interrupted.n_best
    assert found.interval_s == pytest.approx(found.interrupted.n_star / 100)
    assert found.worth
    assert found.without == pytest.approx(law["p"] * (0.02 + 0.0005 * 9999 / 2))
    assert found.cost < found.without
    assert repr(found) == "Recommendation(checkpoint every 574 events, 419 to 785 within 5 %)"
    # Exact interval of a Poisson count of 6: 2.202 to 13.059 (Garwood).
    low, high = found.sure
    for edge, count in ((low, 13.0595), (high, 2.2019)):
        one = best_interval(**law | {"p": count / 10_000}, rate=count / 100)
        assert edge == pytest.approx(one.n_star, rel=1e-4)


@given(
    st.floats(1e-4, 10),
    st.floats(0, 1),
    st.floats(1e-6, 1e-2),
    st.floats(1e-5, 0.1),
    st.sampled_from([0.01, 0.05, 0.5]),
)
def test_within_the_band_and_nowhere_else_the_cost_is_within_the_tolerance(
    s: float, load: float, r: float, p: float, tolerance: float
) -> None:
    found = recommend(SEEN, costs=Costs(s, load, r), p=p, tolerance=tolerance)
    if found.best.n_star < 2:
        return
    low, high = found.band
    law = {"S": s, "L": load, "r": r, "p": p}
    fixed = p * load - p * r / 2
    least = cost(found.best.n_star, **law, D=0) - fixed
    for n in (low * 1.001, high * 0.999):
        assert cost(n, **law) - fixed <= least * (1 + tolerance) * (1 + 1e-9)
    assert cost(high * 1.01, **law) - fixed > least * (1 + tolerance)
    if low > 1.02:
        assert cost(low * 0.99, **law) - fixed > least * (1 + tolerance)
        assert (low, high) == pytest.approx(band(found.best, tolerance=tolerance), rel=1e-6)


def test_failures_may_be_given_as_a_mean_gaps_a_distribution_or_a_probability() -> None:
    pace = 10_001 / 100
    by_mean = recommend(QUIET, 50, COSTS)
    assert by_mean.p == pytest.approx(1 / (50 * pace))
    assert by_mean.sure is None
    assert recommend(QUIET, Exponential(50), COSTS).best == by_mean.best
    bursts = Weibull.of_mean(50, 0.5)
    assert recommend(QUIET, bursts, COSTS).best.n_star == pytest.approx(by_mean.best.n_star)
    gaps = [20.0, 80.0, 50.0]
    by_gaps = recommend(QUIET, gaps, COSTS)
    assert by_gaps.best.n_star == pytest.approx(by_mean.best.n_star)
    assert by_gaps.sure[0] < by_gaps.best.n_star < by_gaps.sure[1]
    by_p = recommend(QUIET, None, COSTS, p=1 / (50 * pace))
    assert by_p.best == by_mean.uninterrupted
    assert by_p.interrupted is None
    cold = recommend(QUIET, 50, COSTS, loads_per_event=0.01)
    assert cold.p == pytest.approx(by_mean.p + 0.01)
    assert recommend(QUIET, None, COSTS, loads_per_event=0.01).p == 0.01


def test_costs_may_be_measured_or_learned() -> None:
    asked = []

    def measure(log: EventLog) -> Costs:
        asked.append(log)
        return COSTS

    assert recommend(LONG, costs=measure) == recommend(LONG, costs=COSTS)
    assert asked == [LONG]
    fitted = fit_costs([(n, 0.02 + 0.0005 * n) for n in (10, 100, 500, 900)], [0.05])
    assert recommend(SEEN, costs=fitted).best.n_star == pytest.approx(
        recommend(SEEN, costs=COSTS).best.n_star
    )
    learned = Estimates.start()
    assert recommend(LONG, costs=learned).costs == learned.costs()


def test_costs_that_nobody_gives_are_those_that_the_store_has_learned_or_else_the_prior(
    tmp_path: Path,
) -> None:
    # It raised "costs are None", though a log and its failures were given.
    prior = Estimates.start().costs()
    for log in (LONG, SEEN):
        found = recommend(log, failures=60)
        assert (found.costs, found.costs_from) == (prior, "assumed")
        assert found.every == recommend(log, failures=60, costs=prior).every
        assert found.words.endswith("The costs are assumed, and nothing that was measured.")
        assert any("the prior of Estimates.start()" in told for told in found.assumptions)
        assert found.to_json()["costs_from"] == "assumed"
    steps = [fl.Step(f"s{n}", agent="a", activity="act", effect=False) for n in range(9)]
    plan = fl.Plan(fl.Sequential(*steps), name="steps")
    with EventStore(tmp_path / "s") as store:
        for name, policy in {"a": EveryEvents(3), "b": Lawful(), "c": EveryEvents(2)}.items():
            if isinstance(policy, Lawful):
                assert recommend(store, failures=60).costs_from == "assumed"
                # A checkpoint is due at once.
                policy.resume(Estimates.start(Prior(replay_s=1e3)).to_json())
            scheme = Checkpointed(policy, keep=5)
            agents = {"a": {"act": lambda _: 1}}
            Runtime(store, plan, agents=agents, recovery=scheme).run(plan, id=name)
        for source in (store, store.snapshot()):
            found = recommend(source, failures=60)
            assert found.costs_from == "learned"
            assert found.costs.replay_s > prior.replay_s * 1e3
            assert found.words.endswith("The costs are those that the store's policy has learned.")
        assert any(" of 'b' tells it." in told for told in found.assumptions)
        given = recommend(store, failures=60, costs=COSTS)
        assert (given.costs, given.costs_from) == (COSTS, "given")


def test_where_failures_are_not_known_none_are_invented() -> None:
    found = recommend(QUIET, costs=COSTS)
    assert (found.every, found.cost, found.band, found.p, found.sure) == (None,) * 5
    pace = 10_001 / 100
    means = {"an hour": 3600, "a day": 86_400, "a week": 604_800, "in 30 days": 2_592_000}
    for (name, mean), row in zip(means.items(), found.table, strict=False):
        assert name in row.failures
        assert row.p == pytest.approx(1 / (mean * pace))
        law = best_interval(S=0.05, L=0.02, r=0.0005, p=row.p, rate=1 / mean)
        assert row.interval.n_star == pytest.approx(law.n_star)
        assert row.worth == (2 * law.n_star <= 10_001)
        assert f"With {row.failures}: {row.words}." in found.words
    # The rule of three: no failure in n events makes more than 3/n an event unlikely.
    assert found.table[-1].p == pytest.approx(3 / 10_001, rel=2e-3)
    assert "The log holds no failure" in found.words
    said = repr(found)
    assert said.startswith("Recommendation(failures unknown: every 814 events, or more")


def test_a_log_without_durations_is_answered_by_probabilities() -> None:
    still = EventLog.from_events(history("w", [0.0] * 5_000))
    found = recommend(still, costs=COSTS)
    assert [row.p for row in found.table[:-1]] == [1e-3, 1e-4, 1e-5, 1e-6]
    assert recommend(still, costs=COSTS, p=1e-3).interval_s is None
    with pytest.raises(InvalidArgumentError, match="the times of the log are no durations"):
        recommend(still, 60, COSTS)


def test_logical_times_count_places_and_are_no_durations() -> None:
    drawn = observe(EventLog.from_text("A: a b !crash !restart c | B: x y"))
    assert (drawn.failures, drawn.events_per_s) == (1, None)
    found = recommend(drawn, costs=COSTS)
    assert (found.p, found.mean_s, found.interrupted) == (1 / 7, None, None)
    assert math.isfinite(found.cost)


def test_recoveries_that_would_never_end_are_answered_by_the_law_without_interruptions() -> None:
    slow = Costs(snapshot_s=1.0, load_s=20_000.0, replay_s=0.1)
    found = recommend(SEEN, costs=slow)
    assert found.interrupted is None
    assert found.best == best_interval(S=1.0, L=20_000.0, r=0.1, p=6 / 10_000)
    assert any("would not end" in told for told in found.assumptions)
    assert math.isfinite(found.cost)


@pytest.mark.parametrize("length", [1_150, 1_130])
def test_below_2_n_star_none_is_needed(length: int) -> None:
    log = EventLog.from_events(history("w", paced(length, 10)))
    found = recommend(log, costs=COSTS, p=6.2e-4)
    assert 2 * found.best.n_star == pytest.approx(1135.9, abs=0.1)
    assert found.worth == (length > 1_136)
    if not found.worth:
        told = "Recommendation(too short to need a checkpoint, which pays from 1 136 events)"
        assert repr(found) == told


@pytest.mark.parametrize(("shape", "least"), [(1.0, 0.93), (0.6, 0.86), (2.0, 0.97)])
def test_the_interval_of_n_star_holds_it_about_as_often_as_it_says(
    shape: float, least: float
) -> None:
    chance = np.random.default_rng(4)
    truth = recommend(QUIET, Weibull.of_mean(50, shape), COSTS).best.n_star
    held = 0
    for _ in range(100):
        gaps = Weibull.of_mean(50, shape).draw(chance, 30)
        low, high = recommend(QUIET, gaps, COSTS).sure
        held += low < truth < high
    assert held >= 100 * least


def test_the_interval_of_n_star_is_the_one_that_a_bootstrap_over_gaps_finds() -> None:
    chance = np.random.default_rng(9)
    gaps = Weibull.of_mean(50, 0.5).draw(chance, 60)
    found = recommend(QUIET, gaps, COSTS)
    again = [
        recommend(QUIET, Exponential(float(np.mean(chance.choice(gaps, 60)))), COSTS).best.n_star
        for _ in range(400)
    ]
    low, high = np.quantile(again, [0.025, 0.975])
    assert found.sure[0] == pytest.approx(low, rel=0.12)
    assert found.sure[1] == pytest.approx(high, rel=0.12)


def test_the_words_say_how_failures_come() -> None:
    bursts = Weibull.of_mean(50, 0.5).draw(np.random.default_rng(1), 80)
    assert any("have a memory" in told for told in recommend(QUIET, bursts, COSTS).assumptions)
    even = Exponential(50).draw(np.random.default_rng(1), 80)
    told = recommend(QUIET, even, COSTS).assumptions
    assert any("Nothing speaks against failures without memory" in one for one in told)
    assert any("by the clock" in one for one in recommend(QUIET, [9.0] * 9, COSTS).assumptions)


def test_what_a_notebook_shows_is_the_words_and_a_table_and_the_same_each_time() -> None:
    found = recommend(LONG, costs=COSTS)
    page = found._repr_html_()
    assert page == recommend(LONG, costs=COSTS)._repr_html_()
    assert found.words in page
    assert found.words == (
        "Checkpoint every 574 events (about 5.74 s). Checkpoints and recoveries then cost "
        "0.000186 s an event, and 0.00151 s with no checkpoint at all. Anything from 419 to 785 "
        "events costs at most 5 % more of what the interval changes. 1 of 1 workflow is long "
        "enough for one. As failures were few, N* is 388 to 950 with 95 % confidence."
    )
    assert page.count("<tr>") == page.count("</tr>") == 13
    for part in ("law R0", "law R1", "with no checkpoint at all", "longest workflow"):
        assert part in page


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recommend(EventLog.from_events([]), costs=COSTS), "holds no event"),
        (lambda: recommend("log", costs=COSTS), "expected an EventLog"),  # type: ignore[arg-type]
        (lambda: recommend(LONG, costs=lambda _: None), "a log does not hold what a checkpoint"),
        (lambda: recommend(LONG, costs=3), "costs are 3"),  # type: ignore[arg-type]
        (lambda: recommend(LONG, -5, COSTS), "the mean of failures is -5"),
        (lambda: recommend(LONG, [], COSTS), "0 gaps"),
        (lambda: recommend(LONG, "daily", COSTS), "expected a mean number"),
        (lambda: recommend(LONG, costs=COSTS, p=0), "p is 0"),
        (lambda: recommend(LONG, costs=COSTS, p=2), "p is 2"),
        (lambda: recommend(LONG, costs=COSTS, loads_per_event=-1), "loads_per_event is -1"),
        (lambda: recommend(LONG, costs=COSTS, downtime_s=-1), "downtime_s is -1"),
        (lambda: recommend(LONG, costs=COSTS, tolerance=0), "tolerance is 0"),
        (lambda: recommend(LONG, costs=COSTS, confidence=1), "confidence is 1"),
        (lambda: recommend(LONG, costs=COSTS, kind="saga"), "kind is 'saga'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(call: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)]
)
def test_a_poisson_count_has_its_exact_interval(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-3)
    assert poisson_interval(2000)[0] == pytest.approx(2000 - 1.96 * math.sqrt(2000), rel=1e-3)
