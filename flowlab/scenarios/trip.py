"""A trip: flight, hotel and car are booked at once, then the card is charged, then a mail goes out.

What happens. Each trip is one instance of a plan. The three bookings run side by side and meet at a
sync point. Each of them can be undone, so all are compensable. The charge is the pivot: before it
everything can be taken back, after it the trip is sold. The mail is retryable: it may fail a few
times, but in the end it goes out. There are fewer rooms than trips, so some trips find the hotel
full; what they had booked by then is given back in the reverse order.

What to look at. In the picture of one failed trip, the bar of the refused room, and after it the
compensations, each begun by the answer before it. With `faults="network"`, a request that was lost:
its step times out, nobody knows whether it happened, and it is undone all the same.

A query to try, which shows what was undone and why it came to that:

    SELECT workflow_id, name, status FROM compensations ORDER BY ALL

The planted bug (`bug=True`). The agents give a place back whenever they are asked to, and do not
look whether this trip has one. That goes well until a cancellation comes twice, or for a booking
whose request was lost: then there are more places than were ever built. Faults show it: "chaos".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowlab.simulation import Agent, AgentContext, Exponential, Run, Start, World, scenario
from flowlab.workflow import SECOND, Parallel, Plan, RetryPolicy, Sequential, Step

MS: Final = SECOND // 1_000
SELLERS: Final = ("airline", "hotel", "garage")


class SoldOutError(Exception):
    """Nothing is free."""


class CardDeclinedError(Exception):
    """The bank says no; asking again does not help."""


def book(ctx: AgentContext) -> str:
    """Take a place for the trip, if it has none yet and was not canceled."""
    trips = ctx.state["trips"]
    if trips.get(ctx.workflow_id) == "canceled":
        message = "this trip was canceled already"
        raise SoldOutError(message)
    if ctx.workflow_id not in trips:
        if not ctx.state["free"]:
            message = f"{ctx.agent} has nothing left"
            raise SoldOutError(message)
        ctx.state["free"] -= 1
        trips[ctx.workflow_id] = "booked"
    return f"{ctx.agent} expects {ctx.workflow_id}"


def cancel(ctx: AgentContext) -> None:
    """Give the trip's place back, if it has one, and remember that: a booking may come late."""
    if ctx.state["trips"].get(ctx.workflow_id) == "booked":
        ctx.state["free"] += 1
    ctx.state["trips"][ctx.workflow_id] = "canceled"


def cancel_blindly(ctx: AgentContext) -> None:
    """Give a place back: the planted bug."""
    ctx.state["free"] += 1
    ctx.state["trips"][ctx.workflow_id] = "canceled"


def charge(ctx: AgentContext, price: int) -> int:
    """Charge the card once for each trip, however often it is asked to."""
    if ctx.workflow_id not in ctx.state["done"] and ctx.random().random() < ctx.state["declined"]:
        message = "the limit of the card is reached"
        raise CardDeclinedError(message)
    ctx.state["done"][ctx.workflow_id] = price
    return price


def mail(ctx: AgentContext) -> None:
    """Tell the customer, once."""
    ctx.state["done"][ctx.workflow_id] = True


PLAN: Final = Plan(
    Sequential(
        Parallel(
            Step("flight", agent="airline", activity="book", compensation="cancel"),
            Step("room", agent="hotel", activity="book", compensation="cancel"),
            Step("car", agent="garage", activity="book", compensation="cancel"),
            sync_point="all booked",
        ),
        Step(
            "charge",
            agent="bank",
            input=900,
            kind="pivot",
            # Whether a charge that was not answered took place is unknown, so it asks again until
            # it knows: a pivot must not be given up in doubt.
            retry=RetryPolicy(non_retryable_error_types=("CardDeclinedError",)),
        ),
        Step("mail", agent="post", kind="retryable", idempotent=True),
    ),
    name="trip",
)


def places_are_kept(run: Run) -> Iterator[str]:
    """What is free and what is booked are together what there was at the beginning."""
    for agent in SELLERS:
        free, booked = run.states[agent]["free"], len(_booked(run, agent))
        if free + booked != run.states[agent]["places"]:
            yield f"{agent}: {free} free + {booked} booked, of {run.states[agent]['places']} places"


def a_trip_is_whole_or_nothing(run: Run) -> Iterator[str]:
    """A trip that completed has every place, is paid and told; one that failed has nothing."""
    for trip, status in run.statuses.items():
        has = [agent for agent in SELLERS if trip in _booked(run, agent)]
        has += [agent for agent in ("bank", "post") if trip in run.states[agent]["done"]]
        whole = len(has) == len(SELLERS) + 2
        if (status == "completed" and not whole) or (status == "failed" and has):
            yield f"{trip} has {status}, with something at: {', '.join(has) or 'nobody'}"


def _booked(run: Run, agent: str) -> list[str]:
    return [trip for trip, what in run.states[agent]["trips"].items() if what == "booked"]


@scenario
def trip(*, trips: int = 3, rooms: int = 2, declined: float = 0.1, bug: bool = False) -> World:
    """Trips of flight, hotel and car, booked at once, paid for, and confirmed by mail.

    Args:
        trips: how many customers there are; they come within a second.
        rooms: of the hotel; every other agent has places enough.
        declined: the share of cards that the bank declines.
        bug: whether places are given back without a look at whether there is one to give.
    """

    def seller(name: str, places: int) -> Agent:
        state = {"free": places, "places": places, "trips": {}}
        undo = cancel_blindly if bug else cancel
        return Agent(name, book, named={"cancel": undo}, state=state, service=Exponential(80 * MS))

    bank = {"declined": declined, "done": {}}
    agents = [
        seller("airline", trips),
        seller("hotel", rooms),
        seller("garage", trips),
        Agent("bank", charge, state=bank, service=Exponential(200 * MS)),
        Agent("post", mail, state={"done": {}}, service=Exponential(20 * MS)),
    ]
    starts = [Start(f"trip-{n}", at=(n - 1) * SECOND // trips) for n in range(1, trips + 1)]
    kept = [places_are_kept, a_trip_is_whole_or_nothing]
    return World(agents, PLAN, starts, invariants=kept, timeout=5 * SECOND)
