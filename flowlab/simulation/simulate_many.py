"""Running campaigns: in this process, in others, or wherever an executor leads."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog, LogSink, RunInfo
from flowlab.simulation.campaign import Campaign
from flowlab.simulation.faults import Faults
from flowlab.simulation.grid import COLUMNS, Arm, arms_of, seeds_of
from flowlab.simulation.main_script import check_importable, is_typed
from flowlab.simulation.measures import Measures
from flowlab.simulation.run import refuse_known
from flowlab.simulation.scenario import Scenario
from flowlab.simulation.work import Job, Measure, Outcome, run_job
from flowlab.simulation.world import World

if TYPE_CHECKING:
    import polars as pl

BATCH: Final = 200
"""Worlds that a worker is asked for at a time."""
SAVED_EVENTS: Final = 100_000
"""A store is appended to once batches hold so many events: few large commits, not many small."""
_WORKERS: Final = 16
"""How many workers an executor is taken to have that does not say."""
_MOST_AHEAD: Final = 64
"""So many more batches are asked for at most than keep the workers busy."""
_DELAY_S: Final = 2.0


def simulate_many(
    scenario: Scenario | World,
    *,
    seeds: int | Iterable[int],
    grid: Mapping[str, Any] | None = None,
    faults: Faults | str | Mapping[str, Any] | None = None,
    executor: Executor | int | None = None,
    store: LogSink | None = None,
    progress: bool = True,
    namespace: str = "default",
    batch: int = BATCH,
    measures: Mapping[str, Measure] | None = None,
    **parameters: Any,
) -> Campaign:
    """Run a campaign: every seed in every arm of a grid, the same worlds in each.

    Args:
        scenario: a function declared with `@scenario`, or a world.
        seeds: a world for each: ints, or how many from 0.
        grid: what is varied: a parameter of the scenario, `faults`, `network` or `retry` -> its
            values, as a list or as a mapping from short names.
        faults: what may go wrong in every arm; a name is a preset.
        executor: None runs here; an int in so many processes, in a script under
            `if __name__ == "__main__":`; or any executor.
        store: where the logs go; a campaign that fails leaves there what it had saved.
        progress: whether a bar is shown on standard error, once it takes longer than two seconds.
        namespace: of the runs.
        batch: how many worlds a worker is asked for at a time.
        measures: name -> function of a `Run` that returns a number, a text or a truth value, the
            same kind in every world: a column of the rows. Another process must be able to import
            it.
        parameters: of the scenario, the same in every arm; `network` and `retry` as in `simulate`.

    Returns:
        The campaign. It depends neither on the executor nor on the order of completion, nor on
        the size of batches.

    Raises:
        InvalidArgumentError: the grid varies what the scenario has not, the store has one of the
            runs, the scenario cannot go to another process, a script begins the campaign where
            each process would begin it again, ...: nothing runs. Or a measure
            returns what is no column: the first world of which it does ends the campaign.

    Example:
        >>> from flowlab.simulation import Agent
        >>> from flowlab.workflow import Plan, Step
        >>> bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        >>> till = Plan(Step("charge", agent="bank", kind="pivot"), name="till")
        >>> simulate_many(World([bank], till, 2), seeds=100, faults="network")
        Campaign('till', 100 runs, 100 ok)
    """
    measured = Measures(measures)
    _check(store, batch)
    arms = arms_of(scenario, grid, faults, parameters, taken=measured.named)
    known = seeds_of(seeds)
    if store is not None:
        ids = (arm.recipe.with_seed(seed).run_id for arm in arms for seed in known)
        refuse_known(store, namespace, ids)
    jobs = [
        Job(arm.recipe, known[first : first + batch], namespace, measured.named, store is not None)
        for arm in arms
        for first in range(0, len(known), batch)
    ]
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        pool = _pool(executor, jobs[0], stack)
        bar = stack.enter_context(_bar(len(arms) * len(known), shown=progress))
        saving = Saving(store)
        results = stack.enter_context(closing(_outcomes(jobs, pool)))
        for job, outcome in zip(jobs, results, strict=True):
            measured.check(job.seeds, outcome.columns)
            saving.add(outcome)
            outcomes.append(replace(outcome, events=None, infos=()))
            bar.update(len(job.seeds))
        saving.flush()
    return _campaign(arms, known, outcomes, namespace)


class Saving:
    """Appends the logs of batches to a store, in the order of the batches.

    How many are appended at a time depends on what they hold and on nothing else, so that the store
    of a campaign is the same whoever ran it.

    Args:
        store: where to; None keeps nothing.
    """

    def __init__(self, store: LogSink | None) -> None:
        self._store = store
        self._tables: list[pa.Table] = []
        self._infos: list[RunInfo] = []
        self._events = 0

    def __repr__(self) -> str:
        return f"Saving({self._events} events wait)"

    def add(self, outcome: Outcome) -> None:
        """Take the log of a batch."""
        if outcome.events is None:
            return
        self._tables.append(outcome.events)
        self._infos += outcome.infos
        self._events += outcome.events.num_rows
        if self._events >= SAVED_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Append what waits."""
        if self._store is None or not self._infos:
            return
        self._store.append_log(EventLog(pa.concat_tables(self._tables), tuple(self._infos)))
        self._tables, self._infos, self._events = [], [], 0


def _outcomes(jobs: Sequence[Job], pool: Executor | None) -> Generator[Outcome]:
    """Yield the outcome of each job, in the order of the jobs, whichever is done first."""
    if pool is None:
        yield from map(run_job, jobs)
        return
    # So many are asked for ahead that no worker waits, not even while a store is appended to; and
    # not all at once: what is done and not yet saved is held in memory.
    least = ahead = 2 * getattr(pool, "_max_workers", _WORKERS) + 1
    waiting: deque[Future[Outcome]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(run_job, job))
            while len(waiting) >= ahead:
                outcome = waiting.popleft().result()
                ahead = least + _more_ahead(outcome)
                yield outcome
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _more_ahead(outcome: Outcome) -> int:
    """Return how many batches like this one hold what two appends to a store do."""
    if outcome.events is None:
        return 0
    rows: int = outcome.events.num_rows
    return min(2 * SAVED_EVENTS // max(rows, 1), _MOST_AHEAD)


def _pool(executor: Executor | int | None, job: Job, stack: ExitStack) -> Executor | None:
    """Return the executor; check that a job can go to another process, before any runs."""
    if executor is None:
        return None
    if isinstance(executor, bool) or not isinstance(executor, (int, Executor)) or executor == 0:
        message = (
            f"executor is {executor!r}; expected None (in this process), a number of processes, or "
            "a concurrent.futures.Executor"
        )
        raise InvalidArgumentError(message)
    if not isinstance(executor, (int, ProcessPoolExecutor)):
        return executor
    try:
        pickle.dumps(job)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        message = (
            f"the campaign cannot go to another process: {error}. Parameters and measures must be "
            "values and functions that another process can import; or run it here: executor=None"
        )
        raise InvalidArgumentError(message) from error
    if isinstance(executor, ProcessPoolExecutor):
        return executor
    check_importable()
    methods = multiprocessing.get_all_start_methods()
    # A fork copies threads' locks without the threads, so it is what nothing else can do: only
    # a fork has what was typed into a notebook.
    wanted = ["fork", "spawn"] if is_typed() else ["forkserver", "spawn"]
    method = next(name for name in wanted if name in methods)
    context = multiprocessing.get_context(method)
    return stack.enter_context(ProcessPoolExecutor(executor, mp_context=context))


def _bar(total: int, *, shown: bool) -> Any:
    from tqdm import tqdm  # noqa: PLC0415

    class Bar(tqdm):  # type: ignore[misc]
        """A bar without a thread that watches it: a process that forks has none to spare."""

        monitor_interval = 0

    return Bar(
        total=total, unit="world", delay=_DELAY_S, file=sys.stderr, leave=False, disable=not shown
    )


def _check(store: LogSink | None, batch: int) -> None:
    if store is not None and not isinstance(store, LogSink):
        message = f"store is {store!r}; expected an EventStore, or anything with append_log"
        raise InvalidArgumentError(message)
    if type(batch) is not int or batch < 1:
        message = f"batch is {batch!r}; expected how many worlds a worker is asked for at a time"
        raise InvalidArgumentError(message)


def _campaign(
    arms: tuple[Arm, ...], seeds: Sequence[int], outcomes: Sequence[Outcome], namespace: str
) -> Campaign:
    import polars as pl  # noqa: PLC0415

    found = {
        name: [value for outcome in outcomes for value in outcome.columns[name]]
        for name in outcomes[0].columns
    }
    axes = tuple(arms[0].labels)
    columns: dict[str, Any] = {}
    for name, values in found.items():
        columns[name] = values
        if name == "seed":
            for axis in axes:
                columns[axis] = [arm.labels[axis] for arm in arms for _ in seeds]
        elif name == "fault_kinds":
            # Lists by way of Arrow: one by one they take ten times as long.
            columns[name] = pl.Series(pa.array(values, pa.list_(pa.large_string())))
    schema = {name: _type(name) for name in columns if name in COLUMNS}
    broken = [row for outcome in outcomes for row in outcome.violations]
    stuck = [row for outcome in outcomes for row in outcome.stuck]
    return Campaign(
        name=arms[0].recipe.scenario.name,
        axes=axes,
        arms=arms,
        seeds=seeds,
        rows=pl.DataFrame(columns, schema_overrides=schema, strict=False),
        violations=_findings(broken, "invariant", "message"),
        stuck=_findings(stuck, "workflow_id", "waits_for"),
        digests=tuple(sorted(digest for outcome in outcomes for digest in outcome.digests)),
        namespace=namespace,
    )


def _type(column: str) -> Any:
    import polars as pl  # noqa: PLC0415

    kinds = {"ok": pl.Boolean, "fault_kinds": pl.List(pl.String)}
    texts = {"run_id", "stopped"}
    return kinds.get(column, pl.String if column in texts else pl.Int64)


def _findings(rows: list[Any], *names: str) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415

    schema = {"run_id": pl.String, "seed": pl.Int64, **dict.fromkeys(names, pl.String)}
    return pl.DataFrame(rows, schema=schema, orient="row")
