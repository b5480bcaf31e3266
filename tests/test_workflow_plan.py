"""Plans are values: equal or not, sent as JSON and back, drawn; predicates and references too."""

from __future__ import annotations

import json
import operator
import pickle
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_worlds import small_plans

from flowlab.errors import FlowlabError, InvalidArgumentError, LimitError, PlanError
from flowlab.workflow import (
    MAX_PLAN_DEPTH,
    MAX_PLAN_NODES,
    Barrier,
    Compensation,
    Conditional,
    Node,
    Parallel,
    Plan,
    Predicate,
    Predicates,
    Sequential,
    Step,
    Template,
    field,
    locate,
    named,
    predicate_from_json,
    predicate_to_json,
    result,
)
from flowlab.workflow.retry import RetryPolicy

NAMES = st.sampled_from(["a", "b", "c/d", "e:f", "é", "with space"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, "a", "$x"])
KEYS = st.sampled_from(["a", "b", "$a", "$state", "$$b", "$result"])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)
PATHS = st.lists(st.sampled_from(["a", "b", "0", "a.b", ""]), max_size=2).map(tuple)
PLACES = st.builds(field, PATHS) | st.builds(result, NAMES, PATHS)
INPUTS = JSON | PLACES | st.lists(JSON | PLACES, max_size=2)
COMPARISONS = st.builds(
    lambda left, sign, right: getattr(left, sign)(right),
    PLACES,
    st.sampled_from(["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]),
    INPUTS,
)
PREDICATES = st.recursive(
    COMPARISONS
    | PLACES.map(lambda place: place.exists())
    | st.builds(lambda place, values: place.is_in(values), PLACES, st.lists(JSON, max_size=3))
    | st.builds(named, st.sampled_from(["yes", "no"])),
    lambda inner: (
        st.builds(lambda a, b: a & b, inner, inner)
        | st.builds(lambda a, b: a | b, inner, inner)
        | inner.map(operator.invert)
    ),
    max_leaves=5,
)
RETRIES = st.none() | st.builds(RetryPolicy, maximum_attempts=st.integers(1, 5))
TIMEOUTS = st.none() | st.integers(1, 10**12) | st.just(timedelta(seconds=2))


@st.composite
def steps(draw: st.DrawFn) -> Step:
    kind = draw(st.sampled_from(["compensable", "pivot", "retryable"]))
    undo = st.builds(
        Compensation,
        NAMES,
        agent=st.none() | NAMES,
        input=INPUTS,
        retry=RETRIES,
        timeout=TIMEOUTS,
    )
    compensation = draw(st.none() | NAMES | undo) if kind == "compensable" else None
    return Step(
        draw(NAMES),
        agent=draw(NAMES),
        activity=draw(st.none() | NAMES),
        input=draw(INPUTS),
        kind=kind,
        compensation=compensation,
        effect=kind != "compensable" or compensation is not None or draw(st.booleans()),
        idempotent=draw(st.booleans()),
        retry=draw(RETRIES),
        timeout=draw(TIMEOUTS),
    )


def composed(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(inner, max_size=3)
    return st.one_of(
        lists.map(lambda nodes: Sequential(*nodes)),
        st.builds(
            lambda nodes, point: Parallel(*nodes, sync_point=point), lists, st.none() | NAMES
        ),
        st.builds(Conditional, PREDICATES, inner),
        st.builds(
            lambda on, yes, no: Conditional(on, {True: yes, False: no}), PREDICATES, inner, inner
        ),
        st.builds(
            lambda on, cases, otherwise: Conditional(on, cases, otherwise=otherwise),
            PLACES,
            st.dictionaries(SCALARS, inner, min_size=1, max_size=3),
            st.none() | inner,
        ),
    )


NODES = st.recursive(
    steps() | st.builds(Barrier, NAMES, st.lists(NAMES, min_size=1)), composed, max_leaves=6
)
PLANS = st.builds(
    lambda root, name, agents, at_once, go_on: Plan(
        root, name=name, agents=agents, parallel_undo=at_once, go_on=go_on
    ),
    NODES,
    NAMES,
    st.none() | st.lists(NAMES),
    st.booleans(),
    st.booleans(),
)


@given(PLANS)
def test_a_plan_goes_to_json_text_and_comes_back_equal(plan: Plan) -> None:
    text = json.dumps(plan.to_json())
    back = Plan.from_json(text)
    assert back == plan
    assert hash(back) == hash(plan)
    assert repr(back) == repr(plan)
    assert str(back) == str(plan)
    assert json.dumps(back.to_json()) == text
    assert Plan.from_json(text.encode()) == plan


@given(PLANS, PLANS)
def test_plans_are_equal_exactly_if_their_json_is(one: Plan, other: Plan) -> None:
    texts = [json.dumps(plan.to_json()) for plan in (one, other)]
    assert (one == other) == (texts[0] == texts[1])


@given(PLANS)
def test_a_plan_survives_pickling_and_each_repr_is_one_short_line(plan: Plan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert "\n" not in repr(plan)
    for at in plan.nodes:
        assert "\n" not in repr(at.node)
        assert " at 0x" not in repr(at.node)


@given(NODES)
def test_ids_are_distinct_and_say_where_a_node_stands(root: Node) -> None:
    located = list(locate(root))
    assert len({at.node_id for at in located}) == len(located)
    for at in located:
        node = root
        for position in map(int, at.node_id.partition(":")[0].split("/")[1:]):
            node = node.children[position]
        assert node == at.node


@given(NODES)
def test_a_drawing_has_every_node_once_and_leads_from_start_to_end(root: Node) -> None:
    drawing = Plan(root).drawing()
    ids = [node.node_id for node in drawing.nodes]
    assert len(set(ids)) == len(ids)
    named_ids = {at.node_id for at in locate(root) if not isinstance(at.node, Sequential)}
    assert named_ids <= set(ids)
    targets = {"start"}
    for _ in ids:
        targets |= {edge.target for edge in drawing.edges if edge.source in targets}
    lonely = {n.node_id for n in drawing.nodes if n.kind == "compensation"}
    empty = {f"{at.node_id}+join" for at in locate(root) if at.node.children == ()}
    if not any(isinstance(at.node, Parallel) and not at.node.branches for at in locate(root)):
        assert targets == set(ids) - lonely - empty
    assert Plan(root).drawing() == drawing


def test_a_plan_draws_itself_as_a_tree() -> None:
    plan = Plan(
        Sequential(
            Step("reserve", agent="hotel", compensation="cancel"),
            Parallel(
                Step("quote", agent="bank", activity="ask", kind="retryable", idempotent=True),
                Sequential(Step("look", agent="web", effect=False), Barrier("met", ["web"])),
                sync_point="both",
            ),
            Conditional(
                field("total") > 100,
                Step("sign", agent="boss", compensation=Compensation("tear", agent="clerk")),
            ),
            Conditional(field("land"), {"DE": Step("a", agent="x")}, otherwise=Sequential()),
        ),
        name="trip",
    )
    assert str(plan).splitlines() == [
        "trip",
        "├─ reserve  by hotel, undone by cancel",
        "├─ side by side, then both",
        "│  ├─ quote  by bank, does ask, retryable",
        "│  └─ one after the other",
        "│     ├─ look  by web, no effect",
        "│     └─ barrier met  for web",
        "├─ depending on field('total') > 100",
        "│  ├─ true: sign  by boss, undone by tear of clerk",
        "│  └─ otherwise: nothing",
        "└─ depending on field('land')",
        '   ├─ "DE": a  by x, not undone',
        "   └─ otherwise: nothing",
    ]
    assert repr(plan) == "Plan('trip', 5 steps, agents bank, boss, clerk, hotel, web and 1 more)"
    assert plan.steps[1].activity == "ask"


def test_a_plan_tells_how_it_is_undone_where_that_is_not_the_usual_way() -> None:
    plan = Plan(Step("a", agent="x", kind="pivot"), parallel_undo=True, go_on=True)
    assert str(plan).splitlines()[0] == (
        "plan  after a failure all is undone at once, and a compensation that fails stops no other"
    )
    assert repr(plan) == "Plan('plan', 1 step, agents x, parallel_undo=True, go_on=True)"
    assert list(plan.to_json()) == ["version", "name", "parallel_undo", "go_on", "root"]
    assert list(Plan(plan.root).to_json()) == ["version", "name", "root"]


def test_a_long_plan_is_shown_on_one_line_that_counts_its_steps() -> None:
    many = Sequential(*(Step(f"step-{i}", agent="x") for i in range(40)))
    assert repr(many).endswith(", ... 40 steps)")
    assert len(repr(many)) < 100


STEP = {"node": "step", "name": "a", "agent": "x"}


def nested(levels: int) -> Any:
    value: Any = STEP
    for _ in range(levels - 1):
        value = {"node": "sequential", "nodes": [value]}
    return value


def plan_of(root: Any) -> Any:
    return {"version": 1, "root": root}


BAD: list[tuple[Any, str]] = [
    ('{"version": 1, "root": {"nod', "this is not the JSON of a plan: .* damaged or cut off"),
    (b"\xff\xfe\x00", "this is not the JSON of a plan"),
    ("", "this is not the JSON of a plan"),
    ('{"version": 1, "version": 1}', "holds the key 'version' twice"),
    ('{"version": NaN}', "NaN is not JSON"),
    ("[" * 100_000, "this is not the JSON|nested deeper than MAX_JSON_DEPTH = 200"),
    (None, r"\$: expected an object, got null"),
    ({"root": STEP}, r"\$: the field 'version' is missing; there is 'root'"),
    ({"version": True, "root": STEP}, r"\$.version: this flowlab reads plans of version 1"),
    ({"version": 2, "root": STEP}, r"\$.version: .* a newer one may have written it"),
    (plan_of(STEP) | {"nmae": "p"}, r"\$: the field 'nmae' is unknown here; known are version"),
    (plan_of(STEP) | {"agents": "x"}, r"\$.agents: expected a list"),
    (plan_of(STEP) | {"name": ""}, r"\$: the name of a plan is text of one line"),
    (plan_of([STEP]), r"\$.root: expected a node .*, got \["),
    (plan_of({"node": "loop"}), r"\$.root: expected a node \(an object whose node is one of"),
    (plan_of({"node": ["step"]}), r"\$.root: expected a node"),
    (plan_of({"node": "sequential"}), r"\$.root: the field 'nodes' is missing"),
    (
        plan_of({"node": "sequential", "nodes": [STEP, STEP | {"agent": 7}]}),
        r"\$.root.nodes\[1\].agent: expected text, got 7",
    ),
    (plan_of(STEP | {"agnet": "x"}), r"\$.root: the field 'agnet' is unknown here"),
    (plan_of(STEP | {"kind": "x"}), r"\$.root: step 'a' is of the kind 'x'"),
    (plan_of(STEP | {"timeout": 0}), r"\$.root: the timeout of step 'a' is 0 ns"),
    (plan_of(STEP | {"timeout": 1.5}), r"\$.root.timeout: expected an integer, got 1.5"),
    (plan_of(STEP | {"idempotent": 1}), r"\$.root.idempotent: expected true or false, got 1"),
    (plan_of(STEP | {"retry": {"x": 1}}), r"\$.root.retry: "),
    (plan_of(STEP | {"input": {"$x": 1}}), r"\$.root.input: '\$x' is no reference"),
    (
        plan_of(STEP | {"input": {"$result": []}}),
        r"\$.root.input: the reference \$result expects a list",
    ),
    (plan_of(STEP | {"input": float("nan")}), r"\$.root.input: "),
    (plan_of(STEP | {"compensation": "u"}), r"\$.root.compensation: expected an object"),
    (
        plan_of(STEP | {"kind": "pivot", "compensation": {"activity": "u"}}),
        r"\$.root: step 'a' is pivot and has a compensation, which would never run",
    ),
    (
        plan_of({"node": "parallel", "branches": [], "sync_point": 7}),
        r"\$.root: the name of a sync point is text",
    ),
    (
        plan_of({"node": "barrier", "name": "b", "required_agents": []}),
        r"\$.root: barrier 'b' requires no agent",
    ),
    (
        plan_of({"node": "conditional", "on": {"named": "p"}, "branches": []}),
        r"\$.root: the branches of a Conditional",
    ),
    (
        plan_of({"node": "conditional", "on": {"nmaed": "p"}, "branches": []}),
        r"\$.root.on: expected a predicate",
    ),
    (
        plan_of({"node": "conditional", "on": {"not": {"exists": 1}}, "branches": []}),
        r"\$.root.on.not.exists: expected a reference",
    ),
    (
        plan_of({"node": "conditional", "on": {"all": [{"named": "p"}]}, "branches": []}),
        r"\$.root.on.all: AllOf joins two predicates or more",
    ),
    (
        plan_of(
            {
                "node": "conditional",
                "on": {"compare": "~", "left": {"$state": ["a"]}, "right": 1},
                "branches": [],
            }
        ),
        r"\$.root.on.compare: '~' is no comparison; known are == != < <= > >= in",
    ),
    (
        plan_of(
            {
                "node": "conditional",
                "on": {"$state": ["a"]},
                "branches": [{"when": [1], "do": STEP}],
            }
        ),
        r"\$.root.branches\[0\].when: expected a text, a number",
    ),
]


@pytest.mark.parametrize(("document", "message"), BAD, ids=lambda value: str(value)[:50])
def test_a_bad_document_is_one_error_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(FlowlabError, match=message) as caught:
        Plan.from_json(document)
    assert isinstance(caught.value, (PlanError, LimitError))


@given(PLANS, st.data())
def test_a_document_that_is_cut_off_anywhere_is_refused(plan: Plan, data: st.DataObject) -> None:
    text = json.dumps(plan.to_json())
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(PlanError, match="this is not the JSON of a plan"):
        Plan.from_json(text[:cut])


@given(PLANS, st.data())
def test_a_document_with_a_wrong_value_anywhere_is_read_or_refused_and_never_crashes(
    plan: Plan, data: st.DataObject
) -> None:
    document = plan.to_json()
    spots: list[tuple[Any, Any]] = []
    stack: list[Any] = [document]
    while stack:
        here = stack.pop()
        inside = list(here.items()) if isinstance(here, dict) else list(enumerate(here))
        spots += [(here, key) for key, _ in inside]
        stack += [value for _, value in inside if isinstance(value, (dict, list))]
    holder, key = data.draw(st.sampled_from(spots))
    holder[key] = data.draw(JSON)
    with suppress(PlanError, LimitError):
        assert Plan.from_json(document).to_json() is not None


def test_depth_and_size_have_limits_with_names() -> None:
    assert len(Plan.from_json(plan_of(nested(MAX_PLAN_DEPTH))).nodes) == MAX_PLAN_DEPTH
    with pytest.raises(LimitError, match=r"^\$.root.*deeper than MAX_PLAN_DEPTH = 64"):
        Plan.from_json(plan_of(nested(MAX_PLAN_DEPTH + 1)))
    with pytest.raises(LimitError, match="MAX_JSON_DEPTH = 200"):
        Plan.from_json(plan_of(nested(150)))
    node: Node = Step("a", agent="x")
    for _ in range(MAX_PLAN_DEPTH - 1):
        node = Sequential(node)
    with pytest.raises(LimitError, match="deeper than MAX_PLAN_DEPTH = 64; flatten it"):
        Sequential(node)
    with pytest.raises(LimitError, match=r"10001 nodes, more than MAX_PLAN_NODES = 10000"):
        Sequential(*[Step("a", agent="x")] * MAX_PLAN_NODES)
    many = {"node": "sequential", "nodes": [STEP] * MAX_PLAN_NODES}
    with pytest.raises(LimitError, match=r"\$.root: the plan has 10001 nodes"):
        Plan.from_json(plan_of(many))


A = Step("a", agent="x")
DOORS: list[tuple[Any, str]] = [
    (lambda: Sequential([A]), r"a list is no node: write Sequential\(...\)"),
    (lambda: Plan([A]), "a list is no node"),
    (lambda: Parallel(lambda: 1), r"a function \(<lambda>\) is no node: write Step"),
    (lambda: Sequential("a"), r"'a' is no node: write Step\('a', agent=...\)"),
    (lambda: Sequential(7), "a node is a Step, .*; got 7"),
    (lambda: Conditional(lambda _: True, A), r'a function .* is no predicate: .* named\("is_urge'),
    (lambda: Conditional(True, A), "a predicate is expected, as in field.*got True"),
    (lambda: (field("a") == 1) & field("b"), "field.'b'. alone is no predicate; compare it"),
    (lambda: (field("a") == 1) | (lambda _: True), "a function .* is no predicate"),
    (lambda: Conditional(field("a") == 1, {}), "the branches of a Conditional are a dict"),
    (lambda: Conditional(field("a") == 1, [A]), "the branches of a Conditional are a dict"),
    (lambda: Conditional(field("a") == 1, {"x": A}), "no branch is taken for 'x'"),
    (
        lambda: Conditional(field("a") == 1, {True: A, False: A}, otherwise=A),
        "both have a branch: leave otherwise out",
    ),
    (lambda: Conditional(field("a"), {(1,): A}), "a branch is taken for a text, a number"),
    (lambda: Barrier("b", "xy"), "barrier 'b' needs a list of agents; got 'xy'"),
    (lambda: Barrier("", ["x"]), "the name of a barrier is text of one line"),
    (lambda: Step("a\nb", agent="x"), "the name of a step is text of one line"),
    (lambda: Step(" a", agent="x"), "without spaces around it; got ' a'"),
    (lambda: Step("a", agent=None), "the name of an agent is text"),  # type: ignore[arg-type]
    (lambda: Step("a" * 201, agent="x"), "201 characters, more than MAX_NAME_CHARS = 200"),
    (lambda: Step("a", agent="x", kind="x"), "kinds are compensable, pivot, retryable"),  # type: ignore[arg-type]
    (lambda: Step("a", agent="x", input={1, 2}), r"which JSON cannot hold .* result\(...\)"),
    (lambda: Step("a", agent="x", compensation=7), "a compensation is the name of an activity"),  # type: ignore[arg-type]
    (lambda: Step("a", agent="x", effect=False, compensation="u"), "effect=False, which says"),
    (lambda: Step("a", agent="x", effect=False, kind="pivot"), "effect=False, which says"),
    (lambda: Step("a", agent="x", effect=1), "effect and idempotent are True or False"),  # type: ignore[arg-type]
    (lambda: Step("a", agent="x", retry=3), "retry is a RetryPolicy, as in"),  # type: ignore[arg-type]
    (lambda: Step("a", agent="x", timeout=-1), "the timeout of step 'a' is -1 ns"),
    (lambda: Step("a", agent="x", timeout=1.5), "the timeout of step 'a' is 1.5"),  # type: ignore[arg-type]
    (lambda: Plan(A, agents="xy"), "agents is a list of names; got the text 'xy'"),
    (lambda: Plan(A, go_on=1), "parallel_undo and go_on are True or False; got False and 1"),  # type: ignore[arg-type]
    (lambda: field(7), "a path is text, as in field"),  # type: ignore[arg-type]
    (lambda: field("a..b"), "the path 'a..b' has an empty key"),
    (lambda: result(""), r"result\(...\) takes the name of a step first"),
    (lambda: named(""), "a named predicate needs the name of a function"),
    (lambda: field("a").is_in("abc"), "is_in takes a list; got 'abc'"),
    (lambda: field("a").is_in({1}), "is_in takes a list"),
    (lambda: Predicates(lambda _: True), r"<lambda>. has no name to register; give one"),
    (lambda: Predicates(p=7), "the predicate 'p' is 7; give a function"),  # type: ignore[arg-type]
    (lambda: Predicates(bool, bool=bool), "two predicates are named 'bool'"),
]


@pytest.mark.parametrize(("make", "message"), DOORS)
def test_what_cannot_be_is_refused_with_what_to_write_instead(make: Any, message: str) -> None:
    with pytest.raises(FlowlabError, match=message) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_a_condition_has_no_truth_value_and_says_what_to_write() -> None:
    small, large = field("a") > 1, field("a") > 2
    for misuse in (
        lambda: small and large,
        lambda: not small,
        lambda: 1 < field("a") < 5,  # the chain is an `and`
        lambda: bool(field("a")),
        lambda: field("a") in [field("b"), field("c")],
    ):
        with pytest.raises(InvalidArgumentError, match=r"neither true nor false yet: join with &"):
            misuse()


def test_a_timeout_is_nanoseconds_however_it_is_written() -> None:
    assert Step("a", agent="x", timeout=timedelta(milliseconds=2)).timeout == 2_000_000
    assert Step("a", agent="x", timeout=timedelta(milliseconds=2)) == Step(
        "a", agent="x", timeout=2_000_000
    )


def test_values_that_python_calls_equal_and_json_does_not_stay_apart() -> None:
    assert (field("a") == 1) != Conditional(field("a") == True, A).on  # noqa: E712 - data
    assert Step("a", agent="x", input=1) != Step("a", agent="x", input=True)
    switch = Conditional(field("a"), {1: A, "1": Sequential()}, otherwise=Parallel(A))
    assert [switch.choose({"a": v}) for v in (1, 1.0, "1", True, None)] == [0, 0, 1, 2, 2]
    assert switch.choose({}) == 2
    assert Conditional(field("a"), {None: A}).choose({}) is None
    assert Conditional(field("a"), {None: A}).choose({"a": None}) == 0


def python_says(sign: str, left: Any, right: Any) -> bool:
    def kind(value: Any) -> str:
        if isinstance(value, bool):
            return "bool"
        return "number" if isinstance(value, (int, float)) else type(value).__name__

    same = kind(left) == kind(right) and left == right
    if sign in {"==", "!="}:
        return same is (sign == "==")
    if kind(left) != kind(right) or kind(left) not in {"number", "str"}:
        return False
    return bool(eval("left " + sign + " right", {"left": left, "right": right}))


@given(SCALARS, SCALARS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_a_comparison_says_what_python_does_of_values_of_one_type(
    left: Any, right: Any, sign: str
) -> None:
    expected = python_says(sign, left, right)
    document = {"compare": sign, "left": {"$state": ["v"]}, "right": Template.of(right).to_json()}
    assert predicate_from_json(document).holds({"v": left}) is expected
    other = document | {"right": {"$result": ["s", "w"]}}
    found = predicate_from_json(other).holds({"v": left}, results={"s": {"w": right}})
    assert found is expected


@given(PLACES, JSON, st.lists(JSON, max_size=2))
def test_every_comparison_on_a_place_with_nothing_there_is_false(
    place: Any, value: Any, values: list[Any]
) -> None:
    comparisons = [
        place == value,
        place != value,
        place < value,
        place <= value,
        place > value,
        place >= value,
        place.is_in(values),
        place.exists(),
        field("there") == place,
        field("there") != place,
    ]
    state: Any = {"there": 1} if place.place.path else None
    if place.place.path or place.place.step:
        assert [c.holds(state) for c in comparisons] == [False] * 10
        assert [(~c).holds(state) for c in comparisons] == [True] * 10


@given(PREDICATES, st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2))
def test_a_predicate_goes_to_json_and_back_and_says_the_same(
    predicate: Predicate, state: dict[str, Any]
) -> None:
    known = Predicates(yes=lambda _: True, no=lambda _: False)
    back = predicate_from_json(json.loads(json.dumps(predicate_to_json(predicate))))
    assert back == predicate
    assert hash(back) == hash(predicate)
    names: dict[str, Any] = {"field": field, "result": result, "named": named}
    assert eval(repr(predicate), names) == predicate
    says = predicate.holds(state, predicates=known)
    assert back.holds(state, predicates=known) is says
    assert (~predicate).holds(state, predicates=known) is not says


@given(PREDICATES, PREDICATES)
def test_and_or_and_not_are_those_of_logic(one: Predicate, other: Predicate) -> None:
    known = Predicates(yes=lambda _: True, no=lambda _: False)

    def says(predicate: Predicate) -> bool:
        return predicate.holds({"a": 1, "b": "a"}, predicates=known)

    assert says(one & other) is (says(one) and says(other))
    assert says(one | other) is (says(one) or says(other))
    assert says(~(one & other)) is says(~one | ~other)


def test_a_named_predicate_asks_the_functions_it_is_given_and_no_other() -> None:
    with pytest.raises(PlanError, match=r"named\('p'\) is not registered; registered are: none"):
        named("p").holds({})
    with pytest.raises(PlanError, match="registered are: q. Give it: Predicates.p=function"):
        named("p").holds({}, predicates=Predicates(q=bool))
    with pytest.raises(PlanError, match="returned 1, which is no bool"):
        named("p").holds({}, predicates=Predicates(p=lambda _: 1))  # type: ignore[arg-type, return-value]
    assert named("p").holds({"a": 1}, predicates=Predicates(p=lambda state: state["a"] == 1))


@given(JSON)
def test_a_template_without_references_is_its_value(value: Any) -> None:
    template = Template.of(value)
    assert json.dumps(template.fill({}), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert Template.from_json(template.to_json()) == template
    assert template.places == ()


def test_a_template_is_filled_from_the_state_and_from_results() -> None:
    step = Step(
        "a",
        agent="x",
        input={"all": field(), "deep": [field("o.list.1")], "r": result("s", "k"), "$lit": 1},
    )
    assert step.input is not None
    state = {"o": {"list": [1, 2]}}
    assert step.input.fill(state, {"s": {"k": None}}) == {
        "all": state,
        "deep": [2],
        "r": None,
        "$lit": 1,
    }
    with pytest.raises(PlanError, match=r"result\('s', 'k'\) is not there; the state has o, and"):
        step.input.fill(state, {"t": 1})


@given(small_plans(barriers=True))
def test_small_plans_of_the_checker_are_plans_like_any_other(root: Node) -> None:
    assert Plan.from_json(Plan(root).to_json()) == Plan(root)
