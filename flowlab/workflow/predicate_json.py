"""Predicates as JSON and back: strict, and every error names the place."""

from __future__ import annotations

from typing import Any, Final

from flowlab.errors import PlanError
from flowlab.workflow.predicate import AllOf, AnyOf, Comparison, Exists, Named, Not, Predicate
from flowlab.workflow.strict_json import built, expected, items, members, text
from flowlab.workflow.template import Place, Template, place_from_json

_KINDS: Final = ("compare", "exists", "all", "any", "not", "named")


def predicate_to_json(predicate: Predicate) -> dict[str, Any]:
    """Return a predicate as JSON.

    Example:
        >>> from flowlab.workflow import field
        >>> predicate_to_json(field("total") > 100)
        {'compare': '>', 'left': {'$state': ['total']}, 'right': 100}
    """
    match predicate:
        case Comparison(place, sign, operand):
            return {"compare": sign, "left": place.to_json(), "right": operand.to_json()}
        case Exists(place):
            return {"exists": place.to_json()}
        case AllOf(terms):
            return {"all": [predicate_to_json(term) for term in terms]}
        case AnyOf(terms):
            return {"any": [predicate_to_json(term) for term in terms]}
        case Not(term):
            return {"not": predicate_to_json(term)}
        case Named(name):
            return {"named": name}
        case _:
            message = f"{predicate!r} is no predicate of flowlab's, so it has no JSON"
            raise PlanError(message)


def predicate_from_json(value: Any, at: str = "$") -> Predicate:
    """Return the predicate of a JSON value; `at` is its place in a larger document.

    Raises:
        PlanError: a kind, a field or a type is wrong; the message begins with the place.

    Example:
        >>> predicate_from_json({"not": {"exists": {"$state": ["paid"]}}})
        ~field('paid').exists()
    """
    kind = next((kind for kind in _KINDS if isinstance(value, dict) and kind in value), None)
    if kind is None:
        raise PlanError(
            expected(f"a predicate (an object with one of {', '.join(_KINDS)})", value, at)
        )
    if kind == "compare":
        members(value, at, required=("compare", "left", "right"))
        sign = text(value["compare"], f"{at}.compare")
        place = _place(value["left"], f"{at}.left")
        operand = built(f"{at}.right", lambda: Template.from_json(value["right"]))
        return built(f"{at}.compare", lambda: Comparison(place, sign, operand))
    members(value, at, required=(kind,))
    inner, where = value[kind], f"{at}.{kind}"
    if kind == "exists":
        return Exists(_place(inner, where))
    if kind == "not":
        return Not(predicate_from_json(inner, where))
    if kind == "named":
        return built(where, lambda: Named(text(inner, where)))
    terms = tuple(predicate_from_json(term, place) for term, place in items(inner, where))
    return built(where, lambda: AllOf(terms) if kind == "all" else AnyOf(terms))


def _place(value: Any, at: str) -> Place:
    place = built(at, lambda: place_from_json(value))
    if place is None:
        raise PlanError(expected("a reference (an object with $state or $result)", value, at))
    return place
