"""The picture and the page: deterministic, whole, offline, and true to the relations."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.cli import main
from flowlab.events import Event, EventLog
from flowlab.figures import space_time
from flowlab.interop import export_log, import_log
from flowlab.interop.samples import sample_history, write_samples
from flowlab.studies import build_report

ALLOWED = {"svg", "title", "desc", "g", "rect", "line", "path", "circle", "text"}


@pytest.fixture(scope="module")
def log() -> EventLog:
    """Give the sample's log."""
    with TemporaryDirectory() as folder:
        found = import_log(write_samples(folder)).log
    assert found is not None
    return found


def test_a_picture_is_equal_to_the_byte_whatever_the_order_of_rows(log: EventLog) -> None:
    order = list(reversed(range(len(log))))
    turned = EventLog(log.table.take(pa.array(order)), log.runs, log.anomalies)

    assert space_time(turned).svg == space_time(log).svg


def test_a_picture_has_only_what_survives_elsewhere(log: EventLog) -> None:
    root = ET.fromstring(space_time(log).svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    names = {name for element in root.iter() for name in element.attrib}

    assert tags <= ALLOWED
    assert not {name for name in names if name.startswith("on") or name in {"style", "href"}}


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4, unique=True))
def test_any_id_gives_a_well_formed_picture_and_page(names: list[str]) -> None:
    events = [
        Event.of(name, workflow_id=name, sequence=1, agent_id=name, name=name, time_ns=number)
        for number, name in enumerate(names)
    ]
    made = EventLog.from_events(events)

    ET.fromstring(space_time(made).svg)
    assert "<script" not in build_report(made).html.lower()


def test_the_limit_is_said_in_the_picture(log: EventLog) -> None:
    assert "showing 5 of 53 events" in space_time(log, limit=5).svg


def test_every_call_is_named_in_the_text(log: EventLog) -> None:
    text = space_time(log).text
    for name, status in log.sql("SELECT name, status FROM activities").rows():
        assert f"{status:<9} | {name}" in text


def test_the_sample_goes_out_as_it_came_in(log: EventLog, tmp_path: Path) -> None:
    (path,) = export_log(log, "temporal", tmp_path / "out")
    again = import_log(path).log
    assert again is not None
    assert again.digest == log.digest
    assert sample_history() == sample_history()


def test_a_page_shows_the_numbers_of_its_own_sql_and_refers_to_nothing(log: EventLog) -> None:
    html = build_report(log).html

    assert "planner" in html
    assert "SoldOut" in str(log.sql("SELECT payload FROM events").rows())
    assert re.search(r"<td>book_hotel</td>.*?<td>failed</td>|book_hotel", html)
    assert not re.search(r"(src|href)\s*=|@import|url\(", html)
    assert html.count("<summary>SQL</summary>") == 7


def test_the_demo_ends_with_the_path_of_its_page_and_can_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = set()
    for _ in range(2):
        assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
        pages.add(capsys.readouterr().out.splitlines()[-1])
    assert len(pages) == 2
    assert all(Path(page).is_absolute() and Path(page).exists() for page in pages)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_offline_without_errors(
    log: EventLog, tmp_path: Path, page: object, scheme: str
) -> None:
    path = build_report(log).save(tmp_path / "report.html")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))  # type: ignore[attr-defined]
    page.emulate_media(color_scheme=scheme)  # type: ignore[attr-defined]
    page.goto(path.as_uri())  # type: ignore[attr-defined]
    assert page.locator("svg").count() == 1  # type: ignore[attr-defined]
    assert errors == []
