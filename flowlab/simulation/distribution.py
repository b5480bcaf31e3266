"""How long things take: frozen distributions of durations, drawn from one uniform number.

Each is its inverse cumulative distribution function, so that one number of [0, 1) gives one
duration, and a longer one wherever the number is greater: two worlds that draw the same numbers
differ only by what was changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from math import exp, log
from statistics import NormalDist
from typing import Any, ClassVar, Final, get_args

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events.wording import grouped
from flowlab.simulation.doors import as_members, as_number
from flowlab.workflow import Duration, as_ns

MAX_DELAY_NS: Final = 1 << 56
"""No distribution draws a longer duration: 834 days, in nanoseconds."""

MAX_SIGMA: Final = 5.0
"""The widest `LogNormal`: one draw in six is then 150 times the median or more."""

MAX_EMPIRICAL_VALUES: Final = 100_000
"""Values of one `Empirical`."""

_NORMAL: Final = NormalDist()
_LEAST_UNIFORM: Final = 2.0**-54


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same duration.

    Args:
        value: nanoseconds or a timedelta.

    Example:
        >>> Constant(timedelta(milliseconds=2)).draw(0.3)
        2000000
    """

    value: Duration
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _put(self, "value")

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds."""
        return _ns(self.value)

    def draw(self, u: float) -> int:  # noqa: ARG002 - all distributions are drawn alike
        """Return the duration, whatever the number."""
        return self.value  # type: ignore[return-value]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "value": self.value}


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any duration between two bounds, both included, one as likely as another.

    Args:
        low, high: nanoseconds or timedeltas.

    Example:
        >>> Uniform(1, 6).draw(0.0), Uniform(1, 6).draw(0.999)
        (1, 6)
    """

    low: Duration
    high: Duration
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        _put(self, "low")
        _put(self, "high")
        if _ns(self.high) < _ns(self.low):
            message = f"Uniform is from {self.low} to {self.high} ns; expected low <= high"
            raise InvalidArgumentError(message)

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds."""
        return (_ns(self.low) + _ns(self.high)) // 2

    def draw(self, u: float) -> int:
        """Return the duration at a number from [0, 1)."""
        low: int = self.low  # type: ignore[assignment]
        high: int = self.high  # type: ignore[assignment]
        return low + int(u * (high - low + 1))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Exponential:
    """What is as likely to end in the next moment however long it has lasted.

    Args:
        mean: nanoseconds or a timedelta.

    Example:
        >>> Exponential(1_000).draw(0.5)
        693
    """

    mean: Duration
    kind: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _put(self, "mean")

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds."""
        return _ns(self.mean)

    def draw(self, u: float) -> int:
        """Return the duration at a number from [0, 1), at most `MAX_DELAY_NS`."""
        # Whole nanoseconds hide the last digit of log, in which platforms differ.
        mean: int = self.mean  # type: ignore[assignment]
        drawn = round(-mean * log(1.0 - u))
        return drawn if drawn < MAX_DELAY_NS else MAX_DELAY_NS  # noqa: FURB136 - min takes longer

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "mean": self.mean}


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A product of many small factors: the usual shape of a service's latencies.

    Args:
        median: nanoseconds or a timedelta.
        sigma: the standard deviation of the duration's logarithm, from 0 to `MAX_SIGMA`. With 1,
            one in six is longer than 2.7 medians.

    Example:
        >>> LogNormal(1_000, 1.0).draw(0.5), LogNormal(1_000, 1.0).draw(0.8413447460685429)
        (1000, 2718)
    """

    median: Duration
    sigma: float
    kind: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        _put(self, "median")
        sigma = as_number(self.sigma, "sigma of LogNormal", least=0, most=MAX_SIGMA)
        object.__setattr__(self, "sigma", sigma)

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds, the cut at `MAX_DELAY_NS` aside."""
        return round(_ns(self.median) * exp(self.sigma**2 / 2))

    def draw(self, u: float) -> int:
        """Return the duration at a number from [0, 1), at most `MAX_DELAY_NS`."""
        deviation = _NORMAL.inv_cdf(u or _LEAST_UNIFORM)
        drawn = round(_ns(self.median) * exp(self.sigma * deviation))
        return min(drawn, MAX_DELAY_NS)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "median": self.median, "sigma": self.sigma}


@dataclass(frozen=True, slots=True)
class Empirical:
    """Durations that were measured: each is as likely as it was frequent.

    Args:
        values: nanoseconds or timedeltas, at least one, at most `MAX_EMPIRICAL_VALUES`; kept
            sorted, so that equal measurements are equal values.

    Example:
        >>> Empirical([30, 10, 20, 20])
        Empirical(4 values, 10 to 30 ns)
        >>> Empirical([30, 10, 20, 20]).draw(0.5)
        20
    """

    values: Iterable[Duration]
    kind: ClassVar[str] = "empirical"

    def __post_init__(self) -> None:
        given = self.values
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            message = f"the values of Empirical are {given!r}; expected a list of durations"
            raise InvalidArgumentError(message)
        values = tuple(sorted(_as_delay(value, "a value of Empirical") for value in given))
        if not values:
            message = "the values of Empirical are none; expected at least one duration"
            raise InvalidArgumentError(message)
        if len(values) > MAX_EMPIRICAL_VALUES:
            message = (
                f"the values of Empirical are {grouped(len(values))}; MAX_EMPIRICAL_VALUES is "
                f"{grouped(MAX_EMPIRICAL_VALUES)}: give a sample, or its quantiles"
            )
            raise LimitError(message)
        object.__setattr__(self, "values", values)

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds."""
        values: tuple[int, ...] = self.values  # type: ignore[assignment]
        return sum(values) // len(values)

    def draw(self, u: float) -> int:
        """Return the duration at a number from [0, 1)."""
        values: tuple[int, ...] = self.values  # type: ignore[assignment]
        return values[int(u * len(values))]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "values": list(self.values)}

    def __repr__(self) -> str:
        values: tuple[int, ...] = self.values  # type: ignore[assignment]
        plural = "value" if len(values) == 1 else "values"
        return f"Empirical({grouped(len(values))} {plural}, {values[0]} to {values[-1]} ns)"


@dataclass(frozen=True, slots=True)
class Shifted:
    """Another distribution, and a part that is always there: the speed of light, say.

    Args:
        least: nanoseconds or a timedelta, added to each draw.
        rest: the other distribution.

    Example:
        >>> Shifted(500, Exponential(1_000)).draw(0.5)
        1193
    """

    least: Duration
    rest: Distribution
    kind: ClassVar[str] = "shifted"

    def __post_init__(self) -> None:
        _put(self, "least")
        object.__setattr__(self, "rest", as_distribution(self.rest, "rest of Shifted"))

    @property
    def mean_ns(self) -> int:
        """Its mean, in nanoseconds."""
        return _ns(self.least) + self.rest.mean_ns

    def draw(self, u: float) -> int:
        """Return the duration at a number from [0, 1), at most `MAX_DELAY_NS`."""
        return min(_ns(self.least) + self.rest.draw(u), MAX_DELAY_NS)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, in nanoseconds."""
        return {"kind": self.kind, "least": self.least, "rest": self.rest.to_json()}


Distribution = Constant | Uniform | Exponential | LogNormal | Empirical | Shifted
"""Any of the distributions of durations."""

_KINDS: Final = {cls.kind: cls for cls in get_args(Distribution)}


def as_distribution(value: Distribution | Duration, what: str = "a delay") -> Distribution:
    """Return a distribution: a duration is a `Constant`.

    Args:
        value: a distribution, nanoseconds, or a timedelta.
        what: names the argument in the error.

    Raises:
        InvalidArgumentError: it is none of them, or negative.

    Example:
        >>> as_distribution(timedelta(seconds=1), "latency")
        Constant(value=1000000000)
    """
    if isinstance(value, Distribution):
        return value
    if not isinstance(value, timedelta) and type(value) is not int:
        message = (
            f"{what} is {value!r} ({type(value).__name__}); expected a duration (an int of "
            "nanoseconds, or a timedelta), or a distribution: Uniform, Exponential, LogNormal, "
            "Empirical or Shifted"
        )
        raise InvalidArgumentError(message)
    return Constant(_as_delay(value, what))


def distribution_from_json(value: Any, what: str = "a delay") -> Distribution:
    """Return the distribution that `to_json` wrote; an int is a `Constant`.

    Raises:
        InvalidArgumentError: a field is unknown, missing, or outside what it may be.

    Example:
        >>> distribution_from_json({"kind": "uniform", "low": 1, "high": 6})
        Uniform(low=1, high=6)
    """
    if type(value) is int:
        return as_distribution(value, what)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        message = f"{what}: got {value!r}; expected an object whose kind is one of {[*_KINDS]}"
        raise InvalidArgumentError(message)
    cls = _KINDS[kind]
    names = list(cls.__match_args__)
    fields = as_members(value, what, known=["kind", *names], required=names)
    del fields["kind"]
    if "rest" in fields:
        fields["rest"] = distribution_from_json(fields["rest"], what)
    built: Distribution = cls(**fields)
    return built


def _put(owner: Any, name: str) -> None:
    what = f"{name} of {type(owner).__name__}"
    object.__setattr__(owner, name, _as_delay(getattr(owner, name), what))


def _as_delay(value: Duration, what: str) -> int:
    ns = as_ns(value, what)
    if ns > MAX_DELAY_NS:
        message = f"{what} is {ns} ns; expected at most MAX_DELAY_NS = {MAX_DELAY_NS} (834 days)"
        raise InvalidArgumentError(message)
    return ns


def _ns(value: Duration) -> int:
    assert isinstance(value, int)
    return value
