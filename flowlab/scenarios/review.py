"""A document is written, reviewed and revised by language-model agents, and then printed or not.

What happens. A page of the next issue is held while an author agent drafts a document. Several
reviewers read it side by side, each gives its vote, and an editor counts. With a majority the
document goes to print; without one the author revises it once, and the reviewers vote again. Where
a model gives no answer in five attempts, the review fails and the page is given up. Every answer of
a model says what it cost.

What to look at. Asked twice, a model gives two texts, and both are paid for. Try
`faults="production"` (1 % of calls fail, 0.9 % hang) and `faults="research"`: the retries that save
the runs have a price, which the log knows. `model=` takes any function of (prompt, chance) that
returns a text, so a real model can stand where the made-up one does.

A query to try, which shows what each agent cost, its attempts that failed included:

    SELECT agent_id, count(*) AS calls, count(*) FILTER (status <> 'completed') AS in_vain,
           sum(tokens) AS tokens, sum(cost) AS cost
    FROM activities GROUP BY agent_id ORDER BY agent_id

The planted bug (`bug=True`). The press does not take the text that was voted on, but the one on the
desk, a memory that the agents share, where the author puts what it has written last on a topic. Of
two documents on one topic, one may be printed that was never reviewed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    Conditional,
    Node,
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    field,
    result,
)

Model = Callable[[str, Any], str]
"""A language model: from a prompt, and a stream of chance, to a text."""

COST_OF_TOKEN: Final = 1e-5
ASK: Final[dict[str, Any]] = {
    "effect": False,
    "retry": RetryPolicy(maximum_attempts=5),
    "timeout": 60 * SECOND,
}
"""How a model is asked: it changes nothing that would have to be undone."""
TELL: Final[dict[str, Any]] = {"kind": "retryable", "idempotent": True}
WORDS: Final = ("clear", "short", "vague", "true", "novel", "dull", "sound", "bold")


def made_up(prompt: str, chance: Any) -> str:
    """Answer as a model might: a vote if it is asked for one, otherwise some words."""
    if prompt.startswith("Vote"):
        # Who reads a revised text is kinder.
        approves = chance.random() < (0.8 if "revised" in prompt else 0.5)
        return f"{'approve' if approves else 'reject'}: it is {chance.choice(WORDS)}"
    kind = "revised" if prompt.startswith("Revise") else "first"
    return f"a {kind} text, " + " ".join(chance.choice(WORDS) for _ in range(8))


def plan_of(reviewers: list[str], *, from_desk: bool) -> Plan:
    """Return the plan: a draft, a vote, and if need be one revision and one more vote."""
    topic = field("topic")

    def voted(round_: int, text: Any, otherwise: Node) -> Node:
        votes = [result(f"{reviewer}-{round_}", "vote") for reviewer in reviewers]
        tally, task = f"tally-{round_}", {"text": text, "from_desk": from_desk, "topic": topic}
        reading = [
            Step(f"{name}-{round_}", agent=name, activity="review", input=text, **ASK)
            for name in reviewers
        ]
        counted = Step(tally, agent="editor", activity="tally", input=votes, **ASK)
        name = f"publish-{round_}"
        printed = Step(name, agent="press", activity="publish", input=task, **TELL)
        chosen = Conditional(result(tally) == True, printed, otherwise=otherwise)  # noqa: E712
        return Sequential(Parallel(*reading, sync_point=f"round {round_}"), counted, chosen)

    first = {"topic": topic, "prompt": ["Write a text about", topic]}
    hold = Step("hold", agent="press", compensation="give_up", retry=ASK["retry"])
    draft = Step("draft", agent="author", activity="write", input=first, **ASK)
    task = {"topic": topic, "prompt": ["Revise", result("draft", "text")]}
    revise = Step("revise", agent="author", activity="write", input=task, **ASK)
    turned_down = Step("turn_down", agent="press", **TELL)
    second = Sequential(revise, voted(2, result("revise", "text"), turned_down))
    decided = voted(1, result("draft", "text"), second)
    return Plan(Sequential(Parallel(hold, draft), decided), name="review")


def asking(model: Model) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the handlers that ask a model: `write` and `review`."""

    def answer(ctx: AgentContext, prompt: str) -> dict[str, Any]:
        # A model that is asked again says something else: each call has a number of its own.
        ctx.state["calls"] += 1
        text = model(prompt, ctx.random(f"call {ctx.state['calls']}"))
        tokens = len(prompt.split()) + len(text.split())
        ctx.state["tokens"] += tokens
        return {"text": text, "usage": {"total_tokens": tokens, "cost": tokens * COST_OF_TOKEN}}

    def write(ctx: AgentContext, task: dict[str, Any]) -> dict[str, Any]:
        told = answer(ctx, " ".join(task["prompt"]))
        ctx.resource("desk")[task["topic"]] = told["text"]
        return told

    def review(ctx: AgentContext, text: str) -> dict[str, Any]:
        told = answer(ctx, f"Vote, approve or reject, and say why: {text}")
        vote = told["text"].startswith("approve")
        ctx.state["votes"].setdefault(ctx.workflow_id, {})[text] = vote
        return {**told, "vote": vote}

    return write, review


def tally(votes: list[bool]) -> bool:
    """Say whether more than half of the reviewers approve."""
    return sum(votes) * 2 > len(votes)


def hold(ctx: AgentContext) -> None:
    """Hold a page of the next issue, unless its review is over."""
    ctx.state["pages"].setdefault(ctx.workflow_id, "held")


def give_up(ctx: AgentContext) -> None:
    """Give up the page that was held for a review that failed."""
    ctx.state["pages"][ctx.workflow_id] = "given up"


def publish(ctx: AgentContext, task: dict[str, Any]) -> None:
    """Print the text that was voted on, or with the planted bug what lies on the desk."""
    text = ctx.resource("desk")[task["topic"]] if task["from_desk"] else task["text"]
    ctx.state["printed"].setdefault(ctx.workflow_id, text)
    ctx.state["pages"][ctx.workflow_id] = "printed"


def turn_down(ctx: AgentContext) -> None:
    """Tell the author that it will not be printed."""
    ctx.state["turned_down"][ctx.workflow_id] = True
    ctx.state["pages"][ctx.workflow_id] = "turned down"


def what_is_printed_was_read(run: Run) -> Iterator[str]:
    """Every reviewer has voted on the text that was printed."""
    for document, text in run.states["press"]["printed"].items():
        for name, cells in run.states.items():
            if "votes" in cells and text not in cells["votes"].get(document, {}):
                yield f"{document}: {name} never read {text!r}"


def every_document_is_decided(run: Run) -> Iterator[str]:
    """A review that completed has printed the document or turned it down, not both."""
    press = run.states["press"]
    for document, status in run.statuses.items():
        ends = [end for end in ("printed", "turned_down") if document in press[end]]
        if (status == "completed" and len(ends) != 1) or (status == "failed" and ends):
            yield f"{document} has {status}: {', '.join(ends) or 'neither printed nor turned down'}"


def a_page_is_held_for_a_review_under_way(run: Run) -> Iterator[str]:
    """No page is held for a review that has ended."""
    for document, page in run.states["press"]["pages"].items():
        if page == "held" and run.statuses[document] in {"completed", "failed"}:
            yield f"a page is held for {document}, which has {run.statuses[document]}"


@scenario
def review(
    *, documents: int = 3, reviewers: int = 3, model: Model | None = None, bug: bool = False
) -> World:
    """Documents are written, reviewed and revised by language-model agents.

    Args:
        documents: how many there are, one every ten seconds.
        reviewers: how many read each of them.
        model: a function of (prompt, chance) that returns a text; None makes one up.
        bug: whether the press prints what lies on the desk.
    """
    write, read = asking(model or made_up)
    names = [f"reviewer-{n}" for n in range(1, reviewers + 1)]
    thinks = LogNormal(4 * SECOND, 0.6)

    def asked(name: str, activity: str, handler: Callable[..., Any]) -> Agent:
        state: dict[str, Any] = {"calls": 0, "tokens": 0}
        state |= {"votes": {}} if activity == "review" else {}
        return Agent(name, named={activity: handler}, state=state, service=thinks)

    press: dict[str, Any] = {"printed": {}, "turned_down": {}, "pages": {}}
    agents = [asked(name, "review", read) for name in names]
    agents += [
        asked("author", "write", write),
        Agent("editor", tally, service=LogNormal(SECOND, 0.3)),
        Agent("press", hold, give_up, publish, turn_down, state=press, service=thinks),
    ]

    def starts(chances: Chances) -> Iterator[Start]:
        chance = chances.random("topics")
        for n in range(documents):
            task = {"topic": chance.choice(("sagas", "clocks", "queues"))}
            yield Start(f"document-{n + 1}", task, at=10 * n * SECOND)

    kept = [
        what_is_printed_was_read,
        every_document_is_decided,
        a_page_is_held_for_a_review_under_way,
    ]
    plan = plan_of(names, from_desk=bug)
    return World(agents, plan, starts, resources=[Resource("desk")], invariants=kept)
