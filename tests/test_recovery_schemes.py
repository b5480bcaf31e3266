"""Schemes of recovery: whatever is read, what comes back asks for what a replay asks for."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_hosts import PlanHost, driven, moody, plans
from recovery_host import STREAM, Recorded, asked, check_like_replay, fresh_store, goes_on_alike
from test_workflow_savepoint import batch, finished
from workflow_host import ID, Host

from flowlab.errors import InvalidArgumentError, TruncatedError
from flowlab.events import Event
from flowlab.recovery.incremental import Cached, Incremental
from flowlab.recovery.policies import (
    BySize,
    EveryEvents,
    EveryInterval,
    Lawful,
    Never,
    Policy,
    Since,
)
from flowlab.recovery.restoring import contents
from flowlab.recovery.schemes import Checkpointed
from flowlab.runtime import Replay, Standing
from flowlab.runtime.scheme import Process, RecoveryScheme
from flowlab.store import EventStore
from flowlab.testing import Fault, FaultyDisk
from flowlab.workflow import (
    SECOND,
    PlanExecution,
    Program,
    Sequential,
    Step,
    workflow,
)

RNGS = st.randoms(use_true_random=False)
SCHEMES: list[Callable[[Policy], RecoveryScheme]] = [
    Checkpointed,
    lambda policy: Checkpointed(policy, keep=1),
    lambda policy: Incremental(policy, full_every=3),
    Incremental,
    lambda policy: Cached(Checkpointed(policy), size=2),
    lambda _policy: Cached(Replay()),
]


def plan_history(plan: Any, seed: int, cancel: int | None) -> tuple[Program, list[Event]]:
    pick = random.Random(seed).randrange
    host = PlanHost(code=plan, answer=moody(seed), pick=pick)
    driven(host, seed, value={"p": seed % 2}, cancel_after=cancel)
    return host.code, host.history


@st.composite
def histories(draw: st.DrawFn) -> tuple[Process, list[Event]]:
    seed = draw(st.integers(0, 10_000))
    if draw(st.booleans()):
        plan = draw(plans(failing=True))
        return plan_history(plan, seed, draw(st.none() | st.integers(0, 4)))
    host = finished(batch, draw(st.integers(0, 4)), seed)
    return batch, host.history


def long_history(steps: int) -> tuple[Program, list[Event]]:
    nodes = [Step(f"s{i}", agent="a", compensation=f"u{i}") for i in range(steps)]
    host = PlanHost(code=Sequential(*nodes), answer=lambda name, _v, _a: {"of": name})
    driven(host, 0, value={"p": 1})
    return host.code, host.history


def with_checkpoints(
    store: EventStore, scheme: RecoveryScheme, steps: int = 30, upto: int | None = None
) -> Recorded:
    process, history = long_history(steps)
    recorded = Recorded(store, process, history[:upto], scheme)
    recorded.commit_all()
    return recorded


def files(store: EventStore) -> list[Any]:
    return sorted((store.path / "checkpoints").glob("*/*"))


# -- the law ---------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    histories(),
    st.integers(1, 7),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.sampled_from(SCHEMES),
)
def test_at_every_prefix_a_scheme_restores_what_a_replay_restores(
    told: tuple[Process, list[Event]],
    every: int,
    sizes: list[int],
    make: Callable[[Policy], RecoveryScheme],
) -> None:
    process, history = told
    with fresh_store() as store:
        recorded = Recorded(store, process, history, make(EveryEvents(every)))
        while recorded.done < len(history):
            recorded.commit(sizes[recorded.done % len(sizes)])
            check_like_replay(make(Never()), store, process, history)


@settings(max_examples=25)
@given(
    histories(),
    st.integers(1, 5),
    st.sampled_from([Checkpointed, Incremental]),
    st.randoms(use_true_random=False),
)
def test_with_damaged_and_missing_checkpoints_a_scheme_restores_what_a_replay_restores(
    told: tuple[Process, list[Event]], every: int, make: Any, rng: random.Random
) -> None:
    process, history = told
    crash = rng.randint(1, len(history))
    with fresh_store() as store:
        scheme = make(EveryEvents(every), keep=3)
        Recorded(store, process, history[:crash], scheme).commit_all()
        for path in files(store):
            data = bytearray(path.read_bytes())
            match rng.choice(["whole", "gone", "torn", "flipped", "empty"]):
                case "gone":
                    path.unlink()
                case "torn":
                    path.write_bytes(data[: rng.randrange(len(data))])
                case "flipped":
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                    path.write_bytes(data)
                case "empty":
                    path.write_bytes(b"")
        check_like_replay(make(Never()), store, process, history)


@settings(max_examples=15)
@given(histories(), st.integers(1, 6), st.integers(1, 3))
def test_after_truncation_a_scheme_restores_what_a_replay_of_everything_restores(
    told: tuple[Process, list[Event]], every: int, keep: int
) -> None:
    process, history = told
    with fresh_store() as store:
        scheme = Checkpointed(EveryEvents(every), keep=keep, then="truncate")
        recorded = Recorded(store, process, history, scheme)
        recorded.commit_all()
        restored = Checkpointed(Never()).restore(store, STREAM, process)
        with fresh_store() as whole:
            whole.append(ID, history)
            full = Replay().restore(whole, STREAM, process)
        assert asked(restored) == asked(full)


def test_a_restored_workflow_is_checkpointed_and_restored_again_as_if_never_stopped() -> None:
    process, history = long_history(20)
    for make in SCHEMES:
        with fresh_store() as store:
            done = 0
            for crash in range(3, len(history), 5):
                recorded = Recorded(store, process, history[:crash], make(EveryEvents(4)))
                if done:
                    restored = recorded.scheme.restore(store, STREAM, process)
                    recorded.execution, recorded.standing = restored.execution, restored.standing
                recorded.done = done
                recorded.commit_all()
                done = crash
            check_like_replay(make(Never()), store, process, history)


# -- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [50, 400])
@pytest.mark.parametrize("place", ["tail", "sealed"])
def test_what_is_read_is_the_events_since_however_long_the_history(steps: int, place: str) -> None:
    process, history = long_history(steps)
    with fresh_store() as store:
        scheme = Checkpointed(EveryEvents(25))
        Recorded(store, process, history[:-7], scheme).commit_all(sizes=(5,))
        if place == "sealed":
            store.seal()
        at = store.checkpoints(ID)[-1].at
        restored = Checkpointed(Never()).restore(store, STREAM, process)
        assert restored.checkpoint == store.checkpoints(ID)[-1].id
        assert restored.events_read == restored.replayed == len(history) - 7 - at
        assert restored.events_read <= 30
        full = Replay().restore(store, STREAM, process)
        assert full.replayed == len(history) - 7


def test_a_function_that_declares_its_state_is_read_from_its_newest_savepoint() -> None:
    host = finished(batch, 4, 3)
    marks = [event for event in host.history if event.name == "savepoint"]
    crash = marks[2].sequence + 1
    with fresh_store() as store:
        Recorded(store, batch, host.history[:crash], Checkpointed(EveryEvents(2))).commit_all()
        restored = check_like_replay(Checkpointed(), store, batch, host.history)
        assert restored.events_read < crash - marks[1].sequence
        (found, *_) = contents(store.snapshot(), STREAM)
        assert found.content.state["savepoint"][4 - 1] == found.checkpoint.at + 1


def test_a_new_generation_after_the_checkpoint_is_replayed_from_its_own_beginning() -> None:
    first = [
        Event.of("WorkflowStarted", workflow_id=ID, name="plan", payload={"input": None}),
        Event.of("WorkflowContinuedAsNew", workflow_id=ID, payload={"input": 7}),
        Event.of("WorkflowStarted", workflow_id=ID, name="plan", generation=1,
                 payload={"input": 7}),
    ]  # fmt: skip
    program = Program.of(Sequential(Step("a", agent="x", effect=False)))
    with fresh_store() as store:
        store.append(ID, first[0])
        execution = PlanExecution(program, ID)
        event = store.read(f"/workflows/{ID}").events()[0]
        execution.advance([event])
        Checkpointed().checkpoint(store, STREAM, execution, Standing.of([event]))
        store.append(ID, first[1:])
        restored = Checkpointed().restore(store, STREAM, program)
        (draft,) = restored.execution.advance(())
        assert (draft.event_type, draft.generation) == ("ActivityScheduled", 1)
        assert (restored.events_read, restored.replayed, restored.standing.generation) == (2, 1, 1)


# -- what is kept ----------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_so_many_checkpoints_are_kept_and_every_one_of_them_can_be_gone_on_from(keep: int) -> None:
    for scheme in (
        Checkpointed(EveryEvents(5), keep=keep),
        Incremental(EveryEvents(5), keep=keep, full_every=4),
    ):
        with fresh_store() as store:
            recorded = with_checkpoints(store, scheme)
            held = store.checkpoints(ID)
            whole = sum(checkpoint.origin == "flowlab" for checkpoint in held)
            if isinstance(scheme, Incremental):
                assert keep <= len(held) < keep + 4
                assert whole >= 1
            else:
                assert len(held) == whole == keep
            assert len(files(store)) == len(held)
            assert store.verify().ok
            for path in reversed(files(store)[-keep:]):
                restored = check_like_replay(
                    Checkpointed(), store, recorded.process, recorded.history
                )
                assert restored.checkpoint == path.stem
                path.unlink()


def test_the_number_held_is_that_of_those_taken_up_to_keep_and_what_follows_does_so_then() -> None:
    # With keep from 4 about half of them were kept, and nothing was ever truncated.
    process, history = long_history(13)
    for keep in range(1, 13):
        for scheme in (
            Checkpointed(EveryEvents(2), keep=keep, then="truncate"),
            Incremental(EveryEvents(2), keep=keep, full_every=1, then="truncate"),
        ):
            with fresh_store() as store:
                recorded = Recorded(store, process, history, scheme)
                recorded.commit()
                mine = store.checkpoint(ID, b"mine", savepoint=True)
                taken: list[int] = []
                while len(taken) <= keep:
                    recorded.commit(2)
                    savepoint, *held = store.checkpoints(ID)
                    assert savepoint == mine
                    taken.append(held[-1].at)
                    assert [known.at for known in held] == taken[-keep:]
                    base = store.snapshot().bases.base(STREAM)
                    assert base == (taken[-keep] if len(taken) >= keep else 0)


def test_a_savepoint_and_a_checkpoint_of_somebody_else_are_never_let_go() -> None:
    with fresh_store() as store:
        process, history = long_history(12)
        recorded = Recorded(store, process, history, Checkpointed(EveryEvents(3), keep=1))
        recorded.commit(2)
        mine = store.checkpoint(ID, b"mine", savepoint=True)
        other = store.checkpoint(ID, b"other", origin="somebody")
        recorded.commit_all()
        held = store.checkpoints(ID)
        assert mine in held
        assert other in held
        assert len(held) == 3


def test_deltas_take_fewer_bytes_and_a_damaged_one_is_passed_over_for_one_before() -> None:
    with fresh_store() as store:
        recorded = with_checkpoints(
            store, Incremental(EveryEvents(6), full_every=10, keep=10), 60, upto=100
        )
        held = store.checkpoints(ID)
        whole, *deltas = (checkpoint.size_bytes for checkpoint in held[-6:])
        assert max(deltas) < 0.5 * max(whole, *(c.size_bytes for c in held))
        (store.path / held[-2].path).unlink()
        with pytest.warns(RuntimeWarning, match=held[-2].path):
            restored = Incremental().restore(store, STREAM, recorded.process)
        assert restored.checkpoint == held[-3].id


def test_every_event_names_what_it_depends_on_and_what_is_still_to_be_undone() -> None:
    program, history = long_history(10)
    with fresh_store() as store:
        store.append("@other", [Event.of("A"), Event.of("B")])
        recorded = Recorded(store, program, history[:8], Checkpointed(EveryEvents(4)))
        recorded.commit_all()
        (found, *_) = contents(store.snapshot(), STREAM)
        assert found.content.vector == {ID: 8}
        assert found.content.pending == ("s2", "s1", "s0")
        assert store.load_checkpoint(found.checkpoint).causality == {"vector": {ID: 8}}
        assert repr(found.content) == "WorkflowCheckpoint(plan 'plan' at 8, 3 to undo)"
        standing = Standing.from_json(found.content.standing)
        assert [event.step_id for event in standing.open.values()] == ["s3"]


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_plain_function_says_that_it_recovers_by_replay_or_its_last_continue_as_new() -> None:
    @workflow
    async def plain(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("a", value)

    host = Host(plain).start(1)
    with fresh_store() as store:
        scheme = Checkpointed(EveryEvents(1))
        recorded = Recorded(store, plain, host.history, scheme)
        recorded.commit_all()
        assert store.checkpoints(ID) == ()
        expected = "recovers by replay, or from its last continue-as-new"
        with pytest.raises(InvalidArgumentError, match=expected):
            scheme.checkpoint(store, STREAM, recorded.execution, recorded.standing)
        check_like_replay(scheme, store, plain, host.history)


def test_without_a_savepoint_there_is_nothing_to_checkpoint_and_it_is_said() -> None:
    host = finished(batch, 2, 1)
    with fresh_store() as store:
        scheme = Checkpointed(EveryEvents(1))
        recorded = Recorded(store, batch, host.history[:2], scheme)
        recorded.commit_all()
        with pytest.raises(InvalidArgumentError, match="no savepoint yet"):
            scheme.checkpoint(store, STREAM, recorded.execution, recorded.standing)


def test_a_checkpoint_of_another_plan_or_a_newer_version_is_passed_over_by_name() -> None:
    with fresh_store() as store:
        recorded = with_checkpoints(store, Checkpointed(EveryEvents(8), keep=1), upto=30)
        other = Program.of(Sequential(*(Step(f"s{i}", agent="b", effect=False) for i in range(2))))
        (held,) = store.checkpoints(ID)
        with pytest.warns(RuntimeWarning, match=held.path), pytest.raises(Exception, match="event"):
            Checkpointed().restore(store, STREAM, other)
        body = store.load_checkpoint(held).state.replace(b'"version":1', b'"version":2', 1)
        store.checkpoint(ID, body, origin="flowlab")
        with pytest.warns(RuntimeWarning, match="reads up to 1: use a newer one"):
            restored = Checkpointed().restore(store, STREAM, recorded.process)
        assert restored.checkpoint == held.id


def test_where_everything_is_truncated_and_nothing_can_be_read_it_is_said() -> None:
    with fresh_store() as store:
        recorded = with_checkpoints(
            store, Checkpointed(EveryEvents(8), keep=1, then="truncate"), upto=30
        )
        for path in files(store):
            path.unlink()
        with (
            pytest.warns(RuntimeWarning, match="passed over"),
            pytest.raises(TruncatedError, match="no checkpoint of it can be read"),
        ):
            Checkpointed().restore(store, STREAM, recorded.process)


def test_a_checkpoint_that_cannot_be_written_is_a_warning_and_nothing_is_lost(
    tmp_path: Any,
) -> None:
    process, history = long_history(10)
    disk = FaultyDisk(
        tmp_path, Fault("write s/checkpoints/#/.#.state.#", how="ENOSPC", lasting=True)
    )
    with EventStore(tmp_path / "s", disk=disk) as store:
        recorded = Recorded(store, process, history, Checkpointed(EveryEvents(5)))
        with pytest.warns(RuntimeWarning, match="no checkpoint of 'w' could be taken"):
            recorded.commit_all()
        assert store.checkpoints(ID) == ()
        assert len(store.read(f"/workflows/{ID}")) == len(history)
        check_like_replay(Checkpointed(), store, process, history)


# -- policies --------------------------------------------------------------------------------------


def test_policies_ask_for_a_checkpoint_exactly_where_they_say() -> None:
    process, history = long_history(40)
    cases: list[tuple[Policy, list[int]]] = [
        (EveryEvents(20), [20, 40, 60, 80]),
        (EveryInterval(20 * SECOND), [21, 41, 61, 81]),
        (Never(), []),
    ]
    for policy, places in cases:
        with fresh_store() as store:
            Recorded(store, process, history, Checkpointed(policy, keep=99)).commit_all()
            assert [found.at for found in store.checkpoints(ID)] == places
    with fresh_store() as store:
        Recorded(store, process, history, Checkpointed(BySize(1_000), keep=99)).commit_all()
        places = [0, *(found.at for found in store.checkpoints(ID))]
        assert len(places) > 2
        for before, after in pairwise(places):
            sizes = [len(event.payload or b"") for event in history[before:after]]
            assert sum(sizes[:-1]) < 1_000 <= sum(sizes)


def test_a_clock_that_jumps_back_makes_no_interval() -> None:
    since = Since()
    for time_ns in (100 * SECOND, 10 * SECOND, 105 * SECOND):
        since.take(Event.of("A", time_ns=time_ns))
    assert not EveryInterval(6 * SECOND).due(since)
    assert EveryInterval(5 * SECOND).due(since)


def test_what_the_lawful_policy_has_learned_goes_on_in_the_next_process() -> None:
    ticks = iter(range(10**6))
    with fresh_store() as store:
        policy = Lawful()
        policy.estimates = policy.estimates.replayed(10_000, 1_000.0).wrote(100, 1e-6)
        assert policy.every < 20
        scheme = Checkpointed(policy, clock=lambda: next(ticks) * 1e-6)
        recorded = with_checkpoints(store, scheme, 60, upto=100)
        assert store.checkpoints(ID)
        again = Lawful()
        Checkpointed(again, clock=lambda: next(ticks) * 1e-6).restore(
            store, STREAM, recorded.process
        )
        assert again.estimates.events > 5_000
        assert again.every < 1_000
        assert again.estimates.recoveries == 1.5


def test_a_cache_gives_an_execution_to_one_and_forgets_one_that_is_behind() -> None:
    process, history = long_history(20)
    with fresh_store() as store:
        cache = Cached(Checkpointed(EveryEvents(10)))
        recorded = Recorded(store, process, history, cache)
        recorded.commit(10)
        store.append(ID, history[10:13])
        restored = cache.restore(store, STREAM, process)
        assert restored.execution is recorded.execution
        assert restored.events_read == 3
        again = cache.restore(store, STREAM, process)
        assert again.execution is not recorded.execution
        assert asked(again) == asked(restored)
        assert goes_on_alike(again, history) == goes_on_alike(restored, history)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EveryEvents(0), "events is 0"),
        (lambda: EveryInterval(0), "interval is 0"),
        (lambda: BySize(True), "size_bytes is True"),
        (lambda: Checkpointed(EveryEvents), "policy is"),  # type: ignore[arg-type]
        (lambda: Checkpointed(keep=0), "keep is 0"),
        (lambda: Checkpointed(then="burn"), "then is 'burn'"),  # type: ignore[arg-type]
        (lambda: Incremental(full_every=0), "full_every is 0"),
        (lambda: Cached(Replay(), size=0), "size is 0"),
    ],
)
def test_what_is_no_policy_and_no_scheme_is_refused_by_name(
    make: Callable[[], Any], said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        make()
