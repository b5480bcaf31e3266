"""Where to checkpoint a job whose steps differ: after which of them, to be done soonest.

A checkpoint can only be written after a step. The best set of them is found by dynamic programming
in the number of steps squared, as each stretch from one checkpoint to the next has an expected time
of its own (Toueg and Babaoglu, SIAM J. Computing 13(3), 1984; the time of a stretch is Bougeret et
al.'s, SC'11). Failures come at a constant rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.recovery.numbers import LARGEST, at_least

MAX_STEPS: Final = 20_000
"""Steps of one job: about ten seconds of work."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Boundaries:
    """After which steps a job is best checkpointed.

    Args:
        after: counts of steps, the last being all of them: (4, 10) means after the fourth and at
            the end.
        expected_s: the expected time of the job.
    """

    after: tuple[int, ...]
    expected_s: float

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.after[:6])) + (", …" if len(self.after) > 6 else "")  # noqa: PLR2004
        return f"Boundaries(after {shown}; expected {self.expected_s:.6g} s)"


def best_boundaries(
    steps: Sequence[float],
    *,
    C: float | Sequence[float],  # noqa: N803 - the literature's symbol
    rate: float,
    R: float | Sequence[float] = 0.0,  # noqa: N803
    D: float = 0.0,  # noqa: N803
) -> Boundaries:
    """Return after which steps to write checkpoints, and the expected time of the job.

    The result of the last step is always checkpointed. Of equally good sets it is one of few
    checkpoints.

    Args:
        steps: seconds of work of each step, at most 20 000 steps.
        C: seconds of a checkpoint after each step, or one number for all.
        rate: failures a second (lambda); with 0 only the result is checkpointed.
        R: seconds to restart at each step, from the checkpoint before it, or one number for all.
        D: seconds of downtime before each restart.

    Raises:
        InvalidArgumentError: no steps, numbers below 0, or lists of another length.
        LimitError: too many steps.

    Example:
        >>> best_boundaries([60, 60, 5, 5, 300], C=2, R=2, rate=1e-3)
        Boundaries(after 1, 4, 5; expected 492.162 s)
    """
    work = _numbers("steps", steps, None)
    if not 1 <= len(work) <= MAX_STEPS:
        message = f"{len(work)} steps are given; expected 1 to {MAX_STEPS}: join short ones"
        raise (LimitError if len(work) else InvalidArgumentError)(message)
    write = _numbers("C", C, len(work))
    restart = _numbers("R", R, len(work))
    at_least(0.0, rate=rate, D=D)
    ends = np.concatenate([[0.0], np.cumsum(work)])
    best = np.zeros(len(work) + 1)
    before = np.zeros(len(work) + 1, np.int64)
    for last in range(1, len(work) + 1):
        span = ends[last] - ends[:last] + write[last - 1]
        times = best[:last] + _stretch_s(span, restart[:last], rate, D)
        before[last] = int(np.argmin(times))
        best[last] = times[before[last]]
    after = [len(work)]
    while before[after[-1]]:
        after.append(int(before[after[-1]]))
    return Boundaries(tuple(reversed(after)), float(best[-1]))


def boundaries_s(
    steps: Sequence[float],
    after: Sequence[int],
    *,
    C: float | Sequence[float],  # noqa: N803
    rate: float,
    R: float | Sequence[float] = 0.0,  # noqa: N803
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return the expected time of a job with checkpoints after these steps.

    Args:
        steps: seconds of work of each step.
        after: rising counts of steps, the last being all of them.
        C: seconds of a checkpoint after each step, or one number for all.
        rate: failures a second.
        R: seconds to restart at each step, or one number for all.
        D: seconds of downtime before each restart.

    Raises:
        InvalidArgumentError: `after` does not rise, or does not end with the last step.

    Example:
        >>> round(boundaries_s([60, 60, 5, 5, 300], [3, 5], C=2, R=2, rate=1e-3), 3)
        495.748
    """
    work = _numbers("steps", steps, None)
    cuts = [0, *after]
    rising = all(one < other for one, other in pairwise(cuts))
    if not rising or cuts[-1] != len(work):
        message = f"after is {list(after)!r}; expected rising counts of steps up to {len(work)}"
        raise InvalidArgumentError(message)
    at_least(0.0, rate=rate, D=D)
    write, restart = _numbers("C", C, len(work)), _numbers("R", R, len(work))
    starts, stops = np.asarray(cuts[:-1]), np.asarray(cuts[1:])
    ends = np.concatenate([[0.0], np.cumsum(work)])
    span = ends[stops] - ends[starts] + write[stops - 1]
    return float(np.sum(_stretch_s(span, restart[starts], rate, D)))


def _stretch_s(span: Numbers, restart: Numbers, rate: float, downtime: float) -> Numbers:
    """Return e^(rate R) (1/rate + D) (e^(rate span) - 1); span itself where nothing fails."""
    if rate == 0:
        return span
    with np.errstate(over="ignore", invalid="ignore"):
        times = np.exp(rate * restart) * (1.0 / rate + downtime) * np.expm1(rate * span)
    return np.where(span == 0.0, 0.0, times)


def _numbers(name: str, given: float | Sequence[float], count: int | None) -> Numbers:
    if count is not None and isinstance(given, (int, float)):
        given = [given] * count
    found = np.asarray(given)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iuf"):
        message = f"{name} is {str(given)[:60]!r}; expected a sequence of numbers of seconds"
        raise InvalidArgumentError(message)
    if count is not None and len(found) != count:
        message = (
            f"{len(found)} numbers of {name} are given; expected one for each of {count} steps"
        )
        raise InvalidArgumentError(message)
    wrong = np.flatnonzero(~((found >= 0) & (found <= LARGEST)))
    if len(wrong):
        place = int(wrong[0])
        at_least(0.0, **{f"{name}[{place}]": float(found[place])})
    return found.astype(np.float64)
