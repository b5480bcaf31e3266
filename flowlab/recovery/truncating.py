"""Truncation of a store's streams that keeps the order and the clocks of the rest as they are."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import CausalOrder
from flowlab.causality import truncate as truncated
from flowlab.causality.truncating import ENDS, Base
from flowlab.errors import LimitError
from flowlab.events import MAX_PAYLOAD_BYTES, counted, grouped
from flowlab.store import EventStore
from flowlab.store.truncation import TruncateResult

if TYPE_CHECKING:
    from flowlab.causality.selecting import EventRef
    from flowlab.events import EventLog

MAX_HORIZON_BYTES: Final = MAX_PAYLOAD_BYTES - 65_536
"""Most that an event tells of what goes, beside the rest of its payload."""
_NAMED_LATER: Final = (
    "ActivityCanceled",
    "ActivityCompleted",
    "ActivityFailed",
    "ActivityScheduled",
    "ActivityStarted",
    "ActivityTimedOut",
    "BarrierArrived",
    "ChildWorkflowCanceled",
    "ChildWorkflowCompleted",
    "ChildWorkflowFailed",
    "ChildWorkflowInitiated",
    "ChildWorkflowStarted",
    "CompensationCompleted",
    "CompensationFailed",
    "CompensationScheduled",
    "MessageSent",
    "SignalInitiated",
    "Signaled",
    "TimerFired",
    "TimerStarted",
    "TransactionAborted",
    "TransactionCommitted",
)
"""What an event that comes later names as its cause, as long as none has. What follows an agent's
`MessageReceived` is next on its lane, and names it not."""
_TAKING_UP: Final = (
    "ActivityCancelRequested",
    "CancelInitiated",
    "MessageReceived",
    "WorkflowStarted",
)
"""What names a request before its answer does: the request is open still."""


def truncate(
    store: EventStore,
    workflow_id: str | Mapping[str, int],
    *,
    upto: int | None = None,
    namespace: str = "default",
    run_id: str = "",
    archive: str | PathLike[str] | None = None,
    discard: bool = False,
) -> TruncateResult:
    """Truncate streams of a store; order and clocks of what is left stay those of the whole log.

    The event `LogTruncated` tells what has to be remembered for that (`causality.truncate`), of
    this truncation and of those before it, and `log.causality` goes on from there in any log that
    holds the whole run. It is made of the whole run, while nobody else appends: `store.truncate`
    costs what goes, and this what is there. Where one without it went before, clocks count what is
    left since. What a running workflow has named once, as a result that two of its branches wait
    for, is not kept for the second: clocks of what names it then may count less.

    Args:
        store: that they are in.
        workflow_id: the stream, or for each of several the last sequence to go.
        upto: the last sequence to go, where one stream is named.
        namespace: of the streams.
        run_id: of the streams, empty for the live run.
        archive: the file to write what goes away to; by default one in `archive/` of the store.
        discard: write no such file.

    Raises:
        InvalidArgumentError: a sequence is not one of its stream, or is gone already.
        FormatVersionError: an older flowlab made the store.
        LimitError: what is to be remembered is larger than `MAX_HORIZON_BYTES`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventLog
        >>> log = EventLog.from_text("A: a >m | B: <m b >n | C: <n c")
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append_log(log)
        ...     gone = truncate(store, "@B", upto=3)
        ...     left = store.snapshot().log()
        >>> gone, left.causality.vector_clock(("@C", 1))
        (TruncateResult(3 events of 1 stream), {'A': 2, 'B': 3, 'C': 1})
    """
    wanted = dict(workflow_id) if isinstance(workflow_id, Mapping) else {workflow_id: upto}

    def remember(log: EventLog) -> Any:
        order = CausalOrder(log)
        streams = wanted.items()  # the store has refused what is no sequence
        bases: dict[Base, int] = {
            (namespace, run_id, name): last for name, last in streams if last is not None
        }
        _, horizon = truncated(order, bases, keep=_unanswered(order))
        told = horizon.to_json()
        size = len(msgspec.json.encode(told))
        if size > MAX_HORIZON_BYTES:
            message = (
                f"what is to be remembered of {counted(len(horizon), 'truncated event')} takes "
                f"{grouped(size)} bytes, and MAX_HORIZON_BYTES is {grouped(MAX_HORIZON_BYTES)}: "
                "truncate where fewer events of the rest name what goes, or with store.truncate, "
                "which remembers nothing"
            )
            raise LimitError(message)
        return told

    return store.truncate(
        workflow_id,
        upto=upto,
        namespace=namespace,
        run_id=run_id,
        archive=archive,
        discard=discard,
        remember=remember,
    )


def _unanswered(order: CausalOrder) -> list[EventRef]:
    """Return the events that one which comes later may name: none has, and no stream has ended."""
    graph, types = order.graph, order.log.table.column("event_type")
    waits = pc.is_in(types, value_set=pa.array(_NAMED_LATER)).to_numpy()
    taking_up = pc.is_in(types, value_set=pa.array(_TAKING_UP)).to_numpy()
    waits[graph.named.cause[~taking_up[graph.named.effect]]] = False
    ends = pc.is_in(types, value_set=pa.array(sorted(ENDS))).to_numpy()
    heads = graph.places.rows_of(np.arange(len(graph.streams), dtype=np.int32), graph.places.high)
    waits &= ~ends[heads][graph.stream]
    taken_up = {event.id for row, event in graph.over if event.until and taking_up[row]}
    answered = {event.id for row, event in graph.over if not taking_up[row]}
    rows = [int(row) for row in np.flatnonzero(waits)]
    return [*rows, *sorted(taken_up - answered)]
