"""docs/format.md is true: an independent reader made from it, its bytes, and its tables."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import independent
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.events import (
    ANOMALY_SCHEMA,
    CATEGORIES,
    EVENT_CATEGORIES,
    EVENT_SCHEMA,
    Cause,
    CauseKind,
    Cell,
    Event,
    EventLog,
    RunInfo,
    codec,
    schema,
)
from flowlab.store import (
    EventStore,
    Layout,
    clock,
    frames,
    layout,
    parts,
    run_check,
    segments,
    tail,
    writer,
)

PAGE = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
SALT = 0x0807060504030201


def shown(name: str) -> bytes:
    """Return the bytes of a hex example: two spaces end them on each line."""
    found = re.search(rf"```hex {name}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return bytes.fromhex("".join(line.split("  ")[0] for line in found.group(1).splitlines()))


def table(head: str) -> list[list[str]]:
    """Return the rows of the page's table whose head begins so."""
    lines = PAGE[PAGE.index(f"\n| {head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# -- an independent reader -------------------------------------------------------------------------


def everything(root: Path) -> EventStore:
    """Make a store in which each kind of content stands, sealed and in the tail."""
    store = EventStore(root, layout=Layout(buckets=4))
    first = Event.of(
        "TransactionCommitted",
        name="é\0",
        payload={"n": [1.5, None]},
        reads=(),
        writes=(Cell("o", "k"), Cell("", "ü")),
        coordination_id="plan/1",
        step_id="s",
        follows_lane=False,
        generation=3,
    )
    second = Event.of("Signaled", agent_id="bob", payload=b"\xff\0", time_ns=-7)
    store.append("trip/1 %", [first, second], idempotency_key="k1", namespace="a b/ü")
    store.record_run(RunInfo(run_id="r", scenario="old"))
    store.append("w", Event.of("A", agent_id="bob"))
    store.append("w", [Event.of("B", causes=(Cause("w", 1, CauseKind.LOCK),))] * 3)
    store.seal()
    log = EventLog.from_events(
        [
            Event.of("C", workflow_id=flow, sequence=n, run_id="r", time_ns=n, agent_id="x")
            for flow in ("v", "@x")
            for n in range(1, 6)
        ],
        runs=[RunInfo(run_id="r", parameters={"p": 0.5}, agents=("x",), seed=-1)],
    )
    damage = dict.fromkeys(ANOMALY_SCHEMA.names, "d") | {"sequence": 1, "ref_sequence": None}
    store.append_log(EventLog(log.table, log.runs, pa.Table.from_pylist([damage], ANOMALY_SCHEMA)))
    store.append("w", Event.of("D"), idempotency_key="k2")
    store.append("trip/1 %", [second, first], namespace="a b/ü")
    store.record_run(RunInfo(run_id="late", attributes={"a": {}}))
    store.append("u", [Event.of("E", causes=(Cause("w", 5, CauseKind.MESSAGE),))] * 5)
    return store


def by_position(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["position"])


def same(store: EventStore, *, boot: int | None = None) -> independent.Content:
    """Compare what the two readers find in a store; return the other one's."""
    found = independent.Content(store.path, boot=clock.boot_id() if boot is None else boot)
    log = store.log() if store.snapshot().position else EventLog.from_events([])
    assert found.events == by_position(log.table.to_pylist())
    runs = {key: msgspec.convert(run, RunInfo) for key, run in found.runs.items()}
    assert runs == {run.key: run for run in store.runs}
    assert found.anomalies == store.snapshot().anomalies.to_pylist()
    return found


@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_reader_made_from_the_page_finds_what_the_store_finds(
    tmp_path: Path, *, sealed: bool, rebooted: bool
) -> None:
    with everything(tmp_path / "s") as store:
        if sealed:
            store.seal()
        found = same(store, boot=0 if rebooted else None)
        assert len(found.events) == 24
        assert len(found.files) == len(store.snapshot().state.files) > 3
        assert sorted(key[-1] for key in found.keys) == ["k1", "k2"]
        for *stream, key in found.keys:
            _, first, last, begin, end = found.keys[*stream, key]  # type: ignore[misc]
            rows = [row for row in found.events if begin <= row["position"] <= end]
            assert [row["sequence"] for row in rows] == list(range(first, last + 1))
            assert [row["workflow_id"] for row in rows] == [stream[2]] * len(rows)
        assert [commit[1] for commit in found.commits] == sorted(c[1] for c in found.commits)
        assert found.commits[-1][0] == 24
        assert independent.digest(found.events) == store.log().digest
        assert independent.history_digest(found.events) == store.log().history_digest


@pytest.mark.parametrize("upkeep", ["compact", "archive", "truncate", "both"])
def test_the_two_readers_agree_after_files_were_written_again(tmp_path: Path, upkeep: str) -> None:
    with everything(tmp_path / "s") as store:
        store.seal()
        if upkeep != "compact":
            store.archive(upto=7)
        if upkeep in {"truncate", "both"}:
            store.truncate({"w": 2, "u": 1})
            store.append("w", Event.of("F", causes=(Cause("w", 1),)))
        if upkeep in {"compact", "both"}:
            store.compact(full=True)
            store.vacuum(retain=0)
        found = same(store)
        assert found.gone == (3 if upkeep in {"truncate", "both"} else 0)
        assert {row.stream: row.base for row in store.snapshot().bases.rows} == found.bases


@settings(max_examples=15)
@given(st.lists(st.tuples(logs(), st.booleans()), min_size=1, max_size=2))
def test_the_two_readers_agree_on_any_log(given_logs: list[tuple[EventLog, bool]]) -> None:
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "s") as store:
        log, seal = given_logs[0]
        store.append_log(log)
        for event in given_logs[-1][0]:
            plain = event.replace(sequence=0, agent_sequence=0, causes=())
            place = {"namespace": event.namespace, "run_id": event.run_id}
            store.append(event.workflow_id, plain, **place)
        if seal:
            store.seal()
        same(store)


def test_row_groups_have_the_size_and_the_constants_that_the_page_says(tmp_path: Path) -> None:
    rows = 2048 * 2 + 5
    columns = {
        "workflow_id": ["a"] * 2048 + ["b"] * (rows - 2048),
        "event_type": ["A"] * rows,
        "name": ["same"] * 2500 + [f"n{place}" for place in range(rows - 2500)],
        "step_id": [None] * 4000 + ["s"] * (rows - 4000),
    }
    with EventStore(tmp_path / "s", layout=Layout(buckets=1)) as store:
        store.append_table(pa.table(columns))
        (path,) = (store.path / "workflows").rglob("*.parquet")
        assert len(independent.Content(store.path).events) == rows
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes == [2048, 2048, 5]
    groups = msgspec.json.decode(metadata.metadata[b"flowlab.constants"])
    assert [group.get("workflow_id") for group in groups] == ["a", "b", "b"]
    assert [group.get("name", "varies") for group in groups] == ["same", "varies", "varies"]
    assert [group.get("step_id", "varies") for group in groups] == [None, "varies", "s"]
    assert all(group["event_type"] == "A" for group in groups)


def test_the_reader_knows_nothing_of_flowlab_and_sees_damage_too(tmp_path: Path) -> None:
    tree = ast.parse(Path(independent.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] in {"flowlab", "numpy"}]

    everything(tmp_path / "s").close()
    for path in sorted((tmp_path / "s").rglob("*")):
        if path.is_file() and path.name not in {"lock", "watermark"}:
            data = bytearray(path.read_bytes())
            place = 60 if path.suffix == ".log" else len(data) // 2
            data[place] ^= 1
            path.write_bytes(data)
            with pytest.raises(independent.DamagedError):
                independent.Content(tmp_path / "s", boot=clock.boot_id())
            data[place] ^= 1
            path.write_bytes(data)
    independent.Content(tmp_path / "s", boot=clock.boot_id())


# -- bytes -----------------------------------------------------------------------------------------


def test_the_bytes_shown_are_the_bytes_written() -> None:
    header = frames.encode_file_header(number=1, salt=SALT, first_position=1)
    event = Event.of("Signaled", name="go", payload={"n": 1}, causes=(Cause("v", 2, 1),))
    events = frames.msgspec.Raw(frames.encode_events([event]))
    item = frames.Transaction("default", "", "w", 1, 1, [1], events)
    body = frames.encode_commit(frames.Commit(1, 1_700_000_000_000_000_000, [item]))
    frame = frames.encode_frame(body, number=1, first_position=1, salt=SALT)

    assert shown("file-header") == header
    assert shown("frame") == frame
    end = len(header) + len(frame)
    assert shown("watermark") == tail.Watermark(0x11223344, 1, end, 1).encode()
    assert independent.frame_at(header + frame, 40, SALT) == (body, end)


def test_files_are_encoded_as_the_page_says(tmp_path: Path) -> None:
    with everything(tmp_path / "s") as store:
        paths = [store.path / "workflows" / data.path for data in store.snapshot().state.files]
        commits = sorted((store.path / "workflows" / "_delta_log").iterdir())
        lock = (store.path / "lock").read_bytes()
    assert [path.name for path in commits] == [f"{n:020d}.json" for n in range(3)]
    actions = [[next(iter(msgspec.json.decode(line))) for line in path.read_bytes().splitlines()]
               for path in commits]  # fmt: skip
    assert actions[0] == ["protocol", "metaData", "commitInfo"]
    assert all(names == ["commitInfo"] + ["add"] * (len(names) - 1) for names in actions[1:])
    assert len(lock) == 256
    assert msgspec.json.decode(lock).keys() == {"epoch", "pid", "since_ns"}
    delta, statistics = set(segments._DELTA), set(segments.BOUNDED) - {"namespace"}
    for path in paths:
        metadata = pq.read_metadata(path)
        assert metadata.metadata.keys() == {b"flowlab.constants"}
        group = metadata.row_group(0)
        columns = [group.column(index) for index in range(metadata.num_columns)]
        assert {c.path_in_schema for c in columns if "DELTA_BINARY_PACKED" in c.encodings} == delta
        assert {c.path_in_schema for c in columns if c.is_stats_set} == statistics
        assert {c.compression for c in columns} == {"ZSTD"}
        plain = {c.path_in_schema for c in columns if not c.has_dictionary_page} - delta
        assert plain == {"follows_lane", "payload"}
        names = [name for name in EVENT_SCHEMA.names if name != "namespace"]
        assert metadata.schema.to_arrow_schema().names == names
        assert re.fullmatch(r"part-\d{12}-\d{12}-e1\.parquet", path.name)


# -- tables ----------------------------------------------------------------------------------------


def test_the_table_of_columns_is_the_schema() -> None:
    def words(kind: pa.DataType) -> str:
        if pa.types.is_list(kind):
            return f"list of {words(kind.value_type)}"
        if pa.types.is_struct(kind):
            return "{" + ", ".join(f"{part.name}: {part.type}" for part in kind) + "}"
        return str(kind)

    nullable = {True: "yes", False: "no"}
    expected = [
        [f"`{field.name}`", words(field.type), nullable[field.nullable]] for field in EVENT_SCHEMA
    ]
    assert [row[:3] for row in table("column | type")] == expected
    assert EVENT_SCHEMA.names == independent.COLUMNS


def test_the_tables_of_kinds_categories_and_digests_are_the_code_s() -> None:
    assert [(int(row[0]), row[1]) for row in table("kind |")] == [
        (int(kind), kind.label) for kind in CauseKind
    ]
    types = {word: row[0] for row in table("category |") for word in row[1].split()}
    assert types == EVENT_CATEGORIES
    assert {row[0] for row in table("category |")} == set(CATEGORIES)
    digests = {row[0]: row[1].split() for row in table("digest | columns")}
    assert digests == {"`digest`": independent.DIGEST, "`history_digest`": independent.HISTORY}


def test_the_table_of_limits_is_the_code_s() -> None:
    rooms = (schema, codec, run_check, writer, frames, layout, segments, parts)
    for name, value, _ in table("limit |"):
        found = {getattr(room, name.strip("`")) for room in rooms if hasattr(room, name.strip("`"))}
        assert found == {int(value)}, name


def test_the_tables_of_members_are_what_is_written() -> None:
    def names(head: str) -> list[str]:
        return [name for row in table(head) for name in re.split(r", |`", row[0]) if name.strip()]

    assert names("commit |") == list(frames.Commit.__struct_fields__)
    assert names("transaction |") == list(frames.Transaction.__struct_fields__)
    runs = PAGE[PAGE.index("A run is an object with") :].split("\n\n")[0]
    assert [word for word in re.findall(r"`(\w+)`", runs) if word not in {"wall", "virtual"}] == (
        list(RunInfo.__struct_fields__)
    )
    damage = PAGE[PAGE.index("An anomaly has") :].split("\n\n")[0]
    assert re.findall(r"`(\w+)`", damage)[: len(ANOMALY_SCHEMA)] == ANOMALY_SCHEMA.names
