"""A checkpoint's causality vector comes from what was heard, and is the one that the log gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.events import Cause, Event
from flowlab.recovery import Checkpointed, EveryEvents, Incremental, heard
from flowlab.recovery.heard import Heard
from flowlab.store import EventStore, closure
from flowlab.studies.recovery_workload import Shape, history, savepoints, take_checkpoints

NAMES = ("w", "@ann", "@bob")


@st.composite
def worlds(draw: st.DrawFn) -> list[Event]:
    """Events of three streams, each caused by its own last one and by some that came before."""
    heads = dict.fromkeys(NAMES, 0)
    events = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=8, max_size=25)):
        others = [Cause(other, heads[other]) for other in NAMES if other != name and heads[other]]
        causes = draw(st.lists(st.sampled_from(others), unique=True)) if others else []
        if heads[name]:
            causes.append(Cause(name, heads[name]))
        heads[name] += 1
        told = {"workflow_id": name, "agent_id": "x", "time_ns": 1, "causes": tuple(causes)}
        events.append(Event.of("A", sequence=heads[name], **told))
    return events


@settings(max_examples=40)
@given(worlds(), st.data())
def test_a_vector_of_what_was_heard_is_the_one_that_the_log_gives(
    events: list[Event], data: st.DataObject
) -> None:
    told, cut = Heard(), dict[str, int]()
    most = data.draw(st.sampled_from([10_000, 1]), label="causes that are remembered")

    def read(_: Any, stream: Any, first: int, last: int) -> list[tuple[str, int]]:
        mine = [e for e in events if e.workflow_id == stream[2] and first <= e.sequence <= last]
        return [(cause.workflow_id, cause.sequence) for event in mine for cause in event.causes]

    def cut_of(at: int, *known: Any) -> dict[str, int]:
        return closure.least_cut(None, ("default", "", "w"), at, *known)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heard, "MOST_CAUSES", most)
        patch.setattr(closure, "_found", read)
        for event in [event for event in events if event.workflow_id == "w"]:
            if data.draw(st.integers(0, 4)) == 0:
                continue  # nobody hears of it
            told.take(event)
            first = cut.get("w", 0) + 1
            if first <= event.sequence and data.draw(st.integers(0, 2)) == 0:
                at = data.draw(st.integers(first, event.sequence))
                cut = cut_of(at, cut, told.within(first, at))
                told.forget(at)
                assert cut == cut_of(at)
                assert all(sequence > at for sequence, _, _ in told.causes)


@pytest.mark.parametrize("scheme", [Checkpointed, Incremental])
def test_a_checkpoint_reads_no_event_that_its_scheme_has_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: type[Checkpointed]
) -> None:
    shape = Shape(41, every=10)
    stream = ("default", "", "w")
    read: list[Any] = []

    def reading(*_: Any, **places: int) -> list[Event]:
        read.append(places)
        return []

    with EventStore(tmp_path / "s") as store:
        store.append_table(history(shape, "w"))
        whole = [closure.least_cut(store.snapshot(), stream, at - 1) for at in savepoints(shape)]
        monkeypatch.setattr(closure, "stream_events", reading)
        policy = EveryEvents(shape.cycle)
        assert take_checkpoints(store, stream, shape, scheme(policy, keep=9), 9) > 1
        assert read == []
        held = store.checkpoints("w")
        assert [store.load_checkpoint(one).causality["vector"] for one in held] == whole
        # Whoever begins to listen in the middle has to read once what it has missed.
        take_checkpoints(store, stream, shape, scheme(policy, keep=9), 2)
        assert len(read) == 1
