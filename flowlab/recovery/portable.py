"""Savepoints: a user's own checkpoints, which no policy lets go, and which fit into one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Final

import msgspec

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError, LimitError
from flowlab.events import Cause, Event, counted
from flowlab.recovery.agent_states import held_cells, told_again
from flowlab.recovery.checkpoint import CODE, STATE, WorkflowCheckpoint
from flowlab.recovery.keeping import OURS, newest_savepoint
from flowlab.recovery.schemes import Checkpointed
from flowlab.runtime.scheme import Process, RecoveryScheme, Stream
from flowlab.runtime.standing import Standing
from flowlab.store import Checkpoint, Disk, EventStore, Snapshot
from flowlab.store.closure import least_cut
from flowlab.store.containers import CHECKPOINT, Container, read_container, write_container
from flowlab.store.position_read import stream_events
from flowlab.workflow import Choreography, PlanExecution

VERSION: Final = 2
"""The version of what is in an exported file whose events reach beyond the savepoint."""
UP_TO_IT: Final = 1
"""The version of one whose events end with it, as all of them once did."""
SHORT: Final = "incomplete"
"""How the origin of a savepoint begins that came without all events that it knows."""
_SAME: Final = ("event_type", "name", "generation", "payload", "step_id")
"""What two histories agree on where they are the same one."""


class _Exported(msgspec.Struct, frozen=True):
    version: int
    body: bytes
    events: list[Event]


def savepoint(
    store: EventStore,
    workflow_id: str,
    process: Process,
    *,
    name: str = "",
    scheme: RecoveryScheme | None = None,
    seed: object = 0,
    namespace: str = "default",
    run_id: str = "",
) -> Checkpoint:
    """Take a savepoint of a workflow as it stands in a store; it is durable on return.

    It is a checkpoint that recovery may go on from, and that stays until its user removes it. It
    holds the states of the agents that the workflow depends on, too, for other stores: as their
    transactions had left them when they gave the last results that it knows.

    Args:
        store: open for writing.
        workflow_id: the workflow.
        process: its plan or code.
        name: a word for people.
        scheme: by which its state is found; None is `Checkpointed()`.
        seed: of the streams of chance.
        namespace: of the stream.
        run_id: of the stream, empty for the live one.

    Raises:
        InvalidArgumentError: it is a plain function, which recovers by replay, or from its last
            continue-as-new; or a function that has taken no savepoint yet; or a choreography,
            which comes back from its whole log.
        NotFoundError: there is no such workflow.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab.workflow import Program, Step
        >>> plan = Program.of(Step("pay", agent="bank", kind="pivot"))
        >>> begun = {"event_type": "WorkflowStarted", "name": "plan", "payload": {"input": 1}}
        >>> with TemporaryDirectory() as folder, EventStore(f"{folder}/a") as store:
        ...     told = store.append("order-1", begun)
        ...     mine = savepoint(store, "order-1", plan, name="before the release")
        ...     path = export_savepoint(store, mine, f"{folder}/order-1.savepoint")
        ...     with EventStore(f"{folder}/b") as other:
        ...         there = import_savepoint(other, path)
        >>> there.at, there.savepoint, there.origin
        (1, True, 'flowlab savepoint: before the release')
    """
    if isinstance(process, Choreography):
        message = f"{process!r} comes back from its whole log, whatever the scheme: nothing to save"
        raise InvalidArgumentError(message)
    stream = (namespace, run_id, workflow_id)
    chosen = Checkpointed() if scheme is None else scheme
    restored = chosen.restore(store, stream, process, seed=seed)
    mark = None
    if not isinstance(restored.execution, PlanExecution):
        mark = newest_savepoint(store, stream, restored.standing)
    content = WorkflowCheckpoint.of(restored.execution, restored.standing, savepoint=mark)
    snapshot = store.snapshot()
    cut = least_cut(snapshot, stream, content.at)
    # What is known beyond the place, the results of agents among it, goes with the savepoint.
    known = least_cut(snapshot, stream, restored.standing.head, cut)
    content = replace(content, vector=cut, agents=held_cells(snapshot, stream, known))
    return store.checkpoint(
        workflow_id,
        content.encode(),
        at=content.at,
        causality={"vector": cut},
        savepoint=True,
        origin=f"{OURS} savepoint" + (f": {name}" if name else ""),
        namespace=namespace,
        run_id=run_id,
    )


def export_savepoint(
    store: EventStore, checkpoint: Checkpoint, path: str | PathLike[str], *, history: bool = True
) -> Path:
    """Write a savepoint, or any checkpoint, into one file that another store can take.

    Args:
        store: that it is in.
        checkpoint: which one.
        path: of the file, which is replaced whole.
        history: put the events that it knows into the file, too, so that a store without the
            workflow can take it; without, only one that has the same history. Of a function they
            reach beyond its last `ctx.savepoint()`, to what it had asked for since.

    Returns:
        The path.

    Raises:
        CorruptionError: the checkpoint's file is missing or damaged.
        InvalidArgumentError: it is a delta, which is nothing by itself; or the beginning of the
            history was truncated.
    """
    loaded = store.load_checkpoint(checkpoint)
    if ", on " in checkpoint.origin:
        message = f"{checkpoint!r} is a delta of another; take a savepoint, and export that"
        raise InvalidArgumentError(message)
    content = _content(loaded.state, checkpoint.origin, where=checkpoint.path)
    head = max(checkpoint.at, _head(content))
    first = 1 if history else checkpoint.at
    events = stream_events(store.snapshot(), checkpoint.stream, first=first, last=head)
    if not events or events[0].sequence != first:
        message = (
            f"events from {first} of {checkpoint.stream[2]!r} were truncated; export with "
            "history=False, for a store that has the same history"
        )
        raise InvalidArgumentError(message)
    if events[-1].sequence != head:
        message = (
            f"{checkpoint!r} knows events up to {head} of {checkpoint.stream[2]!r}, and the store "
            f"has them up to {events[-1].sequence}; take another savepoint, and export that"
        )
        raise InvalidArgumentError(message)
    meta = {
        "stream": list(checkpoint.stream),
        "at": checkpoint.at,
        "causality": loaded.causality,
        "origin": checkpoint.origin,
    }
    # An older flowlab reads what it can go on from, and refuses the rest by its number.
    version = UP_TO_IT if head == checkpoint.at else VERSION
    body = msgspec.msgpack.encode(_Exported(version, loaded.state, events))
    target = Path(path)
    write_container(target, Container(CHECKPOINT, meta, body), Disk())
    return target


def import_savepoint(
    store: EventStore,
    path: str | PathLike[str],
    *,
    namespace: str | None = None,
    run_id: str | None = None,
) -> Checkpoint:
    """Take a savepoint from a file; it is durable on return.

    A store that has the workflow must have the same history up to the savepoint. One that has not
    gets the history from the file, without what it names of other streams. An agent of which the
    store has nothing gets the state that the savepoint holds, told by a transaction named
    `savepoint`, which the history names in place of those before. Of one that has a stream here the
    state stays as it is: it may be another's. The causality vector is that of the history here.

    A file that an older flowlab wrote may lack events that the savepoint of a function knows: where
    the workflow was not here it is then recovered from the history that the file holds, and the
    savepoint is kept for reading.

    Args:
        store: open for writing.
        path: of the file.
        namespace: of the stream here; None keeps that of the file.
        run_id: of the stream here; None keeps that of the file.

    Raises:
        CorruptionError: the file is missing, torn or damaged, or no savepoint.
        FormatVersionError: a newer flowlab wrote it.
        InvalidArgumentError: the store has another history of that workflow, or a shorter one; or
            it has none, and the file neither.
        LimitError: the history is longer than one append holds; nothing was taken.
    """
    taken = read_container(Path(path), kind=CHECKPOINT)
    exported = _read(taken, Path(path).name)
    was, at = taken.meta["stream"], taken.meta["at"]
    space = was[0] if namespace is None else namespace
    run = was[1] if run_id is None else run_id
    origin = taken.meta.get("origin", "")
    content = _content(exported.body, origin, where=Path(path).name)
    stream = (space, run, was[2])
    snapshot = store.snapshot()
    told = _told(content, snapshot, stream, exported.events[0].time_ns)
    fresh: list[Event] = []
    if snapshot.head(was[2], namespace=space, run_id=run):
        _check_same(snapshot, stream, at, exported, content)
    else:
        if exported.events[0].sequence != 1:
            message = (
                f"the store has no workflow {was[2]!r}, and the file does not hold its history; "
                "export it with history=True"
            )
            raise InvalidArgumentError(message)
        if exported.events[-1].sequence < _head(content):
            origin = f"{SHORT} {origin}"
        fresh = _moved(exported.events, stream, Counter(event.workflow_id for event in told))
    if events := [*told, *fresh]:
        new = dict.fromkeys((event.workflow_id for event in events), 0)
        try:
            store.append_together(events, expected_versions=new, namespace=space, run_id=run)
        except LimitError as error:
            raise _too_long(Path(path).name, stream, len(events)) from error
    body, causality = exported.body, taken.meta.get("causality")
    if content is not None:
        cut = least_cut(store.snapshot(), stream, at)
        body, causality = replace(content, vector=cut).encode(), {"vector": cut}
    return store.checkpoint(
        was[2],
        body,
        at=at,
        causality=causality,
        savepoint=True,
        origin=origin,
        namespace=space,
        run_id=run,
    )


def _too_long(name: str, stream: Stream, events: int) -> LimitError:
    """Return the error for a history that does not go into a store at once."""
    return LimitError(
        f"the history of {stream[2]!r} in {name} ({counted(events, 'event')}) is longer than one "
        "append holds, and it goes in at once or not at all: nothing was taken. Bring the run over "
        "from the store that the savepoint is of, in commits of its own: "
        "here.append_log(there.log()), which keeps its namespace and run; then import the file "
        "again: with the history here it needs none of its own"
    )


def _told(
    content: WorkflowCheckpoint | None, snapshot: Snapshot, stream: Stream, time_ns: int
) -> list[Event]:
    """Return what tells the states of agents that a savepoint holds and a store has nothing of."""
    return [
        event
        for agent, held in ({} if content is None else content.agents).items()
        if not snapshot.head(f"@{agent}", namespace=stream[0], run_id=stream[1])
        for event in told_again(agent, held, time_ns)
    ]


def _moved(events: list[Event], stream: Stream, told: Mapping[str, int]) -> list[Event]:
    """Return a history as another store takes it.

    Args:
        events: of the workflow.
        stream: that it gets there.
        told: the last event of each agent whose state comes along: it stands for all before it.
    """
    moved = []
    for event in events:
        causes = _within(event)
        for cause in event.causes:
            last = told.get(cause.workflow_id, 0)
            here = Cause(cause.workflow_id, last, cause.kind)
            if last and here not in causes:
                causes = (*causes, here)
        moved.append(
            event.replace(
                position=0, agent_sequence=0, namespace=stream[0], run_id=stream[1], causes=causes
            )
        )
    return moved


def _content(body: bytes, origin: str, *, where: str) -> WorkflowCheckpoint | None:
    """Return what a checkpoint of flowlab holds; None for the bytes of somebody else."""
    if not origin.startswith(OURS) or ", on " in origin:
        return None
    return WorkflowCheckpoint.decode(body, where=where)


def _head(content: WorkflowCheckpoint | None) -> int:
    """Return the last sequence that a checkpoint knows of, 0 where it says nothing of that."""
    if content is None or content.kind == STATE:
        return 0
    return Standing.from_json(content.standing).head


def _check_same(
    snapshot: Snapshot,
    stream: Stream,
    at: int,
    exported: _Exported,
    content: WorkflowCheckpoint | None,
) -> None:
    """Check that a store has the history that a savepoint was taken of."""
    head = max(exported.events[-1].sequence, _head(content))
    theirs = {event.sequence: event for event in exported.events if event.sequence >= at}
    if content is not None and content.kind == CODE and head not in theirs:
        # Of an older file: what is beyond its events is compared as far as the savepoint tells it.
        saved = msgspec.convert(content.state["savepoint"], Event)
        for event in (saved, *Standing.from_json(content.standing).open.values()):
            theirs.setdefault(event.sequence, event)
    mine = {event.sequence: event for event in stream_events(snapshot, stream, first=at, last=head)}
    if head not in mine or not all(
        sequence in mine and _alike(mine[sequence], event) for sequence, event in theirs.items()
    ):
        message = (
            f"the store has another history of {stream[2]!r}, or one that does not reach event "
            f"{head}; a savepoint fits only the history that it was taken of"
        )
        raise InvalidArgumentError(message)


def _alike(mine: Event, other: Event) -> bool:
    same = all(getattr(mine, name) == getattr(other, name) for name in _SAME)
    return same and _within(mine) == _within(other)


def _within(event: Event) -> tuple[Cause, ...]:
    """Return the causes of an event that are in its own stream."""
    return tuple(cause for cause in event.causes if cause.workflow_id == event.workflow_id)


def _read(content: Container, where: str) -> _Exported:
    try:
        version = msgspec.msgpack.decode(content.body, type=_Versioned).version
        if version > VERSION:
            message = f"{where} has version {version}; this flowlab reads up to {VERSION}"
            raise FormatVersionError(message)
        found = msgspec.msgpack.decode(content.body, type=_Exported)
    except msgspec.MsgspecError as error:
        message = f"{where} is no exported savepoint: {error}"
        raise CorruptionError(message) from error
    stream, at = content.meta.get("stream"), content.meta.get("at")
    if (
        not (isinstance(stream, list) and len(stream) == 3)  # noqa: PLR2004 - a stream's name
        or not isinstance(at, int)
        or not found.events
        or found.events[0].sequence not in {1, at}
        or found.events[-1].sequence < at
        or (found.events[-1].sequence > at) != (version > UP_TO_IT)
    ):
        message = f"{where} is no exported savepoint: its events are others than it says"
        raise CorruptionError(message)
    return found


class _Versioned(msgspec.Struct):
    version: int
