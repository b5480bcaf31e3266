"""A savepoint fits into one file, goes to another store, and is never let go by a policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recovery_host import STREAM, Recorded, asked, fresh_store, goes_on_alike
from test_recovery_schemes import histories, long_history
from workflow_host import ID, Host

from flowlab import Agent
from flowlab.errors import CorruptionError, InvalidArgumentError, LimitError
from flowlab.events import Cell, Event
from flowlab.recovery import (
    Cached,
    Checkpointed,
    EveryEvents,
    Incremental,
    Replay,
    agent_states,
    export_savepoint,
    import_savepoint,
    savepoint,
    state_at,
)
from flowlab.recovery.agent_states import held_cells
from flowlab.recovery.checkpoint import WorkflowCheckpoint
from flowlab.runtime import Runtime
from flowlab.runtime.ledger import ledger
from flowlab.runtime.scheme import Process
from flowlab.runtime.states import agent_values
from flowlab.store import Disk, EventStore, writer
from flowlab.store.closure import least_cut
from flowlab.store.containers import CHECKPOINT, Container, read_container, write_container
from flowlab.workflow import (
    Choreography,
    Parallel,
    Plan,
    Program,
    Reaction,
    Sequential,
    Step,
    WorkflowContext,
    result,
    workflow,
)
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


@dataclass
class Progress:
    next: int = 0
    total: int = 0


@workflow(state=Progress)
async def adding(ctx: WorkflowContext, count: int, state: Progress) -> int:
    while state.next < count:
        number = await ctx.call_activity("square", state.next, agent="clerk")
        if state.next == 1:
            number += sum(await ctx.when_all(*(ctx.call_activity("square", n) for n in (2, 3))))
        state.next, state.total = state.next + 1, state.total + number
        await ctx.savepoint()
    await ctx.sleep(1)
    return state.total + await ctx.call_activity("square", count)


SQUARES = Plan(
    Sequential(
        Step("one", agent="clerk", activity="square", compensation="undo", input=4),
        Parallel(
            Step("n1", agent="clerk", activity="square", input=1, effect=False),
            Step("n2", agent="clerk", activity="square", input=2, effect=False),
        ),
        Step("last", agent="clerk", activity="square", effect=False, input=result("n2")),
    ),
    name="squares",
)
EVERY_SCHEME = [
    Replay,
    lambda: Checkpointed(EveryEvents(3), keep=4, then="truncate"),
    lambda: Incremental(EveryEvents(2), full_every=3),
    lambda: Cached(Checkpointed(EveryEvents(4))),
]


def squaring(store: EventStore, process: Any, scheme: Any) -> Any:
    acts = {"square": lambda value: value * value, "undo": lambda _: None}
    runtime = Runtime(store, process, activities=acts, agents={"clerk": acts}, recovery=scheme)
    return runtime.run(process, 3, id=ID)


@pytest.mark.parametrize("process", [adding, SQUARES])
def test_from_a_savepoint_at_any_event_a_workflow_ends_elsewhere_as_it_did_under_every_scheme(
    process: Any,
) -> None:
    # What a function had asked for since its last ctx.savepoint() was known to the savepoint, and
    # was not in the file: another store could not go on from there, or told no result.
    with fresh_store() as first:
        done = squaring(first, process, Replay())
        history = first.read(f"/workflows/{ID}/events").events()
    code = process if process is adding else Program.of(process)
    beyond = 0
    with fresh_store() as store:
        for place, event in enumerate(history):
            own = tuple(cause for cause in event.causes if cause.workflow_id == ID)
            store.append(ID, event.replace(position=0, agent_sequence=0, causes=own))
            if process is adding and not any(map(is_savepoint, history[: place + 1])):
                continue
            mine = savepoint(store, ID, code)
            beyond += place + 1 > mine.at
            path = export_savepoint(store, mine, store.path.parent / "one.file")
            full = asked(Replay().restore(store, STREAM, code))
            with fresh_store() as other:
                assert import_savepoint(other, path).at == mine.at
                for make in EVERY_SCHEME:
                    assert asked(make().restore(other, STREAM, code)) == full
                made = EVERY_SCHEME[place % len(EVERY_SCHEME)]()
                assert squaring(other, process, made) == done
    assert (beyond > 0) == (process is adding)


def test_a_history_that_is_too_long_for_one_append_comes_over_as_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its error said to split an append that its user never wrote.
    with fresh_store() as there, fresh_store() as here:
        done = squaring(there, adding, Replay())
        path = export_savepoint(there, savepoint(there, ID, adding), tmp_path / "one.file")
        with monkeypatch.context() as patch:
            patch.setattr(writer, "MAX_TRANSACTION_BYTES", 1000)
            with pytest.raises(
                LimitError, match=r"nothing was taken.*append_log\(there\.log\(\)\)"
            ):
                import_savepoint(here, path)
            assert here.snapshot().position == 0
            here.append_log(there.log())
            taken = import_savepoint(here, path)
        assert Checkpointed().restore(here, STREAM, adding).checkpoint == taken.id
        assert squaring(here, adding, Checkpointed(EveryEvents(3))) == done


def shortened(path: Path) -> Path:
    """Make of an exported file the one that an older flowlab wrote: its events end at the place."""
    whole = read_container(path, kind=CHECKPOINT)
    version, body, events = msgspec.msgpack.decode(whole.body).values()
    assert version == 2
    events = [event for event in events if event[3] <= whole.meta["at"]]
    told = msgspec.msgpack.encode({"version": 1, "body": body, "events": events})
    write_container(path, Container(CHECKPOINT, whole.meta, told), Disk())
    return path


def test_a_file_that_lacks_events_which_its_savepoint_knows_is_gone_on_from_by_its_history(
    tmp_path: Path,
) -> None:
    with fresh_store() as store:
        done = squaring(store, adding, Replay())
        history = [
            event.replace(position=0, agent_sequence=0, causes=tuple(
                cause for cause in event.causes if cause.workflow_id == ID))
            for event in store.read(f"/workflows/{ID}/events").events()
        ]  # fmt: skip
        mine = savepoint(store, ID, adding)
        path = shortened(export_savepoint(store, mine, tmp_path / "one.file"))
        state = store.load_checkpoint(mine).state
    with fresh_store() as other:
        assert import_savepoint(other, path).origin == "incomplete flowlab savepoint"
        assert other.head(ID) == mine.at < len(history)
        assert Checkpointed().restore(other, STREAM, adding).checkpoint is None
        assert squaring(other, adding, Checkpointed(EveryEvents(3))) == done
    with fresh_store() as apart:
        apart.append(ID, [*history[: mine.at], history[mine.at].replace(payload=b"{}")])
        apart.append(ID, history[mine.at + 1 :])
        with pytest.raises(InvalidArgumentError, match="another history of 'w'"):
            import_savepoint(apart, path)
    with fresh_store() as same:
        same.append(ID, history[:-1])
        with pytest.raises(InvalidArgumentError, match=f"does not reach event {len(history)}"):
            import_savepoint(same, path)
        same.append(ID, history[-1])
        taken = import_savepoint(same, path)
        assert Checkpointed().restore(same, STREAM, adding).checkpoint == taken.id
    with fresh_store() as once:  # an older flowlab had taken it there as it is
        once.append(ID, history[: mine.at])
        once.checkpoint(ID, state, at=mine.at, savepoint=True, origin=mine.origin)
        with pytest.warns(RuntimeWarning, match=f"knows events up to {len(history)}"):
            assert Checkpointed().restore(once, STREAM, adding).checkpoint is None
        with pytest.raises(InvalidArgumentError, match="take another savepoint, and export that"):
            export_savepoint(once, once.checkpoints(ID)[0], path)


def count(ctx: Any, value: int) -> list[Any]:
    ctx.state["n"] += value
    return [ctx.state["n"], ctx.state.pop("first", None)]


@workflow(state=Progress)
async def tallied(ctx: WorkflowContext, times: int, state: Progress) -> list[int]:
    while state.next < times:
        state.total, _ = await ctx.call_activity("count", state.next + 1, agent="tally")
        state.next += 1
        await ctx.savepoint()
    return [state.total, *await ctx.call_activity("count", 1, agent="tally")]


TALLIES = Plan(
    Sequential(
        *(Step(f"c{n}", agent="tally", activity="count", effect=False, input=n) for n in range(3))
    ),
    name="tallies",
)
COUNTED = {"n": 10, "first": "there from the beginning"}


def tallying(store: EventStore, process: Any, scheme: Any, name: str = ID) -> Any:
    tally = Agent("tally", count, state=COUNTED)
    return Runtime(store, process, agents=[tally], recovery=scheme).run(process, 3, id=name)


@pytest.mark.parametrize("process", [tallied, TALLIES])
def test_a_savepoint_brings_the_states_of_its_agents_along(process: Any, tmp_path: Path) -> None:
    # Every checkpoint once said "agents": {}, and in another store the agents began anew.
    with fresh_store() as first:
        done = tallying(first, process, Replay())
        left = agent_values(first, "tally")
        told = sorted(first.log().events(), key=lambda event: event.position)
        history = [event.replace(position=0, agent_sequence=0) for event in told]
    code = process if process is tallied else Program.of(process)
    with fresh_store() as store:
        for place, event in enumerate(history):
            store.append_together([event])
            if event.workflow_id != ID:
                continue
            if process is tallied and not any(map(is_savepoint, history[: place + 1])):
                continue
            mine = savepoint(store, ID, code)
            held = WorkflowCheckpoint.decode(store.load_checkpoint(mine).state).agents
            path = export_savepoint(store, mine, tmp_path / "one.file")
            with fresh_store() as other:
                import_savepoint(other, path)
                if held:
                    cells = held["tally"]
                    then = state_at(store, "/agents/tally", event=cells["at"]).state
                    assert agent_values(other, "tally") == cells["values"] == then
                    assert cells["deleted"] == ["first"]
                there = import_savepoint(other, path)
                assert other.head("@tally") == len(held)
                vector = least_cut(other.snapshot(), STREAM, there.at)
                assert other.load_checkpoint(there).causality == {"vector": vector}
                assert vector.get("@tally", 0) <= len(held)
                if place % 3 == 0:
                    again = savepoint(other, ID, code)
                    body = WorkflowCheckpoint.decode(other.load_checkpoint(again).state)
                    assert {name: cells["values"] for name, cells in body.agents.items()} == {
                        name: cells["values"] for name, cells in held.items()
                    }
                assert tallying(other, process, Checkpointed(EveryEvents(3))) == done
                assert agent_values(other, "tally") == left
                if place == len(history) - 1:
                    assert other.verify().ok
                    assert set(ledger(other)["status"]) == {"done"}


def test_an_agent_of_which_a_store_has_something_keeps_its_state_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_store() as store:
        tallying(store, TALLIES, Replay())
        mine = savepoint(store, ID, Program.of(TALLIES))
        path = export_savepoint(store, mine, tmp_path / "one.file")
        store.append("@wide", [
            Event.of("TransactionCommitted", payload={"values": {f"c{n}": "x" * 40}},
                     writes=(Cell("wide", f"c{n}"),)) for n in range(7)
        ])  # fmt: skip
        held = held_cells(store.snapshot(), STREAM, {"@wide": 6, "@nobody": 3})
        assert [*held] == ["wide"]
        store.truncate("@tally", upto=1, discard=True)
        with pytest.warns(RuntimeWarning, match="savepoint of 'w' is without agent 'tally'"):
            savepoint(store, ID, Program.of(TALLIES))
    monkeypatch.setattr(agent_states, "MOST_BYTES", 100)
    told = [*agent_states.told_again("wide", held["wide"], 7)]
    with fresh_store() as other:
        tallying(other, TALLIES, Replay(), "mine")
        before = agent_values(other, "tally")
        import_savepoint(other, path)
        assert agent_values(other, "tally") == before
        other.append_together(told)
        assert agent_values(other, "wide") == {f"c{n}": "x" * 40 for n in range(6)}
        assert len(told) == 3


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


def test_of_a_file_whose_events_end_before_its_savepoint_nothing_is_taken(tmp_path: Path) -> None:
    # The events were appended, and the savepoint refused: half of a workflow was there for good.
    process, history = long_history(3)
    with fresh_store() as store, fresh_store() as other:
        store.append(ID, history[:4])
        path = export_savepoint(store, savepoint(store, ID, process), tmp_path / "f")
        whole = read_container(path, kind=CHECKPOINT)
        said = msgspec.msgpack.decode(whole.body)
        body = msgspec.msgpack.encode({**said, "events": said["events"][:3]})
        write_container(path, Container(CHECKPOINT, whole.meta, body), Disk())
        with pytest.raises(CorruptionError, match="f is no exported savepoint"):
            import_savepoint(other, path)
        assert other.snapshot().position == 0


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
        nobody: Any = Choreography(Reaction("a", on="x", emits="y"), start="x", final=["y"])
        with pytest.raises(InvalidArgumentError, match="comes back from its whole log"):
            savepoint(store, ID, nobody)
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
