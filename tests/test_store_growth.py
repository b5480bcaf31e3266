"""What a store touches does not grow with it: lookups against brute force, and counts of reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.events import Event
from flowlab.store import EventStore, Layout, heads, segments
from flowlab.store.cutting import FileSizes
from flowlab.store.heads import Heads, SealedHeads
from flowlab.store.placing import Shelves
from flowlab.store.segment_reader import SegmentReader
from flowlab.studies.store_growth import counted_reads
from flowlab.studies.workload import make_log, workflow_ids

names = st.sampled_from(["", "a", "b", "ba", "é", "𝄞", "z" * 70])
streams = st.tuples(names, st.sampled_from(["a", "b", "ba", "é", "￿", "𝄞", "z" * 70]))
batches = st.lists(
    st.dictionaries(streams, st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=3
)


@contextmanager
def small_files(rows: int, most: int) -> Iterator[None]:
    """Let row groups and files be small, so that a few events make many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "ROW_GROUP_ROWS", rows)
        patch.setattr(segments, "MAX_FILE_ROWS", most)
        patch.setattr(segments, "MAX_STREAM_ROWS", max(1, most // 2))
        patch.setattr(heads, "LOOKUP_ROWS", 4 * rows)
        yield


def table_of(batch: dict[tuple[str, str], int]) -> pa.Table:
    rows = [stream for stream, count in batch.items() for _ in range(count)]
    return pa.table(
        {
            "run_id": [run for run, _ in rows],
            "workflow_id": [flow for _, flow in rows],
            "agent_id": [f"agent-{place % 3}" for place in range(len(rows))],
            "event_type": ["MarkerRecorded"] * len(rows),
        }
    )


@settings(max_examples=25)
@given(batches=batches, rows=st.integers(1, 4), most=st.integers(1, 8))
def test_a_pruned_lookup_finds_what_reading_everything_finds(
    batches: list[dict[tuple[str, str], int]], rows: int, most: int
) -> None:
    model: dict[tuple[str, str], int] = defaultdict(int)
    with TemporaryDirectory() as folder, small_files(rows, most):
        with EventStore(folder, layout=Layout(buckets=2)) as store:
            for batch in batches:
                store.append_table(table_of(batch))
                for stream, count in batch.items():
                    model[stream] += count
        with EventStore(folder, read_only=True) as store:
            now = store.snapshot()
            written = Heads(
                now.state, SealedHeads(SegmentReader(now._files.root), Shelves(Layout(2)))
            )
            for run in ("", "a", "b", "ba", "c", "é", "𝄞", "z" * 70):
                for flow in ("", "a", "aa", "b", "ba", "é", "￿", "𝄞", "z" * 70, "z" * 71):
                    head = model.get((run, flow), 0)
                    assert now.head(flow, run_id=run) == head
                    assert written.head("default", run, flow) == head
                    known = {r: (1, n) for (r, f), n in model.items() if f == flow}
                    assert now.streams_in("default", None, flow) == known
                    if head:
                        world = f"/runs/{run}" if run else ""
                        log = now.read(f"{world}/workflows/{flow}")
                        assert log.table["sequence"].to_pylist() == list(range(1, head + 1))


@settings(max_examples=5)
@given(batches=batches, most=st.integers(1, 8), tail=st.integers(0, 2))
def test_the_head_as_of_a_position_is_the_last_sequence_up_to_it(
    batches: list[dict[tuple[str, str], int]], most: int, tail: int
) -> None:
    with (
        TemporaryDirectory() as folder,
        small_files(2, most),
        EventStore(folder, layout=Layout(buckets=2)) as store,
    ):
        for batch in batches:
            store.append_table(table_of(batch))
        for run, flow in list(batches[0])[:2] * tail:
            store.append(flow, Event(event_type="MarkerRecorded"), run_id=run)
        columns = ["position", "run_id", "workflow_id", "sequence"]
        table = store.snapshot().log().table.select(columns).sort_by("position")
        known = [tuple(row.values()) for row in table.to_pylist()]
        for position in {1, len(known) // 2, len(known) - 1}:
            heads = {(run, flow): last for place, run, flow, last in known if place <= position}
            then = store.as_of(position=position)
            for batch in batches:
                for run, flow in batch:
                    head = heads.get((run, flow), 0)
                    assert then.head(flow, run_id=run) == head
                    assert [*then.streams_in("default", run, flow)] == [run] * (head > 0)


def test_the_head_as_of_a_position_reads_one_row_group_of_a_long_stream_in_many_files(
    tmp_path: Path,
) -> None:
    """It read the first and the last row group of each: 50 times as long in a million events."""
    with small_files(8, 64), EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
        store.append_table(table_of({("", "w"): 2_000}))
    with EventStore(tmp_path / "s", read_only=True) as store, counted_reads(store) as found:
        assert store.as_of(position=1_500).head("w") == 1_500
    assert found["footers"] == found["groups"] == 1


@settings(max_examples=40)
@given(batches=batches, most=st.integers(1, 8))
def test_a_file_has_no_more_rows_than_the_limit_and_only_a_long_stream_has_several(
    batches: list[dict[tuple[str, str], int]], most: int
) -> None:
    with (
        TemporaryDirectory() as folder,
        small_files(2, most),
        EventStore(folder, layout=Layout(buckets=1)) as store,
    ):
        store.append_table(table_of(batches[0]))
        found: list[tuple[str, str]] = []
        for data in store.snapshot().state.files:
            table = store._files.reader.read(data, columns=("run_id", "workflow_id"))
            here = {(row["run_id"], row["workflow_id"]) for row in table.to_pylist()}
            assert data.rows <= most
            found += here
        sizes = FileSizes(most, max(1, most // 2), 2)
        files = {
            stream: len(list(sizes.of(n))) if sizes.is_long(n) else 1
            for stream, n in batches[0].items()
        }
        assert Counter(found) == files


def test_the_files_of_a_long_stream_that_were_written_at_once_are_one_run(tmp_path: Path) -> None:
    with small_files(2, 4), EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
        store.append_table(table_of({("", "w"): 9}))
        assert len(store.snapshot().state.files) == 5
        assert store.compact().rewritten == 0


@settings(max_examples=40)
@given(batches=batches, cuts=st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_last_ticks_of_the_live_run_are_those_that_its_rows_have(
    batches: list[dict[tuple[str, str], int]], cuts: list[bool]
) -> None:
    with TemporaryDirectory() as folder:
        for batch, bulk in zip(batches, cuts, strict=False):
            with EventStore(folder, layout=Layout(buckets=2)) as store:
                if bulk:
                    store.append_table(table_of(batch))
                    continue
                for (run, flow), count in batch.items():
                    agents = [f"agent-{place % 3}" for place in range(count)]
                    drafts = [
                        Event(event_type="MarkerRecorded", agent_id=agent) for agent in agents
                    ]
                    store.append(flow, drafts, run_id=run)
                store.seal()
        with EventStore(folder) as store:
            state = store.snapshot().state
            told = store._metadata.written(state).lanes
            read = Heads(state, SealedHeads(store._files.reader, Shelves(Layout(2))))
            rows = read._load_lanes("default", "")
            assert told == {("default", agent): tick for agent, tick in rows.items()}


def test_where_a_commit_does_not_tell_the_last_ticks_they_are_read_from_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore(tmp_path / "s") as store:
        monkeypatch.setattr("flowlab.store.sealing.live_lanes", lambda _: None)
        store.append_table(table_of({("", "a"): 9}))
        monkeypatch.undo()
    with EventStore(tmp_path / "s") as store:
        store.append_table(table_of({("", "b"): 3}))
        store.append("a", Event(event_type="MarkerRecorded", agent_id="agent-0"))
        assert store._metadata.written(store.snapshot().state).lanes is None
        events = store.read("/agents/agent-0").events()
    assert [event.agent_sequence for event in events] == [1, 2, 3, 4, 5]


def test_a_row_group_that_could_hold_a_stream_and_does_not_adds_nothing(tmp_path: Path) -> None:
    """The bounds of `a` and `c` leave room for `b`; without causes, nothing could be repeated."""
    with EventStore(tmp_path, layout=Layout(buckets=1)) as store:
        store.append_table(table_of({("", "a"): 1, ("", "c"): 1}))
        store.append_table(table_of({("", "b"): 1}))
        assert len(store.read("/workflows/b")) == 1


@pytest.mark.parametrize("events", [1_000, 16_000])
def test_the_first_read_and_the_first_append_touch_one_footer_and_few_row_groups(
    tmp_path: Path, events: int
) -> None:
    with small_files(8, 1 << 20):
        with EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
            store.append_table(make_log(events))
        stream = workflow_ids(events)[len(workflow_ids(events)) // 2]
        with EventStore(tmp_path / "s", read_only=True) as store, counted_reads(store) as found:
            assert len(store.read(f"/workflows/{stream}", limit=8)) == 8
        assert found["footers"] == 1
        assert found["groups"] <= 3
        with EventStore(tmp_path / "s", read_only=True) as store, counted_reads(store) as found:
            assert store.snapshot().head(stream) == 100
        assert found["groups"] <= 4
        with EventStore(tmp_path / "s") as store, counted_reads(store) as found:
            event = Event(event_type="Signaled", agent_id="agent-07")
            assert store.append(stream, event).first_sequence == 101
        assert found["footers"] == 1
        assert found["groups"] <= 4


def test_lookups_of_many_streams_read_the_ids_of_their_files_once(tmp_path: Path) -> None:
    with small_files(8, 1 << 20):
        with EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
            store.append_table(make_log(2_000))
        event = Event(event_type="Signaled")
        with EventStore(tmp_path / "s") as store, counted_reads(store) as found:
            for stream in workflow_ids(2_000) * 2:
                store.append(stream, event)
        groups = len(store._files.reader.row_groups(store._log.latest().files[0]))
        assert found["groups"] <= 2 * groups
