"""What a simulated saga costs: time against SimPy, memory in flight, worlds a second."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate_many
from flowlab.simulation.batch import Batch
from flowlab.simulation.draws import key_of
from flowlab.simulation.driver import OPEN
from flowlab.simulation.engine import Engine
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.recorder import Recorder
from flowlab.simulation.work import Job, run_job
from flowlab.store import EventStore
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, Spread, duration, timed, workplace
from flowlab.studies.saga_compiled import compiled_run
from flowlab.studies.saga_floor import floor_run, own_code_seconds, table_seconds
from flowlab.studies.saga_peers import STYLES, SagaOutcome, Style, collector, simpy_run
from flowlab.studies.saga_workload import SECOND_NS, SagaWorkload
from flowlab.studies.saga_world import flowlab_run, saga_world
from flowlab.studies.simulation_laws import HEALING

OURS: Final = "flowlab"
FLOOR: Final = "floor"
JUDGE: Final = ("callbacks", False)
"""The style of the peer, and whether its collector is frozen, that the verdict uses."""
SMALL: Final = 100_000
"""Below so many events a scale is one that shows that the measurement runs."""
ARRIVALS_NS: Final = 10 * SECOND_NS
CORES: Final = 2


# -- logical events a second -----------------------------------------------------------------------


def events_against_simpy(agents: int, scale: Scale) -> Measurement:
    """Run the sagas in flowlab and in SimPy, five times in turn, and compare processor time.

    flowlab records everything, and its log is a finished table; SimPy records nothing. Each is as
    shipped: SimPy with the cyclic collector on and the objects of others out of its sight, flowlab,
    which freezes it itself while a world runs. The verdict is by SimPy as its experts write it; two
    more styles, and all with the collector frozen, are told beside, and so is the floor: one loop
    that knows these sagas by heart and writes the same log; and what an engine that took no time
    would take. That all agree to the nanosecond is part of the measurement: where they do not, it
    is 0.
    """
    if scale.events >= SMALL:
        workload = SagaWorkload.of(agents=agents)
    else:
        workload = SagaWorkload.of(agents=min(agents, 1_000), sagas=200)
    outcomes = _in_turns(workload, scale.rounds(5))
    ours = [outcome.cpu_s for outcome in outcomes[OURS, True]]
    ratios = {
        contestant: Spread.of([peer.cpu_s / own for peer, own in zip(found, ours, strict=True)])
        for contestant, found in outcomes.items()
    }
    bounds, loops = _without_engine(workload, outcomes[JUDGE], scale)
    # Equal outcomes: events, timers that went off, the last end, and the sum of all ends.
    equal = {outcome for found in (*outcomes.values(), loops) for outcome in found}
    beside = {
        "logical events": f"{workload.logical_events:,} of {len(workload.starts_ns):,} sagas at "
        f"{workload.agents:,} agents",
        "sum of completion times": f"{outcomes[OURS, True][0].completion_ns:,} ns, "
        + ("equal in all runs" if len(equal) == 1 else "NOT EQUAL in all runs"),
    }
    for (name, frozen), found in outcomes.items():
        rate = workload.logical_events / statistics.median(run.cpu_s for run in found)
        told = f"{rate:,.0f} a CPU second"
        if name == OURS:
            beside["flowlab (recorded and encoded; freezes the collector itself)"] = told
        elif name == FLOOR:
            against = ratios[JUDGE].median / ratios[FLOOR, True].median
            beside["the floor (one loop that writes the same log; collector frozen)"] = (
                f"{told}, {against:.2f}x of SimPy, {ratios[FLOOR, True].median:.2f}x the time of "
                "flowlab"
            )
        else:
            policy = "collector frozen" if frozen else "as shipped, collector on"
            beside[f"SimPy, {name} ({policy})"] = f"{told}, {ratios[name, frozen].median:.2f}x"
    beside |= bounds
    beside |= {f"SimPy, {style}": told for style, told in STYLES.items()}
    measured = Measurement.ratio(ratios[JUDGE], beside)
    return measured if len(equal) == 1 else replace(measured, value=0.0, low=0.0, high=0.0)


def _in_turns(workload: SagaWorkload, turns: int) -> dict[tuple[str, bool], list[SagaOutcome]]:
    runs: dict[tuple[str, bool], Callable[[], SagaOutcome]] = {
        (OURS, True): lambda: _flowlab(workload),
        (FLOOR, True): lambda: _floor(workload),
    }
    for frozen in (False, True):
        for style in STYLES:
            runs[style, frozen] = partial(_simpy, workload, style, frozen)
    outcomes: dict[tuple[str, bool], list[SagaOutcome]] = {name: [] for name in runs}
    names = list(runs)
    _warm_up()
    for turn in range(turns):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            outcomes[name].append(runs[name]())
    return outcomes


def _simpy(workload: SagaWorkload, style: Style, frozen: bool) -> SagaOutcome:  # noqa: FBT001
    return simpy_run(workload, style=style, frozen=frozen)


def _flowlab(workload: SagaWorkload) -> SagaOutcome:
    with collector(frozen=False):
        return flowlab_run(workload)[0]


def _floor(workload: SagaWorkload) -> SagaOutcome:
    with collector(frozen=True):
        return floor_run(workload)[0]


def _without_engine(
    workload: SagaWorkload, peer: list[SagaOutcome], scale: Scale
) -> tuple[dict[str, str], list[SagaOutcome]]:
    """Tell what is left without an engine, and with one that is a loop of machine code alone."""
    turns = range(scale.rounds(5))
    with collector(frozen=True):
        tables = [table_seconds(workload) for _ in turns]
        codes = [own_code_seconds(workload) for _ in turns]
        loops = [compiled_run(workload) for _ in turns]
    table, code, loop, theirs = (
        statistics.median(seconds) / workload.logical_events * 1e6
        for seconds in (
            tables, codes, [run.cpu_s for run in loops], [run.cpu_s for run in peer],
        )
    )  # fmt: skip
    bounds = {
        "making the table of recorded rows, which any engine pays": f"{table:.2f} us of processor "
        f"time an event; all that SimPy takes are {theirs:.2f} us",
        "the workload's own code and the table, no engine at all (its starts, its delays, its "
        "handlers on plain dicts, each called once; nothing scheduled or recorded)": (
            f"{code:.2f} + {table:.2f} us of processor time an event, "
            f"{theirs / (code + table):.2f}x of SimPy"
        ),
        "the same with a loop of machine code that knows these sagas by heart (numba; its agenda, "
        "mailboxes, timers and rows are numbers)": (
            f"{loop:.3f} us more, {theirs / (code + table + loop):.2f}x of SimPy"
        ),
    }
    return bounds, loops


def _warm_up() -> None:
    """Let every contestant import what it needs, and its code be specialized, before the clock."""
    small = SagaWorkload.of(agents=10, sagas=50)
    _flowlab(small)
    _floor(small)
    compiled_run(small)
    for style in STYLES:
        simpy_run(small, style=style)


# -- memory ----------------------------------------------------------------------------------------


def memory_in_flight(scale: Scale) -> Measurement:
    """Weigh M and 2M sagas in flight with tracemalloc, and divide the difference.

    The workload's sagas arrive within ten seconds of virtual time, 2M of them at its own rate; then
    the world stops, with its agenda, mailboxes, timers and workflows as they are. The log is
    weighed apart: what is freed when the recorder's rows, payloads, causes and streams are emptied.
    What the world has whatever the number of sagas, its agents, is in both and cancels out.
    """
    agents = 10_000 if scale.events >= SMALL else 500
    _weighed(10, 10)  # so that what is made once is there
    few, many = (_weighed(agents, sagas) for sagas in (agents // 2, agents))
    each = (many[0] - few[0]) / (many[1] - few[1])
    return Measurement.count(
        each,
        "B a saga",
        {
            "agents": f"{agents:,}",
            "in flight": f"{few[1]:,} and {many[1]:,}",
            "the world": f"{few[0] / 1e6:.1f} and {many[0] / 1e6:.1f} MB",
            "the log, aside": f"{few[2] / 1e6:.1f} and {many[2] / 1e6:.1f} MB, "
            f"{many[2] / many[3]:.0f} B an event",
        },
    )


def _weighed(agents: int, sagas: int) -> tuple[int, int, int, int]:
    """Return bytes of a stopped world, its sagas in flight, and the log's bytes and events."""
    drawn = SagaWorkload.of(agents=agents, sagas=sagas)
    starts = tuple(number * ARRIVALS_NS // sagas for number in range(sagas))
    world = saga_world(replace(drawn, starts_ns=starts), max_time=ARRIVALS_NS)
    recipe = Recipe.of(world, 0, None, {})
    # Names that a world before it left in the cache would be missing in the weight of this one.
    key_of.cache_clear()
    with collector(frozen=True):
        tracemalloc.start()
        try:
            engine, recorder = _stopped(recipe)
            events = len(recorder)
            everything, _ = tracemalloc.get_traced_memory()
            _empty(recorder)
            rest, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    drivers = engine.workflows.drivers.values()
    flying = sum(driver.status == OPEN for driver in drivers)
    return rest, flying, everything - rest, events


def _stopped(recipe: Recipe) -> tuple[Engine, Recorder]:
    batch = Batch()
    world = recipe.world()
    batch.begin(recipe, world)
    engine = Engine(world, recipe, batch.recorder)
    engine.workflows.expect(world.inputs(recipe.seed))
    engine.run()
    return engine, batch.recorder


def _empty(recorder: Recorder) -> None:
    recorder.rows.clear()
    recorder.objects.clear()
    recorder.extra.clear()
    recorder.streams.clear()


# -- worlds a second -------------------------------------------------------------------------------


def worlds_a_second(scale: Scale) -> Measurement:
    """Record trips under seven kinds of fault in two processes, and save them to a store.

    Worlds of one trip and twice as many of two, which gives about 45 events each: one campaign
    after the other. Wall time of `simulate_many` into an `EventStore`, from the first world to the
    last durable append; the processes exist before. The invariants of the trip read what every
    agent's state is.
    """
    # So many that beginnings and ends of a campaign, at which a core waits, count for little.
    worlds, turns = 24_000 if scale.events >= SMALL else 200, scale.rounds(5)
    seconds: list[float] = []
    with workplace(scale) as folder, _two_processes() as pool:
        before = _cpu_s(pool)
        for turn in range(turns):
            seeds = range(turn * worlds, (turn + 1) * worlds)
            with EventStore(folder / f"s{turn}") as store:
                took, rows = timed(lambda: _trips(seeds, pool, store))  # noqa: B023
            seconds.append(took)
        mine, theirs = (
            (after - began) / (turns * worlds)
            for after, began in zip(_cpu_s(pool), before, strict=True)
        )
    kinds = sorted(set(rows["fault_kinds"].explode().drop_nulls()))
    spread = Spread.of([worlds / took for took in seconds])
    return Measurement(
        spread.median,
        spread.low,
        spread.high,
        "worlds/s",
        spread.count,
        {
            "worlds": f"{worlds:,}, each of {rows['events'].mean():.1f} events on average",
            "took": duration(statistics.median(seconds)),
            "CPU of a world": f"{duration(theirs)} where it is simulated, {duration(mine)} where "
            "it is saved",
            "processes": f"{CORES} that simulate and one that saves, on {os.cpu_count()} cores",
            "kinds of fault that happened": f"{len(kinds)}: {', '.join(kinds)}",
            "worlds with a fault": f"{(rows['fault_count'] > 0).mean():.0%}",
            "violations of invariants": f"{rows['violations'].sum()}",
        },
    )


def _trips(seeds: range, pool: Executor, store: EventStore) -> pl.DataFrame:
    few = len(seeds) // 3
    campaigns = [
        simulate_many(
            SCENARIOS["trip"],
            seeds=own,
            faults=HEALING,
            executor=pool,
            store=store,
            progress=False,
            trips=trips,
        )
        for trips, own in ((1, seeds[:few]), (2, seeds[few:]))
    ]
    return pl.concat([campaign.rows for campaign in campaigns])


def _two_processes() -> ProcessPoolExecutor:
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context(method))


def _cpu_s(pool: Executor) -> tuple[float, float]:
    """Return the processor time of this process and of those of the pool, which then exist."""
    found: dict[int, float] = {}
    while len(found) < CORES:
        # As long as one process sleeps, the other takes the other question.
        found |= dict(pool.map(_told_cpu_s, range(CORES)))
    return time.process_time(), sum(found.values())


def _told_cpu_s(_: int) -> tuple[int, float]:
    run_job(Job(Recipe.of(SCENARIOS["trip"], 0, None, {}), range(1), "", {}, wants_events=True))
    time.sleep(0.2)
    return os.getpid(), time.process_time()
