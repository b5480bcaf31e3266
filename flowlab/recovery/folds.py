"""States that are folds of one stream: of agents from their transactions, of aggregates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow.compute as pc

from flowlab.errors import InvalidArgumentError, TruncatedError
from flowlab.events.wording import brief
from flowlab.recovery.checkpoint import STATE, WorkflowCheckpoint
from flowlab.recovery.restoring import contents
from flowlab.store import Aggregate, Checkpoint, EventStore, Snapshot
from flowlab.store.closure import least_cut
from flowlab.store.position_read import stream_events
from flowlab.store.span import Span

if TYPE_CHECKING:
    from flowlab.runtime.scheme import Stream

ORIGIN: Final = "flowlab state"
"""The origin of the checkpoints of folds, which are for looking back: no policy lets them go."""


class _Transaction(msgspec.Struct):
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    deleted: list[str] = msgspec.field(default_factory=list)


_PAYLOAD: Final = msgspec.json.Decoder(_Transaction)


@dataclass(frozen=True, slots=True)
class Fold:
    """How the state of a stream is made of its events.

    Args:
        name: of the kind, as its checkpoints carry it.
        initial: makes the state before the first event, the caller's own.
        advance: (state, snapshot, stream, first, last) -> (state, how many events were read).
        shown: what a reader sees of a state.
        older: other names that its checkpoints may carry, each with what makes a state of theirs.
    """

    name: str
    initial: Callable[[], Any]
    advance: Callable[[Any, Snapshot, Stream, int, int], tuple[Any, int]]
    shown: Callable[[Any], Any] = lambda state: state
    older: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Fold({self.name!r})"


@dataclass(frozen=True, slots=True)
class Folded:
    """A state, and what was read for it.

    Args:
        state: a JSON value.
        checkpoint: from which it was gone on, None where from the beginning.
        events_read: since.
    """

    state: Any
    checkpoint: Checkpoint | None
    events_read: int

    def __repr__(self) -> str:
        begun = "the beginning" if self.checkpoint is None else repr(self.checkpoint.id)
        return f"Folded(from {begun}, {self.events_read} events read)"


def agent_fold() -> Fold:
    """Return the fold of an agent's own cells: what its transactions wrote last, by key.

    What the log does not tell it does not know: a cell is in the state from its first write on, and
    one that was deleted is told, since it may have been there from the beginning.
    """
    return Fold(
        "agent cells",
        lambda: {"values": {}, "deleted": []},
        _agent_advanced,
        shown=lambda state: state["values"],
        older={"agent": lambda cells: {"values": cells, "deleted": []}},
    )


def aggregate_fold(kind: Aggregate) -> Fold:
    """Return the fold of an aggregate."""

    def advance(
        state: Any, snapshot: Snapshot, stream: Stream, first: int, last: int
    ) -> tuple[Any, int]:
        events = stream_events(snapshot, stream, first=first, last=last)
        for event in events:
            state = kind.evolve(state, event)
        return state, len(events)

    def initial() -> Any:
        return msgspec.json.decode(msgspec.json.encode(kind.initial))

    return Fold(f"{kind.name} v{kind.version}", initial, advance)


def folded(fold: Fold, snapshot: Snapshot, stream: Stream, at: int) -> Folded:
    """Return a state after an event, from the nearest checkpoint at or before it.

    Raises:
        TruncatedError: events that it needs are gone.
    """
    for found in contents(snapshot, stream, at_most=at, savepoints=False):
        content = found.content
        if content.kind != STATE or content.process not in {fold.name, *fold.older}:
            continue
        of_it = fold.older.get(content.process)
        state = content.state if of_it is None else of_it(content.state)
        before, checkpoint = content.at, found.checkpoint
        break
    else:
        state, before, checkpoint = fold.initial(), 0, None
    base = snapshot.bases.base(stream)
    if base > before and at > before:
        message = (
            f"the state of {stream[2]!r} after event {at} cannot be built: events {before + 1} to "
            f"{base} were truncated, and no checkpoint holds them; take one by "
            "checkpoint_states(...) before a stream is truncated, and restore the archive for now"
        )
        raise TruncatedError(message)
    if at == before:
        return Folded(state, checkpoint, 0)
    state, read = fold.advance(state, snapshot, stream, before + 1, at)
    return Folded(state, checkpoint, read)


def checkpoint_states(
    store: EventStore,
    stream: Stream | str,
    *,
    every: int,
    aggregate: Aggregate | None = None,
) -> tuple[Checkpoint, ...]:
    """Take the checkpoints that make looking back at a stream cheap: one every so many events.

    Those that are there already stay, and what is missing is added. No policy lets them go.

    Args:
        store: open for writing.
        stream: an agent's, as "@ann" (of the live run), or (namespace, run_id, workflow_id).
        every: events between them, at least 1.
        aggregate: what the stream is, where it is no agent's.

    Raises:
        InvalidArgumentError: `every` is no whole number from 1, or the state is no JSON value.
        TruncatedError: the beginning of the stream is gone, and no checkpoint holds it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> spend = {"event_type": "TransactionCommitted", "writes": [("ann", "left")]}
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("@ann", [
        ...         {**spend, "payload": {"values": {"left": 9 - n}}} for n in range(5)
        ...     ])
        ...     checkpoint_states(store, "@ann", every=2)[-1]
        Checkpoint('@ann' at 4, checkpoint '00000004', 230 bytes)
    """
    if type(every) is not int or every < 1:
        message = f"every is {brief(every)}; expected a whole number from 1"
        raise InvalidArgumentError(message)
    where = ("default", "", stream) if isinstance(stream, str) else stream
    fold = agent_fold() if aggregate is None else aggregate_fold(aggregate)
    snapshot = store.snapshot()
    head = snapshot.head(where[2], namespace=where[0], run_id=where[1])
    known = snapshot.checkpoints(where[2], namespace=where[0], run_id=where[1])
    held = {checkpoint.at for checkpoint in known if checkpoint.origin == ORIGIN}
    taken: list[Checkpoint] = []
    at, state, cut = 0, fold.initial(), dict[str, int]()
    for upto in range(every, head + 1, every):
        if upto in held:
            continue
        if at == upto - every:
            state, _ = fold.advance(state, snapshot, where, at + 1, upto)
        else:
            state = folded(fold, snapshot, where, upto).state
        cut = least_cut(snapshot, where, upto, cut)
        content = WorkflowCheckpoint(STATE, fold.name, "", upto, 0, cut, state)
        taken.append(
            store.checkpoint(
                where[2],
                content.encode(),
                at=upto,
                causality={"vector": cut},
                origin=ORIGIN,
                namespace=where[0],
                run_id=where[1],
            )
        )
        at = upto
    return tuple(taken)


def _agent_advanced(
    state: Any, snapshot: Snapshot, stream: Stream, first: int, last: int
) -> tuple[Any, int]:
    table = snapshot.stream_rows(stream, Span.of_stream(stream, first, last, snapshot.position))
    wrote = table.filter(pc.is_valid(table.column("writes"))).column("payload")
    values, deleted = state["values"], dict.fromkeys(state["deleted"])
    for payload in wrote.to_pylist():
        if payload is None:
            continue
        try:
            told = _PAYLOAD.decode(payload)
        except msgspec.MsgspecError:
            continue  # a payload of another shape tells no values
        values.update(told.values)
        if deleted or told.deleted:
            for key in told.values:
                deleted.pop(key, None)
            for key in told.deleted:
                values.pop(key, None)
                deleted[key] = None
    return {"values": values, "deleted": sorted(deleted)}, table.num_rows
