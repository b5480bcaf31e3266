"""The page and the kernel answer alike, and as the causal order does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Page
from views import ask, open_page, trip

import flowlab as fl
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.scenarios import SCENARIOS
from flowlab.widgets import Explorer
from flowlab.widgets.content import MAX_LOCAL


def kernel_answer(view: Explorer, **question: Any) -> dict[str, Any]:
    answer, buffers = view._kernel.answer(question)
    marks = [np.unpackbits(np.frombuffer(b, np.uint8), bitorder="little") for b in buffers]
    rows = [np.flatnonzero(m).tolist() for m in marks]
    return answer | dict(zip(("past", "future"), rows, strict=False))


@pytest.mark.parametrize("scenario", ["trip", "choreographed_order", "review"])
def test_the_page_and_the_kernel_answer_alike(
    offline_page: Page, tmp_path: Path, scenario: str
) -> None:
    log = fl.simulate(SCENARIOS[scenario], seed=1, faults="crashes").log
    view = log.explore()
    page = open_page(offline_page, log, tmp_path)
    rows = ask(
        page,
        """[...Array(v.log.size).keys()].map((row) => {
            const about = v.answers.about(row);
            const list = (marks) => [...marks].flatMap((one, n) => (one ? [n] : []));
            return { past: list(about.past), future: list(about.future), clock: [...about.clock],
              causes: about.causes, effects: about.effects, payload: about.payload.text,
              time: v.answers.critical(row, "time"), depth: v.answers.critical(row, "depth") };
        })""",
    )
    for row, of_page in enumerate(rows):
        of_kernel = kernel_answer(view, flowlab="about", row=row, order=True)
        for name in ("past", "future", "clock", "payload"):
            assert of_page[name] == of_kernel[name], (row, name)
        for name in ("causes", "effects"):
            told = [
                sorted((e["row"], e["kind"]) for e in side[name]) for side in (of_page, of_kernel)
            ]
            assert told[0] == told[1], (row, name)
        for kind in ("time", "depth"):
            critical = kernel_answer(view, flowlab="critical", row=row, kind=kind)["rows"]
            assert of_page[kind] == critical
    pairs = [(a, b) for a in range(0, len(log), 7) for b in range(0, len(log), 5)]
    words = ask(page, "a.map(([x, y]) => { const r = v.answers.relate(x, y);"
                " return [r.word, r.path.length]; })", pairs)  # fmt: skip
    for (one, other), (word, length) in zip(pairs, words, strict=True):
        related = kernel_answer(view, flowlab="relate", first=one, second=other)
        assert (word, length) == (related["word"], len(related["path"]))
        assert word == view._content.order.relation(one, other)


def test_a_vector_clock_in_the_view_is_the_one_of_the_causal_order() -> None:
    log = trip()
    view = log.explore()
    names = [name for _, _, name in view._content.lanes.names]
    for row in range(len(log)):
        clock = kernel_answer(view, flowlab="about", row=row, order=True)["clock"]
        told = {name: count for name, count in zip(names, clock, strict=True) if count}
        assert told == view.log.causality.vector_clock(row)


def test_what_a_view_may_not_ask_is_an_error_that_names_it() -> None:
    view = trip().explore()
    with pytest.raises(InvalidArgumentError, match="expected about, relate or critical"):
        view._kernel.answer({"flowlab": "eval", "row": 0})
    with pytest.raises(NotFoundError, match="no row 70"):
        view._kernel.answer({"flowlab": "about", "row": 70})


def test_a_selection_from_python_is_whatever_names_an_event() -> None:
    view = trip().explore()
    event = view.log.events()[3]
    for value in (event, event.id, 3, [event], (event.workflow_id, event.sequence), [3]):
        view.selected = ()
        view.selected = value
        assert view.selected == (event.id,)
        assert view.selected_events.events() == [event]
    with pytest.raises(InvalidArgumentError, match="3 events are selected"):
        view.selected = [1, 2, 3]
    with pytest.raises(NotFoundError):
        view.selected = [("trip-9", 1)]
    assert view.selected == (event.id,)


def test_a_range_and_a_cut_from_python_are_checked_and_cut_the_log() -> None:
    view = trip().explore()
    view.range_ns = (0, 10**8)
    assert {event.time_ns <= 10**8 for event in view.range_events} == {True}
    assert len(view.range_events) == sum(event.time_ns <= 10**8 for event in view.log)
    view.range_ns = None
    assert len(view.range_events) == 70
    view.cut = {"hotel": 2, "trip-1": 1}
    assert view.cut["airline"] == 0
    agents = [event.agent_id for event in view.cut_events]
    assert sorted(agents) == ["hotel", "hotel", "trip-1"]
    view.cut = None
    assert len(view.cut_events) == 0
    assert view.cut is None
    for wrong in ({"nobody": 1}, {"hotel": 99}):
        with pytest.raises((NotFoundError, InvalidArgumentError)):
            view.cut = wrong
    with pytest.raises(InvalidArgumentError, match="the earlier first"):
        view.range_ns = (5, 1)


def test_the_agents_of_a_cut_are_named_by_their_run_where_there_are_several() -> None:
    one, other = (fl.simulate(SCENARIOS["trip"], seed=seed).log for seed in (1, 2))
    view = fl.EventLog.concat([one, other]).explore()
    view.cut = {("trip-2", "hotel"): 3}
    assert len(view.cut) == len(view._content.lanes.names)
    assert {event.run_id for event in view.cut_events} == {"trip-2"}
    assert [info.run_id for info in view.cut_events.runs] == ["trip-2"]


def test_a_large_log_keeps_its_payloads_in_the_kernel() -> None:
    size = MAX_LOCAL + 1
    table = pa.table(
        {
            "workflow_id": ["w"] * size,
            "sequence": list(range(1, size + 1)),
            "event_type": ["Signaled"] * size,
            "time_ns": list(range(size)),
            "payload": [b"secret-%d" % n for n in range(size)],
        }
    )
    view = fl.EventLog.from_table(table).explore()
    assert b"secret" not in view._data
    assert kernel_answer(view, flowlab="about", row=7)["payload"] == "secret-7"


def test_a_page_is_saved_as_html_and_nothing_else(tmp_path: Path) -> None:
    """`view.save("run.png")` wrote a page that no viewer of pictures opens."""
    with pytest.raises(
        InvalidArgumentError, match=r"'run.png'; expected a name in \.html; .*\.png"
    ):
        trip().explore().save(tmp_path / "run.png")
    assert trip().explore().save(tmp_path / "run.html").exists()


@pytest.mark.parametrize("last", [4, 2**62, 2**63 - 1])
def test_a_large_log_is_shown_whatever_its_sequences_are(
    monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    # Streams and sequences were multiplied into one number, which did not fit 64 bits; and bars
    # stood in the order in which a database happened to answer.
    monkeypatch.setattr("flowlab.widgets.content.MAX_LOCAL", 2)
    log = fl.EventLog.from_events([
        {"workflow_id": flow, "sequence": number, "event_type": kind, "time_ns": min(number, 9)}
        for flow in "abc"
        for number, kind in ((1, "ActivityScheduled"), (last, "WorkflowCompleted"))
    ])  # fmt: skip

    columns = log.explore()._content.columns

    assert columns["bar"].reshape(-1, 8)[:, 3].tolist() == [0, 1, 2]


def test_a_cut_of_the_view_is_numbers_by_agent() -> None:
    view = trip().explore()
    with pytest.raises(InvalidArgumentError, match=r"cut is Cut\(.*expected how far each agent is"):
        view.cut = view.log.causality.cut(time_ns=10**8)
