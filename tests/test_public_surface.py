"""What flowlab promises by name: documented, few, and the same for people and type checkers."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import flowlab

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
MAX_NAMES = 43
ROOMS = sorted(
    ["flowlab.errors", *(f"flowlab.{p.parent.name}" for p in PROJECT.glob("flowlab/*/__init__.py"))]
)


def public_names() -> list[tuple[str, str]]:
    found = [("flowlab", name) for name in flowlab.__all__ if name != "__version__"]
    for room in ROOMS:
        module = import_module(room)
        found += [(room, name) for name in getattr(module, "__all__", vars(module))]
    return found


def pages() -> list[Path]:
    return [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def documentation() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages())


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imports_for_type_checkers(room: str = "") -> dict[str, str]:
    tree = ast.parse((PROJECT / "flowlab" / room / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: f"flowlab.{alias.name}" if node.module == "flowlab" else str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize(("module", "name"), public_names())
def test_every_public_class_and_function_says_what_it_is(module: str, name: str) -> None:
    value = getattr(import_module(module), name)
    if inspect.isclass(value) or inspect.isroutine(value):
        own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert own, f"{module}.{name} has no docstring"
        assert own.strip().partition("\n\n")[0].rstrip().endswith((".", "!", ":"))


def test_the_facade_stays_small_enough_to_learn() -> None:
    assert len(flowlab.__all__) <= MAX_NAMES
    assert flowlab.__all__ == sorted(flowlab.__all__)


def test_type_checkers_and_people_get_the_same_names() -> None:
    assert imports_for_type_checkers() == flowlab._NAMES
    assert flowlab._NAMES.keys() == set(flowlab.__all__) - {"__version__"}
    assert dir(flowlab) == sorted(flowlab.__all__)


@pytest.mark.parametrize("room", ["recovery", "studies"])
def test_a_room_whose_names_load_when_used_names_each_of_them_to_type_checkers(room: str) -> None:
    module = import_module(f"flowlab.{room}")
    assert imports_for_type_checkers(room) == module._NAMES
    assert set(module.__all__) <= module._NAMES.keys()


def test_a_facade_name_is_the_one_in_its_room() -> None:
    for name, room in flowlab._NAMES.items():
        module = import_module(room)
        own = module if room == f"flowlab.{name}" else getattr(module, name)
        assert getattr(flowlab, name) is own


def test_the_room_of_workflows_is_their_decorator_too() -> None:
    async def trip(ctx: object, request: object) -> None: ...

    assert flowlab.workflow is import_module("flowlab.workflow")
    assert flowlab.workflow(trip) == import_module("flowlab.workflow").workflow(trip)
    assert repr(flowlab.workflow(name="other")(trip)) == "Workflow('other')"


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EventLogs'"):
        _ = flowlab.EventLogs


def test_the_docs_mention_every_facade_name() -> None:
    text = documentation()
    assert [name for name in flowlab._NAMES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_in_the_docs_leads_to_a_file_of_the_project(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    inside = [target for target in targets if not target.startswith(("https://", "http://"))]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_the_api_page_is_what_the_docstrings_say() -> None:
    generate = generator()
    for page, text in generate.PAGES.items():
        assert page.read_text(encoding="utf-8") == text(), f"{page.name}: run make docs"


def test_a_process_that_a_study_starts_loads_no_other_study() -> None:
    script = """
import sys, flowlab.studies.store_writers
found = {name for name in sys.modules if name.startswith("flowlab.studies.")}
assert found == {f"flowlab.studies.{name}" for name in ("claim", "measuring", "store_writers")}
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_accessors_of_a_log_come_with_the_facade_and_load_when_used() -> None:
    script = """
import sys, flowlab
log = flowlab.EventLog.from_events([])
rooms = {where.split(":")[0] for where in flowlab._ACCESSORS.values()}
assert not rooms & sys.modules.keys(), rooms & sys.modules.keys()
assert flowlab._ACCESSORS.keys() <= set(dir(log))
assert flowlab._ACCESSORS.items() <= type(log).accessors.items()
for name in flowlab._ACCESSORS:
    assert getattr(log, name) is not None
assert rooms <= sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
