"""The log that claims are measured on: many workflows of a hundred events, like a process's."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.store import EventStore
from flowlab.studies.measuring import SEED

EVENTS_PER_WORKFLOW: Final = 100
AGENTS: Final = 50
PIECE: Final = 1_000_000
"""Events of one append of a longer log."""
PAYLOAD_BITS: Final = 108
"""Random bits in each payload; together with its length it decides what a payload can shrink to."""
_TYPES: Final = ("ActivityScheduled", "ActivityStarted", "ActivityCompleted")
_NAMES: Final = "book_hotel charge_card plan reserve_flight review search send_mail summarize"
_WORDS: Final = (
    "agent asks hotel flight price order ticket seat model tool result retry later card paid done"
)
_NOTE_WORDS: Final = 12


def workflow_ids(events: int, *, first: int = 0) -> list[str]:
    """Return the streams of a workload, in order."""
    count = events // EVENTS_PER_WORKFLOW
    return [f"order-{number:07d}" for number in range(first, first + count)]


def make_log(events: int, *, seed: int = SEED, first: int = 0) -> pa.Table:
    """Make a process-like log: columns of schema version 1, rows in time order.

    Workflows of 100 events overlap in time; each event names its stream's previous one as cause;
    50 agents share the work; payloads are JSON of about 220 bytes with 108 random bits.

    Args:
        events: how many; a multiple of 100.
        seed: equal seeds give equal logs.
        first: the number of the first workflow: what pieces of a longer log differ in.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    flows = events // EVENTS_PER_WORKFLOW
    starts = np.sort(rng.integers(0, max(1, flows) * 10_000_000, flows))
    gaps = rng.exponential(50e6, (flows, EVENTS_PER_WORKFLOW)).astype(np.int64)
    begin = 1_700_000_000_000_000_000 + first * 10_000_000
    times = (starts[:, None] + np.cumsum(gaps, axis=1)).ravel() + begin
    order = np.argsort(times, kind="stable")
    flow, place = order // EVENTS_PER_WORKFLOW, order % EVENTS_PER_WORKFLOW
    call = place // 3
    ids = _take(workflow_ids(events, first=first), flow)
    has_cause = place > 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(has_cause)]).astype(np.int32))
    refs = pa.StructArray.from_arrays(
        [ids.filter(pa.array(has_cause)), pa.array(place[has_cause])],
        names=["workflow_id", "sequence"],
    )
    agents = [f"agent-{number:02d}" for number in range(AGENTS)]
    kinds = pa.array(np.zeros(int(has_cause.sum()), np.int8))
    return pa.table(
        {
            "workflow_id": ids,
            "sequence": place + 1,
            "agent_id": _take(agents, (call * 7 + flow) % AGENTS),
            "event_type": _take(list(_TYPES), place % 3),
            "name": _take(_NAMES.split(), (call + flow) % 8),
            "time_ns": times[order],
            "follows_lane": pa.array(np.zeros(events, bool)),
            "causes": pa.ListArray.from_arrays(offsets, refs),
            "cause_kinds": pa.ListArray.from_arrays(offsets, kinds),
            "payload": _payloads(rng, events, call),
        }
    )


def grow(store: EventStore, events: int) -> None:
    """Append a log to a store in pieces, so that memory does not grow with it, and compact it."""
    for start in range(0, events, PIECE):
        number = start // PIECE
        piece = min(PIECE, events - start)
        first = start // EVENTS_PER_WORKFLOW
        store.append_table(make_log(piece, seed=SEED + number, first=first))
    if events > PIECE:
        store.compact()


def make_payloads(count: int, *, seed: int = SEED) -> list[bytes]:
    """Make payloads like those of `make_log`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    payloads: list[bytes] = _payloads(rng, count, np.arange(count) % 33).to_pylist()
    return payloads


def _take(values: list[str], codes: np.typing.NDArray[np.int64]) -> pa.Array:
    return pa.array(values).take(pa.array(codes))


def _payloads(rng: np.random.Generator, rows: int, call: np.typing.NDArray[np.int64]) -> pa.Array:
    hexes = pa.array([f"{value:02x}" for value in range(256)])
    tag = pc.binary_join_element_wise(
        *(hexes.take(pa.array(rng.integers(0, 256, rows))) for _ in range(4)), ""
    )
    words = pa.array(_WORDS.split())
    note = pc.binary_join_element_wise(
        *(words.take(pa.array(rng.integers(0, 16, rows))) for _ in range(_NOTE_WORDS)), " "
    )
    text = pc.binary_join_element_wise(
        '{"amount":',
        pa.array(rng.integers(0, 2**16, rows)).cast(pa.string()),
        ',"currency":"EUR","model":"large-1","customer":{"tier":"standard","verified":true},"note":"',
        note,
        '","request":"',
        tag,
        '","step":',
        pa.array(call).cast(pa.string()),
        ',"tokens":',
        pa.array(rng.integers(0, 2**12, rows)).cast(pa.string()),
        "}",
        "",
    )
    return text.cast(pa.binary())
