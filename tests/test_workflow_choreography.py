"""Who reacts to which event by emitting which: as data, and checked before anything runs."""

from __future__ import annotations

import json
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import LimitError, PlanError
from flowlab.workflow import (
    CHOREOGRAPHY_RULES,
    MAX_REACTIONS,
    Choreography,
    Compensation,
    Reaction,
    check_choreography,
    choreography_problems,
)

ORDER = Choreography(
    Reaction(
        "kitchen",
        on="Placed",
        emits="Made",
        activity="make_ticket",
        compensation="drop_ticket",
        undone_by="Refused",
    ),
    Reaction(
        "bank", on="Made", emits="Paid", fails_with="Refused", activity="charge", kind="pivot"
    ),
    Reaction("rider", on="Paid", emits="Brought", kind="retryable", idempotent=True),
    start="Placed",
    final=["Brought"],
    name="order",
)
NAMES = st.sampled_from(["A", "B", "C", "D", "E"])
EVENTS = st.lists(NAMES, max_size=2, unique=True)


@st.composite
def reactions(draw: st.DrawFn) -> Reaction:
    kind = draw(st.sampled_from(["compensable", "pivot", "retryable"]))
    emits = draw(EVENTS)
    fails = st.none() if kind == "retryable" else st.none() | st.just("F")
    undone = kind == "compensable" and draw(st.booleans())
    return Reaction(
        draw(st.sampled_from("abc")),
        on=draw(NAMES),
        emits=emits,
        activity=draw(st.none() | st.just("do")),
        kind=kind,
        fails_with=draw(fails),
        compensation=Compensation("undo", agent="z", input={"n": 1}) if undone else None,
        undone_by=draw(EVENTS) if undone else (),
        effect=kind != "compensable" or undone or draw(st.booleans()),
        idempotent=draw(st.booleans()),
    )


CHOREOGRAPHIES = st.builds(
    lambda made, start, final, agents: Choreography(*made, start=start, final=final, agents=agents),
    st.lists(reactions(), max_size=5),
    EVENTS,
    EVENTS,
    st.none() | st.lists(st.sampled_from("abc")),
)


@given(CHOREOGRAPHIES)
def test_a_choreography_goes_to_json_text_and_comes_back_equal(choreography: Choreography) -> None:
    text = json.dumps(choreography.to_json())
    assert Choreography.from_json(text) == choreography
    assert hash(Choreography.from_json(text)) == hash(choreography)


@given(CHOREOGRAPHIES)
def test_a_cycle_is_reported_exactly_if_there_is_one_and_its_path_is_one(
    choreography: Choreography,
) -> None:
    graph = nx.MultiDiGraph()
    for reaction in choreography.reactions:
        for event in reaction.may_emit:
            graph.add_edge(reaction.on, event, agent=reaction.agent)
    cycles = [p for p in choreography_problems(choreography) if p.rule == "cycle"]
    assert bool(cycles) == (not nx.is_directed_acyclic_graph(graph))
    for problem in cycles:
        path = problem.message.partition(": ")[2].partition(";")[0].split(" → ")
        assert path[0] == path[-1]
        for event, agent, after in zip(path[::2], path[1::2], path[2::2], strict=False):
            assert f"({graph[event][after][0]['agent']})" == agent or any(
                f"({edge['agent']})" == agent for edge in graph[event][after].values()
            )


@given(CHOREOGRAPHIES)
def test_events_without_a_source_or_an_ear_are_exactly_those_reported(
    choreography: Choreography,
) -> None:
    emitted = {e for r in choreography.reactions for e in r.may_emit} | set(choreography.start)
    waited = [e for r in choreography.reactions for e in (r.on, *r.undone_by)]
    found = [p.rule for p in choreography_problems(choreography)]
    assert found.count("never-emitted") == sum(event not in emitted for event in waited)
    unheard = emitted - set(waited) - set(choreography.final)
    assert found.count("never-heard") == len(unheard)


def test_the_pivot_rule_follows_chains_of_success() -> None:
    late = Reaction("x", on="Paid", compensation="undo", undone_by="Refused")
    assert rules(Choreography(*ORDER.reactions, late, start="Placed", final=["Brought"])) == [
        "compensable-after-pivot"
    ]
    apology = Reaction("x", on="Refused", effect=False)
    assert rules(Choreography(*ORDER.reactions, apology, start="Placed", final="Brought")) == []


def rules(choreography: Choreography, **more: Any) -> list[str]:
    return [problem.rule for problem in choreography_problems(choreography, **more)]


def only(*reactions: Reaction, **more: Any) -> Choreography:
    return Choreography(*reactions, **{"start": "Go", "final": ["End"], **more})


REFUSED = [
    (only(), "empty", "has no reaction; add a Reaction"),
    (
        only(Reaction("a", on="Go", emits="End", effect=False), agents=["b"]),
        "unknown-agent",
        "the reaction of 'a' to 'Go' names the agent 'a'; there is b",
    ),
    (
        only(*[Reaction("a", on="Go", emits="End", effect=False)] * 2),
        "duplicate-reaction",
        "the reaction of 'a' to 'Go' by 'Go' stands twice",
    ),
    (
        only(Reaction("a", on="Gone", emits="End", effect=False), final=["End", "Go"]),
        "never-emitted",
        "'Gone', which nobody emits; emitted are End, Go",
    ),
    (
        only(Reaction("a", on="Go", emits="Lost", effect=False)),
        "never-heard",
        "the event 'Lost' is emitted by 'a' and nobody reacts to it",
    ),
    (
        only(
            Reaction("a", on="Go", emits="Ping", effect=False),
            Reaction("b", on="Ping", emits=["End", "Pong"], effect=False),
            Reaction("c", on="Pong", emits="Ping", effect=False),
        ),
        "cycle",
        "'Ping' leads back to itself: Ping → .b. → Pong → .c. → Ping; give one",
    ),
    (
        only(Reaction("a", on="Go", emits="End")),
        "no-compensation",
        "the reaction of 'a' to 'Go' is compensable and names no compensation",
    ),
    (
        only(Reaction("a", on="Go", emits="End", compensation="undo")),
        "no-compensation",
        "has a compensation that no event starts; give undone_by",
    ),
    (
        only(Reaction("a", on="Go", emits="End", kind="retryable")),
        "not-idempotent",
        "the reaction of 'a' to 'Go' is retryable but not declared idempotent",
    ),
    (
        only(
            Reaction("a", on="Go", emits="Mid", kind="pivot"),
            Reaction("b", on="Mid", emits="End", effect=False),
        ),
        "compensable-after-pivot",
        "'b' to 'Mid' is compensable and follows the pivot, the reaction of 'a' to 'Go'",
    ),
    (
        only(
            Reaction("a", on="Go", emits="Mid", kind="pivot"),
            Reaction("b", on="Mid", emits="End", kind="pivot"),
        ),
        "two-pivots",
        "'b' to 'Mid' is pivot and follows the pivot",
    ),
]


@pytest.mark.parametrize(("choreography", "rule", "message"), REFUSED)
def test_a_refusal_names_the_reaction_and_the_rule(
    choreography: Choreography, rule: str, message: str
) -> None:
    assert rule in rules(choreography)
    with pytest.raises(PlanError, match=message):
        check_choreography(choreography)


def test_every_rule_has_a_choreography_that_breaks_it() -> None:
    assert {rule for _, rule, _ in REFUSED} == CHOREOGRAPHY_RULES.keys()


def test_a_choreography_that_keeps_the_rules_is_returned_and_draws_itself() -> None:
    assert check_choreography(ORDER, agents=["kitchen", "bank", "rider"]) is ORDER
    assert repr(ORDER) == "Choreography('order', 3 reactions, start Placed)"
    assert str(ORDER).splitlines() == [
        "order",
        "├─ Placed (start)",
        "│  └─ kitchen does make_ticket, undone by drop_ticket on Refused → Made",
        "├─ Made",
        "│  └─ bank does charge, pivot → Paid; or Refused",
        "└─ Paid",
        "   └─ rider does Paid, retryable → Brought",
    ]
    drawing = ORDER.drawing()
    ids = [node.node_id for node in drawing.nodes]
    assert len(set(ids)) == len(ids)
    assert {end for edge in drawing.edges for end in (edge.source, edge.target)} <= set(ids)
    assert [e.kind for e in drawing.edges if e.target == "event:Refused"] == ["fails"]
    assert [e.target for e in drawing.edges if e.kind == "undoes"] == ["0:make_ticket+compensation"]


BAD: list[tuple[Any, str]] = [
    ('{"version": 1, "start"', "this is not the JSON of a choreography"),
    ([], r"\$: expected an object, got \[\]"),
    ({"version": 1, "start": ["A"]}, r"\$: the field 'reactions' is missing"),
    ({"version": 9, "start": [], "reactions": []}, r"\$.version: this flowlab reads choreogr"),
    ({"version": 1, "start": "A", "reactions": []}, r"\$.start: expected a list, got .A"),
    ({"version": 1, "start": [], "reactions": [{"agent": "a"}]}, r"\$.reactions\[0\]: the field"),
    (
        {"version": 1, "start": [], "reactions": [{"agent": "a", "on": "A", "emit": "B"}]},
        r"\$.reactions\[0\]: the field 'emit' is unknown here",
    ),
    (
        {"version": 1, "start": [], "reactions": [{"agent": "a", "on": "A", "kind": "x"}]},
        r"\$.reactions\[0\]: the reaction of 'a' to 'A' is of the kind 'x'",
    ),
    (
        {"version": 1, "start": [], "reactions": [{"agent": "a", "on": "A", "emits": [1]}]},
        r"\$.reactions\[0\].emits\[0\]: expected text, got 1",
    ),
]


@pytest.mark.parametrize(("document", "message"), BAD)
def test_a_bad_document_is_one_error_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Choreography.from_json(document)


def test_what_cannot_be_is_refused_at_the_door() -> None:
    def made(**more: Any) -> Reaction:
        return Reaction("a", **{"on": "A", **more})

    for more, message in [
        ({"kind": "x"}, "kinds are compensable, pivot, retryable"),
        ({"kind": "pivot", "compensation": "u"}, "a compensation that never runs"),
        ({"effect": False, "kind": "pivot"}, "effect=False, which only a compensable"),
        ({"undone_by": "B"}, "says undone_by and not how"),
        ({"kind": "retryable", "fails_with": "F"}, "is retryable, so it never emits 'F'"),
        ({"emits": "F", "fails_with": "F"}, "emits 'F' whether it succeeds or fails"),
        ({"emits": ["B", "B"]}, "names an event twice: B, B"),
        ({"emits": {"B"}}, "events are a name or a list of names"),
        ({"on": ""}, "the name of an event is text of one line"),
        ({"idempotent": 1}, "True or False"),
        ({"compensation": 7}, "a compensation is the name of an activity"),
    ]:
        with pytest.raises(PlanError, match=message):
            made(**more)
    with pytest.raises(PlanError, match="a choreography is made of Reaction"):
        Choreography(lambda: 1, start="A")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="got the text 'abc'"):
        Choreography(made(), start="A", agents="abc")
    with pytest.raises(LimitError, match="MAX_REACTIONS = 2000"):
        Choreography(*[made()] * (MAX_REACTIONS + 1), start="A")
