"""What the study of recovery measures: the cells of its grid, and those it is calibrated with."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from flowlab.studies.measuring import SEED, Scale
from flowlab.studies.recovery_workload import Shape

FULL_EVERY: Final = 8
"""Every so many checkpoints of the incremental scheme one is whole."""
WHOLE_EVENTS: Final = 100_000
"""A scale of fewer events is for trying out."""
LONG_STREAM: Final = 1_000_000
CORNERS: Final = 5
STORES: Final = ("whole", "delta")
"""A store whose checkpoints are whole, and one in which most are deltas."""

Kind = Literal["calibration", "grid", "unseen"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One case: equal workflows in a store, killed at work and recovered by every scheme.

    Args:
        kind: what it is measured for; no cell is of both.
        shape: of each workflow's history, before the process that is killed goes on with it.
        workflows: in the store.
        deltas: checkpoints after the last whole one, where they are incremental.
        repeats: recoveries by each scheme in each process that measures it, after a first one that
            does not count.

    Example:
        >>> Cell("grid", Shape(1_000, every=100)).name
        'grid 1000 events every 100, state 1000, payload 64, 1 workflow, 3 deltas'
    """

    kind: Kind
    shape: Shape
    workflows: int = 1
    deltas: int = 3
    repeats: int = 3

    @property
    def name(self) -> str:
        """What its results are kept under."""
        shape = self.shape
        many = "workflow" if self.workflows == 1 else "workflows"
        return (
            f"{self.kind} {shape.events} events every {shape.every}, state {shape.state_bytes}, "
            f"payload {shape.payload_bytes}, {self.workflows} {many}, {self.deltas} deltas"
        )

    @property
    def ids(self) -> list[str]:
        """The workflows."""
        return [f"books-{number:04d}" for number in range(self.workflows)]

    @property
    def seed(self) -> str:
        """Of what is left to chance in it."""
        return f"{SEED} {self.name}"

    def facts(self) -> dict[str, Any]:
        """Return what a row of results says of it."""
        shape = self.shape
        return {
            "kind": self.kind,
            "events": shape.events,
            "every": shape.cycle,
            "state_bytes": shape.state_bytes,
            "payload_bytes": shape.payload_bytes,
            "workflows": self.workflows,
        }


def repeats_at(scale: Scale) -> int:
    """Return how many recoveries by each scheme a scale asks for, in each process."""
    return max(1, min(scale.blocks // 5, 7))


def processes_at(scale: Scale) -> int:
    """Return how many processes measure each cell at a scale: an odd number, which has a median.

    Example:
        >>> processes_at(Scale()), repeats_at(Scale())
        (5, 3)
    """
    return 2 * min(scale.blocks // 6, 4) + 1


def calibration(scale: Scale) -> list[Cell]:
    """Return the cells from which what each scheme costs is fitted; none of them is in the grid."""
    if scale.events < WHOLE_EVENTS:
        shapes = [
            (Shape(600, every=60), 1, 1),
            (Shape(900, every=300, state_bytes=9_000, payload_bytes=600), 1, 2),
            (Shape(300, every=90), 3, 0),
        ]
    else:
        shapes = [
            (Shape(5_000, every=500), 1, 1),
            (Shape(20_000, every=3_600), 1, 2),
            (Shape(12_000, every=150, state_bytes=400), 1, 5),
            (Shape(8_000, every=700, payload_bytes=1_500), 1, 2),
            (Shape(15_000, every=2_600, payload_bytes=300), 1, 0),
            (Shape(8_000, every=400, state_bytes=40_000), 1, 1),
            (Shape(6_000, every=800, state_bytes=15_000), 1, 6),
            (Shape(3_000, every=1_400, payload_bytes=800), 2, 0),
            (Shape(25_000, every=250, state_bytes=20_000), 1, 3),
            (Shape(7_000, every=1_200, state_bytes=70_000, payload_bytes=0), 1, 4),
            (Shape(9_000, every=1_700, payload_bytes=2_400), 1, 5),
            (Shape(30_000, every=900, state_bytes=2_500), 1, 7),
            (Shape(2_000, every=250), 6, 4),
            (Shape(1_200, every=400, payload_bytes=200), 14, 2),
            (Shape(700, every=120, state_bytes=3_000), 40, 1),
            (Shape(600, every=220), 60, 3),
            # Savepoints so near to one another that whoever has missed little has missed some.
            (Shape(4_000, every=40, state_bytes=5_000), 1, 2),
            (Shape(5_000, every=60, state_bytes=30_000), 1, 4),
            (Shape(3_000, every=90, state_bytes=60_000), 1, 0),
            (Shape(6_000, every=50, payload_bytes=500), 1, 6),
        ]
        if scale.largest >= LONG_STREAM:
            shapes += [(Shape(events, every=900), 1, 1) for events in (120_000, 500_000)]
            shapes += [(Shape(250_000, every=500), 1, 2), (Shape(800_000, every=1_300), 1, 1)]
    repeats = repeats_at(scale)
    return [Cell("calibration", shape, count, deltas, repeats) for shape, count, deltas in shapes]


def grid(scale: Scale) -> list[Cell]:
    """Return the cells whose recovery is predicted: one case, each of its sides varied, corners.

    Corners vary all sides at once, by a seed.
    """
    repeats = repeats_at(scale)
    if scale.events < WHOLE_EVENTS:
        small = Cell("grid", Shape(1_000, every=100), repeats=repeats)
        found = [small, replace(small, shape=replace(small.shape, payload_bytes=300), workflows=2)]
        return [_struck(cell) for cell in found]
    base = Cell("grid", Shape(10_000, every=1_000), repeats=repeats)
    sides = {
        "every": (100, 300, 3_000),
        "events": (2_500, 36_000),
        "state_bytes": (200, 10_000, 80_000),
        "payload_bytes": (0, 512, 3_000),
    }
    cells = [base]
    for name, values in sides.items():
        cells += [replace(base, shape=replace(base.shape, **{name: value})) for value in values]
    cells += [replace(base, deltas=0), replace(base, deltas=7)]
    short = replace(base.shape, events=1_200, every=300)
    cells += [replace(base, shape=short, workflows=count) for count in (10, 50)]
    if scale.largest >= LONG_STREAM:
        cells.append(replace(base, shape=replace(base.shape, events=LONG_STREAM)))
    cells += _corners(SEED, CORNERS, repeats)
    return [_struck(cell) for cell in cells]


def unseen(scale: Scale, seed: int, count: int = 4 * CORNERS) -> list[Cell]:
    """Return cells that are all corners, drawn by a seed: nothing was ever fitted to look at them.

    Args:
        scale: how much.
        seed: of the draw.
        count: of cells.
    """
    found = (_struck(cell) for cell in _corners(seed, count, repeats_at(scale)))
    return [replace(cell, kind="unseen") for cell in found]


def _corners(seed: int, count: int, repeats: int) -> list[Cell]:
    rng = random.Random(f"{seed} corners")  # noqa: S311 - a sample
    cells = []
    for _ in range(count):
        shape = Shape(
            rng.randint(4_000, 30_000),
            every=rng.randint(100, 3_000),
            state_bytes=rng.randint(200, 50_000),
            payload_bytes=rng.randint(0, 1_500),
        )
        cells.append(Cell("grid", shape, rng.choice((1, 1, 3)), rng.randrange(FULL_EVERY), repeats))
    return cells


def _struck(cell: Cell) -> Cell:
    """Return it with a history that ends at a random place between two savepoints.

    Where a failure strikes within an interval is uniform, in the law as here.
    """
    rng = random.Random(f"{cell.seed} strikes")  # noqa: S311 - a sample
    most = min(cell.shape.cycle, cell.shape.events // 2)
    events = cell.shape.events - rng.randrange(most)
    return replace(cell, shape=replace(cell.shape, events=events))
