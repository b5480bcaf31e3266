"""What checkpoints and recoveries cost here, learned while the work goes on.

`Estimates` is a value: each observation gives a new one, and it goes into a checkpoint as JSON. It
keeps one robust number for each cost, a multiple of what the prior says, so that a state that grew
is asked for its own size and not for the mean of its past.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events.wording import brief
from flowlab.recovery.numbers import at_least, positive
from flowlab.recovery.replaying import best_interval

VERSION: Final = 1
PRIOR_WEIGHT: Final = 0.1
"""A prior weighs as much as this share of one observation."""
MEMORY: Final = 20.0
"""Observations that count: what is older fades, so that a disk that got slow is noticed."""
PRIOR_SPREAD: Final = math.log(1000.0) / 3.0
"""So unsure is a prior: the first observation may be a thousand times what it says."""
LEAST_SPREAD: Final = 0.05
CLIP: Final = 3.0
"""An observation counts as at most so many mean deviations away."""
CLIP_OF_SPREAD: Final = 8.0
SHORT_REPLAY: Final = 100.0
"""A replay of so many events tells half of what a long one does of the time of an event."""
MOST_RECOVERIES: Final = 64.0
"""From here on both counts are halved, so that the rate follows the last ones."""
MOST_RATIO: Final = 1e30
"""Further than this from its prior no cost is believed."""
MOST_LOG: Final = math.log(1e31)
_SHORTEST_S: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Costs:
    """What a snapshot, a load and a replay cost: S, L and r of the law.

    Args:
        snapshot_s: seconds to write a snapshot (S).
        load_s: seconds to load one (L).
        replay_s: seconds to replay an event (r).

    Raises:
        InvalidArgumentError: `snapshot_s` or `replay_s` is not above 0, or `load_s` is below it.

    Example:
        >>> Costs(snapshot_s=0.002, load_s=0.001, replay_s=2e-6)
        Costs(snapshot 0.002 s, load 0.001 s, replay 2e-06 s an event)
    """

    snapshot_s: float
    load_s: float
    replay_s: float

    def __post_init__(self) -> None:
        positive(snapshot_s=self.snapshot_s, replay_s=self.replay_s)
        at_least(0.0, load_s=self.load_s)

    def __repr__(self) -> str:
        replay = f"replay {self.replay_s:.3g} s an event"
        return f"Costs(snapshot {self.snapshot_s:.3g} s, load {self.load_s:.3g} s, {replay})"


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed of a machine before anything was measured on it.

    The defaults are round figures of a laptop with a solid-state disk, and nothing that was
    measured: a sync takes 1 ms. They ask for a checkpoint every 3 162 events, and give way to what
    is observed at once: the first observation of a cost moves it nine tenths of the way.

    Args:
        write_s: seconds to write an empty snapshot.
        write_s_per_byte: what each byte adds.
        load_s: seconds to load an empty snapshot.
        load_s_per_byte: what each byte adds.
        replay_s: seconds to replay an event.
        recoveries: imagined, in so many `events`.
        events: see `recoveries`.

    Raises:
        InvalidArgumentError: a number is not above 0 (0 is allowed for a byte).

    Example:
        >>> Estimates.start(Prior(replay_s=2e-4)).interval() < Estimates.start().interval()
        True
    """

    write_s: float = 1e-3
    write_s_per_byte: float = 1e-8
    load_s: float = 3e-4
    load_s_per_byte: float = 2e-9
    replay_s: float = 2e-6
    recoveries: float = 0.5
    events: float = 5_000.0

    def __post_init__(self) -> None:
        at_least(0.0, write_s_per_byte=self.write_s_per_byte, load_s_per_byte=self.load_s_per_byte)
        positive(write_s=self.write_s, load_s=self.load_s, replay_s=self.replay_s)
        positive(recoveries=self.recoveries, events=self.events)


@dataclass(frozen=True, slots=True)
class Factor:
    """By how much a cost differs from its prior: a running mean of logarithms that outliers bend
    little.

    Args:
        log: the logarithm of the factor.
        spread: the mean deviation of the observations' logarithms from it.
        weight: of all observations so far, at most `MEMORY`.
    """

    log: float
    spread: float
    weight: float

    def seen(self, ratio: float, weight: float = 1.0) -> Factor:
        """Return it with one more observation, which was `ratio` times the prior."""
        away = math.log(min(max(ratio, 1.0 / MOST_RATIO), MOST_RATIO)) - self.log
        total = min(self.weight + weight, MEMORY)
        gain = weight / total
        clipped = math.copysign(min(abs(away), CLIP * self.spread), away)
        deviation = min(abs(away), CLIP_OF_SPREAD * self.spread)
        spread = max(LEAST_SPREAD, self.spread + gain * (deviation - self.spread))
        return Factor(self.log + gain * clipped, spread, total)

    @property
    def value(self) -> float:
        """The factor."""
        return math.exp(self.log)


_UNSEEN: Final = Factor(0.0, PRIOR_SPREAD, PRIOR_WEIGHT)
_COUNTS: Final = ("recoveries", "events", "state_bytes")
_FACTORS: Final = ("write", "load", "replay")


@dataclass(frozen=True, slots=True)
class Estimates:
    """Running estimates of S, L, r and p, and the interval that they ask for now.

    A value: every observation returns the next one, so keep what is returned. Equal observations
    in equal order give equal estimates, on any machine. Costs are geometric means, in which an
    observation far from the others counts as one not so far (`CLIP`); the last `MEMORY` of them
    count. p is recoveries over events, and each cold load is a recovery.

    Args:
        prior: what was assumed before.
        write, load, replay: by how much each cost differs from it.
        recoveries, events: counted, those of the prior among them.
        state_bytes: size of the last snapshot that was written or loaded.

    Example:
        >>> now = Estimates.start()
        >>> now = now.appended(4_000).wrote(20_000, 0.005).replayed(2_000, 0.030)
        >>> now = now.loaded(20_000, 0.001).recovered()
        >>> now
        Estimates(S 0.00439 s, L 0.000907 s, r 1.24e-05 s, p 0.000167, checkpoint every 2063 events)
        >>> Estimates.from_json(now.to_json()) == now
        True
    """

    prior: Prior
    recoveries: float
    events: float
    write: Factor = _UNSEEN
    load: Factor = _UNSEEN
    replay: Factor = _UNSEEN
    state_bytes: int = 0

    @classmethod
    def start(cls, prior: Prior | None = None) -> Estimates:
        """Return what is known before anything was observed.

        Example:
            >>> round(Estimates.start().interval())
            3162
        """
        prior = Prior() if prior is None else prior
        return cls(prior, prior.recoveries, prior.events)

    def appended(self, events: int) -> Estimates:
        """Return the estimates once so many events were appended."""
        at_least(0, events=events)
        return replace(self, events=self.events + events)

    def recovered(self) -> Estimates:
        """Return the estimates after a recovery, by crash or by cold load."""
        recoveries, events = self.recoveries + 1.0, self.events
        if recoveries >= MOST_RECOVERIES:
            recoveries, events = recoveries / 2.0, events / 2.0
        return replace(self, recoveries=recoveries, events=events)

    def replayed(self, events: int, seconds: float) -> Estimates:
        """Return the estimates after a replay of so many events, the load not counted."""
        at_least(0, events=events, seconds=seconds)
        if events == 0:
            return self
        each = max(seconds, _SHORTEST_S) / events
        weight = events / (events + SHORT_REPLAY)
        return replace(self, replay=self.replay.seen(each / self.prior.replay_s, weight))

    def wrote(self, size_bytes: int, seconds: float) -> Estimates:
        """Return the estimates after a snapshot of so many bytes was made durable."""
        at_least(0, size_bytes=size_bytes, seconds=seconds)
        ratio = max(seconds, _SHORTEST_S) / self._prior_write_s(size_bytes)
        return replace(self, write=self.write.seen(ratio), state_bytes=int(size_bytes))

    def loaded(self, size_bytes: int, seconds: float) -> Estimates:
        """Return the estimates after a snapshot of so many bytes was loaded."""
        at_least(0, size_bytes=size_bytes, seconds=seconds)
        ratio = max(seconds, _SHORTEST_S) / self._prior_load_s(size_bytes)
        return replace(self, load=self.load.seen(ratio), state_bytes=int(size_bytes))

    def costs(self, state_bytes: int | None = None) -> Costs:
        """Return S, L and r for a state of so many bytes, by default the last size seen."""
        size = self.state_bytes if state_bytes is None else state_bytes
        at_least(0, state_bytes=size)
        return Costs(
            self.write.value * self._prior_write_s(size),
            self.load.value * self._prior_load_s(size),
            self.replay.value * self.prior.replay_s,
        )

    @property
    def p(self) -> float:
        """The probability of a recovery at an event, at most 1."""
        return min(1.0, self.recoveries / self.events)

    def interval(self, state_bytes: int | None = None) -> float:
        """Return N*, after how many events a checkpoint is best written now; at least 1."""
        costs = self.costs(state_bytes)
        found = best_interval(S=costs.snapshot_s, L=costs.load_s, r=costs.replay_s, p=self.p)
        return max(1.0, found.n_star)

    def to_json(self) -> dict[str, Any]:
        """Return the estimates as JSON, with the version of its form."""
        fields: dict[str, Any] = {"version": VERSION}
        fields["prior"] = {name: getattr(self.prior, name) for name in Prior.__slots__}
        fields |= {name: getattr(self, name) for name in _COUNTS}
        for name in _FACTORS:
            factor: Factor = getattr(self, name)
            fields[name] = [factor.log, factor.spread, factor.weight]
        return fields

    @classmethod
    def from_json(cls, value: Any) -> Estimates:
        """Return the estimates of what `to_json` gave.

        Raises:
            InvalidArgumentError: it is something else, of a newer version, or damaged. Start
                anew with `Estimates.start()`: nothing but the learning is lost.
        """
        try:
            _expect(value["version"] == VERSION, f"version {VERSION}")
            _expect(value["prior"].keys() == set(Prior.__slots__), f"a prior of {Prior()}")
            prior = Prior(**value["prior"])
            factors = {name: Factor(*map(_finite, value[name])) for name in _FACTORS}
            recoveries, events, state_bytes = (_finite(value[name]) for name in _COUNTS)
            _expect(recoveries > 0 and events > 0 and state_bytes >= 0, "counts above 0")
            for factor in factors.values():
                _expect(abs(factor.log) <= MOST_LOG, f"a logarithm of at most {MOST_LOG:g}")
                _expect(factor.spread > 0 and factor.weight > 0, "spreads and weights above 0")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = (
                f"estimates are read from {brief(value)}, which is not what Estimates.to_json "
                f"gave ({error}): start anew with Estimates.start()"
            )
            raise InvalidArgumentError(message) from error
        return cls(prior, recoveries, events, **factors, state_bytes=int(state_bytes))

    def __repr__(self) -> str:
        costs = self.costs()
        told = f"S {costs.snapshot_s:.3g} s, L {costs.load_s:.3g} s, r {costs.replay_s:.3g} s"
        return f"Estimates({told}, p {self.p:.3g}, checkpoint every {self.interval():.0f} events)"

    def _prior_write_s(self, size_bytes: int) -> float:
        return self.prior.write_s + self.prior.write_s_per_byte * size_bytes

    def _prior_load_s(self, size_bytes: int) -> float:
        return self.prior.load_s + self.prior.load_s_per_byte * size_bytes


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        message = f"{value!r} is no finite number"
        raise TypeError(message)
    return float(value)


def _expect(true: bool, what: str) -> None:  # noqa: FBT001
    if not true:
        message = f"expected {what}"
        raise ValueError(message)
