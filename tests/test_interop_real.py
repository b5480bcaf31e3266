"""Real histories, where they are present: exact counts, equal exports, the clocks' own order."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from flowlab.events import EventLog
from flowlab.interop import export_log, import_log
from flowlab.store import EventStore

# hosts, events, local edges, cross edges, ordered pairs, concurrent pairs, causal depth
CLOCKS = {
    "facebook": (4, 47, 43, 23, 1013, 68, 35),
    "simple-reliable-broadcast": (3, 39, 36, 16, 546, 195, 17),
    "simpledb": (5, 509, 504, 95, 112349, 16937, 175),
    "chord": (8, 1235, 1227, 541, 746099, 15896, 880),
}


def test_every_history_is_imported_with_the_counts_of_its_manifest(
    shared: Path, tmp_path: Path
) -> None:
    folder = shared / "data" / "temporal"
    with (folder / "MANIFEST.csv").open(encoding="utf-8") as stream:
        manifest = {row["file"]: row for row in csv.DictReader(stream)}
    with EventStore(tmp_path / "s") as store:
        report = import_log(folder, format="temporal", store=store)

        assert (len(report.imported), report.events, report.failed) == (83, 1300, [])
        assert sorted(item.file for item in report.skipped) == ["LICENSES.md", "MANIFEST.csv"]
        assert {item.file: item.events for item in report.imported} == {
            name: int(row["events"]) for name, row in manifest.items()
        }
        damaged = store.sql("SELECT run_id, sequence, ref_sequence FROM anomalies ORDER BY ALL")
        run = "sdk-php--squence-workflow-damaged"
        assert damaged.rows() == [(run, 13, 14), (run, 14, 14), (run, 15, 15)]
        for name, row in manifest.items():
            edges = store.sql(
                f"SELECT count(*) FROM edges WHERE run_id = '{name[:-5]}' AND kind <> 'assumed'"
            ).item()
            assert edges >= int(row["cause_ids"]) - int(row["cause_ids_not_below_own_id"])
        assert store.verify().ok
        written = export_log(store.log(), "temporal", tmp_path / "out")
        assert len(written) == 83
        for path in written:
            original = json.loads((folder / path.name).read_bytes())
            assert json.loads(path.read_bytes()) == original


def test_an_agent_history_says_who_did_what(shared: Path) -> None:
    path = shared / "data" / "temporal" / "sdk-python--agents-as-tools-workflow-history.json"
    log = import_log(path).log
    assert log is not None

    rows = log.sql("SELECT agent_id, name FROM activities ORDER BY sequence").rows()
    assert len({agent for agent, _ in rows}) == 3
    assert ("translate_to_spanish", "I am full") in rows


@pytest.mark.parametrize("name", CLOCKS)
def test_a_log_with_vector_clocks_gives_exactly_their_order(
    shared: Path, tmp_path: Path, name: str
) -> None:
    log = import_log(shared / "data" / "shiviz" / f"{name}.log").log
    assert log is not None

    assert order_of(log) == CLOCKS[name]
    assert log.anomalies.num_rows == 0
    (path,) = export_log(log, "shiviz", tmp_path / "out")
    back = import_log(path).log
    assert back is not None
    assert back.digest == log.digest


def order_of(log: EventLog) -> tuple[int, ...]:
    events = list(log)
    index = {(event.workflow_id, event.sequence): row for row, event in enumerate(events)}
    before: list[list[int]] = []
    cross = 0
    for event in events:
        named = [index[cause.workflow_id, cause.sequence] for cause in event.causes]
        cross += len(named)
        if event.sequence > 1:
            named.append(index[event.workflow_id, event.sequence - 1])
        before.append(named)
    past = [0] * len(events)
    depth = [0] * len(events)
    for row in topological(before):
        for cause in before[row]:
            past[row] |= past[cause] | 1 << cause
        depth[row] = 1 + max((depth[cause] for cause in before[row]), default=0)
    ordered = sum(bits.bit_count() for bits in past)
    pairs = len(events) * (len(events) - 1) // 2
    hosts = len({event.agent_id for event in events})
    local = sum(event.sequence > 1 for event in events)
    return hosts, len(events), local, cross, ordered, pairs - ordered, max(depth)


def topological(before: list[list[int]]) -> list[int]:
    done: dict[int, None] = {}
    while len(done) < len(before):
        ready = [
            row
            for row in range(len(before))
            if row not in done and all(cause in done for cause in before[row])
        ]
        assert ready
        done.update(dict.fromkeys(ready))
    return list(done)
