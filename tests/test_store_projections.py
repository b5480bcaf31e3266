"""Projections: however they live, they are the fold of the log, and nobody is lied to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowlab.errors import (
    CorruptionError,
    FlowlabError,
    FormatVersionError,
    InvalidArgumentError,
    InvalidKeyError,
    LimitError,
    NotFoundError,
    ProjectionError,
    TruncatedError,
)
from flowlab.events import Event, EventLog
from flowlab.store import EventStore, Projection, Projector, projection
from flowlab.store import inline as inline_module
from flowlab.store.admission import Batch
from flowlab.store.containers import PROJECTION, read_container
from flowlab.store.group_commit import Request

UNLUCKY = 13


def paid(amount: int, workflow_id: str = "", **fields: Any) -> Event:
    return Event.of("Paid", workflow_id=workflow_id, payload={"amount": amount}, **fields)


def add(total: int, event: Event) -> int:
    if event.data["amount"] == UNLUCKY:
        message = "unlucky"
        raise ValueError(message)
    return total + int(event.data["amount"])


def views(prefix: str = "") -> list[Projection]:
    """Return the same two folds in each life: one state, and one of each workflow."""
    found = []
    for life in ("inline", "async", "live"):
        for by in ("store", "workflow"):
            name = f"{prefix}{life}-{by}"
            declare = projection(name=name, life=life, by=by, initial=0, on=["Paid"])  # type: ignore[call-overload]
            found.append(declare(add))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as found:
        yield found


# -- the law ---------------------------------------------------------------------------------------


class ProjectionMachine(RuleBasedStateMachine):
    """Drives one store; `model` is what was acknowledged: (run, workflow, amount or None)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.model: list[tuple[str, str, int | None]] = []
        self.views = views()

    @initialize(every=st.sampled_from([1, 3, 4096]))
    def create(self, every: int) -> None:
        self.every, inline_module.SAVE_EVERY = inline_module.SAVE_EVERY, every  # type: ignore[misc]
        self.open()
        self.reader = EventStore(self.folder / "s", read_only=True)
        self.reader.register(*self.views)

    def open(self) -> None:
        self.store = EventStore(self.folder / "s", seal_events=9)
        self.store.register(*self.views)

    def remember(self, run: str, flow: str, amounts: list[int | None]) -> None:
        self.model += [(run, flow, amount) for amount in amounts]

    @staticmethod
    def events(amounts: list[int | None], flow: str = "", run: str = "") -> list[Event]:
        return [
            Event.of("Other", workflow_id=flow, run_id=run)
            if amount is None
            else paid(amount, flow, run_id=run)
            for amount in amounts
        ]

    amounts = st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=4)
    flows = st.sampled_from(["a", "b/1", "@agent"])
    runs = st.sampled_from(["", "r"])

    @rule(amounts=amounts, flow=flows, run=runs)
    def append(self, amounts: list[int | None], flow: str, run: str) -> None:
        self.store.append(flow, self.events(amounts), run_id=run)
        self.remember(run, flow, amounts)

    @rule(amounts=amounts, flow=flows, run=runs)
    def append_in_bulk(self, amounts: list[int | None], flow: str, run: str) -> None:
        head = sum(row[:2] == (run, flow) for row in self.model)
        events = [
            event.replace(sequence=head + place, follows_lane=False)
            for place, event in enumerate(self.events(amounts, flow, run), 1)
        ]
        self.store.append_log(EventLog.from_events(events))
        self.remember(run, flow, amounts)

    @rule(amounts=amounts, flow=flows, bulk=st.booleans())
    def append_what_a_fold_refuses(self, amounts: list[int | None], flow: str, bulk: bool) -> None:  # noqa: FBT001
        before = self.store.snapshot().position
        events = self.events([*amounts, UNLUCKY], "fresh" if bulk else "")
        numbered = [
            event.replace(sequence=n, follows_lane=False) for n, event in enumerate(events, 1)
        ]
        with pytest.raises(ProjectionError, match="unlucky.*nothing of this call was written"):
            _ = (
                self.store.append_log(EventLog.from_events(numbered))
                if bulk
                else self.store.append(flow, events)
            )
        assert self.store.snapshot().position == before == len(self.model)

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule()
    def catch_up(self) -> None:
        self.store.catch_up()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @rule(amounts=amounts, flow=flows)
    def another_takes_over_that_knows_no_projection(
        self, amounts: list[int | None], flow: str
    ) -> None:
        with EventStore(self.folder / "s") as other:
            other.append(flow, self.events(amounts))
        self.remember("", flow, amounts)
        self.store.close()
        self.open()

    @rule(name=st.sampled_from(["inline-store", "async-workflow"]), place=st.integers(0, 10_000))
    def damage(self, name: str, place: int) -> None:
        path = self.folder / "s" / "projections" / f"{name}.state"
        if path.exists():
            data = bytearray(path.read_bytes())
            data[place % len(data)] ^= 1
            path.write_bytes(data)

    def expected(self, by: str, upto: int) -> dict[Any, int]:
        states: dict[Any, int] = {None: 0} if by == "store" else {}
        for run, flow, amount in self.model[:upto]:
            if amount is None or (by == "workflow" and flow.startswith("@")):
                continue
            place = None if by == "store" else ("default", run, flow)
            states[place] = states.get(place, 0) + amount
        return states

    @invariant()
    def every_life_shows_the_fold_of_the_log(self) -> None:
        if not hasattr(self, "store"):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of what was damaged
            for opened in (self.store, self.reader):
                for view in self.views:
                    found = opened.project(view)
                    assert found.states == self.expected(view.by, len(self.model)), view
                    assert (found.status.position, found.status.lag_events) == (len(self.model), 0)

    @rule(data=st.data())
    def travel(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.model)))
        snapshot = self.reader.as_of(position=position)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            key = "/projections/inline-store/materialized_state"
            assert snapshot.value(key) == self.expected("store", position)[None]
            table = snapshot.query("SELECT * FROM projections WHERE view = 'live-workflow'")
        rows = zip(*(table.column(name).to_pylist() for name in STREAM_AND_STATE), strict=True)
        expected = self.expected("workflow", position)
        assert {row[:3]: json.loads(row[3]) for row in rows} == expected

    def teardown(self) -> None:
        if hasattr(self, "store"):
            inline_module.SAVE_EVERY = self.every  # type: ignore[misc]
            self.store.close()
            self.reader.close()
        shutil.rmtree(self.folder)


STREAM_AND_STATE = ("namespace", "run_id", "workflow_id", "state")
TestProjections = ProjectionMachine.TestCase
TestProjections.settings = settings(max_examples=12, stateful_step_count=12)


# -- inline ----------------------------------------------------------------------------------------


def test_an_append_that_a_fold_refuses_takes_none_of_its_group_with_it(store: EventStore) -> None:
    (view,) = (found for found in views() if found.name == "inline-store")
    store.register(view)
    errors: list[Exception] = []

    def work(number: int) -> None:
        for step in range(10):
            amount = UNLUCKY if step == number % 10 else 1
            try:
                store.append(f"w{number}", paid(amount))
            except ProjectionError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(errors) == 8
    assert store.project(view).state == store.snapshot().position == 72


def test_what_is_refused_in_a_commit_leaves_the_others_of_it_in_their_order(
    store: EventStore,
) -> None:
    seen = projection(name="seen", life="inline", initial=[])(remember)
    store.register(seen)
    store.append("w", paid(1))
    batches = [[2], [3, UNLUCKY], [4], [UNLUCKY], [5, 6]]
    requests = [Request(Batch(("default", "", "w"), [paid(n) for n in batch])) for batch in batches]
    store._writer._lead(requests)
    assert [request.error is None for request in requests] == [True, False, True, False, True]
    store.append("w", paid(7))
    store.close()
    saved = read_container(store.path / "projections" / "seen.state", kind=PROJECTION)
    assert (saved.meta["position"], saved.body) == (6, b"[1,2,4,5,6,7]"), "what the writer held"


def remember(amounts: list[int], event: Event) -> list[int]:
    """Fold in place, and fail half way: what such a fold leaves must not be used."""
    amounts.append(event.data["amount"])
    if amounts[-1] == UNLUCKY:
        message = "unlucky"
        raise ValueError(message)
    return amounts


def test_a_state_that_is_no_json_refuses_the_append_by_name(store: EventStore) -> None:
    @projection(life="inline", initial=0)
    def sets(_: Any, event: Event) -> Any:
        return {event.event_type}

    store.register(sets)
    with pytest.raises(ProjectionError, match=r"'sets' after .*no JSON value.*nothing of this"):
        store.append("w", paid(1))
    assert store.snapshot().position == 0


def test_a_fold_that_forgets_to_return_is_told(store: EventStore) -> None:
    @projection(life="live", initial=0)
    def forgetful(state: int, event: Event) -> None: ...

    store.append("w", paid(1))
    with pytest.raises(ProjectionError, match="'forgetful' returned None.*a fold returns"):
        store.project(forgetful)


def test_an_inline_projection_that_comes_late_takes_in_what_is_there(store: EventStore) -> None:
    store.append("w", [paid(1), paid(UNLUCKY)])
    inline = views()[0]
    with pytest.raises(ProjectionError, match="failed at Event\\('w'/2 Paid"):
        store.register(inline)
    store.append("w", paid(2))

    other = projection(name="count", life="inline", initial=0)(lambda count, _: count + 1)
    store.register(other)
    store.append("w", paid(2))
    assert store.project("count").state == 4


def test_a_reader_without_the_fold_is_told_and_not_misled(
    store: EventStore, tmp_path: Path
) -> None:
    inline = views()[0]
    store.register(inline)
    store.catch_up()
    store.append("w", paid(4))
    with EventStore(tmp_path / "s", read_only=True) as reader:
        key = "/projections/inline-store/materialized_state"
        with pytest.raises(NotFoundError, match="saved as of position 0, and this is position 1"):
            reader.value(key)
        told = "SELECT position, lag_events, state FROM projections"
        assert reader.sql(told).rows() == [(0, 1, "0")]
        reader.register(inline)
        assert reader.value(key) == 4
        assert reader.sql(told).rows() == [(1, 0, "4")]


# -- async -----------------------------------------------------------------------------------------


def test_state_and_position_are_saved_together_and_lag_is_told(store: EventStore) -> None:
    view = views()[2]
    store.append("w", [paid(1), paid(2)])
    (status,) = store.catch_up(view)
    assert (status.position, status.lag_events, status.lag_ns) == (2, 0, 0)
    store.append("w", paid(3))
    store.append("w", paid(4))
    (status,) = store.projections()
    marks = store.snapshot().tail.marks()  # type: ignore[union-attr]
    assert (status.position, status.lag_events) == (2, 2)
    assert status.lag_ns == marks[-1].committed_ns - marks[0].committed_ns > 0
    path = store.path / "projections" / "async-store.state"
    content = read_container(path, kind=PROJECTION)
    assert (content.meta["position"], content.body) == (2, b"3")


def test_a_catching_up_that_stops_anywhere_folds_each_event_once(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowlab.store.projecting.SAVE_EVENTS", 10)
    store.append("w", [paid(1)] * 95)
    view = projection(name="count", initial=0)(lambda count, _: count + 1)
    reached = []

    def stop(position: int, end: int) -> None:
        reached.append((position, end))
        if position == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.catch_up(view, progress=stop)
    assert reached[-1] == (50, 95)
    assert store.projections()[0].position == 40
    assert store.project(view).state == 95


def test_a_fold_that_fails_leaves_what_was_saved(store: EventStore) -> None:
    view = views()[2]
    store.append("w", paid(1))
    store.catch_up(view)
    store.append("w", [paid(2), paid(UNLUCKY)])
    with pytest.raises(ProjectionError, match="at Event\\('w'/3"):
        store.catch_up(view)
    assert store.sql("SELECT position, state FROM projections").rows() == [(1, "1")]


def test_a_projector_keeps_up_with_writers_and_tells_what_stopped_it(store: EventStore) -> None:
    by_store, by_flow = views()[2:4]
    with Projector(store, by_store, by_flow, interval_s=0.001) as projector:
        threads = [
            threading.Thread(target=lambda n=n: [store.append(f"w{n}", paid(1)) for _ in range(20)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        projector.wait(80)
        rows = store.sql("SELECT view, position, state FROM projections ORDER BY ALL").rows()
        assert rows == [
            ("async-store", 80, "80"),
            *(("async-workflow", 80, "20") for _ in range(4)),
        ]
        last = store.append("w", paid(UNLUCKY)).last_position
        with pytest.raises(ProjectionError, match="unlucky"):
            projector.wait(last)
    assert isinstance(projector.error, ProjectionError)
    assert repr(projector) == "Projector(2 projections, stopped)"
    with pytest.raises(LimitError, match="is it started"):
        Projector(store, by_store).wait(1, timeout_s=0)
    with pytest.raises(InvalidArgumentError, match="got 0 and"):
        Projector(store)


LEFT_OPEN = """
import sys
from flowlab import EventStore, projection
from flowlab.store import Projector
store = EventStore(sys.argv[1])
count = projection(name="count", initial=0)(lambda state, event: state + 1)
store.append("w", [{"event_type": "A"}] * 3)
store.sql("SELECT 1")
projector = Projector(store, count)
projector.start()
projector.wait(3)
"""


# The thread outlived what DuckDB had in it, and its binding told of hundreds of leaked objects.
def test_a_program_that_leaves_its_projector_running_ends_without_a_word(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEFT_OPEN, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout + ended.stderr == ""
    with EventStore(tmp_path) as store:
        assert store.sql("SELECT position, state FROM projections").rows() == [(3, "3")]


# -- versions, damage, recovery --------------------------------------------------------------------


def test_another_version_is_built_again_with_a_warning(store: EventStore) -> None:
    store.append("w", [paid(1), paid(2)])
    first = projection(name="v", initial=0)(lambda count, _: count + 1)
    store.catch_up(first)
    second = projection(name="v", initial=0, version=2)(lambda count, _: count + 10)
    with pytest.warns(RuntimeWarning, match="version 1, now 2"):
        assert store.project(second).state == 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.project(second).state == 20


def test_every_cut_and_every_flipped_bit_of_a_state_file_is_found(store: EventStore) -> None:
    view = views()[2]
    store.append("w", paid(7))
    store.catch_up(view)
    path = store.path / "projections" / "async-store.state"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptionError):
            read_container(path, kind=PROJECTION)
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises((CorruptionError, FormatVersionError)):
            read_container(path, kind=PROJECTION)
    with pytest.warns(RuntimeWarning, match="built again from the log"):
        assert store.project(view).state == 7
    assert read_container(path, kind=PROJECTION).body == b"7"


def test_recovery_builds_the_critical_ones_and_names_the_others(store: EventStore) -> None:
    store.append("w", [paid(1)] * 5)
    folded: list[str] = []

    def counting(name: str, *, critical: bool) -> Projection:
        def count(state: int, _: Event) -> int:
            folded.append(name)
            return state + 1

        return projection(name=name, initial=0, critical=critical)(count)

    store.register(counting("ledger", critical=True), counting("report", critical=False))
    report = store.recover_projections()
    assert [status.view for status in report.ready] == ["ledger"]
    assert report.ready[0].lag_events == 0
    assert report.lazy == ("report",)
    assert folded == ["ledger"] * 5
    assert store.project("report").state == 5, "the others are caught up at their first use"


def test_a_rebuild_reports_progress_and_forgets_what_was_saved(store: EventStore) -> None:
    store.append("w", [paid(1), paid(2)])
    step = [1]
    view = projection(name="v", initial=0)(lambda count, _: count + step[0])
    store.catch_up(view)
    step[0] = 5
    reached: list[tuple[int, int]] = []
    status = store.rebuild(view, progress=lambda *at: reached.append(at))
    assert (status.position, reached) == (2, [(2, 2)])
    assert store.value("/projections/v/materialized_state") == 10


def test_a_state_of_more_than_the_log_holds_is_not_believed(store: EventStore) -> None:
    view = projection(name="v", initial=0)(lambda count, _: count + 1)
    copy = store.path.with_name("copy")
    store.append("w", [paid(1), paid(2)])
    shutil.copytree(store.path, copy)
    store.append("w", [paid(3)])
    store.catch_up(view)
    shutil.copy(store.path / "projections" / "v.state", copy / "v")
    (copy / "projections").mkdir(exist_ok=True)
    shutil.move(copy / "v", copy / "projections" / "v.state")
    with EventStore(copy) as older:
        assert older.project(view).state == 2
        older.append("w", [paid(4), paid(5)])
        assert older.project(view).state == 4


# -- truncation ------------------------------------------------------------------------------------


def test_a_truncation_lets_every_state_fold_what_goes_first(store: EventStore) -> None:
    inline, by_store = views()[0], views()[2]
    store.register(inline, by_store)
    store.append("w", [paid(1), paid(2)])
    store.append("v", paid(4))
    store.truncate("w", upto=2)
    store.append("w", paid(8))
    assert store.project(inline).state == store.project(by_store).state == 15


def test_a_truncation_is_refused_where_a_saved_state_would_miss_what_goes(
    store: EventStore, tmp_path: Path
) -> None:
    store.append("w", paid(1))
    store.catch_up(views()[2])
    store.append("w", [paid(2), paid(4)])
    with EventStore(tmp_path / "s") as other:
        with pytest.raises(InvalidArgumentError, match="'async-store' is saved as of position 1.*"
                           "nothing was truncated"):  # fmt: skip
            other.truncate("w", upto=2)
        assert other.read("/workflows/w").table.num_rows == 3
        assert other.truncate("w", upto=1).events == 1, "that is in the state"
        other.register(views()[2])
        other.truncate("w", upto=2)
        assert other.project("async-store").state == 7


def test_a_state_over_a_truncated_stream_holds_what_is_gone_and_is_not_built_without_it(
    store: EventStore,
) -> None:
    by_store, by_flow = views()[2:4]
    store.append("w", [paid(1), paid(2), paid(4)])
    store.append("v", paid(8))
    store.catch_up(by_store, by_flow)
    store.truncate("w", upto=2)
    store.append("w", paid(16))
    assert store.project(by_store).state == 31
    assert store.project(by_flow).of("w") == 23

    for view in (by_store, by_flow):
        with pytest.raises(TruncatedError, match="events 1 to 2 of 'w' were truncated"):
            store.rebuild(view)
    assert store.project(by_store).state == 31, "what was saved stays"
    (store.path / "projections" / "async-store.state").unlink()
    with pytest.raises(TruncatedError, match="state file back from a copy"):
        store.project(by_store)
    whole = projection(name="v", initial=0, of="/workflows/v", on=["Paid"])(add)
    assert store.project(whole).state == 8
    live = views()[4]
    with pytest.raises(TruncatedError):
        store.project(live)


# -- keys, SQL, arguments --------------------------------------------------------------------------


def test_a_projection_folds_the_events_of_its_key(store: EventStore) -> None:
    for run, flow in (("", "a1"), ("", "a2"), ("", "b"), ("r", "a1")):
        store.append(flow, paid(1, agent_id="bob" if flow == "b" else ""), run_id=run)
    store.append("a1", paid(1), namespace="n")
    expected = {
        "/": 5,
        "/workflows": 3,
        "/workflows/a*": 2,
        "/workflows/a1": 1,
        "/runs/r": 1,
        "/namespaces/n": 1,
        "/agents/bob": 1,
        "/coordination": 0,
    }
    for life in ("async", "live"):
        for sealed in (False, True):
            found = {
                key: store.project(
                    projection(name=f"{life}{sealed}{place}", life=life, of=key, initial=0)(add)  # type: ignore[call-overload]
                ).state
                for place, key in enumerate(expected)
            }
            assert found == expected
            store.seal()


def test_states_stand_under_their_keys_and_in_sql(store: EventStore) -> None:
    store.register(*views())
    store.append("a/1", [paid(1), paid(2)])
    store.append("a/1", paid(3), run_id="r")
    store.catch_up()
    for life in ("inline", "async", "live"):
        below = f"projections/{life}-workflow/materialized_state"
        assert store.value(f"/workflows/a%2F1/{below}") == 3
        assert store.value(f"/runs/r/workflows/a%2F1/{below}") == 3
        assert store.value(f"/projections/{life}-store/materialized_state") == 6
    rows = store.sql(
        "SELECT view, run_id, workflow_id, life, critical, version, position, lag_events, state "
        "FROM projections WHERE life = 'async' ORDER BY ALL"
    ).rows()
    assert rows == [
        ("async-store", None, None, "async", False, 1, 3, 0, "6"),
        ("async-workflow", "", "a/1", "async", False, 1, 3, 0, "3"),
        ("async-workflow", "r", "a/1", "async", False, 1, 3, 0, "3"),
    ]


def test_a_key_without_a_value_is_refused_by_name(store: EventStore) -> None:
    store.append("w", paid(1))
    store.register(*views())
    store.catch_up()
    for key, error, words in (
        ("/workflows/w/events", InvalidKeyError, "store.read"),
        ("/projections/nothing", NotFoundError, "there are 'async-store'"),
        ("/projections/async-workflow", InvalidKeyError, "a state of each workflow"),
        ("/workflows/w/projections/async-store", InvalidKeyError, "one state for the whole"),
        ("/workflows/none/projections/async-workflow", NotFoundError, "the nearest are"),
        ("/runs/r/projections/v", InvalidKeyError, "no namespace or run"),
    ):
        with pytest.raises(error, match=words):
            store.value(key)
    with pytest.raises(InvalidKeyError, match="store.value"):
        store.read("/projections/async-store")
    with pytest.raises(NotFoundError, match="no projection 'other' is known"):
        store.project("other")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"life": "eager"}, "life is 'eager'"),
        ({"by": "agent"}, "by is 'agent'"),
        ({"on": "Paid"}, "on is 'Paid'"),
        ({"on": []}, "on is \\[\\]"),
        ({"of": "workflows"}, "of is no key"),
        ({"of": "/workflows/w/events/7"}, "whole workflows"),
        ({"initial": {1}}, "no JSON value"),
        ({"version": 0}, "version is 0"),
        ({"critical": 1}, "critical is 1"),
        ({"life": "live", "critical": True}, "never stored"),
        ({"name": ""}, "name of a projection"),
        ({"name": "x" * 201}, "MAX_NAME_BYTES"),
        ({"name": ".x"}, "dot"),
    ],
)
def test_a_wrong_declaration_is_refused_by_the_argument(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        projection(**arguments)(add)


def test_what_is_no_projection_is_refused(store: EventStore) -> None:
    with pytest.raises(InvalidArgumentError, match="is no projection"):
        store.register(add)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="has neither"):
        projection(type("Empty", (), {"initial": 0}))
    with pytest.raises(InvalidArgumentError, match="know no case"):
        store.register(projection(name="A")(add), projection(name="a")(add))
    with (
        pytest.raises(FlowlabError, match="open for reading only"),
        EventStore(store.path, read_only=True) as reader,
    ):
        reader.catch_up()
