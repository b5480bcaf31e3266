"""What the study of recovery runs: a workflow that keeps accounts, and its histories in bulk.

The runtime writes a few thousand durable steps a second, so a history of 1 000 000 events would
take minutes. `history` writes the same columns at once; a test holds them against the runtime's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from flowlab.errors import InvalidArgumentError
from flowlab.runtime import Standing
from flowlab.runtime.scheme import RecoveryScheme, Stream
from flowlab.store import EventStore
from flowlab.store.position_read import stream_events
from flowlab.workflow import Execution, workflow

BEGAN_NS: Final = 1_767_225_600_000_000_000
STEP_NS: Final = 1_000_000
LEAST_CYCLE: Final = 3
ENTRY_BYTES: Final = 55
"""An account as JSON: its name, its text, quotes, colon and comma."""
_TEXT: Final = 32
_DIGEST: Final = 32
HOT: Final = 16
"""Accounts to which entries are posted; the others stay as they were, as most of a state does."""
GENERATION_EVENTS: Final = 40_000
"""Events of a generation at most: an execution has a limit, and a long stream begins anew."""


@dataclass
class Books:
    """The state of `keep_accounts`."""

    done: int = 0
    accounts: dict[str, str] = field(default_factory=dict)


@workflow(state=Books)
async def keep_accounts(ctx: Any, given: dict[str, int], state: Books) -> None:
    """Post one entry after the other, each to one of few accounts; save the books now and then.

    Args:
        ctx: of the workflow.
        given: `accounts`, `save` (steps between savepoints) and `renew` (steps of a generation, 0
            for all).
        state: the books.
    """
    if not state.accounts:
        state.accounts = new_accounts(given["accounts"])
    names = list(state.accounts)[:HOT]
    while True:
        await ctx.call_activity("post", state.done)
        state.accounts[names[state.done % len(names)]] = _text(state.done)
        state.done += 1
        if state.done == given["renew"]:
            ctx.continue_as_new(given)
        if state.done % given["save"] == 0:
            await ctx.savepoint()


def new_accounts(count: int) -> dict[str, str]:
    """Return accounts to which nothing was posted."""
    return {f"account-{number:08d}": "0" * _TEXT for number in range(count)}


def _text(step: int) -> str:
    return f"{step:0{_TEXT}d}"


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one workflow's history, and how it is checkpointed.

    Args:
        events: of the stream.
        every: events between savepoints, at each of which a checkpoint is due.
        state_bytes: of the state as JSON, about.
        payload_bytes: of an activity's result.

    Raises:
        InvalidArgumentError: a number is too small.

    Example:
        >>> Shape(10_000, every=1_000).cycle, Shape(10_000, every=1_000).accounts
        (1001, 18)
    """

    events: int
    every: int = 1_000
    state_bytes: int = 1_000
    payload_bytes: int = 64

    def __post_init__(self) -> None:
        least = {"events": 1, "every": LEAST_CYCLE, "state_bytes": 1, "payload_bytes": 0}
        for name, floor in least.items():
            if getattr(self, name) < floor:
                message = f"{name} is {getattr(self, name)}; expected at least {floor}"
                raise InvalidArgumentError(message)

    @property
    def save(self) -> int:
        """Steps between savepoints."""
        return self.every // 2

    @property
    def cycle(self) -> int:
        """Events from a savepoint to the next: two a step, and itself."""
        return 2 * self.save + 1

    @property
    def accounts(self) -> int:
        """How many accounts make a state of that size."""
        return max(1, round(self.state_bytes / ENTRY_BYTES))

    @property
    def renew(self) -> int:
        """Steps of a generation; 0 where one is enough."""
        if self.events <= GENERATION_EVENTS:
            return 0
        return GENERATION_EVENTS // self.cycle * self.save + self.save // 2 + 1

    @property
    def input(self) -> dict[str, int]:
        """What the workflow is given."""
        return {"accounts": self.accounts, "renew": self.renew, "save": self.save}


def result_of(step: int, payload_bytes: int) -> str:
    """Return what an activity gives back: another text at each step, as results are.

    Example:
        >>> result_of(1, 8), result_of(2, 8), len(result_of(3, 100))
        ('12dd0a6a', 'fee90546', 100)
    """
    digest = hashlib.blake2b(step.to_bytes(8), digest_size=_DIGEST).hexdigest()
    return (digest * (payload_bytes // len(digest) + 1))[:payload_bytes]


def history(shape: Shape, workflow_id: str) -> pa.Table:
    """Return the history of `keep_accounts` as a runtime writes it, but for the times.

    Example:
        >>> history(Shape(6, every=5), "w").column("event_type").to_pylist()[-2:]
        ['ActivityCompleted', 'MarkerRecorded']
    """
    return of_workflow(_columns(shape), workflow_id)


def of_workflow(columns: pa.Table, workflow_id: str) -> pa.Table:
    """Return the columns of a history as those of one workflow."""
    count = columns.num_rows
    ids = pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [workflow_id]).cast(pa.string())
    offsets = pa.array(np.concatenate([[0], np.arange(count)]), pa.int32())
    before = [ids.slice(1), pa.array(np.arange(1, count), pa.int64())]
    causes = pa.StructArray.from_arrays(before, names=["workflow_id", "sequence"])
    found = {
        "workflow_id": ids,
        "agent_id": ids,
        "causes": pa.ListArray.from_arrays(offsets, causes),
        "cause_kinds": pa.ListArray.from_arrays(offsets, pa.array(np.zeros(count - 1, np.int8))),
    }
    for name, column in found.items():
        columns = columns.append_column(name, column)
    return columns


def histories(shape: Shape, ids: list[str]) -> pa.Table:
    """Return equal histories of several workflows."""
    columns = _columns(shape)
    return pa.concat_tables([of_workflow(columns, name) for name in ids])


def _columns(shape: Shape) -> pa.Table:
    """Return what the histories of all workflows have in common."""
    kinds: list[str] = []
    names: list[str] = []
    payloads: list[bytes] = []
    generations: list[int] = []
    begin = msgspec.json.encode({"input": shape.input})
    generation = 0
    while len(kinds) < shape.events:
        _generation(shape, kinds, names, payloads, begin)
        generations += [generation] * (len(kinds) - len(generations))
        generation += 1
    count = shape.events
    return pa.table(
        {
            "event_type": pa.array(kinds[:count]),
            "name": pa.array(names[:count]),
            "payload": pa.array(payloads[:count], pa.binary()),
            "generation": pa.array(generations[:count], pa.int32()),
            "time_ns": BEGAN_NS + STEP_NS * np.arange(count, dtype=np.int64),
            "follows_lane": pa.array(np.zeros(count, np.bool_)),
        }
    )


def _generation(
    shape: Shape,
    kinds: list[str],
    names: list[str],
    payloads: list[bytes],
    begin: bytes,
) -> None:
    """Add one generation, or as much of it as there is room for."""
    accounts, own = new_accounts(shape.accounts), keep_accounts.name
    keys = list(accounts)[:HOT]
    kinds.append("WorkflowStarted")
    names.append(own)
    payloads.append(begin)
    done = 0
    while len(kinds) < shape.events:
        kinds += ("ActivityScheduled", "ActivityCompleted")
        names += ("post", "post")
        answer = b'{"result":"%s"}' % result_of(done, shape.payload_bytes).encode()
        payloads += (b'{"attempt":1,"input":%d}' % done, answer)
        accounts[keys[done % len(keys)]] = _text(done)
        done += 1
        if done == shape.renew:
            kinds.append("WorkflowContinuedAsNew")
            names.append(own)
            payloads.append(begin)
            return
        if done % shape.save == 0:
            kinds.append("MarkerRecorded")
            names.append("savepoint")
            payloads.append(msgspec.json.encode({"state": {"accounts": accounts, "done": done}}))


def savepoints(shape: Shape) -> list[int]:
    """Return where the savepoints of the newest generation are, by sequence.

    Example:
        >>> savepoints(Shape(20, every=5))
        [6, 11, 16]
    """
    began = 1
    if shape.renew:
        length = 2 * shape.renew + (shape.renew - 1) // shape.save + 2
        began += (shape.events - 1) // length * length
    return list(range(began + shape.cycle, shape.events + 1, shape.cycle))


def take_checkpoints(
    store: EventStore, stream: Stream, shape: Shape, scheme: RecoveryScheme, count: int
) -> int:
    """Let a scheme take the last checkpoints of a history that is in the store already.

    It hears of the events as it hears of a runtime's commits.

    Args:
        store: open for writing.
        stream: of a history of `keep_accounts`.
        shape: of that history.
        scheme: whose policy asks for a checkpoint every `shape.cycle` events.
        count: checkpoints at most.

    Returns:
        How many checkpoints there are then.
    """
    places = savepoints(shape)[-count:]
    if not places:
        return 0
    snapshot = store.snapshot()
    began = places[0] - shape.cycle
    events = stream_events(snapshot, stream, first=began, last=places[-1])
    standing = Standing()
    if events[0].event_type == "WorkflowStarted":
        execution = Execution(keep_accounts, stream[2])
    else:
        place = savepoints(shape)[0] - shape.cycle
        (started,) = stream_events(snapshot, stream, first=place, last=place)
        standing.take(started)
        standing.head = began - 1
        execution = Execution.from_savepoint(keep_accounts, stream[2], started, events[0])
    done = 0
    for place in places:
        fresh = events[done : place - began + 1]
        done += len(fresh)
        execution.advance(fresh)
        for event in fresh:
            standing.take(event)
        scheme.committed(store, stream, execution, standing, fresh)
    return len(store.checkpoints(stream[2], namespace=stream[0], run_id=stream[1]))
