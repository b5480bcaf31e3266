"""The fear of test_store_boundaries.py, for vacuum, and the checkpoints of the log."""

from __future__ import annotations

import pytest
from boundaries import check_every_boundary

LEAST = {
    "vacuum": 20,
    "vacuum of leftovers": 20,
    "log checkpoint": 70,
}
"""Boundaries that an operation has at least."""


@pytest.mark.parametrize("name", LEAST)
def test_a_stop_at_every_boundary_loses_nothing_acknowledged_and_shows_nothing_half(
    name: str,
) -> None:
    check_every_boundary(name, least=LEAST[name])
