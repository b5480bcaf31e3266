"""Event sourcing on an open store: its projections, their states, and how far they are."""

from __future__ import annotations

from flowlab.errors import CorruptionError
from flowlab.store.projecting import Held, Progress
from flowlab.store.projection import Projection
from flowlab.store.reading import StoreReading
from flowlab.store.snapshot import Snapshot
from flowlab.store.view_status import (
    RecoveryReport,
    ViewState,
    ViewStatus,
    status_of,
    view_state,
)


class StoreProjections(StoreReading):
    """Projections of an open store."""

    def register(self, *views: Projection) -> None:
        """Make projections known to this open store; none of the same name stays.

        From now on each append of this store passes the inline ones: they are caught up here, and
        then folded before an append returns. A process that appends without them leaves them
        behind; they catch up at the next append or read that knows them.

        Raises:
            InvalidArgumentError: it is no projection.
            ProjectionError: the events that are there already cannot be folded inline.
            TruncatedError: events that an inline state needs are gone.
        """
        for view in views:
            known = self._files.views.registered()
            if view in known:
                continue
            if isinstance(view, Projection) and view.life == "inline":
                self._caught_up(view, self.snapshot())
            self._files.views.register(view)

    def project(self, view: Projection | str) -> ViewState:
        """Return the states of a projection, up to date with what is durable now.

        An async one is caught up and saved (where the store is open for writing), an inline one is
        what it was saved as and the events since, a live one is folded from the log.

        Args:
            view: the projection, which is then known, or the name of a known one.

        Raises:
            NotFoundError: no projection of that name is known.
            ProjectionError: the fold failed; what is saved stays as it was.
            TruncatedError: events that the state needs are gone.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import EventStore, projection
            >>> @projection(initial=0, on=["Deposited"])
            ... def deposits(total, event):
            ...     return total + event.data["amount"]
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     event = {"event_type": "Deposited", "payload": {"amount": 5}}
            ...     result = store.append("account-a", [event, event])
            ...     found = store.project(deposits)
            >>> found, found.state
            (ViewState('deposits' (async) at position 2, up to date), 10)
        """
        found = self._named(view)
        snapshot = self.snapshot()
        return view_state(snapshot, found, self._caught_up(found, snapshot))

    def catch_up(
        self, *views: Projection | str, progress: Progress | None = None
    ) -> tuple[ViewStatus, ...]:
        """Bring projections up to date and save them: state and position in one durable file.

        However often it is stopped, each event is folded into a saved state exactly once.

        Args:
            views: projections or names; without, every known one that is not live.
            progress: told (position reached, position to reach).

        Raises:
            ProjectionError: a fold failed; what was saved before stays.
            InvalidArgumentError: the store is open for reading only.
        """
        self._check_writable()
        known = [self._named(view) for view in views] or [
            view for view in self._files.views.registered() if view.life != "live"
        ]
        found = []
        for view in known:
            snapshot = self.snapshot()
            held = self._caught_up(view, snapshot, progress=progress)
            found.append(status_of(self.snapshot(), view, held.position))
        return tuple(found)

    def rebuild(self, view: Projection | str, *, progress: Progress | None = None) -> ViewStatus:
        """Build a projection from the log, whatever was saved of it, and save it unless it is live.

        Args:
            view: the projection or its name.
            progress: told (position reached, position to reach).

        Raises:
            TruncatedError: events that its state needs are gone; what is saved stays.
            ProjectionError: the fold failed; what is saved stays.
            InvalidArgumentError: the store is open for reading only.
        """
        self._check_writable()
        found = self._named(view)
        snapshot, held = self.snapshot(), Held()
        self._files.views.advance(snapshot, found, held, progress=progress)
        if found.life != "live":
            self._files.views.saved.save(found, held)
        return status_of(self.snapshot(), found, held.position)

    def projections(self) -> tuple[ViewStatus, ...]:
        """Return how far each projection is that is known or saved, by name.

        Of a live one, and of an inline one that is known, the position is that of now: whoever
        asks gets the state as of now. Of others it is that of what is saved.
        """
        snapshot, views = self.snapshot(), self._files.views
        found = {}
        for name in views.saved.names():
            try:
                saved = views.saved.load(name)
            except CorruptionError:
                continue  # whoever asks for its state is told, and builds it again
            if saved is not None:
                found[name] = status_of(snapshot, saved, saved.position)
        for view in views.registered():
            if view.life != "async":
                found[view.name] = status_of(snapshot, view, snapshot.position)
            elif view.name not in found or found[view.name].version != view.version:
                found[view.name] = status_of(snapshot, view, 0)
        return tuple(found[name] for name in sorted(found))

    def recover_projections(self, *, progress: Progress | None = None) -> RecoveryReport:
        """Bring the critical projections up to date; the others wait for their first use.

        A state that is damaged, or of another version, is built again from the log, with a
        warning.

        Raises:
            ProjectionError: a critical fold failed: recovery is not ready.
        """
        views = self._files.views.registered()
        critical = [view for view in views if view.critical]
        ready = self.catch_up(*critical, progress=progress) if critical else ()
        names = {view.name for view in critical}
        lazy = sorted({view.name for view in views} | set(self._files.views.saved.names()))
        return RecoveryReport(ready, tuple(name for name in lazy if name not in names))

    # -- inside -------------------------------------------------------------------------------

    def _named(self, view: Projection | str) -> Projection:
        if isinstance(view, Projection) and view not in self._files.views.registered():
            self.register(view)
        return self._files.views.named(view)

    def _caught_up(
        self, view: Projection, snapshot: Snapshot, *, progress: Progress | None = None
    ) -> Held:
        views = self._files.views
        held = views.held(view, snapshot.position)
        begun = held.position
        keep = view.life != "live" and not self._read_only
        views.advance(snapshot, view, held, progress=progress, save=keep)
        if keep and (held.position > begun or not begun):
            views.save(snapshot, view, held)
        return held
