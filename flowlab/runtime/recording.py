"""The events of one turn, until they are durable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowlab.errors import NotFoundError, TruncatedError
from flowlab.events import Cause, CauseKind, Cell, Event
from flowlab.events.codec import encode_payload
from flowlab.events.keys import Key
from flowlab.events.vocabulary import WORLD_STREAM
from flowlab.runtime.clock import Clock, WallClock
from flowlab.runtime.effect import Effect
from flowlab.runtime.instance import Instance
from flowlab.store import EventStore
from flowlab.workflow.cells import GONE, Cells

MESSAGE = int(CauseKind.MESSAGE)


class Recording:
    """Gives events their places, and keeps them in order until they are committed together.

    Args:
        store: where they go.
        namespace: of every stream.
        clock: stamps them.

    Attributes:
        events: what this turn has written.
    """

    __slots__ = ("_bases", "_clock", "_heads", "_last_ns", "_namespace", "_store", "events")

    def __init__(self, store: EventStore, namespace: str, clock: Clock) -> None:
        self._store = store
        self._namespace = namespace
        self._clock = clock
        self._last_ns = 0
        self._heads: dict[str, int] = {}
        self._bases: dict[str, int] = {}
        self.events: list[Event] = []

    def __repr__(self) -> str:
        return f"Recording({len(self.events)} events)"

    def now_ns(self) -> int:
        """Return the time: never before that of any event of the streams that it writes to."""
        self._last_ns = max(self._last_ns, self._clock.now_ns())
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
        standing = instance.standing
        self._bases.setdefault(instance.workflow_id, standing.head)
        written = event.replace(
            workflow_id=instance.workflow_id,
            sequence=standing.head + 1,
            time_ns=self.now_ns(),
            follows_lane=False,
        )
        standing.take(written)
        self.events.append(written)
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
            head = self._store.snapshot().head(stream, namespace=self._namespace)
            if head:
                self.went_on_until(self.last_of(stream))
        self._bases.setdefault(stream, head)
        self._heads[stream] = head + 1
        self.events.append(
            Event(
                event_type=event_type,
                workflow_id=stream,
                sequence=head + 1,
                agent_id=agent,
                name=name,
                time_ns=self.now_ns(),
                follows_lane=stream != WORLD_STREAM,
                causes=causes,
                coordination_id=coordination_id,
                payload=encode_payload(payload),
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
            cells.encoded(changed)
            cells.commit(changed)
            if changed:
                payload["values"] = {
                    key: None if value is GONE else value for key, value in sorted(changed.items())
                }
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

    def commit(self) -> list[Event]:
        """Make what was written durable, all of it or nothing; return it.

        Raises:
            FlowlabError: why the store refused.
        """
        events, self.events = self.events, []
        bases, self._bases = self._bases, {}
        if not events:
            return events
        first = events[0].workflow_id
        if len(bases) == 1:
            self._store.append(
                first, events, expected_version=bases[first], namespace=self._namespace
            )
        else:
            self._store.append_together(events, expected_versions=bases, namespace=self._namespace)
        return events


def _cells(owner: str, keys: tuple[str, ...] | None) -> tuple[Cell, ...] | None:
    return None if keys is None else tuple(Cell(owner, key) for key in keys)
