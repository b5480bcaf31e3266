"""The fear of test_store_boundaries.py, for the upkeep of a store."""

from __future__ import annotations

import pytest
from boundaries import check_every_boundary

LEAST = {
    "compact": 15,
    "archive": 30,
    "truncate": 35,
}
"""Boundaries that an operation has at least."""


@pytest.mark.parametrize("name", LEAST)
def test_a_stop_at_every_boundary_loses_nothing_acknowledged_and_shows_nothing_half(
    name: str,
) -> None:
    check_every_boundary(name, least=LEAST[name])
