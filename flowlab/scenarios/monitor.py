"""A monitor that runs for ever: it reads a sensor, calls somebody, and continues as new.

What happens. A workflow reads a sensor every minute. When the value rises above the limit, it opens
a ticket, and looks through a camera at the same time. If there is something to see, it pages the
engineer on duty; a false alarm takes the ticket back. As long as the value stays above, nothing
more is said. A workflow that goes on for ever would have a history without end, and would have to
replay it after every crash. So after a few readings it ends its generation and begins the next,
with an input that holds all it must know: how many readings there were, and whether there is an
incident.

What to look at. The stream of one monitor: `WorkflowContinuedAsNew`, and then a `WorkflowStarted`
of the next generation in the same stream, whose sequence goes on. With `faults="crashes"` the
process of a monitor crashes, and comes back by the history of its present generation alone.

A query to try, which shows how long each generation is:

    SELECT workflow_id, generation, count(*) AS events, max(time_ns) / 60e9 AS minute
    FROM events WHERE NOT starts_with(workflow_id, '@') GROUP BY ALL ORDER BY ALL

The planted bug (`bug=True`). The input of the next generation does not say whether there is an
incident. One that lasts longer than a generation is then a new one, and somebody is paged again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.errors import ActivityError
from flowlab.simulation import Agent, AgentContext, Exponential, Run, Start, World, scenario
from flowlab.workflow import SECOND, RetryPolicy, WorkflowContext, workflow

MINUTE: Final = 60 * SECOND
LIMIT: Final = 70
UNTIL_IT_SUCCEEDS: Final = RetryPolicy(
    maximum_interval=10 * SECOND, non_retryable_error_types=("FalseAlarmError",)
)


class FalseAlarmError(Exception):
    """There is nothing to see."""


@workflow
async def watch(ctx: WorkflowContext, task: dict[str, Any]) -> dict[str, int]:
    """Read the sensor for one generation, page where it is too high, and go on as new."""
    polls, pages, high = task["polls"], task["pages"], task["high"]

    async def ask(agent: str, activity: str) -> Any:
        # The number of the reading makes it the same question, however often it is asked.
        return await ctx.call_activity(activity, polls, agent=agent, retry=UNTIL_IT_SUCCEEDS)

    for _ in range(task["per_generation"]):
        polls += 1
        level = await ask("sensor", "read")
        if level > LIMIT and not high:
            pages += await report(ctx, polls)
        high = level > LIMIT
        await ctx.sleep(MINUTE)
    if ctx.generation + 1 < task["generations"]:
        if task["forgetful"]:
            high = False  # the planted bug
        ctx.continue_as_new({**task, "polls": polls, "pages": pages, "high": high})
    return {"polls": polls, "pages": pages}


async def report(ctx: WorkflowContext, polls: int) -> int:
    """Open a ticket and page the engineer, unless it is a false alarm; return the pages."""
    again: dict[str, Any] = {"retry": UNTIL_IT_SUCCEEDS}
    try:
        async with ctx.saga() as saga:
            await ctx.when_all(
                saga.step("open", polls, agent="desk", compensation="take_back", **again),
                ctx.call_activity("look", polls, agent="camera", **again),
            )
            await saga.step("page", polls, agent="pager", kind="pivot", **again)
    except ActivityError:
        return 0
    return 1


def read(ctx: AgentContext, poll: int) -> int:
    """Take a reading that is near the one before; the same number is the same reading."""
    readings = ctx.state["readings"].setdefault(ctx.workflow_id, [])
    if poll > len(readings):
        before = readings[-1] if readings else 50
        drift = ctx.random(f"reading {poll}").gauss((50 - before) / 4, 20)
        readings.append(max(0, min(100, round(before + drift))))
    return int(readings[poll - 1])


def look(ctx: AgentContext, poll: int) -> None:
    """See what the sensor has told of; one look at each reading, however often asked."""
    seen = ctx.state["seen"].setdefault(ctx.workflow_id, {})
    if str(poll) not in seen:
        seen[str(poll)] = ctx.random(f"look {poll}").random() >= ctx.state["false_alarms"]
    if not seen[str(poll)]:
        message = f"nothing to see at reading {poll}"
        raise FalseAlarmError(message)


def open_ticket(ctx: AgentContext, poll: int) -> None:
    """Open the ticket of an incident, once."""
    ctx.state["tickets"].setdefault(f"{ctx.workflow_id}/{poll}", "open")


def take_back(ctx: AgentContext, done: dict[str, Any]) -> None:
    """Take a ticket back, and remember that it is."""
    ctx.state["tickets"][f"{ctx.workflow_id}/{done['input']}"] = "taken back"


def page(ctx: AgentContext, poll: int) -> None:
    """Wake the engineer, once for each reading that is reported."""
    pages = ctx.state["pages"].setdefault(ctx.workflow_id, [])
    if poll not in pages:
        pages.append(poll)


def one_page_for_each_incident(run: Run) -> Iterator[str]:
    """The engineer is paged when a value rises above the limit and the camera shows why."""
    for name, readings in run.states["sensor"]["readings"].items():
        before = [0, *readings]
        seen = run.states["camera"]["seen"].get(name, {})
        incidents = [
            poll
            for poll, level in enumerate(readings, 1)
            if level > LIMIT >= before[poll - 1] and seen.get(str(poll))
        ]
        pages = run.states["pager"]["pages"].get(name, [])
        if run.statuses[name] == "completed" and pages != incidents:
            yield f"{name}: incidents began at readings {incidents}, and it paged at {pages}"


def every_reading_is_taken_once(run: Run) -> Iterator[str]:
    """A monitor that ended has taken all its readings, each once."""
    for name, done in run.results.items():
        taken = len(run.states["sensor"]["readings"].get(name, []))
        if run.statuses[name] == "completed" and taken != done["polls"]:
            yield f"{name} counts {done['polls']} readings, and the sensor gave {taken}"


def a_ticket_is_open_where_somebody_was_paged(run: Run) -> Iterator[str]:
    """Once all have ended, the tickets that are open are those for which somebody was paged."""
    if "open" not in run.statuses.values():
        tickets = run.states["desk"]["tickets"]
        left = {ticket for ticket, found in tickets.items() if found == "open"}
        pages = run.states["pager"]["pages"]
        paged = {f"{name}/{poll}" for name, polls in pages.items() for poll in polls}
        if left != paged:
            yield f"tickets {sorted(left)} are open, and it paged for {sorted(paged)}"


@scenario
def monitor(
    *,
    monitors: int = 2,
    generations: int = 4,
    per_generation: int = 5,
    false_alarms: float = 0.2,
    bug: bool = False,
) -> World:
    """Monitors that page an engineer, and continue as new after every few readings.

    Args:
        monitors: how many there are.
        generations: after how many a monitor ends, so that the world does.
        per_generation: readings of each generation.
        false_alarms: the share of alarms for which the camera shows nothing.
        bug: whether a generation forgets that there is an incident.
    """
    camera: dict[str, Any] = {"seen": {}, "false_alarms": false_alarms}
    desk: dict[str, Any] = {"open": open_ticket, "take_back": take_back}
    agents = [
        Agent("sensor", read, state={"readings": {}}, service=Exponential(SECOND)),
        Agent("camera", look, state=camera, service=Exponential(SECOND)),
        Agent("desk", named=desk, state={"tickets": {}}, service=Exponential(SECOND)),
        Agent("pager", page, state={"pages": {}}, service=Exponential(2 * SECOND)),
    ]
    task = {
        "polls": 0,
        "pages": 0,
        "high": False,
        "generations": generations,
        "per_generation": per_generation,
        "forgetful": bug,
    }
    starts = [Start(f"monitor-{n}", task, at=n * SECOND) for n in range(1, monitors + 1)]
    kept = [
        one_page_for_each_incident,
        every_reading_is_taken_once,
        a_ticket_is_open_where_somebody_was_paged,
    ]
    return World(agents, watch, starts, invariants=kept)
