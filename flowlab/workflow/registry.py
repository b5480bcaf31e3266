"""The functions that named predicates ask: handed in as a value, never kept in a global."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowlab.errors import PlanError


class Predicates:
    """The functions that named predicates may ask: a value that is handed in, never a global.

    Args:
        functions: functions with a name of their own, each from a state to a bool.
        named: functions under the name given, a lambda too.

    Example:
        >>> known = Predicates(is_large=lambda state: state["total"] > 100)
        >>> known
        Predicates(is_large)
        >>> known["is_large"]({"total": 7})
        False
    """

    __slots__ = ("_functions",)

    def __init__(self, *functions: Callable[[Any], bool], **named: Callable[[Any], bool]) -> None:
        known: dict[str, Callable[[Any], bool]] = {}
        pairs = [*((_name_of(function), function) for function in functions), *named.items()]
        for name, function in pairs:
            if not callable(function):
                message = f"the predicate {name!r} is {function!r}; give a function of the state"
                raise PlanError(message)
            if name in known:
                message = f"two predicates are named {name!r}; name one: Predicates(other=...)"
                raise PlanError(message)
            known[name] = function
        self._functions: Final = known

    def __getitem__(self, name: str) -> Callable[[Any], bool]:
        if name not in self._functions:
            have = ", ".join(sorted(self._functions)) or "none"
            message = (
                f"named({name!r}) is not registered; registered are: {have}. "
                f"Give it: Predicates({name if name.isidentifier() else 'name'}=function)"
            )
            raise PlanError(message)
        return self._functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __repr__(self) -> str:
        return f"Predicates({', '.join(sorted(self._functions))})"


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", "")
    if not str(name).isidentifier():
        message = f"{name or function!r} has no name to register; give one: Predicates(name=...)"
        raise PlanError(message)
    return str(name)
