"""Conditions as data: comparisons on a plan's state that can be kept, compared, sent and drawn.

A place with nothing there makes every comparison false, `!=` too, as NULL does in SQL; no error is
raised. `~(field("a") == 1)` is therefore true where `a` is missing, and `field("a") != 1` is not.
Numbers are compared with numbers and texts with texts; `true` is no number; an order between any
other two values is false.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, Final, NoReturn

from flowlab.errors import InvalidArgumentError, PlanError
from flowlab.workflow.registry import Predicates
from flowlab.workflow.template import MISSING, NO_RESULTS, Place, Template, json_equal

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS: Final = ("==", "!=", *_ORDERS, "in")
"""The signs of a `Comparison`."""


class Predicate(ABC):
    """A condition as data: combine with `&`, `|` and `~`; ask with `holds`.

    It has no truth value of its own: `if`, `and`, `or` and `not` raise an error that says what to
    write instead.

    Example:
        >>> from flowlab.workflow import field
        >>> urgent = (field("total") > 100) & ~field("paid").exists()
        >>> urgent
        (field('total') > 100) & ~field('paid').exists()
        >>> urgent.holds({"total": 120}), urgent.holds({"total": 120, "paid": True})
        (True, False)
    """

    __slots__ = ()

    @abstractmethod
    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,
    ) -> bool:
        """Say whether it is so in a state, given the results of steps and the named functions.

        Raises:
            PlanError: a named predicate is not among `predicates`, or returns no bool.
        """

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The named predicates that it asks."""
        return ()

    def __and__(self, other: object) -> Predicate:
        return AllOf((*_terms(self, AllOf), *_terms(as_predicate(other), AllOf)))

    def __or__(self, other: object) -> Predicate:
        return AnyOf((*_terms(self, AnyOf), *_terms(as_predicate(other), AnyOf)))

    def __invert__(self) -> Predicate:
        return Not(self)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it has no truth value
        refuse_truth(repr(self))


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Predicate):
    """A comparison of the value at a place with another value; `field("total") > 100` makes one.

    Example:
        >>> from flowlab.workflow import field
        >>> Comparison(Place(("total",)), ">", Template.of(100)) == (field("total") > 100)
        True
    """

    place: Place
    sign: str
    operand: Template

    def __post_init__(self) -> None:
        if self.sign not in COMPARISONS:
            message = f"{self.sign!r} is no comparison; known are {' '.join(COMPARISONS)}"
            raise PlanError(message)
        operand = Template.of(self.operand)
        if self.sign == "in" and not (operand.text.startswith("[") or operand.places):
            message = f"is_in takes a list; got {operand.text}"
            raise PlanError(message)
        object.__setattr__(self, "operand", operand)

    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,  # noqa: ARG002 - the same door for all predicates
    ) -> bool:
        """Say whether it is so, as `Predicate.holds` does."""
        left = self.place.find(state, results)
        there = (place.find(state, results) is not MISSING for place in self.operand.places)
        if left is MISSING or not all(there):
            return False
        right = self.operand.fill(state, results)
        if self.sign == "in":
            return isinstance(right, list) and any(json_equal(left, item) for item in right)
        if self.sign in _ORDERS:
            alike = (_is_number(left) and _is_number(right)) or (
                isinstance(left, str) and isinstance(right, str)
            )
            return alike and _ORDERS[self.sign](left, right)
        return json_equal(left, right) is (self.sign == "==")

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return tuple(dict.fromkeys((self.place, *self.operand.places)))

    def __repr__(self) -> str:
        shown = repr(self.operand.value)
        if self.sign == "in":
            return f"{self.place}.is_in({shown})"
        return f"{self.place} {self.sign} {shown}"


@dataclass(frozen=True, slots=True, repr=False)
class Exists(Predicate):
    """Whether there is a value at a place, null included; `field("paid").exists()` makes one.

    Example:
        >>> from flowlab.workflow import field
        >>> field("paid").exists().holds({"paid": None}), field("paid").exists().holds({})
        (True, False)
    """

    place: Place

    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,  # noqa: ARG002 - the same door for all predicates
    ) -> bool:
        """Say whether it is so, as `Predicate.holds` does."""
        return self.place.find(state, results) is not MISSING

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return (self.place,)

    def __repr__(self) -> str:
        return f"{self.place}.exists()"


@dataclass(frozen=True, slots=True, repr=False)
class _Joined(Predicate):
    terms: tuple[Predicate, ...]
    sign: ClassVar[str]
    join: ClassVar[Callable[[Any], bool]]

    def __post_init__(self) -> None:
        if len(self.terms) < 2:  # noqa: PLR2004 - one term is no conjunction
            message = f"{type(self).__name__} joins two predicates or more; got {self.terms!r}"
            raise PlanError(message)
        terms = (_terms(as_predicate(term), type(self)) for term in self.terms)
        object.__setattr__(self, "terms", tuple(term for group in terms for term in group))

    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,
    ) -> bool:
        """Say whether it is so, as `Predicate.holds` does."""
        return type(self).join(
            term.holds(state, results=results, predicates=predicates) for term in self.terms
        )

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return tuple(dict.fromkeys(place for term in self.terms for place in term.places))

    @property
    def names(self) -> tuple[str, ...]:
        """The named predicates that it asks."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.names))

    def __repr__(self) -> str:
        return f" {self.sign} ".join(map(_in_brackets, self.terms))


@dataclass(frozen=True, slots=True, repr=False)
class AllOf(_Joined):
    """Predicates that must all hold; `a & b` makes one, and joining more makes it longer.

    Example:
        >>> from flowlab.workflow import field
        >>> ((field("a") == 1) & (field("b") == 2)).holds({"a": 1, "b": 2})
        True
    """

    sign = "&"
    join = all


@dataclass(frozen=True, slots=True, repr=False)
class AnyOf(_Joined):
    """Predicates of which one must hold; `a | b` makes one.

    Example:
        >>> from flowlab.workflow import field
        >>> ((field("a") == 1) | (field("b") == 2)).holds({"b": 2})
        True
    """

    sign = "|"
    join = any


@dataclass(frozen=True, slots=True, repr=False)
class Not(Predicate):
    """The opposite of a predicate; `~a` makes one.

    Example:
        >>> from flowlab.workflow import field
        >>> (~(field("a") == 1)).holds({})
        True
    """

    term: Predicate

    def __post_init__(self) -> None:
        object.__setattr__(self, "term", as_predicate(self.term))

    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,
        predicates: Predicates | None = None,
    ) -> bool:
        """Say whether it is so, as `Predicate.holds` does."""
        return not self.term.holds(state, results=results, predicates=predicates)

    @property
    def places(self) -> tuple[Place, ...]:
        """The places that it reads."""
        return self.term.places

    @property
    def names(self) -> tuple[str, ...]:
        """The named predicates that it asks."""
        return self.term.names

    def __repr__(self) -> str:
        return f"~{_in_brackets(self.term)}"


@dataclass(frozen=True, slots=True, repr=False)
class Named(Predicate):
    """A function by its name, which a `Predicates` knows; `named("is_urgent")` makes one.

    Example:
        >>> def is_urgent(state):
        ...     return state["hours"] < 2
        >>> named("is_urgent").holds({"hours": 1}, predicates=Predicates(is_urgent))
        True
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            message = f"a named predicate needs the name of a function; got {self.name!r}"
            raise PlanError(message)

    def holds(
        self,
        state: Any,
        *,
        results: Mapping[str, Any] = NO_RESULTS,  # noqa: ARG002 - the same door for all
        predicates: Predicates | None = None,
    ) -> bool:
        """Say whether it is so, as `Predicate.holds` does."""
        function = (predicates or Predicates())[self.name]
        answer = function(state)
        if not isinstance(answer, bool):
            message = f"{self!r} returned {answer!r}, which is no bool; let the function compare"
            raise PlanError(message)
        return answer

    @property
    def names(self) -> tuple[str, ...]:
        """The named predicates that it asks."""
        return (self.name,)

    def __repr__(self) -> str:
        return f"named({self.name!r})"


def named(name: str) -> Predicate:
    """Return the predicate that asks a registered function; see `Predicates`.

    Example:
        >>> named("is_urgent")
        named('is_urgent')
    """
    return Named(name)


def as_predicate(value: object) -> Predicate:
    """Return a predicate as it is, and refuse anything else with what to write instead.

    Example:
        >>> from flowlab.workflow import field
        >>> as_predicate(field("a") == 1)
        field('a') == 1
    """
    if isinstance(value, Predicate):
        return value
    if isinstance(value, FunctionType):
        message = (
            f"a function ({value.__name__}) is no predicate: it cannot be compared, sent or "
            'drawn. Compare the state, as in field("total") > 100, or register it: '
            'Predicates(is_urgent=...) and named("is_urgent")'
        )
    elif isinstance(getattr(value, "place", None), Place):
        message = f"{value!r} alone is no predicate; compare it: {value!r} == True, or .exists()"
    else:
        message = f'a predicate is expected, as in field("total") > 100; got {value!r}'
    raise PlanError(message)


def refuse_truth(what: str) -> NoReturn:
    """Raise what a condition says when Python asks whether it is true.

    Example:
        >>> refuse_truth("field('a') == 1")
        Traceback (most recent call last):
        flowlab.errors.InvalidArgumentError: field('a') == 1 is a condition as data ...
    """
    message = (
        f"{what} is a condition as data and neither true nor false yet: join with & | ~ and put "
        "each comparison in brackets (not `and`, `or`, `not`, nor a chain a < b < c), and ask "
        "with .holds(state)"
    )
    raise InvalidArgumentError(message)


def _terms(predicate: Predicate, joined: type[_Joined]) -> tuple[Predicate, ...]:
    return predicate.terms if isinstance(predicate, joined) else (predicate,)


def _in_brackets(predicate: Predicate) -> str:
    shown = repr(predicate)
    return shown if isinstance(predicate, (Exists, Named, Not)) else f"({shown})"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
