"""The fear of test_store_boundaries.py, for the upkeep of a store."""

from __future__ import annotations

import pytest

from flowlab.studies.store_faults import drive
from flowlab.studies.store_operations import TABLE

LEAST = {
    "compact": 15,
    "archive": 30,
    "truncate": 35,
    "vacuum": 20,
    "vacuum of leftovers": 20,
    "log checkpoint": 70,
}
"""Boundaries that an operation has at least."""


@pytest.mark.parametrize("name", LEAST)
def test_a_stop_at_every_boundary_loses_nothing_acknowledged_and_shows_nothing_half(
    name: str,
) -> None:
    report = drive(TABLE[name], limit=2, thorough=False, twice=False)

    print(report)
    assert report.boundaries >= LEAST[name]
    assert report.by_state.keys() >= {"process death", "only synced"}
