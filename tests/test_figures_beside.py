"""Two logs on one axis: what is in one alone is framed, and what is the same is pale."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_worlds import STORMY, booking, unruled
from test_figures import logs

from flowlab import EventLog
from flowlab.errors import InvalidArgumentError
from flowlab.events.matching import match_events
from flowlab.figures import beside, theme
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.simulation import Faults, diff, simulate

SVG = "{http://www.w3.org/2000/svg}"


def frames(svg: str) -> tuple[int, int]:
    """Count the frames of what is above alone and of what is below alone, legend included."""
    rects = [
        item
        for item in ET.fromstring(svg).iter(f"{SVG}rect")
        if item.get("stroke-width") == "2" and item.get("fill") == "none"
    ]
    gone = [item for item in rects if item.get("stroke") == theme.VERMILION]
    assert all(item.get("stroke-dasharray") for item in gone)
    return len(gone), len(rects) - len(gone)


@settings(max_examples=40)
@given(logs(), logs())
def test_any_two_logs_give_one_well_formed_picture_of_safe_parts(a: EventLog, b: EventLog) -> None:
    for log in (a, b):
        if len({(event.namespace, event.run_id) for event in log}) > 1:
            with pytest.raises(InvalidArgumentError, match="take one of them"):
                beside(a, b)
            return
    picture = beside(a, b)
    tree = ET.fromstring(picture.svg)
    assert {item.tag.removeprefix(SVG) for item in tree.iter()} <= ELEMENTS
    assert {name for item in tree.iter() for name in item.attrib} <= ATTRIBUTES
    assert beside(a, b) == picture


@settings(max_examples=15)
@given(st.integers(0, 1_000))
def test_frames_stand_around_all_that_is_in_one_log_alone_and_nothing_else(seed: int) -> None:
    run = simulate(booking, seed=seed, faults=STORMY)
    same = beside(run.log, run.twin().log)
    assert frames(same.svg) == (0, 0)
    assert same.text.splitlines()[1] == "the same, event by event"
    twin = run.twin(without=run.faults)
    found = match_events(run.log, twin.log)
    picture = diff(run, twin).diagram()
    above, below = frames(picture.svg)
    # One frame may stand around several events of one call; the legend has one of each kind.
    assert (above > 0) == bool(len(found.only_a))
    assert (below > 0) == bool(len(found.only_b))
    assert above <= len(found.only_a) + 1
    assert below <= len(found.only_b) + 1
    lines = picture.text.splitlines()
    assert sum(line.startswith("- ") for line in lines) == min(len(found.only_a), 40) + (
        len(found.only_a) > 40
    )
    assert frames(beside(twin.log, run.log).svg) == (below, above)


def test_both_logs_are_on_one_axis() -> None:
    run = simulate(unruled, seed=3, faults=Faults(fail=0.6))
    twin = run.twin(without=run.faults)
    svg = beside(run.log, twin.log, headings=("as it was", "without faults"), title="a till").svg
    ticks = [
        (item.get("x"), item.text)
        for item in ET.fromstring(svg).iter(f"{SVG}text")
        if item.get("text-anchor") == "middle"
    ]
    assert len(ticks) > 2
    assert sorted(ticks) == sorted(2 * list(dict.fromkeys(ticks)))
    words = {item.text for item in ET.fromstring(svg).iter(f"{SVG}text")}
    assert {"a till", "as it was", "without faults", "only above", "only below"} <= words


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"width": 20}])
def test_a_picture_of_no_size_is_refused(wrong: dict[str, int]) -> None:
    log = simulate(unruled).log
    with pytest.raises(InvalidArgumentError, match="limit is"):
        beside(log, log, **wrong)


def test_a_log_may_be_beside_one_without_events() -> None:
    log, empty = simulate(unruled).log, EventLog.from_events([])
    assert frames(beside(log, empty).svg)[0] > 1
    assert beside(empty, empty).text.splitlines()[1] == "the same, event by event"


ONE = "A: x >m a3 | B: y <m z"
OTHER = "A: x >m a3 | B: <m y z w"


def words_of(svg: str) -> set[str]:
    return {item.text or "" for item in ET.fromstring(svg).iter(f"{SVG}text")}


def test_logs_that_differ_in_the_order_of_concurrent_events_alone_are_the_same_by_causes() -> None:
    a = EventLog.from_text("A: x@1 >m@2 | B: y@3 <m@9")
    b = EventLog.from_text("B: y@1 <m@8 | A: x@5 >m@6")
    picture = beside(a, b, by="causes")
    assert picture.text.splitlines()[1] == "the same up to the order of concurrent events"
    assert not {"here they part", "only above", "the rest"} & words_of(picture.svg)


def test_by_causes_what_is_alone_what_follows_others_and_where_they_part_is_told_apart() -> None:
    a, b = EventLog.from_text(ONE), EventLog.from_text(OTHER)
    picture = beside(a, b, by="causes")
    assert "0 events only above, 1 only below, 3 in both that follow other events" in picture.text
    assert "they part at: marker recorded y of B | message received m of B" in picture.text
    assert {"only below", "in both, after other events", "here they part"} <= words_of(picture.svg)
    assert "only above" not in words_of(picture.svg)
    back = beside(b, a, by="causes")
    assert {"only above"} <= words_of(back.svg)


@settings(max_examples=25)
@given(logs(), logs())
def test_any_two_logs_give_one_picture_by_causes_too(a: EventLog, b: EventLog) -> None:
    picture = beside(a, b, by="causes")
    tree = ET.fromstring(picture.svg)
    assert {item.tag.removeprefix(SVG) for item in tree.iter()} <= ELEMENTS
    assert {name for item in tree.iter() for name in item.attrib} <= ATTRIBUTES
    assert beside(a, b, by="causes") == picture


def test_an_unknown_comparison_is_refused() -> None:
    log = EventLog.from_text(ONE)
    with pytest.raises(InvalidArgumentError, match="events or causes"):
        beside(log, log, by="time")
