"""Recoveries and jobs drawn by chance, step by step: what the closed forms are checked against.

Nothing here knows the laws. The draws come from a numpy generator that the caller seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.recovery.estimates import Costs
from flowlab.recovery.failures import Chance, Exponential
from flowlab.recovery.numbers import at_least, positive
from flowlab.recovery.traces import OnTrace, wall_time_on_trace

MAX_ATTEMPTS: Final = 10_000
"""Attempts of one recovery; where failures are so frequent that it takes more, it never ends."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A mean over draws, and how sure it is.

    Args:
        mean: of what was drawn.
        sigma: standard error of the mean.
    """

    mean: float
    sigma: float

    def __repr__(self) -> str:
        return f"Drawn({self.mean:.6g} ± {self.sigma:.2g})"

    def agrees(self, expected: float, *, sigmas: float = 3.0) -> bool:
        """Say whether a value is within so many standard errors.

        Example:
            >>> Drawn(10.0, 0.1).agrees(10.2), Drawn(10.0, 0.1).agrees(10.4)
            (True, False)
        """
        return abs(self.mean - expected) <= sigmas * self.sigma


def simulate_recovery(
    chance: Chance,
    *,
    every: int,
    events: int,
    costs: Costs,
    p: float,
    rate: float = 0.0,
    downtime: float = 0.0,
    full_every: int = 1,
    delta_load_s: float = 0.0,
    delta_write_s: float | None = None,
) -> Drawn:
    """Draw the recoveries of a log that is replayed, and return the cost of an event (law B).

    A recovery strikes each event with probability p; it waits for the downtime, loads the last
    snapshot and replays what came since. Failures strike it at a rate, and begin it again. With
    `full_every` m only each m-th snapshot is full, and a load reads the deltas since, too.

    Args:
        chance: a seeded generator.
        every: events between snapshots (N).
        events: of the log.
        costs: of a full snapshot, its load and the replay of an event (S, L, r).
        p: probability of a recovery at an event.
        rate: failures a second that strike a recovery.
        downtime: seconds before each attempt (D).
        full_every: each so-manieth snapshot is full (m).
        delta_load_s: seconds that each delta adds to a load (dL).
        delta_write_s: seconds to write a delta (dS), by default as long as a full one.

    Raises:
        InvalidArgumentError: a number is outside its range.
        LimitError: a recovery failed 10 000 times.

    Example:
        >>> import numpy as np
        >>> costs = Costs(snapshot_s=10, load_s=5, replay_s=1)
        >>> simulate_recovery(np.random.default_rng(1), every=45, events=10**6, costs=costs, p=.01)
        Drawn(0.490616 ± 0.003)
    """
    at_least(1, every=every, events=events, full_every=full_every)
    at_least(0.0, rate=rate, downtime=downtime, delta_load_s=delta_load_s)
    if not 0 < p < 1:
        message = f"p is {p!r}; expected a probability between 0 and 1"
        raise InvalidArgumentError(message)
    places = np.flatnonzero(chance.random(events) < p)
    since = places % every
    deltas = (places // every) % full_every
    needed = costs.load_s + delta_load_s * deltas + costs.replay_s * since
    taken = _attempts(chance, needed, rate, downtime)
    snapshots = events // every
    full = (snapshots + full_every - 1) // full_every
    delta_s = costs.snapshot_s if delta_write_s is None else delta_write_s
    writing = full * costs.snapshot_s + (snapshots - full) * delta_s
    # Each event is a draw: a recovery of so many seconds, or none.
    mean = (writing + float(np.sum(taken))) / events
    square = float(np.sum(taken**2)) / events - (float(np.sum(taken)) / events) ** 2
    return Drawn(mean, math.sqrt(max(0.0, square) / events))


def simulate_job(
    chance: Chance,
    *,
    work: float,
    interval: float,
    write: float,
    rate: float,
    restart: float = 0.0,
    downtime: float = 0.0,
    runs: int = 1_000,
) -> Drawn:
    """Draw the failures of a job whose lost work is done again, and return its time (law A).

    Args:
        chance: a seeded generator.
        work: of the job, in seconds.
        interval: seconds of work between checkpoints.
        write: seconds to write one.
        rate: failures a second.
        restart: seconds to load one.
        downtime: seconds before each restart.
        runs: how many jobs are drawn, at least 2.

    Example:
        >>> import numpy as np
        >>> simulate_job(np.random.default_rng(1), work=1000, interval=40, write=10, rate=.01)
        Drawn(1619.1 ± 4.2)
    """
    positive(rate=rate)
    at_least(2, runs=runs)
    failures = Exponential(1.0 / rate)

    def on(gaps: Sequence[float] | NDArray[np.float64]) -> OnTrace:
        return wall_time_on_trace(
            gaps, interval, work=work, write=write, restart=restart, downtime=downtime
        )

    least = on([]).wall_s
    times = []
    for _ in range(runs):
        count = math.ceil(4.0 * least * rate) + 16
        gaps = failures.draw(chance, count)
        outcome = on(gaps)
        while outcome.past_trace:
            # The job outlasted what was drawn: draw on, as the failures do not stop.
            gaps = np.concatenate([gaps, failures.draw(chance, len(gaps))])
            if len(gaps) > 640 * MAX_ATTEMPTS:
                raise _never_ends(len(gaps))
            outcome = on(gaps)
        times.append(outcome.wall_s)
    return Drawn(float(np.mean(times)), float(np.std(times, ddof=1)) / math.sqrt(runs))


def simulate_levels(
    chance: Chance,
    *,
    costs: Sequence[float],
    rates: Sequence[float],
    intervals: Sequence[float],
    work: float,
) -> Drawn:
    """Draw the failures of a job with checkpoints of several levels; return its overhead.

    A failure of level l is survived by the checkpoints of that level and of those above, and work
    goes on from the newest of them. Each interval is rounded to a multiple of the one below, where
    its checkpoint takes the place of that one's.

    Args:
        chance: a seeded generator.
        costs: seconds to write a checkpoint of each level, the most frequent first.
        rates: failures a second of each level.
        intervals: seconds of work between checkpoints of each level, rising.
        work: of the job, in seconds.

    Raises:
        InvalidArgumentError: not one of each for each level, or intervals that fall.

    Example:
        >>> import numpy as np
        >>> simulate_levels(np.random.default_rng(1), costs=[1, 10], rates=[1e-2, 1e-4],
        ...                 intervals=[14.1, 447], work=10**6)
        Drawn(0.210767 ± 0.0028)
    """
    counts = {len(costs), len(rates), len(intervals)}
    if len(counts) != 1 or not costs or list(intervals) != sorted(intervals):
        message = (
            f"{len(costs)} costs, {len(rates)} rates and intervals {list(intervals)} are given; "
            "expected one of each for each level, the intervals rising"
        )
        raise InvalidArgumentError(message)
    positive(work=work)
    multiples = [1]
    for below, above in pairwise(intervals):
        positive(interval=below)
        multiples.append(multiples[-1] * max(1, round(above / below)))
    pieces = math.ceil(work / intervals[0])
    total = float(sum(rates))
    bounds = np.cumsum(rates) / total
    saved = [0] * len(costs)
    piece, now, failures, losses = 0, 0.0, 0, []
    to_failure = float(Exponential(1.0 / total).draw(chance, 1)[0])
    while piece < pieces:
        level = max(k for k, multiple in enumerate(multiples) if (piece + 1) % multiple == 0)
        span = intervals[0] + costs[level]
        if to_failure >= span:
            to_failure -= span
            now += span
            piece += 1
            saved[: level + 1] = [piece] * (level + 1)
            continue
        now += to_failure
        struck = int(np.searchsorted(bounds, float(chance.random(1)[0]), side="right"))
        losses.append(to_failure + (piece - saved[struck]) * intervals[0])
        failures += 1
        piece = saved[struck]
        saved[:struck] = [piece] * struck
        to_failure = float(Exponential(1.0 / total).draw(chance, 1)[0])
    done = pieces * intervals[0]
    sigma = math.sqrt(float(np.sum(np.square(losses)))) / done if losses else 0.0
    return Drawn(now / done - 1.0, sigma)


def _attempts(
    chance: Chance, needed: NDArray[np.float64], rate: float, downtime: float
) -> NDArray[np.float64]:
    """Return how long recoveries take that begin again whenever a failure strikes them."""
    taken = np.full(len(needed), downtime) + (needed if rate == 0 else 0.0)
    waiting = np.arange(len(needed)) if rate else np.arange(0)
    for _ in range(MAX_ATTEMPTS):
        if not len(waiting):
            return taken
        struck = Exponential(1.0 / rate).draw(chance, len(waiting))
        fails = struck < needed[waiting]
        taken[waiting] += np.where(fails, struck + downtime, needed[waiting])
        waiting = waiting[fails]
    raise _never_ends(MAX_ATTEMPTS)


def _never_ends(count: int) -> LimitError:
    message = f"a recovery failed {count} times: failures are too frequent for it to end"
    return LimitError(message)
