"""`flowlab law` answers with the laws' numbers, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowlab.cli import main
from flowlab.events import Event, EventLog
from flowlab.store import EventStore


def test_law_replay_answers_with_its_three_keys(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["law", "replay", "--S", "50", "--L", "20", "--r", ".5", "--p", ".001"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["n_star", "n_best", "cost"]
    assert found["n_star"] == pytest.approx(447.2136, rel=1e-6)
    assert (found["n_best"], found["cost"]) == (447, pytest.approx(0.2433568, rel=1e-6))
    assert main(asked) == 0
    assert "every   447 events" in capsys.readouterr().out


def test_law_replay_takes_failures_that_strike_recoveries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["law", "replay", "--S", "10", "--L", "5", "--r", "1", "--p", ".01", "--lambda", ".01"]
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_star"] == pytest.approx(38.396051, rel=1e-6)
    assert main([*asked, "--D", "60", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_star"] == pytest.approx(31.121163, rel=1e-6)


def test_law_checkpoint_answers_with_its_four_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["law", "checkpoint", "--delta", "5", "--M", "360", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["young", "daly", "exact", "overhead"]
    expected = (60.0, 56.712963, 56.714002, 0.186998)
    assert list(found.values()) == [pytest.approx(value, rel=3e-6) for value in expected]
    assert main(["law", "checkpoint", "--delta", "5", "--M", "360", "--R", "36"]) == 0
    assert "exact optimum" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf"])
def test_a_number_out_of_range_is_refused_by_name(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["law", "checkpoint", f"--delta={wrong}", "--M", "360"]) != 0
    assert "delta is" in capsys.readouterr().err


def test_what_is_no_probability_is_refused_by_replay_as_by_recommend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["law", "replay", "--S", "50", "--L", "20", "--r", ".5", "--p"]
    assert main([*asked, "2"]) == 2
    assert "p is 2.0; expected a probability of at most 1" in capsys.readouterr().err
    assert main([*asked, "1"]) == 0


def test_law_recommend_answers_for_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EventLog.from_events(
        Event(
            workflow_id="w",
            sequence=k,
            agent_id="a",
            agent_sequence=k,
            time_ns=k * 10**7,
            event_type="MarkerRecorded",
            name="m",
        )
        for k in range(1, 5_001)
    )
    with EventStore(tmp_path / "s") as store:
        store.append_log(log)
    asked = ["law", "recommend", f"--store={tmp_path / 's'}", "--S=.05", "--L=.02", "--r=.0005"]
    assert main([*asked, "--failures", "60"]) == 0
    told = capsys.readouterr().out
    assert "Checkpoint every 1 092 events (about 10.9 s)." in told
    assert "- The failures were given: Exponential(mean 60 s)" in told
    assert main([*asked, "--failures", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["every"], found["worth"], found["sure"], found["table"]) == (1092, True, None, [])
    assert found["r0"]["n_star"] > found["r1"]["n_star"]
    assert main([*asked, "--json"]) == 0
    unknown = json.loads(capsys.readouterr().out)
    assert (unknown["every"], len(unknown["table"])) == (None, 5)
    assert unknown["costs_from"] == "given"
    bare = [*asked[:3], "--failures", "60"]
    assert main(bare) == 0
    assert "The costs are assumed, and nothing that was measured." in capsys.readouterr().out
    assert main([*bare, "--S", "1"]) != 0
    assert "--L and --r not given; give --S, --L and --r, or none" in capsys.readouterr().err
    assert main([*asked, "--p", "2"]) != 0
    assert "p is 2" in capsys.readouterr().err
