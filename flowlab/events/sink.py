"""The protocols by which a room writes into a store that it may not import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from flowlab.events.log import EventLog


@runtime_checkable
class LogSink(Protocol):
    """Anything that takes a whole log: a store, a file, another log.

    Example:
        >>> class Kept:
        ...     def append_log(self, log): self.log = log
        >>> isinstance(Kept(), LogSink)
        True
    """

    def append_log(self, log: EventLog) -> object:
        """Take every event, run and anomaly of the log, or none of them."""
        ...


@runtime_checkable
class LogSource(Protocol):
    """Anything that can be read as a whole log."""

    def log(self) -> EventLog:
        """Return everything as one log."""
        ...
