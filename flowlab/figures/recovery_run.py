"""One run with a crash: events since the last checkpoint, over time; a fluid approximation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.figures.recovery_model import RecoveryCosts
from flowlab.figures.recovery_words import count, seconds

_TEETH: Final = 2.6
"""Intervals before the crash, unless it is placed."""
_MAX_TEETH: Final = 400


@dataclass(frozen=True, slots=True)
class CrashedRun:
    """A run that works at the rate of arrivals, crashes, recovers and catches up.

    Args:
        every: events between checkpoints.
        crash_s: when it crashes.
        since: events since the last checkpoint then.
        loaded_s: when the checkpoint is loaded.
        down_s: when the downtime is over, and loading begins.
        back_s: when all events are replayed.
        caught_s: when all that arrived meanwhile is worked off; infinite where it never is.
        end_s: of the picture.
        before, after: (seconds, events since): the line before the crash, and after the replay.
    """

    every: float
    crash_s: float
    since: float
    down_s: float
    loaded_s: float
    back_s: float
    caught_s: float
    end_s: float
    before: tuple[tuple[float, float], ...]
    after: tuple[tuple[float, float], ...]

    def __repr__(self) -> str:
        return f"CrashedRun(every {self.every:g}, crash at {self.crash_s:g} s)"


def longest_crash_s(every: float, costs: RecoveryCosts) -> float:
    """Return the latest time at which a picture's run may crash: after four intervals."""
    return 4.0 * every / costs.arrivals


def crashed_run(every: float, costs: RecoveryCosts, crash_s: float | None = None) -> CrashedRun:
    """Return a run with a checkpoint every so many events, and a crash.

    A checkpoint is written while work goes on. The crash may be placed anywhere within the first
    four intervals.

    Raises:
        InvalidArgumentError: nothing arrives, or the crash is placed elsewhere.

    Example:
        >>> run = crashed_run(100, RecoveryCosts(S=50, L=20, r=.5, p=.001), crash_s=150)
        >>> run.since, run.loaded_s, run.back_s, run.caught_s
        (0.0, 170.0, 170.0, 175.0)
    """
    c = costs
    if c.arrivals <= 0:
        message = "arrivals is 0; expected some events a second: without them no run goes on"
        raise InvalidArgumentError(message)
    latest = longest_crash_s(every, c)
    at = _TEETH * every / c.arrivals if crash_s is None else crash_s
    if not 0 <= at <= latest:
        message = f"crash_s is {at!r}; expected 0 to {latest:g}, four intervals of {every:g} events"
        raise InvalidArgumentError(message)
    done = c.arrivals * at
    taken = math.floor(done / every + 1e-9)
    since = max(0.0, done - taken * every)
    load = c.L + c.growth * taken * every if taken else 0.0
    down, loaded = at + c.D, at + c.D + load
    back = loaded + c.r * since
    late = back - at
    is_never = c.arrivals >= c.capacity
    caught = math.inf if is_never else at + late * c.capacity / (c.capacity - c.arrivals)
    known = back + late if is_never else caught
    end = max(latest * 1.05, known + 0.1 * latest)
    after = _line(back, done, c.capacity, known, every)
    if not is_never:
        after += _line(caught, c.arrivals * caught, c.arrivals, end, every)[1:]
    return CrashedRun(
        every, at, since, down, loaded, back, caught, end,
        tuple(_line(0.0, 0.0, c.arrivals, at, every)), tuple(after),
    )  # fmt: skip


def _line(
    from_s: float, done: float, pace: float, to_s: float, every: float
) -> list[tuple[float, float]]:
    """Return the corners of the saw-tooth from one time to another."""
    taken = math.floor(done / every + 1e-9)
    points = [(from_s, max(0.0, done - taken * every))]
    for tooth in range(taken + 1, taken + _MAX_TEETH):
        at = from_s + (tooth * every - done) / pace
        if at >= to_s:
            break
        points += [(at, every), (at, 0.0)]
    reached = done + pace * (to_s - from_s)
    points.append((to_s, min(every, max(0.0, reached - math.floor(reached / every) * every))))
    return points


def told_run(run: CrashedRun) -> str:
    """Say what happens in a run.

    Example:
        >>> run = crashed_run(100, RecoveryCosts(S=50, L=20, r=.5, p=.001), crash_s=75)
        >>> told_run(run).partition(": ")[2]
        'load 20 s, replay 25 s; back after 45 s, caught up after 56.2 s.'
    """
    parts = []
    if run.down_s > run.crash_s:
        parts.append(f"down {seconds(run.down_s - run.crash_s)}")
    if run.loaded_s > run.down_s:
        parts.append(f"load {seconds(run.loaded_s - run.down_s)}")
    parts.append(f"replay {seconds(run.back_s - run.loaded_s)}")
    said = f"Crash after {seconds(run.crash_s)}, {count(run.since)} events since a checkpoint: "
    said += ", ".join(parts) + f"; back after {seconds(run.back_s - run.crash_s)}, "
    if run.caught_s == math.inf:
        return said + "never caught up."
    return said + f"caught up after {seconds(run.caught_s - run.crash_s)}."
