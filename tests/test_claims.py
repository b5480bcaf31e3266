"""Claims: verdicts, spreads, the check itself, and pages that say what was measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.cli import main
from flowlab.errors import InvalidArgumentError, MissingDependencyError
from flowlab.store import EventStore
from flowlab.studies import (
    CLAIMS,
    QUICK,
    Bound,
    Claim,
    Measurement,
    Reliability,
    Scale,
    Spread,
    Verdict,
    check,
    choose,
    claims_page,
    race,
    simulation_laws,
    store_damage,
    store_faults,
)
from flowlab.studies.checking import shown_value
from flowlab.studies.measuring import counted_calls, counted_syncs, workplace
from flowlab.studies.workload import PAYLOAD_BITS, make_log

pytestmark = pytest.mark.usefixtures("only_young_garbage")

RESULTS = Path(__file__).parent.parent / "docs" / "claims.json"


def claim(value: float, **fields: Any) -> Claim:
    given_fields: dict[str, Any] = {"gate": Bound(at_most=1), **fields}
    return Claim(
        name="area.word",
        statement="It is small.",
        source="a test",
        reliability=Reliability.ASSERTED,
        measure=lambda _: Measurement.count(value, "x", {"floor": "0"}, restated=value < 5),
        **given_fields,
    )


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(value=numbers, most=numbers, least=numbers)
def test_a_bound_holds_exactly_inside_its_limits(value: float, most: float, least: float) -> None:
    assert Bound(at_most=most).holds(value) == (value <= most)
    assert Bound(at_least=least).holds(value) == (value >= least)
    assert Bound(at_most=most, at_least=least).holds(value) == (least <= value <= most)


def test_a_bound_without_a_limit_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="at_most, at_least or both"):
        Bound()


@pytest.mark.parametrize(
    ("value", "fields", "verdict"),
    [
        (1, {}, Verdict.HELD),
        (2, {}, Verdict.REFUTED),
        (2, {"gate": None}, Verdict.REPORTED),
        (2, {"restatement": "It is below 5."}, Verdict.RESTATED),
        (6, {"restatement": "It is below 5."}, Verdict.REFUTED),
    ],
)
def test_a_verdict_follows_from_the_value_alone(
    value: float, fields: dict[str, Any], verdict: Verdict
) -> None:
    report = check(claims=[claim(value, **fields)], scale=QUICK)
    assert [finding.verdict for finding in report.findings] == [verdict]
    assert report.ok == (verdict is not Verdict.REFUTED)


def test_a_claim_whose_peer_is_missing_is_not_measured_and_no_success() -> None:
    def absent(_: Scale) -> Measurement:
        message = "install the peer"
        raise MissingDependencyError(message)

    report = check(claims=[replace(claim(1), measure=absent)], scale=QUICK)
    assert not report.ok
    assert "not measured" in str(report)
    assert "install the peer" in str(report)
    assert report.to_json()["claims"][0]["verdict"] is None


def test_a_claim_that_breaks_is_told_and_the_others_are_measured() -> None:
    def broken(_: Scale) -> Measurement:
        message = "the disk is gone"
        raise OSError(message)

    report = check(claims=[replace(claim(1), measure=broken), claim(1)], scale=QUICK)
    assert [finding.ok for finding in report.findings] == [False, True]
    assert "the disk is gone" in str(report)
    assert not report.ok


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30))
def test_three_quarters_of_the_values_lie_on_either_side_of_a_quartile(values: list[int]) -> None:
    spread = Spread.of(values)
    assert min(values) <= spread.low <= spread.median <= spread.high <= max(values)
    least = 3 * (len(values) - 1)
    assert sum(value <= spread.high for value in values) * 4 >= least
    assert sum(value >= spread.low for value in values) * 4 >= least
    assert sum(value <= spread.median for value in values) * 2 >= len(values)


def test_a_race_gives_every_contestant_the_same_blocks_in_turn() -> None:
    order: list[str] = []
    found = race(
        {"a": lambda _: order.append("a"), "b": lambda _: order.append("b")},
        blocks=4,
        repeats=2,
        warm=0,
    )
    assert "".join(order) == "aabb" + "bbaa" + "aabb" + "bbaa"
    assert {name: len(times) for name, times in found.seconds.items()} == {"a": 4, "b": 4}


def test_numbers_given_to_contestants_never_repeat() -> None:
    seen: list[int] = []
    race({"a": seen.append, "b": seen.append}, blocks=3, repeats=5)
    assert len(seen) == len(set(seen))


def test_a_quartile_without_bound_is_told_on_the_page_made_from_json() -> None:
    told = json.loads(json.dumps({"value": 0.8, "low": 0.5, "high": None, "unit": "x"}))
    assert shown_value(told) == "0.8 (0.5 to no bound) x"


def test_syncs_are_counted_by_what_is_synced(tmp_path: Path) -> None:
    with EventStore(tmp_path / "s") as store:
        store.append("w", [{"event_type": "MarkerRecorded"}])
        with counted_syncs() as found:
            for _ in range(5):
                store.append("w", [{"event_type": "MarkerRecorded"}])
        assert dict(found) == {"data": 5}
        with counted_syncs() as found:
            store.seal()
        assert found["directory"] > 0


def test_calls_are_counted_alike_each_time() -> None:
    counts = [counted_calls(lambda: [abs(value) for value in range(9)]) for _ in range(3)]
    assert counts[0] == counts[1] == counts[2]
    assert 9 <= counts[0]["work"] <= 12


def test_the_workload_is_a_function_of_its_size_and_seed() -> None:
    one, two, other = make_log(2_000), make_log(2_000), make_log(2_000, seed=1)
    assert one.equals(two)
    assert not one.equals(other)
    sizes = pc.binary_length(one.column("payload"))
    assert 210 < pc.mean(sizes).as_py() < 230
    distinct = pc.count_distinct(one.column("payload")).as_py()
    assert distinct == 2_000
    assert PAYLOAD_BITS == 32 + 4 * 12 + 16 + 12


# Those of recovery start processes, and have a file of their own; so have those with a browser.
IN_A_BROWSER = ["causality.view"]
HERE = [c.name for c in CLAIMS if c.area != "recovery" and c.name not in IN_A_BROWSER]


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kind of file, operation and hash seed: tests of stores and of scenarios have them all."""
    every = store_damage.samples
    monkeypatch.setattr(store_damage, "samples", lambda root, **given: every(root, **given)[:1])
    monkeypatch.setattr(store_faults, "QUICK_OPERATIONS", 1)
    monkeypatch.setattr(simulation_laws, "HASH_SEEDS", ("4711",))


@pytest.mark.parametrize("name", HERE)
@pytest.mark.usefixtures("fewer")
def test_every_claim_can_be_measured(name: str) -> None:
    check_can_be_measured(name)


def check_can_be_measured(name: str) -> None:
    report = check(name, scale=QUICK)
    (finding,) = report.findings
    found = finding.measurement
    assert found is not None, finding.reason
    assert math.isfinite(found.value)
    assert found.low <= found.value <= found.high
    # Exact counts hold at any size; times at this size mean nothing.
    if finding.claim.gate is not None and found.samples == 1:
        assert finding.ok, str(report)


def test_an_unknown_area_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(
        InvalidArgumentError, match="areas are causality, log, recovery, simulation, store"
    ):
        choose(["lag"])
    assert {found.area for found in choose(["log"])} == {"log"}
    assert [found.name for found in choose(["log.append", "log.syncs"])] == [
        "log.syncs",
        "log.append",
    ]


def test_the_page_of_claims_has_every_claim_as_it_is_today() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    written = {
        row["name"]: (row["statement"], row["source"], row["gate"], row["aim"])
        for row in results["claims"]
    }
    assert written == {
        found.name: (
            found.statement,
            found.source,
            None if found.gate is None else str(found.gate),
            None if found.aim is None else str(found.aim),
        )
        for found in CLAIMS
    }, "measure again: flowlab check --json > docs/claims.json && make docs"
    page = claims_page(results)
    assert all(f"## {found.name}\n" in page for found in CLAIMS)


def test_the_check_verb_exits_with_what_it_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["check", "log.syncs", "--quick"]) == 0
    assert "exactly 1" in capsys.readouterr().out
    assert main(["check", "nothing"]) == 2
    assert "areas are causality, log" in capsys.readouterr().err
    assert main(["check", "--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(CLAIMS)
    wrong = replace(choose(["log.syncs"])[0], gate=Bound(at_most=0))
    monkeypatch.setattr("flowlab.studies.checking.choose", lambda *_: [wrong])
    assert main(["check", "log.syncs", "--quick", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["claims"][0]["verdict"] == "refuted"


def test_a_folder_that_is_measured_in_is_made_where_it_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    with workplace(Scale(folder=folder)) as place:
        assert place.parent == folder
    assert not list(folder.iterdir())
