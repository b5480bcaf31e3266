"""Checkpoints: a state file counts once a durable event names it, and is never believed damaged."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_format import shown

from flowlab.errors import (
    CorruptionError,
    FencedError,
    FormatVersionError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
)
from flowlab.events import Cause, Event
from flowlab.store import EventStore, aggregate, containers, projection
from flowlab.store.containers import CHECKPOINT, Container, decode_container, encode_container


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as found:
        found.append("w", [Event.of("A"), Event.of("B"), Event.of("C")])
        yield found


def files(store: EventStore) -> list[Path]:
    return sorted((store.path / "checkpoints").glob("*/*"))


# -- the container ---------------------------------------------------------------------------------


def test_a_state_file_has_the_bytes_that_the_page_shows() -> None:
    meta = {"stream": ["default", "", "w"], "at": 1, "causality": None}
    assert encode_container(Container(CHECKPOINT, meta, b"ab")) == shown("state-file")


def test_every_cut_and_every_flipped_bit_of_a_state_file_is_found() -> None:
    whole = encode_container(Container(CHECKPOINT, {"at": 1}, b"state"))
    for size in range(len(whole)):
        with pytest.raises(CorruptionError, match="here"):
            decode_container(whole[:size], where="here", kind=CHECKPOINT)
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError, match="here"):
            decode_container(bytes(data), where="here", kind=CHECKPOINT)
    with pytest.raises(CorruptionError, match="damaged"):
        decode_container(whole + b"\0", where="here", kind=CHECKPOINT)


def test_a_newer_format_and_another_kind_are_refused_by_name() -> None:
    whole = bytearray(encode_container(Container(CHECKPOINT, {}, b"")))
    with pytest.raises(CorruptionError, match="holds a checkpoint; expected a projection"):
        decode_container(bytes(whole), where="f", kind=containers.PROJECTION)
    struct.pack_into("<I", whole, 8, 2)
    struct.pack_into("<I", whole, 28, zlib.crc32(whole[:28]))
    with pytest.raises(FormatVersionError, match="state format 2; this flowlab reads up to 1"):
        decode_container(bytes(whole), where="f", kind=CHECKPOINT)


# -- taking ----------------------------------------------------------------------------------------


def test_a_checkpoint_is_found_again_by_whoever_opens_the_store(store: EventStore) -> None:
    taken = store.checkpoint("w", b"one", at=2, causality={"clock": {"w": 2}}, origin="test")
    later = store.checkpoint("w", b"two", savepoint=True)
    again = store.checkpoint("w", b"three", at=2)
    assert [found.id for found in (taken, later, again)] == ["00000002", "00000003", "00000002-2"]
    for _ in range(2):
        with EventStore(store.path, read_only=True) as reader:
            assert reader.checkpoints("w") == (taken, again, later)
            newest = reader.latest_checkpoint("w")
            assert newest is not None
            assert (newest.checkpoint, newest.state, newest.causality) == (later, b"two", None)
            before = reader.latest_checkpoint("w", at_most=2)
            assert before is not None
            assert before.state == b"three"
            assert reader.load_checkpoint(taken).causality == {"clock": {"w": 2}}
            assert reader.latest_checkpoint("other") is None
        store.seal()


def test_the_event_names_file_digest_and_cause(store: EventStore) -> None:
    taken = store.checkpoint("w", b"one", at=2)
    (event,) = store.read("/workflows/@world").events()
    data = (store.path / event.data["path"]).read_bytes()
    assert event.event_type == "CheckpointTaken"
    assert event.data["sha256"] == hashlib.sha256(data).hexdigest() == taken.sha256
    assert (event.causes, event.follows_lane) == ((Cause("w", 2),), False)
    assert (event.position, event.time_ns) == (taken.position, taken.taken_ns)


def test_the_history_of_a_workflow_does_not_tell_of_checkpoints(store: EventStore) -> None:
    before = store.log().history_digest
    store.checkpoint("w", b"one")
    assert store.log().history_digest == before


def test_a_checkpoint_belongs_to_its_run_and_to_its_moment(store: EventStore) -> None:
    store.append("w", Event.of("A"), run_id="r")
    store.checkpoint("w", b"live")
    position = store.snapshot().position
    store.checkpoint("w", b"of r", run_id="r")
    (of_run,) = store.checkpoints("w", run_id="r")
    assert store.load_checkpoint(of_run).state == b"of r"
    assert len(store.checkpoints("w")) == 1
    assert store.as_of(position=position).checkpoints("w", run_id="r") == ()
    assert len(store.as_of(position=position).checkpoints("w")) == 1


def test_checkpoints_stand_under_their_keys_and_in_sql(store: EventStore) -> None:
    store.checkpoint("w", b"\xffone", causality=[1], savepoint=True, origin="me")
    below = "/workflows/w/checkpoints/00000003"
    assert store.value(f"{below}/state_snapshot") == b"\xffone"
    assert store.value(f"{below}/causality_info") == [1]
    query = "SELECT workflow_id, checkpoint, at_sequence, savepoint, origin, bytes FROM checkpoints"
    assert store.sql(query).rows() == [("w", "00000003", 3, True, "me", 4)]
    with pytest.raises(NotFoundError, match="no checkpoint '9'; the last are '00000003'"):
        store.value("/workflows/w/checkpoints/9/state_snapshot")


@dataclass
class Info:
    agent_clock: dict[str, int]
    dependencies: tuple[str, ...]


def test_causality_may_be_a_dataclass(store: EventStore) -> None:
    store.checkpoint("w", b"", causality=Info({"w": 3}, ("a",)))
    found = store.latest_checkpoint("w")
    assert found is not None
    assert found.causality == {"agent_clock": {"w": 3}, "dependencies": ["a"]}


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:checkpoint .* is passed over:RuntimeWarning")
def test_a_damaged_or_missing_file_is_passed_over_for_the_one_before(store: EventStore) -> None:
    for at in (1, 2, 3):
        store.checkpoint("w", b"state", at=at)
    paths = files(store)
    paths[2].write_bytes(paths[1].read_bytes())
    with pytest.warns(RuntimeWarning, match="'00000003' of 'w' is passed over.*SHA-256"):
        found = store.latest_checkpoint("w")
    assert found is not None
    assert found.checkpoint.at == 2
    paths[1].unlink()
    with pytest.warns(RuntimeWarning, match="'00000002' of 'w' is passed over.*missing"):
        found = store.latest_checkpoint("w")
    assert found is not None
    assert found.checkpoint.at == 1
    with pytest.raises(CorruptionError, match="missing"):
        store.load_checkpoint(store.checkpoints("w")[1])


def test_a_file_without_an_event_is_nothing_and_its_name_stays_taken(store: EventStore) -> None:
    store.checkpoint("w", b"one")
    orphan = files(store)[0].with_name("00000003-2.state")
    orphan.write_bytes(b"half")
    assert len(store.checkpoints("w")) == 1
    assert store.checkpoint("w", b"two").id == "00000003-3"


def test_verify_names_every_state_file_that_is_damaged_missing_or_of_no_event(
    store: EventStore,
) -> None:
    for at in (1, 2, 3):
        store.checkpoint("w", b"state", at=at)
    store.catch_up(projection(name="v", initial=0)(lambda count, _: count + 1))
    counter = aggregate(name="c", initial=0, decide=lambda *_: Event.of("A"), evolve=lambda s, _: s)
    store.execute(counter, "x", None)
    store.save_state(counter, "x")
    report = store.verify()
    assert report.ok
    assert (report.checked["checkpoints"], report.checked["states"]) == (3, 2)

    one, two, three = files(store)
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    three.with_name("00000003-2.state").write_bytes(b"")
    others = [store.path / "projections" / "v.state", *(store.path / "aggregates").glob("*/*")]
    for path in others:
        path.write_bytes(path.read_bytes() + b"x")
    report = store.verify()
    found = {(problem.kind, Path(problem.where).name) for problem in report.problems}
    assert found == {("missing", one.name), ("damaged", two.name),
                     *(("damaged", path.name) for path in others)}  # fmt: skip
    assert [Path(note.where).name for note in report.notes] == ["00000003-2.state"]


def test_a_path_that_leads_elsewhere_is_refused(store: EventStore) -> None:
    taken = store.checkpoint("w", b"one")
    payload = {
        "checkpoint": "x", "workflow_id": "w", "at": 3, "path": "../../etc/passwd",
        "sha256": taken.sha256, "bytes": 3,
    }  # fmt: skip
    store.append("@world", Event.of("CheckpointTaken", payload=payload))
    store.append("@world", Event.of("CheckpointTaken", payload={"of": "another program"}))
    with pytest.warns(RuntimeWarning, match="no path of its"):
        found = store.latest_checkpoint("w")
    assert found is not None
    assert found.checkpoint == taken


def test_a_writer_that_lost_its_role_leaves_no_file(store: EventStore) -> None:
    store.checkpoint("w", b"one")
    with EventStore(store.path) as other:
        other.append("v", Event.of("A"))
    with pytest.raises(FencedError):
        store.checkpoint("w", b"two")
    assert len(files(store)) == 1


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"state": "text"}, InvalidArgumentError, "a str; expected bytes"),
        ({"at": 4}, NotFoundError, "no event 4 of 'w'"),
        ({"at": 0}, NotFoundError, "no event 0"),
        ({"at": "1"}, NotFoundError, "no event '1'"),
        ({"causality": object()}, InvalidArgumentError, "causality is"),
        ({"causality": {"x": float("nan")}}, ValueError, "nan|NaN"),
        ({"workflow_id": "none"}, NotFoundError, "it has 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name_and_nothing_is_written(
    store: EventStore, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        store.checkpoint(**({"workflow_id": "w", "state": b""} | arguments))
    assert files(store) == []
    assert store.snapshot().position == 3


def test_a_state_has_a_largest_size_and_an_event_a_largest_number(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "MAX_STATE_BYTES", 10)
    with pytest.raises(LimitError, match="MAX_STATE_BYTES"):
        store.checkpoint("w", b"x" * 11)
    monkeypatch.setattr("flowlab.store.checkpointing.MAX_CHECKPOINTS_AT", 2)
    store.checkpoint("w", b"1")
    store.checkpoint("w", b"2")
    with pytest.raises(LimitError, match="MAX_CHECKPOINTS_AT"):
        store.checkpoint("w", b"3")


# -- letting go, and adopting ----------------------------------------------------------------------


def test_a_checkpoint_that_is_let_go_counts_no_more_and_its_file_is_gone(store: EventStore) -> None:
    first = store.checkpoint("w", b"one", at=1)
    second = store.checkpoint("w", b"two", at=2)
    position = store.snapshot().position
    third = store.checkpoint("w", b"three", drops=[first, second])
    assert store.checkpoints("w") == (third,)
    assert [path.name for path in files(store)] == ["00000003.state"]
    assert store.as_of(position=position).checkpoints("w") == (first, second)
    with EventStore(store.path, read_only=True) as reader:
        assert reader.checkpoints("w") == (third,)
    assert store.verify().ok
    again = store.checkpoint("w", b"one again", at=1)
    assert again.id == first.id
    assert store.checkpoints("w") == (again, third)
    assert store.verify().ok


def test_a_savepoint_and_another_workflows_checkpoint_are_never_let_go(store: EventStore) -> None:
    store.append("v", Event.of("A"))
    kept = store.checkpoint("w", b"mine", savepoint=True)
    other = store.checkpoint("v", b"other")
    for wrong in (kept, other, "00000003"):
        with pytest.raises(InvalidArgumentError, match="cannot be let go"):
            store.checkpoint("w", b"new", drops=[wrong])  # type: ignore[list-item]
    assert store.checkpoints("w") == (kept,)


@pytest.mark.parametrize("many", [0, 1_000])
def test_a_snapshot_of_another_system_gets_the_least_consistent_cut_of_its_event(
    store: EventStore, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.store.closure.MANY_EVENTS", many)
    store.append("@a", [Event.of("X"), Event.of("Y", causes=(Cause("w", 2),)), Event.of("Z")])
    store.append("v", [Event.of("S", causes=(Cause("@a", 2),)), Event.of("T")])
    store.append("w", Event.of("J", causes=(Cause("v", 1),)))
    taken = store.adopt_checkpoint("w", at=4, state=b"theirs", origin="other:7")
    assert taken.savepoint
    assert taken.origin == "other:7"
    found = store.load_checkpoint(taken)
    assert found.state == b"theirs"
    assert found.causality == {"vector": {"@a": 2, "v": 1, "w": 4}, "event_type": "J"}
    before = store.adopt_checkpoint("w", at=store.read("/workflows/w").events()[1], state=b"",
                                    origin="x")  # fmt: skip
    assert store.load_checkpoint(before).causality["vector"] == {"w": 2}
    with pytest.raises(NotFoundError, match="no event 9"):
        store.adopt_checkpoint("w", at=9, state=b"", origin="x")
    with pytest.raises(InvalidArgumentError, match="origin"):
        store.adopt_checkpoint("w", state=b"", origin="")
