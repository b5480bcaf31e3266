"""The source check: reads a workflow's function, and the functions of its module that it uses."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from flowlab.workflow.guard_module import AnyFunction, changed_roots
from flowlab.workflow.guard_names import ABSENT, Meaning, Unit, unwrapped
from flowlab.workflow.guard_rules import (
    FILE_METHODS,
    ORDER_FREE,
    ORDERED,
    WITHOUT_ARGUMENT,
    Finding,
    rule_of,
)
from flowlab.workflow.guard_sets import is_path, is_set
from flowlab.workflow.guard_state import (
    iterates,
    methods_that_change,
    rebinding,
    remembers,
)

MAX_FUNCTIONS: Final = 200
"""Most functions of a module that one workflow's check reads."""

_DECLARED: Final = frozenset({"Workflow", "Activity"})
_DECORATORS: Final = frozenset({"workflow", "activity"})


def source_findings(function: Callable[..., Any]) -> tuple[Finding, ...]:
    """Return what the source check finds in a function, and in those of its module that it uses.

    Nothing is found where there is no source to read, as in a shell.

    Example:
        >>> async def trip(ctx, request):
        ...     return hash(request)
        >>> [finding.rule for finding in source_findings(trip)]
        ['identity']
    """
    check = _Check(getattr(unwrapped(function), "__module__", None))
    check.take(Unit.of(function))
    return check.run()


class _Check:
    """The functions that are still to be read, and what was found."""

    def __init__(self, module: str | None) -> None:
        self.module = module
        self.found: dict[tuple[str, str, int, str], Finding] = {}
        self.told: set[tuple[str, str]] = set()
        self._left: deque[Unit] = deque()
        self._seen: set[AnyFunction] = set()

    def take(self, unit: Unit | None) -> None:
        if unit is not None and unit.node not in self._seen and len(self._seen) < MAX_FUNCTIONS:
            self._seen.add(unit.node)
            self._left.append(unit)

    def run(self) -> tuple[Finding, ...]:
        while self._left:
            _Reader(self, self._left.popleft()).read()
        return tuple(sorted(self.found.values(), key=lambda f: (f.file, f.line, f.rule, f.saw)))


class _Reader(ast.NodeVisitor):
    """Reads one function."""

    def __init__(self, check: _Check, unit: Unit) -> None:
        self._check = check
        self._unit = unit
        self._free: set[ast.AST] = set()
        self._asked: set[ast.AST] = set()

    def read(self) -> None:
        """Read the function's defaults and body."""
        self._defaults(self._unit.node)
        self._scope(self._unit.node)

    def report(self, rule: str, node: ast.AST, saw: str) -> None:
        """Take note of a finding."""
        line = getattr(node, "lineno", self._unit.node.lineno)
        finding = Finding(rule, self._unit.file, line, saw)
        self._check.found.setdefault((finding.file, rule, line, saw), finding)

    # -- scopes -----------------------------------------------------------------------------------

    def _scope(self, node: AnyFunction) -> None:
        self._unit.scopes.append(node)
        for statement in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(statement)
        self._unit.scopes.pop()

    def _defaults(self, node: AnyFunction) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            mutable = isinstance(default, ast.List | ast.Dict | ast.Set) or (
                isinstance(default, ast.Call)
                and {"builtins.list", "builtins.dict", "builtins.set"}
                & set(self._unit.meaning(default.func).dotted)
            )
            if mutable and default is not None:
                saw = f"a parameter's default {ast.unparse(default)!r} is one object for all calls"
                self.report("mutable default", default, saw)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for outside in [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]:
            if outside is not None:
                self.visit(outside)
        self._defaults(node)
        self._scope(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node)
        self._scope(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # An annotation is no code that runs here.
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    # -- names ------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._refer(node)
        elif self._rebinds(node.id):
            self._outside(node, f"{node.id!r} is given a new value")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in FILE_METHODS and is_path(self._unit, node.value):
            self.report("file", node, f"a path's {node.attr}")
        if not self._refer(node):
            self.visit(node.value)

    def _refer(self, node: ast.Name | ast.Attribute) -> bool:
        """Look at a name, or at a whole chain of attributes; say whether it was one."""
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            return False
        meaning = self._unit.meaning(node)
        for dotted in meaning.dotted:
            rule = rule_of(dotted)
            if rule is not None:
                self.report(rule, node, ast.unparse(node))
                return True
        first = self._unit.meaning(root)
        if first.kind in {"global", "closure"}:
            self._state(root, first)
            # An activity is asked for and not called: what it does is its own matter.
            if node in self._asked:
                return True
            self._follow(meaning if meaning.value is not ABSENT else first)
        return True

    def _follow(self, meaning: Meaning) -> None:
        """Read the function that a name means too, if it is one of this module."""
        value = unwrapped(meaning.value)
        if type(value).__name__ in _DECLARED:
            return
        if isinstance(value, FunctionType):
            if value.__module__ == self._check.module:
                self._check.take(Unit.of(value))
        elif meaning.value is ABSENT and meaning.definition is not None:
            names = [ast.unparse(d) for d in getattr(meaning.definition, "decorator_list", [])]
            declared = {name.partition("(")[0].rpartition(".")[2] for name in names}
            if not declared & _DECORATORS:
                self._check.take(self._unit.sibling(meaning.definition))

    # -- state that outlives a run ----------------------------------------------------------------

    def _rebinds(self, name: str) -> bool:
        """Say whether a name that is stored is one of outside the whole unit."""
        return self._unit.meaning(ast.Name(name, ast.Load())).kind in {"global", "closure"}

    def _outside(self, node: ast.Name, saw: str) -> None:
        meaning = self._unit.meaning(ast.Name(node.id, ast.Load()))
        if self._first(node.id):
            self.report("closure" if meaning.kind == "closure" else "global", node, saw)

    def _first(self, name: str) -> bool:
        """Say whether nothing has been told of a name yet; from now on something has."""
        known = (self._unit.file, name) in self._check.told
        self._check.told.add((self._unit.file, name))
        return not known

    def _state(self, node: ast.Name, meaning: Meaning) -> None:
        saw = None
        line = self._unit.source.changed.get((meaning.owner, node.id))
        if line is not None:
            saw = f"{node.id!r}, which line {line} changes"
        elif meaning.owner is not None:
            saw = rebinding(self._unit, meaning.owner, node.id)
        if saw is None and iterates(self._unit, meaning, node.id):
            saw = f"{node.id!r}, which goes on where the last run left it"
        if saw is not None:
            self._outside(node, saw)
        elif (what := remembers(meaning.value)) and self._first(node.id):
            self.report("shared object", node, f"{node.id!r}, {what} that all runs share")

    def _made(self, name: str) -> None:
        """Read how an object of a class of this module is made."""
        owner = self._unit.source.classes.get(name)
        for inner in owner.body if owner is not None else []:
            if isinstance(inner, ast.FunctionDef) and inner.name in _MAKERS:
                self._check.take(self._unit.sibling(inner))

    def _method(self, node: ast.Call, called: ast.Attribute, name: str) -> None:
        """Read the method that is called on an object of this module, and what it changes."""
        source = self._unit.source
        holder = self._unit.meaning(called.value)
        made = source.values.get(name)
        of = type(holder.value).__name__
        if holder.value is ABSENT and isinstance(made, ast.Call):
            of = ast.unparse(made.func)
        owner = source.classes.get(of)
        if owner is None or holder.kind not in {"global", "closure"}:
            return
        for inner in owner.body:
            if isinstance(inner, _FUNCTIONS) and inner.name == called.attr:
                self._check.take(self._unit.sibling(inner))
        if called.attr in methods_that_change(owner) and self._first(name):
            saw = f"{ast.unparse(called)} changes an object that all runs share"
            self.report("shared object", node, saw)

    # -- calls and iteration ----------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        meaning = self._unit.meaning(node.func)
        for dotted in meaning.dotted:
            rule, least = WITHOUT_ARGUMENT.get(dotted, ("", 0))
            if len(node.args) + len(node.keywords) < least:
                self.report(rule, node, f"{ast.unparse(node.func)} without an argument")
                break
        called = node.func
        if isinstance(called, ast.Attribute):
            self._asked.update(_asked_by(called.attr, node))
        if isinstance(called, ast.Name) and meaning.kind == "global":
            self._made(called.id)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            self._method(node, called, called.value.id)
        names = set(meaning.dotted)
        keyed = any(k.arg == "key" for k in node.keywords)
        if names & ORDER_FREE and not (keyed and names & _EXTREMES):
            self._free.update(node.args)
        elif names & ORDERED or names & ORDER_FREE:
            self._ordered(node.args, ast.unparse(node.func))
        elif isinstance(called, ast.Attribute):
            self._set_method(node, called)
        self.generic_visit(node)

    def _set_method(self, node: ast.Call, called: ast.Attribute) -> None:
        if called.attr in {"join", "extend", "fromkeys", "writelines"}:
            self._ordered(node.args, called.attr)
        elif called.attr == "pop" and not node.args and is_set(self._unit, called.value):
            self.report("set order", node, f"pop of the set {ast.unparse(called.value)}")
        elif called.attr in {"union", "update", "intersection", "difference", "issubset"}:
            self._free.update(node.args)

    def _ordered(self, given: list[ast.expr], by: str) -> None:
        for argument in given:
            if is_set(self._unit, argument):
                self.report("set order", argument, f"{by} of the set {ast.unparse(argument)}")

    def _iterated(self, node: ast.expr, by: str) -> None:
        if is_set(self._unit, node):
            self.report("set order", node, f"{by} over the set {ast.unparse(node)}")

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter, "a loop")
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._iterated(node.value, "a star")
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self._iterated(node.value, "text")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
            self._iterated(node.value, "unpacking")
        self.generic_visit(node)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> None:
        if node not in self._free:
            for generator in node.generators:
                self._iterated(generator.iter, "a comprehension")
        self.generic_visit(node)

    visit_ListComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815

    def generic_visit(self, node: ast.AST) -> None:
        """Look at what a node changes, and go on inside it."""
        for name in changed_roots(node):
            meaning = self._unit.meaning(ast.Name(name, ast.Load()))
            of_module = meaning.kind == "global" and name in self._unit.source.imports
            if meaning.kind in {"global", "closure"} and not of_module:
                self._outside(ast.Name(name, lineno=getattr(node, "lineno", 0)), _changed(name))
        super().generic_visit(node)


def _asked_by(method: str, node: ast.Call) -> list[ast.expr]:
    """Return what a call names as activities."""
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    if method == "call_activity":
        return node.args[:1]
    if method == "step" and named.keys() & {"compensation", "kind"}:
        return [*node.args[:1], *filter(None, [named.get("compensation")])]
    return []


def _changed(name: str) -> str:
    return f"{name!r}, which outlives the run, is changed"


_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_EXTREMES: Final = frozenset({"builtins.min", "builtins.max"})
_MAKERS: Final = frozenset({"__init__", "__post_init__", "__new__"})
