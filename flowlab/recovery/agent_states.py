"""Checkpoints of agents' states: what a scheme keeps of them, and how it gets them back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowlab.recovery.checkpoint import STATE, WorkflowCheckpoint
from flowlab.recovery.folds import agent_fold, folded
from flowlab.recovery.keeping import kept_and_gone, origin_of
from flowlab.runtime.scheme import AgentCells
from flowlab.store.closure import least_cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowlab.runtime.scheme import Stream
    from flowlab.store import EventStore

# Checkpoints for looking back that an older flowlab took do not tell what was deleted.
_FOLD: Final = replace(agent_fold(), older={})


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
    store: EventStore, stream: Stream, *, keep: int, cut: Mapping[str, int]
) -> dict[str, int]:
    """Take a checkpoint of an agent's state as its stream is; return the cut that it holds.

    Args:
        store: open for writing.
        stream: of the agent.
        keep: how many are kept, this one among them.
        cut: of the checkpoint before; empty where there is none.

    Raises:
        TruncatedError: the beginning of its stream is gone, and no checkpoint of it can be read.
    """
    snapshot = store.snapshot()
    namespace, run_id, name = stream
    head = snapshot.head(name, namespace=namespace, run_id=run_id)
    state = folded(_FOLD, snapshot, stream, head).state
    vector = least_cut(snapshot, stream, head, cut)
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
    return vector
