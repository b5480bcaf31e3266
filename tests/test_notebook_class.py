"""The classes: handed out unsolved, and every solution that is folded in them solves."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CLASSES = ("20_a_class_on_sagas", "31_clocks_and_cuts")
EXERCISES = range(1, 7)
TITLE = re.compile(r"# Exercise (\d)\n")


def cells(name: str, kind: str) -> list[Any]:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def exercise_of(source: str) -> int:
    found = TITLE.match(source)
    return int(found[1]) if found else 0


def solutions(name: str) -> dict[int, str]:
    folded = [
        cell.source for cell in cells(name, "markdown") if cell.source.startswith("<details>")
    ]
    blocks = [re.search(r"```python\n(.*?)```", source, re.DOTALL) for source in folded]
    return {exercise_of(block[1]): block[1] for block in blocks if block}


@pytest.mark.parametrize("name", CLASSES)
def test_every_exercise_is_handed_out_unsolved(name: str) -> None:
    said = {
        exercise_of(cell.source): "".join(output.get("text", "") for output in cell.outputs)
        for cell in cells(name, "code")
        if exercise_of(cell.source)
    }
    assert list(said) == list(EXERCISES)
    for number, text in said.items():
        assert text.endswith(f"exercise {number}: not yet\n")


@pytest.mark.parametrize("name", CLASSES)
def test_every_solution_solves_its_exercise(name: str) -> None:
    solved = solutions(name)
    assert list(solved) == list(EXERCISES)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with pl.Config(), redirect_stdout(printed):
        for cell in cells(name, "code"):
            number = exercise_of(cell.source)
            exec(compile(solved.get(number, cell.source), f"exercise {number}", "exec"), names)
    verdicts = [line for line in printed.getvalue().splitlines() if line.startswith("exercise ")]
    assert verdicts == [f"exercise {number}: solved" for number in EXERCISES]
