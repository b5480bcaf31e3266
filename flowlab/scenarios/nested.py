"""A saga of sagas: a conference is made of parts that are workflows of their own.

What happens. The conference needs a venue (hall and sound) and a journey for the speaker (train and
room). Each part is a child workflow with a saga of its own: it completes, or leaves nothing behind.
Only when both have completed does the city give its permit, which is the pivot; it may refuse. Then
the children have ended long ago, so nobody is left to undo their steps, and the parent runs the
workflow that each child has declared for this: `@venue.compensate`. A child that is under way when
the other part fails is canceled instead, and undoes itself.

What to look at. The two ways in which a child is undone: by its own saga, or by its compensation,
which is a child too, with a history of its own. Every hall that is booked is so for a conference.

A query to try, which shows who was whose child, and how each of them ended:

    SELECT p.name, w.workflow_id, w.status FROM workflows w
    LEFT JOIN events p ON p.event_type = 'ChildWorkflowInitiated'
         AND payload_json(p.payload)->>'workflow_id' = w.workflow_id ORDER BY w.workflow_id

The planted bug (`bug=True`). The parent calls its children outside of its saga, by
`ctx.call_child_workflow`. It works as long as the permit comes; after a refusal, halls and trains
stay booked for a conference that nobody holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.simulation import Agent, AgentContext, Exponential, Run, Start, World, scenario
from flowlab.workflow import SECOND, RetryPolicy, Workflow, WorkflowContext, workflow

MS: Final = SECOND // 1_000
AGAIN: Final = RetryPolicy(
    initial_interval=200 * MS, non_retryable_error_types=("NothingFreeError", "RefusedError")
)
VENUE: Final = ("hall", "sound")
JOURNEY: Final = ("train", "room")


class NothingFreeError(Exception):
    """Everything is booked."""


class RefusedError(Exception):
    """The city says no."""


async def book_all(ctx: WorkflowContext, agents: tuple[str, ...], conference: str) -> list[str]:
    """Book with each agent, or with none of them."""
    async with ctx.saga() as saga:
        for agent in agents:
            await saga.step(
                "book", conference, name=agent, agent=agent, compensation="cancel",
                undo_with=lambda _: conference, retry=AGAIN,
            )  # fmt: skip
    return list(agents)


async def cancel_all(ctx: WorkflowContext, done: dict[str, Any]) -> None:
    """Cancel what a part that has completed had booked."""
    for agent in reversed(done["result"]):
        await ctx.call_activity("cancel", done["input"], agent=agent, retry=AGAIN)


@workflow
async def venue(ctx: WorkflowContext, conference: str) -> list[str]:
    """Book the hall and the sound."""
    return await book_all(ctx, VENUE, conference)


@venue.compensate
async def cancel_venue(ctx: WorkflowContext, done: dict[str, Any]) -> None:
    """Undo a venue that has completed."""
    await cancel_all(ctx, done)


@workflow
async def journey(ctx: WorkflowContext, conference: str) -> list[str]:
    """Book the train and the room."""
    return await book_all(ctx, JOURNEY, conference)


@journey.compensate
async def cancel_journey(ctx: WorkflowContext, done: dict[str, Any]) -> None:
    """Undo a journey that has completed."""
    await cancel_all(ctx, done)


@workflow
async def conference(ctx: WorkflowContext, _: Any) -> str:
    """Hold a conference, or leave everything as it was."""
    own = ctx.workflow_id
    async with ctx.saga() as saga:
        await ctx.when_all(saga.child(venue, own), saga.child(journey, own))
        await saga.step("permit", own, agent="city", kind="pivot", retry=AGAIN)
    return "announced"


@workflow(name="conference")
async def conference_outside(ctx: WorkflowContext, _: Any) -> str:
    """Hold a conference, with children that its saga does not know: the planted bug."""
    own = ctx.workflow_id
    async with ctx.saga() as saga:
        await ctx.when_all(
            ctx.call_child_workflow(venue, own), ctx.call_child_workflow(journey, own)
        )
        await saga.step("permit", own, agent="city", kind="pivot", retry=AGAIN)
    return "announced"


def book(ctx: AgentContext, conference: str) -> None:
    """Book for a conference, once, while something is free."""
    booked = ctx.state["booked"]
    if booked.get(conference) is not True:
        if conference in booked or list(booked.values()).count(True) == ctx.state["places"]:
            message = f"{ctx.agent} has nothing free for {conference}"
            raise NothingFreeError(message)
        booked[conference] = True


def cancel(ctx: AgentContext, conference: str) -> None:
    """Give up the booking of a conference, and remember that."""
    ctx.state["booked"][conference] = False


def permit(ctx: AgentContext, conference: str) -> None:
    """Allow a conference, or refuse it."""
    if conference not in ctx.state["permits"]:
        if ctx.random().random() < ctx.state["refused"]:
            message = "too loud"
            raise RefusedError(message)
        ctx.state["permits"].append(conference)


def whole_or_nothing(run: Run) -> Iterator[str]:
    """A conference that completed has all its parts and a permit; one that failed has none."""
    for name, status in run.statuses.items():
        if not name.startswith("conference-") or "/" in name or status == "open":
            continue
        has = [agent for agent in VENUE + JOURNEY if run.states[agent]["booked"].get(name)]
        has += ["city"] * (name in run.states["city"]["permits"])
        wanted = [*VENUE, *JOURNEY, "city"] if status == "completed" else []
        if has != wanted:
            yield f"{name} has {status}, with something at: {', '.join(has) or 'nobody'}"


@scenario
def nested(
    *, conferences: int = 3, places: int = 2, refused: float = 0.3, bug: bool = False
) -> World:
    """Conferences of parts that are sagas of their own, undone as wholes.

    Args:
        conferences: how many are planned.
        places: how many conferences a hall, a train and so on have places for.
        refused: the share of permits that the city refuses.
        bug: whether the children are called outside of the parent's saga.
    """
    parent: Workflow = conference_outside if bug else conference
    free, city = {"booked": {}, "places": places}, {"permits": [], "refused": refused}
    agents = [
        Agent(name, book, cancel, state=free, service=Exponential(60 * MS))
        for name in VENUE + JOURNEY
    ]
    agents.append(Agent("city", permit, state=city, service=Exponential(300 * MS)))
    starts = [Start(f"conference-{n}", at=n * 100 * MS) for n in range(conferences)]
    parts = [parent, venue, journey]
    return World(agents, parts, starts, invariants=[whole_or_nothing], timeout=5 * SECOND)
