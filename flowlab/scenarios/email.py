"""A mail that cannot be unsent, in a saga: where does it go? Four answers, one of them refused.

What happens. A seat is reserved, the card is charged, and the customer gets a mail. A mail that is
out is out, so it is no compensable step. `mail_as` says what it is:

- "compensable": refused before anything runs, since nothing undoes a mail. Try it: the error names
  the step and the rule.
- "pivot": the mail decides. Seat and money can be given back as long as it is not out.
- "retryable": the charge decides, and the mail follows, tried until it succeeds.
- "escrow": the mail is written while the seat is reserved, but only into an outbox, from which it
  can be torn up. It is sent by the last step, when everything is decided.

What to look at. Which step comes last in each of them, and what is undone if the card is declined.

A query to try, which shows what each customer's mail came after:

    SELECT workflow_id, list(name ORDER BY ended_ns) FROM activities GROUP BY ALL ORDER BY ALL

The planted bug (`bug=True`). To be quick, the theater mails as soon as it has reserved a seat, from
within its own handler. The plan does not know of it, so no check can see it: what a step does
besides is an effect that nobody undoes. Whoever has a declined card was told that all is well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.simulation import Agent, AgentContext, Exponential, Run, Start, World, scenario
from flowlab.workflow import (
    SECOND,
    Node,
    Parallel,
    Plan,
    RetryPolicy,
    Sequential,
    Step,
    check_plan,
)

MS: Final = SECOND // 1_000
UNTIL_IT_IS_KNOWN: Final = RetryPolicy(
    initial_interval=200 * MS, non_retryable_error_types=("CardDeclinedError", "NoAddressError")
)


class CardDeclinedError(Exception):
    """The bank says no."""


class NoAddressError(Exception):
    """There is nobody to send it to."""


def plan_of(mail_as: str) -> Plan:
    """Return the plan in which the mail is a step of this kind.

    Raises:
        PlanError: it is to be compensable, and nothing undoes it.
        InvalidArgumentError: there is no such kind.
    """
    reserve = Step("reserve", agent="theater", compensation="release")
    charge = Step("charge", agent="bank", kind="pivot", retry=UNTIL_IT_IS_KNOWN)
    send = Step("send", agent="post", kind="retryable", idempotent=True)
    write = Step("write", agent="post", compensation="tear_up")
    undone = Step("charge", agent="bank", compensation="refund", retry=UNTIL_IT_IS_KNOWN)
    decide = Step("send", agent="post", kind="pivot", retry=UNTIL_IT_IS_KNOWN)
    plans: dict[str, tuple[Node, ...]] = {
        "compensable": (reserve, Step("send", agent="post"), charge),
        "pivot": (reserve, undone, decide),
        "retryable": (reserve, charge, send),
        "escrow": (Parallel(reserve, write), charge, send),
    }
    if mail_as not in plans:
        message = f"mail_as is {mail_as!r}; expected one of {', '.join(plans)}"
        raise InvalidArgumentError(message)
    return check_plan(Plan(Sequential(*plans[mail_as]), name="email"))


def reserve(ctx: AgentContext) -> None:
    """Keep a seat for the customer."""
    ctx.state["seats"].setdefault(ctx.workflow_id, "reserved")


def reserve_and_mail(ctx: AgentContext) -> None:
    """Keep a seat, and tell the customer at once: the planted bug."""
    ctx.state["seats"].setdefault(ctx.workflow_id, "reserved")
    ctx.send("post", "send")


def release(ctx: AgentContext) -> None:
    """Give the seat back."""
    ctx.state["seats"][ctx.workflow_id] = "released"


def charge(ctx: AgentContext) -> None:
    """Charge the card once, or decline it."""
    if ctx.workflow_id not in ctx.state["charges"]:
        if ctx.random().random() < ctx.state["declined"]:
            message = "the card is declined"
            raise CardDeclinedError(message)
        ctx.state["charges"][ctx.workflow_id] = "charged"


def refund(ctx: AgentContext) -> None:
    """Give the money back."""
    ctx.state["charges"][ctx.workflow_id] = "refunded"


def write(ctx: AgentContext) -> None:
    """Write the mail, and keep it."""
    ctx.state["outbox"].setdefault(ctx.workflow_id, "written")


def tear_up(ctx: AgentContext) -> None:
    """Destroy a mail that is not out."""
    if ctx.state["outbox"].get(ctx.workflow_id) != "sent":
        ctx.state["outbox"][ctx.workflow_id] = "torn up"


def send(ctx: AgentContext) -> None:
    """Send the mail: what is out is out."""
    if ctx.state["outbox"].get(ctx.workflow_id) != "sent":
        if ctx.random().random() < ctx.state["bounced"]:
            message = "there is no such address"
            raise NoAddressError(message)
        ctx.state["outbox"][ctx.workflow_id] = "sent"


def every_mail_is_true(run: Run) -> Iterator[str]:
    """A customer has the mail exactly if the whole saga completed."""
    for customer, status in run.statuses.items():
        told = run.states["post"]["outbox"].get(customer) == "sent"
        if status != "open" and told != (status == "completed"):
            yield f"{customer} {'was' if told else 'was not'} told, and the saga has {status}"


def seat_and_money_agree(run: Run) -> Iterator[str]:
    """Whoever completed has a seat and paid for it; whoever failed has neither."""
    for customer, status in run.statuses.items():
        seat = run.states["theater"]["seats"].get(customer) == "reserved"
        paid = run.states["bank"]["charges"].get(customer) == "charged"
        if status != "open" and {seat, paid} != {status == "completed"}:
            yield f"{customer} has {status}, with seat: {seat}, paid: {paid}"


@scenario
def email(
    *, customers: int = 4, mail_as: str = "escrow", declined: float = 0.2, bug: bool = False
) -> World:
    """A mail that cannot be unsent, as pivot, as retryable step, or in escrow.

    Args:
        customers: how many sagas there are.
        mail_as: "compensable" (which is refused), "pivot", "retryable" or "escrow".
        declined: the share of cards that the bank declines.
        bug: whether the theater sends a mail of its own.
    """
    # Only where the mail decides may it fail for good; otherwise a bounced mail is tried again.
    post = {"outbox": {}, "bounced": 0.1 if mail_as == "pivot" else 0.0}
    theater = {"reserve": reserve_and_mail if bug else reserve, "release": release}
    bank = {"charges": {}, "declined": declined}
    agents = [
        Agent("theater", named=theater, state={"seats": {}}, service=Exponential(50 * MS)),
        Agent("bank", charge, refund, state=bank, service=Exponential(150 * MS)),
        Agent("post", write, tear_up, send, state=post, service=Exponential(20 * MS)),
    ]
    starts = [Start(f"customer-{n}", at=n * 100 * MS) for n in range(customers)]
    kept = [every_mail_is_true, seat_and_money_agree]
    return World(agents, plan_of(mail_as), starts, invariants=kept, timeout=5 * SECOND)
