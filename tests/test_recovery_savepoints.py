"""A savepoint fits into one file, goes to another store, and is never let go by a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recovery_host import STREAM, Recorded, asked, fresh_store, goes_on_alike
from test_recovery_schemes import histories, long_history
from workflow_host import ID, Host

from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.events import Event
from flowlab.recovery import (
    Checkpointed,
    EveryEvents,
    Incremental,
    Replay,
    export_savepoint,
    import_savepoint,
    savepoint,
)
from flowlab.runtime import Runtime
from flowlab.runtime.scheme import Process
from flowlab.store import EventStore
from flowlab.workflow import Plan, Program, Sequential, Step, workflow
from flowlab.workflow.savepoints import is_savepoint


@settings(max_examples=15)
@given(histories(), st.data())
def test_a_savepoint_in_another_store_is_gone_on_from_as_a_replay_goes_on(
    told: tuple[Process, list[Event]], data: st.DataObject
) -> None:
    process, history = told
    upto = data.draw(st.integers(1, len(history)))
    marks = [event for event in history[:upto] if is_savepoint(event)]
    with fresh_store() as store, fresh_store() as other:
        store.append(ID, history[:upto])
        if process.__class__.__name__ == "Workflow" and not marks:
            with pytest.raises(InvalidArgumentError, match="no savepoint yet"):
                savepoint(store, ID, process)
            return
        mine = savepoint(store, ID, process, name="mine")
        path = export_savepoint(store, mine, store.path.parent / "one.file")
        there = import_savepoint(other, path)
        assert (there.at, there.savepoint, there.origin) == (mine.at, True, mine.origin)
        for place in (store, other):
            if rest := history[place.snapshot().head(ID) :]:
                place.append(ID, rest)
        restored = Checkpointed().restore(other, STREAM, process)
        assert restored.checkpoint == there.id
        full = Replay().restore(store, STREAM, process)
        assert asked(restored) == asked(full)
        assert goes_on_alike(restored, history) == goes_on_alike(full, history)


def test_no_policy_lets_a_savepoint_go_and_recovery_may_begin_from_it() -> None:
    process, history = long_history(20)
    for scheme in (Checkpointed(EveryEvents(4), keep=1), Incremental(EveryEvents(4), keep=1)):
        with fresh_store() as store:
            recorded = Recorded(store, process, history, scheme)
            recorded.commit(10)
            mine = savepoint(store, ID, process)
            recorded.commit_all()
            assert mine in store.checkpoints(ID)
            for found in store.checkpoints(ID):
                if found != mine:
                    (store.path / found.path).unlink()
            with pytest.warns(RuntimeWarning, match="passed over"):
                restored = Checkpointed().restore(store, STREAM, process)
            assert restored.checkpoint == mine.id


def test_a_file_that_is_damaged_in_any_byte_is_refused(tmp_path: Path) -> None:
    process, history = long_history(3)
    with fresh_store() as store:
        store.append(ID, history[:4])
        mine = savepoint(store, ID, process)
        data = export_savepoint(store, mine, tmp_path / "f").read_bytes()
        for place in range(0, len(data), 7):
            broken = bytearray(data)
            broken[place] ^= 4
            (tmp_path / "g").write_bytes(broken)
            with fresh_store() as other:
                with pytest.raises(CorruptionError, match="g "):
                    import_savepoint(other, tmp_path / "g")
                assert other.snapshot().position == 0
        for size in (0, 10, len(data) - 1):
            (tmp_path / "g").write_bytes(data[:size])
            with pytest.raises(CorruptionError, match="g "):
                import_savepoint(store, tmp_path / "g")
        (tmp_path / "g").write_bytes((store.path / mine.path).read_bytes())
        with pytest.raises(CorruptionError, match="g is no exported savepoint"):
            import_savepoint(store, tmp_path / "g")
        with pytest.raises(CorruptionError, match="missing"):
            import_savepoint(store, tmp_path / "nothing")


def test_a_savepoint_fits_only_its_own_history(tmp_path: Path) -> None:
    process, history = long_history(6)
    with fresh_store() as store:
        store.append(ID, history[:8])
        mine = savepoint(store, ID, process)
        lean = export_savepoint(store, mine, tmp_path / "lean", history=False)
        whole = export_savepoint(store, mine, tmp_path / "whole")
        assert lean.stat().st_size < whole.stat().st_size
        with fresh_store() as other:
            with pytest.raises(InvalidArgumentError, match="does not hold its history"):
                import_savepoint(other, lean)
            other.append(ID, history[:5])
            with pytest.raises(InvalidArgumentError, match="another history of 'w'"):
                import_savepoint(other, whole)
            other.append(ID, history[5:])
            assert import_savepoint(other, lean).at == 8
        with fresh_store() as other:
            changed = [event.replace(payload=b"{}") for event in history]
            other.append(ID, changed)
            with pytest.raises(InvalidArgumentError, match="another history of 'w'"):
                import_savepoint(other, whole)
        store.truncate(ID, upto=3)
        with pytest.raises(InvalidArgumentError, match="were truncated"):
            export_savepoint(store, mine, tmp_path / "late")
        assert export_savepoint(store, mine, tmp_path / "late", history=False).exists()
        taken = import_savepoint(store, whole, run_id="again")
        assert taken.stream == ("default", "again", ID)


def test_a_plain_function_has_no_savepoint_and_a_delta_no_file(tmp_path: Path) -> None:
    @workflow
    async def plain(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("a", value)

    with EventStore(tmp_path / "s") as store:
        store.append(ID, Host(plain).start(1).history)
        with pytest.raises(InvalidArgumentError, match="by replay, or from its last continue-as"):
            savepoint(store, ID, plain)
    process, history = long_history(8)
    with fresh_store() as store:
        Recorded(
            store, process, history, Incremental(EveryEvents(3), full_every=9, keep=9)
        ).commit_all()
        with pytest.raises(InvalidArgumentError, match="is a delta of another"):
            export_savepoint(store, store.checkpoints(ID)[-1], tmp_path / "f")


def test_a_savepoint_of_a_workflow_whose_agents_stay_behind_goes_to_another_store() -> None:
    """A real history names the transactions of its agents, which a new store does not have."""
    plan = Plan(Sequential(Step("book", agent="hotel", effect=False)), name="books")
    hotel = {"hotel": {"book": lambda _: "room 7"}}
    with fresh_store() as store, fresh_store() as other:
        done = Runtime(store, plan, agents=hotel).run(plan, id="b")
        mine = savepoint(store, "b", Program.of(plan))
        path = export_savepoint(store, mine, store.path.parent / "b.savepoint")
        for _ in range(2):
            assert import_savepoint(other, path).at == mine.at
        assert Runtime(other, plan, agents=hotel).run(plan, id="b") == done
        assert other.verify().ok
        assert import_savepoint(store, path, run_id="again").stream == ("default", "again", "b")
