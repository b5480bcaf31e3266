"""Pictures of plans and choreographies, and curves: what is in them, and that it can be read."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plan_hosts import plans

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.figures import curves, flow
from flowlab.figures.flow import MAX_NODES
from flowlab.figures.flow_layout import FlowLayout, FlowNode, lay_out_flow
from flowlab.figures.svg import ATTRIBUTES, ELEMENTS
from flowlab.figures.text import text_width
from flowlab.scenarios import SCENARIOS
from flowlab.workflow import Choreography, Parallel, Plan, Reaction, Sequential, Step

EVENTS = st.sampled_from("ABCDEFG")


@st.composite
def choreographies(draw: st.DrawFn) -> Choreography:
    """Return any reactions, in circles, too: what is refused to run is drawn all the same."""
    count = draw(st.integers(0, 8))
    reactions = []
    for _ in range(count):
        emits = draw(st.lists(EVENTS, max_size=3, unique=True))
        undone = draw(st.lists(EVENTS, max_size=2, unique=True))
        fails = draw(st.none() | EVENTS.filter(lambda event, emits=emits: event not in emits))
        agent = draw(st.sampled_from(["ann", "bob", "cy"]))
        reaction = Reaction(
            agent, on=draw(EVENTS), emits=emits, fails_with=fails, undone_by=undone,
            compensation="undo" if undone else None,
        )  # fmt: skip
        reactions.append(reaction)
    return Choreography(*reactions, start=draw(EVENTS), final=["Z"])


LIBRARY = [
    process
    for scenario in SCENARIOS.values()
    for process in scenario().workflows.values()
    if isinstance(process, (Plan, Choreography))
]
DRAWN = st.sampled_from(LIBRARY) | plans() | choreographies()


def laid_out(plan: Plan | Choreography) -> FlowLayout:
    return lay_out_flow(plan.drawing(), left=132, width=1200, top=66)


def apart(one: FlowNode, other: FlowNode) -> bool:
    return (
        abs(one.x - other.x) >= one.half + other.half
        or abs(one.y - other.y) >= one.tall + other.tall
    )


@settings(max_examples=60, deadline=None)
@given(DRAWN)
def test_every_node_of_a_plan_stands_once_in_the_lane_of_its_agent_and_covers_no_other(
    plan: Plan | Choreography,
) -> None:
    laid = laid_out(plan)
    lanes = {lane.name: lane for lane in laid.lanes}

    assert [node.drawn for node in laid.nodes] == list(plan.drawing().nodes)
    assert all(apart(one, other) for one, other in combinations(laid.nodes, 2))
    for node in laid.nodes:
        inside = [n for n, lane in lanes.items() if lane.top < node.y < lane.bottom]
        assert len(inside) == 1
        assert node.drawn.agent in {None, *inside}
        assert node.x + node.half <= laid.width


@settings(max_examples=60, deadline=None)
@given(DRAWN)
def test_an_arrow_leads_level_or_upright_from_its_node_to_the_other(
    plan: Plan | Choreography,
) -> None:
    laid = laid_out(plan)
    nodes = {node.drawn.node_id: node for node in laid.nodes}

    for edge in laid.edges:
        ends = ((edge.drawn.source, edge.way[0]), (edge.drawn.target, edge.way[-1]))
        assert all(nodes[name].meets(point, point) for name, point in ends)
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(edge.way))


@pytest.mark.parametrize("plan", LIBRARY, ids=lambda plan: plan.name)
def test_no_arrow_of_the_library_leads_through_a_node(plan: Plan | Choreography) -> None:
    laid = laid_out(plan)

    for edge in laid.edges:
        for node in laid.nodes:
            if node.drawn.node_id not in {edge.drawn.source, edge.drawn.target}:
                assert not any(node.meets(a, b) for a, b in pairwise(edge.way))


@settings(max_examples=30, deadline=None)
@given(DRAWN)
@example(Choreography(start="Nothing"))
def test_any_plan_gives_one_well_formed_picture_of_safe_parts(plan: Plan | Choreography) -> None:
    figure = flow(plan)
    root = ET.fromstring(figure.svg)

    assert {each.tag.rpartition("}")[2] for each in root.iter()} <= ELEMENTS
    assert {name for each in root.iter() for name in each.attrib} | {"xmlns"} <= ATTRIBUTES
    assert "nan" not in "".join(figure.svg.split(">")[::2])
    assert flow(plan).svg == figure.svg
    assert figure.text.endswith(str(plan))


def test_a_way_back_of_a_choreography_is_drawn_and_so_is_a_circle() -> None:
    circle = Choreography(
        Reaction("ann", on="Ping", emits="Pong", effect=False),
        Reaction("bob", on="Pong", emits="Ping", effect=False),
        start="Ping",
    )
    laid = laid_out(circle)

    # the last arrow leads from bob's reaction back to the event that he reacts to first
    assert [edge.way[0][0] > edge.way[-1][0] for edge in laid.edges] == [False] * 3 + [True]


def test_what_cannot_be_drawn_is_refused() -> None:
    step = Step("charge", agent="bank", kind="pivot")
    with pytest.raises(InvalidArgumentError, match="draws a Plan or a Choreography; got 'plan'"):
        flow("plan")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="width is 100; expected at least 480"):
        flow(Plan(step), width=100)
    many = [Step(f"s{n}", agent="a", effect=False) for n in range(MAX_NODES)]
    with pytest.raises(LimitError, match="more than MAX_NODES = 400; print the plan"):
        flow(Plan(Sequential(*many)))


def test_a_name_of_markup_is_text() -> None:
    step = Step("<b>&", agent='"a"', effect=False)
    assert "<b>" not in flow(Plan(Parallel(step), name="<i>")).svg


POINTS = st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=30), POINTS, min_size=1, max_size=6))
def test_curves_stay_in_their_picture_and_no_name_covers_another(series: dict[str, Any]) -> None:
    figure = curves(series, x="agents", y="pairs", title="growth", width=820)
    root = ET.fromstring(figure.svg)
    dots = [each for each in root.iter() if each.tag.endswith("circle")]
    names = [each for each in root.iter() if each.get("font-size") == "13"]

    assert len(dots) == sum(map(len, series.values()))
    assert all(60 <= float(dot.attrib["cx"]) <= 820 for dot in dots)
    assert all(90 <= float(dot.attrib["cy"]) <= 304 for dot in dots)
    heights = sorted(float(name.attrib["y"]) for name in names)
    assert all(b - a >= 13 for a, b in pairwise(heights))
    for name in names:
        assert float(name.attrib["x"]) + text_width(name.text or "", 13) <= 820
    assert curves(series, x="agents", y="pairs", title="growth").svg == figure.svg


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ({}, "0 curves; expected 1 to 6"),
        ({str(n): [(0, 0)] for n in range(7)}, "7 curves"),
        ({"a": []}, "the curve 'a'; expected points"),
        ({"a": [(0, -1)]}, "the curve 'a'"),
        ({"a": [(0, float("nan"))]}, "the curve 'a'"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(series: Any, said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        curves(series, x="x", y="y", title="t")
