"""The module of the live view: every file of it, readable, and with nothing that fetches."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from flowlab.widgets.module import COST_FILES, FILES, TIME_FILES, joined, module
from flowlab.widgets.page import page_of

FOLDER = Path(__file__).parent.parent / "flowlab" / "widgets"
SOURCES = sorted(FOLDER.glob("js*/*.js"))
OTHERS = {"js_cost": COST_FILES, "js_time": TIME_FILES}
"""The modules beside that of the view of a log, by their folder."""
MAX_LINES = 400
MAX_WIDTH = 120


def test_the_module_is_every_file_once_and_the_style_sheet() -> None:
    own = [source for source in SOURCES if source.parent.name == "js"]
    assert sorted(FILES) == [source.stem for source in own]
    text = module()
    assert all(source.read_text(encoding="utf-8") in text for source in own)
    assert "</script" not in text
    assert "\nexport default { initialize, render };" in text


@pytest.mark.parametrize("folder", OTHERS)
def test_another_module_is_every_file_of_its_folder_and_shared_ones(folder: str) -> None:
    own = [f"{folder}/{source.stem}" for source in SOURCES if source.parent.name == folder]
    assert sorted(name for name in OTHERS[folder] if name.startswith(folder)) == own
    text = joined(OTHERS[folder], f"{folder}/style")
    assert "</script" not in text
    assert "\nexport default { initialize, render };" in text


@pytest.mark.parametrize("folder", ["js", *OTHERS])
def test_no_two_files_of_a_module_give_one_name_to_two_things(folder: str) -> None:
    text = module() if folder == "js" else joined(OTHERS[folder], f"{folder}/style")
    found = re.findall(r"^(?:const|let|class|function|async function) (\w+)", text, re.MULTILINE)
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
