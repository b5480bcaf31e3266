"""Columns of whole streams: from sealed files and tail, as of any position, nothing truncated."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import flowlab as fl
from flowlab.errors import CorruptionError
from flowlab.events import EVENT_COLUMNS
from flowlab.store import Layout
from flowlab.store.position_read import newest_of_type
from flowlab.store.stream_tables import stream_table, stream_tables

ORDER = ("namespace", "run_id", "workflow_id", "sequence")
ASKED = ("event_type", "payload", "causes", "step_id")
NAMES = [name for name in EVENT_COLUMNS if name in {*ORDER, *ASKED}]

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4)),
        st.sampled_from(["seal", "compact", "truncate"]),
    ),
    min_size=1,
    max_size=12,
)


def sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(NAMES).to_pylist()
    return sorted(rows, key=lambda row: tuple(row[name] for name in ORDER))


def carry_out(store: Any, plan: list[Any]) -> None:
    heads: dict[str, int] = {}
    base = 0
    for step in plan:
        if step == "seal":
            store.seal()
        elif step == "compact":
            store.compact(full=True)
        elif step == "truncate":
            if heads.get("a", 0) - 1 > base:
                base = heads["a"] - 1
                store.truncate("a", upto=base, discard=True)
        else:
            name, count = step
            kinds = ["Signaled" if i % 3 else "MarkerRecorded" for i in range(count)]
            events = [fl.Event.of(kind, name="s", payload=[i]) for i, kind in enumerate(kinds)]
            store.append(name, events)
            heads[name] = heads.get(name, 0) + count


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(
    plan=steps,
    buckets=st.sampled_from([None, "bucket:1", "day"]),
    kind=st.sampled_from(["Signaled", "MarkerRecorded", "TimerFired"]),
    cut=st.integers(1, 100),
)
def test_the_newest_event_of_a_type_is_the_last_one_that_is_left(
    plan: list[Any], buckets: str | None, kind: str, cut: int
) -> None:
    layout = Layout.of("namespace", buckets) if buckets else Layout()
    with TemporaryDirectory() as folder, fl.EventStore(Path(folder) / "s", layout=layout) as store:
        carry_out(store, plan)
        snapshots = [store.snapshot()]
        if "truncate" not in plan and snapshots[0].position:
            snapshots.append(store.as_of(position=cut % snapshots[0].position + 1))
        for snapshot in snapshots:
            rows = snapshot.log().table.select(["workflow_id", "sequence", "event_type"])
            for name in "abc":
                mine = [r for r in rows.to_pylist() if r["workflow_id"] == name]
                for last in (None, cut % 7 + 1):
                    found = [
                        row["sequence"]
                        for row in mine
                        if row["event_type"] == kind and row["sequence"] <= (last or 100)
                    ]
                    told = newest_of_type(snapshot, ("default", "", name), kind, last=last)
                    assert told == (max(found) if found else None)


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(plan=steps, buckets=st.sampled_from([None, "bucket:1", "day"]), cut=st.integers(0, 100))
def test_the_tables_of_whole_streams_hold_what_the_log_holds(
    plan: list[Any], buckets: str | None, cut: int
) -> None:
    layout = Layout.of("namespace", buckets) if buckets else Layout()
    with TemporaryDirectory() as folder, fl.EventStore(Path(folder) / "s", layout=layout) as store:
        carry_out(store, plan)
        now = store.snapshot()
        snapshots = [now]
        if "truncate" not in plan and now.position:
            snapshots.append(store.as_of(position=cut % now.position + 1))
        for snapshot in snapshots:
            tables = list(stream_tables(snapshot, ASKED))
            expected = sorted_rows(snapshot.log().table)
            found = [row for table in tables for row in table.select(NAMES).to_pylist()]
            assert sorted(found, key=lambda row: tuple(row[n] for n in ORDER)) == expected
            for table in tables:
                assert table.select(NAMES).to_pylist() == sorted_rows(table)
            streams = [{row["workflow_id"] for row in t.to_pylist()} for t in tables]
            assert sum(map(len, streams)) == len(set().union(*streams))
            for name in "abc":
                one = stream_table(snapshot, ("default", "", name), ASKED)
                assert one.select(NAMES).to_pylist() == [
                    row for row in expected if row["workflow_id"] == name
                ]


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(
    sealed=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2)), max_size=3),
    tail=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12),
    layout=st.sampled_from(["bucket:1", "bucket:2", "bucket:5", "day"]),
    truncated=st.sets(st.sampled_from("abc")),
)
def test_streams_that_interleave_in_the_tail_of_one_bucket_come_sorted(
    sealed: list[Any], tail: list[str], layout: str, truncated: set[str]
) -> None:
    # Where a bucket had no sealed file its streams were left as they had been committed: sound
    # histories were told to be incomplete, and of a truncated stream's table rows were lost.
    made = Layout.of("namespace", layout)
    with TemporaryDirectory() as folder, fl.EventStore(Path(folder) / "s", layout=made) as store:
        carry_out(store, [*sealed, "seal"] if sealed else [])
        for name in sorted(truncated & {name for name, _ in sealed}):
            store.truncate(name, upto=1, discard=True)
        carry_out(store, [(name, 1) for name in tail])
        snapshot = store.snapshot()
        tables = list(stream_tables(snapshot, ASKED))
        for table in tables:
            assert table.select(NAMES).to_pylist() == sorted_rows(table)
        found = [row for table in tables for row in table.select(NAMES).to_pylist()]
        found.sort(key=lambda row: tuple(row[name] for name in ORDER))
        assert found == sorted_rows(snapshot.log().table)


def test_an_older_event_comes_as_its_newest_version(tmp_path: Path) -> None:
    with fl.EventStore(tmp_path / "s") as store:
        store.append("w", fl.Event.of("Signaled", payload={"n": 1}))
        store.seal()
    raised = fl.upcast("Signaled", from_version=1)(lambda data: {"number": data["n"]})
    with fl.EventStore(tmp_path / "s", upcasts=[raised]) as store:
        (table,) = stream_tables(store.snapshot(), ("payload",))
        assert table.column("payload").to_pylist() == [b'{"number":1}']


def stored(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Make a store of some streams; return its only sealed file, and its rows."""
    with fl.EventStore(folder, layout=Layout.of("namespace")) as store:
        carry_out(store, [(name, 4) for name in "abcab"])
        store.seal()
        rows = [
            row for table in stream_tables(store.snapshot(), ASKED) for row in table.to_pylist()
        ]
    (file,) = (folder / "workflows").rglob("part-*.parquet")
    return file, rows


def found_in(folder: Path) -> list[dict[str, Any]]:
    with fl.EventStore(folder, read_only=True) as store:
        return [
            row for table in stream_tables(store.snapshot(), ASKED) for row in table.to_pylist()
        ]


def test_a_file_with_a_flipped_byte_or_cut_short_is_refused_or_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, rows = stored(tmp_path / "s")
    content = file.read_bytes()
    footer = len(content) - int.from_bytes(content[-8:-4], "little") - 8
    refused = 0
    for at_once in (0, 1 << 20):
        monkeypatch.setattr("flowlab.store.segment_reader.MAX_AT_ONCE", at_once)
        assert found_in(tmp_path / "s") == rows
        damaged = [content[:size] for size in (0, 7, footer, len(content) - 1)]
        for place in (*range(0, footer, 37), *range(footer, len(content), 61)):
            flipped = bytearray(content)
            flipped[place] ^= 0x41
            damaged.append(bytes(flipped))
        for other in damaged:
            file.write_bytes(other)
            try:
                assert found_in(tmp_path / "s") == rows
            except CorruptionError as error:
                refused += file.name in str(error)
        file.unlink()
        with pytest.raises(CorruptionError, match="is no longer pinned"):
            found_in(tmp_path / "s")
        file.write_bytes(content)
    assert refused > len(damaged)
