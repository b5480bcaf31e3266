"""Inline projections: folded before an append is committed, and an error refuses the append."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from flowlab.errors import FlowlabError, ProjectionError
from flowlab.events import Event, events_from_table
from flowlab.store.projecting import Held, Views
from flowlab.store.projection import Projection, encoded_state, fold_events

if TYPE_CHECKING:
    import pyarrow as pa

    from flowlab.store.snapshot import Snapshot

SAVE_EVERY: Final = 4_096
"""Events after which the states of inline projections are saved: what a reader folds at most."""


class InlineViews:
    """The inline projections of a writer, at the end of the log that it is about to extend.

    Everything here runs under the writer's mutex. A state that cannot be trusted any more (a fold
    failed half way, a write failed) is let go, and built again from the file and the log.
    """

    def __init__(self, views: Views, snapshot: Callable[[], Snapshot]) -> None:
        self._views = views
        self._snapshot = snapshot
        self._held: dict[str, tuple[Projection, Held]] = {}
        self._pending: list[Event] = []
        self._saved_at = -1

    def __repr__(self) -> str:
        return f"InlineViews({sorted(self._held)})"

    @property
    def active(self) -> tuple[Projection, ...]:
        """The projections that each append has to pass."""
        return self._views.inline

    def begin(self, position: int) -> None:
        """Begin a commit after a position; what an earlier one left undone is forgotten."""
        self._pending = []
        if not self._held:
            return
        stale = [name for name, (_, held) in self._held.items() if held.position != position]
        for name in stale:
            del self._held[name]

    def admit(self, events: Callable[[], list[Event]]) -> None:
        """Fold the events of one request, which has its place already.

        Raises:
            ProjectionError: a fold failed: the request must not be committed.
        """
        views = self.active
        if not views:
            return
        batch = events()
        if not batch:
            return
        for view in views:
            held = self._at(view, batch[0].position - 1)
            try:
                self._fold(view, held, batch)
            except ProjectionError as error:
                self._held.clear()
                message = f"{error}; nothing of this call was written"
                raise ProjectionError(message) from error
        self._pending += batch

    @property
    def pending(self) -> int:
        """How many events of this commit were folded."""
        return len(self._pending)

    def back(self, pending: int) -> None:
        """Forget what was folded since there were so many: it will not be committed."""
        if len(self._pending) > pending:
            del self._pending[pending:]
            self._held.clear()

    def admit_table(self, table: pa.Table, position: int) -> None:
        """Fold the events of a bulk append.

        Raises:
            ProjectionError: as for `admit`.
        """
        if self.active:
            self.begin(position)
            rows = table.sort_by("position")
            self.admit(lambda: events_from_table(rows))

    def committed(self, position: int) -> None:
        """Save the states when enough has come; everything up to the position is durable."""
        if self._saved_at < 0:
            self._saved_at = position
        if position - self._saved_at >= SAVE_EVERY:
            self.save(position)
            self._saved_at = position

    def save(self, position: int) -> None:
        """Save the states after a position, which is durable."""
        for view, held in self._held.values():
            if held.position == position:
                self._save(view, held)

    def _save(self, view: Projection, held: Held) -> None:
        # The events are durable, and the state can wait: whoever appends must not hear of it.
        try:
            self._views.saved.save(view, held, end=held.position)
        except (OSError, FlowlabError) as error:
            message = f"the state of projection {view.name!r} could not be saved: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _at(self, view: Projection, position: int) -> Held:
        """Return the states of a projection after a position, from where they are to be had."""
        known = self._held.get(view.name)
        if known is not None and known[0] is view and known[1].position == position:
            return known[1]
        snapshot = self._snapshot()
        held = self._views.held(view, snapshot.position)
        begun = held.position
        self._views.advance(snapshot, view, held)
        if held.position - begun >= SAVE_EVERY:
            self._save(view, held)
        if held.position < position:
            fold_events(view, held.states, self._taken(view, self._pending))
            held.position = position
        self._held[view.name] = (view, held)
        return held

    def _fold(self, view: Projection, held: Held, batch: list[Event]) -> None:
        taken = self._taken(view, batch)
        if taken:
            fold_events(view, held.states, taken)
            for place in {view.place(event): None for event in taken}:
                encoded_state(view, held.states[place], taken[-1])
        held.position = batch[-1].position

    @staticmethod
    def _taken(view: Projection, events: list[Event]) -> list[Event]:
        return [event for event in events if view.takes(event)]
