"""What each scheme costs, fitted from calibration runs, and how well that predicts other runs.

The law of a recovery is linear in what it reads: T = O + W a + n r + bytes b + row groups g +
opened files o + state bytes l + files f + tail events t + tail bytes u + sealed files h, with O to
open the store. All of it is known before: n events since the checkpoint and their bytes, the row
groups that hold them, the files of these, whose footers are read once for all workflows; the
checkpoint's files. A store that was just opened also reads its whole tail and the list of its
sealed files, whoever asks.

At a savepoint that replayed code passes it saves its whole state once more, to be held against what
is recorded: by the byte that is dearer than an event's payload. A cache that is warm reads what it
has missed from the tail. It asks for the end of each workflow and goes on with those that moved: by
few events one at a time, by many in a batch, which costs a little at once and less for each.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from flowlab.errors import InvalidArgumentError
from flowlab.recovery import Costs

SCHEMES: Final = ("replay", "checkpoint", "incremental", "warm cache", "parallel")
_OPENED: Final = (
    "once", "workflows", "events", "payload_bytes", "tail_events", "tail_bytes", "sealed_files",
    "groups", "opened_files",
)  # fmt: skip
_SINCE: Final = (*_OPENED, "group_bytes", "state_bytes", "files")
_MISSED: Final = (
    "once", "workflows", "moved", "single_events", "batches", "batch_events", "payload_bytes",
    "savepoints", "saved_bytes",
)  # fmt: skip
TERMS: Final[Mapping[str, tuple[str, ...]]] = {
    "replay": (*_OPENED, "savepoints", "saved_bytes"),
    "checkpoint": _SINCE,
    "incremental": _SINCE,
    "warm cache": _MISSED,
    "parallel": ("once", "workflows", "events", "payload_bytes"),
    "write": ("once", "bytes"),
    "write a delta": ("once", "bytes"),
}
"""What the cost of each scheme grows with, and of writing a checkpoint."""

_ALIKE: Final = ("checkpoint", "incremental")
_ROUNDS: Final = 30
_NOTHING: Final = 1e-15
_EXACT: Final = 0.01
"""A relative error from which on smaller ones count no more."""

Row = Mapping[str, Any]
Clock = Literal["wall", "cpu"]
Statistic = Literal["least", "median"]
"""Which of several times stands for all of them."""


def seconds_of(row: Row, clock: Clock = "wall", statistic: Statistic = "least") -> float:
    """Return the time of a row: the least of its processes, each of which tells its own least.

    What else a machine does only ever adds to a time, so that of several the least is nearest to
    what the work itself takes (J. Chen and J. Revels, "Robust benchmarking in noisy environments",
    2016). The medians, of each process and then of these, tell what one had to expect meanwhile.

    Example:
        >>> row = {"wall": [[0.25, 0.5, 0.75], [1.0], [0.125, 0.625]]}
        >>> seconds_of(row), seconds_of(row, statistic="median")
        (0.125, 0.5)
    """
    each = _by_process(row, clock, statistic)
    return min(each) if statistic == "least" else statistics.median(each)


def _by_process(row: Row, clock: Clock, statistic: Statistic) -> list[float]:
    take = min if statistic == "least" else statistics.median
    return [take(times) for times in row.get(clock) or row["wall"]]


@dataclass(frozen=True, slots=True)
class SchemeCosts:
    """What a scheme costs, by what it reads.

    Args:
        scheme: its name.
        seconds: for one of each term, by name; `once` is the fixed part.
        rows: runs that it was fitted from.

    Example:
        >>> SchemeCosts("replay", {"once": 0.001, "events": 2e-6}, 4).predict({"events": 500})
        0.002
    """

    scheme: str
    seconds: Mapping[str, float]
    rows: int

    def predict(self, row: Row) -> float:
        """Return the seconds of a recovery that reads so much."""
        told = {"once": 1, **row}
        return float(sum(each * told.get(name, 0) for name, each in self.seconds.items()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {each:.3g}" for name, each in self.seconds.items())
        return f"SchemeCosts({self.scheme}: {told})"


def fit_schemes(
    rows: Iterable[Row], *, clock: Clock = "wall", statistic: Statistic = "least"
) -> dict[str, SchemeCosts]:
    """Fit what each scheme costs, by its relative errors; no cost is below 0.

    The sum of absolute errors is least, so that a run which was held up bends little.

    Args:
        rows: of calibration runs, of one or more schemes.
        clock: `wall`, or `cpu` for the time of the processor.
        statistic: of the times of a row.

    Raises:
        InvalidArgumentError: a scheme has no term.

    Example:
        >>> rows = [{"scheme": "write", "bytes": size, "wall": [[0.002 + 1e-8 * size]]}
        ...         for size in (100, 10_000, 500_000)]
        >>> fit_schemes(rows)["write"]
        SchemeCosts(write: once 0.002, bytes 1e-08)
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["scheme"]].append(row)
    found = {}
    for scheme in groups:
        if scheme not in TERMS:
            message = f"no scheme is called {scheme!r}; there are {', '.join(TERMS)}"
            raise InvalidArgumentError(message)
        terms = TERMS[scheme]
        # A whole checkpoint is a chain of one file: both are read the same way.
        alike = _ALIKE if scheme in _ALIKE else (scheme,)
        held = [row for name in alike for row in groups.get(name, ())]
        reads = np.array([[{"once": 1, **row}.get(term, 0) for term in terms] for row in held])
        took = np.array([seconds_of(row, clock, statistic) for row in held])
        each = _robust(reads / took[:, None])
        found[scheme] = SchemeCosts(scheme, dict(zip(terms, each.tolist(), strict=True)), len(held))
    return found


def _robust(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return x >= 0 with the least sum of |A x - 1|, by reweighted least squares."""
    weights = np.ones(len(matrix))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        found = least_squares(matrix * root[:, None], root)
        weights = 1.0 / np.maximum(np.abs(matrix @ found - 1.0), _EXACT)
    return found


def least_squares(matrix: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """Return x >= 0 with the least |A x - b|: Lawson and Hanson's active set, 1974.

    Example:
        >>> matrix, target = np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([3.0, 1.0])
        >>> least_squares(matrix, target).round(9).tolist()
        [2.0, 0.0]
    """
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1.0
    a = matrix / scale
    columns = a.shape[1]
    active = np.zeros(columns, np.bool_)
    x = np.zeros(columns)
    for _ in range(10 * columns):
        slope = a.T @ (target - a @ x)
        slope[active] = -np.inf
        best = int(np.argmax(slope))
        if slope[best] <= 1e-12 * max(1.0, float(np.abs(target).max())):
            break
        active[best] = True
        while True:
            tried = np.zeros(columns)
            tried[active] = np.linalg.lstsq(a[:, active], target, rcond=None)[0]
            low = active & (tried <= 0)
            if not low.any():
                x = tried
                break
            steps = x[low] / np.maximum(x[low] - tried[low], 1e-300)
            x = x + float(steps.min()) * (tried - x)
            active &= x > _NOTHING
            x[~active] = 0.0
    return np.asarray(x / scale)


@dataclass(frozen=True, slots=True)
class Predicted:
    """A recovery as it was predicted and as it was measured.

    Args:
        cell: its name.
        scheme: its name.
        predicted_s, measured_s: seconds.
        processes: what each that measured it took: the least or the median of its recoveries.
    """

    cell: str
    scheme: str
    predicted_s: float
    measured_s: float
    processes: tuple[float, ...]

    @property
    def between(self) -> float:
        """By what share the slowest process is above the quickest."""
        return max(self.processes) / min(self.processes) - 1.0

    @property
    def error(self) -> float:
        """By what share of the measured time the prediction is off."""
        return abs(self.predicted_s / self.measured_s - 1.0)

    def __repr__(self) -> str:
        took = f"{self.measured_s * 1e3:.3g} ms, predicted {self.predicted_s * 1e3:.3g}"
        apart = f"slowest process {self.between * 100:.3g} % above the quickest"
        return f"Predicted({self.scheme}, {self.cell}: {took}, {apart})"


def predict(
    rows: Iterable[Row],
    costs: Mapping[str, SchemeCosts],
    *,
    clock: Clock = "wall",
    statistic: Statistic = "least",
) -> list[Predicted]:
    """Return what was predicted of runs, beside what was measured."""
    return [
        Predicted(
            row["cell"],
            row["scheme"],
            costs[row["scheme"]].predict(row),
            seconds_of(row, clock, statistic),
            tuple(_by_process(row, clock, statistic)),
        )
        for row in rows
        if row["scheme"] in SCHEMES and row["scheme"] in costs
    ]


@dataclass(frozen=True, slots=True)
class Errors:
    """The relative errors of predictions.

    Args:
        median, p90, worst: of them.
        count: of predictions.

    Example:
        >>> Errors.of([0.02, 0.04, 0.30])
        Errors(median 4 %, 90th percentile 24.8 %, worst 30 %, of 3)
    """

    median: float
    p90: float
    worst: float
    count: int

    @classmethod
    def of(cls, errors: Sequence[float]) -> Errors:
        """Return what is told of at least one error."""
        p90 = float(np.quantile(errors, 0.9))
        return cls(statistics.median(errors), p90, max(errors), len(errors))

    def __repr__(self) -> str:
        shares = (
            f"median {self.median * 100:.3g} %",
            f"90th percentile {self.p90 * 100:.3g} %",
            f"worst {self.worst * 100:.3g} %",
        )
        return f"Errors({', '.join(shares)}, of {self.count})"


def law_costs(
    costs: Mapping[str, SchemeCosts], *, state_bytes: float, payload_bytes: float
) -> Costs:
    """Return S, L and r of the law for workflows of one kind, recovered from whole checkpoints.

    Args:
        costs: fitted.
        state_bytes: of a checkpoint.
        payload_bytes: of an event, the mean.
    """
    write, read = costs["write"].seconds, costs["checkpoint"].seconds
    return Costs(
        snapshot_s=write["once"] + write["bytes"] * state_bytes,
        load_s=read["once"] + read["workflows"] + read["state_bytes"] * state_bytes,
        replay_s=read["events"] + read["payload_bytes"] * payload_bytes,
    )
