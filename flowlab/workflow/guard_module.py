"""What the source of a module says about its names: imports, functions, and what they change."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, Final

from flowlab.workflow.guard_rules import MUTATORS

Function = ast.FunctionDef | ast.AsyncFunctionDef
AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
MAX_SOURCE_CHARS: Final = 4_000_000
"""The longest module whose source is checked."""


class ModuleSource:
    """The parsed source of a module, of a notebook's cell, or of whatever was compiled as one.

    Attributes:
        imports: what a top-level import binds -> its dotted name.
        functions, classes: the top-level definitions by name.
        values: the last expression that the top level gives a name.
        changed: (the function that owns a name, or None for the module; the name) -> the first line
            in a function inside that changes or rebinds it.
        parents: node -> the node that holds it.
        own, bound: function -> the nodes of its own scope; what it binds -> the lines that do.
        inside: function -> what it imports or defines in its own scope.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.imports: dict[str, str] = {}
        self.functions: dict[str, Function] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.values: dict[str, ast.expr] = {}
        self.parents = {
            child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
        }
        for node in outer_statements(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.update(imported(node))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        self.values[target.id] = node.value
        self.own: dict[AnyFunction, tuple[ast.AST, ...]] = {
            node: tuple(own_nodes(node)) for node in ast.walk(tree) if isinstance(node, AnyFunction)
        }
        self.bound = {node: bound(node, own) for node, own in self.own.items()}
        self.inside: dict[AnyFunction, dict[str, str | AnyFunction]] = {
            node: dict(_named_inside(own)) for node, own in self.own.items()
        }
        self.changed: dict[tuple[AnyFunction | None, str], int] = {}
        for function, own in self.own.items():
            for name, line in changes(self.bound[function], own, set(self.imports)):
                self.changed.setdefault((self.owner(name, function), name), line)

    def find(self, code: CodeType) -> AnyFunction | None:
        """Return the definition that a code object was made from."""
        for node in self.own:
            name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            if name == code.co_name:
                decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
                first = min([node.lineno, *(d.lineno for d in decorators)])
                if first == code.co_firstlineno:
                    return node
        return None

    def owner(self, name: str, function: AnyFunction) -> AnyFunction | None:
        """Return the function around another one that binds a name which that one uses."""
        return next((f for f in self.enclosing(function) if name in self.bound[f]), None)

    def enclosing(self, node: ast.AST) -> Iterator[AnyFunction]:
        """Yield the functions around a node, the innermost first."""
        above = self.parents.get(node)
        while above is not None:
            if isinstance(above, AnyFunction):
                yield above
            above = self.parents.get(above)


def source_of(code: CodeType, namespace: dict[str, Any]) -> ModuleSource | None:
    """Return the source that a code object was compiled from, or None if it is not there."""
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, namespace)
    return _parsed("".join(lines)) if lines else None


@lru_cache(maxsize=64)
def _parsed(text: str) -> ModuleSource | None:
    if len(text) > MAX_SOURCE_CHARS:
        return None
    try:
        return ModuleSource(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError):
        # What runs may come from something other than what lies in the file by now.
        return None


def outer_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, those under `if` and `try` too."""
    stack: list[ast.stmt] = list(reversed(tree.body))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            stack += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            for handler in getattr(node, "handlers", []):
                stack += handler.body


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return what an import binds -> its dotted name.

    Example:
        >>> imported(ast.parse("import os.path, time as t").body[0])
        {'os': 'os', 't': 'time'}
    """
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: alias.name
            if alias.asname
            else alias.name.split(".")[0]
            for alias in node.names
        }
    base = "." * node.level + (node.module or "")
    return {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}


def own_nodes(function: AnyFunction) -> Iterator[ast.AST]:
    """Yield the nodes of a function's own scope; those of functions and classes in it are not."""
    body = function.body if isinstance(function.body, list) else [function.body]
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack += reversed(list(ast.iter_child_nodes(node)))


def _named_inside(own: tuple[ast.AST, ...]) -> Iterator[tuple[str, str | AnyFunction]]:
    for node in own:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node).items()
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node


def bound(function: AnyFunction, own: tuple[ast.AST, ...]) -> dict[str, list[int]]:
    """Return what a function binds in its own scope, parameters too -> the lines that do."""
    found: dict[str, list[int]] = {}
    outside: set[str] = set()
    for argument in parameters(function):
        found.setdefault(argument.arg, []).append(function.lineno)
    for node in own:
        names: list[str] = []
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names = [node.id]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = list(imported(node))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names = [node.name]
        elif isinstance(node, ast.Global | ast.Nonlocal):
            outside.update(node.names)
        for name in names:
            found.setdefault(name, []).append(getattr(node, "lineno", function.lineno))
    return {name: lines for name, lines in found.items() if name not in outside}


def parameters(function: AnyFunction) -> list[ast.arg]:
    """Return all parameters of a function."""
    a = function.args
    return [
        *a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])
    ]  # fmt: skip


def root_of(node: ast.expr) -> str | None:
    """Return the name that an expression of attributes and items begins with.

    Example:
        >>> root_of(ast.parse("a.b[0].c", mode="eval").body)
        'a'
    """
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def changed_roots(node: ast.AST) -> list[str]:
    """Return the names whose value this node changes: by an item, an attribute, or a method."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in MUTATORS:
            return [name for name in [root_of(called.value)] if name]
        if isinstance(called, ast.Name) and called.id in {"next", "setattr", "delattr"}:
            return [name for arg in node.args[:1] if (name := root_of(arg))]
        return []
    flat: list[ast.expr] = []
    for target in targets:
        flat += target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    found = [root_of(t) for t in flat if isinstance(t, ast.Attribute | ast.Subscript)]
    return [name for name in found if name]


def changes(
    local: dict[str, list[int]], own: tuple[ast.AST, ...], modules: set[str]
) -> Iterator[tuple[str, int]]:
    """Yield (name, line) of each name of outside that a function changes or rebinds."""
    aliases = aliases_of(local, own)
    outside = {
        name for node in own if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    for node in own:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            if node.id in outside:
                yield node.id, line
            continue
        for name in changed_roots(node):
            root = aliases.get(name, name)
            is_method = isinstance(node, ast.Call)
            if root not in local and not (is_method and root in modules):
                yield root, line


def aliases_of(local: dict[str, list[int]], own: tuple[ast.AST, ...]) -> dict[str, str]:
    """Return the local names that are, all the time, another name of something outside."""
    found: dict[str, str] = {}
    for node in own:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and len(local.get(target.id, [])) == 1:
                root = root_of(node.value)
                if root is not None and root not in local:
                    found[target.id] = root
    return found
