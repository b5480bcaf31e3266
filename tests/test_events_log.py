"""Laws of the event, its codec, its keys and its digests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidEventError, InvalidKeyError
from flowlab.events import (
    Cause,
    Event,
    EventLog,
    decode_id,
    decode_payload,
    encode_id,
    encode_payload,
    parse_key,
)

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_a_payload_decodes_to_the_value_that_was_encoded(value: object) -> None:
    assert decode_payload(encode_payload(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": {3}}, [object()]])
def test_a_payload_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidEventError, match="JSON cannot hold"):
        encode_payload(value)


@given(ids)
def test_an_id_survives_its_key_and_never_adds_a_segment(value: str) -> None:
    assert decode_id(encode_id(value)) == value
    assert "/" not in encode_id(value)
    key = parse_key(f"/workflows/{encode_id(value)}/events/7")
    assert (key.id, key.first, key.last) == (value, 7, 7)
    assert parse_key(str(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "workflows",
        "/nothing",
        "/workflows//events",
        "/workflows/a/evnts",
        "/workflows/%zz",
        "/workflows/a/events/0",
        "/workflows/a*/events",
        "/runs",
    ],
)
def test_a_key_outside_the_grammar_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="."):
        parse_key(text)


def chain(order: list[int], *, time_ns: int = 0, position: int = 0) -> EventLog:
    return EventLog.from_events(
        Event.of(
            "MarkerRecorded",
            workflow_id="w",
            sequence=i,
            agent_id="a",
            time_ns=time_ns,
            position=position,
            payload={"i": i},
            causes=(Cause("w", i - 1),) if i > 1 else (),
        )
        for i in order
    )


@given(st.permutations([1, 2, 3, 4]))
def test_the_digest_does_not_depend_on_row_order_or_position(order: list[int]) -> None:
    assert chain(order, position=9).digest == chain([1, 2, 3, 4]).digest


def test_the_digest_sees_times_and_the_history_digest_does_not() -> None:
    early, late = chain([1, 2]), chain([1, 2], time_ns=5)
    assert early.digest != late.digest
    assert early.history_digest == late.history_digest
