"""Which objects carry something from one run of a workflow to the next."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from typing import Any, Final

from flowlab.workflow.chance import Random
from flowlab.workflow.guard_module import (
    AnyFunction,
    changed_roots,
    own_nodes,
    parameters,
)
from flowlab.workflow.guard_names import ABSENT, Meaning, Unit

_MAKE_ITERATORS: Final = frozenset(
    "builtins.iter builtins.map builtins.filter builtins.zip builtins.enumerate itertools.count "
    "itertools.cycle itertools.repeat itertools.chain".split()
)


def iterates(unit: Unit, meaning: Meaning, name: str) -> bool:
    """Say whether a name of outside means an iterator, which each run would use up further."""
    if meaning.value is not ABSENT:
        return isinstance(meaning.value, Iterator) and not isinstance(meaning.value, io.IOBase)
    value = unit.source.values.get(name) if meaning.owner is None else None
    if isinstance(value, ast.GeneratorExp):
        return True
    if not isinstance(value, ast.Call):
        return False
    called = unit.meaning(value.func)
    return bool(_MAKE_ITERATORS & set(called.dotted)) or _yields(unit, called.definition)


def _yields(unit: Unit, definition: AnyFunction | None) -> bool:
    return definition is not None and any(
        isinstance(node, ast.Yield | ast.YieldFrom) for node in unit.source.own[definition]
    )


def remembers(value: Any) -> str:
    """Return what an object is that changes with use, or nothing."""
    if isinstance(value, Random):
        return "a generator of chance"
    if isinstance(value, io.IOBase):
        return "a file"
    return ""


def rebinding(unit: Unit, owner: AnyFunction, name: str) -> str | None:
    """Return how the function around a workflow gives a captured name another value, if it does."""
    inside = unit.node
    for above in unit.source.enclosing(unit.node):
        if above is owner:
            break
        inside = above
    last = inside.end_lineno or inside.lineno
    if any(line > last for line in unit.source.bound[owner].get(name, [])):
        return f"{name!r}, which gets another value after the workflow captured it"
    for node in unit.source.own[owner]:
        line = getattr(node, "lineno", 0)
        if line > last and name in changed_roots(node):
            return f"{name!r}, which line {line} changes"
    above_node = unit.source.parents.get(inside)
    while above_node is not None and above_node is not owner:
        if isinstance(above_node, ast.For | ast.While | ast.AsyncFor) and name in {
            node.id
            for node in ast.walk(above_node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }:
            return f"{name!r}, which the loop around the workflow changes"
        above_node = unit.source.parents.get(above_node)
    return None


def methods_that_change(owner: ast.ClassDef) -> frozenset[str]:
    """Return the methods of a class that change their object, those that call such ones too."""
    methods = {
        node.name: node
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    calls: dict[str, set[str]] = {}
    changing: set[str] = set()
    for name, method in methods.items():
        first = next((a.arg for a in parameters(method)), "self")
        calls[name] = set()
        for node in own_nodes(method):
            if first in changed_roots(node):
                changing.add(name)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == first
            ):
                calls[name].add(node.attr)
    for _ in methods:
        changing |= {name for name, called in calls.items() if called & changing}
    return frozenset(changing)
