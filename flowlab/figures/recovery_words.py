"""What a picture of recovery costs says in words; the live view says the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from flowlab.figures import theme
from flowlab.figures.recovery_model import Best, RecoveryCosts, best, is_short, scheme_cost
from flowlab.figures.text import duration, number
from flowlab.recovery.replaying import catch_up

_YEARS: Final = 3.15576e11
"""Seconds in 10 000 years: nobody waits longer."""
_MANY: Final = ((1e9, "billion"), (1e6, "million"))


@dataclass(frozen=True, slots=True)
class Look:
    """How a scheme is drawn: never by its colour alone."""

    letter: str
    name: str
    colour: str
    dash: str = ""
    width: float = 2.2


LOOKS: Final = {
    "replay": Look("A", "replay from the start", theme.VERMILION),
    "checkpoint": Look("B", "checkpoint, then the events since", theme.BLUE, width=3.2),
    "incremental": Look("C", "incremental checkpoints", theme.GREEN, "9 4"),
    "cache": Look("D", "checkpoint, and a live cache", theme.PURPLE, "2.5 3.5"),
    "every_task": Look("E", "replay at every task", theme.ORANGE, "11 3 2.5 3"),
}
"""The look of each scheme, in the order of the legend."""


def seconds(value: float) -> str:
    """Write seconds with three figures and the unit that fits.

    Example:
        >>> seconds(0.2433568), seconds(4e-10), seconds(7200), seconds(float("inf"))
        ('243 ms', '0.4 ns', '2 h', 'without end')
    """
    if value == math.inf:
        return "without end"
    if value > _YEARS:
        return "over 10 000 years"
    if 0 < value < 1e-9:
        return f"{float(f'{value * 1e9:.2g}'):g} ns"
    return duration(math.floor(value * 1e9 + 0.5))


def count(value: float) -> str:
    """Write a number of events as a whole one, a large one with its word.

    Example:
        >>> count(446.6), count(2.5e6), count(3e14)
        ('447', '2.5 million', 'over 10¹²')
    """
    if value >= 1e12:
        return "over 10¹²"
    for unit, word in _MANY:
        if value >= unit:
            return f"{float(f'{value / unit:.3g}'):g} {word}"
    return number(math.floor(value + 0.5))


def told_best(scheme: str, found: Best, costs: RecoveryCosts) -> str:
    """Say what a scheme costs, and with which interval.

    Example:
        >>> costs = RecoveryCosts(S=50, L=20, r=.5, p=.001)
        >>> told_best("checkpoint", best("checkpoint", costs), costs)
        '243 ms an event, every 447 events'
    """
    price = f"{seconds(found.cost)} an event"
    if not found.n_star:
        return price
    every = f"every {count(max(1.0, found.n_star))}"
    if scheme == "incremental":
        # Its valley is so flat that further figures would be those of rounding.
        every = f"every {count(float(f'{max(1.0, found.n_star):.3g}'))}"
        full = math.floor(found.full_every + 0.5)
        return f"{price}, {every}, {'all' if full == 1 else f'1 in {count(full)}'} full"
    if scheme == "cache":
        return f"{price}, {every}, {100 * costs.hit_ratio:.3g} % hits"
    return f"{price}, {every} events"


def advice(costs: RecoveryCosts) -> tuple[str, ...]:
    """Return what is recommended, in sentences.

    Example:
        >>> for sentence in advice(RecoveryCosts(S=50, L=20, r=.5, p=.001, history=800)):
        ...     print(sentence)
        Write no checkpoint: a history of 800 events is shorter than 2 N* = 894.
        Replay from the start costs 200 ms an event.
        A crash at its last event is back after 6 min 40 s, caught up after 8 min 19 s.
    """
    found, plain = best("checkpoint", costs), scheme_cost("replay", 1.0, costs)
    history = f"a history of {count(costs.history)} events"
    rule = f"2 N* = {count(2 * found.n_star)}"
    every = max(1.0, float(math.floor(found.n_star + 0.5)))
    sentences: list[str]
    if is_short(costs):
        sentences = [f"Write no checkpoint: {history} is shorter than {rule}."]
        sentences.append(f"Replay from the start costs {seconds(plain)} an event.")
        sentences.append(_caught("its last event", costs.history - 1, 0.0, costs))
    elif plain <= found.cost:
        sentences = [f"Write no checkpoint: {history} is longer than {rule}."]
        sentences.append(
            "But loading one takes longer than it saves; replay from the start costs "
            f"{seconds(plain)} an event."
        )
        sentences.append(_caught("its last event", costs.history - 1, 0.0, costs))
    else:
        times = plain / found.cost
        price = f"{seconds(found.cost)} an event"
        less = f"{_times(times)} less than replay from the start"
        sentences = [f"Write a checkpoint every {count(every)} events: {price}, {less}."]
        sentences.append(
            f"From {count(found.low)} to {count(found.high)} events, what the interval changes is "
            "at most 5 % more."
        )
        sentences.append(_caught("the last event before one", every - 1, costs.load_s, costs))
    return tuple(sentences)


def _times(ratio: float) -> str:
    if ratio >= 1e6:
        return "more than a million times"
    return f"{float(f'{ratio:.2g}'):,.6g} times".replace(",", "\u202f")


def _caught(place: str, since: float, load: float, costs: RecoveryCosts) -> str:
    found = catch_up(
        max(0.0, since), L=load, r=costs.r, arrivals=costs.arrivals, capacity=costs.capacity,
        D=costs.D,
    )  # fmt: skip
    back = f"A crash at {place} is back after {seconds(found.back_s)}"
    if found.caught_up_s == math.inf:
        return f"{back}, and never catches up: as much arrives as can be worked off."
    return f"{back}, caught up after {seconds(found.caught_up_s)}."
