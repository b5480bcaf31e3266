"""The module of the live view: every file of it, readable, and with nothing that fetches."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from flowlab.widgets.module import FILES, module
from flowlab.widgets.page import page_of

FOLDER = Path(__file__).parent.parent / "flowlab" / "widgets" / "js"
SOURCES = sorted(FOLDER.glob("*.js"))
MAX_LINES = 400
MAX_WIDTH = 120


def test_the_module_is_every_file_once_and_the_style_sheet() -> None:
    assert sorted(FILES) == [source.stem for source in SOURCES]
    text = module()
    assert all(source.read_text(encoding="utf-8") in text for source in SOURCES)
    assert "</script" not in text
    assert "\nexport default { initialize, render };" in text


def test_no_two_files_of_the_module_give_one_name_to_two_things() -> None:
    found = re.findall(
        r"^(?:const|let|class|function|async function) (\w+)", module(), re.MULTILINE
    )
    assert [name for name, count in Counter(found).items() if count > 1] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_file_of_the_module_reads_in_one_sitting(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= MAX_LINES
    assert [line for line in lines if len(line) > MAX_WIDTH] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_nothing_of_a_log_becomes_markup_or_code_and_nothing_is_fetched(source: Path) -> None:
    text = source.read_text(encoding="utf-8").replace('"http://www.w3.org/2000/svg"', "")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http"):
        assert way not in text, way
    assert not re.search(r"\b(fetch|XMLHttpRequest|import)\b\s*\(", text)


def test_a_page_allows_no_address() -> None:
    import flowlab as fl
    from flowlab.widgets.content import read_content

    page = page_of(read_content(fl.EventLog.from_events([]), title="empty"))
    assert "default-src 'none'" in page
    assert re.findall(r"(?:src|href)\s*=", page) == []
