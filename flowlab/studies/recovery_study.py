"""The study of recovery: predicted against measured, over a grid of real stores and real kills.

    python -m flowlab.studies.recovery_study --folder results [--quick | --full]

Results are JSON lines in `results.jsonl` of the folder, a line for each cell and each process that
measured it; what is there already is not measured again, so that a study which was stopped goes on.
`errors.svg` is their picture.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from flowlab.figures import Figure, curves
from flowlab.studies.measuring import FULL, QUICK, Scale, Spread, duration, workplace
from flowlab.studies.recovery_cells import calibration, grid, processes_at, unseen
from flowlab.studies.recovery_fit import (
    Clock,
    Errors,
    Predicted,
    SchemeCosts,
    Statistic,
    fit_schemes,
    predict,
)
from flowlab.studies.recovery_rounds import Progress, measure

PICTURE: Final = "errors.svg"
PARALLEL: Final = "parallel"
"""Its time is that of a pool, which is told beside and not judged."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecoveryStudy:
    """What the study has found.

    Args:
        costs: of each scheme, and of writing, from the calibration runs.
        predictions: of the grid.
        rows: all results.
        clock: by which both were measured.
        statistic: which of the times of a cell stands for them, where costs are fitted and here.
    """

    costs: dict[str, SchemeCosts]
    predictions: tuple[Predicted, ...]
    rows: tuple[Row, ...]
    clock: Clock = "wall"
    statistic: Statistic = "least"

    @classmethod
    def of(
        cls, rows: Sequence[Row], *, clock: Clock = "wall", statistic: Statistic = "least"
    ) -> RecoveryStudy:
        """Fit the calibration rows, and predict the others."""
        fitted = (row for row in rows if row["kind"] == "calibration")
        costs = fit_schemes(fitted, clock=clock, statistic=statistic)
        told = [row for row in rows if row["kind"] != "calibration"]
        found = predict(told, costs, clock=clock, statistic=statistic)
        return cls(costs, tuple(found), tuple(rows), clock, statistic)

    @property
    def judged(self) -> tuple[Predicted, ...]:
        """The predictions of schemes in one process, about which the claims are."""
        return tuple(found for found in self.predictions if found.scheme != PARALLEL)

    @property
    def errors(self) -> Errors:
        """Of those that are judged."""
        return Errors.of([found.error for found in self.judged])

    @property
    def by_scheme(self) -> dict[str, Errors]:
        """Of the predictions of each scheme."""
        found: dict[str, list[float]] = defaultdict(list)
        for one in self.predictions:
            found[one.scheme].append(one.error)
        return {scheme: Errors.of(errors) for scheme, errors in found.items()}

    @property
    def noise(self) -> float:
        """By how much a process's median is above its least time, the median of all."""
        told = {found.scheme for found in self.predictions}
        times = [each for row in self.rows if row["scheme"] in told for each in row["wall"]]
        return Spread.of([statistics.median(each) / min(each) - 1.0 for each in times]).median

    @property
    def between(self) -> Spread:
        """By how much a cell's slowest process is above its quickest, of those that are judged."""
        return Spread.of([found.between for found in self.judged])

    def figure(self) -> Figure:
        """Draw how far off the predictions of each scheme are."""
        series: dict[str, list[tuple[float, float]]] = {}
        for scheme in self.by_scheme:
            errors = sorted(one.error for one in self.predictions if one.scheme == scheme)
            shares = [100.0 * place / len(errors) for place in range(1, len(errors) + 1)]
            off = [100.0 * error for error in errors]
            series[scheme] = list(zip(shares, off, strict=True))
        return curves(
            series,
            x="of the recoveries, %",
            y="predicted is off by at most, %",
            title="How well the law tells the time of a recovery",
            caption=f"{len(self.predictions)} recoveries after a kill; costs fitted to other runs",
        )

    def __repr__(self) -> str:
        return f"RecoveryStudy({len(self.predictions)} predictions, {self.errors!r})"

    def __str__(self) -> str:
        lines = [f"{scheme:12} {costs!r}" for scheme, costs in self.costs.items()]
        told = ("measured", "processes", "predicted", "error")
        lines += ["", f"{'scheme':12} {' '.join(f'{name:>10}' for name in told)}  cell"]
        for one in sorted(self.predictions, key=lambda one: (one.scheme, one.measured_s)):
            took, expected = duration(one.measured_s), duration(one.predicted_s)
            apart = f"+{one.between:.1%}"
            lines.append(
                f"{one.scheme:12} {took:>10} {apart:>10} {expected:>10} {one.error:>10.1%}  "
                f"{one.cell}"
            )
        lines += ["", *(f"{scheme:12} {errors!r}" for scheme, errors in self.by_scheme.items())]
        lines.append(f"{'all':12} {self.errors!r}; within a process {self.noise:.1%} above least")
        return "\n".join(lines)


def study(
    scale: Scale,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    seed: int | None = None,
) -> RecoveryStudy:
    """Run the study, or what is left of it.

    Args:
        scale: how much.
        folder: of results; None keeps none.
        progress: told a line for each cell.
        seed: of cells that nobody has seen, in place of the grid; None is the grid.
    """
    cells = [*calibration(scale), *(grid(scale) if seed is None else unseen(scale, seed))]
    several = processes_at(scale)
    if folder is not None:
        return RecoveryStudy.of(measure(cells, folder, processes=several, progress=progress))
    with workplace(scale) as place:
        return RecoveryStudy.of(measure(cells, place, processes=several, progress=progress))


@lru_cache(maxsize=2)
def once(scale: Scale) -> RecoveryStudy:
    """Return the study of a scale, measured once in a process: several claims are about it."""
    return study(scale, folder=None if scale.folder is None else scale.folder / "recovery-study")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study from the command line, and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m flowlab.studies.recovery_study")
    parser.add_argument("--folder", type=Path, required=True, help="of the results; it may exist")
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--full", action="store_true", help="more repetitions")
    parser.add_argument("--seed", type=int, help="of cells all drawn by chance, not the grid")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--statistic", choices=("least", "median"), default="least")
    given = parser.parse_args(arguments)
    scale = QUICK if given.quick else FULL if given.full else Scale()
    scale = replace(scale, folder=given.folder)
    found = study(scale, folder=given.folder, progress=_say, seed=given.seed)
    if (given.clock, given.statistic) != (found.clock, found.statistic):
        found = RecoveryStudy.of(found.rows, clock=given.clock, statistic=given.statistic)
    picture = found.figure().save(given.folder / PICTURE)
    sys.stdout.write(f"{found}\n{picture}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
