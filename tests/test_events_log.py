"""Laws of the event, its codec, its keys and its digests."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, InvalidEventError, InvalidKeyError
from flowlab.events import (
    Cause,
    Event,
    EventLog,
    RunInfo,
    decode_id,
    decode_payload,
    encode_id,
    encode_json,
    encode_payload,
    parse_key,
)
from flowlab.events.codec import _encode_with_care

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


# The path for what the fast encoder may not write put floats in another form (1e+16 for 1e16), so
# that a tuple and an equal list had different bytes, and different digests.
@given(json_values)
def test_a_payload_has_one_form_whichever_path_encodes_it(value: object) -> None:
    assert _encode_with_care(value) == encode_json(value)
    assert encode_json((1e16, 1e-7, (-0.0,))) == encode_json([1e16, 1e-7, [-0.0]])


@pytest.mark.parametrize("value", ["\ud800é", {"\udfff": 2**70, "a": 1e16}])
def test_lone_surrogates_and_big_integers_survive(value: object) -> None:
    assert decode_payload(encode_payload(value)) == value


# JSON has no two ways to say U+1F600: as two surrogates it once came back as one character.
@pytest.mark.parametrize("value", ["\ud83d" + "\ude00", 10**5000], ids=["pair", "long"])
def test_what_would_come_back_changed_is_refused(value: object) -> None:
    with pytest.raises(InvalidEventError, match="encode it to bytes yourself"):
        encode_payload([value])


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
        "/workflows/a/events/9223372036854775808",
        "/agents/a/events/-9223372036854775809..",
        "/workflows/a/events/" + "9" * 5000,
    ],
)
def test_a_key_outside_the_grammar_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        parse_key(text)

    assert any(part and part[:60] in str(caught.value) for part in (text, text.rpartition("/")[2]))


def test_a_number_may_have_any_width() -> None:
    assert parse_key("/workflows/a/events/" + "0" * 5000 + "7").first == 7
    assert parse_key("/agents/a/events/-007..-0").first == -7
    assert parse_key(f"/agents/a/events/{-(2**63)}..{2**63 - 1}").last == 2**63 - 1


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


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"event_tpye": "A"}, "event_tpye"), ({"event_type": "A", "causes": [{}]}, "workflow_id")],
)
def test_a_mapping_that_is_no_event_is_refused_by_field(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEventError, match=f"is not an event: .*{said}"):
        EventLog.from_events([fields])


def test_a_filter_leaves_out_runs_that_have_no_such_event() -> None:
    runs = (RunInfo(run_id="1"), RunInfo(run_id="2"))
    log = EventLog.from_events(
        [
            Event(
                run_id=run.run_id, workflow_id=f"w{run.run_id}", sequence=1, event_type="Signaled"
            )
            for run in runs
        ],
        runs=runs,
    )

    assert log.filter(workflow_id="w2").runs == runs[1:]
    assert log.filter(run_id="1").runs == runs[:1]
    assert log.filter(namespace="default").runs == runs


# Two runs of one workflow were "1 workflow", and a host's own stream was one too.
def test_a_log_counts_workflows_as_its_relation_does_and_other_streams_apart() -> None:
    log = EventLog.from_events(
        Event(run_id=run, workflow_id=stream, sequence=1, event_type="MarkerRecorded")
        for run, stream in [("1", "w"), ("2", "w"), ("2", "@host")]
    )

    assert repr(log) == "EventLog(3 events, 2 workflows, 1 other stream, 2 runs)"
    assert len(log.relation("workflows")) == 2


# Notebooks align every cell of a table to the right: names in ragged columns were hard to read.
def test_a_logs_table_aligns_text_to_the_left_and_numbers_to_the_right() -> None:
    log = EventLog.from_events(
        [Event(workflow_id="<w>", sequence=1, event_type="Signaled", time_ns=5)]
    )
    shown = log._repr_html_()

    assert '<td style="text-align:left">&lt;w&gt;</td>' in shown
    assert '<td style="text-align:right">5</td>' in shown
    assert "1 of 1 event shown" in shown


def test_a_log_is_saved_into_a_sink_and_nothing_else() -> None:
    with pytest.raises(InvalidArgumentError, match="got None; expected an EventStore"):
        EventLog.from_events([]).save(None)  # type: ignore[arg-type]
