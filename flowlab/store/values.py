"""What keys hold that are no events: metadata, states of projections, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from flowlab.errors import CorruptionError, InvalidKeyError, NotFoundError
from flowlab.events import Key, RunInfo, encode_id, encode_json, grouped, parse_key
from flowlab.store import checkpoints
from flowlab.store.layout import Stream
from flowlab.store.position_read import stream_events
from flowlab.store.projecting import Held, Saved, check_whole, fits
from flowlab.store.projection import Projection, fold_events

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot

_BOOL, _INT, _TEXT = pa.bool_(), pa.int64(), pa.string()
PROJECTIONS_SCHEMA: Final = pa.schema(
    [
        pa.field("namespace", _TEXT),
        pa.field("run_id", _TEXT),
        pa.field("workflow_id", _TEXT),
        pa.field("view", _TEXT, False),
        pa.field("life", _TEXT, False),
        pa.field("critical", _BOOL, False),
        pa.field("version", _INT, False),
        pa.field("position", _INT, False),
        pa.field("lag_events", _INT, False),
        pa.field("state", _TEXT, False),
    ]
)
"""The relation `projections`: a row for each state, `workflow_id` null where it is the store's."""


def value_at(snapshot: Snapshot, text: str) -> Any:
    """Return what a key holds that names no events.

    Raises:
        InvalidKeyError: it names events, or nothing that has a value.
        NotFoundError: there is no such workflow, projection, state or checkpoint.
    """
    key = parse_key(text)
    if key.root == "projections" and key.id is not None and not key.id_is_prefix:
        return _store_state(snapshot, key.id)
    if key.root == "workflows" and key.section == "metadata":
        return snapshot.metadata(text)
    if key.root == "workflows" and key.leaf is not None and key.section == "projections":
        return _workflow_state(snapshot, _stream(snapshot, key), key.leaf)
    if key.root == "workflows" and key.below is not None and key.section == "checkpoints":
        return _checkpoint_part(snapshot, _stream(snapshot, key), key)
    message = (
        f"key {text!r} holds no value; expected /workflows/{{id}}/metadata, "
        "/workflows/{id}/projections/{view}/materialized_state, "
        "/workflows/{id}/checkpoints/{checkpoint}/state_snapshot or causality_info, or "
        "/projections/{view}/materialized_state (store.read reads events)"
    )
    raise InvalidKeyError(message)


def metadata_at(snapshot: Snapshot, key: str) -> Any:
    """Return what `/workflows/{id}/metadata` holds, or one entry of it.

    Raises:
        InvalidKeyError: the key is not one of a workflow's metadata.
    """
    parsed = parse_key(key)
    if parsed.root != "workflows" or parsed.section != "metadata" or parsed.id is None:
        message = f"key {key!r} names no metadata; expected /workflows/{{id}}/metadata"
        raise InvalidKeyError(message)
    located = snapshot.locate(replace(parsed, section="events", leaf=None))
    assert located.stream is not None
    namespace, run_id, workflow_id = located.stream
    text = (
        "SELECT agent_id, min(time_ns) FROM events WHERE namespace = ? AND run_id = ? "
        "AND workflow_id = ? GROUP BY 1 ORDER BY min(sequence)"
    )
    rows = snapshot.rows(text, [namespace, run_id, workflow_id])
    info = next((run for run in snapshot.runs if run.key == (namespace, run_id)), RunInfo())
    found = {
        # Of a stream that was truncated whole no event is left to tell.
        "creation_time": min((row[1] for row in rows), default=None),
        "version": info.version,
        "agents": [row[0] for row in rows],
    }
    return found if parsed.leaf is None else found[parsed.leaf]


def projections_table(snapshot: Snapshot) -> pa.Table:
    """Return the relation `projections` at a snapshot.

    An async projection stands as it was saved, inline and live ones that are known as they are.
    """
    rows: list[tuple[Any, ...]] = []
    for name in _names(snapshot):
        view, saved = _known(snapshot, name)
        held = _shown(snapshot, view, saved)
        if held is None:
            continue
        told = view.definition if view is not None else saved.meta if saved is not None else {}
        lag = snapshot.position - held.position
        states = held.states
        if told["by"] == "store" and None not in states and view is not None:
            states = {None: view.start()}
        for stream, state in states.items():
            rows.append(
                (
                    *(stream or (None, None, None)),
                    told["view"],
                    told["life"],
                    told["critical"],
                    told["version"],
                    held.position,
                    lag,
                    encode_json(state).decode(),
                )
            )
    arrays = [
        pa.array([row[place] for row in rows], kind.type)
        for place, kind in enumerate(PROJECTIONS_SCHEMA)
    ]
    return pa.Table.from_arrays(arrays, schema=PROJECTIONS_SCHEMA)


def views_of(snapshot: Snapshot, stream: Stream | None) -> list[str]:
    """Return the names of the views that hold a state of a stream, or one for the whole store."""
    found = []
    for name in _names(snapshot):
        view, saved = _known(snapshot, name)
        by = view.by if view is not None else saved.meta["by"] if saved is not None else ""
        if stream is None:
            if by == "store":
                found.append(name)
        elif by == "workflow" and (
            (saved is not None and stream in saved.streams)
            or (view is not None and view.life != "async" and view.may_fold(stream))
        ):
            found.append(name)
    return found


def told_of_view(snapshot: Snapshot, name: str) -> str:
    """Return how a view lives and how far it is, for people."""
    view, saved = _known(snapshot, name)
    life = view.life if view is not None else saved.meta["life"] if saved is not None else ""
    position = 0 if saved is None else saved.position
    if view is not None and life != "async":
        position = snapshot.position
    return f"({life}, at position {grouped(position)})"


def _names(snapshot: Snapshot) -> list[str]:
    views = snapshot.files.views
    return sorted({view.name for view in views.registered()} | set(views.saved.names()))


def _known(snapshot: Snapshot, name: str) -> tuple[Projection | None, Saved | None]:
    """Return a projection if its code is known, and its saved state if that fits and is whole."""
    views = snapshot.files.views
    view = next((known for known in views.registered() if known.name == name), None)
    try:
        saved = views.saved.load(name)
    except CorruptionError:
        saved = None
    if saved is not None and view is not None:
        if fits(view, saved):
            views.saved.check_upcasts(view, saved)
        else:
            saved = None
    return view, saved


def _shown(snapshot: Snapshot, view: Projection | None, saved: Saved | None) -> Held | None:
    """Return the states to show at a snapshot, None where there are none to show."""
    if saved is not None and saved.position > snapshot.position:
        saved = None
    if view is not None and (view.life != "async" or saved is None):
        return snapshot.files.views.at(snapshot, view)
    return None if saved is None else saved.held()


def _store_state(snapshot: Snapshot, name: str) -> Any:
    view, saved = _found(snapshot, name)
    by = view.by if view is not None else saved.meta["by"] if saved is not None else "store"
    if by == "workflow":
        message = (
            f"projection {name!r} has a state of each workflow: "
            f"/workflows/{{id}}/projections/{encode_id(name)}/materialized_state"
        )
        raise InvalidKeyError(message)
    held = _shown(snapshot, view, saved)
    assert held is not None
    return held.states[None] if None in held.states or view is None else view.start()


def _workflow_state(snapshot: Snapshot, stream: Stream, name: str) -> Any:
    view, saved = _found(snapshot, name)
    by = view.by if view is not None else saved.meta["by"] if saved is not None else "workflow"
    if by == "store":
        message = (
            f"projection {name!r} has one state for the whole store: "
            f"/projections/{encode_id(name)}/materialized_state"
        )
        raise InvalidKeyError(message)
    usable = saved if saved is not None and saved.position <= snapshot.position else None
    held = Held() if usable is None else usable.held()
    if view is not None and (view.life != "async" or usable is None):
        check_whole(snapshot, view, held.position)
        fresh = [
            event
            for event in stream_events(snapshot, stream)
            if event.position > held.position and view.takes(event)
        ]
        fold_events(view, held.states, fresh)
    if stream not in held.states:
        message = f"projection {name!r} has no state of {stream[2]!r}: it has folded no event of it"
        raise NotFoundError(message)
    return held.states[stream]


def _found(snapshot: Snapshot, name: str) -> tuple[Projection | None, Saved | None]:
    view, saved = _known(snapshot, name)
    if view is not None:
        return view, saved
    if saved is None:
        known = ", ".join(map(repr, _names(snapshot))) or "none"
        message = (
            f"there is no projection {name!r} (there are {known}); store.register makes it known"
        )
        raise NotFoundError(message)
    behind = snapshot.position - saved.position
    if behind < 0 or (behind and saved.meta["life"] == "inline"):
        message = (
            f"projection {name!r} is saved as of position {saved.position}, and this is position "
            f"{snapshot.position}: store.register(it), so that its fold is known here; SQL shows "
            "what is saved"
        )
        raise NotFoundError(message)
    return view, saved


def _checkpoint_part(snapshot: Snapshot, stream: Stream, key: Key) -> Any:
    found = snapshot.checkpoints(stream[2], namespace=stream[0], run_id=stream[1])
    for checkpoint in found:
        if checkpoint.id == key.leaf:
            loaded = checkpoints.load(snapshot.files.root.parent, checkpoint)
            return loaded.state if key.below == "state_snapshot" else loaded.causality
    known = ", ".join(repr(checkpoint.id) for checkpoint in found[-5:]) or "none"
    message = f"{stream[2]!r} has no checkpoint {key.leaf!r}; the last are {known}"
    raise NotFoundError(message)


def _stream(snapshot: Snapshot, key: Key) -> Stream:
    plain = replace(key, section="events", leaf=None, below=None)
    stream = snapshot.locate(plain).stream
    assert stream is not None
    return stream
