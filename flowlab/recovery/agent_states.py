"""Checkpoints of agents' states: what a scheme keeps of them, and how it gets them back."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import TruncatedError
from flowlab.events import MAX_PAYLOAD_BYTES, Cell, Event, encode_payload
from flowlab.recovery.checkpoint import STATE, WorkflowCheckpoint
from flowlab.recovery.folds import agent_fold, folded
from flowlab.recovery.heard import Heard
from flowlab.recovery.keeping import kept_and_gone, origin_of
from flowlab.runtime.scheme import AgentCells
from flowlab.store.closure import least_cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowlab.runtime.scheme import Stream
    from flowlab.store import EventStore, Snapshot

# Checkpoints for looking back that an older flowlab took do not tell what was deleted.
_FOLD: Final = replace(agent_fold(), older={})
MOST_BYTES: Final = MAX_PAYLOAD_BYTES // 2
"""Cells that one event tells, in bytes, unless a single cell is larger."""


class _Held(msgspec.Struct):
    values: dict[str, Any]
    deleted: list[str]


def restored_cells(store: EventStore, stream: Stream) -> AgentCells:
    """Return an agent's state from its newest checkpoint that is whole and the events since.

    Raises:
        TruncatedError: the beginning of its stream is gone, and no checkpoint of it can be read.
    """
    snapshot = store.snapshot()
    head = snapshot.head(stream[2], namespace=stream[0], run_id=stream[1])
    found = folded(_FOLD, snapshot, stream, head)
    checkpoint = None if found.checkpoint is None else found.checkpoint.id
    state = found.state
    return AgentCells(state["values"], state["deleted"], found.events_read, checkpoint)


def take_checkpoint(
    store: EventStore, stream: Stream, *, keep: int, cut: Mapping[str, int], heard: Heard
) -> dict[str, int]:
    """Take a checkpoint of an agent's state as its stream is; return the cut that it holds.

    Args:
        store: open for writing.
        stream: of the agent.
        keep: how many are kept, this one among them.
        cut: of the checkpoint before; empty where there is none.
        heard: what of the stream was heard since; it forgets what the checkpoint holds.

    Raises:
        TruncatedError: the beginning of its stream is gone, and no checkpoint of it can be read.
    """
    snapshot = store.snapshot()
    namespace, run_id, name = stream
    head = snapshot.head(name, namespace=namespace, run_id=run_id)
    state = folded(_FOLD, snapshot, stream, head).state
    since = heard.within(cut.get(name, 0) + 1, head)
    vector = least_cut(snapshot, stream, head, cut, since)
    content = WorkflowCheckpoint(STATE, _FOLD.name, "", head, 0, vector, state)
    held = store.checkpoints(name, namespace=namespace, run_id=run_id)
    _, gone = kept_and_gone(held, keep, "")
    store.checkpoint(
        name,
        content.encode(),
        at=head,
        causality={"vector": vector},
        origin=origin_of(""),
        drops=gone,
        namespace=namespace,
        run_id=run_id,
    )
    heard.forget(head)
    return vector


def held_cells(snapshot: Snapshot, stream: Stream, cut: Mapping[str, int]) -> dict[str, Any]:
    """Return the states that the agents of a world have on a cut, as a savepoint holds them.

    An agent that has written nothing is left out; of one whose state cannot be had any more a
    warning tells.

    Args:
        snapshot: of the store.
        stream: of the world.
        cut: the last sequence of each of its streams.
    """
    held: dict[str, Any] = {}
    for name, at in cut.items():
        if name.startswith("@"):
            try:
                state = folded(_FOLD, snapshot, (*stream[:2], name), at).state
            except TruncatedError as error:
                message = f"the savepoint of {stream[2]!r} is without agent {name[1:]!r}: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=3)
                continue
            if state["values"] or state["deleted"]:
                held[name[1:]] = {"at": at, **state}
    return held


def told_again(agent: str, held: Any, time_ns: int) -> Iterator[Event]:
    """Yield the events by which an agent with an empty stream comes to a state that was held."""
    try:
        state = msgspec.convert(held, _Held)
    except msgspec.ValidationError:
        return  # what somebody else has put there tells no cells
    part: dict[str, Any] = {}
    size = 0
    for key, value in sorted({**state.values, **dict.fromkeys(state.deleted)}.items()):
        more = len(encode_payload({key: value}) or b"")
        if part and size + more > MOST_BYTES:
            yield _transaction(agent, part, state, time_ns)
            part, size = {}, 0
        part[key] = value
        size += more
    if part:
        yield _transaction(agent, part, state, time_ns)


def _transaction(agent: str, part: dict[str, Any], state: _Held, time_ns: int) -> Event:
    payload: dict[str, Any] = {"values": part}
    if deleted := [key for key in part if key not in state.values]:
        payload["deleted"] = deleted
    return Event.of(
        "TransactionCommitted",
        workflow_id=f"@{agent}",
        agent_id=agent,
        name="savepoint",
        time_ns=time_ns,
        payload=payload,
        reads=(),
        writes=tuple(Cell(agent, key) for key in part),
    )
