"""Everything unfinished comes back: the same rows for any number of processes and any scheme."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from plan_hosts import PlanHost
from recovery_host import STREAM
from test_workflow_savepoint import Progress
from workflow_host import Host

from flowlab.errors import InvalidArgumentError
from flowlab.events import Cause, Event
from flowlab.recovery import (
    Cached,
    Checkpointed,
    EveryEvents,
    Incremental,
    Recovered,
    Replay,
    recover,
)
from flowlab.recovery.restoring import contents
from flowlab.runtime import Standing
from flowlab.runtime.scheme import Executing, execution_of
from flowlab.store import EventStore, projection
from flowlab.workflow import (
    Choreography,
    Plan,
    PlanExecution,
    Program,
    Reaction,
    Sequential,
    Step,
    WorkflowContext,
    workflow,
)

PLAN = Program.of(Sequential(*(Step(f"s{i}", agent="a", compensation="u") for i in range(12))))


@workflow(state=Progress)
async def batch(ctx: WorkflowContext, count: int, state: Progress) -> int:
    while state.next < count:
        state.total += await ctx.call_activity("add", state.next)
        state.next += 1
        await ctx.savepoint()
    return state.total


def renamed(history: list[Event], workflow_id: str, name: str) -> list[Event]:
    found = []
    for event in history:
        causes = tuple(Cause(workflow_id, c.sequence, c.kind) for c in event.causes)
        own = name if event.event_type == "WorkflowStarted" else event.name
        own_id = None if event.coordination_id is None else workflow_id
        found.append(
            event.replace(workflow_id=workflow_id, causes=causes, name=own, coordination_id=own_id)
        )
    return found


def fill(store: EventStore, scheme: Any) -> None:
    for number in range(9):
        code = number % 3 == 2
        if code:
            history = Host(batch).run(5).history
        else:
            host = PlanHost(code=PLAN)
            host.begin(None)
            for _ in range(2 + number):
                host.step()
            history = host.history
        name = f"w{number}"
        history = renamed(history, name, "batch" if code else "plan")
        if code:
            history = history[: -2 - number]
        execution: Executing = execution_of(batch if code else PLAN, name)
        standing = Standing()
        for event in history:
            store.append(name, event)
            execution.advance([event])
            standing.take(event)
            scheme.committed(store, ("default", "", name), execution, standing, [event])
    store.append("done", renamed(PlanHost(code=PLAN).begin(None).history, "done", "plan"))
    store.append("done", Event.of("WorkflowCompleted", payload={"result": 1}))
    store.append("account-1", Event.of("Deposited", payload={"amount": 1}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    with EventStore(tmp_path_factory.mktemp("recover") / "s") as found:
        fill(found, Checkpointed(EveryEvents(6)))
        yield found


def plain(rows: tuple[Recovered, ...]) -> list[Recovered]:
    return [replace(row, seconds=0.0) for row in rows]


def test_all_that_is_unfinished_is_recovered_and_nothing_else(store: EventStore) -> None:
    report = recover(store, [PLAN, batch])
    assert [row.workflow_id for row in report.rows] == [f"w{i}" for i in range(9)]
    assert report.failed == ()
    for row in report.rows:
        process = PLAN if row.process == "plan" else batch
        full = Replay().restore(store, ("default", "", row.workflow_id), process)
        assert row.head == full.standing.head
        assert row.waits == tuple(f"{e.event_type} {e.name}" for e in full.standing.open.values())
        if row.process == "plan":
            assert isinstance(full.execution, PlanExecution)
            assert row.state == full.execution.to_json()
    assert report.events_read == sum(row.events_read for row in report.rows)
    assert report.events_read < recover(store, [PLAN, batch], scheme=Replay()).events_read


def test_the_rows_are_the_same_for_any_number_of_processes(store: EventStore) -> None:
    told: list[tuple[int, int]] = []
    alone = plain(recover(store, [PLAN, batch]).rows)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for scheme in (None, Cached(Incremental()), Checkpointed()):
            report = recover(
                store,
                [PLAN, batch],
                scheme=scheme,
                workers=2,
                executor=pool,
                progress=lambda done, of: told.append((done, of)),
            )
            assert plain(report.rows) == alone
            assert told[-1] == (9, 9)


ORDER = Choreography(
    Reaction("bank", on="Placed", emits="Paid", activity="charge", fails_with="Refused"),
    start="Placed",
    final=["Paid", "Refused"],
    name="order",
)


def test_workflows_of_any_namespace_and_sagas_that_nobody_conducts_are_recovered(
    tmp_path: Path,
) -> None:
    # Those of the namespace "default" were once the only ones that were looked for.
    plan = Sequential(
        Step("pay", agent="a", kind="pivot"),
        Step("ship", agent="a", kind="retryable", idempotent=True),
    )
    with EventStore(tmp_path / "s") as store:
        for namespace in ("default", "it's"):
            begun = {"name": "plan", "payload": {"input": 1}}
            store.append("p", Event.of("WorkflowStarted", **begun), namespace=namespace)
        begun = {"name": "order", "payload": {"input": 7, "event": "Placed"}}
        started = Event.of("WorkflowStarted", **begun, coordination_id="o")
        store.append("o", started, namespace="it's")
        known = [Plan(plan), ORDER]
        reports = [
            recover(store, known, namespace="it's"),
            recover(store, known, namespace="it's", workers=2),
        ]
        elsewhere = recover(store, known)
        none = recover(store, known, namespace="nowhere")
    for report in reports:
        order, paid = report.rows
        assert (order.workflow_id, order.events_read, order.error) == ("o", 1, "")
        assert order.waits == ("bank to do charge",)
        assert (paid.workflow_id, paid.head, paid.error) == ("p", 1, "")
    assert plain(reports[0].rows) == plain(reports[1].rows)
    assert [row.workflow_id for row in elsewhere.rows] == ["p"]
    assert none.rows == ()


def test_what_cannot_be_recovered_is_a_row_and_stops_nobody(store: EventStore) -> None:
    report = recover(store, [PLAN])
    assert [row.workflow_id for row in report.failed] == ["w2", "w5", "w8"]
    assert "is an instance of 'batch'; the processes given are: plan" in report.failed[0].error
    assert repr(report).endswith("3 failed)")


def test_a_report_is_a_table_and_a_frame(store: EventStore) -> None:
    report = recover(store, [PLAN, batch])
    frame = report.to_polars()
    assert frame.height == 9
    assert frame["events_read"].sum() == report.events_read
    assert frame["waits"].to_list() == [list(row.waits) for row in report.rows]
    html = report._repr_html_()
    assert html.count("<tr>") == 11
    assert "w8" in html
    assert recover(store, {}).to_polars()["error"].null_count() == 0


def test_a_workflow_that_no_other_process_could_find_is_refused(store: EventStore) -> None:
    @workflow
    async def inner(ctx: Any, value: Any) -> Any:
        return await ctx.call_activity("a", value)

    with pytest.raises(InvalidArgumentError, match="cannot be found by another process"):
        recover(store, [inner], workers=2)
    clocked = Checkpointed(clock=lambda: 0.0)
    with pytest.raises(InvalidArgumentError, match="cannot be sent to another process"):
        recover(store, [PLAN], scheme=clocked, workers=2)
    with pytest.raises(
        InvalidArgumentError, match="is no workflow; give a @workflow, a Program, a Plan"
    ):
        recover(store, [7])  # type: ignore[list-item]
    with pytest.raises(InvalidArgumentError, match="workers is 0"):
        recover(store, [PLAN], workers=0)


def test_a_scheme_goes_to_another_process_as_a_value() -> None:
    for scheme in (
        Checkpointed(EveryEvents(7), keep=3, then="compact"),
        Incremental(EveryEvents(7), full_every=2),
        Cached(Incremental(), size=5),
    ):
        assert repr(pickle.loads(pickle.dumps(scheme))) == repr(scheme)


def test_a_workflow_whose_beginning_is_gone_is_recovered_from_its_checkpoint(
    tmp_path: Path,
) -> None:
    with EventStore(tmp_path / "s") as store:
        scheme = Checkpointed(EveryEvents(5), keep=1, then="truncate")
        host = PlanHost(code=PLAN)
        host.begin(None)
        for _ in range(5):
            host.step()
        execution, standing = execution_of(PLAN, "w"), Standing()
        for event in host.history:
            store.append("w", event)
            execution.advance([event])
            standing.take(event)
            scheme.committed(store, STREAM, execution, standing, [event])
        assert store.snapshot().bases.base(STREAM) > 5
        (row,) = recover(store, [PLAN]).rows
        assert not row.error
        assert row.checkpoint == next(contents(store.snapshot(), STREAM)).checkpoint.id
        assert row.state == execution.to_json()


def test_critical_projections_are_ready_and_the_others_wait(tmp_path: Path) -> None:
    @projection(initial=0, on=["A"], critical=True)
    def urgent(count: int, _event: Event) -> int:
        return count + 1

    @projection(initial=0, on=["A"])
    def later(count: int, _event: Event) -> int:
        return count + 1

    with EventStore(tmp_path / "s") as store:
        store.register(urgent, later)
        store.append("account", [Event.of("A"), Event.of("A")])
        report = recover(store, [PLAN])
        assert report.projections is not None
        assert [status.view for status in report.projections.ready] == ["urgent"]
        assert report.projections.lazy == ("later",)
        assert recover(store, [PLAN], critical=False).projections is None
