"""The tail: what is acknowledged is there, what is torn is not, what is damaged is refused."""

from __future__ import annotations

import os
import shutil
import warnings
from itertools import product
from pathlib import Path

import pytest

from flowlab.errors import CorruptionError, FormatVersionError
from flowlab.events import Event
from flowlab.store import EventStore, frames, position_read, tail, tail_reader
from flowlab.store.position_read import stream_events

SIZES = (1, 3, 2, 1)


def names(store: EventStore) -> list[str]:
    if not store.snapshot().position:
        return []
    return store.read("/workflows/w/events").table.column("name").to_pylist()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Give a closed store whose tail holds four frames of 1, 3, 2 and 1 events."""
    with EventStore(tmp_path / "s") as store:
        for number, size in enumerate(SIZES):
            events = [Event.of("MarkerRecorded", name=f"{number}.{i}") for i in range(size)]
            store.append("w", events)
    return tmp_path / "s"


def tail_file(root: Path) -> Path:
    return root / "tail" / "00000001.log"


def frame_ends(root: Path) -> list[int]:
    return [frame.end for frame in tail.read_tail(root / "tail", 1)]


def content_ends(root: Path) -> list[int]:
    """Return where each frame's content ends: the padding after it says nothing."""
    found = tail.read_tail(root / "tail", 1)
    return [frame.offset + frames.FRAME_HEADER.size + len(frame.body) for frame in found]


def another_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tail, tail_reader):
        monkeypatch.setattr(module, "boot_id", lambda: 12345)


def whole_before(cut: int, ends: list[int]) -> list[str]:
    count = sum(end <= cut for end in ends)
    return [f"{n}.{i}" for n, size in enumerate(SIZES[:count]) for i in range(size)]


@pytest.mark.parametrize("rebooted", [False, True])
def test_every_truncation_point_gives_exactly_the_whole_frames_before_it(
    small: Path, monkeypatch: pytest.MonkeyPatch, *, rebooted: bool
) -> None:
    ends = content_ends(small)
    data = tail_file(small).read_bytes()
    if rebooted:
        another_boot(monkeypatch)
    for cut in range(ends[-1] + 9):
        tail_file(small).write_bytes(data[:cut])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with EventStore(small, read_only=True) as store:
                assert names(store) == whole_before(cut, ends), cut
            if cut % 37 == 0:
                check_goes_on(small, whole_before(cut, ends))


def check_goes_on(root: Path, expected: list[str]) -> None:
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    with EventStore(copy) as store:
        result = store.append("w", Event.of("MarkerRecorded", name="next"))
        assert result.first_position == len(expected) + 1
        assert names(store) == [*expected, "next"]
    with EventStore(copy, read_only=True) as store:
        assert names(store) == [*expected, "next"]
    shutil.rmtree(copy)


def test_a_cut_off_tail_is_said_by_a_warning_and_by_verify(small: Path) -> None:
    ends = frame_ends(small)
    os.truncate(tail_file(small), ends[1] + 5)

    with pytest.warns(RuntimeWarning, match="cut off"), EventStore(small, read_only=True) as store:
        assert names(store) == ["0.0", "1.0", "1.1", "1.2"]
    with pytest.warns(RuntimeWarning, match="cut off"):
        report = EventStore(small, read_only=True).verify()
    assert [item.kind for item in report.problems] == ["missing"]


@pytest.mark.parametrize("rebooted", [False, True])
def test_every_flipped_bit_is_detected_or_harmless(
    small: Path, monkeypatch: pytest.MonkeyPatch, *, rebooted: bool
) -> None:
    ends = frame_ends(small)
    data = tail_file(small).read_bytes()
    everything = whole_before(ends[-1], ends)
    if rebooted:
        another_boot(monkeypatch)
    refused = 0
    for place in range(ends[-1]):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        tail_file(small).write_bytes(damaged)
        try:
            with EventStore(small, read_only=True) as store:
                found = names(store)
        except (CorruptionError, FormatVersionError):
            refused += 1
            continue
        # After a restart a damaged last frame cannot be told from one that was never finished.
        torn = rebooted and place >= ends[-2]
        assert found == everything or (torn and found == whole_before(ends[-2], ends)), place
    assert refused > ends[-2] * 0.8


def test_a_bad_frame_with_good_ones_after_it_is_refused_with_its_offset(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_boot(monkeypatch)
    first, second, *_ = frame_ends(small)
    data = bytearray(tail_file(small).read_bytes())
    data[first + 50] ^= 0xFF
    tail_file(small).write_bytes(data)

    with pytest.raises(CorruptionError, match=rf"offset {first} is damaged.* at {second}"):
        EventStore(small, read_only=True).log()
    with pytest.raises(CorruptionError, match=rf"offset {first}"):
        EventStore(small).append("w", Event.of("MarkerRecorded"))
    assert not EventStore(small, read_only=True).verify().ok


# A header of zeros once counted as a file that was never begun, whatever followed it: after a
# restart the next writer would have put a new file in its place.
def test_a_header_of_zeros_before_frames_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_boot(monkeypatch)
    data = tail_file(small).read_bytes()
    tail_file(small).write_bytes(bytes(frames.FILE_HEADER.size) + data[frames.FILE_HEADER.size :])

    with pytest.raises(CorruptionError, match="header"):
        EventStore(small, read_only=True).log()
    with pytest.raises(CorruptionError, match="header"):
        EventStore(small).append("w", Event.of("MarkerRecorded"))


def test_one_commit_is_one_data_sync_and_no_directory_sync_even_while_the_file_grows(
    tmp_path: Path,
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", Event.of("MarkerRecorded"))
        before = store.disk.data_syncs, store.disk.directory_syncs
        for _ in range(40):
            store.append("w", Event.of("MarkerRecorded", payload="x" * 50_000))

        assert tail_file(store.path).stat().st_size > tail.PREALLOCATED_BYTES
        assert store.disk.data_syncs - before[0] == 40
        assert store.disk.directory_syncs == before[1]


def test_a_frame_that_was_not_synced_is_not_shown_until_a_writer_has_synced_it(
    small: Path,
) -> None:
    ends = frame_ends(small)
    header = frames.decode_file_header(tail_file(small).read_bytes(), where="")
    assert header is not None
    last = tail.read_tail(small / "tail", 1)[-1]
    events = frames.encode_events([Event.of("MarkerRecorded", name="late")])
    item = frames.Transaction("default", "", "w", 8, 8, [8], frames.msgspec.Raw(events))
    body = frames.encode_commit(frames.Commit(1, 0, [item]))
    frame = frames.encode_frame(body, number=last.number + 1, first_position=8, salt=header[1])
    with tail_file(small).open("r+b") as stream:
        stream.seek(ends[-1])
        stream.write(frame)

    with EventStore(small, read_only=True) as reader:
        assert "late" not in names(reader)
        with EventStore(small) as writer:
            syncs = writer.disk.data_syncs
            writer.append("w", Event.of("MarkerRecorded", name="after"))
            assert writer.disk.data_syncs > syncs + 1
        assert names(reader)[-2:] == ["late", "after"]


def test_a_tail_of_a_newer_format_is_refused_by_name(small: Path) -> None:
    data = bytearray(tail_file(small).read_bytes())
    header = frames.encode_file_header(number=1, salt=1, first_position=1)
    newer = frames.FILE_HEADER.pack(
        frames.FILE_MAGIC,
        99,
        1,
        1,
        1,
        frames.zlib.crc32(frames.struct.pack("<8sIIQq", frames.FILE_MAGIC, 99, 1, 1, 1)),
    )
    data[: len(header)] = newer
    tail_file(small).write_bytes(data)

    with pytest.raises(FormatVersionError, match="99"):
        EventStore(small, read_only=True).log()


def test_readers_follow_a_growing_tail_without_reading_it_again(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as writer, EventStore(tmp_path / "s", read_only=True) as reader:
        for number in range(300):
            writer.append("w", Event.of("MarkerRecorded", name=str(number)))
            if number % 50 == 0:
                pinned = reader.snapshot()
                assert pinned.position == number + 1
        assert names(reader) == [str(number) for number in range(300)]
        assert len(reader.snapshot().tail.buffer.tables) <= 10  # type: ignore[union-attr]


def test_a_part_of_a_stream_is_the_same_wherever_files_end_and_the_tail_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who had everything but the tail searched the files again, and found nothing in them."""
    stream, looked = ("default", "", "w"), []
    read = position_read.read_events
    monkeypatch.setattr(
        position_read, "read_events", lambda *a, **k: (looked.append(a), read(*a, **k))[1]
    )
    with EventStore(tmp_path / "s") as store:
        for sealed in range(9):
            if sealed == 4:
                store.seal()
                before = store.read("/workflows/w").events()
                store.truncate("w", upto=2)
            store.append("w", {"event_type": f"E{sealed + 1}"})
            store.append("other", {"event_type": "E"})
        now = store.snapshot()
        held = [*before, *now.read("/workflows/w").events()[2:]]
        for first, last, bound in product(range(1, 11), (None, *range(1, 11)), (99, 13, 9, 5)):
            snapshot = now if bound == 99 else store.as_of(position=bound)
            looked.clear()
            found = [
                event.sequence for event in stream_events(snapshot, stream, first=first, last=last)
            ]
            kept = range(max(first, snapshot.bases.base(stream) + 1), (last or 9) + 1)
            shown = [event.sequence for event in held if event.position <= bound]
            assert found == [place for place in shown if place in kept], (first, last, bound)
            assert snapshot is not now or bool(looked) == (first < 5), (first, last)
