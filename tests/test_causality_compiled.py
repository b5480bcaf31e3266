"""Machine code gives what numpy and Arrow give."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.causality import columns, compiled, compiled_strings

WORDS = st.one_of(
    st.text(max_size=3),
    st.sampled_from(["", "a", "agent-1", "agent-12", "agent-0001", "agent-0002"]),
    # Alike at both ends, and in length, but for one byte in the middle.
    st.integers(0, 9).map(lambda n: f"0123456789{n}abcdefghij"),
    st.text(alphabet="aé€𝄞", min_size=7, max_size=20),
)


@pytest.fixture(autouse=True)
def _at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MIN_COMPILED", 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=60), st.integers(0, 5))
def test_strings_have_the_codes_that_arrow_gives_them(words: list[str], cut: int) -> None:
    column = pa.array(words, pa.string()).slice(min(cut, len(words) - 1))
    encoded = column.dictionary_encode()

    codes, values = columns.encode(pa.chunked_array([column]))

    assert values.to_pylist() == encoded.dictionary.to_pylist()
    assert codes.tolist() == encoded.indices.to_pylist()


def test_more_strings_than_machine_code_takes_are_left_to_arrow() -> None:
    words = [f"workflow-{n}" for n in range(compiled_strings.MAX_VALUES + 1)]
    column = pa.array(words + words[::-1])

    assert compiled_strings.encode_strings(*columns._text(column)) is None
    codes, values = columns.encode(pa.chunked_array([column]))
    assert values.to_pylist() == words
    assert codes.tolist() == [*range(len(words)), *range(len(words))[::-1]]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-3, 12)), max_size=20),
)
def test_events_are_found_where_they_stand_the_first_of_two_and_no_others(
    events: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    known = [*events, *((stream, 5) for stream in range(4))]
    streams, sequences = (np.array(part) for part in zip(*known, strict=True))
    places = columns.place(streams.astype(np.int32), sequences.astype(np.int64), 4)
    wanted = np.array(asked, np.int64).reshape(-1, 2)

    found = places.rows_of(wanted[:, 0].astype(np.int32), np.ascontiguousarray(wanted[:, 1]))

    first: dict[tuple[int, int], int] = {}
    for row, event in enumerate(known):
        first.setdefault(event, row)
    assert found.tolist() == [first.get(event, -1) for event in asked]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_items_of_lists_know_their_row(lengths: list[int]) -> None:
    offsets = np.concatenate([[3], 3 + np.cumsum(lengths)]).astype(np.int32)
    expected = np.repeat(np.arange(len(lengths)), lengths)
    assert compiled.repeated(offsets).tolist() == expected.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=30), st.data())
def test_places_in_lanes_count_from_one(
    events: list[tuple[int, bool]], data: st.DataObject
) -> None:
    lane = np.array([code for code, _ in events], np.int32)
    # The rows of a lane stand in its order, or in another.
    turn = data.draw(st.one_of(st.just(range(len(lane))), st.permutations(range(len(lane)))))
    rows = np.array(sorted(turn, key=lambda row: lane[row]), np.int32)
    start = np.concatenate([[0], np.cumsum(np.bincount(lane, minlength=4))])
    before = np.array([0 if follows else -1 for _, follows in events], np.int32)

    place, heads = compiled.lane_places(lane, rows, start, before)

    seen = [0] * 4
    for row in rows.tolist():
        code = lane[row]
        seen[code] += 1
        assert place[row] == seen[code]
    assert heads.tolist() == [
        sum(1 for code, follows in events if code == lane_code and not follows)
        for lane_code in range(4)
    ]
