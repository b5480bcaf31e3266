"""When to take a checkpoint: policies as values, and one that learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.events.wording import brief
from flowlab.recovery.estimates import Estimates
from flowlab.workflow import Duration, as_ns


@dataclass(slots=True)
class Since:
    """What a workflow's stream has got since its last checkpoint.

    Args:
        events: how many.
        size_bytes: of their payloads.
        began_ns: the time of the last event before, or of the first that was seen.
        now_ns: the latest time of an event; it never goes back.
    """

    events: int = 0
    size_bytes: int = 0
    began_ns: int | None = None
    now_ns: int = 0

    def take(self, event: Event) -> None:
        """Count one more event."""
        self.events += 1
        self.size_bytes += len(event.payload or b"")
        self.now_ns = max(self.now_ns, event.time_ns)
        if self.began_ns is None:
            self.began_ns = event.time_ns


class Policy(Protocol):
    """Says when a checkpoint is due; what it is told of costs it may learn from."""

    def due(self, since: Since) -> bool:
        """Say whether a checkpoint is to be taken now."""
        ...


@dataclass(frozen=True, slots=True)
class Never:
    """No checkpoint but those that a user takes.

    Example:
        >>> Never().due(Since(events=10**9))
        False
    """

    def due(self, since: Since) -> bool:  # noqa: ARG002 - a policy's
        """Say no."""
        return False


@dataclass(frozen=True, slots=True)
class EveryEvents:
    """A checkpoint every so many events of a workflow.

    Args:
        events: at least 1.

    Raises:
        InvalidArgumentError: it is no whole number from 1.

    Example:
        >>> EveryEvents(500).due(Since(events=499)), EveryEvents(500).due(Since(events=500))
        (False, True)
    """

    events: int

    def __post_init__(self) -> None:
        _whole("events", self.events)

    def __repr__(self) -> str:
        return f"EveryEvents({self.events})"

    def due(self, since: Since) -> bool:
        """Say whether so many events came since."""
        return since.events >= self.events


@dataclass(frozen=True, slots=True)
class EveryInterval:
    """A checkpoint whenever so much time has passed between events, by their own times.

    No clock is asked, so that a replay of a log finds the same places. A time that goes back counts
    as none.

    Args:
        interval: nanoseconds, or a timedelta.

    Raises:
        InvalidArgumentError: it is not above 0.

    Example:
        >>> from datetime import timedelta
        >>> EveryInterval(timedelta(minutes=1)).due(Since(5, 0, began_ns=0, now_ns=60 * 10**9))
        True
    """

    interval: Duration

    def __post_init__(self) -> None:
        object.__setattr__(self, "interval", as_ns(self.interval, "interval", least=1))

    def __repr__(self) -> str:
        return f"EveryInterval({as_ns(self.interval, 'interval') / 1e9:g} s)"

    def due(self, since: Since) -> bool:
        """Say whether so much time has passed."""
        if since.began_ns is None or not since.events:
            return False
        return since.now_ns - since.began_ns >= as_ns(self.interval, "interval")


@dataclass(frozen=True, slots=True)
class BySize:
    """A checkpoint whenever the payloads since the last one take so many bytes.

    Args:
        size_bytes: at least 1.

    Raises:
        InvalidArgumentError: it is no whole number from 1.

    Example:
        >>> BySize(1_000_000).due(Since(events=3, size_bytes=2_000_000))
        True
    """

    size_bytes: int

    def __post_init__(self) -> None:
        _whole("size_bytes", self.size_bytes)

    def __repr__(self) -> str:
        return f"BySize({self.size_bytes} bytes)"

    def due(self, since: Since) -> bool:
        """Say whether so many bytes came since."""
        return since.size_bytes >= self.size_bytes


@dataclass(slots=True, eq=False)
class Lawful:
    """A checkpoint where the law of replay puts it, with costs that are measured while it runs.

    The law (recovery.replaying) asks for what a snapshot, a load and the replay of an event cost,
    and how often a recovery comes. The scheme tells what it measures; what was learned goes into
    each checkpoint, and the next process goes on from there.

    Args:
        estimates: to begin with; `Estimates.start(Prior(...))` says what is assumed of a machine.

    Example:
        >>> policy = Lawful()
        >>> policy
        Lawful(every 3162 events now)
        >>> policy.wrote(20_000, 0.2)
        >>> policy
        Lawful(every 35442 events now)
    """

    estimates: Estimates = field(default_factory=Estimates.start)
    _every: float = 0.0
    _pending: int = 0
    _heard: bool = False

    def __repr__(self) -> str:
        return f"Lawful(every {self.every:.0f} events now)"

    @property
    def every(self) -> float:
        """After how many events a checkpoint is best now."""
        self._settle()
        return self.estimates.interval()

    def due(self, since: Since) -> bool:
        """Say whether the law asks for one now."""
        if since.events < self._every:
            return False
        self._every = self.every
        return since.events >= self._every

    def appended(self, events: int) -> None:
        """Hear of events."""
        self._pending += events

    def recovered(self) -> None:
        """Hear of a recovery."""
        self._settle()
        self._now(self.estimates.recovered())

    def replayed(self, events: int, seconds: float) -> None:
        """Hear how long the events since a checkpoint took."""
        self._now(self.estimates.replayed(events, seconds))

    def loaded(self, size_bytes: int, seconds: float) -> None:
        """Hear how long a checkpoint took to load."""
        self._now(self.estimates.loaded(size_bytes, seconds))

    def wrote(self, size_bytes: int, seconds: float) -> None:
        """Hear how long a checkpoint took to write."""
        self._now(self.estimates.wrote(size_bytes, seconds))

    def learned(self) -> Any:
        """Return what is known now, as JSON."""
        self._settle()
        return self.estimates.to_json()

    def resume(self, learned: Any) -> None:
        """Go on from what an earlier process has learned, unless this one has learned itself."""
        if self._heard:
            return
        try:
            self._now(Estimates.from_json(learned))
        except InvalidArgumentError:
            return  # nothing but the learning is lost, and it begins anew

    def _settle(self) -> None:
        if self._pending:
            self.estimates = self.estimates.appended(self._pending)
            self._pending = 0

    def _now(self, estimates: Estimates) -> None:
        self.estimates = estimates
        self._heard = True
        self._every = 0.0


def _whole(name: str, value: object) -> None:
    if type(value) is not int or value < 1:
        message = f"{name} is {brief(value)}; expected a whole number from 1"
        raise InvalidArgumentError(message)


def check_policy(policy: object) -> None:
    """Check that something is a policy.

    Raises:
        InvalidArgumentError: it is not.
    """
    if not callable(getattr(policy, "due", None)) or isinstance(policy, type):
        message = (
            f"policy is {brief(policy)}; expected EveryEvents(n), EveryInterval(duration), "
            "BySize(bytes), Lawful() or Never()"
        )
        raise InvalidArgumentError(message)
