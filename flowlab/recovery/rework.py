"""When to checkpoint work that is done again after a failure: Young, Daly, and the exact law.

A failure costs what was done since the last checkpoint. This is the law of computations; that of a
log, which is replayed and never done again, is in `flowlab.recovery.replaying`. Failures come at a
constant rate 1/M (memoryless).

Symbols, all times in seconds: M mean time between failures, delta the time to write a checkpoint,
tau the useful work between two checkpoints, R the time to restart, Ts the failure-free work.

Sources: Young, CACM 17(9), 1974; Daly, Future Generation Computer Systems 22(3), 2006; Bougeret et
al., SC'11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowlab.recovery.lambert import one_plus_w0
from flowlab.recovery.numbers import at_least, exp, expm1, positive


def young(delta: float, M: float) -> float:  # noqa: N803 - the literature's symbol
    """Return Young's interval: sqrt(2 delta M), seconds of work between checkpoints.

    Example:
        >>> round(young(5, 360), 6)
        60.0
    """
    positive(delta=delta, M=M)
    return math.sqrt(2.0 * delta * M)


def daly(delta: float, M: float) -> float:  # noqa: N803
    """Return Daly's higher-order interval, M itself where a checkpoint takes 2 M or longer.

    Example:
        >>> round(daly(5, 360), 6), daly(2, 1)
        (56.712963, 1.0)
    """
    positive(delta=delta, M=M)
    if delta >= 2.0 * M:
        return float(M)
    ratio = delta / (2.0 * M)
    return young(delta, M) * (1.0 + math.sqrt(ratio) / 3.0 + ratio / 9.0) - delta


def exact(delta: float, M: float) -> float:  # noqa: N803
    """Return the interval of least expected wall time: M (1 + W0(-e^(-1 - delta/M))).

    It does not depend on the time to restart, is below Young's, and falls as failures get more
    frequent.

    Example:
        >>> round(exact(5, 360), 6)
        56.714002
    """
    positive(delta=delta, M=M)
    return M * one_plus_w0(delta / M)


def expected_wall_s(
    tau: float,
    *,
    delta: float,
    M: float,  # noqa: N803
    R: float = 0.0,  # noqa: N803
    Ts: float = 1.0,  # noqa: N803
) -> float:
    """Return the expected wall time of Ts seconds of work with a checkpoint after every tau.

    Example:
        >>> round(expected_wall_s(60, delta=5, M=360) - 1, 6)
        0.187296
    """
    positive(tau=tau, delta=delta, M=M, Ts=Ts)
    at_least(0.0, R=R)
    return M * exp(R / M) * expm1((tau + delta) / M) * Ts / tau


def overhead(tau: float, *, delta: float, M: float, R: float = 0.0) -> float:  # noqa: N803
    """Return what checkpoints and failures add to each second of work, as a share of it.

    Example:
        >>> round(overhead(exact(1, 10), delta=1, M=10), 6)
        0.621227
    """
    return expected_wall_s(tau, delta=delta, M=M, R=R) - 1.0


def expected_chunk_s(
    W: float,  # noqa: N803
    *,
    C: float,  # noqa: N803
    R: float,  # noqa: N803
    rate: float,
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return the expected time of a chunk of work and its checkpoint; a recovery may fail again.

    Args:
        W: work, in seconds.
        C: the checkpoint after it.
        R: a recovery.
        rate: failures a second (lambda).
        D: the downtime before each recovery.

    Example:
        >>> round(expected_chunk_s(100, C=10, D=5, R=10, rate=0.01), 5)
        232.56933
    """
    positive(W=W, rate=rate)
    at_least(0.0, C=C, R=R, D=D)
    return exp(rate * R) * (1.0 / rate + D) * expm1(rate * (W + C))


@dataclass(frozen=True, slots=True)
class Chunks:
    """Into how many chunks a job is best divided.

    Args:
        real: the best number as a real one.
        best: the best whole number.
        expected_s: the expected time of the job with it.
    """

    real: float
    best: int
    expected_s: float

    def __repr__(self) -> str:
        return f"Chunks({self.best}, expected {self.expected_s:.6g} s)"


def job_s(
    work: float,
    chunks: int,
    *,
    C: float,  # noqa: N803
    R: float,  # noqa: N803
    rate: float,
    D: float = 0.0,  # noqa: N803
) -> float:
    """Return the expected time of a job in equal chunks, each with a checkpoint after it.

    Example:
        >>> round(job_s(1000, 26, C=10, D=5, R=10, rate=0.01), 4)
        1881.3244
    """
    at_least(1, chunks=chunks)
    return chunks * expected_chunk_s(work / chunks, C=C, R=R, rate=rate, D=D)


def best_chunks(
    work: float,
    *,
    C: float,  # noqa: N803
    R: float,  # noqa: N803
    rate: float,
    D: float = 0.0,  # noqa: N803
) -> Chunks:
    """Return the number of chunks with the least expected time.

    Example:
        >>> best = best_chunks(1000, C=10, D=5, R=10, rate=0.01)
        >>> best, round(best.real, 4)
        (Chunks(26, expected 1881.32 s), 26.0972)
    """
    positive(work=work, C=C, rate=rate)
    real = rate * work / one_plus_w0(rate * C)
    candidates = {max(1, math.floor(real)), max(1, math.ceil(real))}
    times = {count: job_s(work, count, C=C, R=R, rate=rate, D=D) for count in candidates}
    best = min(sorted(times), key=lambda count: times[count])
    return Chunks(real, best, times[best])
