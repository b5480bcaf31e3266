"""What an older flowlab wrote is read for ever: stores kept as files, their content beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import golden_store
import independent
import pytest
from golden_store import GOLDEN, positions, rows

from flowlab.events import Event, EventLog
from flowlab.store import EventStore

STORES = sorted(path.parent for path in GOLDEN.glob("*/store"))
every_store = pytest.mark.parametrize("folder", STORES, ids=lambda path: path.name)


def content(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found


def all_bytes(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_there_is_a_golden_store_of_each_format() -> None:
    assert {path.name for path in STORES} >= {"format-1"}
    assert set(golden_store.FILLS) == {path.name for path in STORES}


@every_store
def test_a_golden_store_holds_what_stands_beside_it_and_reading_changes_no_byte(
    folder: Path,
) -> None:
    before = all_bytes(folder)
    with EventStore(folder / "store", read_only=True) as store:
        assert rows(store.log()) == content(folder)
        told = golden_store.told(store.snapshot())
        known = expected(folder)
        del known["versions"]
        assert json.loads(json.dumps(told)) == known
        report = store.verify()
        assert report.ok, str(report)
    assert all_bytes(folder) == before


@every_store
def test_a_golden_store_is_read_as_of_each_position_and_version(folder: Path) -> None:
    lines = content(folder)
    with EventStore(folder / "store", read_only=True) as store:
        for position in range(len(lines) + 1):
            log = store.as_of(position=position).log()
            assert rows(log) == [row for row in lines if row["position"] <= position]
        for version, found in expected(folder)["versions"].items():
            assert positions(store.as_of(version=int(version)).log()) == found


@every_store
def test_a_golden_store_is_written_on(folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(folder / "store", tmp_path / "s"))
    lines = content(folder)
    head = max(row["sequence"] for row in lines if row["workflow_id"] == "w")
    end = Event.of("WorkflowCompleted", payload=[])
    with EventStore(root) as store:
        assert store.append("w", end, idempotency_key="end").repeated
        result = store.append("w", Event.of("Signaled"), expected_version=head)
        assert (result.first_sequence, result.first_position) == (head + 1, len(lines) + 1)
        assert store.seal()
        fresh = Event.of("Signaled", workflow_id="fresh", sequence=1)
        store.append_log(EventLog.from_events([fresh]))
        assert rows(store.log())[: len(lines)] == lines
        assert store.snapshot().position == len(lines) + 2
        report = store.verify()
        assert report.ok, str(report)
    with EventStore(root, read_only=True) as store:
        assert rows(store.log())[: len(lines)] == lines


def test_the_golden_store_of_format_1_is_what_the_page_says() -> None:
    found = independent.Content(GOLDEN / "format-1" / "store")
    for row in found.events:
        row["payload"] = None if row["payload"] is None else row["payload"].hex()
    assert found.events == content(GOLDEN / "format-1")
