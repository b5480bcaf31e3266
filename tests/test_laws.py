"""Laws that no other test states: docs/laws.md lists them all."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.events import (
    EVENT_CATEGORIES,
    RELATION_NAMES,
    Cause,
    CauseKind,
    Cell,
    Event,
    EventLog,
    Key,
    RunInfo,
    connect,
    encode_id,
    event_key,
    parse_key,
    run_query,
)
from flowlab.interop import Mapping, import_log
from flowlab.store import EventStore

ids = st.text(min_size=1, max_size=5)
numbers = st.integers(-(2**63), 2**63 - 1)
sequences = st.integers(1, 2**63 - 1)
cells = st.none() | st.lists(st.builds(Cell, st.text(max_size=3), st.text(max_size=3)), max_size=3)


# -- events ----------------------------------------------------------------------------------------

events = st.builds(
    Event,
    namespace=ids,
    run_id=st.text(max_size=4),
    workflow_id=ids,
    sequence=sequences,
    position=numbers,
    generation=st.integers(0, 2**31 - 1),
    agent_id=ids,
    agent_sequence=numbers,
    event_type=ids,
    name=st.text(max_size=4),
    time_ns=numbers,
    follows_lane=st.booleans(),
    causes=st.lists(st.builds(Cause, ids, sequences, st.integers(0, 7)), max_size=3).map(tuple),
    reads=cells.map(lambda found: found if found is None else tuple(found)),
    writes=cells.map(lambda found: found if found is None else tuple(found)),
    coordination_id=st.none() | ids,
    step_id=st.none() | ids,
    payload=st.none() | st.binary(max_size=4),
)


@given(st.lists(events, max_size=5))
def test_events_and_tables_are_each_other(given_events: list[Event]) -> None:
    log = EventLog.from_events(given_events)
    assert log.events() == given_events
    assert EventLog.from_table(log.to_polars()).events() == given_events
    assert EventLog.from_events(log).table.equals(log.table)


# -- keys ------------------------------------------------------------------------------------------


def ranges(low: int) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.tuples(
        st.none() | st.integers(low, 2**63 - 1), st.none() | st.integers(low, 2**63 - 1)
    )
    return bounds.map(lambda pair: {"first": pair[0], "last": pair[1]})


leaves = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"id": ids, "id_is_prefix": st.booleans()}),
    ranges(1).map(lambda bounds: {"id": "w", "section": "events", **bounds}),
    st.sampled_from(["agent_actions", "coordination_events", "compensation_events"]).map(
        lambda leaf: {"id": "w", "section": "events", "leaf": leaf}
    ),
    st.sampled_from([None, "creation_time", "version", "agents"]).map(
        lambda leaf: {"id": "w", "section": "metadata", "leaf": leaf}
    ),
    st.tuples(ids, st.sampled_from([None, "state_snapshot", "causality_info"])).map(
        lambda pair: {"id": "w", "section": "checkpoints", "leaf": pair[0], "below": pair[1]}
    ),
    st.tuples(ids, st.sampled_from([None, "materialized_state"])).map(
        lambda pair: {"id": "w", "section": "projections", "leaf": pair[0], "below": pair[1]}
    ),
).map(lambda fields: {"root": "workflows", **fields})
others = st.one_of(
    ranges(-(2**63)).map(lambda b: {"root": "agents", "id": "a", "section": "events", **b}),
    st.just({"root": "agents", "id": "a", "section": "actions"}),
    (st.none() | ids).map(
        lambda leaf: {"root": "coordination", "id": "c", "section": "actions", "leaf": leaf}
    ),
    st.just({"root": "coordination", "id": "c", "section": "sequences"}),
    st.just({}),
)


@given(leaves | others, st.none() | ids, st.none() | ids)
@example({"root": "workflows", "id": "*", "id_is_prefix": True}, "..", "runs")
@example({"root": "workflows", "id": "events", "section": "events", "first": 7, "last": 3}, "/", "")
def test_a_key_of_any_kind_is_read_back_as_itself(
    fields: dict[str, Any], namespace: str | None, run_id: str | None
) -> None:
    key = Key(**fields, namespace=namespace, run_id=run_id or None)
    assert parse_key(str(key)) == key
    assert str(parse_key(str(key))) == str(key)
    if str(key) != "/":
        assert parse_key(f"{key}/") == key


@given(ids, st.none() | st.just("materialized_state"))
def test_the_key_of_a_state_of_the_whole_store_is_read_back_as_itself(
    view: str, section: str | None
) -> None:
    key = Key("projections", view, section=section)
    assert parse_key(str(key)) == key


@given(st.lists(st.integers(1, 99_999_999), max_size=6), ids)
def test_the_keys_of_a_stream_sort_as_text_in_its_order(places: list[int], flow: str) -> None:
    def key(sequence: int) -> str:
        return str(Key("workflows", flow, section="events", first=sequence, last=sequence))

    assert [key(place) for place in sorted(places)] == sorted(key(place) for place in places)
    assert all(key(place).startswith(f"/workflows/{encode_id(flow)}/events/") for place in places)


@settings(max_examples=15)
@given(logs())
def test_distinct_events_have_distinct_keys_that_find_them(log: EventLog) -> None:
    keys = {event.id: str(event_key(event)) for event in log}
    assert len(set(keys.values())) == len(log)
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "s") as store:
        store.append_log(log)
        for event_id, text in keys.items():
            if event_id.run_id:
                assert [event.id for event in store.read(text)] == [event_id]


# -- reading ---------------------------------------------------------------------------------------


@st.composite
def meaningful_logs(draw: st.DrawFn) -> EventLog:
    """Draw a log whose types and kinds make every relation say something."""
    log = draw(logs())
    types = st.sampled_from(sorted(EVENT_CATEGORIES))
    called: dict[tuple[str, ...], int] = {}
    found = []
    for event in sorted(log, key=lambda event: event.id):
        kind = draw(types)
        causes = event.causes
        earlier = called.get(event.id[:3])
        if earlier is not None and not causes:
            causes = (Cause(event.workflow_id, earlier, draw(st.sampled_from(CauseKind))),)
        if kind.endswith(("Scheduled", "Sent")):
            called[event.id[:3]] = event.sequence
        payload = draw(st.sampled_from([None, b"\xff", b'{"attempt":2}', b"{}", b"[1"]))
        found.append(event.replace(event_type=kind, causes=causes, payload=payload, time_ns=9))
    runs = {(event.namespace, event.run_id) for event in found}
    infos = [RunInfo(namespace=space, run_id=run, seed=1) for space, run in sorted(runs)[:2]]
    return EventLog.from_events(found, runs=infos)


def relations(source: EventLog | EventStore) -> dict[str, list[Any]]:
    """Ask for each relation, through one connection: to define them all costs more than to ask."""
    if isinstance(source, EventStore):
        ask = source.snapshot().query
    else:
        ask = partial(run_query, connect(source))
    return {
        name: sorted(map(repr, ask(f'SELECT * FROM "{name}"').to_pylist()))
        for name in RELATION_NAMES
    }


def one_by_one(store: EventStore, log: EventLog) -> None:
    """Append a log's events in position order, and record its runs."""
    for event in sorted(log, key=lambda event: event.position):
        place = {"namespace": event.namespace, "run_id": event.run_id}
        plain = event.replace(position=0)
        store.append(event.workflow_id, plain, **place)
    for run in log.runs:
        store.record_run(run)


@settings(max_examples=6)
@given(meaningful_logs())
def test_a_relation_is_the_same_on_a_log_a_tail_and_sealed_files(log: EventLog) -> None:
    with TemporaryDirectory() as folder, EventStore(Path(folder) / "bulk") as bulk:
        bulk.append_log(log)
        whole = bulk.log()
        assert sorted(event.id for event in whole) == sorted(event.id for event in log)
        assert relations(bulk) == relations(whole)
        renumbered = EventLog.from_events(
            [event.replace(agent_sequence=event.position) for event in whole], runs=whole.runs
        )
        with EventStore(Path(folder) / "tail") as store:
            one_by_one(store, renumbered)
            assert store.info().sealed_events == 0
            assert relations(store) == relations(renumbered)
            store.seal()
            assert store.info().tail_events == 0
            assert relations(store) == relations(renumbered)


@settings(max_examples=6)
@given(meaningful_logs(), st.integers(0, 12))
def test_sealing_changes_no_answer(log: EventLog, place: int) -> None:
    with TemporaryDirectory() as folder:
        bulk = EventStore(Path(folder) / "bulk")
        bulk.append_log(log)
        ordered = [event.replace(agent_sequence=event.position) for event in bulk.log()]
        whole = EventLog.from_events(ordered, runs=log.runs)
        with EventStore(Path(folder) / "plain") as plain, EventStore(Path(folder) / "s") as store:
            one_by_one(plain, whole)
            before = sorted(whole, key=lambda event: event.position)
            one_by_one(store, EventLog.from_events(before[:place]))
            store.seal()
            one_by_one(store, EventLog.from_events(before[place:], runs=whole.runs))
            for _ in range(2):
                assert store.log() == plain.log()
                assert relations(store) == relations(plain)
                for flow, run, space in {(e.workflow_id, e.run_id, e.namespace) for e in before}:
                    key = Key("workflows", flow, namespace=space, run_id=run)
                    for reverse in (False, True):
                        mine = store.snapshot().read(key, reverse=reverse)
                        assert mine.events() == plain.snapshot().read(key, reverse=reverse).events()
                cut = min(place, len(before))
                assert store.as_of(position=cut).log().events() == (
                    plain.as_of(position=cut).log().events()
                )
                store.seal()
        bulk.close()


# -- privacy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("payloads", ["hash", "drop"])
def test_a_secret_payload_is_in_no_file_of_a_store(tmp_path: Path, payloads: str) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text('{"id": "a", "what": "SECRET"}\n', encoding="utf-8")
    mapping = Mapping(id="id", name="what")
    with EventStore(tmp_path / "s") as store:
        for kept in ("keep", payloads):
            import_log(path, mapping=mapping, payloads=kept, store=store, namespace=kept)
            found = [event for event in store.log() if event.namespace == kept]
            assert ("SECRET" in repr([(e.name, e.payload) for e in found])) == (kept == "keep")
    with EventStore(tmp_path / "hidden") as store:
        import_log(path, mapping=mapping, payloads=payloads, store=store)
        store.append("w", Event.of("Signaled"))
        files = [file for file in store.path.rglob("*") if file.is_file()]
        assert len(files) > 6
        for file in files:
            data = file.read_bytes()
            plain = gzip.decompress(data) if file.suffix == ".gz" else data
            assert b"SECRET" not in plain, file
        # Pages of a Parquet file are compressed: what they hold is what is read from them.
        assert "SECRET" not in repr(store.log().table.to_pylist()) + repr(store.runs[0].attributes)
