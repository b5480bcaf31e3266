"""Sagas that nobody conducts, held against today's choreography."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import flowlab as fl
from flowlab.cli import main
from flowlab.errors import InvalidArgumentError
from flowlab.events import Event, EventLog
from flowlab.recovery import Replayer, recorded_twin
from flowlab.runtime import Runtime
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate
from flowlab.workflow import Choreography, Compensation, Reaction
from flowlab.workflow.matching import Grade

GRADES: tuple[Grade, ...] = ("kind", "name", "argument", "result")
TODAY: Any = SCENARIOS["choreographed_order"]().workflows["choreographed_order"]
RESERVE, CHARGE, SEND, INVOICE = TODAY.reactions


def of(*reactions: Reaction, **more: Any) -> Choreography:
    facts = {"start": TODAY.start, "final": TODAY.final, "name": TODAY.name, **more}
    return Choreography(*reactions, **facts)


def has(event_type: str, name: str) -> Callable[[Event], bool]:
    return lambda event: (event.event_type, event.name) == (event_type, name)


CHANGES: dict[str, tuple[Choreography, Callable[[Event], bool], str, Grade]] = {
    "an event is called otherwise": (
        of(
            RESERVE, replace(CHARGE, emits=("CardBilled",)), replace(SEND, on="CardBilled"),
            replace(INVOICE, on="CardBilled"),
        ),
        has("Signaled", "CardCharged"), "name", "name",
    ),
    "a reaction no longer says that it failed": (
        of(replace(RESERVE, fails_with=None), CHARGE, SEND, INVOICE),
        has("Signaled", "GoodsMissing"), "name", "name",
    ),
    "a reaction is gone": (
        of(RESERVE, CHARGE, INVOICE), has("Signaled", "ParcelSent"), "step", "name",
    ),
    "another event begins it": (
        of(replace(RESERVE, on="Ordered"), CHARGE, SEND, INVOICE, start="Ordered"),
        has("WorkflowStarted", TODAY.name), "name", "name",
    ),
    "what undoes is called otherwise": (
        of(replace(RESERVE, compensation=Compensation("give_back")), CHARGE, SEND, INVOICE),
        has("CompensationScheduled", "put_back"), "name", "name",
    ),
    "nothing is undone any more": (
        of(replace(RESERVE, compensation=None, undone_by=()), CHARGE, SEND, INVOICE),
        has("CompensationScheduled", "put_back"), "step", "name",
    ),
    "what undoes is given something else": (
        of(
            replace(RESERVE, compensation=Compensation("put_back", input={"all": True})),
            CHARGE, SEND, INVOICE,
        ),
        has("CompensationScheduled", "put_back"), "arguments", "argument",
    ),
    "an event counts no longer as an end": (
        of(RESERVE, CHARGE, SEND, INVOICE, final=("InvoiceWritten", "GoodsMissing")),
        has("WorkflowCompleted", TODAY.name), "result", "result",
    ),
    "another event is the end": (
        of(RESERVE, CHARGE, SEND, INVOICE, final=("ParcelLost", "GoodsMissing")),
        has("WorkflowCompleted", TODAY.name), "kind", "kind",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def logs() -> list[EventLog]:
    world = SCENARIOS["choreographed_order"]()
    return [
        simulate(world, seed=seed, faults=faults).log
        for seed in range(6)
        for faults in ("none", "chaos")
    ]


@pytest.mark.parametrize("grade", GRADES)
def test_a_saga_fits_the_choreography_that_made_it(logs: list[EventLog], grade: Grade) -> None:
    for log in logs:
        report = Replayer([TODAY]).replay(log, grade=grade)
        assert report.ok, str(report)
        assert set(report.counts) == {"equal"}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("grade", GRADES)
def test_a_changed_choreography_parts_from_a_saga_at_the_first_event_that_tells(
    logs: list[EventLog], change: str, grade: Grade
) -> None:
    changed, tells, differs, least = CHANGES[change]
    seen = 0
    for log in logs:
        expected = {}
        for event in log.events():
            if tells(event) and GRADES.index(grade) >= GRADES.index(least):
                expected.setdefault(event.workflow_id, (event.sequence, differs))
        report = Replayer([changed]).replay(log, grade=grade)
        found = {}
        for row in report.rows:
            parted = row.divergence
            if parted is not None:
                found[row.workflow_id] = (parted.sequence, parted.differs)
                assert row.status == "needs_patch"
                assert parted.cone is not None
                assert parted.cone.table.num_rows > 0
                assert "the choreography that began them" in parted.hint
                assert "choreography 'choreographed_order' has" in parted.message
        assert found == expected
        seen += len(expected)
    assert seen or GRADES.index(grade) < GRADES.index(least)


CODE = """
from flowlab.workflow import Choreography, Reaction

order = Choreography(
    Reaction("shelf", on="Placed", emits="Reserved", activity="reserve"),
    Reaction("bank", on="Reserved", emits="EVENT", activity="pay", kind="pivot"),
    start="Placed", final="EVENT", name="order",
)
"""


def test_the_command_replays_the_choreographies_of_a_module(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    agents: Any = {"shelf": {"reserve": lambda v: v}, "bank": {"pay": lambda v: v}}
    made: dict[str, Any] = {}
    exec(CODE.replace("EVENT", "Paid"), made)
    with fl.EventStore(tmp_path / "store") as store:
        Runtime(store, made["order"], agents=agents).run(made["order"], 3, id="o")
    for event, code in (("Paid", 0), ("Charged", 1)):
        file = tmp_path / f"code_{event}.py"
        file.write_text(CODE.replace("EVENT", event), encoding="utf-8")
        assert main(["replay", str(file), "--store", str(tmp_path / "store")]) == code


def test_a_saga_that_nobody_conducts_has_no_twin_and_a_damaged_one_is_named() -> None:
    started = Event.of("WorkflowStarted", name=TODAY.name, workflow_id="o", sequence=1, payload={})
    with pytest.raises(InvalidArgumentError, match="which nobody conducts"):
        recorded_twin([started], TODAY, at=1, result=1, execute={})
    (row,) = Replayer([TODAY]).replay(EventLog.from_events([started])).rows
    assert row.status == "damaged"
    assert "lacks a part of it" in row.detail
