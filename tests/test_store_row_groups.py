"""Streams of many row groups are found whole, in every layout, whatever part is asked for."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.events import Cause, Cell, Event
from flowlab.store import EventStore, Layout, segments
from flowlab.store.cutting import LAST_GROUPS
from flowlab.store.position_read import stream_events
from flowlab.store.segments import ROW_GROUP_ROWS
from flowlab.store.span import Span

SIZE = ROW_GROUP_ROWS + 1_000
STREAMS = list(product(("a", "b"), ("", "r1"), ("w1", "w2", "w3")))
PARTS = [(None, None), (1, 1), (SIZE, None), (None, 3), (4_000, 4_200), (SIZE - 1, SIZE), (9, 8)]
LAYOUTS = [("bucket:1",), ("day",), ("namespace", "bucket:2"), ("namespace", "workflow")]


def rows_of(stream: tuple[str, str, str], size: int) -> pa.Table:
    namespace, run, workflow = stream
    return pa.table(
        {
            "namespace": [namespace] * size,
            "run_id": [run] * size,
            "workflow_id": [workflow] * size,
            "event_type": ["MarkerRecorded"] * size,
            "time_ns": np.arange(size),
        }
    )


@pytest.mark.parametrize("levels", LAYOUTS)
def test_every_part_of_every_stream_is_read(tmp_path: Path, levels: tuple[str, ...]) -> None:
    """In a file of several namespaces, streams of the second were not found at all."""
    sizes = {stream: 3 * SIZE if stream[2] == "w2" else SIZE for stream in STREAMS}
    table = pa.concat_tables([rows_of(stream, size) for stream, size in sizes.items()])
    with EventStore(tmp_path / "s", layout=Layout.of(*levels)) as store:
        store.append_table(table)
        snapshot = store.snapshot()
        for stream, size in sizes.items():
            assert snapshot.head(stream[2], namespace=stream[0], run_id=stream[1]) == size
            for first, last in [*PARTS, (size - 5, size + 5), (2 * SIZE, 2 * SIZE + 3)]:
                found = snapshot.stream_rows(stream, Span.of_stream(stream, first, last))
                low, high = first or 1, size if last is None else min(last, size)
                expected = list(range(low, high + 1))
                assert found.column("sequence").to_pylist() == expected, (stream, first, last)
                assert set(found.column("namespace").to_pylist()) <= {stream[0]}


@pytest.mark.parametrize(("upto", "groups"), [(60, LAST_GROUPS), (30, 32)])
def test_few_groups_are_looked_at_however_long_a_stream_is(
    tmp_path: Path, upto: int, groups: int
) -> None:
    stream = ("default", "", "w")
    with EventStore(tmp_path / "s") as store:
        store.append_table(rows_of(stream, 60 * ROW_GROUP_ROWS))
    with EventStore(tmp_path / "s", read_only=True) as store:
        snapshot = store.snapshot()
        last = upto * ROW_GROUP_ROWS
        found = snapshot.stream_rows(stream, Span.of_stream(stream, last - 9, last))
        reader, files = snapshot.files.reader, snapshot.stream_files(stream)
        (opened,) = [data for data in files if data.path in reader._footers]

        assert found.num_rows == 10
        assert len(files) == 3
        assert len(reader.row_groups(opened)) == groups
        assert len(reader.row_groups(opened)._known) <= 4 * 5  # four searches among at most 32


LISTS = [
    {},
    {"causes": (Cause("w", 1),)},
    {"reads": ()},
    {"writes": (Cell("a", "x"), Cell("b", "y"))},
]
PAYLOADS = st.sampled_from([None, {"input": 1}, "text"])
ROWS = st.tuples(st.sampled_from(["E1", "E2"]), st.booleans(), PAYLOADS, st.sampled_from(LISTS))


@settings(max_examples=30)
@given(rows=st.lists(ROWS, min_size=2, max_size=12))
def test_events_come_back_as_they_were_whatever_their_row_groups_have_in_common(
    rows: list[tuple[str, bool, object, dict[str, object]]],
) -> None:
    events = [
        Event.of(kind, follows_lane=lane, payload=payload, step_id="s" if lane else None, **lists)
        for kind, lane, payload, lists in rows
    ]
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(segments, "ROW_GROUP_ROWS", 3)
        with EventStore(folder) as store:
            store.append("w", Event.of("E1"))
            store.append("w", events)
            expected = store.read("/workflows/w").events()
            store.seal()
            now = store.snapshot()
            for first in range(1, len(expected) + 1):
                found = stream_events(now, ("default", "", "w"), first=first)
                assert found == expected[first - 1 :]
            assert store.read("/workflows/w").events() == expected
