"""Where the source says that a value is a set, or a path of files."""

from __future__ import annotations

import ast
from pathlib import PurePath
from typing import Final

from flowlab.workflow.guard_module import AnyFunction, parameters
from flowlab.workflow.guard_names import ABSENT, Unit

_SET_METHODS: Final = frozenset("union intersection difference symmetric_difference copy".split())
_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)
_SET_TYPES: Final = frozenset(
    "set frozenset Set FrozenSet AbstractSet MutableSet typing.Set typing.FrozenSet".split()
)
_PATH_METHODS: Final = frozenset("joinpath with_name with_suffix with_stem relative_to".split())
_MAX_DEPTH: Final = 20


def is_set(unit: Unit, node: ast.expr, depth: int = 0) -> bool:
    """Say whether an expression is a set, as far as the source shows it."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(node, ast.Set):
        # The hashes of numbers are the same in every process.
        return not all(
            isinstance(item, ast.Constant) and isinstance(item.value, int) for item in node.elts
        )
    if isinstance(node, ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, _SET_OPERATORS):
        return is_set(unit, node.left, depth + 1) or (
            _is_view(node.left) and (_is_view(node.right) or is_set(unit, node.right, depth + 1))
        )
    if isinstance(node, ast.IfExp):
        return is_set(unit, node.body, depth + 1) or is_set(unit, node.orelse, depth + 1)
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in _SET_METHODS:
            return is_set(unit, called.value, depth + 1)
        meaning = unit.meaning(called)
        if {"builtins.set", "builtins.frozenset"} & set(meaning.dotted):
            return True
        return _says_set(getattr(meaning.definition, "returns", None))
    if isinstance(node, ast.Name):
        return _named_set(unit, node.id, depth)
    return False


def _named_set(unit: Unit, name: str, depth: int) -> bool:
    meaning = unit.meaning(ast.Name(name, ast.Load()))
    if meaning.kind == "local":
        scope = next(s for s in unit.local_scopes() if name in unit.source.bound[s])
        return _known_set(unit, scope, name, depth)
    if meaning.value is not ABSENT:
        return isinstance(meaning.value, set | frozenset) and not all(
            isinstance(item, int) for item in meaning.value
        )
    if meaning.kind == "closure" and meaning.owner is not None:
        return _known_set(unit, meaning.owner, name, depth)
    value = unit.source.values.get(name)
    return value is not None and is_set(unit, value, depth + 1)


def _known_set(unit: Unit, scope: AnyFunction, name: str, depth: int) -> bool:
    key = (scope, name)
    if key not in unit.sets:
        # A name that is made of itself is what its other values are.
        unit.sets[key] = True
        unit.sets[key] = _always_set(unit, scope, name, depth)
    return unit.sets[key]


def _always_set(unit: Unit, scope: AnyFunction, name: str, depth: int) -> bool:
    """Say whether every binding of a name in a function's own scope gives it a set."""
    given = [_says_set(a.annotation) for a in parameters(scope) if a.arg == name]
    for node in unit.source.own[scope]:
        if isinstance(node, ast.Assign):
            given += [
                is_set(unit, node.value, depth + 1)
                for target in node.targets
                if isinstance(target, ast.Name) and target.id == name
            ]
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and _is_name(node.target, name):
            annotated = isinstance(node, ast.AugAssign) or _says_set(node.annotation)
            given.append(annotated or (node.value is not None and is_set(unit, node.value)))
        elif isinstance(node, ast.NamedExpr) and _is_name(node.target, name):
            given.append(is_set(unit, node.value, depth + 1))
    return bool(given) and all(given) and len(given) == len(unit.source.bound[scope][name])


def is_path(unit: Unit, node: ast.expr, depth: int = 0) -> bool:
    """Say whether an expression is a `pathlib.Path`, as far as the source shows it."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return is_path(unit, node.left, depth + 1)
    if isinstance(node, ast.Attribute):
        return node.attr == "parent" and is_path(unit, node.value, depth + 1)
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in _PATH_METHODS:
            return is_path(unit, called.value, depth + 1)
        return "pathlib.Path" in unit.meaning(called).dotted
    if isinstance(node, ast.Name):
        meaning = unit.meaning(node)
        if meaning.kind != "local":
            return isinstance(meaning.value, PurePath)
        scope = next(s for s in unit.local_scopes() if node.id in unit.source.bound[s])
        return any(
            isinstance(inner, ast.Assign)
            and any(_is_name(target, node.id) for target in inner.targets)
            and is_path(unit, inner.value, depth + 1)
            for inner in unit.source.own[scope]
        )
    return False


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_view(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"keys", "items"}
        and not node.args
    )


def _says_set(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value.partition("[")[0] in _SET_TYPES
    if annotation is None:
        return False
    return ast.unparse(annotation).partition("[")[0] in _SET_TYPES
