"""Comparisons of campaigns: intervals against their definitions, counts against plain loops."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog, RunInfo
from flowlab.store import EventStore
from flowlab.studies.comparison import compare
from flowlab.studies.intervals import (
    Interval,
    mean_of,
    paired_rates,
    pairs_for_means,
    pairs_for_rates,
    student_quantile,
    wilson,
)

Z = NormalDist().inv_cdf(0.975)
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pair_counts = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)).filter(any)


def ends(found: Interval, digits: int) -> tuple[float, float]:
    return round(found.low, digits), round(found.high, digits)


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_s_interval_is_the_one_of_newcombe_s_table(
    successes: int, count: int, expected: tuple[float, float]
) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3."""
    assert ends(wilson(successes, count), 4) == expected


@given(counts)
def test_wilson_s_ends_solve_the_score_equation(given_counts: tuple[int, int]) -> None:
    successes, count = given_counts
    found = wilson(successes, count)

    assert 0 <= found.low <= found.value <= found.high <= 1
    for end in (found.low, found.high):
        deviation = math.sqrt(end * (1 - end) / count)
        assert abs(found.value - end) == pytest.approx(Z * deviation, abs=1e-12)


@given(counts)
def test_wilson_s_interval_of_failures_is_the_mirror_image(given_counts: tuple[int, int]) -> None:
    successes, count = given_counts
    found, other = wilson(successes, count), wilson(count - successes, count)

    assert (found.low, found.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-14)


@pytest.mark.parametrize(
    ("cells", "confidence", "expected"),
    [
        ((43, 0, 1, 0), 0.90, (-0.096, 0.037)),
        ((4, 9, 3, 16), 0.95, (-0.027, 0.390)),
        ((1, 1, 7, 12), 0.95, (-0.517, -0.026)),
    ],
)
def test_tango_s_interval_is_the_published_one(
    cells: tuple[int, int, int, int], confidence: float, expected: tuple[float, float]
) -> None:
    """Tango's soft contact lenses and its second example (1998), and airway hyper-responsiveness.

    The last is that of M. W. Fagerland, S. Lydersen and P. Laake, Statistics in Medicine 33 (2014).
    """
    _, gained, lost, _ = cells
    assert ends(paired_rates(gained, lost, sum(cells), confidence=confidence), 3) == expected


def likely(gained: int, lost: int, same: int, difference: float) -> float:
    """Find the rate of `lost` that is most likely given the difference, by looking for it."""

    def surprise(rate: float) -> float:
        parts = ((gained, rate + difference), (lost, rate), (same, 1 - 2 * rate - difference))
        return -math.fsum(n * math.log(max(p, 1e-300)) for n, p in parts if n)

    low, high = max(0.0, -difference), (1 - difference) / 2
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(120):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if surprise(left) <= surprise(right) else (left, high)
    return (low + high) / 2


@given(pair_counts, st.floats(-0.999, 0.999))
def test_a_difference_is_in_tango_s_interval_exactly_if_the_score_test_keeps_it(
    cells: tuple[int, int, int], difference: float
) -> None:
    gained, lost, same = cells
    pairs = sum(cells)
    found = paired_rates(gained, lost, pairs)
    assume(min(abs(difference - found.low), abs(difference - found.high)) > 1e-5)
    rate = likely(gained, lost, same, difference)
    variance = max(2 * rate + difference - difference**2, 0.0) * pairs

    score = (gained - lost - pairs * difference) ** 2

    assert found.holds(difference) is (score <= Z**2 * variance)


@given(pair_counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_swapping_the_arms_turns_the_interval_around_exactly(
    cells: tuple[int, int, int], confidence: float
) -> None:
    gained, lost, _ = cells
    found = paired_rates(gained, lost, sum(cells), confidence=confidence)
    other = paired_rates(lost, gained, sum(cells), confidence=confidence)

    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.value, found.high) == (-other.high, -other.value, -other.low)


def trinomial(pairs: int, gained: float, lost: float) -> Iterator[tuple[int, int, float]]:
    """Yield every outcome of pairs with its probability."""
    for a in range(pairs + 1):
        for b in range(pairs + 1 - a):
            ways = math.comb(pairs, a) * math.comb(pairs - a, b)
            rest = (1 - gained - lost) ** (pairs - a - b)
            yield a, b, ways * gained**a * lost**b * rest


def test_tango_s_interval_covers_the_truth_about_as_often_as_it_says_counted_exactly() -> None:
    pairs = 20
    found = {
        (a, b): paired_rates(a, b, pairs)
        for a, b in product(range(pairs + 1), repeat=2)
        if a + b <= pairs
    }
    coverages = []
    for gained, lost in product([0.02, 0.05, 0.1, 0.2, 0.3, 0.45], repeat=2):
        chances = trinomial(pairs, gained, lost)
        truth = gained - lost
        coverages.append(math.fsum(p for a, b, p in chances if found[a, b].holds(truth)))

    assert min(coverages) > 0.93
    assert 0.945 < math.fsum(coverages) / len(coverages) < 0.97


@pytest.mark.parametrize(("gained", "lost"), [(0.2, 0.1), (0.3, 0.1), (0.15, 0.02), (0.05, 0.2)])
def test_the_pairs_needed_find_the_difference_in_four_of_five_campaigns(
    gained: float, lost: float
) -> None:
    of = 10_000
    needed = pairs_for_rates(round(gained * of), round(lost * of), of)
    assert needed is not None
    power = math.fsum(
        p for a, b, p in trinomial(needed, gained, lost) if (a - b) ** 2 > Z**2 * (a + b)
    )

    assert all(
        paired_rates(a, b, needed).holds(0) is ((a - b) ** 2 <= Z**2 * (a + b))
        for a, b in product(range(needed // 3), repeat=2)
    )
    assert 0.8 < power < 0.85


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706205), (2, 4.302653), (3, 3.182446), (10, 2.228139), (30, 2.042272),
     (120, 1.979930), (1_000, 1.962339), (1_001, 1.962337)],
)  # fmt: skip
def test_student_s_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert round(student_quantile(0.975, freedom), 6) == expected


@given(st.integers(1, 3_000), st.floats(0.6, 0.9995))
@settings(max_examples=30)
def test_below_student_s_quantile_lies_the_probability_asked_for(
    freedom: int, probability: float
) -> None:
    quantile = student_quantile(probability, freedom)
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale = math.exp(constant) / math.sqrt(freedom * math.pi)
    steps = 4_000
    x = np.linspace(0, quantile, steps + 1)
    density = scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    simpson = density[0] + density[-1] + 4 * density[1:-1:2].sum() + 2 * density[2:-1:2].sum()

    assert 0.5 + simpson * quantile / steps / 3 == pytest.approx(probability, abs=1e-7)


def test_a_mean_has_the_interval_of_the_book() -> None:
    """Student's sleep data (1908): the extra hours of ten patients, one drug against the other."""
    extra = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = mean_of(extra)

    assert (round(found.value, 2), *ends(found, 4)) == (1.58, 0.7001, 2.4599)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(-50, 50))
def test_a_mean_s_interval_moves_and_turns_with_its_values(
    values: list[float], shift: float
) -> None:
    found = mean_of(values)
    moved, turned = mean_of([v + shift for v in values]), mean_of([-v for v in values])

    assert (turned.low, turned.high) == (-found.high, -found.low)
    assert moved.low == pytest.approx(found.low + shift, abs=1e-6)
    assert moved.high == pytest.approx(found.high + shift, abs=1e-6)


def campaign(done: dict[str, list[bool]]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "retry": arm, "done": found, "cost": 2.0 * found + seed % 3}
        for arm, outcomes in done.items()
        for seed, found in enumerate(outcomes)
    ]


MIXED = campaign({
    "off": [seed % 10 > 2 for seed in range(200)],
    "on": [seed % 10 > 0 for seed in range(200)],
    "late": [seed % 10 > 3 or seed % 4 == 0 for seed in range(190)],
})  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), min_size=2))
def test_what_is_gained_lost_and_alone_is_what_a_plain_count_gives(
    rows: list[tuple[int, bool, bool]],
) -> None:
    runs = {(arm, seed): done for seed, arm, done in rows}
    shared = [seed for seed in range(10) if {(True, seed), (False, seed)} <= runs.keys()]
    assume(shared)
    found = compare(
        [{"seed": s, "arm": "b" if arm else "a", "ok": ok} for (arm, s), ok in runs.items()],
        by="arm", outcome="ok", base="a",
    )  # fmt: skip
    (only,) = found.differences
    both = [(runs[False, seed], runs[True, seed]) for seed in shared]

    assert only.pairs == len(shared)
    assert only.gained == both.count((False, True))
    assert only.lost == both.count((True, False))
    assert only.alone == len(runs) - 2 * len(shared)
    assert only.detectable is not (only.estimate.low <= 0 <= only.estimate.high)
    assert {arm.label: arm.successes for arm in found.arms} == {
        label: sum(ok for (arm, _), ok in runs.items() if arm is (label == "b")) for label in "ab"
    }


@given(st.permutations(MIXED[:60]))
@settings(max_examples=10)
def test_a_comparison_does_not_depend_on_the_order_of_the_runs(rows: list[dict[str, Any]]) -> None:
    mixed = [*MIXED[:1], *MIXED[200:201], *(r for r in rows if r is not MIXED[0]), *MIXED[201:]]
    assert compare(mixed, by="retry", outcome="done") == compare(
        sorted(mixed, key=lambda r: r["retry"] != "off"), by="retry", outcome="done"
    )


class Campaign:
    """Something with runs, as another room may have it."""

    def to_polars(self) -> pl.DataFrame:
        return pl.DataFrame(MIXED)


def as_log() -> EventLog:
    runs, events = [], []
    for row in MIXED:
        run = f"{row['retry']}-{row['seed']:03d}"
        runs.append(RunInfo(run_id=run, seed=row["seed"], parameters={"retry": row["retry"]}))
        for place, kind in enumerate(("Started", "Completed" if row["done"] else "Failed"), 1):
            event = {"run_id": run, "workflow_id": "w", "sequence": place, "time_ns": place}
            events.append({**event, "event_type": f"Workflow{kind}"})
    return EventLog.from_events(events, runs=runs)


@pytest.mark.parametrize(
    "shape",
    [pl.DataFrame, pl.LazyFrame, pa.Table.from_pylist, tuple, iter, lambda _: Campaign()],
    ids=["frame", "lazy", "arrow", "tuple", "iterator", "to_polars"],
)
def test_runs_in_any_shape_give_the_same_comparison(shape: Callable[[Any], Any]) -> None:
    expected = compare(MIXED, by="retry", outcome="done")
    assert compare(shape(MIXED), by="retry", outcome="done") == expected


def test_a_log_and_a_store_are_compared_by_a_parameter_of_their_runs(tmp_path: Path) -> None:
    def done(run: Any) -> bool:
        return bool(run["outcome"] == "completed")

    expected = compare(MIXED, by="retry", outcome="done", base="off")
    log = as_log()
    by_name = {arm.label: arm for arm in expected.arms}
    with EventStore(tmp_path / "store") as store:
        store.append_log(log)
        for runs in (log, store, store.snapshot()):
            found = compare(runs, by="retry", outcome=done, base="off")
            assert {arm.label: arm for arm in found.arms} == by_name
            assert set(found.differences) == set(expected.differences)
            assert found.outcome == "done"


def test_arms_that_agree_say_that_no_difference_is_detectable() -> None:
    same = [seed % 3 > 0 for seed in range(300)]
    found = compare(campaign({"a": same, "b": same}), by="retry", outcome="done")

    assert repr(found) == "Comparison(done by retry: b - a no difference detectable, and none seen)"
    assert found.differences[0].estimate.holds(0)
    assert found.differences[0].pairs_needed is None
    assert "no difference detectable" in found._repr_html_()


def test_a_difference_that_is_too_small_says_how_many_pairs_would_tell() -> None:
    a = [seed % 10 > 2 for seed in range(500)]
    b = [found if seed % 23 else not found for seed, found in enumerate(a)]
    found = compare(campaign({"a": a, "b": b}), by="retry", outcome="done")
    (only,) = found.differences

    assert not only.detectable
    assert only.pairs_needed == pairs_for_rates(only.gained or 0, only.lost or 0, 500)
    assert f"n needed: {only.pairs_needed:,}".replace(",", " ") in repr(found)
    assert found.text.count("\n") == 4


def test_an_outcome_that_is_a_number_gives_means_and_the_mean_of_the_differences() -> None:
    found = compare(MIXED, by="retry", outcome="cost", base="late", confidence=0.9)
    costs = {(row["retry"], row["seed"]): row["cost"] for row in MIXED}
    differences = [costs["on", seed] - costs["late", seed] for seed in range(190)]
    on = found.difference_of("on")

    assert on is not None
    assert found.difference_confidence == pytest.approx(0.95)
    assert on.estimate == mean_of(differences, confidence=found.difference_confidence)
    assert on.pairs_needed == pairs_for_means(differences, confidence=found.difference_confidence)
    assert (on.gained, on.lost, on.pairs, on.alone) == (None, None, 190, 10)
    assert "Student's 95 %" in found.text


def test_a_time_in_nanoseconds_is_shown_in_the_unit_that_fits() -> None:
    rows = [{**row, "took_ns": int(2e9 + 1e8 * row["cost"])} for row in MIXED]
    text = compare(rows, by="retry", outcome="took_ns").text
    assert "off   2.240 s (2.222 to 2.257)" in text
    assert "on - off: +0.040 s (" in text


def test_more_than_two_arms_are_compared_with_the_base_and_share_the_confidence() -> None:
    found = compare(MIXED, by="retry", outcome="done", base="on")
    two = compare([r for r in MIXED if r["retry"] != "late"], by="retry", outcome="done", base="on")

    assert [(one.arm, one.base) for one in found.differences] == [("off", "on"), ("late", "on")]
    assert found.difference_confidence == pytest.approx(0.975)
    assert two.difference_confidence == pytest.approx(0.95)
    wide, narrow = found.differences[0].estimate, two.differences[0].estimate
    assert wide.low < narrow.low < narrow.high < wide.high
    assert "together hold at 95 % (Bonferroni)" in found.text
    assert repr(found) == (
        "Comparison(done by retry: 3 arms, 2 of 2 differences from on detectable)"
    )


def test_a_comparison_is_a_table_of_an_arm_a_row() -> None:
    frame = compare(MIXED, by="retry", outcome="done").to_polars()

    assert frame["arm"].to_list() == ["off", "on", "late"]
    assert frame["successes"].to_list() == [140, 180, 133]
    assert frame["pairs"].to_list() == [None, 200, 190]
    assert frame["base"].to_list() == [None, "off", "off"]
    assert frame["detectable"].to_list()[:2] == [None, True]


def test_pairs_may_be_told_by_more_than_the_seed() -> None:
    runs = [
        {"seed": seed, "faults": faults, "arm": arm, "ok": arm == "b"}
        for seed, faults, arm in product(range(4), ("none", "storm"), "ab")
    ]
    assert compare(runs, by="arm", outcome="ok", pair=("seed", "faults")).differences[0].pairs == 8
    with pytest.raises(InvalidArgumentError, match=r"two runs of seed 0; .* pair=\('seed', 'f"):
        compare(runs, by="arm", outcome="ok")


def test_what_a_run_has_not_is_said_with_what_it_has() -> None:
    runs = [{"seed": 1, "retry": arm, "jitter": 0.5, "ok": True} for arm in ("off", "on")]
    with pytest.raises(InvalidArgumentError, match="by is .*; expected the name of a column"):
        compare(runs, by=["retry", "jitter"], outcome="ok")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="outcome asks a run for 'lost'.* seed, retry"):
        compare(runs, by="retry", outcome=lambda run: run["lost"])


def test_values_of_equal_text_stay_apart_and_may_be_anything() -> None:
    runs = [
        {"seed": seed, "arm": arm, "ok": seed > 1}
        for seed, arm in product(range(3), (1, "1", None, {"a": [1]}))
    ]
    found = compare(runs, by="arm", outcome="ok")
    assert [arm.label for arm in found.arms] == ["1", "'1'", "None", "{'a': [1]}"]


GOOD = {"seed": 1, "arm": "a", "ok": True}


@pytest.mark.parametrize(
    ("runs", "more", "message"),
    [
        (7, {}, "runs is a int; expected a Polars frame"),
        ("runs", {}, "runs is a str"),
        ([], {}, "has none, since there are no runs; expected at least two arms"),
        ([GOOD], {}, "has 'a'; expected at least two arms"),
        ([GOOD], {"by": "policy"}, "by='policy' is no column .* it has seed, arm, ok"),
        ([GOOD], {"outcome": "done"}, "outcome='done' is no column"),
        ([GOOD], {"pair": "world"}, "pair='world' is no column"),
        ([{**GOOD, "ok": None}], {}, "the outcome of row 0 is None; .* run: run.'ok'. == "),
        ([{**GOOD, "ok": "yes"}], {}, "the outcome of row 0 is 'yes'"),
        ([{**GOOD, "ok": math.nan}], {}, "the outcome of row 0 is nan"),
        ([GOOD, {**GOOD, "ok": 3, "seed": 2}], {}, "row 1 is 3, and those before .* truth values"),
        ([{**GOOD, "ok": 3}, {**GOOD, "seed": 2}], {}, "row 1 is True, .* are numbers"),
        ([GOOD, {**GOOD, "arm": "b"}], {"base": "c"}, "base is 'c'; the arms are 'a', 'b'"),
        ([GOOD, {**GOOD, "arm": "b", "seed": 2}], {}, "'b' and 'a' share 0 values of seed"),
        ([GOOD, {**GOOD, "arm": "b"}], {"confidence": 95}, "confidence is 95"),
        ([GOOD, {**GOOD, "arm": "b"}], {"confidence": "95"}, "confidence is '95'; expected a numb"),
        ([GOOD, {**GOOD, "arm": "b"}], {"pair": 3}, "pair is 3; expected a column, or several"),
        ([GOOD, {**GOOD, "arm": "b"}], {"pair": ["seed", 3]}, r"pair is \['seed', 3\]; expected a"),
        ([GOOD, {**GOOD, "arm": "b"}], {"name": 3}, "name is 3; expected text"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_with_what_to_do(
    runs: Any, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        compare(runs, **{"by": "arm", "outcome": "ok", **more})


def test_a_parameter_with_many_values_is_refused() -> None:
    runs = [{"seed": 1, "arm": arm, "ok": True} for arm in range(41)]
    with pytest.raises(LimitError, match="more than 40 values"):
        compare(runs, by="arm", outcome="ok")


# Each number had the decimals of its own interval: 1.44 stood beside 1.730.
@pytest.mark.parametrize("outcome", ["cost", "wait_ns", "done"])
def test_all_numbers_of_a_comparison_have_as_many_decimals(outcome: str) -> None:
    wide = [seed % 7 / 4 for seed in range(60)]
    narrow = [1.73 + seed % 2 / 100 for seed in range(60)]
    columns: dict[str, dict[str, Any]] = {
        "cost": {"wide": wide, "narrow": narrow},
        "wait_ns": {"wide": [1e9 * x for x in wide], "narrow": [1e9 * x for x in narrow]},
        "done": {"wide": [x > 1 for x in wide], "narrow": [x > 0 for x in narrow]},
    }
    runs = [
        {"seed": seed, "arm": arm, outcome: value}
        for arm, values in columns[outcome].items()
        for seed, value in enumerate(values)
    ]
    found = compare(runs, by="arm", outcome=outcome)
    cells = [cell.text or "" for cell in ET.fromstring(found._repr_html_()).iter("td")]
    numbers = re.findall(r"\d+(?:\.\d+)?(?= %| s| points| to|\)| \()", " ".join(cells))
    assert len(numbers) == 9
    assert len({len(number.partition(".")[2]) for number in numbers}) == 1


def test_what_never_varies_takes_no_decimals_from_what_does() -> None:
    runs = [
        {"seed": seed, "arm": arm, "lost": seed % 3 * (arm == "b")}
        for arm in "ab"
        for seed in range(30)
    ]
    text = compare(runs, by="arm", outcome="lost").text
    assert "a  0.00 (0.00 to 0.00)" in text
    assert "b  1.00 (0.69 to 1.31)" in text


def test_the_table_of_a_notebook_escapes_what_the_runs_say() -> None:
    runs = [{"seed": 1, "arm": arm, "ok": True} for arm in ("<b>&", "'")]
    shown = compare(runs, by="arm", outcome="ok")._repr_html_()
    assert [cell.text for cell in ET.fromstring(shown).iter("td")][0] == "<b>&"  # noqa: RUF015


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_figure_is_written_equal_to_the_byte_whatever_the_user_s_style(
    tmp_path: Path, ending: str
) -> None:
    found = compare(MIXED, by="retry", outcome="done")
    first = found.figure().save(tmp_path / f"a.{ending}")
    with mpl.rc_context({"axes.facecolor": "black", "text.color": "white", "font.size": 30}):
        second = found.figure().save(tmp_path / f"b.{ending}")

    assert first.read_bytes() == second.read_bytes()


LABELS = st.text(st.characters(max_codepoint=0x17F, exclude_categories=["C"]), min_size=1)


@given(st.lists(LABELS, min_size=2, max_size=4, unique=True), st.floats(1e-9, 1e15), LABELS)
@example(["W" * 60, "m m m m m m m m m m m m m"], 1e15, "W" * 120)
@settings(max_examples=25, deadline=None)
def test_no_text_of_a_figure_leaves_it_or_covers_another(
    labels: list[str], size: float, name: str
) -> None:
    runs = [
        {"seed": seed, "arm": arm, "value": size * (seed % 7 + place)}
        for place, arm in enumerate(labels)
        for seed in range(9)
    ]
    drawn = compare(runs, by="arm", outcome="value", name=name).figure()
    canvas = drawn.canvas
    canvas.draw()
    texts = [*drawn.texts, *(t for axes in drawn.axes for t in axes.texts)]
    texts += [t for axes in drawn.axes for t in axes.get_xticklabels()]
    boxes = [t.get_window_extent() for t in texts if t.get_text().strip()]
    width, height = drawn.bbox.width, drawn.bbox.height

    for place, box in enumerate(boxes):
        assert -1 <= box.x0 <= box.x1 <= width + 1
        assert 0 <= box.y0 <= box.y1 <= height
        for other in boxes[:place]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across <= 1 or down <= 1


def test_a_figure_shows_itself_and_has_a_title_that_may_be_chosen() -> None:
    drawn = compare(MIXED, by="retry", outcome="done").figure(title="Retries $pay$ off")
    data, shown = drawn._repr_png_()

    assert repr(drawn) == "Chart('Retries $pay$ off')"
    assert data.startswith(b"\x89PNG")
    assert shown == {"width": 1120, "height": 336}
