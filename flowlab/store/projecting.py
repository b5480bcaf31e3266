"""Projections of one store: which are known, what is materialized of them, and their states."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import (
    CorruptionError,
    InvalidArgumentError,
    NotFoundError,
    TruncatedError,
)
from flowlab.events import Upcasts, decode_id, encode_id, grouped
from flowlab.events.wording import brief
from flowlab.store.containers import (
    PROJECTION,
    SUFFIX,
    Container,
    read_container,
    write_container,
)
from flowlab.store.files import LOCK_TIMEOUT_S, Disk, file_lock
from flowlab.store.layout import Stream
from flowlab.store.position_read import events_between, stream_events
from flowlab.store.projection import Projection, States, encoded_state, fold_events

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

FOLDER: Final = "projections"
SAVE_EVENTS: Final = 1 << 20
"""Positions after which a long catching up is saved, so that a stop does not lose all of it."""
Progress = Callable[[int, int], None]
"""Told (position reached, position to reach)."""


@dataclass(slots=True)
class Held:
    """The states of a projection after a position; whoever holds it owns it.

    Args:
        position: the last one that is in the states.
        states: by stream, or under None.
        upcasts: digest of those through which the first events were read; None: of the store's.
    """

    position: int = 0
    states: States = field(default_factory=dict)
    upcasts: str | None = None


@dataclass(frozen=True)
class Saved:
    """A state file: what it says of its projection, and its states, still encoded."""

    meta: dict[str, Any]
    body: bytes

    @property
    def position(self) -> int:
        """The last position that is in the state."""
        return int(self.meta["position"])

    @property
    def upcasts(self) -> str | None:
        """The digest of the upcasts through which its events were read, None where unknown."""
        found = self.meta.get("upcasts")
        return found if isinstance(found, str) else None

    @cached_property
    def streams(self) -> frozenset[Stream]:
        """The streams that it has a state of."""
        return frozenset(stream for stream in self.held().states if stream is not None)

    def held(self) -> Held:
        """Decode the states."""
        value = msgspec.json.decode(self.body)
        if self.meta["by"] == "store":
            return Held(self.position, {None: value}, self.upcasts)
        states: States = {(row[0], row[1], row[2]): row[3] for row in value}
        return Held(self.position, states, self.upcasts)


class SavedViews:
    """The state files of a store's projections, in the folder `projections`.

    Each is read again only when it has changed. Whoever writes one holds the folder's lock.
    """

    def __init__(self, root: Path, disk: Disk, table_id: str, upcasts: Upcasts) -> None:
        self.folder = root / FOLDER
        self.table_id = table_id
        self._upcasts = upcasts
        self._disk = disk
        self._known: dict[str, tuple[tuple[int, int, int], Saved]] = {}

    def __repr__(self) -> str:
        return f"SavedViews({self.names()})"

    def names(self) -> list[str]:
        """Return the views that have a state file."""
        try:
            found = [entry.name for entry in os.scandir(self.folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(
            decode_id(name.removesuffix(SUFFIX))
            for name in found
            if name.endswith(SUFFIX) and not name.startswith(".")
        )

    def load(self, name: str) -> Saved | None:
        """Return a view's state file, or None where there is none.

        Raises:
            CorruptionError: it is damaged, or another store's.
            FormatVersionError: a newer flowlab wrote it.
        """
        path = self._path(name)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        content = read_container(path, kind=PROJECTION)
        saved = Saved(content.meta, content.body)
        if content.meta.get("table_id") != self.table_id or content.meta.get("view") != name:
            message = f"{path.name} is the state of another store or view; remove it"
            raise CorruptionError(message)
        self._known[name] = (stamp, saved)
        return saved

    def save(self, view: Projection, held: Held, *, end: int = -1) -> None:
        """Put a state in place, durable; not over one that is as far, or further up to `end`.

        Args:
            view: whose state it is.
            held: the state.
            end: of the log: a saved state beyond it is of events that are gone. -1 replaces any.
        """
        with self._locked():
            try:
                saved = self.load(view.name)
            except CorruptionError:
                saved = None
            if saved is not None and fits(view, saved) and held.position <= saved.position <= end:
                return
            # Events that were read before stay as they were read, whatever reads the next.
            upcasts = self.upcasts_of(view) if held.upcasts is None else held.upcasts
            meta = {
                **view.definition,
                "position": held.position,
                "table_id": self.table_id,
                "upcasts": upcasts,
            }
            body = encoded_states(view, held)
            write_container(self._path(view.name), Container(PROJECTION, meta, body), self._disk)
            self._known.pop(view.name, None)

    def upcasts_of(self, view: Projection) -> str:
        """Return the digest of the store's upcasts of what a projection folds."""
        return self._upcasts.digest(view.on)

    def check_upcasts(self, view: Projection, saved: Saved) -> None:
        """Warn where a saved state holds events that are read otherwise by now."""
        told, now = saved.upcasts, self.upcasts_of(view)
        if told is None or told == now:
            return
        if told and now and told.split()[0] != now.split()[0]:
            return  # compiled by another Python, the same code is other bytes
        _warn(
            f"the upcasts of what projection {view.name!r} folds have changed since its state was "
            "saved: the events in it were read by the older ones. Raise its version, or "
            f"store.rebuild({view.name!r}), if they are read otherwise now"
        )

    def _path(self, name: str) -> Path:
        return self.folder / f"{encode_id(name)}{SUFFIX}"

    def _locked(self) -> AbstractContextManager[None]:
        self._disk.make_directory(self.folder)
        what = "lock of its projections"
        return file_lock(self.folder / "lock", self._disk, timeout_s=LOCK_TIMEOUT_S, what=what)


def fits(view: Projection, saved: Saved) -> bool:
    """Say whether a saved state is of this very definition."""
    return all(
        saved.meta.get(name) == value
        for name, value in view.definition.items()
        if name not in {"life", "critical"}
    )


def encoded_states(view: Projection, held: Held) -> bytes:
    """Return the body of a state file."""
    if view.by == "store":
        state = held.states[None] if None in held.states else view.start()
        return encoded_state(view, state)
    rows = sorted((stream, state) for stream, state in held.states.items() if stream is not None)
    encoded = [
        msgspec.json.encode([*stream, msgspec.Raw(encoded_state(view, state))])
        for stream, state in rows
    ]
    return b"[" + b",".join(encoded) + b"]"


class Views:
    """The projections that a store knows, and their states as of any snapshot.

    A state comes from the file where one fits, and the events since; else from the log.
    """

    def __init__(self, saved: SavedViews) -> None:
        self.saved = saved
        self._known: dict[str, Projection] = {}
        self.inline: tuple[Projection, ...] = ()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Views({sorted(self._known)})"

    def register(self, view: object) -> None:
        """Make a projection known; one of the same name takes the place of the older.

        Raises:
            InvalidArgumentError: it is no projection, or a name differs by case alone.
        """
        if not isinstance(view, Projection):
            message = f"{brief(view)} is no projection; declare it with @projection"
            raise InvalidArgumentError(message)
        with self._lock:
            for name in self._known:
                if name != view.name and name.casefold() == view.name.casefold():
                    message = (
                        f"projections {name!r} and {view.name!r} would have one file where names "
                        "of files know no case: rename one"
                    )
                    raise InvalidArgumentError(message)
            self._known = {**self._known, view.name: view}
            self.inline = tuple([known for known in self.registered() if known.life == "inline"])

    def registered(self) -> list[Projection]:
        """Return what is known, in order of its registration."""
        return list(self._known.values())

    def named(self, view: Projection | str) -> Projection:
        """Return a projection by itself, which makes it known, or by name.

        Raises:
            NotFoundError: none of that name is known.
        """
        if isinstance(view, Projection):
            if self._known.get(view.name) is not view:
                self.register(view)
            return view
        found = self._known.get(view) if isinstance(view, str) else None
        if found is None:
            known = ", ".join(map(repr, self._known)) or "none"
            message = (
                f"no projection {view!r} is known to this store (known: {known}); give the "
                "projection itself, or store.register(it)"
            )
            raise NotFoundError(message)
        return found

    def held(self, view: Projection, position: int) -> Held:
        """Return what is saved up to a position, nothing where it is damaged or does not fit."""
        if view.life == "live":
            return Held()
        try:
            saved = self.saved.load(view.name)
        except CorruptionError as error:
            _warn(f"the state of projection {view.name!r} is built again from the log: {error}")
            return Held()
        if saved is None:
            return Held()
        if not fits(view, saved):
            told = f"version {saved.meta.get('version')}, now {view.version}"
            _warn(
                f"the saved state of projection {view.name!r} is of another definition ({told}): "
                "it is built again from the log"
            )
            return Held()
        self.saved.check_upcasts(view, saved)
        return saved.held() if saved.position <= position else Held()

    def save(self, snapshot: Snapshot, view: Projection, held: Held) -> None:
        """Save states that are those of a snapshot at the end of the log."""
        self.saved.save(view, held, end=snapshot.position)

    def at(self, snapshot: Snapshot, view: Projection) -> Held:
        """Return the states at a snapshot.

        Raises:
            ProjectionError: the fold failed.
            TruncatedError: events that the state needs are gone.
        """
        held = self.held(view, snapshot.position)
        self.advance(snapshot, view, held)
        return held

    def advance(
        self,
        snapshot: Snapshot,
        view: Projection,
        held: Held,
        *,
        progress: Progress | None = None,
        save: bool = False,
    ) -> None:
        """Fold what a snapshot has beyond a state."""
        check_whole(snapshot, view, held.position)
        end = snapshot.position
        while held.position < end:
            upto = min(held.position + SAVE_EVENTS, end)
            for events in events_between(snapshot, view, held.position, upto):
                fold_events(view, held.states, events)
            held.position = upto
            if progress is not None:
                progress(upto, end)
            if save and upto < end:
                self.saved.save(view, held, end=end)


def check_whole(snapshot: Snapshot, view: Projection, position: int) -> None:
    """Check that no event after a position that a projection folds has been truncated.

    Raises:
        TruncatedError: names the stream and the next step.
    """
    for stream, row in snapshot.bases.by_stream.items():
        if not view.may_fold(stream):
            continue
        # What is gone lies before the first event that is left, and before the truncation itself.
        left = stream_events(snapshot, stream, first=row.base + 1, last=row.base + 1)
        gone = min(row.position, *(event.position for event in left)) if left else row.position
        if position < gone - 1:
            message = (
                f"projection {view.name!r} cannot be built from the log alone: events 1 to "
                f"{grouped(row.base)} of {stream[2]!r} were truncated, and no saved state holds "
                "them. Put its state file back from a copy, or build it in a store into which "
                "what was archived is read again; or narrow `of` to workflows that are whole"
            )
            raise TruncatedError(message)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)
