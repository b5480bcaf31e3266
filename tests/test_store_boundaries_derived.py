"""The fear of test_store_boundaries.py, for what is made of the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from boundaries import check_every_boundary

from flowlab.studies.store_operations import TABLE

LEAST = {
    "cluster": 50,
    "checkpoint": 20,
    "aggregate": 25,
    "projection": 20,
    "inline projection": 15,
}
"""Boundaries that an operation has at least."""


@pytest.mark.parametrize("name", LEAST)
def test_a_stop_at_every_boundary_loses_nothing_acknowledged_and_shows_nothing_half(
    name: str,
) -> None:
    check_every_boundary(name, least=LEAST[name])


def test_every_operation_of_the_table_is_driven() -> None:
    files = Path(__file__).parent.glob("test_store_boundaries*.py")
    driven = "".join(file.read_text(encoding="utf-8") for file in files)
    assert not [name for name in TABLE if f'"{name}": ' not in driven]
