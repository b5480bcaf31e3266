"""Appending: atomic, ordered, idempotent, shared by threads, fenced between processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import (
    ConcurrencyError,
    CorruptionError,
    FencedError,
    FlowlabError,
    FormatVersionError,
    InvalidArgumentError,
    InvalidEventError,
    LockedError,
    NotAStoreError,
    PoisonedError,
)
from flowlab.events import MAX_PAYLOAD_BYTES, Cause, Event, RunInfo
from flowlab.store import EventStore, Layout
from flowlab.store.heads import SealedHeads


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return EventStore(tmp_path / "s")


def mark(name: str = "", **fields: Any) -> Event:
    return Event.of("MarkerRecorded", name=name, **fields)


def test_an_append_numbers_its_events_and_is_read_back_as_given(store: EventStore) -> None:
    result = store.append("w", [mark("a", payload={"x": [1, None]}), mark("b", agent_id="bob")])
    again = store.append("v", mark("c", agent_id="bob"), run_id="r", namespace="n")

    assert (result.first_sequence, result.last_sequence) == (1, 2)
    assert (again.first_position, again.last_position) == (3, 3)
    first, second = store.read("/workflows/w/events").events()
    assert (first.data, first.agent_id, first.agent_sequence) == ({"x": [1, None]}, "w", 1)
    assert (second.agent_id, second.agent_sequence, second.position) == ("bob", 1, 2)
    third = store.read("/namespaces/n/runs/r/workflows/v").events()[0]
    assert (third.agent_sequence, third.namespace, third.run_id) == (1, "n", "r")
    assert second.time_ns <= third.time_ns


@pytest.mark.parametrize("sealed", [False, True])
def test_expected_version_admits_exactly_the_stream_s_head(
    store: EventStore, *, sealed: bool
) -> None:
    store.append("w", [mark(), mark()], expected_version=0)
    if sealed:
        store.seal()

    with pytest.raises(ConcurrencyError, match="at version 2, not at the expected 1"):
        store.append("w", mark(), expected_version=1)
    assert store.append("w", mark(), expected_version=2).first_sequence == 3


def test_where_a_stream_ends_is_looked_up_once_and_told_anew_after_each_append(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who begins a stream asks where it ends, and the append and its check ask again."""
    store.append("other", {"event_type": "MarkerRecorded"})
    asked: list[str] = []
    looked_up = SealedHeads.head

    def counted(self: SealedHeads, state: Any, home: Any, stream: Any) -> int:
        asked.append(stream[2])
        return looked_up(self, state, home, stream)

    monkeypatch.setattr(SealedHeads, "head", counted)
    assert [store.head(name) for name in ("w", "v", "other", "w", "w")] == [0, 0, 1, 0, 0]
    store.append("w", {"event_type": "MarkerRecorded"}, expected_version=0)
    assert asked == ["w", "v", "w"]
    assert [store.head(name) for name in ("w", "v", "other")] == [1, 0, 1]
    with pytest.raises(ConcurrencyError):
        store.append("w", {"event_type": "MarkerRecorded"}, expected_version=0)


def test_an_idempotency_key_commits_once_whatever_happens_between(tmp_path: Path) -> None:
    batch = [mark("a", payload=1), mark("b")]
    with EventStore(tmp_path / "s") as store:
        first = store.append("w", batch, idempotency_key="k")
        assert store.append("w", batch, idempotency_key="k").repeated
        store.append("w", mark("c"))
        other = store.append("v", batch, idempotency_key="k")
        assert not other.repeated, "a key belongs to its stream"
        store.seal()
        assert store.append("w", batch, idempotency_key="k").repeated
    with EventStore(tmp_path / "s") as store:
        again = store.append("w", batch, idempotency_key="k", expected_version=0)
        assert (again.first_sequence, again.last_sequence) == (1, 2)
        assert again.first_position == first.first_position
        assert store.snapshot().position == 5
        with pytest.raises(InvalidArgumentError, match="used for another batch"):
            store.append("w", mark("other"), idempotency_key="k")


BAD = {
    "event_type": [mark().replace(event_type="")],
    "sequence is a duplicate": [mark(sequence=1)],
    "sequence leaves a gap": [mark(), mark(sequence=9)],
    "causes names": [mark(causes=(Cause("w", 3),))],
    "causes.*does not exist": [mark(causes=(Cause("nowhere", 1),))],
    "causes names itself": [mark(causes=(Cause("w", 2),))],
    "causes.kind": [mark(causes=(Cause("w", 1, 99),))],
    "causes.workflow_id": [mark(causes=(Cause("", 1),))],
    "time_ns": [mark(time_ns=1.5)],
    "name": [mark(name=3)],  # type: ignore[arg-type]
    "agent_sequence": [mark(agent_id="w", agent_sequence=1)],
    "follows_lane": [mark(follows_lane=1)],
    "payload.*MAX_PAYLOAD_BYTES": [mark(payload=b"x" * (MAX_PAYLOAD_BYTES + 1))],
    "agent_id.*MAX_ID_BYTES": [mark(agent_id="é" * 600)],
    "name.*Unicode": [mark(name="\ud800")],
    "run_id": [mark(run_id="another")],
    "workflow_id": [mark(workflow_id="another")],
    "schema_version": [mark(schema_version=0)],
    "generation": [mark(generation=-1)],
    "step_id": [mark(step_id="")],
    "reads": [mark(reads=("x",))],
    "not an event": [3],
    "color": [{"event_type": "X", "color": "red"}],
    "empty": [],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_events_are_refused_by_field_and_nothing_of_the_batch_is_written(
    store: EventStore, what: str
) -> None:
    store.append("w", mark())
    words = what.split(" ")

    with pytest.raises(InvalidEventError, match=words[0]) as caught:
        store.append("w", [mark("good"), *BAD[what]] if "duplicate" in what else BAD[what])

    assert "batch" in str(caught.value)
    assert store.snapshot().position == 1
    assert store.append("w", mark()).first_sequence == 2


@pytest.mark.parametrize("field", ["namespace", "workflow_id"])
def test_an_empty_stream_id_is_refused_by_name(store: EventStore, field: str) -> None:
    stream = {"namespace": "n", "workflow_id": "w", field: ""}

    with pytest.raises(InvalidEventError, match=f"'{field}' is empty"):
        store.append(stream["workflow_id"], mark(), namespace=stream["namespace"])


def test_ids_at_their_limit_are_taken(store: EventStore) -> None:
    long = "é" * 512
    store.append(long, mark(agent_id=long, coordination_id=long, step_id=long))
    store.seal()

    assert store.sql("SELECT workflow_id FROM events").item() == long


def test_threads_share_syncs_and_every_acknowledged_event_is_there_once(store: EventStore) -> None:
    threads, each = 16, 25
    barrier = threading.Barrier(threads)
    results: list[tuple[str, int, int]] = []

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(each):
            stream = f"w{number % 5}"
            result = store.append(stream, mark(str(number)))
            results.append((stream, result.first_sequence, result.first_position))

    store.append("w0", mark())
    before = store.disk.data_syncs
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert store.disk.data_syncs - before <= threads * each
    events = store.log().events()
    found = {(event.workflow_id, event.sequence, event.position) for event in events}
    assert set(results) <= found
    assert len(results) == len(set(results)) == threads * each
    assert sorted(event.position for event in events) == list(range(1, threads * each + 2))


def test_callers_that_wait_for_a_sync_share_the_next_one(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append("w", mark())
    syncing, release = threading.Event(), threading.Event()
    original = store.disk.sync_data

    def held(descriptor: int) -> None:
        syncing.set()
        release.wait()
        original(descriptor)

    monkeypatch.setattr(store.disk, "sync_data", held)
    before = store.disk.data_syncs
    workers = [threading.Thread(target=store.append, args=("w", mark())) for _ in range(16)]
    workers[0].start()
    syncing.wait()
    for worker in workers[1:]:
        worker.start()
    while len(store._writer._group._waiting) < 15:
        pass
    release.set()
    for worker in workers:
        worker.join()

    assert store.disk.data_syncs - before == 2
    assert store.snapshot().position == 17


def test_a_refused_request_does_not_fail_those_that_share_its_commit(store: EventStore) -> None:
    outcomes: dict[int, object] = {}
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = store.append(
                "w", mark(), expected_version=None if number % 2 else 99
            )
        except ConcurrencyError as error:
            outcomes[number] = error

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [isinstance(outcomes[n], ConcurrencyError) for n in range(8)] == [True, False] * 4
    assert store.snapshot().position == 4


def test_a_takeover_fences_the_older_writer_by_name(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as older, EventStore(tmp_path / "s") as newer:
        older.append("w", mark("a"))
        newer.append("w", mark("b"))
        for action in (lambda: older.append("w", mark()), older.seal):
            with pytest.raises(FencedError, match="epoch is 2, this one's 1"):
                action()
        assert newer.append("w", mark("c")).first_sequence == 3
        assert older.read("/workflows/w").table.num_rows == 3


def test_a_lock_held_by_a_hung_process_is_a_clear_error(tmp_path: Path) -> None:
    EventStore(tmp_path / "s").append("w", mark())
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'r+b'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "s" / "lock")], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            with (
                EventStore(tmp_path / "s", lock_timeout_s=0.05) as store,
                pytest.raises(LockedError, match=r"more than 0\.05 s"),
            ):
                store.append("w", mark())
        finally:
            holder.kill()
    with EventStore(tmp_path / "s") as store:
        assert store.append("w", mark()).first_sequence == 2


def test_a_failed_sync_poisons_the_writer_until_it_is_opened_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append("w", mark("a"))
    with monkeypatch.context() as patch:

        def fail(_: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(store.disk, "sync_data", fail)
        with pytest.raises(PoisonedError, match="open the store again"):
            store.append("w", mark("b"))
    for action in (lambda: store.append("w", mark("c")), store.seal):
        with pytest.raises(PoisonedError):
            action()
    assert store.read("/workflows/w").table.num_rows == 1, "what was not synced is not shown"

    with EventStore(store.path) as again:
        assert again.append("w", mark("d")).first_sequence in {2, 3}


def test_a_folder_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    with pytest.raises(NotAStoreError, match="notes.txt|file"):
        EventStore(tmp_path)
    with pytest.raises(NotAStoreError, match="is a file"):
        EventStore(tmp_path / "file")
    with pytest.raises(NotAStoreError, match="not there"):
        EventStore(tmp_path / "absent", read_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "notes.txt"]


def test_a_newer_store_format_and_a_damaged_manifest_are_refused_by_name(tmp_path: Path) -> None:
    EventStore(tmp_path / "s").close()
    manifest = tmp_path / "s" / "flowlab.json"
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**data, "format": 3}))
    with pytest.raises(FormatVersionError, match="format 3"):
        EventStore(tmp_path / "s")
    for text in ("", "{", "[]", '{"format": 1}', '{"format": 1, "layout": {}}'):
        manifest.write_text(text)
        with pytest.raises(CorruptionError, match="damaged"):
            EventStore(tmp_path / "s", read_only=True)


def test_a_layout_is_chosen_once(tmp_path: Path) -> None:
    EventStore(tmp_path / "s", layout=Layout(buckets=3)).close()

    with pytest.raises(InvalidArgumentError, match="never changes"):
        EventStore(tmp_path / "s", layout=Layout(buckets=4))
    with EventStore(tmp_path / "s") as store:
        assert store.info().layout == Layout(buckets=3)


def test_a_closed_or_read_only_store_says_so(tmp_path: Path) -> None:
    EventStore(tmp_path / "s").close()
    reader = EventStore(tmp_path / "s", read_only=True)
    writes = [
        lambda: reader.append("w", mark()),
        lambda: reader.append_log(reader.log()),
        lambda: reader.record_run(RunInfo()),
        reader.seal,
    ]
    for write in writes:
        with pytest.raises(InvalidArgumentError, match="reading only"):
            write()
    reader.close()
    with pytest.raises(FlowlabError, match="closed"):
        reader.log()


def test_run_metadata_is_durable_and_the_latest_counts(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.record_run(RunInfo(run_id="r", scenario="old"))
        store.append("w", mark(), run_id="r")
        store.record_run(RunInfo(run_id="r", scenario="new", seed=7))
        before = store.as_of(position=0).runs
        store.seal()
        store.record_run(RunInfo(run_id="q"))
    with EventStore(tmp_path / "s", read_only=True) as store:
        assert before == ()
        assert [(run.run_id, run.scenario) for run in store.runs] == [("r", "new"), ("q", "")]
        assert store.sql("SELECT scenario, events FROM runs WHERE run_id = 'r'").row(0) == (
            "new",
            1,
        )


# Two threads that looked for new commits at the same time both loaded the same one, and the second
# then took the number after it, which nobody had committed: a FileNotFoundError out of a read.
def test_threads_that_find_a_new_commit_at_the_same_time_all_see_it(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as writer, EventStore(tmp_path / "s", read_only=True) as reader:
        for turn in range(1, 40):
            writer.append("w", [Event.of("MarkerRecorded")])
            writer.seal()
            ready = threading.Barrier(4)

            def look(ready: threading.Barrier = ready) -> int:
                ready.wait()
                return reader.snapshot().version

            with ThreadPoolExecutor(4) as pool:
                seen = [future.result() for future in [pool.submit(look) for _ in range(4)]]
            assert seen == [turn] * 4
