"""One message to an agent on its way: a request of a workflow, or a letter of another agent."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowlab.simulation.driver import Driver
    from flowlab.simulation.server import Server


class Call:
    """An attempt of an activity, from its request to its answer.

    Attributes:
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
        done: whether it is answered or given up.
    """

    __slots__ = (
        "arrived_ns",
        "asked",
        "attempt",
        "coordination",
        "deliveries",
        "done",
        "driver",
        "failed",
        "fault",
        "kept",
        "key",
        "name",
        "op",
        "outcome",
        "reply_ns",
        "request_ns",
        "row",
        "server",
        "service_ns",
        "step",
        "step_id",
        "txn",
        "undo",
        "value",
        "waiter",
    )

    arrived_ns: int
    asked: int
    coordination: int
    key: int
    reply_ns: int
    request_ns: int
    row: int
    service_ns: int
    step: str
    step_id: str | None
    txn: int

    def __init__(
        self,
        driver: Driver | None,
        op: Any,
        server: Server,
        name: str,
        value: Any,
        attempt: int = 1,
        undo: bool = False,  # noqa: FBT001, FBT002 - made in the loop
    ) -> None:
        self.driver = driver
        self.op = op
        self.server = server
        self.name = name
        self.value = value
        self.attempt = attempt
        self.undo = undo
        self.done = False
        self.failed = False
        self.outcome: Any = None
        self.kept: Any = None
        self.fault: Any = None
        self.waiter: Any = None
        self.deliveries = 0

    @property
    def idempotency_key(self) -> str:
        """Equal for all attempts and deliveries of one step of one workflow."""
        owner = self.server.engine.recorder.streams[self.coordination].name
        return f"{owner}/{'~' if self.undo else ''}{self.step}"

    @property
    def label(self) -> str:
        """Names the message in its world: its step, and the attempt."""
        return f"{self.idempotency_key}/{self.attempt}"

    def again(self, row: int) -> Call:
        """Return the same message as it is delivered once more, because of an event."""
        twin = copy(self)
        twin.row = row
        return twin

    def __repr__(self) -> str:
        return f"Call({self.label!r})"
