"""Worlds of every sort for the laws of the engine: drawn by Hypothesis, or made small by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from flowlab.errors import ActivityError, FlowlabError
from flowlab.events import Event, EventLog
from flowlab.simulation import (
    Agent,
    Cancel,
    Exponential,
    Faults,
    Network,
    Partitions,
    Resource,
    Run,
    Signal,
    Start,
    Uniform,
    World,
)
from flowlab.workflow import (
    SECOND,
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)

MS = 1_000_000
NAMES = ("ann", "bob", "cem", "dee")


# -- agents ----------------------------------------------------------------------------------------


def add(ctx: Any, _: Any) -> int:
    ctx.state["count"] += 1
    return int(ctx.state["count"])


def undo(ctx: Any, _: Any) -> None:
    ctx.state["count"] -= 1
    ctx.state["undone"] = [*ctx.state.get("undone", []), ctx.workflow_id]


def move(ctx: Any, value: Any) -> dict[str, Any]:
    shelf = ctx.resource("shelf")
    shelf["left"] -= 1
    ctx.state["moved"] = {"by": ctx.agent, "value": value}
    return {"left": shelf["left"], "at": [ctx.attempt]}


def peek(ctx: Any) -> Any:
    return ctx.resource("shelf").get("left")


def refuse(ctx: Any, _: Any) -> None:
    ctx.state["count"] += 100
    ctx.resource("shelf")["left"] -= 100
    if ctx.random("mood").random() < 0.5:
        message = "not today"
        raise ValueError(message)


def gossip(ctx: Any, value: Any) -> None:
    ctx.state["count"] = ctx.state["count"] + 1
    if value != "enough":
        ctx.send(NAMES[(NAMES.index(ctx.agent) + 1) % len(NAMES)], "gossip", "enough")
    ctx.signal(ctx.workflow_id, "news", ctx.now_ns())


async def chat(ctx: Any, _: Any) -> list[Any]:
    ctx.state["count"] += 1
    ctx.claim("desk", policy="stash")
    await ctx.sleep(2 * MS)
    ctx.state["talks"] = ctx.state.get("talks", 0) + 1
    other = NAMES[(NAMES.index(ctx.agent) + 2) % len(NAMES)]
    try:
        heard = await ctx.call(other, "move", ctx.workflow_id, timeout=15 * MS)
    except ActivityError as error:
        heard = error.error_type
    ctx.release("desk")
    ctx.state["count"] -= 1
    return [heard, ctx.now_ns() > 0]


def agents(**options: Any) -> list[Agent]:
    return [
        Agent(
            name,
            add,
            undo,
            move,
            peek,
            refuse,
            gossip,
            chat,
            state={"count": 0},
            service=Exponential(MS),
            **options,
        )
        for name in NAMES
    ]


# -- workflows -------------------------------------------------------------------------------------


@workflow
async def busy(ctx: WorkflowContext, value: Any) -> Any:
    """Does whatever its input lists, one thing after the other or beside each other."""
    done = []
    for item in value:
        together = [carry_out(ctx, each) for each in (item if isinstance(item, list) else [item])]
        try:
            done += await ctx.when_all(*together)
        except FlowlabError as error:
            done.append(type(error).__name__)
    return done


async def carry_out(ctx: WorkflowContext, what: str) -> Any:
    if what == "sleep":
        await ctx.sleep(MS)
        return ctx.now_ns()
    if what == "race":
        slow = ctx.call_activity("add", agent="dee", timeout=3 * MS)
        return await ctx.when_any(slow, ctx.sleep(2 * MS)) is slow
    if what == "wait":
        heard, late = ctx.wait_for_event("news"), ctx.sleep(20 * MS)
        return await ctx.when_any(heard, late) is heard
    if what == "child":
        return await ctx.call_child_workflow("busy", ["add", "sleep"])
    if what == "tell":
        await ctx.raise_event("w0", "news", 1)
        return None
    if what == "saga":
        async with ctx.saga() as saga:
            await saga.step("add", agent="ann", compensation="undo")
            await saga.step("add", agent="bob", compensation="undo")
            await saga.step("refuse", agent="cem", kind="pivot")
        return "paid"
    if what == "again":
        retry = RetryPolicy(maximum_attempts=3, initial_interval=MS, jitter=0.5)
        return await ctx.call_activity("refuse", agent="bob", retry=retry, timeout=SECOND)
    return await ctx.call_activity(what, agent=NAMES[len(what) % len(NAMES)], timeout=SECOND)


@workflow
async def turning(ctx: WorkflowContext, turns: int) -> Any:
    """Continues as new, with a call and a timer that it has left behind."""
    left = ctx.call_activity("add", agent="ann", timeout=50 * MS)
    await ctx.when_any(ctx.sleep(MS), left)
    if turns:
        ctx.continue_as_new(turns - 1)
    return await ctx.call_activity("peek")


RETRY = RetryPolicy(maximum_attempts=3, initial_interval=2 * MS, jitter=0.5)
PLAN = Plan(
    Sequential(
        Step("add", agent="first", compensation="undo", retry=RETRY, timeout=SECOND),
        Parallel(
            Step("left", activity="move", agent="bob", compensation="undo", timeout=SECOND),
            Step("right", activity="add", agent="cem", compensation="undo", timeout=5 * MS),
        ),
        Step("end", activity="refuse", agent="dee", kind="pivot", retry=RETRY, timeout=SECOND),
        Step("news", activity="gossip", agent="ann", kind="retryable", idempotent=True),
    ),
    name="trip",
)

THINGS = st.sampled_from(
    "add move peek refuse gossip sleep race wait child tell saga again nobody chat chat".split()
)
TO_DO = st.lists(st.one_of(THINGS, st.lists(THINGS, min_size=2, max_size=3)), max_size=3)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a world of a few workflows of all sorts."""
    starts: list[Any] = []
    at = 0
    for number in range(draw(st.integers(1, 4))):
        at += draw(st.sampled_from([0, 1, MS, 7 * MS]))
        kind = draw(st.sampled_from(["busy", "busy", "turning", "trip"]))
        value: Any = draw(TO_DO)
        roles = None
        if kind == "turning":
            value = draw(st.integers(0, 3))
        if kind == "trip":
            roles = {"first": draw(st.sampled_from(NAMES))}
        starts.append(Start(f"w{number}", value, at=at, workflow=kind, roles=roles))
    for _ in range(draw(st.integers(0, 2))):
        at += draw(st.sampled_from([0, MS, 5 * MS]))
        to = f"w{draw(st.integers(0, 4))}"
        starts.append(draw(st.sampled_from([Signal(to, "news", 1, at=at), Cancel(to, at=at)])))
    options = {"deduplicate": draw(st.booleans()), "interleaving": draw(st.booleans())}
    return World(
        agents(**options),
        [busy, turning, PLAN],
        starts,
        resources=[Resource("shelf", {"left": 10})],
        network=draw(st.sampled_from(NETWORKS)),
        timeout=10 * SECOND,
        max_events=20_000,
    )


NETWORKS = (
    Network(),
    Network(latency=Uniform(MS, 3 * MS), fifo=True),
    Network(latency=MS),
    Network(latency=0),
)
STORM = Faults(
    loss=0.05,
    duplicate=0.1,
    reorder=0.1,
    partition=Partitions(every=20 * MS, duration=5 * MS),
    crash=0.1,
    downtime=10 * MS,
    host_crash=0.1,
    fail=0.05,
    hang=0.02,
    slow=0.05,
    skew=0.5,
    lost_write=0.05,
    torn_write=0.05,
    delayed_write=0.05,
)
FAULTS = st.sampled_from([Faults(), STORM, STORM, Faults(duplicate=1.0), Faults(host_crash=0.5)])
SEEDS = st.integers(0, 1_000)


# -- what tests ask of a log -----------------------------------------------------------------------


def histories(log: EventLog) -> Iterator[list[Event]]:
    """Yield the history of each generation of each workflow."""
    found: dict[tuple[str, int], list[Event]] = {}
    for event in log:
        if not event.workflow_id.startswith("@"):
            found.setdefault((event.workflow_id, event.generation), []).append(event)
    for history in found.values():
        yield sorted(history, key=lambda event: event.sequence)


def told(run: Run, workflow_id: str) -> list[tuple[str, str, int]]:
    """Return (type, name, time) of each event of a workflow's stream."""
    return [
        (event.event_type, event.name, event.time_ns)
        for event in run.log
        if event.workflow_id == workflow_id
    ]


def types(run: Run, workflow_id: str) -> list[str]:
    """Return the types of the events of a stream."""
    return [event.event_type for event in run.log if event.workflow_id == workflow_id]
