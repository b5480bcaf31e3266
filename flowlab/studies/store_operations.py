"""The operations that are driven through every boundary, one line of a table each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from flowlab.events import Cell, Event, EventLog, RunInfo
from flowlab.store import EventStore
from flowlab.studies.store_model import StoreModel

Apply: TypeAlias = Callable[[StoreModel], object]
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
    """

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] | None = ()
    options: tuple[tuple[str, Any], ...] = ()


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
    """Move the tail into sealed files, which changes nothing that is shown."""
    return Step(lambda store: _nothing(store.seal()), lambda _: None)


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
        model.append_log(log(sum(event.workflow_id == stream for event in model.events)))

    return Step(do, apply)


def record_run(scenario: str) -> Step:
    """Record what is known of a run."""
    run = RunInfo(run_id="r", scenario=scenario, parameters={"n": 1})
    return Step(lambda store: store.record_run(run), lambda model: model.record_run(run))


def _nothing(_: object) -> None:
    return None


_SEALED: Final = (append("w", "a", "b"), append("v", "c"), seal(), append("w", "d"))
"""A store with a sealed commit and a tail."""

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
        (("seal_events", 2),),
    ),
    StoreOperation("bulk append", (bulk("b", "x", "y"), append("w", "e")), _SEALED),
)
"""Add a line here, and the operation is driven through every boundary."""


def steps_of(operations: Sequence[StoreOperation]) -> dict[str, StoreOperation]:
    """Return operations by name."""
    return {operation.name: operation for operation in operations}
