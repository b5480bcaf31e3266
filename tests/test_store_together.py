"""Events of several streams in one commit: all of them, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import (
    ConcurrencyError,
    InvalidEventError,
    LimitError,
    ProjectionError,
)
from flowlab.events import Cause, Event
from flowlab.store import EventStore, projection
from flowlab.testing import CrashDisk, DiskState, every_boundary

ASKED = Event.of("ActivityScheduled", workflow_id="trip-1")
BEGUN = Event.of("MessageReceived", workflow_id="@hotel", causes=(Cause("trip-1", 1),))
ENDED = Event.of("ActivityCompleted", workflow_id="trip-1", causes=(Cause("@hotel", 1),))


def test_each_event_may_name_those_before_it_whatever_their_stream(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        result = store.append_together([ASKED, BEGUN, ENDED])

        events = store.log().events()
        assert (result.first_position, result.last_position) == (1, 3)
        assert [(e.workflow_id, e.sequence) for e in sorted(events, key=lambda e: e.position)] == [
            ("trip-1", 1),
            ("@hotel", 1),
            ("trip-1", 2),
        ]
        assert store.verify().ok


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (
            Event.of("ActivityCompleted", workflow_id="x", causes=(Cause("y", 9),)),
            InvalidEventError,
        ),
        (Event.of("ActivityCompleted", workflow_id="trip-1", sequence=7), InvalidEventError),
        (Event.of("ActivityCompleted", workflow_id=""), InvalidEventError),
        (Event.of("ActivityCompleted", workflow_id="big", payload=b"x" * 40_000_000), LimitError),
    ],
)
def test_a_refused_event_leaves_nothing_of_those_before_it(
    tmp_path: Path, wrong: Event, error: type[Exception]
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("other", [Event.of("WorkflowStarted")])
        with pytest.raises((error, InvalidEventError)):
            store.append_together([ASKED, BEGUN, wrong])

        assert len(store.log()) == 1
        # The places that the refused events had taken are free again.
        assert store.append_together([ASKED, BEGUN, ENDED]).last_position == 4
        assert store.append("trip-1", [Event.of("MarkerRecorded")]).last_sequence == 3
    with EventStore(tmp_path / "s") as store:
        assert store.verify().ok


def test_a_head_that_is_not_as_expected_refuses_all(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("trip-1", [Event.of("WorkflowStarted")])
        with pytest.raises(ConcurrencyError, match=r"'trip-1' is at version 1"):
            store.append_together([BEGUN, ASKED], expected_versions={"trip-1": 0})
        assert len(store.log()) == 1


def test_no_events_are_an_error(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store, pytest.raises(InvalidEventError, match="at least"):
        store.append_together([])


def test_an_inline_projection_forgets_what_a_refused_call_had_folded(tmp_path: Path) -> None:
    @projection(life="inline", initial=0)
    def counted(count: int, event: Event) -> int:
        if event.event_type == "WorkflowFailed":
            message = "not this"
            raise ValueError(message)
        return count + 1

    with EventStore(tmp_path / "s") as store:
        store.register(counted)
        store.append_together([ASKED, BEGUN])
        with pytest.raises(ProjectionError):
            store.append_together([ENDED, Event.of("WorkflowFailed", workflow_id="trip-1")])
        with pytest.raises(InvalidEventError):
            store.append_together([ENDED, Event.of("MarkerRecorded", workflow_id="a", sequence=5)])
        assert store.project("counted").state == 2
        store.append_together([ENDED])
        assert store.project("counted").state == 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "@c"]), min_size=1, max_size=5), max_size=6))
def test_together_is_the_same_log_as_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("s")
    with EventStore(folder / "x") as together, EventStore(folder / "y") as alone:
        for number, streams in enumerate(calls):
            events = [
                Event.of("MarkerRecorded", workflow_id=name, name=str(number), time_ns=number)
                for name in streams
            ]
            together.append_together(events)
            for event in events:
                alone.append(event.workflow_id, event)
        assert together.log() == alone.log()


def test_a_stop_at_every_boundary_leaves_all_or_none() -> None:
    calls = [[ASKED, BEGUN], [ENDED, Event.of("WorkflowStarted", workflow_id="trip-2")]]

    def prepare(folder: Path) -> None:
        EventStore(folder / "s").close()

    def run(folder: Path, disk: CrashDisk, acknowledge: object) -> None:
        with EventStore(folder / "s", disk=disk) as store:
            for events in calls:
                store.append_together(events)
                acknowledge()  # type: ignore[operator]

    def check(state: DiskState) -> None:
        with EventStore(state.folder / "s", read_only=True) as store:
            count = len(store.log())
        assert count in {0, 2, 4}
        assert count >= 2 * state.acknowledged

    report = every_boundary(run, check, name="together", prepare=prepare, limit=3)
    assert report.boundaries > 10
