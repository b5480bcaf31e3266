"""Folds do not see where events lie: in which layout, compacted, archived, or truncated beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_store_aggregates import ACCOUNT, balance, move
from test_store_layouts import LAYOUTS

from flowlab.events import Event
from flowlab.store import EventStore, Layout, Projection, projection


def journal(places: list[int], event: Event) -> list[int]:
    return [*places, event.position]


def views() -> list[Projection]:
    return [
        projection(name="all", initial=[])(journal),
        projection(name="typed", initial=[], on=["A", "Moved"])(journal),
        projection(name="flow", initial=[], by="workflow")(journal),
        projection(name="keyed", initial=[], of="/runs/r/workflows/w*")(journal),
        projection(name="agent", initial=[], of="/agents/bob")(journal),
        projection(name="live", initial=[], life="live", on=["B"])(journal),
    ]


def fill(store: EventStore) -> None:
    for step in range(4):
        hour = 3_600_000_000_000 * step
        for run in ("", "r"):
            events = [Event.of(kind, agent_id="bob", time_ns=hour) for kind in "AB"]
            store.append("w", events, run_id=run)
            store.append("v", Event.of("A", time_ns=hour), run_id=run, namespace="n")
        store.execute(ACCOUNT, "ada", move(step + 1))
        store.seal()
    store.append("w", Event.of("A"))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_fold_is_the_same_in_every_layout_and_wherever_compaction_and_archive_put_its_events(
    layout: Layout, tmp_path: Path
) -> None:
    with EventStore(tmp_path / "s", layout=layout) as store:
        fill(store)
        rows = store.sql("SELECT position FROM events ORDER BY position")["position"].to_list()
        known = views()
        first = {view.name: store.project(view).states for view in known}
        assert first["all"] == {None: rows == list(range(1, len(rows) + 1)) and rows}
        for change in (store.seal, store.compact, store.archive):
            change()
            assert store.rebuild(known[0]).lag_events == 0
            for view in known:
                store.rebuild(view)
                assert store.project(view).states == first[view.name]
            assert [balance(store, at=at) for at in range(5)] == [0, 1, 3, 6, 10]
        store.truncate("w", upto=2, run_id="r")
        other = projection(name="other", initial=[], of="/workflows")(journal)
        found = store.project(other).state
        live = "SELECT position FROM events WHERE namespace = 'default' AND run_id = ''"
        assert found == sorted(store.sql(live)["position"].to_list())
