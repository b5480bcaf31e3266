"""Logs whose causal order is measured: traffic among agents, and sagas around them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from flowlab.events import EventLog
from flowlab.studies.saga_floor import floor_run
from flowlab.studies.saga_workload import SagaWorkload

AGENTS: Final = 100
EVENTS_A_SAGA: Final = 22
"""About; a saga that fails has more."""


def traffic(events: int, *, agents: int = AGENTS, seed: int = 1, back: int = 5) -> EventLog:
    """Return uniform random traffic: about half of the events receive a recent message.

    Args:
        events: how many.
        agents: how many; each is a sequential lane and a stream.
        seed: equal seeds give equal logs.
        back: a message was sent by one of the last `back * agents` events, of another agent.

    Example:
        >>> traffic(1_000, agents=10)
        EventLog(1 000 events, 0 workflows, 10 other streams, 1 run)
    """
    draws = np.random.default_rng(seed)
    rows = np.arange(events)
    agent = draws.integers(0, agents, events)
    sent = np.maximum(0, rows - 1 - draws.integers(0, back * agents, events))
    receives = (draws.random(events) < 0.5) & (agent[sent] != agent)  # noqa: PLR2004 - half
    by_agent = np.argsort(agent, kind="stable")
    counts = np.bincount(agent, minlength=agents)
    sequence = np.empty(events, np.int64)
    sequence[by_agent] = rows - np.repeat(np.cumsum(counts) - counts, counts) + 1
    ids = pa.array([f"agent-{number:05}" for number in range(agents)])
    streams = pa.array([f"@agent-{number:05}" for number in range(agents)])
    ends = pa.array(np.concatenate([[0], np.cumsum(receives)]), pa.int32())
    source = sent[receives]
    causes = pa.StructArray.from_arrays(
        [streams.take(pa.array(agent[source])), pa.array(sequence[source])],
        names=["workflow_id", "sequence"],
    )
    kinds = pa.array(np.ones(len(source), np.int8))
    columns = {
        "workflow_id": streams.take(pa.array(agent)),
        "agent_id": ids.take(pa.array(agent)),
        "sequence": sequence,
        "agent_sequence": sequence,
        "event_type": pa.array(np.where(receives, "MessageReceived", "MessageSent")),
        "time_ns": rows * 1_000,
        "causes": pa.ListArray.from_arrays(ends, causes),
        "cause_kinds": pa.ListArray.from_arrays(ends, kinds),
    }
    return EventLog.from_table(pa.table(columns))


def sagas(events: int, *, agents: int = AGENTS) -> EventLog:
    """Return a log of about so many events: sagas of five calls around single-server agents."""
    workload = SagaWorkload.of(agents=agents, sagas=max(1, events // EVENTS_A_SAGA))
    return floor_run(workload)[1]
