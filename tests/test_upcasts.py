"""Events of older versions are read as the newest, everywhere; stored bytes never change."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

import flowlab as fl
from flowlab.errors import InvalidArgumentError, InvalidEventError, UpcastError
from flowlab.events import Cell, Event, EventLog, Upcast, Upcasts
from flowlab.store import EventStore, Layout, aggregate, projection


@fl.upcast("Placed", from_version=1)
def to_items(data: Any) -> Any:
    return {"items": [data["item"]]}


@fl.upcast("Placed", from_version=2, takes="event")
def to_named(event: Event) -> Event:
    content = {**event.data, "total": len(event.data["items"])}
    plain = Event.of("Placed", payload=content)
    return event.replace(payload=plain.payload, name="order", writes=(Cell("shop", "order"),))


STEPS = [to_named, to_items]
NEWEST = {"items": ["tea"], "total": 1}


def placed(version: int) -> Event:
    payload = [{"item": "tea"}, {"items": ["tea"]}, NEWEST][version - 1]
    cells = None if version < 3 else (Cell("shop", "order"),)
    name = "" if version < 3 else "order"
    return Event.of("Placed", payload=payload, name=name, writes=cells, schema_version=version)


def old_store(root: Path, **options: Any) -> None:
    """Write each version, sealed and in the tail, among events that have no chain."""
    with EventStore(root, **options) as store:
        for flow in ("w", "v"):
            store.append(flow, [placed(1), Event.of("Other", payload=1), placed(2)])
        store.seal()
        rows = [placed(n).replace(workflow_id="bulk", sequence=n, time_ns=n) for n in (1, 2, 3)]
        store.append_log(EventLog.from_events(rows))
        store.append("w", [placed(1), placed(3)])


def all_bytes(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


def checked(log: EventLog) -> None:
    events = [event for event in log if event.event_type == "Placed"]
    assert events
    for event in events:
        assert (event.data, event.name, event.schema_version) == (NEWEST, "order", 3)
        assert event.writes == (Cell("shop", "order"),)


@pytest.mark.parametrize("layout", [Layout(), Layout.of("day", "workflow")], ids=str)
def test_every_read_sees_the_newest_version_and_no_byte_changes(
    tmp_path: Path, layout: Layout
) -> None:
    old_store(tmp_path / "s", layout=layout)
    before = all_bytes(tmp_path / "s")
    with EventStore(tmp_path / "s", read_only=True, upcasts=STEPS) as store:
        for key in ("/", "/workflows/w", "/workflows/w/events/4", "/workflows/*", "/agents/w",
                    "/workflows/w/events/agent_actions"):  # fmt: skip
            checked(store.read(key))
        checked(store.read("/workflows/w", reverse=True, limit=2))
        checked(store.as_of(position=4).log())
        checked(store.as_of(version=1).log())
        found = store.sql(
            "SELECT name, schema_version, payload->>'$.total' AS total, count(*) AS n FROM "
            "(SELECT name, schema_version, payload_json(payload) AS payload FROM events "
            "WHERE event_type = 'Placed') GROUP BY ALL"
        )
        assert found.rows() == [("order", 3, "1", 9)]
        others = store.sql("SELECT payload, schema_version FROM events WHERE event_type = 'Other'")
        assert others.rows() == [(b"1", 1)] * 2
        assert store.sql("SELECT count(*), max(position) FROM events").row(0) == (11, 11)
        assert store.verify().ok
    assert all_bytes(tmp_path / "s") == before
    with EventStore(tmp_path / "s", read_only=True) as store:
        versions = store.sql("SELECT schema_version FROM events ORDER BY position")
        assert versions["schema_version"].to_list() == [1, 1, 2, 1, 1, 2, 1, 2, 3, 1, 3]


def test_aggregates_and_projections_fold_the_newest_version(tmp_path: Path) -> None:
    old_store(tmp_path / "s")

    def evolve(state: list[Any], event: Event) -> list[Any]:
        return [*state, event.data] if event.event_type == "Placed" else state

    orders = aggregate(name="orders", initial=[], evolve=evolve, decide=lambda *_: [])
    views = [
        projection(name=life, life=life, initial=[], on=["Placed"])(evolve)  # type: ignore[call-overload]
        for life in ("live", "async", "inline")
    ]
    with EventStore(tmp_path / "s", upcasts=STEPS) as store:
        assert store.state(orders, "any", workflow_id="w") == [NEWEST] * 4
        store.register(*views)
        store.append("w", placed(3))
        store.catch_up()
        for view in views:
            assert store.project(view).state == [NEWEST] * 10
        store.rebuild(views[1])
        assert store.project(views[1]).state == [NEWEST] * 10


@settings(max_examples=20)
@given(logs(), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_store_with_upcasts_is_read_as_its_log_is_upcast(log: EventLog, seed: list[int]) -> None:
    rows = [
        event.replace(event_type="T" if number % 2 else event.event_type,
                      schema_version=seed[number % len(seed)] if number % 2 else 1)
        for number, event in enumerate(log)
    ]  # fmt: skip
    given_log = EventLog.from_events(rows)
    steps = [Upcast("T", version, lambda data: [str(data)]) for version in (1, 2, 3)]
    with TemporaryDirectory() as folder:
        with EventStore(Path(folder) / "s") as store:
            store.append_log(given_log)
            stored = store.log()
        with EventStore(Path(folder) / "s", upcasts=steps) as store:
            expected = stored.upcast(steps)
            assert store.log() == expected
            by_position = "SELECT * FROM events ORDER BY position"
            assert store.query(by_position).equals(expected.query(by_position))
            one_by_one = [Upcasts(steps).event(event) for event in stored]
            assert EventLog.from_events(one_by_one).table.equals(expected.table)


def test_a_chain_with_a_gap_or_two_functions_for_one_step_is_refused() -> None:
    first, second, third = (Upcast("T", n, lambda data: data) for n in (1, 2, 3))
    with pytest.raises(InvalidArgumentError, match="none is from version 2"):
        Upcasts([first, third])
    with pytest.raises(InvalidArgumentError, match="two upcasts are for one step"):
        Upcasts([first, second, Upcast("T", 2, to_items)])
    with pytest.raises(InvalidArgumentError, match="declare the function with @upcast"):
        Upcasts([len])  # type: ignore[list-item]
    for wrong in ({"from_version": 0}, {"from_version": 32_767}, {"takes": "row"}):
        with pytest.raises(InvalidArgumentError):
            fl.upcast("T", **{"from_version": 1, **wrong})(len)


def broken(data: Any) -> Any:
    return 1 / data


FAILING = {
    "broken.*'w'/1.*ZeroDivisionError": Upcast("T", 1, broken),
    "no payload.*set": Upcast("T", 1, lambda _: {1}),
    "returned a int": Upcast("T", 1, lambda _: 3, takes="event"),
    "changed agent_id": Upcast("T", 1, lambda e: e.replace(agent_id="x"), takes="event"),
    "changed event_type": Upcast("T", 1, lambda e: e.replace(event_type="U"), takes="event"),
    "payload that is no bytes": Upcast("T", 1, lambda e: e.replace(payload={}), takes="event"),
    "begin at 2; add one from version 1": Upcast("T", 2, lambda data: data),
}


@pytest.mark.parametrize("what", FAILING)
def test_an_upcast_that_fails_names_the_event_and_the_function(tmp_path: Path, what: str) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", Event.of("T", payload=0))
    with EventStore(tmp_path / "s", read_only=True, upcasts=[FAILING[what]]) as store:
        for read in (
            store.log,
            lambda: store.read("/workflows/w"),
            lambda: store.sql("FROM events"),
        ):
            with pytest.raises(UpcastError, match=what):
                read()


def test_a_store_with_upcasts_takes_events_of_the_newest_version_only(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s", upcasts=STEPS) as store:
        for version in (1, 2):
            with pytest.raises(InvalidEventError, match="schema_version=3"):
                store.append("w", placed(version))
            log = EventLog.from_events([placed(version).replace(workflow_id="w", sequence=1)])
            with pytest.raises(InvalidEventError, match=r"log\.upcast"):
                store.append_log(log)
        store.append("w", [placed(3), Event.of("Other")])
        old = placed(1).replace(workflow_id="v", sequence=1, time_ns=0)
        store.append_log(EventLog.from_events([old]).upcast(STEPS))
        checked(store.log())


def test_a_version_that_is_newer_than_every_upcast_and_unknown_types_are_left_as_they_are() -> None:
    events = [Event.of("Placed", workflow_id="w", sequence=1, schema_version=9, payload=[1]),
              Event.of("Unknown", workflow_id="w", sequence=2, schema_version=32_767)]  # fmt: skip
    log = EventLog.from_events(events)
    assert log.upcast(STEPS).table.equals(log.table)
    assert log.upcast([]).table is log.table


def test_reprs_are_one_line_without_addresses() -> None:
    assert repr(to_items) == "Upcast('Placed', 1 to 2: to_items)"
    assert repr(Upcasts(STEPS)) == "Upcasts('Placed' to 3)"
    assert to_items({"item": 1}) == {"items": [1]}
