"""The rounds of the study of recovery: each recovers every cell once, in processes of its own.

A process has its luck: where its memory lies, how fast its processor runs, what else runs beside
it. So a cell is measured in several, one in each round, and a slow minute of the machine falls on
one process of many cells and not on all of one. All processes of a round are forked from one that
the round starts, so that the layout of memory, too, is another in the next round.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from flowlab.errors import FlowlabError
from flowlab.studies.measuring import SEED, duration
from flowlab.studies.recovery_cells import STORES, Cell
from flowlab.studies.recovery_results import WRITER, add_result, merged, read_results

RESULTS: Final = "results.jsonl"
PLACES: Final = "stores"
"""Of the cells, while they are measured."""

Row = dict[str, Any]
Progress = Callable[[str], object]
Write = Callable[[Cell, Path], list[Row]]
Recover = Callable[[Sequence[tuple[Cell, Path]], int], Iterable[list[Row]]]


def write_cell(cell: Cell, folder: Path) -> list[Row]:
    """Write a cell's stores, and kill a process at work on each; return what checkpoints cost.

    Args:
        cell: what is measured.
        folder: that does not exist, for its stores.
    """
    # Processes are forked there, with all that a process at work has loaded.
    from flowlab.studies import recovery_process as processes  # noqa: PLC0415

    folder.mkdir(parents=True)
    rows = processes.prepare(folder, cell)
    for name in STORES:
        processes.killed_at_work(folder, name, cell)
    return rows


def recover_cell(cell: Cell, folder: Path, process: int) -> list[Row]:
    """Recover a cell's stores by every scheme, in a fresh process for each store.

    Args:
        cell: what is measured.
        folder: of its stores.
        process: the how many-th of the cell.
    """
    from flowlab.studies import recovery_process as processes  # noqa: PLC0415

    return [row for name in STORES for row in processes.recovered(folder, name, cell, process)]


def recover_round(work: Sequence[tuple[Cell, Path]], process: int) -> Iterator[list[Row]]:
    """Recover cells one after the other, by processes of one that was started for this round.

    Raises:
        FlowlabError: the round's process ended before its time.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    host = context.Process(target=_host, args=(list(work), process, there))
    host.start()
    there.close()
    try:
        for cell, _ in work:
            try:
                yield here.recv()
            except EOFError as error:
                host.join()
                message = f"round {process} ended with {host.exitcode} at {cell.name!r}"
                raise FlowlabError(message) from error
        host.join()
    finally:
        here.close()
        host.terminate()
        host.join()


def _host(work: list[tuple[Cell, Path]], process: int, told: Connection) -> None:
    for cell, folder in work:
        told.send(recover_cell(cell, folder, process))
    told.close()


def measure(
    cells: Iterable[Cell],
    folder: Path,
    *,
    processes: int,
    progress: Progress | None = None,
    write: Write = write_cell,
    recover: Recover = recover_round,
) -> list[Row]:
    """Measure what a folder has no results of; return the results of all cells.

    Args:
        cells: to measure.
        folder: of the results, and of the stores while they are measured.
        processes: that recover each cell, one in a round.
        progress: told a line for each cell that was written, and for each process of one.
        write: writes the stores of one.
        recover: recovers cells in a round, in the order in which they are given.

    Raises:
        FormatVersionError: the results are of a study that measured each cell in one process.
        CorruptionError: a line of the results, other than a torn last one, is no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, stores = folder / RESULTS, folder / PLACES
    held = read_results(path)
    wanted = list(cells)
    numbers = range(WRITER, processes + 1)
    open_ones = [cell for cell in wanted if set(numbers) - set(held.get(cell.name, ()))]
    places = {cell.name: stores / _place(cell) for cell in open_ones}
    say = _Saying(progress)

    def add(cell: Cell, process: int, rows: list[Row]) -> None:
        rows = [{"cell": cell.name, **cell.facts(), **row} for row in rows]
        add_result(path, cell.name, process, rows)
        if process == WRITER:
            held[cell.name] = {}
        held[cell.name][process] = rows

    for number, cell in enumerate(open_ones, 1):
        place = places[cell.name]
        # Stores that are there are gone on with; others would be read differently.
        if WRITER not in held.get(cell.name, ()) or not place.exists():
            shutil.rmtree(place, ignore_errors=True)
            add(cell, WRITER, write(cell, place))
            say(f"written {number} of {len(open_ones)}", cell)
    for process in numbers[1:]:
        left = [cell for cell in open_ones if process not in held[cell.name]]
        random.Random(f"{SEED} round {process}").shuffle(left)  # noqa: S311 - an order
        work = [(cell, places[cell.name]) for cell in left]
        found = recover(work, process) if work else ()
        for number, (cell, rows) in enumerate(zip(left, found, strict=True), 1):
            add(cell, process, rows)
            say(f"process {process} of {processes}, {number} of {len(left)}", cell)
            if not set(numbers) - set(held[cell.name]):
                shutil.rmtree(places[cell.name], ignore_errors=True)
    shutil.rmtree(stores, ignore_errors=True)
    return [row for cell in wanted for row in merged(cell.name, held[cell.name])]


class _Saying:
    """Tells each step of a study, and how long it took."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._since = time.perf_counter()

    def __call__(self, step: str, cell: Cell) -> None:
        now = time.perf_counter()
        took, self._since = now - self._since, now
        if self._progress is not None:
            self._progress(f"{step}: {cell.name} ({duration(took)})")


def _place(cell: Cell) -> str:
    """Return a short name that no other cell has."""
    return hashlib.blake2b(cell.name.encode(), digest_size=8).hexdigest()
