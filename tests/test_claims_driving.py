"""The fear: a measurement of an hour is stopped at its end, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flowlab.studies import driving
from flowlab.studies.claim import Measurement
from flowlab.studies.driving import count_harmed
from flowlab.studies.measuring import QUICK, Scale
from flowlab.testing import BoundaryReport

NAMES = ("one", "two", "three")


@pytest.fixture
def scale(tmp_path: Path) -> Scale:
    return replace(QUICK, folder=tmp_path)


def measure(drive: Callable[[str], BoundaryReport], scale: Scale) -> Measurement:
    return count_harmed(NAMES, drive, what="harmed", scale=scale, workers=1)


def stops_at(name: str, error: type[BaseException], asked: list[str], found: str) -> BoundaryReport:
    asked.append(found)
    if found == name:
        raise error(found)
    return BoundaryReport(found, len(found), 2 * len(found))


def interrupted(scale: Scale) -> None:
    """Measure, and be stopped by hand at the last operation."""
    with pytest.raises(KeyboardInterrupt):
        measure(partial(stops_at, "three", KeyboardInterrupt, []), scale)


def test_what_was_driven_before_a_stop_is_not_driven_again_and_is_counted(scale: Scale) -> None:
    interrupted(scale)
    asked: list[str] = []
    found = measure(partial(stops_at, "", ValueError, asked), scale)

    assert asked == ["three"]
    assert found.value == 0
    assert found.beside == {
        "one": "3 boundaries, 6 states",
        "two": "3 boundaries, 6 states",
        "three": "5 boundaries, 10 states",
        "all": "11 boundaries, 22 states",
    }


def test_nothing_is_left_in_the_folder_once_all_is_driven(scale: Scale) -> None:
    interrupted(scale)
    assert scale.folder is not None
    assert len(list(scale.folder.iterdir())) == 1
    measure(partial(stops_at, "", ValueError, []), scale)

    assert list(scale.folder.iterdir()) == []


def test_what_was_harmed_counts_and_is_driven_again(scale: Scale) -> None:
    found = measure(partial(stops_at, "two", AssertionError, []), scale)
    assert (found.value, found.beside["two"]) == (1, "two")
    assert found.beside["all"] == "8 boundaries, 16 states"

    def harmed_and_stopped(name: str) -> BoundaryReport:
        if name == "two":
            raise AssertionError
        return stops_at("three", KeyboardInterrupt, [], name)

    with pytest.raises(KeyboardInterrupt):
        measure(harmed_and_stopped, scale)
    asked: list[str] = []
    measure(partial(stops_at, "", ValueError, asked), scale)
    assert asked == ["two", "three"]


def test_another_scale_or_other_code_begins_anew(
    scale: Scale, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    interrupted(scale)
    measure(partial(stops_at, "", ValueError, asked), replace(scale, largest=10**7))
    assert asked == list(NAMES)

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(driving.flowlab, "__file__", str(tmp_path / "elsewhere" / "__init__.py"))
    asked.clear()
    measure(partial(stops_at, "", ValueError, asked), scale)
    assert asked == list(NAMES)
