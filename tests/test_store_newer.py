"""What a later minor version adds is read without error, kept, and carried along."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flowlab.events import Event, EventLog, RunInfo
from flowlab.store import EventStore, Layout
from flowlab.store.segments import file_crc, read_footer, write_parquet
from flowlab.store.selfcheck import BLANK, with_crc

LATER = {"color": "string"}


def actions_of(commit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in commit.read_text().splitlines()]


def put_back(commit: Path, actions: list[dict[str, Any]]) -> None:
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["flowlab"]["crc32"] = BLANK
    lines = (json.dumps(action, separators=(",", ":")) for action in actions)
    commit.write_bytes(with_crc("".join(f"{line}\n" for line in lines).encode()))


def colored(path: Path, add: dict[str, Any]) -> None:
    """Give a sealed file one more column."""
    with pq.ParquetFile(path) as file:
        table = file.read()
    colors = [f"color-{position}" for position in table.column("position").to_pylist()]
    with path.open("wb") as stream:
        write_parquet(table.append_column("color", pa.array(colors)), stream)
    add["size"] = path.stat().st_size
    add["tags"]["flowlab.footer_crc32"] = f"{zlib.crc32(read_footer(path)):08x}"
    add["tags"]["flowlab.file_crc32"] = f"{file_crc(path):08x}"
    add["tags"]["flowlab.later"] = "x"
    add["later"] = {"a": 1}


def by_a_later_version(root: Path) -> None:
    """Change a store as a later version might have written it."""
    log = root / "workflows" / "_delta_log"
    for commit in sorted(log.glob("*.json")):
        actions = actions_of(commit)
        for action in actions:
            if "metaData" in action:
                held = action["metaData"]
                schema = json.loads(held["schemaString"])
                schema["fields"].append(
                    {"name": "color", "type": "string", "nullable": True, "metadata": {}}
                )
                held |= {"schemaString": json.dumps(schema), "description": "later"}
                held["configuration"]["flowlab.later"] = "x"
            elif "add" in action:
                colored(root / "workflows" / unquote(action["add"]["path"]), action["add"])
            elif "commitInfo" in action:
                told = action["commitInfo"]["flowlab"]
                told["later"] = [1]
                if told["sidecar"]:
                    path = root / told["sidecar"]
                    content = json.loads(gzip.decompress(path.read_bytes()))
                    content["later"] = {"a": 1}
                    for _, run in content["runs"]:
                        run["later"] = 1
                    path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
                    told["sidecar_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        if "metaData" not in str(actions):
            actions.append({"domainMetadata": {"domain": "later", "configuration": "{}"}})
        put_back(commit, actions)


@pytest.mark.parametrize("layout", [Layout(buckets=1), Layout.of()], ids=str)
def test_unknown_columns_members_actions_and_types_are_read_and_kept(
    tmp_path: Path, layout: Layout
) -> None:
    with EventStore(tmp_path / "s", layout=layout) as store:
        store.record_run(RunInfo(run_id="r", scenario="s"))
        for number in range(3):
            store.append("w", [Event.of(f"Later{number}", payload=number), Event.of("Signaled")])
            store.seal()
        store.append("w", Event.of("LaterStill"))
        before, runs = store.log(), store.runs
    by_a_later_version(tmp_path / "s")

    with EventStore(tmp_path / "s") as store:
        assert store.log() == before
        assert store.runs == runs
        assert store.sql("SELECT count(*) FROM events WHERE event_type LIKE 'Later%'").item() == 4
        assert store.read("/workflows/w", reverse=True, limit=2).table.num_rows == 2
        assert store.as_of(position=3).log().table.num_rows == 3
        report = store.verify()
        assert report.ok, str(report)

        store.seal()
        store.compact(full=True)
        assert store.log() == before
        assert [data.rows for data in store.snapshot().state.files] == [7]
        (data,) = store.snapshot().state.files
        with pq.ParquetFile(store.path / "workflows" / data.path) as file:
            held = file.read(["position", "color"]).sort_by("position").to_pylist()
        told = [row["color"] for row in held]
        assert told == [*(f"color-{position}" for position in range(1, 7)), None]
        theirs = pl.DataFrame(
            pa.table(DeltaTable(str(store.path / "workflows")).to_pyarrow_table())
        )
        assert theirs.sort("position")["color"].to_list() == told


def test_a_log_keeps_columns_that_no_event_has() -> None:
    log = EventLog.from_events([Event.of("A", workflow_id="w", sequence=1)])
    wide = EventLog.from_table(log.table.append_column("color", pa.array(["red"])))
    assert wide.filter(workflow_id="w").sorted().table.column("color").to_pylist() == ["red"]
    assert wide.digest == log.digest
