"""Whether two operations commute: both orders are run and their states compared.

Source: the countermeasure *commutative updates*, Richardson, *Microservices Patterns*, chapter 4.3,
after Frank and Zahle (1998): updates that commute lose nothing, whatever their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events.wording import brief

MAX_STATES: Final = 100_000
"""Most states on which one call of `commutes` tries both orders."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one order leaves.

    Args:
        state: after both operations; one that is refused leaves it as it was.
        refused: "name: error type" of the operations that raised.

    Example:
        >>> Outcome(3)
        Outcome(state=3, refused=())
    """

    state: Any
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Commutation:
    """Whether two operations commute, as far as was tried; true or false where a bool is asked for.

    Args:
        first, second: their names.
        checked: the number of states on which both orders were run.
        state: the first state on which they differ, None where they do not.
        in_order: what `first`, then `second`, leave of it.
        in_reverse: what `second`, then `first`, leave of it.

    Example:
        >>> def add(n): return n + 2
        >>> def double(n): return n * 2
        >>> commutes(add, double, range(5))
        Commutation(of 0: add, double gives 4; double, add gives 2)
    """

    first: str
    second: str
    checked: int
    state: Any = None
    in_order: Outcome | None = None
    in_reverse: Outcome | None = None

    def __bool__(self) -> bool:
        return self.in_order is None

    def __repr__(self) -> str:
        both = f"{self.first}, {self.second}"
        if self.in_order is None or self.in_reverse is None:
            return f"Commutation({both} commute on {self.checked} states)"
        there, back = _told(self.in_order), _told(self.in_reverse)
        swapped = f"{self.second}, {self.first}"
        return f"Commutation(of {brief(self.state)}: {both} gives {there}; {swapped} gives {back})"


def commutes(
    first: Callable[[Any], Any],
    second: Callable[[Any], Any],
    states: Iterable[Any],
    *,
    equal: Callable[[Any, Any], bool] | None = None,
) -> Commutation:
    """Run two operations in both orders on each state, and compare what they leave.

    An operation is a function from a state to a new state. One that raises has refused and leaves
    the state as it was, and both orders must refuse the same. That no state differs is proof for
    these states alone; give all of a small world, or what Hypothesis draws.

    Args:
        first: an operation.
        second: the other.
        states: at least one, and at most `MAX_STATES`.
        equal: compares two states; None takes `==`.

    Raises:
        InvalidArgumentError: there is no state, an operation changes the state that it was given,
            or states cannot be compared.
        LimitError: there are more than `MAX_STATES` states.

    Example:
        >>> def deposit(balance): return balance + 5
        >>> def withdraw(balance): return balance - 3
        >>> commutes(deposit, withdraw, range(100))
        Commutation(deposit, withdraw commute on 100 states)
    """
    names = (_name(first, "first"), _name(second, "second"))
    if names[0] == names[1]:
        names = (f"first {names[0]}", f"second {names[1]}")
    same = equal or _equal
    checked = 0
    for state in states:
        if checked >= MAX_STATES:
            message = (
                f"more than MAX_STATES ({MAX_STATES:,}) states were given; take some of them, for "
                "instance with itertools.islice"
            )
            raise LimitError(message)
        if not same(deepcopy(state), state):
            message = (
                f"a copy of the state {brief(state)} is not equal to it, so outcomes cannot be "
                "compared; give equal=..., or states with an __eq__"
            )
            raise InvalidArgumentError(message)
        checked += 1
        steps = [(names[0], first), (names[1], second)]
        there, back = _run(steps, state, same), _run(steps[::-1], state, same)
        if set(there.refused) != set(back.refused) or not same(there.state, back.state):
            return Commutation(*names, checked, deepcopy(state), there, back)
    if not checked:
        message = "no state was given, so nothing was tried; give at least one"
        raise InvalidArgumentError(message)
    return Commutation(*names, checked)


def _run(
    steps: list[tuple[str, Callable[[Any], Any]]], state: Any, same: Callable[[Any, Any], bool]
) -> Outcome:
    current, refused = deepcopy(state), []
    for name, step in steps:
        before = deepcopy(current)
        try:
            after = step(current)
        except Exception as error:  # noqa: BLE001 - whatever it raises is how it refuses
            refused.append(f"{name}: {type(error).__name__}")
            after = before
        if not same(before, current):
            message = (
                f"{name} has changed the state that it was given, {brief(before)} to "
                f"{brief(current)}; let it return a new state"
            )
            raise InvalidArgumentError(message)
        current = after
    return Outcome(current, tuple(refused))


def _equal(left: Any, right: Any) -> bool:
    return bool(left == right)


def _name(function: Callable[[Any], Any], otherwise: str) -> str:
    name = getattr(function, "__name__", otherwise)
    return otherwise if name == "<lambda>" else str(name)


def _told(outcome: Outcome) -> str:
    refused = f" (refused {', '.join(outcome.refused)})" if outcome.refused else ""
    return brief(outcome.state) + refused
