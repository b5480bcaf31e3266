"""The report, the demo and the sample: whole, offline, deterministic, true to the relations."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.cli import main
from flowlab.events import Cause, Event, EventLog, connect, run_query
from flowlab.figures import space_time
from flowlab.interop import export_log, import_log
from flowlab.interop.samples import sample_history, write_samples
from flowlab.studies import build_report
from flowlab.studies.report.chains import longest_chains

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECTIONS = 10


class Nesting(HTMLParser):
    """Holds the elements that are open; each end must be that of the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def log() -> EventLog:
    """Give the sample's log."""
    with TemporaryDirectory() as folder:
        found = import_log(write_samples(folder)).log
    assert found is not None
    return found


@pytest.fixture(scope="module")
def many() -> EventLog:
    """Give 300 runs of which each third fails."""
    events = []
    for run in range(300):
        fields = {"run_id": f"run-{run:03}", "workflow_id": "w", "follows_lane": False}
        last = "ActivityFailed" if run % 3 == 0 else "ActivityCompleted"
        kinds = ("WorkflowStarted", "ActivityScheduled", "ActivityStarted", last)
        for place, kind in enumerate(kinds, 1):
            events.append(
                Event.of(
                    kind,
                    sequence=place,
                    agent_id="boss" if place < 3 else "worker",
                    agent_sequence=place,
                    name="call",
                    time_ns=place * 1000 * (run + 1),
                    causes=(Cause("w", place - 1),) if place > 1 else (),
                    **fields,
                )
            )
    return EventLog.from_events(events)


def test_a_picture_is_equal_to_the_byte_whatever_the_order_of_rows(log: EventLog) -> None:
    order = list(reversed(range(len(log))))
    turned = EventLog(log.table.take(pa.array(order)), log.runs, log.anomalies)

    assert space_time(turned).svg == space_time(log).svg


@settings(max_examples=20)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4, unique=True))
def test_any_id_gives_a_well_formed_page(names: list[str]) -> None:
    events = [
        Event.of(name, workflow_id=name, sequence=1, agent_id=name, name=name, time_ns=number)
        for number, name in enumerate(names)
    ]
    made = EventLog.from_events(events)

    html = build_report(made).html
    assert "<script" not in html.lower()
    assert html == build_report(made).html
    nesting = Nesting()
    nesting.feed(html)
    assert nesting.open == []


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

    assert re.search(r'<td class="s">planner</td><td class="n">3</td><td class="n">3</td>', html)
    assert re.search(r">ActivityFailed</td>.*>book_hotel</td>.*>no rooms left</td>", html)
    assert not re.search(r"src\s*=|href\s*=\s*[\"'](?!#)|@import|url\(|<script", html)
    assert html.count("<summary>SQL</summary>") == SECTIONS + 1


def test_every_query_beside_a_table_runs_as_it_stands(log: EventLog) -> None:
    html = build_report(log).html
    found = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", html, re.DOTALL)
    assert len(found) == SECTIONS + 1
    for text in found:
        query = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'")
        assert log.query(query.replace("&quot;", '"').replace("&amp;", "&")).num_columns > 0


def test_every_link_of_a_page_leads_to_a_place_on_it(many: EventLog) -> None:
    html = build_report(many).html
    places = re.findall(r'\bid="([^"]+)"', html)
    assert len(places) == len(set(places))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(places)


def test_a_page_of_many_runs_stays_small_and_says_what_it_leaves_out(many: EventLog) -> None:
    html = build_report(many).html
    assert "200 of 300 rows shown" in html
    assert "12 of 300 runs shown" in html
    assert "20 of 300 chains shown" in html
    assert html.count('<details class="run"') == 12
    assert len(html) < 400_000


def test_runs_that_failed_are_drawn_first(many: EventLog) -> None:
    html = build_report(many).html
    drawn = re.findall(r'<details class="run" id="[^"]+"(?: open)?><summary>run-(\d+)', html)
    assert [int(run) % 3 for run in drawn] == [0] * 12


def test_an_empty_log_makes_a_page_that_says_so() -> None:
    html = build_report(EventLog.from_events([])).html
    assert "The log is empty: no events." in html


def test_the_longest_chain_is_the_one_that_was_waited_for() -> None:
    """Two branches join: the slow one is on the chain, and so is what it was spent on."""
    kinds = ("WorkflowStarted", "TimerStarted", "TimerFired", "ActivityScheduled")
    events = [
        Event.of(kind, workflow_id="w", sequence=n, agent_id="a", time_ns=at, name=name,
                 causes=tuple(Cause("w", c) for c in causes), follows_lane=False)
        for n, (kind, at, name, causes) in enumerate(
            zip(kinds, (0, 10, 900, 20), ("w", "nap", "nap", "quick"), ((), (1,), (2,), (1,)),
                strict=True), 1)
    ] + [
        Event.of("WorkflowCompleted", workflow_id="w", sequence=5, agent_id="a", time_ns=1000,
                 causes=(Cause("w", 3), Cause("w", 4)), follows_lane=False),
        Event.of("Signaled", workflow_id="w", sequence=6, agent_id="a", time_ns=1500,
                 follows_lane=False),
    ]  # fmt: skip
    with connect(EventLog.from_events(events)) as connection:
        (chain,) = longest_chains(lambda query: run_query(connection, query), by_time=True)

    assert chain.length_ns == 1000
    assert [link.event["sequence"] for link in chain.links] == [1, 2, 3, 5]
    assert chain.spent()[0] == ("timer nap", 890)


@settings(max_examples=40)
@given(st.data())
def test_no_chain_of_any_log_is_longer_and_each_step_is_an_edge(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    causes = [
        data.draw(st.sets(st.integers(1, n), max_size=3)) if n else set() for n in range(size)
    ]
    times = list(accumulate(data.draw(st.integers(0, 20)) for _ in range(size)))
    events = [
        Event.of("Signaled", workflow_id="w", sequence=n + 1, agent_id="a", time_ns=times[n],
                 causes=tuple(Cause("w", c) for c in sorted(causes[n])), follows_lane=False)
        for n in range(size)
    ]  # fmt: skip
    with connect(EventLog.from_events(events)) as connection:
        (chain,) = longest_chains(lambda query: run_query(connection, query), by_time=True)
    places = [link.event["sequence"] for link in chain.links]
    earliest: list[int] = []
    for n in range(size):
        earliest.append(min([events[n].time_ns, *(earliest[c - 1] for c in causes[n])]))

    assert all(a in causes[b - 1] for a, b in pairwise(places))
    assert chain.length_ns == max(events[n].time_ns - earliest[n] for n in range(size))
    assert sum(link.took_ns for link in chain.links) == chain.length_ns


def test_the_demo_ends_with_the_path_of_its_page_and_can_be_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = set()
    for _ in range(2):
        assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
        pages.add(capsys.readouterr().out.splitlines()[-1])
    assert len(pages) == 2
    assert all(Path(page).is_absolute() and Path(page).exists() for page in pages)


def test_a_report_is_named_after_the_folder_it_is_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_samples(tmp_path / "my trips")
    out = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "my trips"), "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert "<h1>my trips</h1>" in out.read_text(encoding="utf-8")


def test_a_diagram_is_written_as_its_name_says_and_under_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_samples(tmp_path)
    assert main(["diagram", str(tmp_path), "-o", str(tmp_path / "x.pdf")]) == 2
    assert ".svg" in capsys.readouterr().err
    for name, begins in (("x.svg", b"<svg"), ("x.png", b"\x89PNG"), ("x.txt", b"")):
        assert main(["diagram", str(tmp_path), "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_bytes().startswith(begins)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_offline_in_any_scheme_and_never_scrolls_sideways_as_a_whole(
    log: EventLog, tmp_path: Path, offline_page: Page, scheme: str, width: int
) -> None:
    path = build_report(log, title="Trip").save(tmp_path / "report.html")
    offline_page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    offline_page.set_viewport_size({"width": width, "height": 800})
    offline_page.goto(path.as_uri())

    assert offline_page.title() == "Trip"
    assert offline_page.locator("figure svg").count() == 2
    assert offline_page.locator("h1").count() == 1
    assert offline_page.evaluate("document.documentElement.scrollWidth") <= width
    panel = offline_page.locator("figure svg rect").first
    filled = panel.evaluate("element => getComputedStyle(element).fill")
    assert filled == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 34)"}[scheme]


def test_every_text_of_a_picture_fits_where_the_layout_put_it(
    log: EventLog, tmp_path: Path, offline_page: Page
) -> None:
    """The browser's own font is measured: no two labels meet, and none leaves the picture."""
    path = build_report(log).save(tmp_path / "report.html")
    offline_page.set_viewport_size({"width": 1280, "height": 800})
    offline_page.goto(path.as_uri())
    boxes = offline_page.locator("figure svg").first.evaluate(
        """svg => [...svg.querySelectorAll('text')].map(text => {
            const b = text.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height];
        })"""
    )
    assert len(boxes) > 30
    meeting = [
        (a, b)
        for place, a in enumerate(boxes)
        for b in boxes[:place]
        if a[0] + 1 < b[2] and b[0] + 1 < a[2] and a[1] + 3 < b[3] and b[1] + 3 < a[3]
    ]
    assert meeting == []
    assert all(box[0] >= 0 and box[2] <= 1200 for box in boxes)


def test_the_page_can_be_used_by_keyboard(
    log: EventLog, tmp_path: Path, offline_page: Page
) -> None:
    path = build_report(log).save(tmp_path / "report.html")
    offline_page.goto(path.as_uri())
    summary = offline_page.locator("details.run summary").first
    assert offline_page.locator("details.run").first.get_attribute("open") is not None
    summary.focus()
    offline_page.keyboard.press("Enter")
    assert offline_page.locator("details.run").first.get_attribute("open") is None
    assert offline_page.locator("[role=region]:not([tabindex])").count() == 0
