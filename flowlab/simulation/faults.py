"""What may go wrong in a world, and how often: a frozen value of rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.simulation.distribution import (
    Distribution,
    Exponential,
    Uniform,
    as_distribution,
    distribution_from_json,
)
from flowlab.simulation.doors import RATE_BITS, as_members, as_number, as_rate
from flowlab.workflow import SECOND, Duration

FAULT_KINDS: Final = (
    "loss",
    "duplicate",
    "reorder",
    "partition",
    "crash",
    "host_crash",
    "fail",
    "hang",
    "slow",
    "skew",
    "lost_write",
    "torn_write",
    "delayed_write",
)
"""The kinds of faults; the id of a fault begins with its kind and a colon."""

MAX_PARTITIONS: Final = 1_000
"""Most windows of one world in which the network is cut."""

MAX_SLOW_FACTOR: Final = 1e6
MAX_DRIFT_PPB: Final = 100_000_000
"""Largest drift of a clock: a tenth."""

_MILLISECOND: Final = SECOND // 1_000
_EVERY: Final = Exponential(30 * SECOND)
_DURATION: Final = Exponential(2 * SECOND)
_EXTRA_DELAY: Final = Exponential(20 * _MILLISECOND)
_DOWNTIME: Final = Exponential(SECOND)
_SKEW_OFFSET: Final = Uniform(0, 250 * _MILLISECOND)
_WRITE_DELAY: Final = Exponential(10 * _MILLISECOND)

_DELAYS: Final = ("extra_delay", "downtime", "skew_offset", "write_delay")
_RATES: Final = tuple(kind for kind in FAULT_KINDS if kind != "partition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """Windows of time in which the network is cut in two, and then heals.

    Between the groups no message arrives that is sent in the window; within a group all is well.

    Args:
        every: from the end of a window to the start of the next; the first counts from time 0.
        duration: of a window.
        share: of the agents that are, on average, on the smaller side: above 0, at most a half.
        most: so many windows at most in a world, from 1 to `MAX_PARTITIONS`.

    Raises:
        InvalidArgumentError: an argument is outside what it may be.

    Example:
        >>> Partitions(duration=3 * SECOND).to_json()["duration"]
        {'kind': 'constant', 'value': 3000000000}
    """

    every: Distribution | Duration = _EVERY
    duration: Distribution | Duration = _DURATION
    share: float = 0.5
    most: int = 100

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in ("every", "duration"):
            put(self, name, as_distribution(getattr(self, name), f"{name} of Partitions"))
        put(self, "share", as_number(self.share, "share of Partitions", least=0.001, most=0.5))
        if type(self.most) is not int or not 1 <= self.most <= MAX_PARTITIONS:
            message = f"most of Partitions is {self.most!r}; expected 1 to {MAX_PARTITIONS}"
            raise InvalidArgumentError(message)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, times in nanoseconds."""
        return {
            "every": as_distribution(self.every).to_json(),
            "duration": as_distribution(self.duration).to_json(),
            "share": self.share,
            "most": self.most,
        }

    @classmethod
    def from_json(cls, value: Any) -> Partitions:
        """Read what `to_json` wrote; a field that is absent has its default.

        Raises:
            InvalidArgumentError: a field is unknown, or its value outside what it may be.

        Example:
            >>> Partitions.from_json({"most": 3}).most
            3
        """
        names = [member.name for member in fields(cls)]
        found = as_members(value, "partitions", known=names)
        for name in ("every", "duration"):
            if name in found:
                found[name] = distribution_from_json(found[name], f"{name} of partitions")
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The rates at which things go wrong; nothing does by default.

    A rate is a probability, 0 or from 2^-21 to 1. Each kind has draws of its own: what one rate is
    changes none of another's.

    Args:
        loss: a message is dropped.
        duplicate: a message that is not dropped arrives twice; of the copies of a request none is
            told to have failed if another is told to have succeeded.
        reorder: a message that is neither is held up, so that later ones overtake it.
        extra_delay: by how much a copy comes later, or a message is held up.
        partition: windows in which the network is cut; None is never.
        crash: an agent crashes as it handles a message, before or after it commits.
        downtime: until an agent or a host is back.
        host_crash: the same for the process that runs the workflows.
        fail: an activity raises an error that passes.
        hang: an activity never answers.
        slow: a message takes `slow_factor` times as long to handle.
        slow_factor: at least 1.
        skew: an agent's clock is off for the whole run.
        skew_offset: by how much, ahead or behind.
        skew_drift_ppb: by how much it runs too fast or too slow, at most, in parts in 10^9. The
            default, 200 in a million, is the worst that Spanner allows its clocks (Corbett et al.,
            2012).
        lost_write, torn_write, delayed_write: a write of durable state never arrives, only in part,
            or `write_delay` later. Nobody notices before a crash, and by then what was written has
            been answered for: no agent can make good what it does not know it has lost, so such a
            world may break an invariant of a saga without a bug. Without a crash they do no harm.
        write_delay: how late a delayed write is durable.
        swarm: each run has a random half of the kinds, as some failures are found only without the
            others (Groce, Zhang, Eide, Chen and Regehr, "Swarm testing", 2012).

    Attributes:
        kinds: the kinds that may happen, in the order of `FAULT_KINDS`.
        thresholds: the rates by kind, in units of 2^-21: a draw of 21 bits below it is a fault.

    Raises:
        InvalidArgumentError: an argument is outside what it may be.

    Example:
        >>> Faults(loss=0.01, fail=0.05)
        Faults(loss=0.01, fail=0.05)
        >>> Faults(loss=0.01, fail=0.05).without("loss").kinds
        ('fail',)
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    extra_delay: Distribution | Duration = _EXTRA_DELAY
    partition: Partitions | None = None
    crash: float = 0.0
    downtime: Distribution | Duration = _DOWNTIME
    host_crash: float = 0.0
    fail: float = 0.0
    hang: float = 0.0
    slow: float = 0.0
    slow_factor: float = 10.0
    skew: float = 0.0
    skew_offset: Distribution | Duration = _SKEW_OFFSET
    skew_drift_ppb: int = 200_000
    lost_write: float = 0.0
    torn_write: float = 0.0
    delayed_write: float = 0.0
    write_delay: Distribution | Duration = _WRITE_DELAY
    swarm: bool = False
    kinds: tuple[str, ...] = field(init=False, repr=False, compare=False)
    thresholds: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in _RATES:
            put(self, name, as_rate(getattr(self, name), name))
        for name in _DELAYS:
            put(self, name, as_distribution(getattr(self, name), name))
        factor = as_number(self.slow_factor, "slow_factor", least=1, most=MAX_SLOW_FACTOR)
        put(self, "slow_factor", factor)
        drift = self.skew_drift_ppb
        if type(drift) is not int or not 0 <= drift <= MAX_DRIFT_PPB:
            message = f"skew_drift_ppb is {drift!r}; expected an int from 0 to {MAX_DRIFT_PPB}"
            raise InvalidArgumentError(message)
        if self.partition is not None and not isinstance(self.partition, Partitions):
            message = f"partition is {self.partition!r}; expected Partitions(...), or None"
            raise InvalidArgumentError(message)
        if not isinstance(self.swarm, bool):
            message = f"swarm is {self.swarm!r}; expected True or False"
            raise InvalidArgumentError(message)
        put(self, "kinds", tuple(kind for kind in FAULT_KINDS if getattr(self, kind)))
        rates = {kind: round(getattr(self, kind) * (1 << RATE_BITS)) for kind in _RATES}
        put(self, "thresholds", rates)

    def without(self, *kinds: str) -> Faults:
        """Return the same without some kinds.

        Raises:
            NotFoundError: there is no such kind.
        """
        unknown = [kind for kind in kinds if kind not in FAULT_KINDS]
        if unknown:
            message = (
                f"there is no kind of fault {unknown[0]!r}; there are {', '.join(FAULT_KINDS)}"
            )
            raise NotFoundError(message)
        nothing: dict[str, Any] = {kind: None if kind == "partition" else 0.0 for kind in kinds}
        return replace(self, **nothing)

    def __or__(self, other: Faults) -> Faults:
        """Return both: what `other` sets to other than its default is as there."""
        if not isinstance(other, Faults):
            return NotImplemented
        return replace(self, **other._told())

    @classmethod
    def preset(cls, name: str) -> Faults:
        """Return the faults of a name in `FAULT_PRESETS`.

        Raises:
            NotFoundError: there is none of that name; the message lists those that there are.

        Example:
            >>> Faults.preset("production")
            Faults(fail=0.01, hang=0.009)
        """
        if name not in FAULT_PRESETS:
            known = ", ".join(FAULT_PRESETS)
            message = f"there is no preset of faults {name!r}; there are {known}"
            raise NotFoundError(message)
        return FAULT_PRESETS[name]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the fields that differ from the defaults, times in nanoseconds.

        Example:
            >>> Faults(loss=0.5, downtime=7).to_json()
            {'loss': 0.5, 'downtime': {'kind': 'constant', 'value': 7}}
        """
        return {
            name: value.to_json() if hasattr(value, "to_json") else value
            for name, value in self._told().items()
        }

    @classmethod
    def from_json(cls, value: Any) -> Faults:
        """Read what `to_json` wrote; a field that is absent has its default.

        Raises:
            InvalidArgumentError: a field is unknown, or its value outside what it may be.

        Example:
            >>> Faults.from_json({"hang": 0.25})
            Faults(hang=0.25)
        """
        found = as_members(value, "faults", known=_given())
        for name in _DELAYS:
            if name in found:
                found[name] = distribution_from_json(found[name], name)
        if found.get("partition") is not None:
            found["partition"] = Partitions.from_json(found["partition"])
        return cls(**found)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self._told().items())
        return f"Faults({told})"

    def _told(self) -> dict[str, Any]:
        return {
            member.name: getattr(self, member.name)
            for member in fields(self)
            if member.init and getattr(self, member.name) != member.default
        }


def _given() -> list[str]:
    return [member.name for member in fields(Faults) if member.init]


def as_faults(value: Faults | str | Mapping[str, Any] | None) -> Faults:
    """Return faults: the name of a preset and JSON are read, None is no faults.

    Raises:
        InvalidArgumentError, NotFoundError: it is none of these.

    Example:
        >>> as_faults(None), as_faults("production")
        (Faults(), Faults(fail=0.01, hang=0.009))
    """
    if value is None:
        return Faults()
    if isinstance(value, Faults):
        return value
    if isinstance(value, str):
        return Faults.preset(value)
    if isinstance(value, Mapping):
        return Faults.from_json(value)
    known = ", ".join(FAULT_PRESETS)
    message = f"faults is {value!r}; expected Faults(...), or the name of a preset: {known}"
    raise InvalidArgumentError(message)


_NETWORK: Final = Faults(loss=0.01, duplicate=0.01, reorder=0.05, partition=Partitions())
_CRASHES: Final = Faults(crash=0.01, host_crash=0.005)
_DISK: Final = Faults(lost_write=0.01, torn_write=0.01, delayed_write=0.05)
_CLOCKS: Final = Faults(skew=0.5)
_CHAOS: Final = _NETWORK | _CRASHES | _DISK | _CLOCKS | Faults(fail=0.01, hang=0.009, slow=0.02)

FAULT_PRESETS: Final[dict[str, Faults]] = {
    "none": Faults(),
    # One production platform published these rates of tool calls; with four calls to a run, 7.4 %
    # of runs then have a step that fails, and it saw 7.7 %.
    "production": Faults(fail=0.01, hang=0.009),
    # Research benchmarks report that 41 to 87 % of runs fail. With ten calls to a run and none
    # tried again, 64 %, the middle, is a rate of 1 - 0.36^(1/10) for each call.
    "research": Faults(fail=0.097),
    # From here on the rates are nobody's measurement: they show a few faults in a short run.
    "network": _NETWORK,
    "crashes": _CRASHES,
    "disk": _DISK,
    "clocks": _CLOCKS,
    "chaos": _CHAOS,
    "swarm": replace(_CHAOS, swarm=True),
}
"""Faults by name. The rates of "production" were published by one platform; those of "research"
let runs of about ten calls fail as often as research benchmarks report (41 to 87 % of runs); the
others are chosen to show each fault a few times in a short run, and are nobody's measurement.
In "chaos" and "swarm" agents crash and disks lie: now and then a world loses what was answered for,
and may then break an invariant without a bug; its `AgentRestarted` tells which cells were lost."""
