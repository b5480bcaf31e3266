"""Disaster relief: sites ask for trucks, there are too few, and the most urgent site comes first.

What happens. After an earthquake, reports come in one by one; each site is a workflow that needs a
truck. A dispatcher hands them out: its state is the trucks that are free and the queue of those who
wait. Whoever has a truck loads it at the depot while a scout looks at the road, drives, unloads,
and gives it back; the dispatcher then sends it to the most urgent of those who wait, by a signal to
that site's workflow. Where the road is blocked, what was loaded goes back to the depot.

What to look at. The dispatcher decides, and everybody else only asks: no two sites can be given the
same truck. A signal may get lost, so a site that waits asks again every ten minutes, and asking
twice is the same as asking once. The cell `diary` has what the dispatcher was told and did.

A query to try, which shows how long each site waited for its truck:

    SELECT workflow_id, (max(time_ns) FILTER (name = 'load') - min(time_ns)) / 60e9 AS minutes
    FROM events WHERE event_type IN ('WorkflowStarted', 'ActivityScheduled')
    GROUP BY ALL HAVING minutes IS NOT NULL ORDER BY minutes

The planted bug (`bug=True`). The dispatcher sends a truck that came back to whoever has waited
longest. Everybody gets one in the end, and no state at the end is wrong: only the diary shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from flowlab.errors import ActivityError
from flowlab.simulation import (
    Agent,
    AgentContext,
    Chances,
    Exponential,
    Run,
    Start,
    World,
    scenario,
)
from flowlab.workflow import SECOND, RetryPolicy, WorkflowContext, workflow

MINUTE: Final = 60 * SECOND
UNTIL_IT_SUCCEEDS: Final = RetryPolicy(
    initial_interval=MINUTE,
    maximum_interval=10 * MINUTE,
    non_retryable_error_types=("RoadBlockedError",),
)


class RoadBlockedError(Exception):
    """No truck gets there."""


@workflow
async def site(ctx: WorkflowContext, urgency: int) -> str:
    """Get a truck, bring what is needed, give the truck back."""

    async def ask(agent: str, activity: str) -> Any:
        return await ctx.call_activity(activity, urgency, agent=agent, retry=UNTIL_IT_SUCCEEDS)

    granted = ctx.wait_for_event("truck")
    while not await ask("dispatcher", "request"):
        await ctx.when_any(granted, ctx.sleep(10 * MINUTE))
    try:
        async with ctx.saga() as saga:
            loaded = saga.step(
                "load", agent="depot", compensation="unload", retry=UNTIL_IT_SUCCEEDS
            )
            await ctx.when_all(loaded, ask("scout", "look"))
            await saga.step("deliver", agent="driver", kind="pivot", retry=UNTIL_IT_SUCCEEDS)
        outcome = "relieved"
    except ActivityError:
        outcome = "cut off"
    await ask("dispatcher", "give_back")
    return outcome


def request(ctx: AgentContext, urgency: int) -> bool:
    """Say whether the site has a truck; if not, give it one, or let it wait for one."""
    if ctx.workflow_id in ctx.state["over"]:
        return False
    waiting = ctx.state["waiting"]
    if ctx.workflow_id not in ctx.state["on_road"] and ctx.workflow_id not in waiting:
        waiting[ctx.workflow_id] = urgency
        ctx.state["diary"].append(["asks", ctx.workflow_id, urgency])
        if ctx.state["free"]:
            ctx.state["free"] -= 1
            _send_to(ctx, ctx.workflow_id)
    return ctx.workflow_id in ctx.state["on_road"]


def returning(choose: Callable[[dict[str, int]], str]) -> Callable[[AgentContext], None]:
    """Make the handler that takes a truck back, and sends it to whom `choose` says."""

    def give_back(ctx: AgentContext) -> None:
        if ctx.workflow_id not in ctx.state["on_road"]:
            return
        ctx.state["on_road"].remove(ctx.workflow_id)
        ctx.state["over"].append(ctx.workflow_id)
        ctx.state["diary"].append(["returns", ctx.workflow_id])
        if ctx.state["waiting"]:
            chosen = choose(ctx.state["waiting"])
            _send_to(ctx, chosen)
            ctx.signal(chosen, "truck")
        else:
            ctx.state["free"] += 1

    return give_back


def _send_to(ctx: AgentContext, chosen: str) -> None:
    del ctx.state["waiting"][chosen]
    ctx.state["on_road"].append(chosen)
    ctx.state["diary"].append(["gets", chosen])


def most_urgent(waiting: dict[str, int]) -> str:
    """Return the site whose urgency is greatest; of several, the one that asked first."""
    return max(waiting, key=lambda name: waiting[name])


def first_come(waiting: dict[str, int]) -> str:
    """Return the site that asked first: the planted bug."""
    return next(iter(waiting))


def load(ctx: AgentContext) -> None:
    """Load a truck with what the site needs."""
    ctx.state["loaded"].setdefault(ctx.workflow_id, True)


def unload(ctx: AgentContext) -> None:
    """Take back what was loaded; False remembers that it is over."""
    ctx.state["loaded"][ctx.workflow_id] = False


def look(ctx: AgentContext) -> None:
    """Say whether a truck can pass; the same road is the same answer, however often asked."""
    roads = ctx.state["roads"]
    if ctx.workflow_id not in roads:
        blocked = ctx.random("roads").random() < ctx.state["blocked"]
        roads[ctx.workflow_id] = "blocked" if blocked else "open"
    if roads[ctx.workflow_id] == "blocked":
        message = f"the road to {ctx.workflow_id} is blocked"
        raise RoadBlockedError(message)


def deliver(ctx: AgentContext) -> None:
    """Drive there and unload."""
    ctx.state["relieved"][ctx.workflow_id] = True


def the_most_urgent_comes_first(run: Run) -> Iterator[str]:
    """No site gets a truck while a more urgent one waits."""
    waiting: dict[str, int] = {}
    for what, name, *urgency in run.states["dispatcher"]["diary"]:
        if what == "asks":
            waiting[name] = urgency[0]
        elif what == "gets":
            if name not in waiting:
                # Only a dispatcher that has lost what it wrote has such a diary.
                yield f"{name} got a truck for which it does not wait"
                continue
            own = waiting.pop(name)
            passed = [other for other, value in waiting.items() if value > own]
            if passed:
                yield f"{name} (urgency {own}) got a truck before {', '.join(passed)}"


def a_truck_is_in_one_place(run: Run) -> Iterator[str]:
    """Trucks that are free and on the road are as many as there are."""
    cells = run.states["dispatcher"]
    if cells["free"] + len(cells["on_road"]) != cells["trucks"]:
        yield f"{cells['free']} free + {len(cells['on_road'])} on the road, of {cells['trucks']}"


def a_site_is_relieved_or_cut_off(run: Run) -> Iterator[str]:
    """Where a workflow completed, its load is at its site, or back at the depot: not both."""
    for name, status in run.statuses.items():
        if status == "completed":
            left = run.states["depot"]["loaded"].get(name, False)
            there = name in run.states["driver"]["relieved"]
            if not left == there == (run.results[name] == "relieved"):
                yield f"{name} is {run.results[name]}; loaded: {left}, brought there: {there}"


@scenario
def relief(*, sites: int = 6, trucks: int = 2, blocked: float = 0.1, bug: bool = False) -> World:
    """Disaster relief: more sites than trucks, and a dispatcher who knows what is urgent.

    Args:
        sites: how many places ask for a truck, one every few minutes.
        trucks: how many trucks there are.
        blocked: the share of roads on which no truck gets through.
        bug: whether the dispatcher serves those who wait in the order in which they asked.
    """
    give_back = returning(first_come if bug else most_urgent)
    state = {
        "free": trucks,
        "trucks": trucks,
        "on_road": [],
        "waiting": {},
        "over": [],
        "diary": [],
    }
    roads: dict[str, Any] = {"roads": {}, "blocked": blocked}
    agents = [
        Agent("dispatcher", request, give_back, state=state, service=Exponential(MINUTE)),
        Agent("depot", load, unload, state={"loaded": {}}, service=Exponential(5 * MINUTE)),
        Agent("scout", look, state=roads, service=Exponential(5 * MINUTE)),
        Agent("driver", deliver, state={"relieved": {}}, service=Exponential(20 * MINUTE)),
    ]

    def starts(chances: Chances) -> Iterator[Start]:
        chance, now = chances.random("reports"), 0
        for n in range(1, sites + 1):
            yield Start(f"site-{n}", int(chance.random() * 5), at=now)
            now += int(chance.random() * 10 * MINUTE)

    kept = [the_most_urgent_comes_first, a_truck_is_in_one_place, a_site_is_relieved_or_cut_off]
    # A disk that loses writes may lose a truck, and then a site asks for ever.
    return World(agents, site, starts, invariants=kept, timeout=600 * MINUTE, max_events=10_000)
