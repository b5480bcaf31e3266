"""A projector: a thread that keeps projections up to date, for a host that wants one."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from flowlab.errors import FlowlabError, InvalidArgumentError, LimitError
from flowlab.events import grouped
from flowlab.store.clock import monotonic_s

if TYPE_CHECKING:
    from flowlab.store.projection import Projection
    from flowlab.store.sourcing import StoreProjections

INTERVAL_S: Final = 0.05
WAIT_S: Final = 10.0
_JOIN_S: Final = 5.0


class Projector:
    """Catches projections up again and again, in a thread of its own, until it is stopped.

    It needs no role: any process that may write in the store's folder may run one, beside the
    writer. Each round folds what is new and saves state and position together, so that whoever
    goes on after a stop, at whatever moment, folds each event into a saved state once.

    Args:
        store: open for writing.
        views: projections, or names of known ones.
        interval_s: seconds between two looks at the log.

    Attributes:
        error: what stopped it, None while nothing has.

    Raises:
        InvalidArgumentError: there is nothing to keep up to date, or the interval is none.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore, projection
        >>> count = projection(name="count", initial=0)(lambda state, event: state + 1)
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     with Projector(store, count) as projector:
        ...         result = store.append("w", [{"event_type": "A"}] * 3)
        ...         projector.wait(result.last_position)
        ...     store.value("/projections/count/materialized_state")
        3
    """

    def __init__(
        self,
        store: StoreProjections,
        *views: Projection | str,
        interval_s: float = INTERVAL_S,
    ) -> None:
        if not views or type(interval_s) not in {int, float} or not interval_s > 0:
            message = (
                f"a projector takes projections and an interval above 0 s; got {len(views)} and "
                f"{interval_s!r}"
            )
            raise InvalidArgumentError(message)
        self.error: FlowlabError | OSError | None = None
        self._store = store
        self._views: Sequence[Projection | str] = views
        self._interval_s = interval_s
        self._position = 0
        self._moved = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._thread is None else "running"
        return f"Projector({len(self._views)} projections, {state})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; nothing happens if it runs already."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name="projector", daemon=True)
            self._thread.start()
            # Left to the end of the process, the thread would hold what that frees.
            atexit.register(self._end, _JOIN_S)

    def stop(self) -> None:
        """End after the round that runs; what it saved stays. The end of the process does so."""
        self._end(None)

    def _end(self, most_s: float | None) -> None:
        atexit.unregister(self._end)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join(most_s)

    def wait(self, position: int, *, timeout_s: float = WAIT_S) -> None:
        """Wait until every projection has folded a position of the log.

        Raises:
            ProjectionError: a fold failed; it is `error`, too.
            LimitError: it took longer than `timeout_s` seconds.
        """
        deadline = monotonic_s() + timeout_s
        with self._moved:
            while self._position < position:
                if self.error is not None:
                    raise self.error
                left = deadline - monotonic_s()
                if left <= 0:
                    message = (
                        f"the projector is at position {grouped(self._position)}, not at "
                        f"{grouped(position)}, after timeout_s ({timeout_s:g} s); is it started?"
                    )
                    raise LimitError(message)
                self._moved.wait(left)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                statuses = self._store.catch_up(*self._views)
            except (FlowlabError, OSError) as error:
                with self._moved:
                    self.error = error
                    self._moved.notify_all()
                return
            with self._moved:
                self._position = min(status.position for status in statuses)
                self._moved.notify_all()
            self._stopped.wait(self._interval_s)
