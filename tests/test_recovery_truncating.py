"""Truncation of a store that keeps the order and the clocks of what is left."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from causal_logs import logs
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab import Cause, Event, EventLog, EventStore
from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.recovery import truncate, truncating
from flowlab.store.closure import least_cut


def assert_nothing_has_changed(order: CausalOrder, whole: CausalOrder) -> None:
    """Hold order and clocks of what is left in a store against all that ever was in it."""
    rows = np.array([whole.row(event) for event in order.log], np.int32)
    pairs = np.repeat(np.arange(len(rows)), len(rows)), np.tile(np.arange(len(rows)), len(rows))
    assert np.array_equal(
        order.happened_before_many(*pairs),
        whole.happened_before_many(*(rows[side] for side in pairs)),
    )
    assert order.lamport.tolist() == whole.lamport[rows].tolist()
    assert [part.tolist() for part in order.hybrid] == [p[rows].tolist() for p in whole.hybrid]
    for row, same in enumerate(rows.tolist()):
        assert order.info(row).agent_clock == whole.info(same).agent_clock


class Kept:
    """A store, and all that ever was in it.

    Args:
        path: of the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.every: dict[Any, Event] = {}

    def left(self) -> EventLog:
        with EventStore(self.path) as store:
            log = store.snapshot().log()
        self.every.update((event.id, event) for event in log)
        return log

    def check(self) -> None:
        log = self.left()
        assert len(log) < len(self.every)
        assert_nothing_has_changed(
            log.causality, CausalOrder(EventLog.from_events(self.every.values()))
        )


@settings(max_examples=8)
@given(logs(max_events=12), st.data())
def test_order_and_clocks_of_a_truncated_store_are_those_of_the_whole_log(
    log: EventLog, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "s")
        with EventStore(kept.path) as store:
            store.append_log(log)
        for _ in range(2):
            heads: dict[str, list[int]] = {}
            for event in kept.left():
                if event.workflow_id != "@world":
                    heads.setdefault(event.workflow_id, []).append(event.sequence)
            bases = {
                name: data.draw(st.integers(min(places), max(places)))
                for name, places in sorted(heads.items())
                if data.draw(st.booleans())
            }
            if not bases:
                return
            with EventStore(kept.path) as store:
                truncate(store, bases, run_id="run-0", discard=True)
            kept.check()


def sent(agent: str, kind: str = "MessageSent", *causes: tuple[str, int]) -> Event:
    return Event.of(kind, agent_id=agent, causes=tuple(Cause(*name) for name in causes))


def test_clocks_resume_when_a_store_was_truncated_after_a_checkpoint_and_opened_again(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path / "s")
    with EventStore(kept.path) as store:
        store.append("@ann", [sent("ann"), sent("ann"), sent("ann")])
        store.append("w", sent("host", "WorkflowStarted", ("@ann", 1)))
        store.append("w", sent("host", "MarkerRecorded", ("w", 1), ("@ann", 2)))
        store.append("w", sent("host", "MarkerRecorded", ("w", 2)))
        store.checkpoint("w", b"all", at=2, causality={"vector": {"w": 2, "@ann": 2}})
        kept.left()
        truncate(store, {"w": 2, "@ann": 3})
    kept.check()
    with EventStore(kept.path) as store:
        # One that was under way arrives, and the lane and the streams go on.
        store.append("@bob", sent("bob", "MessageReceived", ("@ann", 3)))
        store.append("@ann", sent("ann", "MessageSent", ("@bob", 1)))
        store.append("w", sent("host", "MarkerRecorded", ("w", 3), ("@ann", 4)))
        kept.left()
        truncate(store, "w", upto=3)
        kept.check()
        store.compact()
    kept.check()
    clock = kept.left().causality.info(("w", 4)).agent_clock
    assert clock == {"ann": 4, "bob": 1, "host": 4}


def told(kind: str, *causes: tuple[str, int]) -> Event:
    """Return an event of a workflow that does several things at once."""
    return Event.of(
        kind, agent_id="host", follows_lane=False, causes=tuple(Cause(*name) for name in causes)
    )


def test_what_a_running_workflow_names_later_is_remembered_until_it_does(tmp_path: Path) -> None:
    # A request that an agent had taken up was forgotten, and so was a branch's result that the
    # branches' join named only after the truncation: clocks came out too low.
    kept = Kept(tmp_path / "s")
    with EventStore(kept.path) as store:
        store.append("@bob", sent("bob", "SignalInitiated"))
        store.append("w", told("WorkflowStarted"))
        store.append("w", told("ActivityScheduled", ("w", 1), ("@bob", 1)))
        store.append("w", [told("ActivityScheduled", ("w", 1)) for _ in range(2)])
        store.append("@ann", sent("ann", "MessageReceived", ("w", 2)))
        store.append("w", [told("ActivityCompleted", ("w", 3)), told("ActivityCanceled")])
        kept.left()
        truncate(store, {"w": 6, "@ann": 1})
    kept.check()
    # What nobody will name is not remembered for good, or a horizon grew with all that went.
    horizon = kept.left().causality.horizon
    assert horizon is not None
    waiting = [event.id for event in horizon if event.until == "named"]
    assert [(name.workflow_id, name.sequence) for name in waiting] == [
        ("w", place) for place in (2, 4, 5, 6)
    ]
    with EventStore(kept.path) as store:
        # The other one is taken up only now, and what says so goes, too.
        store.append("@cat", sent("cat", "MessageReceived", ("w", 4)))
        store.append("@cat", sent("cat", "MarkerRecorded", ("@cat", 1)))
        kept.left()
        truncate(store, {"@cat": 1})
        store.append("w", told("ActivityTimedOut", ("w", 2)))
        store.append("w", told("ActivityTimedOut", ("w", 4)))
        store.append("w", told("BarrierReleased", ("w", 5), ("w", 7), ("w", 8)))
    kept.check()
    assert kept.left().causality.info(("w", 9)).agent_clock == {"bob": 1, "host": 8}


def test_a_truncation_that_remembers_nothing_lets_clocks_count_what_is_left(
    tmp_path: Path,
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", [sent("host") for _ in range(6)])
        truncate(store, "w", upto=2)
        assert store.snapshot().log().causality.vector_clock(("w", 3)) == {"host": 3}
        store.truncate("w", upto=3)
        order = store.snapshot().log().causality
        assert order.horizon is None
        assert order.vector_clock(("w", 4)) == {"host": 1}
        # What went unseen cannot be known again, and is not made up.
        truncate(store, "w", upto=4)
        order = store.snapshot().log().causality
        assert order.horizon is not None
        assert not order.horizon.resumes
        # A part of the log, which the events of the run are not in, has an order of its own.
        assert store.read("/workflows/w").causality.horizon is None


def test_a_checkpoint_s_vector_resumes_from_the_one_before_a_truncation(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("@ann", [sent("ann"), sent("ann")])
        store.append("w", sent("host", "WorkflowStarted", ("@ann", 2)))
        store.append("w", [sent("host"), sent("host")])
        stream = ("default", "", "w")
        whole = least_cut(store.snapshot(), stream, 3)
        store.checkpoint("w", b"", at=2, causality={"vector": {"@ann": 2, "w": 2}})
        store.truncate("w", upto=2)

        assert least_cut(store.snapshot(), stream, 3) == whole == {"@ann": 2, "w": 3}


def test_a_truncation_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", sent("host"))
        with pytest.raises(InvalidArgumentError, match="cannot be truncated up to 2"):
            truncate(store, "w", upto=2)
        with pytest.raises(InvalidArgumentError, match="expected an id and a sequence"):
            truncate(store, "w")
        store.append("w", sent("host"))
        monkeypatch.setattr(truncating, "MAX_HORIZON_BYTES", 10)
        with pytest.raises(LimitError, match="which remembers nothing"):
            truncate(store, "w", upto=1)
        assert len(store.snapshot().log()) == 2
        assert store.verify().ok
