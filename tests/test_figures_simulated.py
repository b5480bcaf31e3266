"""What the space-time diagram shows of simulated worlds: work, waits, faults, undoing, barriers."""

from __future__ import annotations

from itertools import combinations

import pytest

from flowlab.figures import space_time
from flowlab.figures.arrows import arrows
from flowlab.figures.bar import Bar
from flowlab.figures.labels import Box, place_labels
from flowlab.figures.layout import Layout, lay_out
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.window import choose_window
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import Agent, AgentContext, Run, World, simulate
from flowlab.workflow import SECOND, Parallel, Plan, RetryPolicy, Sequential, Step

MS = SECOND // 1_000
AGAIN = RetryPolicy(initial_interval=100 * MS, maximum_attempts=5)


def take(ctx: AgentContext) -> None:
    ctx.state["taken"] += 1


def refuse() -> None:
    message = "the card is declined"
    raise ValueError(message)


def trip(*, declined: bool = False) -> World:
    """A room, then a flight and a car side by side, then the charge; each takes 100 ms."""
    sellers = [
        Agent(name, take, named={"undo": lambda: None}, state={"taken": 0}, service=100 * MS)
        for name in ("airline", "garage", "hotel")
    ]
    bank = Agent("bank", named={"charge": refuse if declined else lambda: None}, service=100 * MS)

    def book(name: str, agent: str) -> Step:
        return Step(name, agent=agent, activity="take", compensation="undo", retry=AGAIN)

    plan = Plan(
        Sequential(
            book("room", "hotel"),
            Parallel(book("flight", "airline"), book("car", "garage"), sync_point="booked"),
            Step("charge", agent="bank", kind="pivot"),
        ),
        name="trip",
    )
    return World([*sellers, bank], plan, timeout=SECOND)


def run_with(fault: str, **rates: float) -> Run:
    """Return the first run of the trip in which the first thing that goes wrong is this."""
    for seed in range(2_000):
        run = simulate(trip(), seed=seed, faults=rates)
        if run.faults and run.faults[0] == fault:
            return run
    raise AssertionError(fault)


def scene_of(run: Run) -> Scene:
    window = choose_window(run.log, axis="auto", lanes=None, detail="activities", limit=2_000)
    return read_scene(window)


def layout_of(scene: Scene) -> Layout:
    return lay_out(scene, left=200, right=1100, top=0, names=150)


def lanes_of(scene: Scene) -> list[str]:
    return [lane.label for lane in scene.lanes]


def bars_on(scene: Scene, agent: str, kind: str = "activity") -> list[Bar]:
    return [bar for bar in scene.bars if lanes_of(scene)[bar.lane] == agent and bar.kind == kind]


def parts_of(scene: Scene, agent: str) -> list[list[str]]:
    """Return the parts of the bars of an agent, those too short to be seen aside."""
    layout = layout_of(scene)
    return [
        [part.result or part.kind for part in placed.segments if part.x2 - part.x1 > 20]
        for placed in layout.bars
        if placed.bar in bars_on(scene, agent)
    ]


def test_workflows_stand_above_the_agents_in_the_order_in_which_these_are_asked() -> None:
    assert lanes_of(scene_of(simulate(trip()))) == ["trip-1", "hotel", "airline", "garage", "bank"]


def test_a_call_works_from_its_receipt_to_its_commit() -> None:
    scene = scene_of(simulate(trip()))
    (room,) = bars_on(scene, "hotel")
    (visit,) = room.visits
    events = scene.window.events
    assert visit.done is not None
    assert events[visit.start].event_type == "MessageReceived"
    assert events[visit.done].time_ns - events[visit.start].time_ns == 100 * MS
    assert parts_of(scene, "hotel") == [["committed"]]
    assert next(lane.note for lane in scene.lanes if lane.label == "hotel") == "1 call · 100 ms"


def test_a_lost_request_ends_in_a_cross_between_the_lanes_and_asks_nobody() -> None:
    scene = scene_of(run_with("loss:trip-1/room/1/request", loss=0.1))
    layout = layout_of(scene)
    (dropped,) = [row for row in scene.adrift if scene.adrift[row][0] in scene.lost][:1]
    sent, lane = scene.adrift[dropped]
    y = layout.anchors[dropped][1]
    found = arrows(scene, layout)

    assert lanes_of(scene)[lane] == "hotel"
    assert layout.anchors[sent][1] < y < layout.lanes[lane].base
    assert [a.style for a in found if a.x1 == layout.anchors[sent][0]] == ["message"]
    assert parts_of(scene, "hotel")[0] == ["waiting"]
    assert "@world" not in lanes_of(scene)


def test_work_whose_answer_is_lost_is_done_and_then_waits_in_vain() -> None:
    scene = scene_of(run_with("loss:trip-1/room/1/reply", loss=0.1))
    first, second, *_ = parts_of(scene, "hotel")
    assert first == ["committed", "waiting"]
    assert second == ["committed"]
    assert [bar.status for bar in bars_on(scene, "hotel")][:2] == ["timed_out", "completed"]


def test_a_crash_breaks_the_work_and_what_comes_again_is_part_of_the_same_bar() -> None:
    scene = scene_of(run_with("crash:hotel:trip-1/room/1", crash=0.1))
    (gap, *_) = scene.gaps
    assert lanes_of(scene)[gap.lane] == "hotel"
    first = bars_on(scene, "hotel")[0]
    assert first.visits[0].outcome in {"crashed", "committed"}
    assert len(first.visits) > 1 or first.status == "timed_out"


def test_what_hangs_is_a_broken_attempt_beside_the_sign_of_the_fault() -> None:
    scene = scene_of(run_with("hang:hotel:trip-1/room/1", hang=0.1))
    (fault, *_) = [point for point in scene.points if point.glyph == "fault"]
    assert (lanes_of(scene)[fault.lane], fault.label) == ("hotel", "hang")
    assert parts_of(scene, "hotel")[0] == ["hung", "waiting"]


def test_a_copy_of_a_message_is_handled_in_a_part_of_its_own() -> None:
    scene = scene_of(run_with("duplicate:trip-1/room/1/request", duplicate=0.1))
    assert sum(len(bar.visits) for bar in bars_on(scene, "hotel")) == 2
    (copied, *_) = [point for point in scene.points if point.glyph == "duplicated"]
    assert copied.row in scene.adrift


def test_a_compensation_stands_with_the_agent_that_undoes_and_points_to_the_commit() -> None:
    scene = scene_of(simulate(trip(declined=True)))
    undone = [agent for agent in lanes_of(scene) if bars_on(scene, agent, "compensation")]
    assert undone == ["hotel", "airline", "garage"]
    events = scene.window.events
    for back in scene.backs:
        bar = scene.bars[back.bar]
        assert events[back.row].event_type == "TransactionCommitted"
        assert events[back.row].agent_id == lanes_of(scene)[bar.lane]
    assert len(scene.backs) == 3


def test_a_barrier_reaches_over_the_agents_that_it_names() -> None:
    scene = scene_of(simulate(trip()))
    (barrier,) = scene.barriers
    assert [lanes_of(scene)[lane] for lane in barrier.lanes] == ["airline", "garage"]


def test_who_arrives_at_a_barrier_waits_on_the_lane_of_the_agent() -> None:
    scene = scene_of(simulate(SCENARIOS["mapreduce"], jobs=1))
    waiting = {lanes_of(scene)[bar.lane] for bar in scene.bars if bar.kind == "barrier"}
    assert waiting == {"mapper-0", "mapper-1", "mapper-2"}
    asked = [arrow for arrow in arrows(scene, layout_of(scene)) if arrow.style == "asks"]
    assert len(asked) == sum(bar.kind == "activity" for bar in scene.bars)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@pytest.mark.parametrize("seed", [1, 2])
def test_every_event_of_a_world_of_chaos_has_a_place_and_no_label_covers_another(
    name: str, seed: int
) -> None:
    scene = scene_of(simulate(SCENARIOS[name], seed=seed, faults="chaos"))
    layout = layout_of(scene)
    shown = {row for row, visible in enumerate(scene.window.visible) if visible}
    assert shown == set(layout.anchors)
    labels = [label.box for label in place_labels(scene, layout, arrows(scene, layout))]
    bars = [Box(p.x1, p.y - p.height / 2, p.x2 - 0.5, p.y + p.height / 2) for p in layout.bars]
    assert not [pair for pair in combinations(labels, 2) if pair[0].overlaps(pair[1])]
    assert not [pair for pair in combinations(bars, 2) if pair[0].overlaps(pair[1])]


def test_a_picture_of_a_world_is_the_same_to_the_byte() -> None:
    pictures = {
        space_time(simulate(SCENARIOS["trip"], seed=3, faults="chaos").log).svg for _ in range(2)
    }
    assert len(pictures) == 1
