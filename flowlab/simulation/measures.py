"""What a person measures of each world of a campaign: a column of its rows, of one kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, Final

import numpy as np

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.grid import COLUMNS
from flowlab.simulation.work import Measure
from flowlab.workflow.names import shortened

_KINDS: Final = (
    ((bool, np.bool_), "a truth value"),
    ((Real, Decimal), "a number"),
    ((str,), "a text"),
)
_MOST_BITS: Final = 127
"""Of an int in a column, its sign aside."""


class Measures:
    """The measures of a campaign, and of which kind their values have been.

    Args:
        given: name -> function of a `Run`.

    Attributes:
        named: the same.

    Raises:
        InvalidArgumentError: one is no function, or has the name of another column.

    Example:
        >>> measures = Measures({"lost": len})
        >>> measures.check([7, 8], {"lost": [0, 2]})
        >>> measures.check([9], {"lost": [None]})
        Traceback (most recent call last):
        flowlab.errors.InvalidArgumentError: measure 'lost' is None in the world of seed 9; ...
    """

    def __init__(self, given: Mapping[str, Measure] | None) -> None:
        if given is not None and not isinstance(given, Mapping):
            message = (
                f"measures is {shortened(given)}; expected a mapping of names to functions of a "
                "Run: {'lost': count_lost}"
            )
            raise InvalidArgumentError(message)
        self.named = dict(given or {})
        for name, measure in self.named.items():
            if name in COLUMNS or not callable(measure):
                message = (
                    f"measure {name!r} is {shortened(measure)}; expected a function of a Run, "
                    f"under a name that is none of {', '.join(COLUMNS)}"
                )
                raise InvalidArgumentError(message)
        self._kinds: dict[str, tuple[str, int]] = {}

    def __repr__(self) -> str:
        return f"Measures({', '.join(map(repr, self.named))})"

    def check(self, seeds: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """Check what was measured of some worlds: a column of two kinds, or of none, is no column.

        Raises:
            InvalidArgumentError: a value is no number, text or truth value, or is of another kind
                than the values before it.
        """
        for name in self.named:
            values = columns[name]
            known = self._kinds.setdefault(name, (_kind(values[0]), seeds[0]))
            # Where each type is first: nearly always there is one.
            first = {type(value): place for place, value in reversed(list(enumerate(values)))}
            for place in sorted(first.values()):
                self._check(name, seeds[place], values[place], known)
            if int in first:
                _check_sizes(name, seeds, values)

    def _check(self, name: str, seed: int, value: Any, known: tuple[str, int]) -> None:
        kind, first = known
        found = _kind(value)
        told = f"measure {name!r} is {shortened(value)} in the world of seed {seed}"
        if not found:
            message = (
                f"{told}; expected a number, a text or a truth value. Where there is nothing to "
                "measure, return the value that shall stand for that"
            )
            raise InvalidArgumentError(message)
        if found != kind:
            message = f"{told}, and {kind} in that of seed {first}; expected one kind in all worlds"
            raise InvalidArgumentError(message)


def _kind(value: object) -> str:
    return next((kind for types, kind in _KINDS if isinstance(value, types)), "")


def _check_sizes(name: str, seeds: Sequence[int], values: Sequence[Any]) -> None:
    for seed, value in zip(seeds, values, strict=True):
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            message = (
                f"measure {name!r} is an int of {value.bit_length():,} bits in the world of seed "
                f"{seed}, and a column has room for {_MOST_BITS}; return a float"
            )
            raise InvalidArgumentError(message)
