"""What a name in a function means: by the objects that are there, and by the source where not."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, Literal

from flowlab.workflow.guard_blocks import Blocked
from flowlab.workflow.guard_module import (
    AnyFunction,
    ModuleSource,
    source_of,
)


class Absent:
    """Stands for the value of a name that has none yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()

Kind = Literal["local", "closure", "global", "builtin", "unknown"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name means.

    Args:
        kind: where it comes from.
        dotted: the dotted names that it goes by.
        value: the object, `ABSENT` where it is not there yet.
        owner: the function that binds it, for a closure.
        definition: the function that it names, where the source defines it.
    """

    kind: Kind
    dotted: tuple[str, ...] = ()
    value: Any = ABSENT
    owner: AnyFunction | None = None
    definition: AnyFunction | None = None


_ALIASES: Final = {
    "posix": "os",
    "nt": "os",
    "posixpath": "os.path",
    "ntpath": "os.path",
    "genericpath": "os.path",
    "_io": "io",
    "_socket": "socket",
    "_asyncio": "asyncio",
    "_pydatetime": "datetime",
    "pathlib._local": "pathlib",
}


def canonical(value: Any) -> str | None:
    """Return the dotted name of a module, a class or a function; None for any other object.

    Example:
        >>> import os.path
        >>> canonical(len), canonical(os.path), canonical(dict.fromkeys), canonical(7)
        ('builtins.len', 'os.path', 'builtins.dict.fromkeys', None)
    """
    if isinstance(value, Blocked):
        value = value.__wrapped__
    if isinstance(value, ModuleType):
        return _ALIASES.get(value.__name__, value.__name__)
    itself = getattr(value, "__self__", None)
    if isinstance(value, BuiltinFunctionType | MethodType) and itself is not None:
        if itself is vars(sys.modules["random"])["_inst"]:
            return f"random.{value.__name__}"
        if isinstance(itself, type):
            return f"{canonical(itself)}.{value.__name__}"
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        module = str(getattr(value, "__module__", None) or "builtins")
        return f"{_ALIASES.get(module, module)}.{value.__qualname__}"
    return None


def unwrapped(value: Any) -> Any:
    """Return the function inside decorators, caches and partials."""
    for _ in range(_MAX_WRAPPERS):
        if isinstance(value, partial):
            value = value.func
        elif isinstance(value, MethodType):
            value = value.__func__
        elif callable(value) and hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        else:
            break
    return value


_MAX_WRAPPERS: Final = 20


@dataclass(slots=True)
class Unit:
    """One function that is checked, and what its names mean.

    Args:
        node: its definition.
        source: the module that it stands in.
        file: of the source, for people.
        namespace: its globals.
        cells: the objects that it captured.
        scopes: the functions inside it around what is looked at.
        sets: (function, name) -> whether the name is always a set there, as far as is known.
    """

    node: AnyFunction
    source: ModuleSource
    file: str
    namespace: dict[str, Any]
    cells: dict[str, Any] = field(default_factory=dict)
    scopes: list[AnyFunction] = field(default_factory=list)
    sets: dict[tuple[AnyFunction, str], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Unit | None:
        """Return the unit of a function, or None if its source is not there."""
        plain = unwrapped(function)
        if not isinstance(plain, FunctionType):
            return None
        source = source_of(plain.__code__, plain.__globals__)
        node = source.find(plain.__code__) if source else None
        if source is None or node is None:
            return None
        cells = {}
        names = plain.__code__.co_freevars
        for name, cell in zip(names, plain.__closure__ or (), strict=False):
            try:
                cells[name] = cell.cell_contents
            except ValueError:  # it has no value yet
                continue
        return cls(node, source, plain.__code__.co_filename, plain.__globals__, cells)

    def sibling(self, node: AnyFunction) -> Unit:
        """Return the unit of another function of the same source."""
        return Unit(node, self.source, self.file, self.namespace, self.cells)

    def local_scopes(self) -> Iterator[AnyFunction]:
        """Yield the functions inside the unit around what is looked at, the innermost first."""
        yield from reversed(self.scopes)

    def meaning(self, node: ast.expr) -> Meaning:
        """Return what a name or a chain of attributes means."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if not isinstance(node, ast.Attribute):
            return Meaning("unknown")
        base = self.meaning(node.value)
        dotted = [f"{name}.{node.attr}" for name in base.dotted]
        value: Any = ABSENT
        if isinstance(base.value, ModuleType | type):
            value = vars(base.value).get(node.attr, ABSENT)
            told = canonical(value)
            if told is not None and isinstance(base.value, ModuleType):
                dotted.append(told)
        return Meaning(base.kind, tuple(dotted), value, base.owner)

    def _name(self, name: str) -> Meaning:
        for scope in self.local_scopes():
            if name in self.source.bound[scope]:
                return self._bound_by(scope, name, "local")
        owner = self.source.owner(name, self.node)
        if owner is not None:
            inner = self._bound_by(owner, name, "closure")
            value = self.cells.get(name, ABSENT)
            told = canonical(value)
            dotted = inner.dotted or ((told,) if told else ())
            return Meaning("closure", dotted, value, owner, inner.definition)
        source = self.source
        value = self.namespace.get(name, ABSENT)
        known = name in source.imports or name in source.functions or name in source.classes
        if value is ABSENT and not known and name not in source.values:
            if hasattr(builtins, name):
                return Meaning("builtin", (f"builtins.{name}",), getattr(builtins, name))
            return Meaning("global")
        found = [source.imports.get(name), canonical(value)]
        definition: Any = source.functions.get(name)
        if definition is None and isinstance(source.values.get(name), ast.Lambda):
            definition = source.values[name]
        dotted = tuple(dict.fromkeys(dotted for dotted in found if dotted))
        return Meaning("global", dotted, value, None, definition)

    def _bound_by(self, scope: AnyFunction, name: str, kind: Kind) -> Meaning:
        """Return what a function's own scope says about a name: an import, a function, nothing."""
        inside = self.source.inside[scope].get(name)
        if isinstance(inside, str):
            return Meaning(kind, (inside,))
        return Meaning(kind, definition=inside, owner=None if inside is None else scope)
