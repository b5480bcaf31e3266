"""After a crash the world outside is asked whether an effect has happened, and the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowlab.errors import ActivityError, CancelledError, InvalidArgumentError
from flowlab.runtime import ActivityContext, Done, Gone, Runtime
from flowlab.store import EventStore
from flowlab.workflow import Choreography, Reaction, WorkflowContext, workflow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as opened:
        yield opened


@workflow
async def pay(ctx: WorkflowContext, amount: int) -> Any:
    try:
        return await ctx.call_activity("charge", amount)
    except ActivityError as error:
        return str(error)


class Bank:
    def __init__(self) -> None:
        self.calls: list[int] = []

    async def charge(self, ctx: ActivityContext, amount: int) -> Any:
        self.calls.append(ctx.delivery)
        if len(self.calls) == 1:
            await asyncio.sleep(3600)
        return f"charged {amount} in delivery {ctx.delivery}"


async def some(calls: list[int]) -> None:
    while not calls:  # noqa: ASYNC110 - the list is filled by an activity
        await asyncio.sleep(0.001)


def stopped(store: EventStore, bank: Bank, agents: Any) -> None:
    async def begin() -> None:
        async with Runtime(store, pay, **agents) as runtime:
            await runtime.start(pay, 5, id="w")
            await some(bank.calls)

    asyncio.run(begin())


def markers(store: EventStore) -> list[tuple[str, str]]:
    return [
        (event.data["key"], event.data["found"])
        for event in store.log().events()
        if event.event_type == "MarkerRecorded"
    ]


def found(result: Any) -> Callable[..., Any]:
    async def ask(ctx: ActivityContext, amount: int) -> Any:
        assert (ctx.idempotency_key, amount) == ("w/charge.2", 5)
        await asyncio.sleep(0)
        return result

    return ask


@pytest.mark.parametrize("whose", ["nobody's", "an agent's"])
@pytest.mark.parametrize(
    ("said", "result", "verdict"),
    [
        (Done("charged before"), "charged before", "done"),
        (Gone("DeclinedError", "no money"), "no money", "gone"),
        (None, "charged 5 in delivery 2", "not done"),
        ("perhaps", "may have happened", "unknown"),
    ],
)
def test_what_is_found_out_is_recorded_and_a_thing_that_has_happened_is_not_repeated(
    store: EventStore, said: Any, result: str, verdict: str, whose: str
) -> None:
    bank = Bank()
    agents: dict[str, Any] = {"activities": {"charge": bank.charge}}
    if whose == "an agent's":
        agents = {"agents": {"bank": {"charge": bank.charge}}}
    stopped(store, bank, agents)

    told = Runtime(store, pay, uncertain={"charge": found(said)}, **agents).run(pay, id="w")

    assert result in told
    assert bank.calls == ([1, 2] if verdict == "not done" else [1])
    assert markers(store) == [("w/charge.2", verdict)]
    named = [e for e in store.log().events() if e.event_type == "AgentRestarted"]
    assert [e["policy"] for event in named for e in event.data["uncertain"]] == ["ask"]
    again = Runtime(store, pay, uncertain={"charge": found(said)}, **agents).run(pay, id="w")
    assert again == told


def test_asking_may_take_place_in_a_thread_and_its_failure_is_no_answer(store: EventStore) -> None:
    bank = Bank()
    agents = {"activities": {"charge": bank.charge}}
    stopped(store, bank, agents)

    def ask() -> None:
        message = "nobody answers"
        raise OSError(message)

    told = Runtime(store, pay, uncertain={"charge": ask}, **agents).run(pay, id="w")
    assert "may have happened" in told
    assert "nobody answers" in told
    assert bank.calls == [1]


def test_a_crash_while_asking_asks_again(store: EventStore) -> None:
    bank = Bank()
    agents = {"activities": {"charge": bank.charge}}
    stopped(store, bank, agents)
    asked: list[int] = []

    async def never(ctx: ActivityContext) -> None:
        asked.append(ctx.delivery)
        await asyncio.sleep(3600)

    async def begin() -> None:
        async with Runtime(store, pay, uncertain=never, **agents) as runtime:
            await runtime.recover()
            await some(asked)

    asyncio.run(begin())
    asyncio.run(begin())
    told = Runtime(store, pay, uncertain=found(Done("charged")), **agents).run(pay, id="w")
    assert told == "charged"
    assert bank.calls == [1]
    assert markers(store) == [("w/charge.2", "done")]


def test_reactions_of_a_choreography_are_asked_for_too(store: EventStore) -> None:
    order = Choreography(
        Reaction("bank", on="Placed", emits="Paid", activity="charge"),
        start="Placed",
        final="Paid",
        name="order",
    )
    bank = Bank()
    agents = {"agents": {"bank": {"charge": bank.charge}}}

    async def begin() -> None:
        async with Runtime(store, order, **agents) as runtime:
            await runtime.start(order, 5, id="w")
            await some(bank.calls)

    asyncio.run(begin())
    runtime = Runtime(store, order, uncertain=lambda: Done("charged before"), **agents)
    assert runtime.run(order, id="w") == {"Paid": "charged before"}
    assert bank.calls == [1]
    assert markers(store) == [("w/charge", "done")]


def test_a_policy_is_a_word_or_a_function(store: EventStore) -> None:
    with pytest.raises(InvalidArgumentError, match="repeat or fail, or a function"):
        Runtime(store, pay, uncertain={"charge": 3})  # type: ignore[dict-item]


@workflow
async def gives_up(ctx: WorkflowContext, amount: int) -> Any:
    call = ctx.call_activity("charge", amount)
    await ctx.wait_for_event("stop")
    call.cancel()
    try:
        return await call
    except CancelledError:
        return "given up"


FOUND = {"repeat": "given up", "fail": "given up", "not done": "given up", "done": 7}


@pytest.mark.parametrize("policy", FOUND)
def test_what_was_asked_to_be_given_up_before_a_crash_is_not_begun_again(
    policy: str, store: EventStore
) -> None:
    bank = Bank()

    async def charge(ctx: ActivityContext, amount: int) -> Any:
        bank.calls.append(amount)
        if ctx.delivery > 1:
            return "charged again"
        while True:  # it does not let itself be stopped
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if len(bank.calls) > 1:
                    raise
                bank.calls.append(-1)

    async def begin() -> None:
        runtime = Runtime(store, gives_up, activities=[charge])
        await runtime.start(gives_up, 5, id="w")
        await some(bank.calls)
        await runtime.raise_event("w", "stop")
        while len(bank.calls) < 2:  # noqa: ASYNC110 - the list is filled by an activity
            await asyncio.sleep(0.001)
        await runtime.close()

    def asked(_ctx: ActivityContext, _amount: int) -> Done | None:
        return Done(7) if policy == "done" else None

    async def go_on() -> Any:
        uncertain: Any = policy if policy in {"repeat", "fail"} else {"charge": asked}
        async with Runtime(store, gives_up, activities=[charge], uncertain=uncertain) as runtime:
            (handle,) = await runtime.recover()
            return await handle.result()

    asyncio.run(begin())
    kinds = [event.event_type for event in store.log().events() if event.workflow_id == "w"]
    assert kinds[-1] == "ActivityCancelRequested"
    bank.calls.clear()
    assert asyncio.run(go_on()) == FOUND[policy]
    assert bank.calls == []
