"""What the files of tests of boundaries share: an operation, driven through every one."""

from __future__ import annotations

from flowlab.studies.store_faults import drive
from flowlab.studies.store_operations import TABLE


def check_every_boundary(name: str, *, least: int, twice: bool = False) -> None:
    """Drive an operation through every boundary; it has at least so many."""
    report = drive(TABLE[name], limit=2, thorough=False, twice=twice)

    print(report)
    assert report.boundaries >= least
    assert report.by_state.keys() >= {"process death", "only synced"}
