"""Agents' states come back from checkpoints as from their whole streams, truncated or not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab import Agent, EventStore, workflow
from flowlab.errors import TruncatedError
from flowlab.events import Event
from flowlab.recovery import (
    Cached,
    Checkpointed,
    EveryEvents,
    Incremental,
    Replay,
    checkpoint_states,
    state_at,
)
from flowlab.recovery.agent_states import take_checkpoint
from flowlab.recovery.heard import Heard
from flowlab.runtime import Runtime
from flowlab.runtime.scheme import RecoveryScheme
from flowlab.runtime.states import agent_values
from flowlab.workflow import WorkflowContext

EVERY = 6
STREAM = ("default", "", "@clerk")
INITIAL = {"a": 0, "first": "there from the beginning"}


def act(ctx: Any, change: list[Any]) -> None:
    key, value = change
    if value == "delete":
        ctx.state.pop(key, None)
    elif value != "fail":
        ctx.state[key] = value
    else:
        ctx.state[key] = "never seen"
        message = "no"
        raise ValueError(message)


@workflow
async def work(ctx: WorkflowContext, changes: list[list[Any]]) -> None:
    for change in changes:
        try:
            await ctx.call_activity("act", change, agent="clerk")
        except Exception:  # noqa: BLE001 - one that fails changes nothing
            continue


def runtime(store: EventStore, scheme: RecoveryScheme) -> Runtime:
    return Runtime(store, work, agents=[Agent("clerk", act, state=INITIAL)], recovery=scheme)


def restored(store: EventStore, scheme: RecoveryScheme) -> dict[str, Any]:
    """Return the state that the agent has in a runtime that comes after."""

    async def taken_up() -> dict[str, Any]:
        async with runtime(store, scheme) as later:
            return dict(later._host.agents.lanes["clerk"].state)

    return asyncio.run(taken_up())


def after(changes: list[list[Any]]) -> dict[str, Any]:
    state: dict[str, Any] = dict(INITIAL)
    for key, value in changes:
        if value == "delete":
            state.pop(key, None)
        elif value != "fail":
            state[key] = value
    return state


changes_made = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([1, None, [2], "delete", "fail"])).map(list),
    max_size=14,
)
first_gone = [["first", "delete"], *([["a", n] for n in range(9)])]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Checkpointed(EveryEvents(EVERY)),
        lambda: Incremental(EveryEvents(EVERY)),
        lambda: Cached(Checkpointed(EveryEvents(EVERY))),
    ],
)
def test_what_a_checkpoint_holds_is_not_read_again_nor_needed_any_more(
    make: Any, tmp_path: Path
) -> None:
    # The state was once had from the whole stream alone: it cost more with every event, and was
    # lost with the first that was truncated.
    with EventStore(tmp_path / "s") as store:
        runtime(store, make()).run(work, first_gone, id="w")
        expected = after(first_gone)
        assert "first" not in expected
        assert restored(store, make()) == restored(store, Replay()) == expected
        newest = store.checkpoints("@clerk")[-1]
        read = make().agent_cells(store, STREAM)
        assert read.checkpoint == newest.id
        assert read.events_read == store.snapshot().head("@clerk") - newest.at <= EVERY
        store.truncate("@clerk", upto=newest.at, discard=True)
        assert restored(store, make()) == expected
        with pytest.raises(TruncatedError, match="by the scheme that took checkpoints of it"):
            restored(store, Replay())
        with pytest.raises(TruncatedError, match="by the scheme that took checkpoints of it"):
            restored(store, Cached(Replay()))


@settings(max_examples=20)
@given(parts=st.lists(changes_made, min_size=1, max_size=3), every=st.integers(1, 9))
def test_a_state_from_checkpoints_is_that_of_the_whole_stream_after_any_restarts(
    parts: list[list[list[Any]]], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with EventStore(tmp_path_factory.mktemp("agents")) as store:
        done: list[list[Any]] = []
        for number, changes in enumerate(parts):
            scheme = Checkpointed(EveryEvents(every))
            runtime(store, scheme).run(work, changes, id=f"w{number}")
            done += changes
            assert restored(store, Checkpointed(EveryEvents(every))) == after(done)
        assert restored(store, Replay()) == after(done)
        head = store.snapshot().head("@clerk")
        if head:
            seen = state_at(store, "/agents/clerk", event=head)
            assert seen.state == agent_values(store, "clerk")
            assert seen.events_read <= every
        assert len(store.checkpoints("@clerk")) <= 2


def test_of_an_agent_as_many_are_held_as_were_taken_up_to_keep(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        told = Event.of("TransactionCommitted", payload={"values": {"a": 1}})
        for keep in range(1, 13):
            stream = ("default", "", f"@clerk{keep}")
            mine: list[int] = []
            for _ in range(keep + 1):
                mine.append(store.append(stream[2], told).last_sequence)
                take_checkpoint(store, stream, keep=keep, cut={}, heard=Heard())
                assert [known.at for known in store.checkpoints(stream[2])] == mine[-keep:]


def test_a_damaged_checkpoint_of_an_agent_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    scheme = Checkpointed(EveryEvents(EVERY))
    with EventStore(tmp_path / "s") as store:
        runtime(store, scheme).run(work, first_gone, id="w")
        before, newest = store.checkpoints("@clerk")
        (store.path / newest.path).write_bytes(b"no checkpoint")
        with pytest.warns(RuntimeWarning, match="is passed over"):
            found = scheme.agent_cells(store, STREAM)
        assert found.checkpoint == before.id
        with pytest.warns(RuntimeWarning, match="is passed over"):
            assert restored(store, scheme) == after(first_gone)


def test_a_state_that_no_checkpoint_holds_any_more_says_the_next_step(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        runtime(store, Checkpointed()).run(work, first_gone, id="w")
        store.truncate("@clerk", upto=1)
        with pytest.raises(TruncatedError, match="take one by checkpoint_states"):
            restored(store, Checkpointed())


def test_an_effect_that_a_truncated_stream_of_its_agent_may_have_told_of_is_uncertain(
    tmp_path: Path,
) -> None:
    @workflow
    async def ask(ctx: WorkflowContext, _: Any) -> Any:
        return await ctx.call_activity("look", agent="ann")

    release = asyncio.Event()

    async def look() -> str:
        if not release.is_set():
            await asyncio.Event().wait()
        return "seen"

    agents = {"ann": {"look": look, "other": lambda: None}}

    async def begin() -> None:
        async with Runtime(store, ask, agents=agents) as first:
            await first.start(ask, id="w")
            await asyncio.sleep(0)

    async def again() -> Any:
        release.set()
        async with Runtime(store, ask, agents=agents) as second:
            (handle,) = await second.recover()
            return await handle.result()

    with EventStore(tmp_path / "s") as store:
        asyncio.run(begin())
        # That it was begun is in the part which goes; what comes after it is another's.
        store.append("@ann", Event.of("MarkerRecorded", name="later", agent_id="ann"))
        begun = [event.event_type for event in store.read("/agents/ann/events").events()]
        assert begun == ["MessageReceived", "MarkerRecorded"]
        store.truncate("@ann", upto=1, discard=True)
        assert asyncio.run(again()) == "seen"
        told = store.read("/agents/w/events").events()
        (restarted,) = [event for event in told if event.event_type == "AgentRestarted"]
        assert [effect["activity"] for effect in restarted.data["uncertain"]] == ["look"]


def test_checkpoints_for_looking_back_serve_recovery_too(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        runtime(store, Replay()).run(work, first_gone, id="w")
        (*_, last) = checkpoint_states(store, "@clerk", every=EVERY)
        store.truncate("@clerk", upto=last.at, discard=True)
        assert restored(store, Checkpointed()) == after(first_gone)


def test_what_the_runtime_and_its_scheme_tell_of_the_world_stands_beside_each_other(
    tmp_path: Path,
) -> None:
    # A checkpoint that came between two messages to nobody once stopped the runtime: its event
    # stands in the world's stream, too, and was taken for another runtime's.
    @workflow
    async def shout(ctx: WorkflowContext, count: int) -> str:
        for number in range(count):
            ctx.raise_event("nobody", "hello", number)
            await ctx.call_activity("act", ["a", number], agent="clerk")
        return "heard"

    agents = [Agent("clerk", act, state=INITIAL)]
    with EventStore(tmp_path / "s") as store:
        scheme = Checkpointed(EveryEvents(3))
        shouting = Runtime(store, shout, agents=agents, recovery=scheme)
        assert shouting.run(shout, 5, id="w") == "heard"
        told = store.sql("SELECT event_type FROM events WHERE workflow_id = '@world'")
        assert sorted(set(told["event_type"])) == ["CheckpointTaken", "MessageDropped"]
        assert store.verify().ok
