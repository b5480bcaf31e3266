"""Choreographies in a world: agents hear of events, and nobody conducts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.causality import CausalOrder
from flowlab.errors import InvalidArgumentError, PlanError
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, Faults, Network, Run, Signal, Start, World, simulate
from flowlab.simulation.choreography_outbox import MAX_SENDS
from flowlab.workflow import (
    SECOND,
    Choreography,
    Compensation,
    Plan,
    Reaction,
    Sequential,
    Step,
    field,
    result,
    states_of,
    workflow,
)

MILLISECOND = SECOND // 1_000
HEALING = Faults(loss=0.2, duplicate=0.2, reorder=0.2, crash=0.1, hang=0.05, slow=0.1)
TOTAL = {"total": field("total")}
ORDER = Choreography(
    Reaction(
        "kitchen",
        on="Placed",
        emits="Made",
        activity="make",
        compensation="scrap",
        undone_by="Refused",
    ),
    Reaction(
        "bank", on="Made", emits="Paid", fails_with="Refused", activity="charge", kind="pivot"
    ),
    Reaction(
        "rider", on="Paid", emits="Brought", activity="bring", kind="retryable", idempotent=True
    ),
    start="Placed",
    final=["Brought"],
    name="order",
)
CONDUCTED = Plan(
    Sequential(
        Step("make", agent="kitchen", input=TOTAL, compensation="scrap"),
        Step("charge", agent="bank", input=TOTAL, kind="pivot"),
        Step("bring", agent="rider", input=TOTAL, kind="retryable", idempotent=True),
    ),
    name="order",
)


def count(name: str, by: int = 1) -> Any:
    def handler(ctx: Any, value: Any) -> Any:
        ctx.state[name] = ctx.state.get(name, 0) + by
        return value

    return handler


def charge(ctx: Any, value: Any) -> Any:
    if value["total"] > 50:
        message = f"{value['total']} is more than there is"
        raise ValueError(message)
    ctx.state["charged"] = ctx.state.get("charged", 0) + value["total"]
    return value


def order(totals: list[int], process: Any = ORDER, *, deduplicate: bool = True) -> World:
    agents = [
        Agent("rider", named={"bring": count("brought")}, deduplicate=deduplicate),
        Agent(
            "kitchen",
            named={"make": count("tickets"), "scrap": count("tickets", -1)},
            deduplicate=deduplicate,
        ),
        Agent("bank", charge, deduplicate=deduplicate),
    ]
    starts = [Start(f"order-{n}", {"total": total}) for n, total in enumerate(totals, 1)]
    return World(agents, process, starts)


def left(run: Run) -> dict[str, dict[str, Any]]:
    return {
        name: {cell: value for cell, value in cells.items() if value}
        for name, cells in run.states.items()
    }


def history(run: Run, workflow_id: str) -> list[tuple[str, str]]:
    events = [event for event in run.log.events() if event.workflow_id == workflow_id]
    return [(event.event_type, event.name) for event in events]


TOTALS = st.lists(st.integers(1, 100), min_size=1, max_size=4)


@given(TOTALS, st.integers(0, 1000))
@settings(max_examples=25)
def test_a_conducted_and_a_choreographed_saga_leave_the_same_states(
    totals: list[int], seed: int
) -> None:
    conducted = simulate(order(totals, CONDUCTED), seed=seed)
    danced = simulate(order(totals), seed=seed)
    assert left(conducted) == left(danced)
    assert dict(conducted.statuses) == dict(danced.statuses)
    assert danced.ok


@given(TOTALS, st.integers(0, 10_000))
@settings(max_examples=60)
def test_agents_that_deduplicate_do_each_saga_wholly_or_not_at_all_whatever_goes_wrong(
    totals: list[int], seed: int
) -> None:
    run = simulate(order(totals), seed=seed, faults=HEALING)
    paid = [total for total in totals if total <= 50]
    assert Counter(run.statuses.values()) == +Counter(
        completed=len(paid), failed=len(totals) - len(paid)
    )
    whole = {
        "bank": {"charged": sum(paid)},
        "kitchen": {"tickets": len(paid)},
        "rider": {"brought": len(paid)},
    }
    assert left(run) == (whole if paid else {"bank": {}, "kitchen": {}, "rider": {}})


def test_an_agent_that_does_not_deduplicate_does_it_again_when_a_message_comes_twice() -> None:
    doubled = Faults(duplicate=0.5)
    told = [simulate(order([5], deduplicate=False), seed=n, faults=doubled) for n in range(20)]
    brought = {run.states["rider"]["brought"] for run in told}
    # A doubled event is a doubled saga from there on.
    assert brought == set(range(1, 8))
    assert all(run.statuses == {"order-1": "completed"} for run in told)
    for run in told:
        events = run.log.events()
        ends = [e.position for e in events if e.event_type == "WorkflowCompleted"]
        later = [e for e in events if e.position > ends[0]]
        assert later == []


def test_what_a_stream_holds_is_the_events_and_the_end() -> None:
    run = simulate(order([5, 70]))
    assert history(run, "order-1") == [
        ("WorkflowStarted", "order"),
        ("Signaled", "Made"),
        ("Signaled", "Paid"),
        ("Signaled", "Brought"),
        ("WorkflowCompleted", "order"),
    ]
    assert history(run, "order-2") == [
        ("WorkflowStarted", "order"),
        ("Signaled", "Made"),
        ("Signaled", "Refused"),
        ("CompensationScheduled", "scrap"),
        ("CompensationCompleted", "scrap"),
        ("WorkflowFailed", "order"),
    ]
    assert run.results["order-1"] == {"Brought": {"total": 5}}
    assert run.results["order-2"]["error"] == {
        "message": "70 is more than there is",
        "type": "ValueError",
    }
    lanes = {e.name: e.agent_id for e in run.log.events() if e.event_type == "Signaled"}
    assert lanes == {"Made": "kitchen", "Paid": "bank", "Refused": "bank", "Brought": "rider"}
    (undo,) = [e for e in run.log.events() if e.event_type == "CompensationScheduled"]
    assert undo.data["input"] == {"input": {"total": 70}, "result": {"total": 70}}


@given(TOTALS, st.integers(0, 10_000))
@settings(max_examples=25)
def test_the_status_of_a_saga_is_a_projection_of_its_stream(totals: list[int], seed: int) -> None:
    run = simulate(order(totals), seed=seed, faults=HEALING)
    rows = run.log.sql("SELECT workflow_id, status FROM workflows").rows()
    assert dict(rows) == dict(run.statuses)
    for workflow_id, status in rows:
        events = [event for event in run.log.events() if event.workflow_id == workflow_id]
        failed = any(
            event.event_type == "CompensationScheduled" or event.name == "Refused"
            for event in events
        )
        assert status == ("failed" if failed else "completed")
        states_of(events)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_causes_lead_from_each_event_over_a_reaction_to_the_next(seed: int) -> None:
    run = simulate(order([5, 70]), seed=seed, faults=HEALING)
    events = {(event.workflow_id, event.sequence): event for event in run.log.events()}
    graph = nx.DiGraph()
    for a, n, b, m in run.log.sql(
        "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence FROM edges"
    ).rows():
        graph.add_edge((a, n), (b, m))
    assert nx.is_directed_acyclic_graph(graph)
    on = {"Made": "order", "Paid": "Made", "Refused": "Made", "Brought": "Paid"}
    for key, event in events.items():
        if event.event_type != "Signaled":
            continue
        before = [other for other in nx.ancestors(graph, key) if other[0] == event.workflow_id]
        assert on[event.name] in {events[other].name for other in before}
        (txn,) = [cause for cause in event.causes if cause.kind == 1]
        assert events[txn.workflow_id, txn.sequence].coordination_id == event.workflow_id
        (received,) = list(graph.predecessors((txn.workflow_id, txn.sequence)))[:1]
        assert events[received].agent_id == event.agent_id


def parallel(*, late: Network, service: int = 0, deduplicate: bool = False, **given: Any) -> World:
    """Return a saga whose second branch fails before, while or after the first works."""
    danced = Choreography(
        Reaction(
            "stock",
            on="Placed",
            emits="Reserved",
            activity="reserve",
            compensation=given.pop("compensation", "release"),
            undone_by="Refused",
        ),
        Reaction(
            "bank", on="Placed", emits="Paid", fails_with="Refused", activity="charge", kind="pivot"
        ),
        start="Placed",
        final=["Reserved", "Paid"],
    )
    stock = {
        "reserve": count("reserved"),
        "release": given.pop("release", count("reserved", -1)),
    }
    agents = [
        Agent("stock", named=stock, service=service, deduplicate=deduplicate),
        Agent("bank", charge, deduplicate=deduplicate),
        Agent("clerk", named={"release": count("released")}),
    ]
    return World(agents, danced, [Start("o", {"total": 70})], network=late, **given)


SLOW_LINK = Network(latency=1, links={("outside", "stock"): SECOND})
NETWORKS = (Network(), SLOW_LINK)


def test_an_event_that_comes_after_what_undoes_it_is_not_acted_on() -> None:
    run = simulate(parallel(late=SLOW_LINK))
    assert run.statuses == {"o": "failed"}
    assert dict(run.states["stock"]) == {}
    (dropped,) = [event for event in run.log.events() if event.event_type == "MessageDropped"]
    assert dropped.data == {"reason": "stock has heard that it is undone", "to": "stock"}


def test_what_is_worked_on_when_the_undoing_is_asked_for_is_done_first_and_then_undone() -> None:
    run = simulate(parallel(late=Network(latency=1), service=SECOND))
    assert run.statuses == {"o": "failed"}
    assert dict(run.states["stock"]) == {"reserved": 0}
    assert [name for _, name in history(run, "o")] == [
        "choreography",
        "Refused",
        "Reserved",
        "release",
        "release",
        "choreography",
    ]


@given(st.integers(0, 10_000), st.sampled_from([0, MILLISECOND, SECOND]), st.sampled_from(NETWORKS))
@settings(max_examples=60)
def test_a_branch_of_a_saga_that_failed_leaves_nothing_however_late_its_event_comes(
    seed: int, service: int, late: Network
) -> None:
    world = parallel(late=late, service=service, deduplicate=True)
    run = simulate(world, seed=seed, faults=HEALING)
    assert run.statuses == {"o": "failed"}
    assert run.states["stock"].get("reserved", 0) == 0


def test_another_agent_may_undo_and_its_input_may_be_made_of_the_result() -> None:
    undo = Compensation("release", agent="clerk", input={"n": result("reserve", "total")})
    run = simulate(parallel(late=Network(latency=1), compensation=undo))
    assert run.states["clerk"]["released"] == 1
    (asked,) = [e for e in run.log.events() if e.event_type == "CompensationScheduled"]
    assert (asked.agent_id, asked.data["input"]) == ("clerk", {"n": 70})


def test_a_compensation_that_fails_is_tried_again_and_is_told_if_it_never_succeeds() -> None:
    def stubborn(ctx: Any) -> None:
        if ctx.attempt < 4:
            message = "not yet"
            raise RuntimeError(message)
        ctx.state["reserved"] -= 1

    run = simulate(parallel(late=Network(latency=1), release=stubborn))
    assert run.statuses == {"o": "failed"}
    kinds = Counter(event_type for event_type, _ in history(run, "o"))
    assert kinds["CompensationScheduled"] == 4
    assert kinds["CompensationFailed"] == 3
    assert run.end_ns >= 3 * 30 * SECOND

    def never() -> None:
        message = "never"
        raise RuntimeError(message)

    run = simulate(parallel(late=Network(latency=1), release=never))
    assert run.statuses == {"o": "open"}
    assert str(run.stuck[0]) == (
        f"o waits for stock to acknowledge Refused (release), sent {MAX_SENDS} times"
    )


def test_what_is_never_acknowledged_is_sent_a_hundred_times_and_reported() -> None:
    run = simulate(order([5]), faults=Faults(loss=1.0))
    assert str(run.stuck[0]) == (
        f"order-1 waits for kitchen to acknowledge Placed (make), sent {MAX_SENDS} times"
    )
    sent = [event for event in run.log.events() if event.event_type == "MessageSent"]
    assert [event.data["attempt"] for event in sent] == list(range(1, MAX_SENDS + 1))
    assert len(run.faults) == MAX_SENDS


def test_a_retryable_reaction_that_fails_hears_of_its_event_again() -> None:
    def bring(ctx: Any) -> str:
        if ctx.attempt < 3:
            message = "it rains"
            raise RuntimeError(message)
        return "brought"

    agents = [
        Agent("kitchen", named={"make": count("tickets"), "scrap": count("tickets", -1)}),
        Agent("bank", charge),
        Agent("rider", bring),
    ]
    run = simulate(World(agents, ORDER, [Start("o", {"total": 5})]))
    assert run.results == {"o": {"Brought": "brought"}}
    aborted = [event for event in run.log.events() if event.event_type == "TransactionAborted"]
    assert len(aborted) == 2


def test_an_event_that_comes_about_in_two_ways_is_two_events() -> None:
    both = Choreography(
        Reaction("a", on="Go", emits="Part", activity="left", effect=False),
        Reaction("b", on="Go", emits="Part", activity="right", effect=False),
        Reaction("c", on="Part", emits="Counted", activity="count", effect=False),
        Reaction("d", on="Counted", emits="Noted", activity="note", effect=False),
        start="Go",
        final="Noted",
    )
    agents = [
        Agent("a", named={"left": lambda: "l"}),
        Agent("b", named={"right": lambda: "r"}),
        Agent("c", named={"count": count("parts")}, deduplicate=True),
        Agent("d", named={"note": count("notes")}, deduplicate=True),
    ]
    for seed in range(20):
        run = simulate(World(agents, both), seed=seed, faults=HEALING)
        assert run.states["c"] == {"parts": 2}
        assert run.states["d"] == {"notes": 2}


def test_what_comes_from_outside_later_is_heard_until_the_end() -> None:
    twice = Choreography(
        Reaction("a", on="Asked", emits="Answered", activity="answer", effect=False),
        start=["Asked", "Reminded"],
        final=["Answered", "Reminded"],
    )
    agents = [Agent("a", named={"answer": count("answers")}, deduplicate=True)]
    starts = [
        Start("q", 1),
        Signal("q", "Asked", 2, at=1),
        Signal("q", "Reminded", 3, at=2),
        Signal("q", "Asked", 4, at=SECOND),
    ]
    run = simulate(World(agents, twice, starts))
    assert run.states["a"] == {"answers": 2}
    assert run.results["q"].keys() == {"Answered", "Reminded"}
    (dropped,) = [event for event in run.log.events() if event.event_type == "MessageDropped"]
    assert dropped.data == {"reason": "the workflow is completed", "to": "q"}


def test_a_saga_that_leads_to_no_final_event_is_reported() -> None:
    silent = Choreography(
        Reaction("a", on="Go", activity="stop", effect=False),
        Reaction("a", on="Late", emits="End", activity="end", effect=False),
        start=["Go", "Late"],
        final="End",
    )
    agents = [Agent("a", named={"stop": lambda: None, "end": lambda: None})]
    run = simulate(World(agents, silent, [Start("s")]))
    assert str(run.stuck[0]) == (
        "s waits for a final event (End), which nothing that is on its way leads to"
    )


def test_a_choreography_may_be_the_child_of_a_workflow() -> None:
    @workflow
    async def parent(ctx: Any, value: Any) -> Any:
        return await ctx.call_child_workflow("order", value)

    world = order([])
    world = World(world.agents, [parent, ORDER], [Start("p", {"total": 5})])
    run = simulate(world)
    assert run.results["p"] == {"Brought": {"total": 5}}
    assert sorted(run.statuses.values()) == ["completed", "completed"]


def test_the_same_world_gives_the_same_log_in_whatever_order_its_agents_stand() -> None:
    for seed in range(5):
        one = order([5, 70, 9])
        other = World(one.agents[::-1], ORDER, one.starts)
        first = simulate(one, seed=seed, faults="chaos")
        assert first.digest == simulate(other, seed=seed, faults="chaos").digest
        assert first.digest != simulate(one, seed=seed + 1, faults="chaos").digest


def test_a_choreography_that_cannot_run_is_refused_before_anything_runs() -> None:
    turning = Choreography(
        Reaction("a", on="Ping", emits="Pong", activity="x", effect=False),
        Reaction("a", on="Pong", emits="Ping", activity="y", effect=False),
        start="Ping",
    )
    agent = Agent("a", named={"x": lambda: None, "y": lambda: None})
    with pytest.raises(PlanError, match=r"Ping → \(a\) → Pong → \(a\) → Ping"):
        World([agent], turning)
    agents = [agent for agent in order([]).agents if agent.name != "kitchen"]
    with pytest.raises(InvalidArgumentError, match="'kitchen' for 'scrap', for which it has no"):
        World([*agents, Agent("kitchen", named={"make": count("tickets")})], ORDER)
    with pytest.raises(InvalidArgumentError, match="is a choreography, which names its agents"):
        simulate(World(order([]).agents, ORDER, [Start("o", roles={"bank": "bank"})]))


@pytest.mark.parametrize("seed", range(4))
def test_what_an_agent_does_and_tells_is_one_chain(seed: int) -> None:
    """What an agent told stood beside its lane, and cut in two what it did before and after."""
    world = SCENARIOS["choreographed_order"]
    order = CausalOrder(simulate(world, seed=seed, faults=HEALING).log)
    whole = {order.graph.lanes.ids[lane] for lane in order.chains.lane[order.chains.whole]}

    assert {agent.name for agent in world().agents} <= whole
