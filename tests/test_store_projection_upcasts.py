"""The fear: an upcast changes, and a saved state goes on as if it had not."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowlab.events import Event, Upcast, Upcasts, upcast
from flowlab.store import EventStore, Projection, projection
from flowlab.store.containers import PROJECTION, Container, read_container, write_container
from flowlab.studies.store_faults import UnsyncedDisk

TOLD = "the upcasts of what projection 'total' folds have changed since its state was saved"


@upcast("Paid", from_version=1)
def in_cents(data: int) -> int:
    return data * 100


@upcast("Paid", from_version=1)
def in_mills(data: int) -> int:
    return data * 1000


@upcast("Sent", from_version=1)
def other(data: int) -> int:
    return data + 1


def summed(**options: Any) -> Projection:
    chosen = {"initial": 0, "on": ["Paid"], **options}
    return projection(name="total", **chosen)(lambda total, event: total + event.data)


def asked(root: Path, view: Projection, *upcasts: Upcast) -> tuple[int, list[str]]:
    """Open a store with upcasts; return a projection's state, and what warnings say."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with EventStore(root, upcasts=upcasts) as store:
            found = store.project(view).state
    return found, [str(warning.message) for warning in caught]


def paid(root: Path, view: Projection, *upcasts: Upcast, amounts: Sequence[int] = (1, 2)) -> None:
    """Append payments as of the newest version, and save the projection's state."""
    with EventStore(root, upcasts=upcasts) as store:
        version = Upcasts(upcasts).newest("Paid")
        for amount in amounts:
            store.append("w", Event.of("Paid", payload=amount).replace(schema_version=version))
        store.register(view)
        store.catch_up(view)


@pytest.mark.parametrize("life", ["async", "inline"])
def test_a_changed_upcast_is_told_until_the_state_is_built_again(tmp_path: Path, life: str) -> None:
    view = summed(life=life)
    paid(tmp_path / "s", view)
    assert asked(tmp_path / "s", view) == (3, [])
    state, told = asked(tmp_path / "s", view, in_cents)
    assert state == 3
    assert told
    assert all(TOLD in text and "store.rebuild('total')" in text for text in told)
    with warnings.catch_warnings(), EventStore(tmp_path / "s", upcasts=[in_cents]) as store:
        warnings.simplefilter("ignore", RuntimeWarning)
        store.register(view)
        later = Event.of("Paid", payload=5).replace(schema_version=2)
        store.append("w", later)
        store.catch_up(view)
    # What was folded before was still read the old way, so it is told still.
    state, told = asked(tmp_path / "s", view, in_cents)
    assert state == 8
    assert told
    with warnings.catch_warnings(), EventStore(tmp_path / "s", upcasts=[in_cents]) as store:
        warnings.simplefilter("ignore", RuntimeWarning)
        store.rebuild(view)
    assert asked(tmp_path / "s", view, in_cents) == (305, [])
    assert asked(tmp_path / "s", view, in_mills)[1] != []
    assert asked(tmp_path / "s", view)[1] != []


def test_a_raised_version_needs_no_more_telling(tmp_path: Path) -> None:
    paid(tmp_path / "s", summed())
    state, told = asked(tmp_path / "s", summed(version=2), in_cents)
    assert state == 300
    assert len(told) == 1
    assert "is of another definition" in told[0]


def test_upcasts_of_what_it_does_not_fold_and_an_equal_one_are_not_told(tmp_path: Path) -> None:
    paid(tmp_path / "s", summed(), in_cents)

    @upcast("Paid", from_version=1)
    def in_cents_again(data: int) -> int:
        """Do the same under another name, in other lines."""
        return data * 100

    assert asked(tmp_path / "s", summed(), in_cents) == (3, [])
    assert asked(tmp_path / "s", summed(), in_cents_again, other) == (3, [])
    whole = summed(on=None)
    with EventStore(tmp_path / "s", upcasts=[in_cents]) as store:
        store.rebuild(whole)
    assert asked(tmp_path / "s", whole, in_cents) == (3, [])
    assert asked(tmp_path / "s", whole, in_cents, other)[1] != []


@pytest.mark.parametrize("was", [None, "cpython-1 0123456789abcdef"])
def test_a_state_of_before_and_one_of_another_python_are_taken_as_they_are(
    tmp_path: Path, was: str | None
) -> None:
    paid(tmp_path / "s", summed(), in_cents)
    path = tmp_path / "s" / "projections" / "total.state"
    held = read_container(path, kind=PROJECTION)
    meta = {name: value for name, value in held.meta.items() if name != "upcasts"}
    if was is not None:
        meta["upcasts"] = was
    write_container(path, Container(PROJECTION, meta, held.body), UnsyncedDisk())
    assert asked(tmp_path / "s", summed(), in_mills) == (3, [])


DIGEST = """
from flowlab.events import Upcast, Upcasts
steps = [
    Upcast("A", 1, lambda data: sorted(x for x in data if x in {"a", "b", "c"})),
    Upcast("A", 2, len),
]
print(Upcasts(steps).digest())
"""


def test_the_digest_of_upcasts_is_the_same_in_every_process() -> None:
    found = set()
    for seed in ("1", "2"):
        places = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", DIGEST]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=places)
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().startswith(sys.implementation.cache_tag or "")
