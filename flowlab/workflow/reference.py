"""How a person writes data of later: `field("total")`, `result("quote", "total")`."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from flowlab.errors import PlanError
from flowlab.workflow.predicate import Comparison, Exists, Predicate, refuse_truth
from flowlab.workflow.template import Place, Template, path_of


class Reference:
    """Data of later, as `field` and `result` give it: an input, or one side of a comparison.

    It has `==`, `!=`, `<`, `<=`, `>`, `>=`, `is_in` and `exists`, each of which gives a
    `Predicate`; two references are the same if their `place` is.

    Example:
        >>> field("total") > result("quote", "limit")
        field('total') > result('quote', 'limit')
        >>> field("country").is_in(["DE", "FR"]).holds({"country": "FR"})
        True
    """

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place: Final = place

    def exists(self) -> Predicate:
        """Whether there is a value, null included."""
        return Exists(self.place)

    def is_in(self, values: Any) -> Predicate:
        """Whether the value equals one of a list; sets have no order to keep, and are refused."""
        listed = values if isinstance(values, Reference) else list(_listed(values))
        return Comparison(self.place, "in", Template.of(listed))

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]
        return Comparison(self.place, "==", Template.of(other))

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]
        return Comparison(self.place, "!=", Template.of(other))

    def __lt__(self, other: object) -> Predicate:
        return Comparison(self.place, "<", Template.of(other))

    def __le__(self, other: object) -> Predicate:
        return Comparison(self.place, "<=", Template.of(other))

    def __gt__(self, other: object) -> Predicate:
        return Comparison(self.place, ">", Template.of(other))

    def __ge__(self, other: object) -> Predicate:
        return Comparison(self.place, ">=", Template.of(other))

    def __hash__(self) -> int:
        return hash(self.place)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it has no truth value
        refuse_truth(f"{self!r} == ...")

    def __repr__(self) -> str:
        return repr(self.place)


def field(*path: str | tuple[str, ...]) -> Reference:
    """Return a reference to a field of the plan's state; without a path, to the whole state.

    Example:
        >>> field("order.total") > 100, field("items.0.price") > 100, field(("a.b",)) == None
        (field('order.total') > 100, field('items.0.price') > 100, field(('a.b',)) == None)
    """
    return Reference(Place(path_of(path)))


def result(step: str, *path: str | tuple[str, ...]) -> Reference:
    """Return a reference to the result of an earlier step, or to a part of it.

    Example:
        >>> result("quote", "total") <= field("budget")
        result('quote', 'total') <= field('budget')
    """
    if not isinstance(step, str) or not step:
        message = f"result(...) takes the name of a step first; got {step!r}"
        raise PlanError(message)
    return Reference(Place(path_of(path), step=step))


def _listed(values: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        message = f"is_in takes a list; got {values!r} ({type(values).__name__})"
        raise PlanError(message)
    return values
