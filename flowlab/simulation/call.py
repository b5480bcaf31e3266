"""One message to an agent on its way: a request of a workflow, or a letter of another agent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.simulation.draws import bits
from flowlab.simulation.fault_source import EVERY_RISK

if TYPE_CHECKING:
    from flowlab.simulation.driver import Caller
    from flowlab.simulation.server import Server


WAITS: Final = 1
"""It is in a mailbox, and nobody has begun it."""
WITHDRAWN: Final = 2
"""Its sender took it back before anybody had begun it: it is passed over."""
SEVERAL: Final = 4
"""It may be handled more than once: it was doubled, or a crash came between."""

_COPY: Final = 1 << 22

Names = tuple[str, str, str]
"""What a message is remembered by: its idempotency key; that of what it undoes, or ""; its id."""


class Call(msgspec.Struct, gc=False, eq=False):
    """An attempt of an activity, from its request to its answer.

    The cyclic collector does not look at it: whoever holds a call is held by none.

    Args:
        driver: the workflow that waits for it; None for a letter, which nobody waits for.
        op: what the driver knows it by.
        server: the agent that it is for.
        name: the activity; `step`: what it is called in the workflow, the same for all attempts.
        undo: whether it is a compensation.
        coordination: the stream of the workflow that it belongs to; `step_id` is what its events in
            that stream carry.
        key: names it as an integer, for draws.
        row: of the event that sent it; `asked`: of the request in the history, the same unless
            the message was duplicated; `txn`: of the event that ended its handling.
        arrived_ns, request_ns, service_ns, reply_ns: when it arrived, and how long each part takes.
        deliveries: how often an agent has begun it.
        fault: what happens to the agent while it handles it, if anything does.
        failed, outcome, kept: how it ended: the result, or the type and message of the error; and
            what of that goes into the payload.
        waiter: whoever is told of the answer to a letter.
        aside: why it waits, or has waited, in the middle of its handling.
        done: whether it is answered or given up.
        origin: the message that it is a copy of, if it is one.
        mark: tells it, in the ids of faults, from others of its label: a copy has a ', and what is
            sent by whoever handles it has its mark and delivery in parentheses.
        risks: what of it a fault may happen to, by its draws: `REQUEST`, ... of `fault_source`; a
            partition is none of them.
        mail: what an agent looks at before it begins it: `WAITS`, `WITHDRAWN` and `SEVERAL`,
            or 0.
    """

    driver: Caller | None
    op: Any
    server: Server
    name: str
    value: Any
    attempt: int = 1
    undo: bool = False
    row: int = -1
    asked: int = -1
    coordination: int = -1
    key: int = 0
    step: str = ""
    step_id: str | None = None
    request_ns: int = 0
    service_ns: int = 0
    reply_ns: int = 0
    arrived_ns: int = 0
    txn: int = -1
    done: bool = False
    failed: bool = False
    outcome: Any = None
    kept: Any = None
    fault: Any = None
    waiter: Any = None
    deliveries: int = 0
    aside: str | None = None
    origin: Call | None = None
    mail: int = 0
    mark: str = ""
    risks: int = EVERY_RISK

    @property
    def idempotency_key(self) -> str:
        """Equal for all attempts and deliveries of one step of one workflow."""
        owner = self.server.engine.recorder.streams[self.coordination].name
        return f"{owner}/{'~' if self.undo else ''}{self.step}"

    @property
    def forward_key(self) -> str:
        """Of a compensation, the idempotency key of what it undoes."""
        owner = self.server.engine.recorder.streams[self.coordination].name
        return f"{owner}/{self.step}"

    @property
    def label(self) -> str:
        """Names the message in its world: its step, and the attempt."""
        return f"{self.idempotency_key}/{self.attempt}"

    @property
    def message_id(self) -> str:
        """Names the message among all of its world: equal for its copies and deliveries alone."""
        return self.label + (self.origin or self).mark

    @property
    def names(self) -> Names:
        """What it is remembered by."""
        return self.idempotency_key, self.forward_key if self.undo else "", self.message_id

    @property
    def delivery(self) -> str:
        """Tells a delivery after the first from those before it."""
        return f"#{self.deliveries}" if self.deliveries > 1 else ""

    def again(self, row: int) -> Call:
        """Return the same message as it is delivered once more, because of an event.

        What befalls the copy does not befall the message itself: its draws are its own.
        """
        twin = msgspec.structs.replace(self, row=row, mail=SEVERAL, risks=EVERY_RISK)
        twin.key, twin.origin, twin.mark = (
            bits(self.key, _COPY),
            self.origin or self,
            f"{self.mark}'",
        )
        return twin

    @property
    def is_withdrawn(self) -> bool:
        """Whether its sender took it back before anybody had begun it."""
        taken_back = self.mail & WITHDRAWN
        return bool(taken_back or (self.origin is not None and self.origin.mail & WITHDRAWN))

    def __repr__(self) -> str:
        return f"Call({self.label!r})"


def first_wanted(call: Call, mailbox: deque[Call]) -> Call | None:
    """Return a message that was waiting, or the first behind it that nobody has taken back."""
    while call.is_withdrawn:
        if not mailbox:
            return None
        call = mailbox.popleft()
    call.mail &= ~WAITS
    return call


class Leg(msgspec.Struct, gc=False, frozen=True):
    """A part of a call, as faults name it: written out only where one happens.

    Args:
        call: the call.
        part: which part of it.
    """

    call: Call
    part: str

    def __str__(self) -> str:
        return self.call.label + self.call.mark + self.part
