"""Which faults happen in one run: each a pure function of the seed and of names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.distribution import as_distribution
from flowlab.simulation.doors import RATE_BITS
from flowlab.simulation.draws import bits, following, key_of, many_bits, uniform
from flowlab.simulation.faults import FAULT_KINDS, Faults
from flowlab.simulation.injection import (
    CrashAfter,
    CrashBefore,
    Delay,
    DelayedWrite,
    DiskFault,
    Drop,
    Duplicate,
    Fail,
    Hang,
    LostWrite,
    PartitionWindow,
    SegmentFault,
    Skew,
    Slow,
    TornWrite,
    TransitFault,
)
from flowlab.simulation.partition_windows import EVER, PartitionWindows
from flowlab.workflow import SECOND

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_HORIZON_NS: Final = 3_600 * SECOND
"""No partition begins later than this, unless told otherwise: an hour."""

REQUEST: Final = 1
"""The risk of a request on its way."""
REPLY: Final = 2
"""Of the answer on its way back."""
WORK: Final = 4
"""Of the agent as it begins to handle it."""
HOSTED: Final = 8
"""Of the process of the workflow as it takes the answer."""
EVERY_RISK: Final = 15

# One draw of 64 bits decides on three kinds, each with 21 bits of its own: one chain of big
# multiplications instead of three, for what is asked of every message.
FIELD: Final = (1 << RATE_BITS) - 1
SECOND_FIELD: Final = RATE_BITS
THIRD_FIELD: Final = 2 * RATE_BITS
_TOP: Final = 3 * RATE_BITS
FIELDS: Final = (0, SECOND_FIELD, THIRD_FIELD)
"""Where each field of a draw begins."""

RISK_NAMES: Final = tuple(key_of(name) for name in ("transit", "segment", "slow", "host"))
"""What the keys of the draws that `risks` looks at are made of, with that of the run."""
_EXTRA: Final = key_of("extra delay")
_DOWNTIME: Final = key_of("downtime")
_DISK: Final = key_of("disk")
_WRITE: Final = key_of("write")
_SKEW: Final = key_of("skew")
_PARTITION: Final = key_of("partition")
_SWARM: Final = {kind: key_of("swarm", kind) for kind in FAULT_KINDS}


class FaultSource:
    """The decisions of one run about what goes wrong.

    A fault's id is made of its kind and of names, such as `"loss:trip-1/charge/1/request"`,
    `"crash:bank:trip-1/charge/1"`, `"partition:2"` and `"skew:bank"`: neither time nor order nor
    another fault changes it. To one message on its way, to one segment and to one write at most
    one fault happens each; where that is suppressed, none does.

    A message is named twice: by an int, which the draws depend on, and by its id, which is read
    only where a fault happens (so anything may be given whose `str` is the id). What is sent,
    handled or written again is another message with another int and another id: with the same, the
    same fault would happen to it again, for ever.

    Args:
        faults: the rates.
        seed_key: of the run: `key_of(seed, ...)`.
        agents: the names that a partition divides, the hosts of workflows among them; a name that
            is not there is never apart.
        suppressed: ids of faults that do not happen; all others stay as they are.
        horizon_ns: no partition begins at or after it.
        keys: the ones of `RISK_NAMES`, where they are known already.

    Attributes:
        kinds: the kinds that may happen in this run: with `swarm`, a random part of the faults'.
        transit_live: whether `transit` may answer; where not, it need not be asked.
        partition_live, duplicate_live, segment_live, host_live, disk_live, skew_live: the same for
            the others.
        calm: times in which no partition is; found anew as time goes on.

    Raises:
        InvalidArgumentError: a suppressed id is of no kind of fault.

    Example:
        >>> source = FaultSource(Faults(loss=1.0), key_of(7), agents=["till", "bank"])
        >>> source.transit("till", "bank", "trip-1/charge/1/request", 12, 0)
        Drop(fault_id='loss:trip-1/charge/1/request')
    """

    def __init__(
        self,
        faults: Faults,
        seed_key: int,
        *,
        agents: Iterable[str],
        suppressed: Collection[str] = frozenset(),
        horizon_ns: int = DEFAULT_HORIZON_NS,
        keys: Sequence[int] | None = None,
    ) -> None:
        self.kinds = kinds_of_run(faults, seed_key)
        self._faults = faults
        self._suppressed = _checked(suppressed)
        self._key = seed_key
        # A field of a draw below a kind's threshold is a fault of that kind.
        below = faults.thresholds
        if faults.swarm:
            below = {kind: below[kind] if kind in self.kinds else 0 for kind in below}
        self._loss, self._duplicate = below["loss"], below["duplicate"]
        self._reorder, self._host_crash = below["reorder"], below["host_crash"]
        self._crash, self._fail = below["crash"], below["fail"]
        self._hang, self._slow = below["hang"], below["slow"]
        self._lost_write, self._torn_write = below["lost_write"], below["torn_write"]
        self._delayed_write = below["delayed_write"]
        self._quiet_transit = not self._loss | self._duplicate | self._reorder
        self.partition_live = "partition" in self.kinds
        self.transit_live = self.partition_live or not self._quiet_transit
        self.duplicate_live = bool(self._duplicate)
        self.segment_live = bool(self._crash | self._fail | self._hang | self._slow)
        self.host_live = bool(self._host_crash)
        self.disk_live = bool(self._lost_write | self._torn_write | self._delayed_write)
        self.skew_live = "skew" in self.kinds
        if keys is None:
            keys = [bits(seed_key, name) for name in RISK_NAMES]
        self._transit_key, self._segment_key, self._slow_key, self._host_key = keys
        self.calm = EVER
        self._windows: PartitionWindows | None = None
        if self.partition_live and faults.partition is not None:
            key = bits(seed_key, _PARTITION)
            self._windows = PartitionWindows(faults.partition, key, agents, horizon_ns)
            self.calm = self._windows.around(0)

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys of the draws that `risks` looks at."""
        transit = self._transit_key
        return transit, following(transit), self._segment_key, self._slow_key, self._host_key

    def risks(self, draws: Sequence[int]) -> int:
        """Return what of a call a fault may happen to: of most calls nothing.

        The last of the draws are those of `keys` at the number that names the call. Partitions are
        not among them: those are a matter of time.
        """
        request, reply, segment, slow, host = draws[-5:]
        found = 0
        loss, duplicate, reorder = self._loss, self._duplicate, self._reorder
        if (
            request & FIELD < loss
            or request >> SECOND_FIELD & FIELD < duplicate
            or request >> THIRD_FIELD & FIELD < reorder
        ):
            found = REQUEST
        if (
            reply & FIELD < loss
            or reply >> SECOND_FIELD & FIELD < duplicate
            or reply >> THIRD_FIELD & FIELD < reorder
        ):
            found |= REPLY
        if (
            segment & FIELD < self._crash
            or segment >> SECOND_FIELD & FIELD < self._hang
            or segment >> THIRD_FIELD & FIELD < self._fail
            or slow & FIELD < self._slow
        ):
            found |= WORK
        return found | HOSTED if host & FIELD < self._host_crash else found

    def transit(
        self, sender: str, receiver: str, message_id: object, leg_key: int, now_ns: int
    ) -> TransitFault | None:
        """Return what happens to a message on its way: nothing, as a rule.

        Args:
            sender: the name of an agent.
            receiver: the same.
            message_id: the rest of the fault's id.
            leg_key: what tells the message from all others of the run.
            now_ns: when it is sent, for partitions.
        """
        if now_ns not in self.calm and self._windows is not None:
            window = self._windows.at(now_ns)
            if window is None:
                self.calm = self._windows.around(now_ns)
            elif window.cuts(sender, receiver):
                fault_id = window.fault_id
                return None if fault_id in self._suppressed else Drop(fault_id)
        if self._quiet_transit:
            return None
        draw = bits(self._transit_key, leg_key)
        if draw & FIELD < self._loss:
            fault_id = f"loss:{message_id}"
            return None if fault_id in self._suppressed else Drop(fault_id)
        if draw >> SECOND_FIELD & FIELD < self._duplicate:
            fault_id = f"duplicate:{message_id}"
            kind: type[Duplicate | Delay] = Duplicate
        elif draw >> THIRD_FIELD & FIELD < self._reorder:
            fault_id = f"reorder:{message_id}"
            kind = Delay
        else:
            return None
        if fault_id in self._suppressed:
            return None
        extra = as_distribution(self._faults.extra_delay)
        return kind(fault_id, extra.draw(uniform(bits(self._key, _EXTRA), leg_key)))

    def partitioned(self, sender: str, receiver: str, now_ns: int) -> str | None:
        """Return the id of the partition that is between two agents at a time."""
        if self._windows is None:
            return None
        window = self._windows.at(now_ns)
        if window is None or not window.cuts(sender, receiver):
            return None
        return None if window.fault_id in self._suppressed else window.fault_id

    def windows(self) -> Iterator[PartitionWindow]:
        """Yield the partitions of the run in the order of time, each found when it is asked for."""
        for window in self._windows or ():
            if window.fault_id not in self._suppressed:
                yield window

    def segment(self, agent: str, message_id: object, leg_key: int) -> SegmentFault | None:
        """Return what happens to an agent as it handles a message.

        Args:
            agent: its name.
            message_id: the rest of the fault's id.
            leg_key: what tells the segment from all others of the run.
        """
        if not self.segment_live:
            return None
        draw = bits(self._segment_key, leg_key)
        if draw & FIELD < self._crash:
            return self._crashed(f"crash:{agent}:{message_id}", draw, leg_key)
        if draw >> SECOND_FIELD & FIELD < self._hang:
            fault_id = f"hang:{agent}:{message_id}"
            return None if fault_id in self._suppressed else Hang(fault_id)
        if draw >> THIRD_FIELD & FIELD < self._fail:
            fault_id = f"fail:{agent}:{message_id}"
            message = f"{agent} could not do it this time; an injected fault"
            return None if fault_id in self._suppressed else Fail(fault_id, message)
        if self._slow and bits(self._slow_key, leg_key) & FIELD < self._slow:
            fault_id = f"slow:{agent}:{message_id}"
            factor = self._faults.slow_factor
            return None if fault_id in self._suppressed else Slow(fault_id, factor)
        return None

    def host_segment(self, message_id: object, leg_key: int) -> CrashBefore | CrashAfter | None:
        """Return what happens to the process that runs a workflow, as it handles a message.

        Args:
            message_id: the rest of the fault's id.
            leg_key: what tells the segment from all others of the run.
        """
        if not self.host_live:
            return None
        draw = bits(self._host_key, leg_key)
        if draw & FIELD >= self._host_crash:
            return None
        return self._crashed(f"host_crash:{message_id}", draw, leg_key)

    def disk(self, agent: str, message_id: object, leg_key: int) -> DiskFault | None:
        """Return what happens to a write of an agent's durable state.

        Args:
            agent: its name.
            message_id: the rest of the fault's id.
            leg_key: what tells the write from all others of the run.
        """
        if not self.disk_live:
            return None
        draw = bits(bits(self._key, _DISK), leg_key)
        if draw & FIELD < self._lost_write:
            kind = "lost_write"
        elif draw >> SECOND_FIELD & FIELD < self._torn_write:
            kind = "torn_write"
        elif draw >> THIRD_FIELD & FIELD < self._delayed_write:
            kind = "delayed_write"
        else:
            return None
        fault_id = f"{kind}:{agent}:{message_id}"
        if fault_id in self._suppressed:
            return None
        if kind == "lost_write":
            return LostWrite(fault_id)
        share = uniform(bits(self._key, _WRITE), leg_key)
        if kind == "torn_write":
            return TornWrite(fault_id, share)
        return DelayedWrite(fault_id, as_distribution(self._faults.write_delay).draw(share))

    def skew(self, agent: str) -> Skew | None:
        """Return by how much an agent's clock is off, or None where it is right."""
        fault_id = f"skew:{agent}"
        if not self.skew_live or fault_id in self._suppressed:
            return None
        key = bits(bits(self._key, _SKEW), key_of(agent))
        if uniform(key, 0) >= self._faults.skew:
            return None
        offset = as_distribution(self._faults.skew_offset).draw(uniform(key, 1))
        ahead = bits(key, 2) & 1
        most = self._faults.skew_drift_ppb
        drift = int(uniform(key, 3) * (2 * most + 1)) - most
        return Skew(offset if ahead else -offset, drift, fault_id)

    def _crashed(self, fault_id: str, draw: int, leg_key: int) -> CrashBefore | CrashAfter | None:
        if fault_id in self._suppressed:
            return None
        downtime = as_distribution(self._faults.downtime)
        down_ns = downtime.draw(uniform(bits(self._key, _DOWNTIME), leg_key))
        return (CrashAfter if draw >> _TOP else CrashBefore)(fault_id, down_ns)

    def __repr__(self) -> str:
        return f"FaultSource({', '.join(self.kinds) or 'nothing'})"


def kinds_of_run(faults: Faults, seed_key: int) -> tuple[str, ...]:
    """Return the kinds that may happen in a run: with `swarm`, each with probability a half.

    Example:
        >>> kinds_of_run(Faults(loss=0.1, crash=0.1), 7)
        ('loss', 'crash')
    """
    if not faults.swarm:
        return faults.kinds
    return tuple(kind for kind in faults.kinds if bits(seed_key, _SWARM[kind]) & 1)


def live_in(faults: Faults, seed_keys: NDArray[np.uint64], kind: str) -> NDArray[np.uint64]:
    """Return 1 for each run in which a kind may happen, as `kinds_of_run` says, and 0 elsewhere."""
    if not faults.swarm:
        return np.ones(len(seed_keys), np.uint64)
    return many_bits(seed_keys, _SWARM[kind]) & np.uint64(1)


def _checked(suppressed: Collection[str]) -> frozenset[str]:
    if isinstance(suppressed, str):
        message = f"suppressed is the text {suppressed!r}; expected a set of ids"
        raise InvalidArgumentError(message)
    for fault_id in suppressed:
        if str(fault_id).partition(":")[0] not in FAULT_KINDS:
            message = (
                f"{fault_id!r} is no id of a fault; expected one of a run's log, which begins with "
                f"its kind and a colon: {', '.join(FAULT_KINDS)}"
            )
            raise InvalidArgumentError(message)
    return frozenset(suppressed)
