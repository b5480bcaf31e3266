"""The map of the rooms, and the sizes that keep a module readable in one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from flowlab.events import vocabulary

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "flowlab"

ALL = frozenset({"*"})
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "events": frozenset(),
    "causality": frozenset({"events"}),
    "store": frozenset({"events"}),
    "workflow": frozenset({"events"}),
    "simulation": frozenset({"workflow", "events"}),
    "runtime": frozenset({"workflow", "store", "events"}),
    "exploration": frozenset({"simulation", "workflow", "causality", "events"}),
    "recovery": frozenset({"runtime", "simulation", "workflow", "store", "causality", "events"}),
    "interop": frozenset({"store", "causality", "events"}),
    "scenarios": frozenset({"simulation", "workflow", "events"}),
    "figures": frozenset({"causality", "workflow", "recovery", "events"}),
    "widgets": frozenset({"figures", "causality", "workflow", "recovery", "events"}),
    "studies": ALL,
    "testing": ALL,
    "cli": ALL,
    "__init__": ALL,
    "__main__": ALL,
}
"""Which rooms a room may import, besides itself; `errors` is open to all."""

ONLY_MODULES: dict[tuple[str, str], frozenset[str]] = {
    ("figures", "recovery"): frozenset({"flowlab.recovery.replaying", "flowlab.recovery.valley"}),
    ("figures", "workflow"): frozenset(
        {"flowlab.workflow.plan", "flowlab.workflow.plan_drawing", "flowlab.workflow.state"}
    ),
    ("widgets", "recovery"): frozenset({"flowlab.recovery.replaying"}),
    ("widgets", "workflow"): frozenset({"flowlab.workflow.plan", "flowlab.workflow.state"}),
}
"""Where a room may import only some modules of another."""

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
EXCEPTIONS: dict[str, str] = {
    "flowlab/studies/saga_compiled.py::_loop": "that it is one loop is what it measures",
    "flowlab/studies/saga_floor.py::_loop": "that it is one loop is what it measures",
}
"""What may be longer, as "path" or "path::function", each with its reason; lines are ruff's."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    first = module.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(tree: ast.AST, module: Path) -> Iterator[tuple[int, str, str | None]]:
    """Yield (line, module, name) of each import of flowlab, those in functions and branches too."""
    package = name_of(module).split(".")
    if module.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "flowlab":
                    yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            if source.split(".")[0] == "flowlab":
                for alias in node.names:
                    yield node.lineno, source, alias.name
        elif isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            first = node.args[0]
            if (
                name in {"import_module", "__import__"}
                and isinstance(first, ast.Constant)
                and str(first.value).split(".")[0] == "flowlab"
            ):
                yield node.lineno, str(first.value), None


def target_of(source: str, name: str | None) -> tuple[str, str]:
    """Return the room and the module that an import reaches."""
    parts = source.split(".")
    if len(parts) == 1 and name is not None and is_module(f"flowlab.{name}"):
        return name, f"flowlab.{name}"
    if len(parts) == 1:
        return "__init__", source
    if name is not None and is_module(f"{source}.{name}"):
        return parts[1], f"{source}.{name}"
    return parts[1], source


def is_module(dotted: str) -> bool:
    path = PROJECT.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def forbidden_imports(source: str, module: Path) -> list[str]:
    """Return what a module's source imports and may not."""
    room = room_of(module)
    found = []
    for line, origin, name in imports_of(ast.parse(source), module):
        target, dotted = target_of(origin, name)
        where = f"{module.relative_to(PROJECT)}:{line}"
        if target not in {room, "errors"}:
            allowed = MAY_IMPORT[room]
            only = ONLY_MODULES.get((room, target))
            if allowed is not ALL and target not in allowed:
                found.append(f"{where} {room} may not import {target}")
            elif only is not None and dotted not in only:
                found.append(f"{where} {room} may import of {target} only {sorted(only)}")
        private = [part for part in (*dotted.split("."), name or "") if is_private(part)]
        if target != room and private:
            found.append(f"{where} {room} imports the private {private[0]} of {target}")
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def functions_of(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield (qualified name, lines without docstring) of each function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = 0
            if ast.get_docstring(node, clean=False) is not None:
                docstring = (first.end_lineno or first.lineno) - first.lineno + 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring
            yield f"{prefix}{node.name}", length
            yield from functions_of(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node, f"{prefix}{node.name}.")
        else:
            yield from functions_of(node, prefix)


@cache
def too_long(module: Path) -> dict[str, int]:
    """Return what of a module is longer than the house rules allow."""
    text = module.read_text(encoding="utf-8")
    path = module.relative_to(PROJECT).as_posix()
    lines = len(text.splitlines())
    found = {path: lines} if lines > MAX_MODULE_LINES else {}
    for name, length in functions_of(ast.parse(text)):
        if length > MAX_FUNCTION_LINES:
            found[f"{path}::{name}"] = length
    return found


def listed(tree: ast.AST) -> Iterator[frozenset[str]]:
    """Yield what each list of plain words in a module's source has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            words = [getattr(one, "value", None) for one in node.elts]
            if all(isinstance(word, str) for word in words):
                yield frozenset(map(str, words))


def test_the_lists_of_the_event_types_of_calls_stand_in_the_vocabulary_alone() -> None:
    lists = {
        frozenset(found)
        for name, found in vars(vocabulary).items()
        if name.startswith("CALL_") and len(found) > 2
    }
    assert len(lists) == 3
    assert all(words <= vocabulary.EVENT_CATEGORIES.keys() for words in lists)
    for module in modules():
        if name_of(module) != "flowlab.events.vocabulary":
            again = lists.intersection(listed(ast.parse(module.read_text(encoding="utf-8"))))
            assert not again, f"{name_of(module)} lists anew {sorted(map(sorted, again))}"


def test_every_room_stands_in_the_table() -> None:
    rooms = {room_of(module) for module in modules()}
    assert rooms <= MAY_IMPORT.keys()


def test_the_table_has_no_cycle_between_rooms_that_name_what_they_import() -> None:
    left = {room: set(allowed) for room, allowed in MAY_IMPORT.items() if allowed is not ALL}
    while left:
        free = {room for room, allowed in left.items() if not allowed & left.keys()}
        assert free, f"these rooms import each other: {sorted(left)}"
        left = {room: allowed for room, allowed in left.items() if room not in free}


@pytest.mark.parametrize("module", modules(), ids=name_of)
def test_a_room_imports_only_what_the_table_allows(module: Path) -> None:
    assert forbidden_imports(module.read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("from flowlab.store import EventStore", "causality may not import store"),
        ("def f():\n    import flowlab.store.tail", "causality may not import store"),
        ("from flowlab import store", "causality may not import store"),
        ("from ..store import tail", "causality may not import store"),
        ("import_module('flowlab.store')", "causality may not import store"),
        ("import flowlab", "causality may not import __init__"),
        ("from flowlab.events.log import _polars", "imports the private _polars of events"),
        ("from flowlab.events import _x", "imports the private _x of events"),
    ],
)
def test_the_walk_sees_an_import_wherever_it_hides(source: str, why: str) -> None:
    found = forbidden_imports(source, PACKAGE / "causality" / "order.py")
    assert len(found) == 1
    assert why in found[0]


def test_a_picture_may_know_the_recovery_law_and_nothing_else_of_recovery() -> None:
    module = PACKAGE / "figures" / "curve.py"
    assert forbidden_imports("import flowlab.recovery.replaying", module) == []
    assert len(forbidden_imports("import flowlab.recovery.schemes", module)) == 1


@pytest.mark.parametrize("module", modules(), ids=name_of)
def test_modules_and_functions_stay_short(module: Path) -> None:
    found = too_long(module)
    assert {what: size for what, size in found.items() if what not in EXCEPTIONS} == {}


def test_an_exception_that_is_no_longer_needed_is_taken_out() -> None:
    found = {what for module in modules() for what in too_long(module)}
    assert EXCEPTIONS.keys() <= found


@pytest.mark.parametrize("module", sorted((PROJECT / "tests").rglob("*.py")), ids=lambda p: p.stem)
def test_test_modules_stay_readable_too(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 2 * MAX_MODULE_LINES
