"""The state of a workflow, an agent or an aggregate at any event, time or cut of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.causality.cuts import Cut
from flowlab.errors import CorruptionError, InvalidArgumentError, NotFoundError, TruncatedError
from flowlab.events import Event, Key, counted, parse_key
from flowlab.events.wording import brief
from flowlab.recovery.checkpoint import STATE
from flowlab.recovery.folds import agent_fold, aggregate_fold, folded
from flowlab.recovery.restoring import (
    Found,
    contents,
    passed_over,
    replayed,
    restored_from,
)
from flowlab.runtime.scheme import newest_generation
from flowlab.runtime.standing import Standing
from flowlab.store.position_read import stream_events
from flowlab.workflow import PlanExecution
from flowlab.workflow.savepoints import encode_state, is_savepoint

if TYPE_CHECKING:
    from flowlab.runtime.scheme import Executing, Process, Stream
    from flowlab.store import Aggregate, EventStore, Snapshot

PHASES: Final = ("running", "stopping", "undoing", "ended")
MAX_TEXT: Final = 2_000
"""Characters of a state that its HTML shows."""


@dataclass(frozen=True, slots=True)
class StateAt:
    """A state, where it stands in the history, and what was read for it.

    Args:
        key: what was asked for.
        kind: `plan`, `code`, `workflow` (of which the history alone is known), `agent` or
            `aggregate`.
        at: the last event of the stream that is in it; 0 before the first.
        state: a JSON value. Of a plan: its phase, the results, what is in flight, and what would
            have to be undone. Of code: the declared state, None where none is. Of a workflow: the
            state of its newest savepoint, None where there is none. Of an agent: its cells by key.
        status: of a workflow, as its history says; empty for others.
        waits: what a workflow has asked for and has no answer to, as "type name".
        checkpoint: the id of the nearest checkpoint, from which it was gone on; None where from
            the beginning.
        checkpoint_at: its event, 0 where there is none.
        events_read: since.
    """

    key: str
    kind: str
    at: int
    state: Any
    status: str = ""
    waits: tuple[str, ...] = ()
    checkpoint: str | None = None
    checkpoint_at: int = 0
    events_read: int = 0

    def __repr__(self) -> str:
        begun = "the beginning" if self.checkpoint is None else f"checkpoint {self.checkpoint!r}"
        read = counted(self.events_read, "event")
        return f"StateAt({self.key!r} after {self.at}, from {begun}, {read} read)"

    def _repr_html_(self) -> str:
        text = msgspec.json.format(msgspec.json.encode(self.state), indent=2).decode()
        more = f"\n... {len(text) - MAX_TEXT} characters more" if len(text) > MAX_TEXT else ""
        return f"<pre>{escape(repr(self))}\n{escape(text[:MAX_TEXT] + more)}</pre>"


def state_at(
    store: EventStore,
    key: str,
    *,
    event: Event | int | tuple[str, int] | None = None,
    time_ns: int | timedelta | None = None,
    cut: Cut | Mapping[str, int] | None = None,
    process: Process | None = None,
    aggregate: Aggregate | None = None,
    seed: object = 0,
) -> StateAt:
    """Return a state as it was: after an event, at a time, or on a consistent cut; by default now.

    The nearest checkpoint at or before is gone on from by the events since, so that it costs what
    lies between, however long the history. `checkpoint_states`, and a scheme that keeps many, put
    checkpoints where they are wanted.

    Args:
        store: open.
        key: `/workflows/{id}` or `/agents/{id}`, or the id of a workflow, or `@{agent}`; with an
            aggregate its id.
        event: of that stream: itself, its sequence, or (workflow_id, sequence).
        time_ns: the last event of the stream whose own time is at most that.
        cut: of `log.causality.cut(...)`, or of each stream its last sequence in it.
        process: the plan or the code; without it a workflow's state is what its history says.
        aggregate: what `key` is the id of.
        seed: of the streams of chance.

    Raises:
        InvalidArgumentError: more than one of event, time and cut is given, or none of its kind.
        NotFoundError: there is no such stream, or it has no such event.
        TruncatedError: events that the state needs are gone.
        NonDeterminismError: the code does not fit the history.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> spend = {"event_type": "TransactionCommitted", "writes": [("ann", "left")]}
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     told = store.append("@ann", [
        ...         {**spend, "payload": {"values": {"left": 9 - n}}} for n in range(5)
        ...     ])
        ...     found = state_at(store, "/agents/ann", event=2)
        >>> found, found.state
        (StateAt('/agents/ann' after 2, from the beginning, 2 events read), {'left': 8})
    """
    snapshot = store.snapshot()
    stream = _stream_of(snapshot, key, aggregate)
    at = _place(snapshot, stream, event=event, time_ns=time_ns, cut=cut)
    if aggregate is not None or stream[2].startswith("@"):
        fold = agent_fold() if aggregate is None else aggregate_fold(aggregate)
        found = folded(fold, snapshot, stream, at)
        near = found.checkpoint
        return StateAt(
            key=key,
            kind="agent" if aggregate is None else "aggregate",
            at=at,
            state=fold.shown(found.state),
            checkpoint=None if near is None else near.id,
            checkpoint_at=0 if near is None else near.at,
            events_read=found.events_read,
        )
    if at == 0:
        return StateAt(key, "workflow", 0, None)
    if process is None:
        return _told(key, snapshot, stream, at)
    return _executed(key, snapshot, stream, at, process=process, seed=seed)


# -- which stream, and where -----------------------------------------------------------------------


def _stream_of(snapshot: Snapshot, key: str, aggregate: Aggregate | None) -> Stream:
    if not isinstance(key, str) or not key:
        message = f"the key is {brief(key)}; expected /workflows/..., /agents/... or an id"
        raise InvalidArgumentError(message)
    named = parse_key(key) if key.startswith("/") else Key("workflows", key)
    if aggregate is not None and not key.startswith("/"):
        named = Key("workflows", aggregate.stream(key))
    if named.root not in {"workflows", "agents"} or named.id is None or named.id_is_prefix:
        message = f"{key!r} names no workflow and no agent; expected /workflows/ID or /agents/ID"
        raise InvalidArgumentError(message)
    name = f"@{named.id}" if named.root == "agents" else named.id
    located = snapshot.locate(
        Key("workflows", name, namespace=named.namespace, run_id=named.run_id)
    )
    assert located.stream is not None
    return located.stream


def _place(
    snapshot: Snapshot,
    stream: Stream,
    *,
    event: Event | int | tuple[str, int] | None,
    time_ns: int | timedelta | None,
    cut: Cut | Mapping[str, int] | None,
) -> int:
    """Return the last sequence of a stream that is asked for."""
    if sum(value is not None for value in (event, time_ns, cut)) > 1:
        message = "give one of event, time_ns and cut, or none for now"
        raise InvalidArgumentError(message)
    head = snapshot.head(stream[2], namespace=stream[0], run_id=stream[1])
    if time_ns is not None:
        return _at_time(snapshot, stream, time_ns)
    if cut is not None:
        return min(_on_cut(cut, stream), head)
    if event is None:
        return head
    workflow_id, at = stream[2], event
    if isinstance(event, Event):
        workflow_id, at = event.workflow_id, event.sequence
    elif isinstance(event, tuple) and len(event) == 2:  # noqa: PLR2004 - (workflow_id, sequence)
        workflow_id, at = event
    if workflow_id != stream[2]:
        message = (
            f"{event!r} is no event of {stream[2]!r}; for what it looked like from there, give "
            "cut=log.causality.cut(past_of=event)"
        )
        raise InvalidArgumentError(message)
    if type(at) is not int or not 0 <= at <= head:
        message = f"{stream[2]!r} has no event {brief(at)}: it holds 1 to {head}"
        raise NotFoundError(message)
    return at


def _at_time(snapshot: Snapshot, stream: Stream, time_ns: int | timedelta) -> int:
    if isinstance(time_ns, timedelta):
        time_ns = (time_ns // timedelta(microseconds=1)) * 1_000
    if type(time_ns) is not int:
        message = f"time_ns is {brief(time_ns)}; expected nanoseconds, or a timedelta"
        raise InvalidArgumentError(message)
    rows = snapshot.rows(
        "SELECT max(sequence) FROM events WHERE namespace = ? AND run_id = ? AND workflow_id = ? "
        "AND time_ns <= ?",
        [*stream, time_ns],
    )
    return int(rows[0][0] or snapshot.bases.base(stream))


def _on_cut(cut: Cut | Mapping[str, int], stream: Stream) -> int:
    if isinstance(cut, Mapping):
        return int(cut.get(stream[2], 0))
    if not isinstance(cut, Cut):
        message = f"cut is {brief(cut)}; expected log.causality.cut(...), or a dict of sequences"
        raise InvalidArgumentError(message)
    table = cut.home.order.log.table.select(["workflow_id", "sequence"]).take(cut.rows)
    pairs = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    return max((sequence for name, sequence in pairs if name == stream[2]), default=0)


# -- of a workflow ---------------------------------------------------------------------------------


def _usable(snapshot: Snapshot, stream: Stream, at: int) -> Any:
    """Yield the checkpoints of a workflow that know nothing of what came after an event."""
    for found in contents(snapshot, stream, at_most=at):
        content = found.content
        if content.kind != STATE and content.standing["head"] <= at:
            yield found


def _told(key: str, snapshot: Snapshot, stream: Stream, at: int) -> StateAt:
    """Return what the history alone says of a workflow."""
    base = snapshot.bases.base(stream)
    near: Found | None = None
    for found in _usable(snapshot, stream, at):
        if found.content.at >= base:
            near = found
            break
    if near is None:
        events = newest_generation(snapshot, stream, upto=at)
        read, standing, saved = len(events), Standing(), None
    else:
        events = stream_events(snapshot, stream, first=near.content.at + 1, last=at)
        read, standing = len(events), Standing.from_json(near.content.standing)
        saved = _saved(near.content.state)
    for event in events:
        if event.sequence > standing.head:
            standing.take(event)
        if is_savepoint(event):
            saved = event.data
        elif event.event_type == "WorkflowStarted":
            saved = None
    state = saved["state"] if isinstance(saved, dict) else None
    return _state(key, ("workflow", state), standing, near, read)


def _saved(state: Any) -> Any:
    """Return the payload of the savepoint in a checkpoint's state, None where it has none."""
    if not isinstance(state, dict) or state.get("savepoint") is None:
        return None
    return msgspec.convert(state["savepoint"], Event).data


def _executed(
    key: str, snapshot: Snapshot, stream: Stream, at: int, *, process: Process, seed: object
) -> StateAt:
    near: Found | None = None
    for found in _usable(snapshot, stream, at):
        try:
            restored, _ = restored_from(found, snapshot, stream, process, seed=seed, upto=at)
        except (InvalidArgumentError, CorruptionError, TruncatedError) as error:
            passed_over(found.checkpoint, error)
            continue
        near = found
        break
    else:
        restored, _ = replayed(snapshot, stream, process, seed=seed, upto=at)
    told = _state_of(restored.execution)
    return _state(key, told, restored.standing, near, restored.events_read)


def _state_of(execution: Executing) -> tuple[str, Any]:
    if not isinstance(execution, PlanExecution):
        declared = execution.workflow.state is not None and execution.state is not None
        return "code", encode_state(execution.state, execution.workflow) if declared else None
    instance = execution.instance
    if instance is None:
        return "plan", None
    return "plan", {
        "phase": PHASES[instance.phase],
        "results": dict(instance.results),
        "in_flight": [step.name for step in instance.in_flight],
        "uncompensated": list(instance.uncompensated),
    }


def _state(
    key: str, told: tuple[str, Any], standing: Standing, near: Found | None, read: int
) -> StateAt:
    kind, state = told
    return StateAt(
        key=key,
        kind=kind,
        at=standing.head,
        state=state,
        status=standing.status,
        waits=tuple(f"{event.event_type} {event.name}" for event in standing.open.values()),
        checkpoint=None if near is None else near.checkpoint.id,
        checkpoint_at=0 if near is None else near.content.at,
        events_read=read,
    )
