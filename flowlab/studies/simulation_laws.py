"""What holds of every simulated world, measured: digests, ends, retries, twins, campaigns."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import (
    Agent,
    Campaign,
    Faults,
    Partitions,
    Start,
    World,
    simulate,
    simulate_many,
)
from flowlab.studies.claim import Measurement
from flowlab.studies.golden import PRESETS, Digests, digests_of, golden
from flowlab.studies.measuring import QUICK, Scale
from flowlab.workflow import SECOND, RetryPolicy, Step, WorkflowContext, as_ns, workflow

HASH_SEEDS: Final = ("0", "1", "4711")
MAX_LISTED: Final = 20
"""Most stuck workflows that are told with what they wait for."""

HEALING: Final = Faults(
    loss=0.02,
    duplicate=0.02,
    reorder=0.05,
    partition=Partitions(),
    crash=0.02,
    host_crash=0.01,
    slow=0.03,
)
"""What passes: a message is sent again, an agent restarts, a partition heals."""

POLICIES: Final = (
    RetryPolicy(maximum_attempts=12),
    RetryPolicy(maximum_attempts=12, backoff_coefficient=1.0),
    RetryPolicy(maximum_attempts=12, backoff_coefficient=1.1, initial_interval=SECOND // 3),
    RetryPolicy(maximum_attempts=12, backoff_coefficient=3.7, maximum_interval=3_600 * SECOND),
    RetryPolicy(maximum_attempts=12, initial_interval=7, maximum_interval=1_000),
    RetryPolicy(maximum_attempts=60, initial_interval=1, backoff_coefficient=1.5),
)


# -- digests ---------------------------------------------------------------------------------------


def digests_everywhere(_: Scale) -> Measurement:
    """Count the digests that are not the golden ones, of every scenario.

    Three processes with different PYTHONHASHSEEDs each run every scenario with three seeds, without
    faults and with all kinds of them, its agents registered in one order and in the other. The
    golden digests are kept with the package, and checked by the tests on every version of Python.
    """
    kept = golden()
    found = [_digests_with(hash_seed) for hash_seed in HASH_SEEDS]
    counts: Counter[str] = Counter()
    for orders in found:
        for by_name in orders:
            for name in SCENARIOS:
                counts["runs"] += _size(by_name[name])
                wrong = _differences(by_name[name], kept.get(name, {}))
                counts[f"wrong {name}"] += wrong
                counts["wrong"] += wrong
    differing = [name for name in SCENARIOS if counts[f"wrong {name}"]]
    return Measurement.count(
        counts["wrong"],
        "digests differ",
        {
            "runs": f"{counts['runs']:,} of {len(SCENARIOS)} scenarios",
            "PYTHONHASHSEED": ", ".join(HASH_SEEDS),
            "orders of registration": "2",
            "golden digests": f"{sum(map(_size, kept.values()))}, here on Python "
            f"{platform.python_version()}",
            "scenarios that differ": ", ".join(differing) or "none",
        },
    )


def tell_digests() -> None:
    """Print the digests of every scenario, in two orders of registration, as JSON."""
    both = [{name: digests_of(name, turned=it) for name in SCENARIOS} for it in (False, True)]
    sys.stdout.write(json.dumps(both))


def _digests_with(hash_seed: str) -> list[dict[str, Digests]]:
    told = subprocess.run(  # noqa: S603 - this Python, and this module
        [sys.executable, "-c", f"from {__name__} import tell_digests; tell_digests()"],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    found: list[dict[str, Digests]] = json.loads(told.stdout)
    return found


def _size(digests: Digests) -> int:
    return sum(map(len, digests.values()))


def _differences(found: Digests, kept: Digests) -> int:
    return sum(
        digest != kept.get(preset, {}).get(seed)
        for preset, by_seed in found.items()
        for seed, digest in by_seed.items()
    )


# -- ends ------------------------------------------------------------------------------------------


def ends_without_faults(scale: Scale) -> Measurement:
    """Count the workflows that do not end, of every scenario, where nothing goes wrong."""
    return _ends(scale, None, share=False)


def ends_when_faults_heal(scale: Scale) -> Measurement:
    """Return the least share of workflows that end, over the scenarios, when faults heal.

    Losses, duplicates, late messages, partitions, crashes of agents and of the workflows' process,
    and slow work. Each workflow that does not end is told with its wait-for chain.
    """
    return _ends(scale, HEALING, share=True)


def _ends(scale: Scale, faults: Faults | None, *, share: bool) -> Measurement:
    worlds = _worlds(scale)
    beside = {"worlds of each scenario": f"{worlds:,}"}
    stuck: list[str] = []
    opened, shares = 0, []
    for name in SCENARIOS:
        campaign = simulate_many(
            SCENARIOS[name], seeds=range(1, worlds + 1), faults=faults, progress=False
        )
        workflows = int(campaign.rows["workflows"].sum())
        still = int(campaign.rows["stuck"].sum())
        opened += still
        shares.append(1 - still / workflows)
        # A workflow that is open and not listed would be counted here and told nowhere.
        unlisted = still - len(campaign.stuck)
        stuck += [f"{name}: a workflow of no known chain"] * unlisted
        stuck += [
            f"{row['run_id']}: {row['workflow_id']} waits for {row['waits_for']}"
            for row in campaign.stuck.iter_rows(named=True)
        ]
        broken = len(campaign.violations)
        beside[name] = f"{workflows - still:,} of {workflows:,} end" + (
            f", {broken} violations of invariants" if broken else ""
        )
    beside |= {f"stuck {place}": told for place, told in enumerate(stuck[:MAX_LISTED], 1)}
    if len(stuck) > MAX_LISTED:
        beside["and more"] = f"{MAX_LISTED} of {len(stuck)} stuck workflows shown"
    if share:
        return Measurement.count(min(shares), "of the workflows end", beside)
    return Measurement.count(opened, "workflows do not end", beside)


def _worlds(scale: Scale) -> int:
    """Return how many seeds: 10 to show that it runs, 1 000, or 10 000 in full."""
    if scale.events <= QUICK.events:
        return 10
    return 10_000 if scale.blocks > Scale().blocks else 1_000


# -- retries ---------------------------------------------------------------------------------------


@workflow
async def persistent(ctx: WorkflowContext, policy: dict[str, Any]) -> None:
    """Try what fails, as a policy says."""
    await ctx.call_activity("work", agent="worker", retry=RetryPolicy.from_json(policy))


def retry_delays(_: Scale) -> Measurement:
    """Compare the waits between attempts in logs with the formula, to a nanosecond.

    Six policies, each by a plan and by code, whose activity fails until the policy gives up; what
    is compared is the virtual time from the failure of attempt k to the scheduling of the next,
    with min(maximum_interval, initial_interval * backoff_coefficient^(k-1)) in exact fractions.
    """
    worker = Agent("worker", named={"work": _fail})
    wrong = count = 0
    for policy in POLICIES:
        plan = Step("work", agent="worker", kind="pivot", retry=policy)
        for process, value in ((plan, None), (persistent, policy.to_json())):
            waits = list(_waits(World([worker], process, [Start("again", value)])))
            assert policy.maximum_attempts is not None
            wrong += len(waits) != policy.maximum_attempts - 1
            count += len(waits)
            wrong += sum(
                abs(wait - _expected(policy, retry)) > 1 for retry, wait in enumerate(waits, 1)
            )
    return Measurement.count(
        wrong,
        "delays differ",
        {"delays": f"{count}, of {len(POLICIES)} policies, by a plan and by code"},
    )


def _waits(world: World) -> Iterator[int]:
    """Yield the virtual time between each failure and the attempt that follows it."""
    log = simulate(world).log
    steps = [event for event in log if event.event_type in {"ActivityScheduled", "ActivityFailed"}]
    for earlier, later in pairwise(steps):
        if later.event_type == "ActivityScheduled":
            yield later.time_ns - earlier.time_ns


def _expected(policy: RetryPolicy, retry: int) -> Fraction:
    initial = Fraction(as_ns(policy.initial_interval, "initial_interval"))
    most = policy.maximum_interval
    limit = 100 * initial if most is None else as_ns(most, "maximum_interval")
    return min(Fraction(limit), initial * Fraction(policy.backoff_coefficient) ** (retry - 1))


def _fail() -> None:
    message = "it always fails"
    raise RuntimeError(message)


# -- twins and campaigns ---------------------------------------------------------------------------


def twins_with_nothing_changed(scale: Scale) -> Measurement:
    """Count the twins with nothing changed that are another run, of every scenario."""
    worlds = _worlds(scale) // 10
    wrong = runs = 0
    for name in SCENARIOS:
        for preset in PRESETS:
            for seed in range(1, worlds + 1):
                run = simulate(SCENARIOS[name], seed=seed, faults=preset)
                runs += 1
                wrong += run.twin().digest != run.digest
    beside = {"twins": f"{runs:,}, of {len(SCENARIOS)} scenarios, without faults and with all"}
    return Measurement.count(wrong, "twins differ", beside)


def executors_agree(scale: Scale) -> Measurement:
    """Count the digests of one campaign in this process, in threads and in two processes.

    Batches have another size in each, and threads and processes end them in any order.
    """
    worlds = 2 * _worlds(scale)
    with ThreadPoolExecutor(4) as threads:
        campaigns = {
            "in this process": _campaign(worlds, None, batch=worlds),
            "4 threads": _campaign(worlds, threads, batch=7),
            "2 processes": _campaign(worlds, 2, batch=11),
        }
    digests = {campaign.digest for campaign in campaigns.values()}
    return Measurement.count(
        len(digests),
        "digests",
        {
            "worlds": f"{worlds} with each of {len(campaigns)} executors",
            **{name: campaign.digest[:16] for name, campaign in campaigns.items()},
        },
    )


def _campaign(worlds: int, executor: Executor | int | None, *, batch: int) -> Campaign:
    return simulate_many(
        SCENARIOS["trip"],
        seeds=worlds,
        faults=HEALING,
        executor=executor,
        progress=False,
        batch=batch,
    )
