"""What a comparison reads: the runs of a campaign in any shape, as arms of outcomes by pair."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events.wording import brief

Row = Mapping[str, Any]
"""A run: its columns, and by their own names its parameters."""
Reader = str | Callable[[Row], Any]
"""The name of a column or parameter, or a function of a row."""

MAX_ARMS: Final = 40
"""Arms of one comparison; a parameter with more values is no list of alternatives."""


@dataclass(frozen=True, slots=True)
class ArmRows:
    """The outcomes of one arm, by what pairs its runs with those of another."""

    label: str
    value: Any
    outcomes: dict[tuple[Any, ...], float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunOutcomes:
    """The outcomes of every arm, and whether each is a yes or a no."""

    arms: tuple[ArmRows, ...]
    are_rates: bool


def rows_of(runs: Any) -> list[Row]:
    """Return the runs as rows.

    Args:
        runs: a Polars frame; an Arrow table; rows as dictionaries; anything with `to_polars()`; or
            a log or store, of which the relation `runs` is read. A column `parameters` of objects
            or of JSON is spread: a parameter is found by its name, unless a column has it.

    Raises:
        InvalidArgumentError: it is none of these.

    Example:
        >>> rows_of([{"seed": 1, "parameters": '{"retry": "off"}'}])[0]["retry"]
        'off'
    """
    return [_spread(row) for row in _plain_rows(runs)]


def _plain_rows(runs: Any) -> Sequence[Row]:
    if isinstance(runs, pl.LazyFrame):
        return runs.collect().to_dicts()
    if isinstance(runs, pl.DataFrame):
        return runs.to_dicts()
    if isinstance(runs, pa.Table):
        rows: list[dict[str, Any]] = runs.to_pylist()
        return rows
    if isinstance(runs, Iterable) and not isinstance(runs, str | bytes | Mapping):
        listed = list(runs)
        if all(isinstance(row, Mapping) for row in listed):
            return listed
    # The frame of a log is its events, and not its runs: those are a relation.
    if callable(getattr(runs, "sql", None)):
        return _plain_rows(runs.sql("SELECT * FROM runs ORDER BY namespace, run_id"))
    if callable(getattr(runs, "to_polars", None)):
        return _plain_rows(runs.to_polars())
    message = (
        f"runs is a {type(runs).__name__}; expected a Polars frame, rows as dictionaries, "
        "something with to_polars(), a log or a store"
    )
    raise InvalidArgumentError(message)


def _spread(row: Row) -> Row:
    parameters = row.get("parameters")
    if isinstance(parameters, str | bytes):
        try:
            parameters = json.loads(parameters)
        except ValueError:
            return row
    return {**parameters, **row} if isinstance(parameters, Mapping) else row


def read_outcomes(
    rows: Sequence[Row], *, by: Reader, outcome: Reader, pair: Sequence[str]
) -> RunOutcomes:
    """Sort the runs into arms, in the order in which their values first appear.

    Raises:
        InvalidArgumentError: a column is missing, an outcome is neither a truth value nor a finite
            number, outcomes are of both kinds, or two runs of an arm have the same pair.
        LimitError: there are more than `MAX_ARMS` arms.
    """
    arms: dict[str, tuple[Any, dict[tuple[Any, ...], float]]] = {}
    first: dict[tuple[str, tuple[Any, ...]], Row] = {}
    are_rates: bool | None = None
    for number, row in enumerate(rows):
        value = _read(row, by, "by")
        found = _read(row, outcome, "outcome")
        is_rate = _is_truth(found)
        if not is_rate and not _is_number(found):
            raise InvalidArgumentError(_wrong_outcome(found, outcome, number))
        if is_rate is not (is_rate if are_rates is None else are_rates):
            message = (
                f"the outcome of row {number} is {found!r}, and those before it are "
                f"{'numbers' if is_rate else 'truth values'}; expected one kind"
            )
            raise InvalidArgumentError(message)
        are_rates = is_rate
        value_id = _identity(value)
        _, outcomes = arms.setdefault(value_id, (value, {}))
        if len(arms) > MAX_ARMS:
            message = (
                f"by={_name(by)!r} has more than {MAX_ARMS} values; compare a parameter with few, "
                "or pass a function that sorts the runs into few"
            )
            raise LimitError(message)
        key = tuple(_hashable(_read(row, name, "pair")) for name in pair)
        if key in outcomes:
            raise InvalidArgumentError(_twice(value, pair, key, (first[value_id, key], row)))
        outcomes[key] = float(found)
        first[value_id, key] = row
    labels = _labels([value for value, _ in arms.values()])
    return RunOutcomes(
        tuple(
            ArmRows(label, value, outcomes)
            for label, (value, outcomes) in zip(labels, arms.values(), strict=True)
        ),
        bool(are_rates),
    )


def _read(row: Row, reader: Reader, argument: str) -> Any:
    if callable(reader):
        try:
            return reader(row)
        except KeyError as error:
            message = (
                f"the function given as {argument} asks a run for {error}, which it has not; "
                f"it has {', '.join(map(str, row)) or 'none'}"
            )
            raise InvalidArgumentError(message) from error
    if not isinstance(reader, str):
        message = (
            f"{argument} is {brief(reader)}; expected the name of a column or parameter, or a "
            "function of a run, such as lambda run: (run['a'], run['b'])"
        )
        raise InvalidArgumentError(message)
    if reader not in row:
        message = (
            f"{argument}={reader!r} is no column or parameter of a run; it has "
            f"{', '.join(map(str, row)) or 'none'}"
        )
        raise InvalidArgumentError(message)
    return row[reader]


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _identity(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _labels(values: Sequence[Any]) -> list[str]:
    short = [str(value) for value in values]
    return short if len(set(short)) == len(short) else [repr(value) for value in values]


def _name(reader: Reader) -> str:
    return reader if isinstance(reader, str) else getattr(reader, "__name__", "a function")


def _wrong_outcome(found: Any, outcome: Reader, number: int) -> str:
    hint = f"lambda run: run[{outcome!r}] == ..." if isinstance(outcome, str) else "a comparison"
    return (
        f"the outcome of row {number} is {brief(found)}; expected True, False or a finite number: "
        f"pass a function that gives one, such as outcome={hint}"
    )


def _twice(value: Any, pair: Sequence[str], key: tuple[Any, ...], both: tuple[Row, Row]) -> str:
    named = ", ".join(f"{name} {part!r}" for name, part in zip(pair, key, strict=True))
    # What is varied stands before what came of it, in a campaign's rows as in the relation.
    one, other = both
    apart = [name for name in one if name != "run_id" and one[name] != other.get(name)][:1]
    hint = f"such as pair={(*pair, *apart)!r}, " if apart else ""
    return (
        f"the arm {value!r} has two runs of {named or 'the same pair'}; expected one: name what "
        f"else tells them apart, {hint}or filter the runs"
    )
