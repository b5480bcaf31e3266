"""The study of recovery: predicted against measured, over a grid of real stores and real kills.

    python -m flowlab.studies.recovery_study --folder results [--quick | --full]

Results are JSON lines in `results.jsonl` of the folder, a line for each cell; what is there already
is not measured again, so that a study which was stopped goes on. `errors.svg` is their picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flowlab.errors import CorruptionError
from flowlab.figures import Figure, curves
from flowlab.studies.measuring import FULL, QUICK, Scale, Spread, duration, workplace
from flowlab.studies.recovery_cells import STORES, Cell, calibration, grid, unseen
from flowlab.studies.recovery_fit import (
    Clock,
    Errors,
    Predicted,
    SchemeCosts,
    fit_schemes,
    predict,
)

RESULTS: Final = "results.jsonl"
PICTURE: Final = "errors.svg"
PARALLEL: Final = "parallel"
"""Its time is that of a pool, which is told beside and not judged."""
Progress = Callable[[str], object]
Row = dict[str, Any]


def measured_cell(cell: Cell, folder: Path) -> list[Row]:
    """Write a cell's stores, kill a process at work on each, and recover by every scheme.

    Args:
        cell: what to measure.
        folder: for its files; they are gone afterwards.
    """
    # Processes are forked there, with all that a process at work has loaded.
    from flowlab.studies import recovery_process as processes  # noqa: PLC0415

    with TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        rows = processes.prepare(root, cell)
        for name in STORES:
            processes.killed_at_work(root, name, cell)
            rows += processes.recovered(root, name, cell)
    return [{"cell": cell.name, **cell.facts(), **row} for row in rows]


def measure(
    cells: Iterable[Cell],
    folder: Path,
    *,
    progress: Progress | None = None,
    measured: Callable[[Cell, Path], list[Row]] = measured_cell,
) -> list[Row]:
    """Measure the cells that a folder has no results of; return the results of all.

    Args:
        cells: to measure.
        folder: of the results, and of the stores while they are measured.
        progress: told a line for each cell.
        measured: measures one.

    Raises:
        CorruptionError: a line of the results, other than a torn last one, is no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULTS
    held = _held(path)
    wanted = list(cells)
    for place, cell in enumerate(wanted, 1):
        if cell.name in held:
            continue
        began = time.perf_counter()
        rows = measured(cell, folder)
        line = json.dumps({"cell": cell.name, "rows": rows}, separators=(",", ":"))
        with path.open("a", encoding="utf-8") as results:
            results.write(line + "\n")
        held[cell.name] = rows
        if progress is not None:
            took = duration(time.perf_counter() - began)
            progress(f"{place} of {len(wanted)}: {cell.name} ({took})")
    return [row for cell in wanted for row in held[cell.name]]


def _held(path: Path) -> dict[str, list[Row]]:
    """Read the results so far; a last line that is torn is cut away, and measured again."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    held = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found = json.loads(line)
            held[found["cell"]] = found["rows"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            message = f"line {number} of {path} is no result of the study; delete it to go on"
            raise CorruptionError(message) from error
    return held


@dataclass(frozen=True, slots=True)
class RecoveryStudy:
    """What the study has found.

    Args:
        costs: of each scheme, and of writing, from the calibration runs.
        predictions: of the grid.
        rows: all results.
        clock: by which both were measured.
    """

    costs: dict[str, SchemeCosts]
    predictions: tuple[Predicted, ...]
    rows: tuple[Row, ...]
    clock: Clock = "wall"

    @classmethod
    def of(cls, rows: Sequence[Row], *, clock: Clock = "wall") -> RecoveryStudy:
        """Fit the calibration rows, and predict the others."""
        costs = fit_schemes((row for row in rows if row["kind"] == "calibration"), clock=clock)
        told = [row for row in rows if row["kind"] != "calibration"]
        return cls(costs, tuple(predict(told, costs, clock=clock)), tuple(rows), clock)

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
        """By how much the median repetition is above the least one, the median of all runs."""
        return Spread.of(
            [one.spread.median / one.measured_s - 1 for one in self.predictions]
        ).median

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
        lines += ["", f"{'scheme':12} {'measured':>10} {'predicted':>10} {'error':>7}  cell"]
        for one in sorted(self.predictions, key=lambda one: (one.scheme, one.measured_s)):
            took, told = duration(one.measured_s), duration(one.predicted_s)
            lines.append(f"{one.scheme:12} {took:>10} {told:>10} {one.error:>7.1%}  {one.cell}")
        lines += ["", *(f"{scheme:12} {errors!r}" for scheme, errors in self.by_scheme.items())]
        lines.append(f"{'all':12} {self.errors!r}; median above least {self.noise:.1%}")
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
    if folder is not None:
        return RecoveryStudy.of(measure(cells, folder, progress=progress))
    with workplace(scale) as place:
        return RecoveryStudy.of(measure(cells, place, progress=progress))


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
    given = parser.parse_args(arguments)
    scale = QUICK if given.quick else FULL if given.full else Scale()
    scale = replace(scale, folder=given.folder)
    found = study(scale, folder=given.folder, progress=_say, seed=given.seed)
    if given.clock != "wall":
        found = RecoveryStudy.of(found.rows, clock=given.clock)
    picture = found.figure().save(given.folder / PICTURE)
    sys.stdout.write(f"{found}\n{picture}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
