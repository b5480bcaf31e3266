"""The study of recovery: histories as the runtime writes them, fits, the grid, and what is read."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.events import EventLog
from flowlab.recovery import Checkpointed, EveryEvents, Incremental, state_at
from flowlab.recovery.folds import checkpoint_states
from flowlab.runtime import Replay, Runtime
from flowlab.store import EventStore
from flowlab.studies import recovery_workload
from flowlab.studies.measuring import FULL, QUICK, Scale
from flowlab.studies.recovery_cells import Cell, calibration, grid, unseen
from flowlab.studies.recovery_fit import SCHEMES, TERMS, fit_schemes, least_squares, predict
from flowlab.studies.recovery_process import MISSED_EVENTS, WARM, WARM_RUNS
from flowlab.studies.recovery_rounds import recover_cell, recover_round, write_cell
from flowlab.studies.recovery_states import AGENT, expected, teller_table
from flowlab.studies.recovery_study import RecoveryStudy
from flowlab.studies.recovery_workload import (
    Shape,
    history,
    keep_accounts,
    result_of,
    savepoints,
    take_checkpoints,
)
from flowlab.workflow.following import LEAST_AT_HAND

STREAM = ("default", "", "w")


def executed(shape: Shape, folder: Path) -> EventLog:
    """Let a runtime execute the workflow for so many events."""

    async def run(store: EventStore) -> None:
        post = {"post": lambda step: result_of(step, shape.payload_bytes)}
        async with Runtime(store, keep_accounts, activities=post, where={"post": "inline"}) as real:
            await real.start(keep_accounts, shape.input, id="w")
            while store.snapshot().head("w") < shape.events:  # noqa: ASYNC110 - it never ends
                await asyncio.sleep(0)

    with EventStore(folder) as store:
        asyncio.run(run(store))
        return EventLog.from_events(store.read("/workflows/w").events()[: shape.events])


def test_unseen_cells_are_drawn_by_their_seed_and_nothing_was_fitted_to_them() -> None:
    one, again, other = (unseen(Scale(), seed) for seed in (7, 7, 8))
    assert one == again
    shapes = [{cell.shape for cell in cells} for cells in (one, other)]
    assert not shapes[0] & shapes[1]
    fitted = {cell.shape for cell in calibration(Scale())}
    assert not fitted & shapes[0]


SHAPES = st.builds(
    Shape,
    st.integers(2, 90),
    every=st.integers(3, 20),
    state_bytes=st.integers(1, 1_500),
    payload_bytes=st.integers(0, 50),
)


@given(shape=SHAPES, generation=st.sampled_from([25, 40, 1_000]))
@settings(max_examples=12, deadline=None)
def test_a_history_in_bulk_is_the_one_that_the_runtime_writes(
    shape: Shape, generation: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery_workload, "GENERATION_EVENTS", max(generation, shape.cycle))
        real = executed(shape, Path(folder) / "real")
        with EventStore(Path(folder) / "bulk") as store:
            store.append_table(history(shape, "w"))
            bulk = store.read("/workflows/w")
        places = [e.sequence for e in real.events() if e.name == "savepoint"]
        newest = max(e.generation for e in real.events())

        assert bulk.history_digest == real.history_digest
        assert savepoints(shape) == [
            at for at in places if real.events()[at - 1].generation == newest
        ]


@pytest.mark.parametrize("scheme", [Checkpointed, Incremental])
def test_checkpoints_of_a_history_in_bulk_restore_what_a_replay_restores(
    tmp_path: Path, scheme: type[Checkpointed]
) -> None:
    shape = Shape(500, every=50, state_bytes=2_000)
    kept = scheme(EveryEvents(shape.cycle))
    with EventStore(tmp_path) as store:
        store.append_table(history(shape, "w"))
        taken = take_checkpoints(store, STREAM, shape, kept, 4)
        found = kept.restore(store, STREAM, keep_accounts)
        whole = Replay().restore(store, STREAM, keep_accounts)

        assert taken >= 2
        assert found.events_read == shape.events - savepoints(shape)[-1] + 1
        assert found.execution.advance(()) == whole.execution.advance(())
        assert found.standing.to_json() == whole.standing.to_json()


# -- fits ------------------------------------------------------------------------------------------

COSTS = st.floats(1e-7, 1e-3)


@given(data=st.data(), scheme=st.sampled_from(sorted(TERMS)), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_fitting_gives_back_the_costs_that_runs_were_made_with(
    data: st.DataObject, scheme: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    planted = {term: data.draw(COSTS, term) for term in TERMS[scheme]}
    rows: list[dict[str, Any]] = []
    for number in range(60):
        row: dict[str, Any] = {term: float(rng.integers(1, 2_000)) for term in TERMS[scheme]}
        row |= {"once": 1, "scheme": scheme}
        seconds = sum(each * row[term] for term, each in planted.items())
        # Of each ten runs one was held up; the others tell what it costs.
        held_up = 3.0 if number % 10 == 4 else 1.0
        rows.append({**row, "wall": [[seconds * held_up]]})

    fitted = fit_schemes(rows)[scheme]

    for row in rows[:4]:
        assert fitted.predict(row) == pytest.approx(row["wall"][0][0], rel=0.02)


@given(
    matrix=st.lists(
        st.lists(st.floats(-4, 4, width=16), min_size=3, max_size=3), min_size=3, max_size=6
    ),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_no_costs_that_are_not_negative_fit_better(matrix: list[list[float]], seed: int) -> None:
    a = np.array(matrix)
    target = np.random.default_rng(seed).normal(size=len(a))

    def left(x: Any) -> float:
        return float(np.sum((a @ x - target) ** 2))

    found = least_squares(a, target)
    tried = [left(np.zeros(3))]
    for size in (1, 2, 3):
        for some in itertools.combinations(range(3), size):
            x = np.zeros(3)
            x[list(some)] = np.linalg.lstsq(a[:, some], target, rcond=None)[0]
            if (x >= 0).all():
                tried.append(left(x))

    assert (found >= 0).all()
    assert left(found) <= min(tried) + 1e-7


def test_what_is_fitted_is_told_only_of_schemes_that_are_known() -> None:
    with pytest.raises(InvalidArgumentError, match="no scheme is called 'magic'; there are replay"):
        fit_schemes([{"scheme": "magic", "wall": [[1.0]]}])


# -- the grid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [QUICK, Scale(), FULL], ids=["quick", "default", "full"])
def test_nothing_that_is_predicted_is_fitted_from(scale: Scale) -> None:
    fitted, told = calibration(scale), grid(scale)
    shapes = [(cell.shape, cell.workflows) for cell in fitted]

    assert len({cell.name for cell in fitted + told}) == len(fitted) + len(told)
    assert not [cell for cell in told if (cell.shape, cell.workflows) in shapes]
    assert {cell.kind for cell in fitted} == {"calibration"}
    assert all(savepoints(cell.shape) for cell in fitted + told)


def test_the_grid_varies_every_side_of_the_law() -> None:
    cells = grid(Scale())
    for side in ("every", "state_bytes", "payload_bytes"):
        assert len({getattr(cell.shape, side) for cell in cells}) >= 4
    assert max(cell.shape.events for cell in cells) > 990_000
    assert len({cell.workflows for cell in cells}) >= 3
    assert grid(Scale()) == cells


# -- real processes --------------------------------------------------------------------------------


def test_a_killed_process_is_recovered_by_every_scheme_and_each_reads_what_the_law_says(
    tmp_path: Path,
) -> None:
    cell = Cell("calibration", Shape(330, every=50), workflows=2, deltas=2, repeats=1)
    found = write_cell(cell, tmp_path / "cell")
    found += recover_cell(cell, tmp_path / "cell", 1)
    rows = {row["scheme"]: row for row in found}
    warm = [row for row in found if row["scheme"] == WARM]

    assert set(rows) == set(SCHEMES) - {"parallel"} | {"write", "write a delta"}
    assert rows["replay"]["events"] > 2 * 330
    assert rows["checkpoint"]["events"] < rows["replay"]["events"] / 2
    assert rows["checkpoint"]["files"] == 2
    assert rows["incremental"]["files"] >= 2
    assert rows["replay"]["moved"] == rows["replay"]["batches"] == 2
    assert rows["replay"]["batch_events"] == rows["replay"]["events"]
    # Both workflows lie in the files of their buckets; each footer is read once.
    assert 1 <= rows["replay"]["opened_files"] <= rows["replay"]["sealed_files"]
    assert rows["checkpoint"]["opened_files"] <= rows["checkpoint"]["groups"]
    assert rows["replay"]["savepoints"] >= 2 * (330 - 1) // 51
    assert rows["replay"]["saved_bytes"] > 1_000 * rows["replay"]["savepoints"]
    # Code is entered at a checkpoint's savepoint and passes at most one that has none yet.
    assert rows["checkpoint"]["savepoints"] <= 2
    # Besides what the workflows wrote, the tail tells of their checkpoints.
    assert rows["replay"]["tail_events"] >= rows["replay"]["events"] - 2 * 330
    assert 0 < rows["replay"]["tail_bytes"] < rows["replay"]["payload_bytes"]
    assert len(warm) == WARM_RUNS
    for row in warm:
        assert row["single_events"] + row["batch_events"] == row["events"]
        assert row["single_events"] < LEAST_AT_HAND * (row["moved"] - row["batches"]) + 1
        assert row["batch_events"] >= LEAST_AT_HAND * row["batches"]
        assert row["opened_files"] == row["groups"] == 0
    missed = [row["events"] for row in warm]
    assert missed == sorted(missed)
    assert 0 < missed[-1] <= min(rows["replay"]["tail_events"] // 2, 2 * MISSED_EVENTS)


def test_a_cell_that_is_predicted_counts_one_warm_run_of_those_that_it_would_count_in_a_fit(
    tmp_path: Path,
) -> None:
    cell = Cell("grid", Shape(120, every=30), deltas=0, repeats=1)
    write_cell(cell, tmp_path / "cell")
    (one,) = [row for row in recover_cell(cell, tmp_path / "cell", 1) if row["scheme"] == WARM]

    assert len(one["wall"]) == cell.repeats
    assert one["events"] <= MISSED_EVENTS


def test_a_round_tells_its_cells_in_order_and_what_ended_it(tmp_path: Path) -> None:
    cell = Cell("grid", Shape(60, every=20), deltas=0, repeats=1)
    write_cell(cell, tmp_path / "cell")
    lost = replace(cell, workflows=2)
    found = recover_round([(cell, tmp_path / "cell"), (lost, tmp_path / "nowhere")], 1)

    assert {row["scheme"] for row in next(iter(found))} == set(SCHEMES) - {"parallel"}
    with pytest.raises(FlowlabError, match="round 1 ended with 1 at 'grid 60 events"):
        next(iter(found))


def test_a_study_predicts_the_grid_and_nothing_else() -> None:
    def row(kind: str, events: int) -> dict[str, Any]:
        facts = {"cell": f"{kind} {events}", "kind": kind, "workflows": 1, "payload_bytes": 0}
        return {**facts, "scheme": "replay", "events": events, "wall": [[1.0 + events / 10]]}

    rows = [row("calibration", n) for n in (1, 50, 100)] + [row("grid", n) for n in (20, 80)]
    study = RecoveryStudy.of(rows)

    assert [found.cell for found in study.predictions] == ["grid 20", "grid 80"]
    assert study.errors.worst < 1e-6
    assert repr(study.figure()) == "Figure('How well the law tells the time of a recovery')"
    assert predict(rows[:0], study.costs) == []


# -- states ----------------------------------------------------------------------------------------


def test_the_tellers_state_at_every_event_is_the_one_that_its_table_says(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store:
        store.append_table(teller_table(230))
        checkpoint_states(store, AGENT, every=50)
        for at in range(1, 231):
            assert state_at(store, AGENT, event=at).state == expected(at)
