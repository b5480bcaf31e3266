"""Checkpoints that hold what has changed, and a cache of live executions over any scheme."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.events.wording import brief
from flowlab.recovery.checkpoint import PARTS, WorkflowCheckpoint
from flowlab.recovery.deltas import changes_between
from flowlab.recovery.estimates import Estimates
from flowlab.recovery.policies import Policy
from flowlab.recovery.replaying import best_full_every
from flowlab.recovery.schemes import Checkpointed, Then, Track
from flowlab.runtime.scheme import (
    AgentCells,
    AgentScheme,
    Executing,
    Process,
    RecoveryScheme,
    Restored,
    Stream,
)
from flowlab.runtime.standing import OPEN, Standing
from flowlab.runtime.states import told_cells
from flowlab.store import EventStore
from flowlab.store.clock import monotonic_s
from flowlab.store.position_read import stream_events
from flowlab.workflow import PlanExecution

MOST_DELTAS: Final = 64
"""Deltas after a whole checkpoint, whatever the law says."""


class Incremental(Checkpointed):
    """Checkpoints of which most hold only what has changed since the one before.

    Every m-th is whole; the others are deltas by changed path, and the state that is read back is
    the one that was written, to the byte. A chain is kept as long as one of the `keep` newest needs
    it. Worth it where a state is large and an event changes little of it.

    Args:
        policy, keep, then, clock: as for `Checkpointed`.
        full_every: m; None asks the law for it, sqrt(2 S0 / (p dL)), with the costs that the policy
            has learned, or else those that `Estimates.start()` assumes.

    Raises:
        InvalidArgumentError: an argument is none of these.

    Example:
        >>> from flowlab.recovery.policies import EveryEvents
        >>> Incremental(EveryEvents(100), full_every=10)
        Incremental(EveryEvents(100), keep=2, full_every=10)
    """

    __slots__ = ("full_every",)

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        full_every: int | None = None,
        keep: int = 2,
        then: Then | None = None,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        super().__init__(policy, keep=keep, then=then, clock=clock)
        if full_every is not None and (type(full_every) is not int or full_every < 1):
            message = f"full_every is {brief(full_every)}; expected a whole number from 1, or None"
            raise InvalidArgumentError(message)
        self.full_every = full_every

    def __repr__(self) -> str:
        every: object = "by the law" if self.full_every is None else self.full_every
        return f"{super().__repr__()[:-1]}, full_every={every})"

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "full_every": self.full_every}

    def _encoded(self, content: WorkflowCheckpoint, track: Track) -> tuple[bytes, str]:
        whole = content.encode()
        read = msgspec.json.decode(whole)
        value = {name: read[name] for name in PARTS}
        before, track.value = track.value, value
        if before is not None and track.newest is not None:
            base = track.newest.id
            try:
                delta = content.delta_body(base, changes_between(before, value))
            except RecursionError:  # nested deeper than can be compared
                delta = whole
            most = self._most_deltas(len(whole), len(delta), track.since.events)
            if len(delta) < len(whole) and track.deltas < most:
                track.deltas += 1
                return delta, base
        track.deltas = 0
        return whole, ""

    def _most_deltas(self, whole_bytes: int, delta_bytes: int, events: int) -> int:
        if self.full_every is not None:
            return self.full_every - 1
        learned: Any = getattr(self.policy, "estimates", None)
        estimates = learned if isinstance(learned, Estimates) else Estimates.start()
        whole, delta = estimates.costs(whole_bytes), estimates.costs(delta_bytes)
        saved_s = whole.snapshot_s - delta.snapshot_s
        if saved_s <= 0 or delta.load_s <= 0:
            return 0
        p_load = min(1.0, estimates.p * max(events, 1))
        every = best_full_every(S0=saved_s, p_load=p_load, dL=delta.load_s)
        return min(MOST_DELTAS, max(1, round(every)) - 1)


class Cached:
    """A cache of live executions over any scheme: what is in it catches up by the events since.

    An execution is lent: whoever restores it has it alone, and it comes back when it commits. One
    that did not take all that was committed is forgotten, so that a lookup never gives another
    result than the inner scheme, only sooner.

    Args:
        inner: the scheme that restores what is not in memory.
        size: most executions in memory; the one that was used longest ago is let go.

    Raises:
        InvalidArgumentError: the size is no whole number from 1.

    Example:
        >>> from flowlab.runtime import Replay
        >>> Cached(Replay(), size=100)
        Cached(Replay(), 0 of 100 in memory)
    """

    __slots__ = ("_live", "inner", "size")

    def __init__(self, inner: RecoveryScheme, *, size: int = 1_000) -> None:
        if type(size) is not int or size < 1:
            message = f"size is {brief(size)}; expected a whole number from 1"
            raise InvalidArgumentError(message)
        self.inner = inner
        self.size = size
        # With the last sequence that is durable: one that went on from there in vain is not used.
        self._live: OrderedDict[tuple[str, Stream], tuple[Executing, Standing, int]]
        self._live = OrderedDict()

    def __repr__(self) -> str:
        return f"Cached({self.inner!r}, {len(self._live)} of {self.size} in memory)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process without the executions."""
        return _again, (self.inner, self.size)

    def restore(
        self, store: EventStore, stream: Stream, process: Process, *, seed: object = 0
    ) -> Restored:
        """Return a workflow from memory with the events since, or as the inner scheme does."""
        live = self._live.pop((str(store.path), stream), None)
        if live is not None:
            execution, standing, durable = live
            snapshot = store.snapshot()
            head = snapshot.head(stream[2], namespace=stream[0], run_id=stream[1])
            if (
                _runs(execution, process, seed)
                and execution.last_sequence == standing.head == durable <= head
                and snapshot.bases.base(stream) <= standing.head
            ):
                events = (
                    stream_events(snapshot, stream, first=durable + 1) if durable < head else []
                )
                if all(event.event_type != "WorkflowStarted" for event in events):
                    execution.advance(events)
                    for event in events:
                        standing.take(event)
                    return Restored(execution, standing, len(events), len(events), None)
        return self.inner.restore(store, stream, process, seed=seed)

    def identify(self, store: EventStore, stream: Stream) -> str | None:
        """Return what the inner scheme does."""
        return self.inner.identify(store, stream)

    def committed(
        self,
        store: EventStore,
        stream: Stream,
        execution: Executing,
        standing: Standing,
        events: Sequence[Event],
    ) -> None:
        """Keep the execution, and let the inner scheme hear."""
        key = (str(store.path), stream)
        self._live.pop(key, None)
        if standing.status == OPEN:
            self._live[key] = execution, standing, standing.head
            if len(self._live) > self.size:
                self._live.popitem(last=False)
        self.inner.committed(store, stream, execution, standing, events)

    def agent_cells(self, store: EventStore, stream: Stream) -> AgentCells:
        """Return what the inner scheme does, or what the whole stream tells."""
        if isinstance(self.inner, AgentScheme):
            return self.inner.agent_cells(store, stream)
        return told_cells(store, stream)

    def agent_committed(self, store: EventStore, stream: Stream, events: Sequence[Event]) -> None:
        """Let the inner scheme hear."""
        if isinstance(self.inner, AgentScheme):
            self.inner.agent_committed(store, stream, events)


def _runs(execution: Executing, process: Process, seed: object) -> bool:
    own: Process = execution.program if isinstance(execution, PlanExecution) else execution.workflow
    return own is process and execution.seed == seed


def _again(inner: RecoveryScheme, size: int) -> Cached:
    return Cached(inner, size=size)
