"""The rounds of the study of recovery: several processes of each cell, and going on."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import CorruptionError, FormatVersionError
from flowlab.studies.measuring import FULL, QUICK, Scale
from flowlab.studies.recovery_cells import Cell, processes_at, repeats_at
from flowlab.studies.recovery_fit import predict, seconds_of
from flowlab.studies.recovery_results import add_result, merged, read_results
from flowlab.studies.recovery_rounds import PLACES, RESULTS, measure
from flowlab.studies.recovery_study import RecoveryStudy
from flowlab.studies.recovery_workload import Shape

CELLS = [Cell("calibration", Shape(100 + n, every=10)) for n in range(4)]
NAMES = [cell.name for cell in CELLS]
PROCESSES = 3
STEPS = len(CELLS) * (1 + PROCESSES)
Work = Sequence[tuple[Cell, Path]]


@dataclass
class Bench:
    """Measures cells without any process; it is stopped after so many steps."""

    stop_after: int = STEPS
    wrote: list[str] = field(default_factory=list)
    rounds: dict[int, list[str]] = field(default_factory=dict)

    def step(self) -> None:
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1

    def write(self, cell: Cell, folder: Path) -> list[dict[str, Any]]:
        folder.mkdir(parents=True)
        self.step()
        (folder / "store").touch()
        self.wrote.append(cell.name)
        return [{"scheme": "write", "bytes": 9, "wall": [[2.0]]}]

    def recover(self, work: Work, process: int) -> Iterator[list[dict[str, Any]]]:
        for cell, folder in work:
            self.step()
            assert (folder / "store").exists()
            self.rounds.setdefault(process, []).append(cell.name)
            took = float(cell.shape.events + process)
            yield [{"scheme": "replay", "events": cell.shape.events, "wall": [took], "cpu": [took]}]

    def measure(self, folder: Path, **options: Any) -> list[dict[str, Any]]:
        given = {"processes": PROCESSES, "write": self.write, "recover": self.recover, **options}
        return measure(CELLS, folder, **given)


def test_every_round_recovers_every_cell_once_and_in_another_order(tmp_path: Path) -> None:
    bench, said = Bench(), []
    rows = bench.measure(tmp_path, progress=said.append)

    assert bench.wrote == NAMES
    assert sorted(bench.rounds) == [1, 2, 3]
    assert all(sorted(order) == sorted(NAMES) for order in bench.rounds.values())
    assert len({tuple(order) for order in bench.rounds.values()}) > 1
    assert len(said) == STEPS
    assert said[0].startswith(f"written 1 of 4: {NAMES[0]}")
    assert said[-1].startswith("process 3 of 3, 4 of 4: ")
    assert [row["wall"] for row in rows if row["scheme"] == "replay"] == [
        [[101.0 + n], [102.0 + n], [103.0 + n]] for n in range(4)
    ]
    assert not (tmp_path / PLACES).exists()


@pytest.mark.parametrize("torn", [0, 1, 17])
@pytest.mark.parametrize("stop_after", range(1, STEPS))
def test_a_study_that_was_stopped_anywhere_goes_on_where_it_was(
    tmp_path: Path, stop_after: int, torn: int
) -> None:
    first, second, whole = Bench(stop_after), Bench(), Bench()
    with pytest.raises(KeyboardInterrupt):
        first.measure(tmp_path)
    path = tmp_path / RESULTS
    path.write_bytes(path.read_bytes()[: -torn or None])

    rows = second.measure(tmp_path)

    done = len(second.wrote) + sum(map(len, second.rounds.values()))
    # A cell whose last process is told has no stores any more: torn there, it is measured anew.
    again = 1 + PROCESSES if stop_after > STEPS - len(CELLS) else 1
    assert done == STEPS - stop_after + (again if torn else 0)
    assert rows == whole.measure(tmp_path.with_name("undisturbed"))
    assert rows == Bench(0).measure(tmp_path)


def test_what_was_measured_on_stores_that_are_gone_is_measured_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Bench(len(CELLS) + 5).measure(tmp_path)
    (gone, *_) = [place for place in (tmp_path / PLACES).iterdir() if place.is_dir()]
    (gone / "store").unlink()
    gone.rmdir()
    again = Bench()

    rows = again.measure(tmp_path)

    assert len(again.wrote) == 1
    assert again.wrote[0] in again.rounds[1]
    assert rows == Bench().measure(tmp_path.with_name("undisturbed"))


def test_more_processes_than_were_asked_for_before_measure_each_cell_anew(tmp_path: Path) -> None:
    Bench().measure(tmp_path)
    more = Bench(2 * STEPS)
    rows = more.measure(tmp_path, processes=PROCESSES + 2)

    assert more.wrote == NAMES
    assert {len(row["wall"]) for row in rows if row["scheme"] == "replay"} == {PROCESSES + 2}


# -- results ---------------------------------------------------------------------------------------


def test_a_line_that_is_no_result_is_told_and_nothing_is_measured_over_it(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    for line in ('{"cell": 1}', "[1, 2]", "nothing", '{"cell": "x", "process": 1}'):
        path.write_text(line + '\n{"cell":"x","process":1,"rows":[]}\n')
        with pytest.raises(CorruptionError, match="line 1 of .* delete it to go on"):
            Bench().measure(tmp_path)
        assert path.read_text().startswith(line)


def test_results_of_one_process_a_cell_are_of_an_older_study_and_stay(tmp_path: Path) -> None:
    older = json.dumps({"cell": NAMES[0], "rows": [{"scheme": "replay", "wall": [1.0]}]}) + "\n"
    (tmp_path / RESULTS).write_text(older)
    with pytest.raises(FormatVersionError, match="line 1 of .* older study.* give another folder"):
        Bench().measure(tmp_path)
    assert (tmp_path / RESULTS).read_text() == older


def test_stores_that_were_written_anew_leave_out_what_was_measured_before(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    for process in (0, 1, 2, 0, 1):
        add_result(path, "x", process, [])
    assert read_results(path) == {"x": {0: [], 1: []}}


def test_processes_that_did_not_read_the_same_are_told() -> None:
    rows = {number: [{"scheme": "replay", "events": number, "wall": [1.0]}] for number in (1, 2)}
    with pytest.raises(CorruptionError, match="'x' did not read the same.* delete its lines"):
        merged("x", rows)
    with pytest.raises(CorruptionError, match="'x' did not read the same"):
        merged("x", {1: rows[1], 2: []})


# -- the value -------------------------------------------------------------------------------------

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=7)


@given(st.lists(TIMES, min_size=1, max_size=7))
def test_a_cell_is_the_least_of_all_its_recoveries_or_the_median_of_its_processes(
    wall: list[list[float]],
) -> None:
    rows = {n: [{"scheme": "replay", "events": 1, "wall": each}] for n, each in enumerate(wall, 1)}
    (row,) = merged("x", rows)
    medians = sorted(statistics.median(each) for each in wall)

    assert seconds_of(row) == min(time for each in wall for time in each)
    assert seconds_of(row, statistic="median") == statistics.median(medians)


@given(st.data())
def test_whatever_holds_up_all_recoveries_but_one_does_not_move_a_cell(data: st.DataObject) -> None:
    wall = data.draw(st.lists(TIMES, min_size=1, max_size=5))
    quickest = min(time for each in wall for time in each)
    late = [[time + data.draw(st.floats(0, 1e3)) for time in each] for each in wall]
    late.insert(data.draw(st.integers(0, len(late))), [quickest])

    assert seconds_of({"wall": late}) == seconds_of({"wall": wall})


@given(st.data())
def test_fewer_than_half_of_the_processes_cannot_move_a_median_beyond_the_others(
    data: st.DataObject,
) -> None:
    lucky = data.draw(st.lists(TIMES, min_size=3, max_size=5))
    others = data.draw(st.lists(TIMES, max_size=len(lucky) - 1))
    medians = [statistics.median(each) for each in lucky]
    mixed = data.draw(st.permutations(lucky + others))

    assert min(medians) <= seconds_of({"wall": mixed}, statistic="median") <= max(medians)


def test_costs_and_times_are_of_one_statistic() -> None:
    def row(kind: str, events: int) -> dict[str, Any]:
        took = [[events * 1e-6, events * 3e-6, events * 2e-6]]
        facts = {"cell": f"{kind} {events}", "kind": kind, "events": events, "scheme": "replay"}
        return {**facts, "wall": took, "cpu": took}

    rows = [row("calibration", n) for n in (100, 5_000, 10_000)] + [row("grid", 2_000)]
    for statistic, expected in (("least", 2e-3), ("median", 4e-3)):
        (found,) = RecoveryStudy.of(rows, statistic=statistic).predictions

        assert found.measured_s == pytest.approx(expected)
        assert found.predicted_s == pytest.approx(expected)


def test_the_spread_between_processes_is_told_beside_each_prediction() -> None:
    def row(kind: str, events: int, *processes: float) -> dict[str, Any]:
        took = [[(1.0 + events / 10) * each] * 3 for each in processes]
        facts = {"cell": f"{kind} {events}", "kind": kind, "events": events, "scheme": "replay"}
        return {**facts, "wall": took, "cpu": took}

    rows = [row("calibration", n, 1.0, 1.0, 1.5) for n in (1, 50, 100)]
    study = RecoveryStudy.of([*rows, row("grid", 20, 1.25, 1.0, 1.5625), row("grid", 80, 1.0)])

    assert [found.between for found in study.predictions] == pytest.approx([0.5625, 0.0])
    assert study.errors.worst < 1e-6
    assert study.between.high <= 0.5625
    assert study.noise == 0.0
    assert "+56.2%" in str(study)
    assert "slowest process 56.2 % above" in repr(study.predictions[0])
    assert predict([], study.costs) == []


@pytest.mark.parametrize("scale", [QUICK, Scale(), FULL], ids=["quick", "default", "full"])
def test_every_scale_has_processes_of_which_one_is_in_the_middle(scale: Scale) -> None:
    assert processes_at(scale) % 2 == 1
    assert repeats_at(scale) >= 1
