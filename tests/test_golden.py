"""Digests that may never change, and the same from an implementation that shares no line."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import independent
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.events import Cause, Cell, Event, EventLog, encode_json

GOLDEN = Path(__file__).parent / "golden"
DIGESTS: dict[str, str] = json.loads((GOLDEN / "digests.json").read_text(encoding="utf-8"))


def event_of(record: dict[str, Any]) -> Event:
    fields = dict(record)
    pairs = zip(fields.pop("causes", []), fields.pop("cause_kinds", []), strict=True)
    causes = tuple(Cause(ref["workflow_id"], ref["sequence"], kind) for ref, kind in pairs)
    for name in {"reads", "writes"} & fields.keys():
        fields[name] = tuple(Cell(*cell) for cell in fields[name])
    payload = fields.pop("payload", None)
    if "payload_hex" in fields:
        payload = bytes.fromhex(fields.pop("payload_hex"))
    return Event.of(fields.pop("event_type"), payload=payload, causes=causes, **fields)


def golden_log() -> EventLog:
    lines = (GOLDEN / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return EventLog.from_events(event_of(json.loads(line)) for line in lines)


def both(log: EventLog) -> dict[str, str]:
    return {"digest": log.digest, "history_digest": log.history_digest}


def both_again(log: EventLog) -> dict[str, str]:
    rows = log.table.to_pylist()
    return {
        "digest": independent.digest(rows),
        "history_digest": independent.history_digest(rows),
    }


def test_the_golden_log_has_its_digests() -> None:
    assert both(golden_log()) == DIGESTS["log"]
    assert both(golden_log().filter(namespace="default", run_id="")) == DIGESTS["live run"]


def test_an_independent_implementation_gives_the_golden_digests() -> None:
    assert both_again(golden_log()) == DIGESTS["log"]


@settings(max_examples=60)
@given(logs())
def test_an_independent_implementation_gives_the_digests_of_any_log(log: EventLog) -> None:
    streams = pa.array(
        [f"@{i}" if i[:1] > "m" else i for i in log.table["workflow_id"].to_pylist()]
    )
    assert both_again(log) == both(log)
    if len(log):
        moved = EventLog(log.table.set_column(2, log.table.schema.field(2), streams))
        assert both_again(moved) == both(moved)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates in a row may join; the codec refuses those.
    | st.text()
    | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(values)
def test_an_independent_implementation_gives_the_canonical_payload(value: Any) -> None:
    text = independent.canonical(value).encode("utf-8", "surrogatepass")
    assert encode_json(value) == text


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_digests_do_not_depend_on_the_process(hash_seed: str) -> None:
    script = "import json, test_golden as t; print(json.dumps(t.both(t.golden_log())))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == DIGESTS["log"]


def with_dictionaries(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(index, field.name, table.column(index).dictionary_encode())
    return table


@settings(max_examples=40)
@given(st.data())
def test_digests_do_not_depend_on_how_the_table_is_held(data: st.DataObject) -> None:
    log = golden_log()
    rows = len(log)
    table = log.table.take(pa.array(data.draw(st.permutations(range(rows)))))
    cuts = sorted({0, rows, *data.draw(st.lists(st.integers(0, rows), max_size=4))})
    pieces = [table.slice(start, end - start) for start, end in pairwise(cuts)]
    # A slice out of the middle: offsets that do not begin with 0, in nested columns too.
    padded = pa.concat_tables([table, *pieces, table]).combine_chunks().slice(rows, rows)
    for held in (table, pa.concat_tables(pieces), padded, with_dictionaries(padded)):
        assert both(EventLog(held)) == DIGESTS["log"]
    frame = EventLog(padded).to_polars()
    assert both(EventLog.from_table(frame)) == DIGESTS["log"]


CHANGES: dict[str, dict[str, Any]] = {
    "generation": {"generation": 1},
    "agent_id": {"agent_id": "b"},
    "agent_sequence": {"agent_sequence": 9},
    "event_type": {"event_type": "B"},
    "name": {"name": "n"},
    "time_ns": {"time_ns": 1},
    "follows_lane": {"follows_lane": False},
    "causes": {"causes": (Cause("w", 1, 0), Cause("v", 2, 0))},
    "cause_kinds": {"causes": (Cause("w", 1, 1), Cause("v", 1, 0))},
    "their order": {"causes": (Cause("v", 1, 0), Cause("w", 1, 0))},
    "a cause in a lane's stream": {"causes": (Cause("w", 1), Cause("v", 1), Cause("@a", 1))},
    "no reads": {"reads": ()},
    "reads": {"reads": (Cell("a", "bc"),)},
    "its parts": {"reads": (Cell("ab", "c"),)},
    "writes": {"writes": (Cell("a", "bc"),)},
    "coordination_id": {"coordination_id": "c"},
    "step_id": {"step_id": "c"},
    "payload": {"payload": b""},
}
UNSEEN = {
    "agent_id", "agent_sequence", "time_ns", "follows_lane", "a cause in a lane's stream",
    "no reads", "reads", "its parts", "writes",
}  # fmt: skip


def test_every_column_counts_and_history_leaves_out_what_it_says() -> None:
    event = Event.of("A", workflow_id="w", sequence=2, agent_id="a", time_ns=0)
    event = event.replace(causes=(Cause("w", 1, 0), Cause("v", 1, 0)))
    plain = both(EventLog.from_events([event]))
    found = {what: both(EventLog.from_events([event.replace(**c)])) for what, c in CHANGES.items()}

    digests = {item["digest"] for item in found.values()}
    assert len(digests | {plain["digest"]}) == len(CHANGES) + 1
    assert {what for what in found if found[what]["history_digest"] == plain["history_digest"]} == (
        UNSEEN
    )
