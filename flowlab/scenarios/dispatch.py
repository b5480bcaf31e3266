"""Ride dispatch: riders come when they like, and a driver who is asked answers, or does not.

What happens. Each ride is a workflow. It asks the dispatcher for a driver who is free, sends that
driver an offer, and waits for the first of three events: the answer of the driver, the patience of
the dispatcher running out, or the rider giving up. A driver who is asked thinks for a while, some
of them for too long. If the answer is yes, the driver brings the rider home. Otherwise the offer is
withdrawn, its saga fails and lets the driver be free again, and the next one is asked.

What to look at. Answers that come late: a driver said yes, and the ride was already withdrawn. Such
an event is in the history of its ride, and nothing follows from it. Also a signal may be lost, so
a ride must never depend on hearing one: that is what the timer is for.

A query to try, which shows how each ride was answered, and when:

    SELECT workflow_id, time_ns / 1e9 AS seconds, name, decode(payload) AS answer
    FROM events WHERE event_type IN ('Signaled', 'TimerFired') ORDER BY workflow_id, sequence

The planted bug (`bug=True`). When the time is up, the driver is not told that the offer is
withdrawn. Whoever then says yes waits at the curb for a rider who rides with somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Final

from flowlab.simulation import (
    Agent,
    AgentContext,
    Chances,
    Exponential,
    LogNormal,
    Run,
    Signal,
    Start,
    World,
    scenario,
)
from flowlab.workflow import SECOND, RetryPolicy, WorkflowContext, workflow

UNTIL_IT_SUCCEEDS: Final = RetryPolicy(maximum_interval=20 * SECOND)
PATIENCE: Final = 15 * SECOND
FREE: Final[dict[str, Any]] = {
    "agent": "dispatcher",
    "compensation": "release",
    "retry": UNTIL_IT_SUCCEEDS,
}


class NobodyDrivesError(Exception):
    """An offer came to nothing."""


@workflow
async def ride(ctx: WorkflowContext, task: dict[str, Any]) -> str:
    """Find a driver for a rider, and bring the rider home; return who did it, or why nobody."""
    gone = ctx.wait_for_event("gone")

    async def ask(agent: str, activity: str, value: Any = None) -> Any:
        return await ctx.call_activity(activity, value, agent=agent, retry=UNTIL_IT_SUCCEEDS)

    async def driven(offer: int) -> str:
        async with ctx.saga() as saga:
            driver = await saga.step("propose", offer, **FREE)
            if driver is None:
                await ctx.when_any(gone, ctx.sleep(PATIENCE))
                raise NobodyDrivesError
            answer = ctx.wait_for_event(f"answer {offer}")
            ctx.call_activity("offer", offer, agent=driver)
            first = await ctx.when_any(answer, gone, ctx.sleep(PATIENCE))
            if first is answer and await answer:
                await ask(driver, "drive")
                await ask("dispatcher", "release", {"input": offer})
                return f"driven by {driver}"
            if first is answer or not task["forgetful"]:
                await ask(driver, "withdraw", offer)
            raise NobodyDrivesError

    for offer in range(task["offers"]):
        if gone.done:
            break
        try:
            return await driven(offer)
        except NobodyDrivesError:
            continue
    return "the rider has gone" if gone.done else "no driver"


def propose(ctx: AgentContext, offer: int) -> str | None:
    """Choose a driver who is free; the same offer is of the same driver, however often asked."""
    key, chosen = f"{ctx.workflow_id}/{offer}", ctx.state["offers"]
    if key not in chosen:
        free = sorted(name for name, held in ctx.state["drivers"].items() if held is None)
        chosen[key] = ctx.random("who").choice(free) if free else None
        if free:
            ctx.state["drivers"][chosen[key]] = key
    return chosen[key]  # type: ignore[no-any-return]


def release(ctx: AgentContext, done: dict[str, Any]) -> None:
    """Let the driver of an offer, if it had any, be free for others."""
    key, drivers = f"{ctx.workflow_id}/{done['input']}", ctx.state["drivers"]
    driver = ctx.state["offers"].setdefault(key, None)
    if driver is not None and drivers[driver] == key:
        drivers[driver] = None


def offer(ctx: AgentContext, number: int) -> None:
    """Think about an offer, and tell the ride yes or no; a driver has one ride at a time.

    The offer may come once more when all is over: the ride was withdrawn, or is driven.
    """
    key = f"{ctx.workflow_id}/{number}"
    if key in ctx.state["over"] or ctx.workflow_id in ctx.state["driven"]:
        return
    free = ctx.state["ride"] in {None, ctx.workflow_id}
    yes = free and ctx.random("answer").random() < ctx.state["kindness"]
    if yes:
        ctx.state["ride"] = ctx.workflow_id
    ctx.signal(ctx.workflow_id, f"answer {number}", yes)


def withdraw(ctx: AgentContext, number: int) -> None:
    """Give up a ride that was offered, also if the offer comes only later."""
    ctx.state["over"][f"{ctx.workflow_id}/{number}"] = True
    if ctx.state["ride"] == ctx.workflow_id:
        ctx.state["ride"] = None


def drive(ctx: AgentContext) -> None:
    """Bring the rider home, once."""
    if ctx.workflow_id not in ctx.state["driven"]:
        ctx.state["driven"].append(ctx.workflow_id)
    if ctx.state["ride"] == ctx.workflow_id:
        ctx.state["ride"] = None


def nobody_waits_at_the_curb(run: Run) -> Iterator[str]:
    """No driver has a ride whose workflow has ended."""
    for name, cells in run.states.items():
        waits_for = cells.get("ride")
        if waits_for is not None and run.statuses[waits_for] != "open":
            yield f"{name} waits for {waits_for}, which has ended: {run.results[waits_for]}"


def a_rider_rides_once(run: Run) -> Iterator[str]:
    """A rider is brought home by the driver whom the workflow names, and by no other."""
    for name, status in run.statuses.items():
        by = [driver for driver, cells in run.states.items() if name in cells.get("driven", ())]
        named = run.results[name].split()[-1:] if by and status == "completed" else by[:1]
        if by != named or len(by) > 1:
            yield f"{name} rode with {', '.join(by)}; the workflow says {run.results[name]}"


@scenario
def dispatch(
    *, rides: int = 4, drivers: int = 2, kindness: float = 0.7, bug: bool = False
) -> World:
    """Ride dispatch with late arrivals, late answers, and riders who give up.

    Args:
        rides: how many riders come, one every ten seconds or so.
        drivers: how many drivers there are.
        kindness: the share of offers that a driver accepts who has no ride.
        bug: whether a driver is not told that the time for an answer was up.
    """
    names = [f"driver-{n}" for n in range(1, drivers + 1)]
    book: dict[str, Any] = {"drivers": dict.fromkeys(names), "offers": {}}
    agents = [Agent("dispatcher", propose, release, state=book, service=Exponential(SECOND // 10))]
    for name in names:
        cells: dict[str, Any] = {"ride": None, "over": {}, "driven": [], "kindness": kindness}
        thinks = LogNormal(6 * SECOND, 0.9)
        agents.append(Agent(name, offer, withdraw, drive, state=cells, service=thinks))

    def starts(chances: Chances) -> Iterator[Start | Signal]:
        chance, now = chances.random("riders"), 0
        found: list[tuple[int, Start | Signal]] = []
        for n in range(1, rides + 1):
            task = {"offers": 6, "forgetful": bug}
            leaves = now + round(chance.expovariate(1 / 120) * SECOND)
            found.append((now, Start(f"ride-{n}", task, at=now)))
            found.append((leaves, Signal(f"ride-{n}", "gone", at=leaves)))
            now += round(chance.expovariate(1 / 10) * SECOND)
        yield from (given for _, given in sorted(found, key=itemgetter(0)))

    kept = [nobody_waits_at_the_curb, a_rider_rides_once]
    return World(agents, ride, starts, invariants=kept, timeout=60 * SECOND)
