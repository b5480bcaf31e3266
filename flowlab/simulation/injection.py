"""A fault that happens to one message, segment, write or clock: small values with an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

TRANSIENT_ERROR: Final = "TransientError"
"""The type of the error that an injected `Fail` raises: trying again may help."""

_PPB: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Drop:
    """The message never arrives."""

    fault_id: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The message arrives, and once more so many nanoseconds later."""

    fault_id: str
    extra_ns: int


@dataclass(frozen=True, slots=True)
class Delay:
    """The message arrives so many nanoseconds later than it would, whatever the link's order."""

    fault_id: str
    extra_ns: int


@dataclass(frozen=True, slots=True)
class CrashBefore:
    """The process is down for so many nanoseconds, and nothing of the segment is committed."""

    fault_id: str
    down_ns: int


@dataclass(frozen=True, slots=True)
class CrashAfter:
    """The process is down for so many nanoseconds, once the segment is committed."""

    fault_id: str
    down_ns: int


@dataclass(frozen=True, slots=True)
class Fail:
    """The activity raises an error of the type `TRANSIENT_ERROR` and has no effect.

    It befalls an attempt and not one copy of it: what has succeeded does not fail, and what has
    failed is not begun again.
    """

    fault_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Hang:
    """The activity never answers, and has no effect."""

    fault_id: str


@dataclass(frozen=True, slots=True)
class Slow:
    """The segment takes so many times as long."""

    fault_id: str
    factor: float


@dataclass(frozen=True, slots=True)
class LostWrite:
    """The write was confirmed and is not on the disk: after a crash no agent can tell."""

    fault_id: str


@dataclass(frozen=True, slots=True)
class TornWrite:
    """Of the write only this share, from the front, is on the disk after a crash.

    The transaction is then neither whole nor nothing, though it was confirmed as whole.
    """

    fault_id: str
    share: float


@dataclass(frozen=True, slots=True)
class DelayedWrite:
    """The write is durable only so many nanoseconds later, and was confirmed before that."""

    fault_id: str
    delay_ns: int


class Skew(NamedTuple):
    """An agent's clock is off: by an offset, and by more with time.

    Example:
        >>> Skew(offset_ns=-5, drift_ppb=1_000, fault_id="skew:bank").local_ns(10**9)
        1000000995
    """

    offset_ns: int
    drift_ppb: int
    fault_id: str

    def local_ns(self, now_ns: int) -> int:
        """Return what the agent's clock shows at a time of the world."""
        return now_ns + self.offset_ns + now_ns * self.drift_ppb // _PPB


@dataclass(frozen=True, slots=True)
class PartitionWindow:
    """A time in which the network is cut, from its start up to its end.

    Attributes:
        apart: the agents on one side; all the others are on the other.
    """

    fault_id: str
    start_ns: int
    end_ns: int
    apart: frozenset[str]

    def cuts(self, sender: str, receiver: str) -> bool:
        """Tell whether two agents are on different sides.

        Example:
            >>> PartitionWindow("partition:1", 0, 9, frozenset({"a"})).cuts("a", "b")
            True
        """
        return (sender in self.apart) != (receiver in self.apart)

    def __repr__(self) -> str:
        apart = ", ".join(sorted(self.apart))
        return f"PartitionWindow({self.fault_id!r}, {self.start_ns} to {self.end_ns} ns, {apart})"


TransitFault = Drop | Duplicate | Delay
"""What may happen to a message on its way."""

SegmentFault = CrashBefore | CrashAfter | Fail | Hang | Slow
"""What may happen to a segment: an agent's handling of one message, up to its next await."""

DiskFault = LostWrite | TornWrite | DelayedWrite
"""What may happen to a write of durable state."""
