"""The fear: files vanish, callers are interrupted, clocks go back, and the store goes on as if."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowlab.errors import (
    CorruptionError,
    FencedError,
    InvalidArgumentError,
    InvalidEventError,
    PoisonedError,
    QueryError,
)
from flowlab.events import Event, EventLog
from flowlab.store import Disk, EventStore, writer
from flowlab.store import sealing as sealing_module
from flowlab.store.tail_reader import TailReader

HOUR_NS = 3_600_000_000_000


def mark(name: str = "") -> Event:
    return Event.of("MarkerRecorded", name=name)


def bulk(stream: str) -> EventLog:
    return EventLog.from_events([mark("x").replace(workflow_id=stream, sequence=1)])


def names(root: Path) -> list[str]:
    with EventStore(root, read_only=True) as store:
        assert store.verify().ok
        return store.sql("SELECT name FROM events ORDER BY position")["name"].to_list()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# The writer once went on after a watermark that it could not write, with the position of before:
# the next append was acknowledged, and made the store unreadable (two frames of one position).
def test_a_watermark_that_cannot_be_written_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))
    write_at = Disk.write_at

    def full(disk: Disk, descriptor: int, data: bytes, offset: int) -> None:
        if data.startswith(b"FLMARK01"):
            raise OSError(28, "No space left on device")
        write_at(disk, descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write_at", full)
        with pytest.raises(PoisonedError, match="watermark"):
            store.append("w", mark("b"))
    with pytest.raises(PoisonedError):
        store.append("w", mark("c"))
    with EventStore(tmp_path / "s") as again:
        again.append("w", mark("d"))
    assert names(tmp_path / "s") == ["a", "b", "d"]


def share_a_commit(
    store: EventStore,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[], None],
    *,
    sync: Callable[..., None],
) -> None:
    """Let three threads append in one commit, whose sync is another."""
    group = store._writer._group
    with monkeypatch.context() as patch, group.leader:
        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        # The first waits to lead; it will commit all three at once.
        wait_for(lambda: len(group._waiting) == 3)
        patch.setattr(Disk, "sync_data", sync)
        group.leader.release()
        for thread in threads:
            thread.join(10)
        group.leader.acquire()


# Two callers with one key may share a commit. The second was once told "repeated", a success, when
# the sync of that commit had failed.
def test_a_repeated_key_is_not_acknowledged_before_its_first_use_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))
    found: list[object] = []

    def call() -> None:
        try:
            found.append(store.append("w", mark("b"), idempotency_key="k"))
        except PoisonedError as error:
            found.append(error)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    share_a_commit(store, monkeypatch, call, sync=fail)
    assert [type(item) for item in found] == [PoisonedError] * 3


INTERRUPTED = """
import os, signal, sys, threading, time
from flowlab.events import Event
from flowlab.store import EventStore
store = EventStore(sys.argv[1])
event = Event.of("MarkerRecorded")
store.append("w", event)
group, mode = store._writer._group, sys.argv[2]
def append(): store.append("w", event)
def waiting(n):
    while len(group._waiting) < n: time.sleep(0.001)
def thread(target):
    started = threading.Thread(target=target, daemon=True)
    started.start()
    return started
group.leader.acquire()
others = []
if mode == "waiting":  # another thread leads, this one sleeps, and a third comes after it
    others.append(thread(append)); waiting(1)
def interrupt():
    waiting(len(others) + 1)
    others.append(thread(append)); waiting(len(others) + 1)
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    group.leader.release()
helper = thread(interrupt)
try:
    append()
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
helper.join(10)
for other in others: other.join(10)
append()
print(store.snapshot().position - len(others))
"""


# Ctrl-C in a caller that waited for a bulk append to end, or for its turn to lead, once left the
# lead with a caller that was gone: every later append waited for ever.
@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself")
@pytest.mark.parametrize("mode", ["leading", "waiting"])
def test_an_interrupted_caller_leaves_no_one_waiting(tmp_path: Path, mode: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "s"), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("interrupted\n2\n", "")


# An interrupt was once handed to every caller that shared the commit.
def test_an_interrupt_reaches_the_leader_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))
    found: list[BaseException] = []

    def call() -> None:
        try:
            store.append("w", mark("b"))
        except (KeyboardInterrupt, PoisonedError) as error:
            found.append(error)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    share_a_commit(store, monkeypatch, call, sync=interrupt)
    kinds = sorted(type(error).__name__ for error in found)
    assert kinds == ["KeyboardInterrupt", "PoisonedError", "PoisonedError"]


# An interrupt right after the commit of a seal once left the writer on the old tail file: what it
# acknowledged from then on was in a file that no commit names.
def test_an_interrupt_after_the_commit_of_a_seal_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store._writer._writer, "adopt", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.seal()
    with pytest.raises(PoisonedError, match="open the store again"):
        store.append("w", mark("lost"))
    with EventStore(tmp_path / "s") as again:
        again.append("w", mark("b"))
    assert names(tmp_path / "s") == ["a", "b"]


# A bulk append that failed after its commit had appeared once left the writer with the heads of
# before it: the next append took the same positions.
def test_a_bulk_append_that_fails_after_its_commit_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))
    log_folder = tmp_path / "s" / "workflows" / "_delta_log"
    sync_directory = Disk.sync_directory

    def fail(disk: Disk, path: Path) -> None:
        if path == log_folder and len(list(log_folder.glob("*.json"))) == 3:
            raise OSError(5, "Input/output error")
        sync_directory(disk, path)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "sync_directory", fail)
        with pytest.raises(OSError, match="Input/output"):
            store.append_log(bulk("v"))
    with pytest.raises(PoisonedError, match="a commit was made, and then failed"):
        store.append("w", mark("b"))
    with EventStore(tmp_path / "s") as again:
        again.append("w", mark("c"))
    assert names(tmp_path / "s") == ["a", "x", "c"]


# An append into a store whose folder had been removed was once acknowledged, and was nowhere; with
# only the lock file gone, two writers had each a lock of their own and lost each other's events.
@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed")
def test_a_writer_whose_lock_file_is_gone_writes_no_more(tmp_path: Path) -> None:
    older = EventStore(tmp_path / "s")
    older.append("w", mark("a"))
    (tmp_path / "s" / "lock").unlink()
    with EventStore(tmp_path / "s") as newer:
        newer.append("w", mark("b"))
        with pytest.raises(FencedError, match="'lock' of the store 's' was removed"):
            older.append("w", mark("c"))
        newer.append("w", mark("d"))
    assert names(tmp_path / "s") == ["a", "b", "d"]

    store = EventStore(tmp_path / "s")
    store.append("w", mark("e"))
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(FencedError, match="whole store was"):
        store.append("w", mark("f"))


# A store without its tail was once read as if nothing had been appended since the last seal, and
# the next writer gave the same positions again.
@pytest.mark.parametrize("seals", [0, 2])
def test_a_tail_file_that_is_missing_is_refused_by_name(tmp_path: Path, seals: int) -> None:
    with EventStore(tmp_path / "s") as store:
        for number in range(seals):
            store.append("w", mark(str(number)))
            store.seal()
        store.append("w", mark("newest"))
    path = tmp_path / "s" / "tail" / f"{seals + 1:08d}.log"
    path.unlink()
    with (
        EventStore(tmp_path / "s", read_only=True) as store,
        pytest.raises(CorruptionError, match=f"tail/{path.name} is missing"),
    ):
        store.log()
    with (
        EventStore(tmp_path / "s") as store,
        pytest.raises(CorruptionError, match=f"tail/{path.name} is missing"),
    ):
        store.append("w", mark("next"))
    path.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="cut off"), EventStore(tmp_path / "s") as store:
        assert store.append("w", mark("next")).first_position == seals + 1


# Commits behind a gap were once not seen at all, and the next writer filled the gap with another
# commit, so that those behind it counted twice. An older copy of the log hid the newest events.
def test_commits_that_are_missing_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "s"
    log = root / "workflows" / "_delta_log"
    with EventStore(root) as store:
        for number in range(3):
            store.append_log(bulk(f"v{number}"))
        store.append("w", mark("a"))
        store.seal()
    kept = {path.name: path.read_bytes() for path in log.iterdir()}
    commits = sorted(kept)

    (log / commits[2]).unlink()
    for read_only in (True, False):
        store = EventStore(root, read_only=read_only)
        action: Callable[[], Any] = store.log if read_only else store.seal
        with pytest.raises(CorruptionError, match="commit 2 is missing .* 4 is there"):
            action()

    (log / commits[2]).write_bytes(kept[commits[2]])
    (log / commits[4]).unlink()
    for read_only in (True, False):
        store = EventStore(root, read_only=read_only)
        action = store.log if read_only else store.seal
        with pytest.raises(CorruptionError, match="later commits are missing"):
            action()


# A reader that asked for the tail just when a seal removed it once got an empty tail, and showed
# a state without the newest events.
def test_a_tail_that_is_removed_while_it_is_read_is_no_empty_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("a"))
        reader = EventStore(tmp_path / "s", read_only=True)
        reload = TailReader._reload
        stopped: list[int] = []

        def overtaken(tail: TailReader, number: int) -> bool:
            if not stopped and tail is reader._tail:
                stopped.append(number)
                store.seal()
            return reload(tail, number)

        monkeypatch.setattr(TailReader, "_reload", overtaken)
        assert len(reader.log()) == 1
        assert stopped == [1]


# Set back, the clock once set the log's times back at the next seal: `as_of(time_ns=...)` searched
# times that were not in order, and found nothing.
def test_a_clock_that_is_set_back_does_not_set_the_log_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_700_000_000 * 10**9]
    for module in (writer, sealing_module):
        monkeypatch.setattr(module, "wall_ns", lambda: now[0])
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("a"))
        now[0] -= HOUR_NS
        store.append("w", mark("b"))
        store.seal()
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("c"))
        store.seal()
        times = [item.committed_ns for item in store._metadata.upto(store._log.latest()).commits]
        assert times == sorted(times)
        assert store.as_of(time_ns=times[0]).position == 3
        assert store.as_of(time_ns=times[0] - 1).position == 0


# A query that redefined a view, or began a transaction, once changed what the store's own reads
# found afterwards.
@pytest.mark.parametrize(
    "query",
    [
        "CREATE OR REPLACE TEMP VIEW events AS SELECT * FROM tail_events LIMIT 0",
        "CREATE OR REPLACE TEMP MACRO category(t) AS 'x'",
        "DROP VIEW events",
        "BEGIN; SELECT 1",
    ],
)
def test_no_query_changes_what_later_reads_find(tmp_path: Path, query: str) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("a"))
        store.sql("SELECT 1")
        store.sql(query)
        assert len(store.read("/")) == 1
        assert len(store.read("/workflows/w/events/agent_actions")) == 1
        assert store.sql("SELECT count(*) FROM events").item() == 1


# A seal that ran out of space once left its half-written files, which kept the disk full.
def test_a_seal_that_runs_out_of_space_leaves_no_files_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path / "s")
    for number in range(8):
        store.append(f"w{number}", mark())
    sync_data, failing = Disk.sync_data, 0
    while not store._writer._writer._poisoned:
        failing += 1
        before = store.disk.data_syncs

        def full(disk: Disk, descriptor: int, last: int = before + failing - 1) -> None:
            if disk.data_syncs == last:
                raise OSError(28, "No space left on device")
            sync_data(disk, descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(Disk, "sync_data", full)
            with pytest.raises(OSError, match="No space"):
                store.seal()
        left = list((tmp_path / "s").rglob("*.parquet"))
        assert not left or store._writer._writer._poisoned
        assert not list((tmp_path / "s").rglob(".*"))
    # 8 sealed files, the sidecar and the next tail; then the commit, of which nothing is known.
    assert failing == 11


FORKED = """
import os, sys, threading
from flowlab.errors import FencedError
from flowlab.events import Event
from flowlab.store import EventStore
store = EventStore(sys.argv[1])
store.append("w", Event.of("MarkerRecorded"))
snapshot = store.snapshot()
snapshot.sql("SELECT count(*) FROM events")
child = os.fork()
if not child:
    calls = [lambda: store.append("w", Event.of("MarkerRecorded")), store.seal, store.log,
             lambda: snapshot.sql("SELECT count(*) FROM events")]
    for call in calls:
        try:
            call()
            os._exit(1)
        except FencedError as error:
            if "open it again in the child" not in str(error): os._exit(2)
    store.close()
    with EventStore(sys.argv[1]) as own:
        own.append("w", Event.of("MarkerRecorded"))
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    store.append("w", Event.of("MarkerRecorded"))
except FencedError as error:
    print("taken over" in str(error), len(store.log()))
"""


# A child process shares the lock of its parent's open file: a child's append, refused, once gave
# the parent's lock back in the middle of a commit; its queries waited for threads it has not.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_to_open_the_store_again(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0\nTrue 2\n", "")


# `repr` of a closed store once raised, so that no debugger and no traceback could show it; and a
# caller that waited while another closed was told of a bad file descriptor.
def test_a_store_that_is_closed_says_so_to_those_who_wait(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "s")
    store.append("w", mark("a"))
    found: list[str] = []

    def call() -> None:
        try:
            store.append("w", mark("b"))
        except PoisonedError as error:
            found.append(str(error))

    group = store._writer._group
    with group.leader:
        thread = threading.Thread(target=call)
        thread.start()
        wait_for(lambda: len(group._waiting) == 1)
        store._writer._writer.poison("the store was closed")
    thread.join(10)
    store.close()
    assert found == ["the store was closed; open the store again"]
    assert repr(store) == "EventStore('s', closed)"


# A namespace names a folder. One of more than 245 bytes was once taken, and then no seal of the
# whole store could ever succeed: "File name too long".
@pytest.mark.parametrize("namespace", ["n" * 241, "é" * 41, "/" * 81])
def test_a_namespace_that_no_folder_can_be_named_by_is_refused(
    tmp_path: Path, namespace: str
) -> None:
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match=r"namespace.*MAX_NAMESPACE_BYTES"):
            store.append("w", mark(), namespace=namespace)
        event = mark().replace(namespace=namespace, workflow_id="w", sequence=1)
        with pytest.raises(InvalidEventError, match=r"namespace.*MAX_NAMESPACE_BYTES"):
            store.append_log(EventLog.from_events([event]))
        store.append("w", mark("a"), namespace=namespace[:-1])
        assert store.seal()
    assert names(tmp_path / "s") == ["a"]


# A path whose bytes are no Unicode was once opened and written to, and failed in SQL with
# `RuntimeError: std::bad_cast`.
@pytest.mark.parametrize("path", ["a\udcff", "a\0b", 3])
def test_a_path_that_cannot_be_read_by_all_is_refused(path: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="path of a store"):
        EventStore(path)


# A store keeps sealed files open for speed. With few descriptors allowed it once starved itself,
# and said of whole files that they were damaged.
@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_store_that_runs_out_of_descriptors_closes_its_own_and_blames_no_file(
    tmp_path: Path,
) -> None:
    import resource

    with EventStore(tmp_path / "s") as store:
        for number in range(40):
            store.append("w", mark(str(number)))
            store.seal()
        opened = len(list(Path("/dev/fd").iterdir()))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        held: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 20, before[1]))
            assert len(store.read("/workflows/w")) == 40
            store._files.reader.close()
            with suppress(OSError):
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(OSError, match="Too many open files") as caught:
                store.read("/workflows/w")
            assert not isinstance(caught.value, CorruptionError)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for descriptor in held:
                os.close(descriptor)
        assert store.append("w", mark()).first_position == 41


# An empty text for `reads`, or a time beyond 64 bits, once passed every check and was acknowledged;
# from then on no reader could decode the tail, and the whole store was lost. A list ten thousand
# deep and NumPy text ended in errors of the encoder.
DEEP: list[Any] = []
for _ in range(10_000):
    DEEP = [DEEP]
TOO_LARGE = 2**63


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(name, value) for name in ("causes", "reads", "writes") for value in ("", {}, b"", 0)],
        ("causes", None),
        ("time_ns", TOO_LARGE),
        ("time_ns", -TOO_LARGE - 1),
        ("agent_sequence", TOO_LARGE),
        ("position", TOO_LARGE),
        ("payload", DEEP),
        pytest.param("payload", 10**5000, id="digits"),
        ("name", np.str_("x")),
        ("agent_id", np.str_("x")),
        ("workflow_id", np.str_("w")),
    ],
)
def test_what_no_reader_could_decode_is_refused_by_field(
    tmp_path: Path, field: str, value: Any
) -> None:
    with EventStore(tmp_path / "s") as store:
        event = Event(**{"event_type": "MarkerRecorded", "name": "x", field: value})
        with pytest.raises(InvalidEventError, match=f"field '{field}'"):
            store.append("w", event)
        store.append("w", mark("a"))
    assert names(tmp_path / "s") == ["a"]


@pytest.mark.parametrize("stream", ["workflow_id", "run_id", "namespace"])
def test_a_stream_named_by_text_of_another_type_is_refused(tmp_path: Path, stream: str) -> None:
    with EventStore(tmp_path / "s") as store:
        with pytest.raises(InvalidEventError, match=f"field '{stream}'"):
            store.append(**{"workflow_id": "w", "events": mark(), stream: np.str_("x")})
        store.append("w", mark("a"))
    assert names(tmp_path / "s") == ["a"]


# The tick after the last of 64 bits was once given, and made the store unreadable.
def test_a_lane_at_its_last_tick_takes_no_more(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("a").replace(agent_sequence=TOO_LARGE - 1))
        with pytest.raises(InvalidEventError, match=r"field 'agent_sequence'.*no later tick"):
            store.append("w", mark("b"))
        with pytest.raises(InvalidEventError, match=r"field 'agent_sequence'.*no later tick"):
            store.append_table(
                pa.table({"workflow_id": ["v"], "event_type": ["x"], "agent_id": ["w"]})
            )
    assert names(tmp_path / "s") == ["a"]


@pytest.mark.parametrize("events", [None, 3, "MarkerRecorded", b"x"])
def test_a_batch_that_is_none_says_what_was_expected(tmp_path: Path, events: Any) -> None:
    with (
        EventStore(tmp_path / "s") as store,
        pytest.raises(InvalidEventError, match="expected events, or mappings"),
    ):
        store.append("w", events)


@pytest.mark.parametrize("query", [None, 3, b"SELECT 1"])
def test_a_query_that_is_no_text_says_so(tmp_path: Path, query: Any) -> None:
    with EventStore(tmp_path / "s") as store, pytest.raises(QueryError, match="SQL as text"):
        store.sql(query)


# Text that is no UTF-8 once ended a bulk append with a bare UnicodeDecodeError under the lock.
def test_a_table_that_is_none_or_not_valid_is_refused_and_the_writer_goes_on(
    tmp_path: Path,
) -> None:
    offsets = pa.py_buffer(np.array([0, 1], np.int32).tobytes())
    no_text = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff"))
    row = {"workflow_id": ["w"], "event_type": ["x"]}
    twice = pa.Table.from_arrays([pa.array(["a"])] * 3, ["workflow_id", "event_type", "event_type"])
    bad: list[tuple[Any, str]] = [
        ("a frame", "a str was given"),
        (None, "a NoneType was given"),
        (pa.table({**row, "name": no_text}), "not valid.*UTF8"),
        (twice, r"\['event_type'\] more than once"),
    ]
    with EventStore(tmp_path / "s") as store:
        store.append("w", mark("a"))
        for table, what in bad:
            with pytest.raises(InvalidEventError, match=what):
                store.append_table(table)
            with pytest.raises(InvalidEventError, match=what):
                store.append_log(EventLog(table) if isinstance(table, pa.Table) else table)
        store.append("w", mark("b"))
    assert names(tmp_path / "s") == ["a", "b"]


# A position of 1.5 showed one event or two, by rounding; a limit of 2.0 was a TypeError from below.
@pytest.mark.parametrize("wrong", [{"position": 1.5}, {"time_ns": True}, {"version": "1"}, {}])
def test_a_place_in_time_is_one_whole_number(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", [Event.of("MarkerRecorded"), Event.of("MarkerRecorded")])
        with pytest.raises(InvalidArgumentError, match="exactly one of .*, as an int"):
            store.as_of(**wrong)
        for limit in (2.0, -1, "2", True):
            with pytest.raises(InvalidArgumentError, match="expected an int of 0 or more"):
                store.read("/workflows/w/events", limit=limit)  # type: ignore[arg-type]


# A wrong size raised a bare TypeError after the append's commit was durable: the caller was told
# that it had failed, and the events were there.
@pytest.mark.parametrize(
    "wrong",
    [{"seal_events": None}, {"seal_events": 0}, {"seal_bytes": "x"}, {"lock_timeout_s": None}],
)
def test_a_store_is_not_opened_with_sizes_that_are_none(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        EventStore(tmp_path / "s", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"layout": "day"},
        {"seal_events": 0},
        {"seal_bytes": True},
        {"lock_timeout_s": -1},
        {"upcasts": [3]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_argument_that_is_refused_makes_no_store(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidArgumentError, match=name):
        EventStore(tmp_path / "s", **wrong)
    assert not (tmp_path / "s").exists()
