"""What an interval between checkpoints would have cost on failures that really happened.

A trace is the gaps between failures, in the order in which they came. No distribution is assumed:
the trace is replayed, failure by failure, in time that does not depend on its length in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.recovery.estimates import Costs
from flowlab.recovery.failures import checked_gaps
from flowlab.recovery.numbers import at_least, positive
from flowlab.recovery.rework import young

CLOCKS: Final = ("wall", "up")
_ROUNDING: Final = 1e-9
"""A last piece of work shorter than this share of the others is rounding, and no piece."""
_PER_OCTAVE: Final = 8
_OCTAVES: Final = 5


@dataclass(frozen=True, slots=True)
class OnTrace:
    """What a job took on a trace; its parts add up to `wall_s`.

    Args:
        interval: seconds of work between checkpoints.
        wall_s: from the start of the job to its end.
        work_s: of it, work that was done once, or for the last time.
        checkpoints: written in full, the one of the result among them.
        writing_s: of it, those checkpoints.
        lost_s: of it, work and halves of checkpoints that a failure undid.
        restarting_s: of it, restarts, those that failed too.
        down_s: of it, downtime.
        failures: that struck; those within a downtime count as one with it.
        past_trace: the job outlasted the trace, and its last part met no failure for that reason.
    """

    interval: float
    wall_s: float
    work_s: float
    checkpoints: int
    writing_s: float
    lost_s: float
    restarting_s: float
    down_s: float
    failures: int
    past_trace: bool

    @property
    def overhead(self) -> float:
        """What was added to the work, as a share of it."""
        return self.wall_s / self.work_s - 1.0

    def __repr__(self) -> str:
        struck = f"{self.failures} failure{'s' * (self.failures != 1)}"
        past = ", past the end of the trace" if self.past_trace else ""
        share = f"{self.overhead:.1%} over the work"
        return f"OnTrace(every {self.interval:g} s: {self.wall_s:g} s, {share}, {struck}{past})"


def wall_time_on_trace(
    gaps: Iterable[float],
    interval: float,
    *,
    work: float,
    write: float,
    restart: float = 0.0,
    downtime: float = 0.0,
    clock: Literal["wall", "up"] = "wall",
) -> OnTrace:
    """Replay a trace of failures against a job whose lost work is done again (law A).

    A checkpoint follows every `interval` of work, and the end of it. A failure undoes what came
    after the last whole checkpoint; then come the downtime and the restart, which may fail again.
    What ends at the very moment of a failure has ended before it. After the trace's last failure
    none follows; `past_trace` says if the job got there.

    Args:
        gaps: seconds between failures; the first is counted from the job's start.
        interval: seconds of work between checkpoints (tau).
        work: of the whole job, in seconds (Ts).
        write: seconds to write a checkpoint (delta).
        restart: seconds to load one (R).
        downtime: seconds before each restart (D).
        clock: "wall" where the gaps run on while the system is down (a failure in a downtime
            changes nothing), "up" where each begins when the system is up again.

    Raises:
        InvalidArgumentError: a number or gap is not above 0 (costs may be 0).

    Example:
        >>> wall_time_on_trace([100, 40, 500], 30, work=120, write=5, restart=10, downtime=20)
        OnTrace(every 30 s: 240 s, 100.0% over the work, 2 failures)
    """
    trace = checked_gaps(gaps, least=0)
    positive(interval=interval, work=work)
    at_least(0.0, write=write, restart=restart, downtime=downtime)
    if clock not in CLOCKS:
        message = f"clock is {clock!r}; expected one of {', '.join(map(repr, CLOCKS))}"
        raise InvalidArgumentError(message)
    job = _Job(interval, work, write)
    up_at = failed_at = down_s = restarting_s = 0.0
    failures = 0
    for gap in trace.tolist():
        failed_at = failed_at + gap if clock == "wall" else up_at + gap
        if failed_at < up_at:
            continue
        available = failed_at - up_at
        wait = restart if failures else 0.0
        if wait + job.left_s <= available:
            break
        failures += 1
        restarting_s += min(wait, available)
        job.run(max(0.0, available - wait))
        up_at = failed_at + downtime
        down_s += downtime
    else:
        failed_at = math.inf
    wait = restart if failures else 0.0
    wall_s = up_at + wait + job.left_s
    return OnTrace(
        float(interval),
        wall_s,
        float(work),
        job.pieces,
        job.pieces * write,
        job.lost_s,
        restarting_s + wait,
        down_s,
        failures,
        math.isinf(failed_at),
    )


class _Job:
    """A job in pieces, each with a checkpoint after it; only whole pieces are kept."""

    __slots__ = ("_done", "_interval", "_last", "_write", "lost_s", "pieces")

    def __init__(self, interval: float, work: float, write: float) -> None:
        self.pieces = max(1, math.ceil(work / interval - _ROUNDING))
        self._interval, self._write = interval, write
        self._last = work - (self.pieces - 1) * interval
        self._done = 0
        self.lost_s = 0.0

    @property
    def left_s(self) -> float:
        """The time that the pieces left take without a failure."""
        left = self.pieces - self._done
        return (left - 1) * (self._interval + self._write) + self._last + self._write

    def run(self, seconds: float) -> None:
        """Work so long, then fail."""
        period = self._interval + self._write
        whole = min(int(seconds // period), self.pieces - self._done - 1)
        self._done += whole
        self.lost_s += seconds - whole * period


def best_on_trace(gaps: Iterable[float], *, work: float, write: float, **how: Any) -> OnTrace:
    """Return the outcome of the interval that would have been the fastest on a trace.

    Tried are 81 intervals, 8 in each octave, around Young's for the mean gap. It is the best in
    hindsight, and on a short trace says more of chance than of the system.

    Args:
        gaps: seconds between failures.
        work: of the job, in seconds.
        write: seconds to write a checkpoint, above 0.
        how: as for `wall_time_on_trace`.

    Example:
        >>> best_on_trace([250, 900, 130, 400], work=1000, write=5)
        OnTrace(every 111.111 s: 1062.78 s, 6.3% over the work, 1 failure)
    """
    trace = checked_gaps(gaps)
    positive(write=write, work=work)
    middle = young(write, float(np.mean(trace)))
    steps = range(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE + 1)
    intervals = sorted({min(float(work), middle * 2.0 ** (k / _PER_OCTAVE)) for k in steps})
    # An interval that divides the work wastes no short last piece.
    intervals = sorted({work / max(1, round(work / interval)) for interval in intervals})
    found = [wall_time_on_trace(trace, one, work=work, write=write, **how) for one in intervals]
    return min(found, key=lambda outcome: (outcome.wall_s, -outcome.interval))


@dataclass(frozen=True, slots=True)
class ReplayOnTrace:
    """What snapshots and recoveries of a log cost on a trace of recoveries.

    Args:
        every: events between snapshots.
        events: of the whole log.
        snapshots: written.
        recoveries: of the trace.
        replayed: events that they replayed.
        total_s: of snapshots and recoveries together.
    """

    every: int
    events: int
    snapshots: int
    recoveries: int
    replayed: int
    total_s: float

    @property
    def cost(self) -> float:
        """Seconds an event, as the law gives it."""
        return self.total_s / self.events

    def __repr__(self) -> str:
        told = f"{self.snapshots} snapshots, {self.recoveries} recoveries"
        return f"ReplayOnTrace(every {self.every} events: {told}, {self.cost:.6g} s an event)"


def cost_on_trace(
    gaps: Iterable[int],
    every: int,
    *,
    costs: Costs,
    events: int | None = None,
    downtime: float = 0.0,
) -> ReplayOnTrace:
    """Replay a trace of recoveries against a log that is replayed from its last snapshot (law B).

    Nothing is done twice: a recovery n events after the last snapshot costs D + L + r n.

    Args:
        gaps: events between recoveries (0 where one follows another at once); the first is counted
            from the start of the log.
        every: a snapshot follows each so many events.
        costs: of a snapshot, a load and the replay of an event.
        events: of the whole log; by default it ends with the last recovery.
        downtime: seconds before each recovery.

    Raises:
        InvalidArgumentError: a gap is no whole number of events, `every` is below 1, or the log
            ends before its last recovery, or has no event.

    Example:
        >>> costs = Costs(snapshot_s=50, load_s=20, replay_s=.5)
        >>> cost_on_trace([700, 1200], 447, costs=costs)
        ReplayOnTrace(every 447 events: 4 snapshots, 2 recoveries, 0.222368 s an event)
    """
    trace = np.asarray(list(gaps))
    if trace.ndim != 1 or (len(trace) and trace.dtype.kind not in "iu") or np.any(trace < 0):
        message = f"gaps are {str(trace.tolist())[:60]}; expected whole numbers of events from 0"
        raise InvalidArgumentError(message)
    for name, value in {"every": every, "events": events}.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            message = f"{name} is {value!r}; expected a whole number of events"
            raise InvalidArgumentError(message)
    at_least(1, every=every)
    at_least(0.0, downtime=downtime)
    places = np.cumsum(trace, dtype=np.int64)
    last = int(places[-1]) if len(places) else 0
    total = last if events is None else events
    at_least(max(1, last), events=total)
    replayed = int(np.sum(places % every))
    snapshots = total // every
    recovering = len(places) * (downtime + costs.load_s) + replayed * costs.replay_s
    return ReplayOnTrace(
        every, total, snapshots, len(places), replayed, snapshots * costs.snapshot_s + recovering
    )
