"""What is known of a projection at a moment: its states, how far they are, how far behind."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from flowlab.errors import NotFoundError
from flowlab.events import counted, grouped
from flowlab.store.layout import Stream
from flowlab.store.projecting import Held, Saved
from flowlab.store.projection import By, Life, Projection

if TYPE_CHECKING:
    from flowlab.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """How far a projection is.

    Args:
        view: its name.
        life, critical, by, version: as it was declared.
        position: the last position of the log that is in its states.
        lag_events: positions of the log that are not.
        lag_ns: nanoseconds between the commit that it has reached and the newest one.
    """

    view: str
    life: Life
    critical: bool
    by: By
    version: int
    position: int
    lag_events: int
    lag_ns: int

    def __repr__(self) -> str:
        return f"ViewStatus({self})"

    def __str__(self) -> str:
        lag = f"{counted(self.lag_events, 'event')} behind" if self.lag_events else "up to date"
        return f"{self.view!r} ({self.life}) at position {grouped(self.position)}, {lag}"


@dataclass(frozen=True, slots=True, repr=False)
class ViewState:
    """The states of a projection, as JSON values of the caller's own.

    Args:
        status: how far it is.
        states: by (namespace, run_id, workflow_id), or under None for the whole store.
    """

    status: ViewStatus
    states: dict[Stream | None, Any]

    def __repr__(self) -> str:
        what = "" if None in self.states else f", {counted(len(self.states), 'workflow')}"
        return f"ViewState({self.status}{what})"

    @property
    def state(self) -> Any:
        """The state; of a projection by workflow, those of the live run: {workflow_id: state}."""
        if None in self.states:
            return self.states[None]
        return {
            stream[2]: state
            for stream, state in self.states.items()
            if stream is not None and stream[:2] == ("default", "")
        }

    def of(self, workflow_id: str, *, namespace: str = "default", run_id: str = "") -> Any:
        """Return the state of one workflow.

        Raises:
            NotFoundError: the projection has none of it.
        """
        stream = (namespace, run_id, workflow_id)
        if stream not in self.states:
            message = (
                f"projection {self.status.view!r} has no state of {workflow_id!r}: it has folded "
                f"no event of it ({counted(len(self.states), 'state')})"
            )
            raise NotFoundError(message)
        return self.states[stream]

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What recovery has built of the projections before it reported ready.

    Args:
        ready: the critical projections, up to date.
        lazy: the names of the others; each is caught up at its first use.
    """

    ready: tuple[ViewStatus, ...]
    lazy: tuple[str, ...]

    def __repr__(self) -> str:
        built = counted(len(self.ready), "critical projection")
        return f"RecoveryReport({built} up to date, {len(self.lazy)} lazy)"


def status_of(snapshot: Snapshot, view: Projection | Saved, position: int) -> ViewStatus:
    """Return the status of a projection whose states are at a position."""
    told = view.meta if isinstance(view, Saved) else view.definition
    lag = max(snapshot.position - position, 0)
    return ViewStatus(
        view=told["view"],
        life=told["life"],
        critical=told["critical"],
        by=told["by"],
        version=told["version"],
        position=position,
        lag_events=lag,
        lag_ns=_lag_ns(snapshot, position) if lag else 0,
    )


def view_state(snapshot: Snapshot, view: Projection, held: Held) -> ViewState:
    """Return states with their status."""
    states = held.states
    if view.by == "store" and None not in states:
        states = {None: view.start()}
    return ViewState(status_of(snapshot, view, held.position), states)


def _lag_ns(snapshot: Snapshot, position: int) -> int:
    marks = list(snapshot.files.metadata.upto(snapshot.state).commits)
    if snapshot.tail is not None:
        marks += snapshot.tail.marks()
    marks = [mark for mark in marks if mark.position <= snapshot.position]
    if not marks:
        return 0
    reached = marks[min(bisect_left([mark.position for mark in marks], position), len(marks) - 1)]
    return max(marks[-1].committed_ns - reached.committed_ns, 0)
