"""The events of one turn, until they are durable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from flowlab.errors import LimitError, NotFoundError, TruncatedError
from flowlab.events import MAX_PAYLOAD_BYTES, Cause, CauseKind, Cell, Event, grouped
from flowlab.events.codec import encode_payload
from flowlab.events.keys import Key
from flowlab.events.vocabulary import WORLD_STREAM
from flowlab.runtime.clock import Clock, WallClock
from flowlab.runtime.effect import MARGIN, Effect
from flowlab.runtime.instance import Instance
from flowlab.store import EventStore
from flowlab.workflow.cells import GONE, Cells

MESSAGE = int(CauseKind.MESSAGE)


MAX_TURN_BYTES: Final = 8 * 1024 * 1024
"""Payload after which a turn takes nothing more: what has happened besides waits for the next."""

MAX_ASKED_BYTES: Final = 32 * 1024 * 1024
"""Most payload that a workflow asks for at once."""


def check_sizes(workflow_id: str, drafts: Sequence[Event]) -> None:
    """Refuse what the store would not take, before anything of it is written.

    Raises:
        LimitError: an event, or all of them together, are too large.
    """
    total = 0
    for draft in drafts:
        total += len(draft.payload or b"")
    if total <= MAX_PAYLOAD_BYTES:
        return  # nor is any of them larger: so it is nearly always
    sizes = [len(draft.payload or b"") for draft in drafts]
    largest = max(sizes, default=0)
    if largest > MAX_PAYLOAD_BYTES:
        what = drafts[sizes.index(largest)]
        message = (
            f"{workflow_id!r}: the {what.event_type} {what.name!r} takes {grouped(largest)} bytes, "
            f"and MAX_PAYLOAD_BYTES is {grouped(MAX_PAYLOAD_BYTES)}; keep such values elsewhere, "
            "and pass on where they are"
        )
        raise LimitError(message)
    if total > MAX_ASKED_BYTES:
        message = (
            f"{workflow_id!r} asks at once for {len(drafts)} things that take "
            f"{grouped(total)} bytes, and MAX_ASKED_BYTES is {grouped(MAX_ASKED_BYTES)}; ask "
            "for some of them, and for others when those are done"
        )
        raise LimitError(message)


class Recording:
    """Gives events their places, and keeps them in order until they are committed together.

    Args:
        store: where they go.
        namespace: of every stream.
        clock: stamps them.

    Attributes:
        events: what this turn has written.
    """

    __slots__ = (
        "_bases",
        "_clock",
        "_heads",
        "_is_stamped",
        "_last_ns",
        "_namespace",
        "_size",
        "_store",
        "events",
    )

    def __init__(self, store: EventStore, namespace: str, clock: Clock) -> None:
        self._store = store
        self._namespace = namespace
        self._clock = clock
        self._last_ns = 0
        self._heads: dict[str, int] = {}
        self._bases: dict[str, int] = {}
        self.events: list[Event] = []
        self._size = 0
        self._is_stamped = False

    def __repr__(self) -> str:
        return f"Recording({len(self.events)} events)"

    @property
    def is_full(self) -> bool:
        """Whether a turn has written so much that it is to be committed."""
        return self._size > MAX_TURN_BYTES

    def now_ns(self) -> int:
        """Return the time: never before that of any event of the streams that it writes to."""
        self._last_ns = max(self._last_ns, self._clock.now_ns())
        return self._last_ns

    def _stamp(self) -> int:
        """Return the time of this turn's events: that of its first one, or what the log has."""
        if not self._is_stamped:
            self._is_stamped = True
            self.now_ns()
        return self._last_ns

    def went_on_until(self, time_ns: int) -> None:
        """Take note that the log has an event of that time."""
        self._last_ns = max(self._last_ns, time_ns)
        if isinstance(self._clock, WallClock):
            self._clock.at_least(time_ns)

    def last_of(self, stream: str) -> int:
        """Return the time of a stream's last event, 0 where there is none."""
        key = Key("workflows", stream, section="events", namespace=self._namespace)
        try:
            events = self._store.read(str(key), reverse=True, limit=1).events()
        except (NotFoundError, TruncatedError):
            return 0
        return events[0].time_ns if events else 0

    def history(self, instance: Instance, event: Event) -> Event:
        """Write the next event of a workflow's history."""
        standing, workflow_id, payload = instance.standing, instance.workflow_id, event.payload
        head = standing.head
        if workflow_id not in self._bases:
            self._bases[workflow_id] = head
        written = structs.replace(
            event,
            workflow_id=workflow_id,
            sequence=head + 1,
            time_ns=self._last_ns if self._is_stamped else self._stamp(),
            follows_lane=False,
        )
        standing.take(written)
        self.events.append(written)
        if payload is not None:
            self._size += len(payload)
        return written

    def beside(
        self,
        stream: str,
        agent: str,
        event_type: str,
        *,
        name: str = "",
        payload: Any = None,
        causes: tuple[Cause, ...] = (),
        coordination_id: str | None = None,
        **fields: Any,
    ) -> Cause:
        """Write an event of an agent, or of the world; return a reference to it."""
        head = self._heads.get(stream)
        if head is None:
            head = self._store.head(stream, namespace=self._namespace)
            if head:
                self.went_on_until(self.last_of(stream))
        self._bases.setdefault(stream, head)
        encoded = encode_payload(payload)
        self._size += len(encoded or b"")
        self._heads[stream] = head + 1
        self.events.append(
            Event(
                event_type=event_type,
                workflow_id=stream,
                sequence=head + 1,
                agent_id=agent,
                name=name,
                time_ns=self._stamp(),
                follows_lane=stream != WORLD_STREAM,
                causes=causes,
                coordination_id=coordination_id,
                payload=encoded,
                **fields,
            )
        )
        return Cause(stream, head + 1, MESSAGE)

    def received(self, agent: str, effect: Effect) -> None:
        """Write that an agent begins an effect."""
        told: dict[str, Any] = {
            "attempt": effect.attempt,
            "delivery": effect.delivery,
            "key": effect.key,
        }
        if effect.source is not None:
            told["errand"] = effect.sequence
        self.beside(
            f"@{agent}",
            agent,
            "MessageReceived",
            name=effect.activity,
            payload=told,
            causes=(Cause(effect.workflow_id, effect.because, MESSAGE),),
            coordination_id=effect.workflow_id,
        )

    def transaction(
        self,
        agent: str,
        effect: Effect,
        cells: Cells | None,
        error: dict[str, str] | None,
        *,
        told: Mapping[str, Any] | None = None,
    ) -> Cause:
        """Write how an agent's work on an effect ended, and make its changes its state."""
        kind = "TransactionCommitted"
        payload: dict[str, Any] = {
            "attempt": effect.attempt,
            "delivery": effect.delivery,
            "key": effect.key,
            **(told or {}),
        }
        reads: tuple[str, ...] | None = None
        writes: tuple[str, ...] | None = None
        if error is not None:
            kind, payload["error"] = "TransactionAborted", error
        elif cells is not None:
            changed = cells.changes()
            reads, writes = tuple(cells.reads), tuple(changed)
            _check_cells(agent, cells.encoded(changed), encode_payload(told))
            cells.commit(changed)
            if changed:
                payload["values"] = {
                    key: None if value is GONE else value for key, value in sorted(changed.items())
                }
                # A value may be null, too: what is not there any more is told beside.
                if deleted := [key for key, value in sorted(changed.items()) if value is GONE]:
                    payload["deleted"] = deleted
        return self.beside(
            f"@{agent}",
            agent,
            kind,
            name=effect.activity,
            payload=payload,
            coordination_id=effect.workflow_id,
            reads=_cells(agent, reads),
            writes=_cells(agent, writes),
        )

    def commit(self, meanwhile: Callable[[], None]) -> list[Event]:
        """Make what was written durable, all of it or nothing; return it.

        Args:
            meanwhile: called while the device writes: nothing outside may hear of it.

        Raises:
            FlowlabError: why the store refused.
        """
        events, self.events, self._size, self._is_stamped = self.events, [], 0, False
        bases, self._bases = self._bases, {}
        # Others write of checkpoints and of truncations there: where it ends is read anew.
        self._heads.pop(WORLD_STREAM, None)
        if not events:
            return events
        first = events[0].workflow_id
        if len(bases) == 1:
            self._store.append(
                first,
                events,
                expected_version=bases[first],
                namespace=self._namespace,
                meanwhile=meanwhile,
            )
        else:
            self._store.append_together(
                events,
                expected_versions=bases,
                namespace=self._namespace,
                meanwhile=meanwhile,
            )
        return events


def _check_cells(agent: str, encoded: bytes | None, told: bytes | None) -> None:
    size = len(encoded or b"") + len(told or b"")
    if size > MAX_PAYLOAD_BYTES - MARGIN and encoded is not None:
        message = (
            f"agent {agent!r} writes {grouped(size)} bytes of its state at once, and "
            f"MAX_PAYLOAD_BYTES is {grouped(MAX_PAYLOAD_BYTES)}; keep large values elsewhere"
        )
        raise LimitError(message)


def _cells(owner: str, keys: tuple[str, ...] | None) -> tuple[Cell, ...] | None:
    return None if keys is None else tuple(Cell(owner, key) for key in keys)
