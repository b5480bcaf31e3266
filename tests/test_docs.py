"""The pages that state facts of the code state them truly."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import test_architecture

from flowlab.interop import Mapping, import_log, load_mapping

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_rooms_on_the_page_are_the_rooms_of_the_map() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page("architecture.md"), re.MULTILINE)
    shown = dict(rows)
    expected = {}
    for room, allowed in test_architecture.MAY_IMPORT.items():
        everything = allowed is test_architecture.ALL
        expected[room] = "all" if everything else ", ".join(sorted(allowed)) or "nothing"

    assert shown == expected


def test_the_arrows_of_the_picture_are_imports_that_exist() -> None:
    arrows = set(re.findall(r"^  (\w+) -->? ?(\w+)$", page("architecture.md"), re.MULTILINE))
    assert len(arrows) >= 7
    found = set()
    for module in test_architecture.modules():
        room = test_architecture.room_of(module)
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for _, source, name in test_architecture.imports_of(tree, module):
            found.add((room, test_architecture.target_of(source, name)[0]))
    assert arrows <= found


def test_the_modules_on_the_page_exist() -> None:
    text = page("architecture.md")
    for path in re.findall(r"`(flowlab/[\w/]+\.py|tests/\w+\.py)`", text):
        assert (PROJECT / path).is_file(), path
    stems = {module.stem for module in test_architecture.modules()}
    named = {word.split(".")[0] for word in re.findall(r"`([a-z_]+(?:\.\w+)?)`", text)}
    sections = text[text.index("## How an append") :]
    for word in re.findall(r"\(`([a-z_]+)(?:\.\w+)?`", sections):
        assert word in stems, word
    assert {"admission", "sealing", "stream_read", "segment_reader"} <= named


def test_importing_the_facade_loads_neither_pyarrow_nor_duckdb() -> None:
    script = "import sys, flowlab; assert not {'pyarrow', 'duckdb'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    bound = {t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets
             if isinstance(t, ast.Name)}  # fmt: skip
    return functions | {name for name in bound if name.startswith("Test")}


def laws() -> list[tuple[str, list[str]]]:
    """Return (law, the tests that prove it)."""
    rows = re.findall(r"^\| (?!law|---)(.*?) \| (.*) \|$", page("laws.md"), re.MULTILINE)
    return [(law, re.findall(r"`(tests/[^`]+)`", proof)) for law, proof in rows]


@pytest.mark.parametrize(("law", "proofs"), laws(), ids=lambda value: str(value)[:60])
def test_a_law_names_tests_that_exist(law: str, proofs: list[str]) -> None:
    assert proofs, law
    for proof in proofs:
        path, _, name = proof.partition("::")
        assert name in names_in(path), proof


def test_a_test_of_the_laws_module_is_on_the_page() -> None:
    named = {proof for _, proofs in laws() for proof in proofs}
    assert len(laws()) > 40
    own = {f"tests/test_laws.py::{name}" for name in names_in("tests/test_laws.py")}
    assert {name for name in own if "::test_" in name} <= named


def test_the_readme_names_every_page() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    missing = [path.name for path in DOCS.glob("*.md") if f"(docs/{path.name})" not in readme]
    assert missing == []


def test_the_mapping_page_shows_every_field_and_its_example_imports(tmp_path: Path) -> None:
    text = page("mapping.md")
    named = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Mapping))
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    table, mapping = tmp_path / "log.csv", tmp_path / "mapping.toml"
    table.write_text(blocks[0], encoding="utf-8")
    mapping.write_text(blocks[1], encoding="utf-8")

    report = import_log(table, mapping=load_mapping(mapping))
    assert (report.failed, report.anomalies) == ([], 0)
    assert report.log is not None
    calls = report.log.sql("SELECT agent_id, name, status FROM activities").rows()
    assert calls == [("drone", "survey the roof", "completed")]
