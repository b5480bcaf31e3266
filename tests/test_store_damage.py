"""The fear: a file is not what was written, and an answer is given all the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from flowlab.errors import CorruptionError, FlowlabError, InvalidEventError
from flowlab.events import CELL_TYPE, Event, EventLog, RunInfo
from flowlab.store import EventStore, Layout

QUERY = "SELECT * FROM events ORDER BY position"


def mark(number: int) -> Event:
    return Event.of("MarkerRecorded", name=f"n{number % 7}", payload={"i": number * number})


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Give a store of 60 events of three streams and a run, all sealed into one file."""
    with EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
        for number in range(60):
            store.append(f"w{number % 3}", mark(number))
        store.record_run(RunInfo(scenario="s"))
        store.seal()
    return tmp_path / "s"


def answers(root: Path) -> tuple[Any, ...]:
    """Ask by SQL and by key."""
    with EventStore(root, read_only=True) as store:
        streams = [store.read(f"/workflows/w{number}").digest for number in range(3)]
        return store.query(QUERY).to_pylist(), streams, store.runs, store.snapshot().position


# SQL once read a sealed file whose pages were damaged, and a commit with a wrong bound or
# namespace, and gave wrong rows: DuckDB checks no page, and a commit had no checksum.
@pytest.mark.parametrize(
    ("pattern", "step"),
    [
        ("*.parquet", 29),
        ("*1.json", 17),
        ("metadata/*.gz", 7),
        ("flowlab.json", 3),
    ],
)
def test_a_flipped_bit_in_any_file_is_refused_by_the_store_s_own_errors(
    sealed: Path, pattern: str, step: int
) -> None:
    (path,) = sealed.rglob(pattern)
    data = path.read_bytes()
    for place in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(FlowlabError):
            answers(sealed)
    path.write_bytes(data)
    assert answers(sealed)[3] == 60


def test_sql_alone_refuses_a_damaged_page_too(sealed: Path) -> None:
    (path,) = sealed.rglob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)

    with (
        EventStore(sealed, read_only=True) as store,
        pytest.raises(CorruptionError, match="checksum"),
    ):
        store.sql("SELECT count(*) FROM events")
    assert not EventStore(sealed, read_only=True).verify().ok


# A commit of another program says nothing of positions and tails; the store once took that for
# "nothing is sealed", and would have given positions out a second time.
def test_a_commit_of_another_program_is_refused_by_name(sealed: Path) -> None:
    DeltaTable(str(sealed / "workflows")).delete("sequence = 1")

    with pytest.raises(CorruptionError, match=r"0002.json was committed by another program"):
        answers(sealed)
    with EventStore(sealed) as store, pytest.raises(CorruptionError, match="another program"):
        store.append("w0", mark(1))
    assert not EventStore(sealed, read_only=True).verify().ok


# A reader that had read the commit log, and then the tail after a bulk append and one more append
# had gone past it, took the gap between them for corruption.
def test_a_reader_that_is_overtaken_between_log_and_tail_looks_again(sealed: Path) -> None:
    with EventStore(sealed) as writer, EventStore(sealed, read_only=True) as reader:
        original = reader._tail.view

        def overtaken(number: int) -> Any:
            reader._tail.view = original  # type: ignore[method-assign]
            writer.append_log(EventLog.from_events([mark(1).replace(workflow_id="v", sequence=1)]))
            writer.append("w0", mark(2))
            return original(number)

        reader._tail.view = overtaken  # type: ignore[method-assign, assignment]
        assert reader.snapshot().position == 62


# Whatever was recorded of a run is decoded by every later reader: an int for a name once made the
# store unreadable, NaN became null when it was sealed, and a big int poisoned the writer.
@pytest.mark.parametrize(
    ("run", "why"),
    [
        (RunInfo(run_id=5), "run_id"),  # type: ignore[arg-type]
        (RunInfo(namespace=""), "namespace"),
        (RunInfo(run_id="r" * 1025), "run_id"),
        (RunInfo(scenario=None), "scenario"),  # type: ignore[arg-type]
        (RunInfo(seed=2**63), "seed"),
        (RunInfo(parameters={"p": math.nan}), "nan"),
        (RunInfo(parameters={"p": 2**64}), "recorded"),
        (RunInfo(parameters={"p": {1}}), "JSON cannot hold"),
        (RunInfo(attributes={"text": "\ud800"}), "recorded"),
        ({"run_id": "r"}, "expected a RunInfo"),
    ],
)
def test_run_metadata_that_no_reader_could_decode_is_refused(
    tmp_path: Path, run: RunInfo, why: str
) -> None:
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match=why):
            store.record_run(run)
        with pytest.raises(InvalidEventError, match=why):
            store.append_table(pl.DataFrame({"workflow_id": "w", "event_type": "A"}), runs=[run])
        assert store.append("w", mark(1)).first_position == 1
        assert store.runs == ()


def test_recorded_metadata_is_a_copy_and_the_same_in_the_tail_and_sealed(tmp_path: Path) -> None:
    run = RunInfo(run_id="r", seed=-1, parameters={"a": [1, 1.5, None], "n": 2**63}, agents=("x",))
    with EventStore(tmp_path / "s") as store:
        store.record_run(run)
        expected = RunInfo(run_id="r", seed=-1, parameters=dict(run.parameters), agents=("x",))
        run.parameters["a"] = "changed"
        assert store.runs == (expected,)
        store.seal()
        assert store.runs == (expected,)


# A null inside a list of cells was written as a cell with empty names, and one over the limit
# went in through a table though an append refused it.
@pytest.mark.parametrize(
    ("cells", "why"),
    [([None], "null inside"), ([{"owner": "x" * 1025, "key": ""}], r"reads\.owner.*MAX_ID_BYTES")],
)
def test_a_table_s_cells_are_checked_like_an_append_s(
    tmp_path: Path, cells: list[Any], why: str
) -> None:
    table = pa.table({"workflow_id": ["v", "w"], "event_type": ["A", "A"]})
    table = table.append_column("reads", pa.array([None, cells], pa.list_(CELL_TYPE)))
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match=why):
            store.append_table(table)
        assert store.snapshot().position == 0


def test_a_damaged_store_is_shown_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    """Its repr raised, in the very moment when somebody looked at what was wrong."""
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark(1))
        store.append("w", mark(2))
    tail = next((tmp_path / "s" / "tail").glob("*.log"))
    data = bytearray(tail.read_bytes())
    data[60] ^= 255
    tail.write_bytes(data)
    with EventStore(tmp_path / "s", read_only=True) as store:
        with pytest.raises(CorruptionError):
            store.snapshot()
        assert repr(store) == "EventStore('s', cannot be read)"
