"""What comes from outside into a world: workflows that begin, signals, requests to stop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.codec import encode_json
from flowlab.simulation.doors import as_time
from flowlab.workflow import Duration
from flowlab.workflow.names import as_id


@dataclass(frozen=True, slots=True)
class Start:
    """A workflow that begins.

    Args:
        workflow_id: of its stream.
        input: any JSON value.
        at: when, from the beginning of the world: nanoseconds or a timedelta.
        workflow: which, by name; None is the world's first.
        roles: of a plan: the agent for each name that the plan uses.

    Example:
        >>> Start("trip-1", {"nights": 2})
        Start(workflow_id='trip-1', input={'nights': 2}, at=0, workflow=None, roles=None)
    """

    workflow_id: str
    input: Any = None
    at: Duration = 0
    workflow: str | None = None
    roles: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """An event that a workflow is sent from outside.

    Args:
        workflow_id: which workflow.
        name, value: what it may wait for, and any JSON value.
        at: when.

    Example:
        >>> Signal("trip-1", "approved", True, at=5)
        Signal(workflow_id='trip-1', name='approved', value=True, at=5)
    """

    workflow_id: str
    name: str
    value: Any = None
    at: Duration = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request from outside that a workflow stop.

    Example:
        >>> Cancel("trip-1", "the customer changed her mind", at=5).at
        5
    """

    workflow_id: str
    reason: str = ""
    at: Duration = 0


Input = Start | Signal | Cancel
Starts = Iterable[Input] | Callable[["Chances"], Iterable[Input]]
CheckStart = Callable[[str | None, str, Mapping[str, str] | None], object]
"""Raises where a workflow (by name, id, roles) cannot begin."""


class Chances:
    """Named streams of chance for what happens before the world begins: its arrivals.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __repr__(self) -> str:
        return f"Chances({self._seed})"

    def random(self, name: str) -> Any:
        """Return the stream of a name, from its beginning."""
        from flowlab.workflow.chance import stream  # noqa: PLC0415

        return stream(self._seed, "@world", name)


def as_starts(given: Any, first: str, check: CheckStart) -> Starts:
    """Return what begins as a tuple, checked; or the function that gives it.

    Args:
        given: a number of workflows, a list, or a function.
        first: the name of the world's first workflow, of which a number makes the ids.
        check: of each start that is listed.

    Raises:
        InvalidArgumentError: it is none of these, or something that is listed cannot be.
    """
    if type(given) is int and given >= 0:
        given = [Start(f"{first}-{number}") for number in range(1, given + 1)]
    elif callable(given):
        places = inspect.signature(given).parameters
        if len(places) != 1:
            message = "a function that gives the starts takes one argument: the streams of chance"
            raise InvalidArgumentError(message)
        found: Starts = given
        return found
    elif isinstance(given, (Start, Signal, Cancel)):
        given = [given]
    elif isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        message = (
            f"starts is a number of workflows from 0, a list of Start, or a function; got {given!r}"
        )
        raise InvalidArgumentError(message)
    listed = tuple(in_order(given))
    begun: set[str] = set()
    for entry in listed:
        if isinstance(entry, Start):
            check(entry.workflow, entry.workflow_id, entry.roles)
            _check_json(entry.input, f"the input of {entry.workflow_id!r}")
            if entry.workflow_id in begun:
                message = f"workflow id {entry.workflow_id!r} is given twice; each needs its own"
                raise InvalidArgumentError(message)
            begun.add(entry.workflow_id)
    return listed


def in_order(given: Iterable[Input]) -> Iterator[Input]:
    """Yield what comes from outside, each checked when it is asked for, but for what begins.

    Raises:
        InvalidArgumentError: an entry is no `Start`, `Signal` or `Cancel`, or says what cannot be,
            or time goes back from one to the next.
    """
    if not isinstance(given, Iterable):
        message = f"the starts are a list of Start, Signal or Cancel values; got {given!r}"
        raise InvalidArgumentError(message)
    last = 0
    for entry in given:
        if not isinstance(entry, (Start, Signal, Cancel)):
            message = f"starts are Start, Signal or Cancel values; got {entry!r}"
            raise InvalidArgumentError(message)
        at_ns = as_time(entry.at, "at")
        if at_ns < last:
            message = (
                f"what is listed for {entry.workflow_id!r} comes at {at_ns} ns, before what is "
                f"listed ahead of it ({last} ns); list what comes from outside in order of time"
            )
            raise InvalidArgumentError(message)
        last = at_ns
        if not isinstance(entry, Start):
            _check_told(entry)
        yield entry


def _check_told(entry: Signal | Cancel) -> None:
    as_id(entry.workflow_id, "the id of the workflow that a Signal or Cancel is for")
    if isinstance(entry, Signal):
        as_id(entry.name, "the name of a Signal")
        _check_json(entry.value, f"the value of signal {entry.name!r}")
    elif not isinstance(entry.reason, str):
        message = f"the reason of a Cancel is {entry.reason!r}; expected text"
        raise InvalidArgumentError(message)


def _check_json(value: Any, what: str) -> None:
    try:
        encode_json(value)
    except InvalidEventError as error:
        message = f"{what}: {error}"
        raise InvalidArgumentError(message) from error
