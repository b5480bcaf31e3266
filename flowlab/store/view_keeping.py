"""Before events go for good, the projections that would have folded them do so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.events import Event, grouped
from flowlab.store.layout import Stream
from flowlab.store.projecting import Saved, Views
from flowlab.store.projection import Projection, scope_of
from flowlab.store.streams import streams_of

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot


def keep_states(views: Views, snapshot: Snapshot, gone: pa.Table) -> None:
    """Fold what a truncation takes away into every state that is saved, or refuse it.

    A known projection is caught up and saved. Of one that is not known, what is saved must hold
    what goes already.

    Args:
        views: of the store.
        snapshot: the end of the log, before the truncation.
        gone: the events that go.

    Raises:
        InvalidArgumentError: a saved state lacks some of them, and its fold is not known.
        ProjectionError: a fold failed.
    """
    last = pc.max(gone.column("position")).as_py() or 0
    streams = streams_of(gone)
    known = {view.name: view for view in views.registered() if view.life != "live"}
    for view in known.values():
        if _folds(view, streams):
            _save(views, snapshot, view)
    for name in views.saved.names():
        saved = None if name in known else _loaded(views, name)
        if saved is None or saved.position >= last or not _folds(_told(saved), streams):
            continue
        message = (
            f"projection {name!r} is saved as of position {grouped(saved.position)}, and events up "
            f"to {grouped(last)} that it folds would go; store.register(it) first, so that it can "
            f"fold them, or remove projections/{name}.state; nothing was truncated"
        )
        raise InvalidArgumentError(message)


def _save(views: Views, snapshot: Snapshot, view: Projection) -> None:
    held = views.held(view, snapshot.position)
    begun = held.position
    views.advance(snapshot, view, held)
    if held.position > begun:
        views.save(snapshot, view, held)


def _folds(view: Projection, streams: set[Stream]) -> bool:
    return any(view.may_fold(stream) for stream in streams)


def _loaded(views: Views, name: str) -> Saved | None:
    try:
        return views.saved.load(name)
    except CorruptionError:
        return None  # what it held is gone already


def _told(saved: Saved) -> Projection:
    """Return what a state file says of its projection; its fold is not known."""
    meta: dict[str, Any] = saved.meta
    return Projection(
        name=meta["view"],
        fold=_unknown,
        initial=None,
        life=meta["life"],
        critical=meta["critical"],
        by=meta["by"],
        on=None,
        of=scope_of(meta["of"]),
        version=meta["version"],
    )


def _unknown(state: Any, event: Event) -> NoReturn:
    message = f"the fold of {event!r} into {state!r:.40} is not known here"
    raise InvalidArgumentError(message)
