"""Map and reduce: words are counted by several mappers, and summed up once all of them are done.

What happens. A text is cut into parts. Each mapper counts the words of its part, and puts them on
the shuffle: a resource with a cell for each mapper and each reducer. The mappers and reducers stand
side by side in the plan, a branch each, and every branch waits at a barrier until all mappers have
arrived. Then each reducer adds up the cells that are for it, and the editor puts the sums together.
A mapper that cannot do its part in three attempts ends the job, and the others sweep up theirs.

What to look at. The bars of the mappers end at different times, and none of the reducers begins
before the last of them: that is the barrier, and the log has an event for each who arrives and one
that releases them all. The reducers' transactions follow from the mappers', by the cells they read.

A query to try, which shows who arrived when, and whom everybody waited for:

    SELECT workflow_id, event_type, name, time_ns / 1e9 AS seconds, decode(payload) AS who
    FROM events WHERE event_type LIKE 'Barrier%' ORDER BY time_ns, sequence

The planted bug (`bug=True`). There is no barrier: each reducer begins when the mapper of its own
branch is done. The sums lack whatever the others had not counted by then, and nothing fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from flowlab.simulation import (
    Agent,
    AgentContext,
    Chances,
    LogNormal,
    Resource,
    Run,
    Start,
    World,
    scenario,
)
from flowlab.workflow import (
    SECOND,
    Barrier,
    Node,
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    field,
    result,
)

WORDS: Final = ("event", "cause", "saga", "agent", "message", "barrier", "fault", "log")
MAP: Final[dict[str, Any]] = {
    "activity": "map_words",
    "compensation": "sweep_up",
    "retry": RetryPolicy(maximum_attempts=3),
}
AGAIN: Final[dict[str, Any]] = {"kind": "retryable", "idempotent": True}
"""Adding up twice is adding up once, so what follows the barrier is tried until it succeeds."""


class SweptUpError(Exception):
    """The job is over."""


def map_words(ctx: AgentContext, task: dict[str, Any]) -> int:
    """Count the words of a part, and lay the counts out for each reducer."""
    if ctx.workflow_id in ctx.state["swept"]:
        message = f"{ctx.workflow_id} is over"
        raise SweptUpError(message)
    counts = Counter(task["words"])
    for reducer in range(task["reducers"]):
        mine = {
            word: n for word, n in sorted(counts.items()) if len(word) % task["reducers"] == reducer
        }
        ctx.resource("shuffle")[f"{ctx.workflow_id}/{reducer}/{ctx.agent}"] = mine
    return counts.total()


def sweep_up(ctx: AgentContext, done: dict[str, Any]) -> None:
    """Take back what was laid out, and remember that the job is over."""
    ctx.state["swept"][ctx.workflow_id] = True
    for reducer in range(done["input"]["reducers"]):
        cell = f"{ctx.workflow_id}/{reducer}/{ctx.agent}"
        if cell in ctx.resource("shuffle"):
            del ctx.resource("shuffle")[cell]


def reduce_words(ctx: AgentContext, task: dict[str, Any]) -> dict[str, int]:
    """Add up what the mappers have laid out for this reducer."""
    shuffle, total = ctx.resource("shuffle"), Counter[str]()
    for mapper in task["mappers"]:
        total.update(shuffle.get(f"{ctx.workflow_id}/{task['reducer']}/{mapper}", {}))
    return dict(sorted(total.items()))


def publish(ctx: AgentContext, task: dict[str, Any]) -> int:
    """Put the sums together, and keep with them how many words there were."""
    counts: Counter[str] = Counter()
    for part in task["parts"]:
        counts.update(part)
    ctx.state["reports"][ctx.workflow_id] = {"counts": dict(counts), "words": sum(task["mapped"])}
    return counts.total()


def plan_of(workers: int, *, barrier: bool) -> Plan:
    """Return the plan for so many mappers, and as many reducers."""
    mappers = [f"mapper-{n}" for n in range(workers)]
    branches: list[Node] = []
    for n, mapper in enumerate(mappers):
        part = {"words": field("parts", str(n)), "reducers": workers}
        share = {"reducer": n, "mappers": mappers}
        first = Step(f"map-{n}", agent=mapper, input=part, **MAP)
        second = Step(
            f"reduce-{n}", agent=f"reducer-{n}", activity="reduce_words", input=share, **AGAIN
        )
        wait = [Barrier("all mapped", mappers)] if barrier else []
        branches.append(Sequential(first, *wait, second))
    sums = {
        "parts": [result(f"reduce-{n}") for n in range(workers)],
        "mapped": [result(f"map-{n}") for n in range(workers)],
    }
    last = Step("publish", agent="editor", input=sums, **AGAIN)
    return Plan(Sequential(Parallel(*branches, sync_point="all reduced"), last), name="mapreduce")


def every_word_is_counted(run: Run) -> Iterator[str]:
    """The sums of a report are as many words as the mappers have read."""
    for job, report in run.states["editor"]["reports"].items():
        found, words = sum(report["counts"].values()), report["words"]
        if found != words:
            yield f"{job}: the mappers read {words} words, and the report has {found}"


def what_is_reported_is_what_was_mapped(run: Run) -> Iterator[str]:
    """A report has, for each word, the sum of what the mappers laid out."""
    for job, report in run.states["editor"]["reports"].items():
        laid_out: Counter[str] = Counter()
        for cell, counts in run.states["shuffle"].items():
            if cell.startswith(f"{job}/"):
                laid_out.update(counts)
        if laid_out != Counter(report["counts"]):
            missing = laid_out - Counter(report["counts"])
            yield f"{job}: {dict(missing)} was mapped and is not in the report"


def a_failed_job_leaves_nothing(run: Run) -> Iterator[str]:
    """What was laid out for a job that failed is swept up."""
    for cell in run.states["shuffle"]:
        if run.statuses[cell.partition("/")[0]] == "failed":
            yield f"{cell} lies there, and its job has failed"


@scenario
def mapreduce(*, jobs: int = 2, workers: int = 3, words: int = 40, bug: bool = False) -> World:
    """Words are counted by mappers side by side, and summed up behind a barrier.

    Args:
        jobs: how many texts there are, one a second.
        workers: how many mappers there are, and how many reducers.
        words: of each text.
        bug: whether the barrier is left out.
    """
    slow, fast = LogNormal(SECOND, 0.8), LogNormal(SECOND // 10, 0.5)
    agents = [
        Agent(f"mapper-{n}", map_words, sweep_up, state={"swept": {}}, service=slow)
        for n in range(workers)
    ]
    agents += [Agent(f"reducer-{n}", reduce_words, service=fast) for n in range(workers)]
    agents.append(Agent("editor", publish, state={"reports": {}}, service=fast))

    def starts(chances: Chances) -> Iterator[Start]:
        chance = chances.random("texts")
        for job in range(jobs):
            text = [chance.choice(WORDS) for _ in range(words)]
            parts = {str(n): text[n::workers] for n in range(workers)}
            yield Start(f"job-{job + 1}", {"parts": parts}, at=job * SECOND)

    return World(
        agents,
        plan_of(workers, barrier=not bug),
        starts,
        resources=[Resource("shuffle")],
        invariants=[
            every_word_is_counted,
            what_is_reported_is_what_was_mapped,
            a_failed_job_leaves_nothing,
        ],
    )
