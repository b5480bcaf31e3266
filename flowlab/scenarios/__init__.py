"""The library of sagas: each a file that a teacher can show, with a bug that its invariants catch.

A file of this folder is a scenario of the same name, and reads from top to bottom: the story, what
to look at, a query to try; the agents; the workflow; what must hold; the world. Every scenario has
the parameter `bug`, which plants the mistake that its story tells of. The folders in it hold worlds
that are no stories.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from flowlab.errors import NotFoundError
from flowlab.simulation import Scenario

__all__ = ["SCENARIOS", "scenario_named"]


class _Library(Mapping[str, Scenario]):
    """The scenarios by name; one is loaded when it is asked for, and no other with it."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        found = (module.name for module in iter_modules(__path__) if not module.ispkg)
        self._names = dict.fromkeys(sorted(found))

    def __getitem__(self, name: str) -> Scenario:
        if name not in self._names:
            raise NotFoundError(_unknown(name, tuple(self._names)))
        found = getattr(import_module(f"{__name__}.{name}"), name)
        assert isinstance(found, Scenario)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"SCENARIOS({', '.join(self._names)})"


def _unknown(name: object, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(name), known, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"there is no scenario {name!r}{hint}; there are: {', '.join(known)}"


SCENARIOS: Final[Mapping[str, Scenario]] = _Library()
"""Every scenario of the library by name, in the order of their names."""


def scenario_named(name: str) -> Scenario:
    """Return a scenario of the library.

    Raises:
        NotFoundError: there is none of that name; the message lists those that there are.

    Example:
        >>> scenario_named("trip").name
        'trip'
    """
    return SCENARIOS[name]
