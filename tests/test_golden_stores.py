"""What an older flowlab wrote is read for ever: stores kept as files, their content beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import golden_store
import independent
import pytest
from deltalake import DeltaTable
from golden_store import GOLDEN, rows, shown

from flowlab.errors import FormatVersionError
from flowlab.events import Event, EventLog
from flowlab.store import EventStore, manifest
from flowlab.store.manifest import FORMAT

STORES = sorted(path.parent for path in GOLDEN.glob("*/store"))
every_store = pytest.mark.parametrize("folder", STORES, ids=lambda path: path.name, indirect=True)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy: whoever reads a store pins it, and a run that is killed leaves its pin."""
    kept: Path = request.param
    return Path(shutil.copytree(kept, tmp_path / kept.name))


def content(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found


def all_bytes(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_there_is_a_golden_store_of_each_format() -> None:
    assert {path.name for path in STORES} >= {"format-1", f"format-{FORMAT}"}
    assert set(golden_store.FILLS) == {path.name for path in STORES}


@every_store
def test_a_golden_store_holds_what_stands_beside_it_and_reading_changes_no_byte(
    folder: Path,
) -> None:
    before, kept = all_bytes(folder), all_bytes(GOLDEN / folder.name)
    with EventStore(folder / "store", read_only=True) as store:
        assert rows(store.log()) == content(folder)
        told = golden_store.told(store.snapshot())
        known = expected(folder)
        assert json.loads(json.dumps(told)) == {name: known[name] for name in told}
        for text, found in known.get("more", {}).items():
            assert json.loads(store.sql(text).write_json()) == found
        taken = store.latest_checkpoint("w")
        assert (None if taken is None else taken.state.hex()) == known.get("checkpoint")
        assert golden_store.states(store) == known["views"]
        report = store.verify()
        assert report.ok, str(report)
        assert all_bytes(folder) != before  # a pin; none in the tree, for a killed run to leave
        assert all_bytes(GOLDEN / folder.name) == kept
    assert all_bytes(folder) == before


@every_store
def test_a_golden_store_is_read_as_of_positions_and_versions(folder: Path) -> None:
    lines = content(folder)
    with EventStore(folder / "store", read_only=True) as store:
        known, held = expected(folder), {row["position"] for row in lines}
        # One in four, and the last: each is a connection of its own.
        last = str(len(known["positions"]) - 1)
        for position in {*list(known["positions"])[::4], last}:
            found = known["positions"][position]
            if not held.issuperset(found):
                assert shown(store, position=int(position)) == found
                continue
            log = store.as_of(position=int(position)).log()
            assert rows(log) == [row for row in lines if row["position"] in found]
        for version, found in known["versions"].items():
            assert shown(store, version=int(version)) == found


@every_store
def test_a_golden_store_is_written_on(folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(folder / "store", tmp_path / "s"))
    lines = content(folder)
    head = max(row["sequence"] for row in lines if row["workflow_id"] == "w")
    last = max(row["position"] for row in lines)
    end = Event.of("WorkflowCompleted", payload=[])
    with EventStore(root) as store:
        assert store.append("w", end, idempotency_key="end").repeated
        result = store.append("w", Event.of("Signaled"), expected_version=head)
        assert (result.first_sequence, result.first_position) == (head + 1, last + 1)
        assert store.seal()
        fresh = Event.of("Signaled", workflow_id="fresh", sequence=1)
        store.append_log(EventLog.from_events([fresh]))
        assert rows(store.log())[: len(lines)] == lines
        store.compact(full=True)
        assert rows(store.log())[: len(lines)] == lines
        assert store.snapshot().position == last + 2
        report = store.verify()
        assert report.ok, str(report)
    with EventStore(root, read_only=True) as store:
        assert rows(store.log())[: len(lines)] == lines


@every_store
def test_a_golden_store_is_what_the_page_says(folder: Path) -> None:
    found = independent.Content(folder / "store")
    for row in found.events:
        row["payload"] = None if row["payload"] is None else row["payload"].hex()
    assert found.events == content(folder)


@every_store
def test_other_programs_read_the_sealed_part_of_a_golden_store(folder: Path) -> None:
    with EventStore(folder / "store", read_only=True) as store:
        version = store.snapshot().version
        ours = sorted(store.as_of(version=version).log().table["position"].to_pylist())
    theirs = DeltaTable(str(folder / "store" / "workflows")).to_pyarrow_table(columns=["position"])
    found = sorted(theirs["position"].to_pylist())
    # What a truncation hides goes away with the next compaction.
    assert found == ours or (folder.name.endswith("truncated") and set(ours) < set(found))


def test_an_older_flowlab_refuses_a_newer_format_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "FORMAT", FORMAT - 1)
    root = Path(shutil.copytree(GOLDEN / f"format-{FORMAT}" / "store", tmp_path / "s"))
    for read_only in (True, False):
        with pytest.raises(FormatVersionError, match=f"format {FORMAT}"):
            EventStore(root, read_only=read_only)
