"""`flowlab causality`: a run's causal order in numbers, and the facts of real logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowlab import Cause, Event, EventLog, EventStore
from flowlab.causality import causal_facts
from flowlab.cli import main
from flowlab.errors import NotFoundError

KEYS = [
    "run_id", "hosts", "events", "local_edges", "cross_edges", "ordered_pairs",
    "concurrent_pairs", "causal_depth", "width", "consistent_cuts", "anomalies",
]  # fmt: skip

FACTS = {
    "facebook": (4, 47, 43, 23, 1_013, 68, 35, 123),
    "simple-reliable-broadcast": (3, 39, 36, 16, 546, 195, 17, 382),
    "simpledb": (5, 509, 504, 95, 112_349, 16_937, 175, 1_541_953),
    "chord": (8, 1_235, 1_227, 541, 746_099, 15_896, 880, 530_195),
}


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["causality", *words, "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


@pytest.fixture
def store(tmp_path: Path) -> str:
    log = EventLog.from_text("A: a1 send>m a2 | B: b1 recv<m")
    with EventStore(tmp_path / "S") as store:
        store.append_log(log)
    return str(tmp_path / "S")


def test_a_run_is_told_in_numbers(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = told(capsys, "--store", store)

    assert list(row) == KEYS
    assert list(row.values())[1:] == [2, 5, 3, 1, 6, 4, 3, 2, 10, 0]


def test_beyond_the_limit_no_number_of_cuts_is_told(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "--store", store, "--cuts-limit", "10")[0]["consistent_cuts"] == 10
    assert told(capsys, "--store", store, "--cuts-limit", "9")[0]["consistent_cuts"] is None
    assert told(capsys, "--store", store, "--cuts-limit", "0")[0]["consistent_cuts"] is None


def test_one_workflow_is_told_alone(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = told(capsys, "--store", store, "--workflow", "@A")

    assert (row["hosts"], row["events"], row["ordered_pairs"]) == (1, 3, 3)


def test_people_get_a_table(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causality", "--store", store, "--cuts-limit", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split()[:4] == ["run", "id", "hosts", "events"]
    assert "too many" in lines[2]
    assert lines[3] == "cuts: more than 8 (--cuts-limit counts further), or a run too large for it"


def test_a_run_that_is_not_there_is_refused(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causality", "--store", store, "--run", "nobody", "--json"]) == 2
    assert "no run 'nobody'; there are ''" in capsys.readouterr().err


def test_a_number_of_cuts_is_a_number(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["causality", "--store", store, "--cuts-limit", "many"]) == 2
    assert "'many' is no number of cuts" in capsys.readouterr().err


def test_an_empty_log_has_no_rows() -> None:
    assert list(causal_facts(EventLog.from_events([]))) == []
    with pytest.raises(NotFoundError):
        list(causal_facts(EventLog.from_events([]), run_id="x"))


def test_damage_is_counted() -> None:
    def mark(agent: str, *causes: tuple[str, int]) -> Event:
        named = tuple(Cause(*cause) for cause in causes)
        return Event(
            workflow_id=f"@{agent}", sequence=1, agent_id=agent, event_type="MarkerRecorded",
            time_ns=0, causes=named,
        )  # fmt: skip

    log = EventLog.from_events([mark("a", ("@b", 1)), mark("b", ("@a", 1), ("@c", 4))])
    (facts,) = causal_facts(log)

    assert facts.anomalies == 3
    assert (facts.ordered_pairs, facts.concurrent_pairs, facts.consistent_cuts) == (0, 1, 4)


@pytest.mark.parametrize("name", FACTS)
def test_the_facts_of_a_real_log_are_known(
    shared: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "S")
    assert main(["import", str(shared / f"data/shiviz/{name}.log"), "--store", store]) == 0
    capsys.readouterr()

    (row,) = told(capsys, "--store", store)

    assert tuple(row[key] for key in (*KEYS[1:8], "consistent_cuts")) == FACTS[name]
    assert row["anomalies"] == 0


def test_every_history_is_ordered_without_damage_of_its_own(shared: Path) -> None:
    import flowlab as fl

    for path in sorted((shared / "data" / "temporal").rglob("*.json")):
        log = fl.import_log(path).log
        order = log.causality
        assert order.graph.anomalies.num_rows == 0, path
        assert order.ordered_pairs + order.concurrent_pairs == len(log) * (len(log) - 1) // 2


def test_whoever_names_no_run_or_workflow_is_told_those_there_are(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person with nine imported runs was told to name one that the log has, and not which."""
    for words, error in [
        (["--workflow", "@C"], "no workflow '@C'; there are '@A', '@B'"),
        (["--run", "two"], "no run 'two'; there are ''"),
    ]:
        for verb in ("causality", "diagram"):
            assert main([verb, "--store", store, *words]) == 2
            assert error in capsys.readouterr().err


def test_a_workflow_alone_is_not_damaged_by_what_it_was_told_from_outside() -> None:
    log = EventLog.from_text("A: a >m | B: <m b")
    (facts,) = causal_facts(log, workflow_id="@B")
    assert (facts.events, facts.anomalies) == (2, 0)
    lost = log.causality.take([2, 3])
    (facts,) = causal_facts(lost, workflow_id="@B")
    assert facts.anomalies == 1
