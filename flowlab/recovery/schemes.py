"""Recovery from a checkpoint plus the events since, as a scheme that a runtime takes.

A scheme restores a workflow and hears of what is committed (`runtime.RecoveryScheme`). All keep one
law: what a restored workflow asks for is exactly what a replay of its whole history asks for.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from flowlab.errors import (
    CorruptionError,
    FlowlabError,
    InvalidArgumentError,
    TruncatedError,
)
from flowlab.events import Event
from flowlab.events.wording import brief
from flowlab.recovery.agent_states import restored_cells, take_checkpoint
from flowlab.recovery.checkpoint import WorkflowCheckpoint, resume_place
from flowlab.recovery.heard import Heard
from flowlab.recovery.keeping import kept_and_gone, newest_savepoint, origin_of
from flowlab.recovery.policies import EveryEvents, Policy, Since, check_policy
from flowlab.recovery.restoring import (
    contents,
    passed_over,
    process_of,
    replayed,
    restored_from,
)
from flowlab.runtime.scheme import AgentCells, Executing, Process, Restored, Stream
from flowlab.runtime.standing import OPEN, Standing
from flowlab.store import Checkpoint, EventStore
from flowlab.store.clock import monotonic_s
from flowlab.store.closure import least_cut
from flowlab.workflow import PlanExecution
from flowlab.workflow.savepoints import is_savepoint

DEFAULT_EVENTS: Final = 1_000
MAX_TRACKED: Final = 100_000
"""Workflows whose events since the last checkpoint are counted; the oldest is forgotten."""

Then = Literal["truncate", "archive", "compact"]
_THENS: Final = (None, "truncate", "archive", "compact")


@dataclass(slots=True)
class Track:
    """What a scheme remembers of a workflow that runs."""

    since: Since = field(default_factory=Since)
    at: int = 0
    savepoint: Event | None = None
    cut: dict[str, int] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    newest: Checkpoint | None = None
    value: Any = None
    deltas: int = 0

    def take(self, event: Event) -> None:
        """Take note of an event that is durable."""
        self.since.take(event)
        self.heard.take(event)
        if event.event_type == "WorkflowStarted":
            self.savepoint = None
        elif is_savepoint(event):
            self.savepoint = event


class Checkpointed:
    """Recovery from the newest checkpoint that is whole, plus the events since.

    What it reads is bounded by the policy, however long the history is. Plans can be checkpointed
    after any event; a function that declares its state, at its newest savepoint; a plain function
    cannot, and is replayed. Of an agent with state, checkpoints are taken as its stream grows, by
    the same policy; its stream is never truncated here, for it tells what the agent had begun. A
    workflow's own hold no agent's state, but up to where they depend on whose stream: an agent is
    shared, and held once. (A savepoint, which may go to another store, holds both.)

    A checkpoint that is damaged, of a newer flowlab or of another plan is passed over with a
    warning, for the one before and at last for the log. One that cannot be written (a full disk) is
    a warning, too: the log is enough.

    Args:
        policy: when one is due; None is every 1 000 events.
        keep: how many of a workflow are kept; older ones go once a newer one is durable.
            Savepoints stay.
        then: what follows a durable checkpoint: "truncate" the events that no kept one needs (they
            are archived first), "archive" what is sealed, or "compact".
        clock: seconds, for the policies that learn from costs.

    Raises:
        InvalidArgumentError: an argument is none of these.

    Example:
        >>> Checkpointed(EveryEvents(500), keep=3)
        Checkpointed(EveryEvents(500), keep=3)
    """

    __slots__ = ("_tracks", "clock", "keep", "policy", "then")

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        keep: int = 2,
        then: Then | None = None,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self.policy: Policy = EveryEvents(DEFAULT_EVENTS) if policy is None else policy
        check_policy(self.policy)
        if type(keep) is not int or keep < 1:
            message = f"keep is {brief(keep)}; expected a whole number from 1"
            raise InvalidArgumentError(message)
        if then not in _THENS:
            message = f'then is {brief(then)}; expected "truncate", "archive", "compact" or None'
            raise InvalidArgumentError(message)
        self.keep = keep
        self.then = then
        self.clock = clock
        self._tracks: OrderedDict[Stream, Track] = OrderedDict()

    def __repr__(self) -> str:
        then = f", then={self.then!r}" if self.then else ""
        return f"{type(self).__name__}({self.policy!r}, keep={self.keep}{then})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process without what it remembers of workflows."""
        return _again, (type(self), self._options())

    # -- getting back -----------------------------------------------------------------------------

    def restore(
        self, store: EventStore, stream: Stream, process: Process, *, seed: object = 0
    ) -> Restored:
        """Return a workflow as its newest whole checkpoint and the events since leave it.

        Raises:
            NotFoundError: there is no such stream.
            TruncatedError: its beginning is gone, and no checkpoint of it can be read.
            NonDeterminismError: the code does not fit the events since.
        """
        snapshot = store.snapshot()
        began = self.clock()
        for found in contents(snapshot, stream):
            loaded = self.clock()
            try:
                restored, events = restored_from(found, snapshot, stream, process, seed=seed)
            except (InvalidArgumentError, CorruptionError, TruncatedError) as error:
                passed_over(found.checkpoint, error)
                continue
            if found.content.learned is not None:
                self._hear("resume", found.content.learned)
            self._hear("loaded", found.size_bytes, loaded - began)
            break
        else:
            loaded = self.clock()
            found = None
            restored, events = replayed(snapshot, stream, process, seed=seed)
        self._hear("replayed", restored.replayed, self.clock() - loaded)
        self._hear("recovered")
        track = Track()
        if found is not None:
            self._taken_up(track, found.content)
        for event in events:
            track.take(event)
        self._keep(stream, track)
        return restored

    @staticmethod
    def identify(store: EventStore, stream: Stream) -> str | None:
        """Return what a workflow is an instance of, where only its checkpoint knows."""
        return process_of(store.snapshot(), stream)

    def committed(
        self,
        store: EventStore,
        stream: Stream,
        execution: Executing,
        standing: Standing,
        events: Sequence[Event],
    ) -> None:
        """Count events that are durable now; take a checkpoint if one is due."""
        track = self._tracks.get(stream)
        if track is None:
            track = Track()
            self._keep(stream, track)
        for event in events:
            track.take(event)
        self._hear("appended", len(events))
        if standing.status != OPEN:
            self._tracks.pop(stream, None)
        elif self.policy.due(track.since) and self._can(execution, track):
            try:
                self._take(store, stream, execution, standing, track)
            except (OSError, FlowlabError, RecursionError) as error:
                message = f"no checkpoint of {stream[2]!r} could be taken: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    def checkpoint(
        self, store: EventStore, stream: Stream, execution: Executing, standing: Standing
    ) -> Checkpoint:
        """Take a checkpoint of a live execution now, whatever the policy says.

        Raises:
            InvalidArgumentError: it is a plain function, which recovers by replay, or from its
                last continue-as-new; or it has taken no savepoint yet.
        """
        track = self._tracks.get(stream) or Track()
        if track.savepoint is None and not isinstance(execution, PlanExecution):
            track.savepoint = newest_savepoint(store, stream, standing)
        self._keep(stream, track)
        return self._take(store, stream, execution, standing, track)

    # -- agents -----------------------------------------------------------------------------------

    def agent_cells(self, store: EventStore, stream: Stream) -> AgentCells:
        """Return an agent's state from its newest whole checkpoint and the events since.

        Raises:
            TruncatedError: the beginning of its stream is gone, and no checkpoint can be read.
        """
        found = restored_cells(store, stream)
        self._keep(stream, Track(since=Since(events=found.events_read)))
        return found

    def agent_committed(self, store: EventStore, stream: Stream, events: Sequence[Event]) -> None:
        """Count events of an agent that are durable now; take a checkpoint if one is due."""
        track = self._tracks.get(stream)
        if track is None:
            track = Track()
            self._keep(stream, track)
        for event in events:
            track.take(event)
        if self.policy.due(track.since):
            track.since = Since(began_ns=track.since.now_ns, now_ns=track.since.now_ns)
            try:
                track.cut = take_checkpoint(
                    store, stream, keep=self.keep, cut=track.cut, heard=track.heard
                )
            except (OSError, FlowlabError, RecursionError) as error:
                message = f"no checkpoint of agent {stream[2][1:]!r} could be taken: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    # -- inside -----------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        names = ("policy", "keep", "then", "clock")
        return {name: getattr(self, name) for name in names}

    def _keep(self, stream: Stream, track: Track) -> None:
        self._tracks[stream] = track
        if len(self._tracks) > MAX_TRACKED:
            self._tracks.popitem(last=False)

    def _hear(self, what: str, *values: Any) -> None:
        heard = getattr(self.policy, what, None)
        if heard is not None:
            heard(*values)

    def _taken_up(self, track: Track, content: WorkflowCheckpoint) -> None:
        track.at = content.at
        track.cut = dict(content.vector)
        if isinstance(content.state, dict) and content.state.get("savepoint") is not None:
            track.savepoint = msgspec.convert(content.state["savepoint"], Event)

    def _can(self, execution: Executing, track: Track) -> bool:
        if isinstance(execution, PlanExecution):
            return True
        return track.savepoint is not None and resume_place(track.savepoint) > track.at

    def _take(
        self,
        store: EventStore,
        stream: Stream,
        execution: Executing,
        standing: Standing,
        track: Track,
    ) -> Checkpoint:
        began = self.clock()
        learned = getattr(self.policy, "learned", None)
        content = WorkflowCheckpoint.of(
            execution,
            standing,
            savepoint=track.savepoint,
            learned=None if learned is None else learned(),
        )
        heard = track.heard.within(track.cut.get(stream[2], 0) + 1, content.at)
        cut = least_cut(store.snapshot(), stream, content.at, track.cut, heard)
        content = replace(content, vector=cut)
        body, base = self._encoded(content, track)
        track.newest = None  # if this one cannot be written, the next is no delta of its state
        held = store.checkpoints(stream[2], namespace=stream[0], run_id=stream[1])
        kept, gone = kept_and_gone(held, self.keep, base)
        taken = store.checkpoint(
            stream[2],
            body,
            at=content.at,
            causality={"vector": cut},
            origin=origin_of(base),
            drops=gone,
            namespace=stream[0],
            run_id=stream[1],
        )
        self._hear("wrote", len(body), self.clock() - began)
        track.since = Since(began_ns=track.since.now_ns, now_ns=track.since.now_ns)
        track.at, track.cut, track.newest = content.at, cut, taken
        track.heard.forget(content.at)
        if self.then is not None and len(kept) + 1 >= self.keep:
            self._follow(store, stream, min(known.at for known in (*kept, taken)))
        return taken

    def _encoded(self, content: WorkflowCheckpoint, track: Track) -> tuple[bytes, str]:  # noqa: ARG002
        """Return the body, and the id of the checkpoint that it is a delta of."""
        return content.encode(), ""

    def _follow(self, store: EventStore, stream: Stream, upto: int) -> None:
        if self.then == "archive":
            store.archive()
        elif self.then == "compact":
            store.compact()
        elif upto > store.snapshot().bases.base(stream):
            store.truncate(stream[2], upto=upto, namespace=stream[0], run_id=stream[1])


def _again(kind: type[Checkpointed], options: dict[str, Any]) -> Checkpointed:
    return kind(**options)
