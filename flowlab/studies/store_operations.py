"""The operations that are driven through every boundary, one line of a table each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowlab.events import Cell, Event, EventLog, RunInfo
from flowlab.store import EventStore, Projection, Snapshots, aggregate, projection
from flowlab.store.log_checkpoint import CHECKPOINT_COMMITS
from flowlab.studies.store_model import StoreModel

Apply: TypeAlias = Callable[[StoreModel], object]
Look: TypeAlias = Callable[[EventStore, StoreModel], object]
SECOND_NS: Final = 1_000_000_000
THREADS: Final = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One call that is acknowledged when it returns.

    Args:
        do: calls the store; may return what to do to the model, where that is known only then.
        apply: does the same to the model.
    """

    do: Callable[[EventStore], Any]
    apply: Apply | None = None


@dataclass(frozen=True, slots=True)
class StoreOperation:
    """What is done to a store while it is stopped at every boundary.

    Args:
        name: of the operation.
        steps: what is watched.
        before: what was done, durably, by an earlier process; None: there is no store yet.
        options: of the store.
        views: projections that each open store knows.
        keeps_old: whether all that was there before stays readable, and pinned meanwhile.
        look: asserts what else is to be found.
    """

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] | None = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    views: tuple[Projection, ...] = ()
    keeps_old: bool = True
    look: Look | None = None


def marks(*names: str) -> list[Event]:
    """Return complete events of those names; every other one fills all its columns."""
    found = []
    for number, name in enumerate(names):
        plain = Event.of("MarkerRecorded", name=name, time_ns=SECOND_NS + sum(name.encode()))
        rich = plain.replace(
            agent_id="agent",
            payload=b'{"n":1}',
            reads=(Cell("stock", "a"),),
            writes=(),
            coordination_id="plan",
            step_id="pay",
        )
        found.append(plain if number % 2 else rich)
    return found


def append(stream: str, *names: str) -> Step:
    """Append events of those names to a stream."""
    events = marks(*names)
    return Step(
        lambda store: _nothing(store.append(stream, events)),
        lambda model: model.append(stream, events),
    )


def append_together() -> Step:
    """Append from several threads at once, so that they share commits."""

    def do(store: EventStore) -> list[Apply]:
        placed: list[tuple[int, Apply]] = []
        errors: list[BaseException] = []
        start = threading.Barrier(THREADS)

        def run(number: int) -> None:
            start.wait()
            for turn in range(2):
                events = marks(f"t{number}.{turn}", f"t{number}.{turn}b")
                stream = f"thread-{number}"
                try:
                    result = store.append(stream, events)
                except BaseException as error:
                    errors.append(error)
                    raise
                placed.append(
                    (result.first_position, lambda m, s=stream, e=events: m.append(s, e))  # type: ignore[misc]
                )

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [apply for _, apply in sorted(placed, key=lambda found: found[0])]

    return Step(do)


def seal() -> Step:
    """Move the tail into sealed files."""
    return quietly(EventStore.seal)


def bulk(stream: str, *names: str) -> Step:
    """Append a log of two streams and a run straight to sealed files."""

    def log(head: int) -> EventLog:
        events = [
            event.replace(workflow_id=stream, sequence=head + number, follows_lane=False)
            for number, event in enumerate(marks(*names), 1)
        ]
        return EventLog.from_events(events, runs=[RunInfo(scenario=stream)])

    def do(store: EventStore) -> None:
        store.append_log(log(store.snapshot().head(stream)))

    def apply(model: StoreModel) -> None:
        model.append_log(log(model.heads.get(stream, 0)))

    return Step(do, apply)


def record_run(scenario: str) -> Step:
    """Record what is known of a run."""
    run = RunInfo(run_id="r", scenario=scenario, parameters={"n": 1})
    return Step(lambda store: store.record_run(run), lambda model: model.record_run(run))


def quietly(do: Callable[[EventStore], object]) -> Step:
    """Do what changes nothing that is shown."""
    return Step(lambda store: _nothing(do(store)), lambda _: None)


def truncate(stream: str) -> Step:
    """Let the first event of a stream go."""

    def do(store: EventStore) -> list[Apply]:
        upto = store.read(f"/workflows/{stream}/events", limit=1).events()[0].sequence
        store.truncate(stream, upto=upto)
        told = _told(store)

        def apply(model: StoreModel) -> None:
            model.truncate(stream, upto)
            model.append("@world", [told])

        return [apply]

    return Step(do)


def checkpoint(stream: str) -> Step:
    """Save a state of a stream: the text of its head."""

    def do(store: EventStore) -> list[Apply]:
        head = store.snapshot().head(stream)
        store.checkpoint(stream, str(head).encode())
        told = _told(store)
        return [lambda model: model.append("@world", [told])]

    return Step(do)


def _told(store: EventStore) -> Event:
    """Return the event by which the store told of what it did."""
    return store.read("/workflows/@world/events", reverse=True, limit=1).events()[0]


def _checkpoints_hold(store: EventStore, model: StoreModel) -> None:
    taken = [event for event in model.events if event.event_type == "CheckpointTaken"]
    assert len(store.checkpoints("w")) == len(taken)
    found = store.latest_checkpoint("w")
    assert (found is None) == (not taken)
    assert found is None or found.state == str(found.checkpoint.at).encode()


def litter(root: Path) -> None:
    """Leave in a store whatever a stopped writer can leave, in each of its folders."""
    home = root / "checkpoints" / ("0" * 32)
    for path in (
        root / "workflows" / "_delta_log" / f".{9:020d}.json.e9",
        root / "metadata" / f".{1:020d}-e9.json.gz.new",
        root / "metadata" / f"{1:020d}-e9.json.gz",
        root / "metadata" / f"{999:020d}-e9.json.gz",
        root / "metadata" / f"{1:020d}-{3:020d}-e9.json.gz",
        root / "archive" / f"w-{1:012d}-v9-e9.parquet",
        home / f"{1:08d}-9.state",
        home / f".{1:08d}.state.0123456789abcdef",
        root / "aggregates" / ("0" * 32) / f".{1:012d}-v1.state.0123456789abcdef",
        root / "projections" / ".counted.state.new",
        root / ".flowlab.json.0123456789abcdef",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")


ACCOUNT: Final = aggregate(
    name="account",
    initial=0,
    decide=lambda _, amount: Event.of("Deposited", payload=amount, time_ns=SECOND_NS),
    evolve=lambda balance, event: balance + event.data,
    snapshots=Snapshots(every_events=1),
)


@projection(initial=0)
def counted(total: int, _: Event) -> int:
    """Count every event, when asked to catch up."""
    return total + 1


@projection(initial=0, life="inline")
def counted_inline(total: int, _: Event) -> int:
    """Count every event, before an append returns."""
    return total + 1


def _counts_hold(view: Projection) -> Look:
    def look(store: EventStore, model: StoreModel) -> None:
        assert store.project(view).state == len(model.events)

    return look


def execute(amount: int) -> Step:
    """Execute a command on an aggregate, whose state is saved with each event."""
    event = Event.of("Deposited", payload=amount, time_ns=SECOND_NS)
    return Step(
        lambda store: _nothing(store.execute(ACCOUNT, "ada", amount)),
        lambda model: model.append("account-ada", [event]),
    )


def _nothing(_: object) -> None:
    return None


_SEALED: Final = (append("w", "a", "b"), append("v", "c"), seal(), append("w", "d"))
"""A store with a sealed commit and a tail."""

_PIECES: Final = (*_SEALED, seal(), bulk("b", "x", "y"), append("w", "e", "f"), seal())
"""A store with several sealed files of one partition."""

_COMPACTED: Final = (*_PIECES, quietly(lambda store: store.compact(full=True)))
_MANY: Final = (
    append("w", "a"),
    *(
        step
        for number in range(CHECKPOINT_COMMITS - 1)
        for step in (record_run(f"run {number}"), seal())
    ),
)
"""A store that is a commit short of a checkpoint of the commit log."""

OPERATIONS: Final[tuple[StoreOperation, ...]] = (
    StoreOperation("creation", (append("w", "a"),), before=None),
    StoreOperation("append", (append("w", "e", "f"), append("u", "g")), _SEALED),
    StoreOperation("group commit", (append_together(),), _SEALED),
    StoreOperation("record_run", (record_run("again"), append("w", "e")), _SEALED),
    StoreOperation("seal", (seal(), append("w", "e")), _SEALED),
    StoreOperation(
        "seal of a full tail",
        (append("w", "e", "f"), append("v", "g")),
        _SEALED,
        {"seal_events": 2},
    ),
    StoreOperation("bulk append", (bulk("b", "x", "y"), append("w", "e")), _SEALED),
    StoreOperation("log checkpoint", (append("w", "e"), seal(), append("w", "f"), seal()), _MANY),
    StoreOperation("compact", (quietly(lambda store: store.compact(full=True)),), _PIECES),
    StoreOperation("archive", (quietly(EventStore.archive), append("w", "g")), _PIECES),
    StoreOperation("truncate", (truncate("w"), append("w", "g")), _PIECES, keeps_old=False),
    StoreOperation(
        "vacuum",
        (quietly(lambda store: store.vacuum(retain=0)), append("w", "g")),
        _COMPACTED,
        keeps_old=False,
    ),
    StoreOperation(
        "vacuum of leftovers",
        (quietly(EventStore.vacuum), append("w", "g")),
        (
            append("w", "a"),
            checkpoint("w"),
            seal(),
            quietly(lambda store: litter(store.path)),
        ),
        look=_checkpoints_hold,
    ),
    StoreOperation("cluster", (quietly(EventStore.cluster), append("w", "g")), _PIECES),
    StoreOperation(
        "checkpoint", (checkpoint("w"), append("w", "e")), _SEALED, look=_checkpoints_hold
    ),
    StoreOperation("aggregate", (execute(5), execute(7)), _SEALED),
    StoreOperation(
        "projection",
        (
            quietly(lambda store: store.catch_up(counted)),
            append("w", "e"),
            quietly(lambda store: store.rebuild(counted)),
        ),
        _SEALED,
        look=_counts_hold(counted),
    ),
    StoreOperation(
        "inline projection",
        (append("w", "e"), append("v", "f")),
        _SEALED,
        views=(counted_inline,),
        look=_counts_hold(counted_inline),
    ),
)
"""Add a line here, and the operation is driven through every boundary."""

TABLE: Final = {operation.name: operation for operation in OPERATIONS}
"""The same by name."""
