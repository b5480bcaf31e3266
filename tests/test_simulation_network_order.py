"""Messages of a link: in order where the network says so, and never to one who is not there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.simulation import Agent, AgentContext, Faults, Network, Start, Uniform, World, simulate
from flowlab.workflow import Step

MANY = 40


def post_office(*, fifo: bool) -> World:
    def send(ctx: AgentContext, number: int) -> None:
        ctx.send("reader", "note", number)

    def note(ctx: AgentContext, number: int) -> None:
        ctx.state["read"].append(number)

    return World(
        [Agent("writer", send), Agent("reader", note, state={"read": []})],
        Step("send", agent="writer", kind="pivot", input=None),
        [Start(f"letter-{n}", n, at=n) for n in range(MANY)],
        network=Network(latency=Uniform(1, 1_000), fifo=fifo),
    )


@given(st.integers(0, 1_000))
def test_messages_of_a_link_arrive_in_the_order_in_which_they_were_sent_if_asked(
    seed: int,
) -> None:
    arrivals: dict[bool, list[int]] = {}
    for fifo in (True, False):
        log = simulate(post_office(fifo=fifo), seed=seed, faults=Faults(reorder=0.2)).log
        events = sorted(log, key=lambda event: event.sequence)
        sent = [event.sequence for event in events if event.event_type == "MessageSent"]
        arrivals[fifo] = [
            event.causes[0].sequence
            for event in events
            if event.workflow_id == "@reader" and event.event_type == "MessageReceived"
        ]
        assert sorted(arrivals[fifo]) == sent
    assert arrivals[True] == sorted(arrivals[True])
    assert arrivals[False] != sorted(arrivals[False])


@pytest.mark.parametrize(
    ("to", "value", "told"),
    [
        ("nobody", 1, "no agent is called 'nobody'"),
        ("writer", 1, "no handler for 'note'"),
        ("reader", float("nan"), "cannot hold without loss"),
    ],
)
def test_a_letter_that_cannot_be_sent_fails_the_handler_and_leaves_nothing(
    to: str, value: Any, told: str
) -> None:
    def send(ctx: AgentContext, _: object) -> None:
        ctx.state["sent"] = True
        ctx.send(to, "note", value)

    world = World(
        [Agent("writer", send), Agent("reader", named={"note": lambda _ctx, _value: None})],
        Step("send", agent="writer", kind="pivot"),
    )
    run = simulate(world)

    assert run.statuses == {"plan-1": "failed"}
    assert told in run.results["plan-1"]["error"]["message"]
    assert dict(run.states["writer"]) == {}
