"""One attempt of an activity, from its durable request to its answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from flowlab.errors import InvalidEventError
from flowlab.events import MAX_PAYLOAD_BYTES, Event, grouped
from flowlab.events.codec import encode_json
from flowlab.events.wording import cut, error_facts


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is asked to do, once the request is durable.

    Args:
        workflow_id: whose request it is.
        sequence: of the request in that stream.
        activity: what is to be done.
        agent: who was asked; None leaves it to the runtime.
        value: its input, a JSON value.
        attempt: which one, from 1.
        undo: whether it is a compensation.
        key: the idempotency key, equal for all attempts and deliveries of one step.
        timeout_ns: how long an answer is waited for; None is for ever.
        step_id, coordination_id: the step and the saga that it belongs to.
        delivery: how often it has been handed out, this one included: more than 1 after a crash
            that left open whether it had happened.
        source: the event that it reacts to, where it is a reaction that no request asks for; its
            sequence is below 0 then.
    """

    workflow_id: str
    sequence: int
    activity: str
    agent: str | None
    value: Any
    attempt: int
    undo: bool
    key: str
    timeout_ns: int | None
    step_id: str | None
    coordination_id: str | None
    delivery: int = 1
    source: int | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The workflow's id and the sequence, which no other effect has."""
        return self.workflow_id, self.sequence

    @property
    def because(self) -> int:
        """The sequence of the event that it is done because of."""
        return self.sequence if self.source is None else self.source

    @classmethod
    def of(cls, request: Event, key: str, *, delivery: int = 1) -> Effect:
        """Read what a request asks for.

        Example:
            >>> request = Event.of("ActivityScheduled", workflow_id="trip-1", sequence=2,
            ...                    name="book", payload={"input": 7, "attempt": 1})
            >>> Effect.of(request, "trip-1/book.2")
            Effect('book' for 'trip-1', attempt 1)
        """
        data = request.data
        return cls(
            workflow_id=request.workflow_id,
            sequence=request.sequence,
            activity=request.name,
            agent=data.get("agent"),
            value=data["input"],
            attempt=data["attempt"],
            undo=request.event_type == "CompensationScheduled",
            key=key,
            timeout_ns=data.get("timeout_ns"),
            step_id=request.step_id,
            coordination_id=request.coordination_id,
            delivery=delivery,
        )

    def facts(self) -> dict[str, Any]:
        """Return what names it in an event, or in a table."""
        return {
            "key": self.key,
            "activity": self.activity,
            "agent": self.agent,
            "workflow_id": self.workflow_id,
            "sequence": self.because,
            "attempt": self.attempt,
        }

    def __repr__(self) -> str:
        again = f", delivery {self.delivery}" if self.delivery > 1 else ""
        return f"Effect({self.activity!r} for {self.workflow_id!r}, attempt {self.attempt}{again})"


class Done(msgspec.Struct, frozen=True):
    """An effect succeeded.

    Args:
        result: a JSON value.

    Example:
        >>> Done({"seat": "12A"})
        Done(result={'seat': '12A'})
    """

    result: Any = None


class Gone(msgspec.Struct, frozen=True):
    """An effect failed, and nothing of it stays.

    Args:
        error_type: the name of the error's type, which retry policies look at.
        message: what it says.

    Example:
        >>> Gone("SoldOutError", "nothing is free")
        Gone(error_type='SoldOutError', message='nothing is free')
    """

    error_type: str
    message: str


Outcome = Done | Gone
"""How an effect ended."""

INVALID_RESULT: Final = "InvalidResult"
"""The type of the error of an activity whose result is no JSON, or too large for an event."""


MARGIN: Final = 64 * 1024
"""Bytes of a payload that are left for what it says besides a value."""

MOST: Final = MAX_PAYLOAD_BYTES - MARGIN
"""Most bytes of a result."""


def checked(outcome: Outcome) -> tuple[Outcome, bytes]:
    """Return an outcome that an event can hold, and the payload that says its result.

    Example:
        >>> checked(Done(7))
        (Done(result=7), b'{"result":7}')
        >>> checked(Done({1, 2}))[0].error_type
        'InvalidResult'
        >>> checked(Gone("OSError", "x" * 140_000))[0].message[-27:]
        'xxx... (140 000 characters)'
    """
    if isinstance(outcome, Gone):
        return Gone(_text(outcome.error_type), _text(outcome.message)), b""
    try:
        payload = b'{"result":' + encode_json(outcome.result) + b"}"
    except InvalidEventError as error:
        return Gone(INVALID_RESULT, f"its result is no JSON value: {error}"), b""
    if len(payload) > MOST:
        message = (
            f"its result takes {grouped(len(payload))} bytes; expected at most {grouped(MOST)}, "
            "which is MAX_PAYLOAD_BYTES without what an event says besides: keep it elsewhere, and "
            "return where"
        )
        return Gone(INVALID_RESULT, message), b""
    return outcome, payload


def _text(told: object) -> str:
    """Return what an error says as text that an event can hold: no half of a character in it."""
    return cut(str(told).encode("utf-8", "backslashreplace").decode())


def failed(error: BaseException) -> Gone:
    """Return how an effect ended that raised.

    Example:
        >>> failed(ValueError("too late"))
        Gone(error_type='ValueError', message='too late')
    """
    facts = error_facts(error)
    return Gone(facts["type"], facts["message"])
