"""The laws of the recorder: its table is what its rows say, world by world."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from engine_worlds import FAULTS, SEEDS, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowlab.errors import InvalidEventError
from flowlab.events import Cause, Cell, Event, EventLog
from flowlab.events.codec import encode_json
from flowlab.simulation import Agent, Faults, Start, World, simulate
from flowlab.simulation.batch import Batch
from flowlab.simulation.finish import table_of
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.recorder import NOTHING, ROW, Recorder, Value, json_of, plain
from flowlab.simulation.simulate import play
from flowlab.workflow import Step

lightly = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def events_of(recorder: Recorder, run_ids: list[str], namespace: str) -> list[Event]:
    """Read the rows one by one: slow, and nothing shared with what makes the table."""
    events = []
    sequences: dict[tuple[int, int], int] = {}
    ticks: dict[tuple[int, str], int] = {}
    ids: dict[int, tuple[str, int]] = {}
    world = -1
    for row in range(len(recorder)):
        while world + 1 < len(recorder.starts) and recorder.starts[world + 1] <= row:
            world += 1
        time_ns, value, code, own, coordination, a, b, other = ROW.unpack_from(
            recorder.rows, row * ROW.size
        )
        shape, stream = recorder.shapes[code], recorder.streams[own]
        lane = recorder.streams[other if shape.by_other else own].lane
        sequence = sequences[world, stream.root] = sequences.get((world, stream.root), 0) + 1
        tick = ticks[world, lane] = ticks.get((world, lane), 0) + 1
        causes = recorder.extra.get(row)
        if causes is None:
            pairs = [(a, shape.kind_a), (b, shape.kind_b)]
            causes = tuple((cause, kind) for cause, kind in pairs if cause != NOTHING)
        ids[row] = (stream.name, sequence)
        events.append(
            Event(
                event_type=shape.event_type,
                name=shape.name,
                payload=payload_of(recorder, shape, value, other),
                namespace=namespace,
                run_id=run_ids[world],
                workflow_id=stream.name,
                sequence=sequence,
                position=row - recorder.starts[world] + 1,
                generation=stream.generation,
                agent_id=lane,
                agent_sequence=tick,
                time_ns=time_ns,
                follows_lane=shape.follows_lane,
                causes=tuple(Cause(*ids[cause], kind) for cause, kind in causes),
                reads=cells(shape.reads, lane),
                writes=cells(shape.writes, lane),
                coordination_id=(
                    None if coordination == NOTHING else recorder.streams[coordination].name
                ),
                step_id=shape.step_id,
            )
        )
    return events


def cells(signature: Any, lane: str) -> tuple[Cell, ...] | None:
    if signature is None:
        return None
    return tuple(Cell(lane if owner is None else owner, key) for owner, key in signature)


def payload_of(recorder: Recorder, shape: Any, value: int, other: int) -> bytes | None:
    text: bytes = shape.head
    if shape.agent is not None:
        text += encode_json(recorder.streams[other].lane) + shape.agent
    if shape.value == Value.INT:
        text += encode_json(value)
    elif shape.value == Value.JSON:
        kept = recorder.objects[value]
        text += kept if isinstance(kept, bytes) else encode_json(kept)
    return text + shape.tail or None


def played(world: World, seeds: list[int], faults: Faults, batch: Batch) -> list[Any]:
    recipes = [Recipe.of(world, seed, faults, {}) for seed in seeds]
    return [play(recipe, recipe.world(), batch) for recipe in recipes]


@given(worlds(), st.lists(SEEDS, min_size=1, max_size=3, unique=True), FAULTS)
@lightly
def test_the_table_is_what_the_rows_say_one_by_one(
    world: World, seeds: list[int], faults: Faults
) -> None:
    batch = Batch("class")
    run_ids = [run.run_id for run in played(world, seeds, faults, batch)]
    slow = EventLog.from_events(events_of(batch.recorder, run_ids, "class"))

    assert table_of(batch.recorder, run_ids, "class").equals(slow.table)


@given(st.lists(st.tuples(worlds(), SEEDS, FAULTS), min_size=2, max_size=3))
@lightly
def test_many_worlds_in_one_recorder_are_the_same_worlds_alone(
    given_: list[tuple[World, int, Faults]],
) -> None:
    batch, runs, alone = Batch(), [], []
    for number, (world, first, faults) in enumerate(given_):
        seed = first + number * 10_000
        runs += played(world, [seed], faults, batch)
        alone.append(simulate(world, seed=seed, faults=faults))
    for one, other in zip(runs, alone, strict=True):
        assert one.log.table.equals(other.log.table)
        assert one.log.runs == other.log.runs
        assert (one.digest, one.faults, one.end_ns) == (other.digest, other.faults, other.end_ns)
        assert (one.statuses, one.results) == (other.statuses, other.results)
        assert (one.states, one.stuck) == (other.states, other.stuck)
    together = EventLog.concat([run.log for run in alone])
    assert batch.log().digest == together.digest


def pay(agents: list[Agent], starts: Any = 1, **options: Any) -> World:
    return World(agents, Step("charge", agent="bank", kind="pivot"), starts, **options)


def test_a_world_in_which_nothing_happens_has_an_empty_log() -> None:
    run = simulate(pay([Agent("bank", named={"charge": lambda: 1})], 0))

    assert (len(run.log), run.event_count, run.end_ns, dict(run.statuses)) == (0, 0, 0, {})
    assert run.log.table.num_rows == 0


@pytest.mark.parametrize("events", [0, 1, 2])
def test_a_log_that_is_looked_at_leaves_its_recorder_open(events: int) -> None:
    # A column of a table of one row is no copy: rows that were looked at could not grow.
    batch = Batch()
    batch.recorder.begin()
    stream = batch.recorder.stream("w")
    for number in range(events):
        batch.recorder.add(number, batch.recorder.shape("WorkflowStarted"), stream)
    kept = table_of(batch.recorder, ["r"], "default")
    batch.recorder.add(9, batch.recorder.shape("WorkflowCompleted"), stream)

    assert kept.num_rows == events
    assert table_of(batch.recorder, ["r"], "default").num_rows == events + 1


def test_an_invariant_may_read_the_log_while_its_batch_goes_on() -> None:
    seen: list[int] = []
    world = pay(
        [Agent("bank", named={"charge": lambda: 1})],
        invariants=[lambda run: seen.append(len(run.log))],
    )
    played(world, list(range(5)), Faults(), Batch())

    assert seen == [7] * 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_kept_of_a_value_is_its_json_and_what_is_handed_on_is_a_copy(value: Any) -> None:
    try:
        encoded = encode_json(value)
    except InvalidEventError:
        with pytest.raises(InvalidEventError):
            plain(value)
        return
    kept, handed = plain(value)
    assert (kept if isinstance(kept, bytes) else encode_json(kept)) == encoded == json_of(value)
    assert encode_json(handed) == encoded
    if isinstance(value, (list, dict)):
        assert handed is not value


@given(JSON)
@lightly
def test_a_result_is_in_the_log_as_it_was_returned(value: Any) -> None:
    try:
        expected = encode_json({"result": value})
    except InvalidEventError:
        expected = b""
    run = simulate(pay([Agent("bank", named={"charge": lambda: value})]))
    told = [event.payload for event in run.log if event.event_type == "ActivityCompleted"]

    assert told == ([expected] if expected else [])


def test_a_table_has_the_types_of_the_schema() -> None:
    run = simulate(pay([Agent("bank", named={"charge": lambda: 1})], [Start("é/1")]))

    assert isinstance(run.log.table, pa.Table)
    run.log.table.validate(full=True)


def test_more_streams_than_sixteen_bits_count_each_its_own_events() -> None:
    recorder = Recorder()
    recorder.begin()
    shape = recorder.shape("Noted")
    # Codes that are equal in their low sixteen bits, and others that are in their high ones.
    codes = [0, 1, 1 << 16, (1 << 16) + 1, (1 << 17) - 1]
    for number in range(1 << 17):
        recorder.stream(f"w-{number}")
    for turn, code in enumerate([*codes, *codes[::-1], *codes]):
        recorder.add(turn, shape, code)

    table = table_of(recorder, [""], "default")

    for column in ("sequence", "agent_sequence"):
        assert table[column].to_pylist() == [1] * 5 + [2] * 5 + [3] * 5
