"""The inputs of a plan's steps, prepared once and filled in for each instance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flowlab.errors import PlanError
from flowlab.workflow.template import MISSING, Place, Template


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A template that was read once.

    Args:
        template: what it was made from; None gives null.
        shape: the value with a `Place` where data of later stands.
        constant: whether the shape is the value itself, the same for every instance.

    Example:
        >>> from flowlab.workflow import field
        >>> Input.of(Template.of({"nights": 2})).constant
        True
        >>> Input.of(Template.of({"room": field("room")})).fill({"room": 12}, {})
        {'room': 12}
    """

    template: Template | None
    shape: Any
    constant: bool

    @classmethod
    def of(cls, template: Template | None) -> Input:
        """Read a template."""
        if template is None:
            return cls(None, None, constant=True)
        return cls(template, template.value, constant=not template.places)

    def fill(self, state: Any, results: Mapping[str, Any], *, unknown: Collection[str] = ()) -> Any:
        """Return the value; parts of it are shared with the template, the state and the results.

        Args:
            state: the input of the instance.
            results: of its steps, by name.
            unknown: steps whose result nobody knows; every place in one of them is null.

        Raises:
            PlanError: nothing is where the template refers to.
        """
        if self.constant:
            return self.shape
        try:
            return _filled(self.shape, state, results, unknown)
        except _NotThereError as absent:
            assert self.template is not None
            known = {name: value for name, value in results.items() if name not in unknown}
            self.template.fill(state, known)
            message = f"{absent} is not there"
            raise PlanError(message) from None

    def __repr__(self) -> str:
        return f"Input({'null' if self.template is None else self.template.text})"


class _NotThereError(Exception):
    """A place holds nothing."""


def _filled(shape: Any, state: Any, results: Mapping[str, Any], unknown: Collection[str]) -> Any:
    if isinstance(shape, Place):
        if unknown and shape.step in unknown:
            return None
        value = shape.find(state, results)
        if value is MISSING:
            raise _NotThereError(repr(shape))
        return value
    if isinstance(shape, dict):
        return {key: _filled(item, state, results, unknown) for key, item in shape.items()}
    if isinstance(shape, list):
        return [_filled(item, state, results, unknown) for item in shape]
    return shape
