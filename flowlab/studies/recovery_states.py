"""How fast states are had again: folds of a whole log, and the state at any event of a long one."""

from __future__ import annotations

import random
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from flowlab.recovery import state_at
from flowlab.recovery.folds import checkpoint_states
from flowlab.store import EventStore, projection
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, Spread, duration, race, timed, workplace

AGENT: Final = "@teller"
CELLS: Final = 100
APART: Final = {"far": 10_000, "near": 1_000}
"""Events between checkpoints."""
LOOKS: Final = 60


def teller_table(events: int) -> pa.Table:
    """Return the transactions of one agent, each of which writes one of its cells."""
    places = np.arange(events)
    payloads = [
        b'{"values":{"account-%02d":%d}}' % (place % CELLS, place) for place in range(events)
    ]
    owner = pa.array([AGENT[1:]]).take(pa.array(np.zeros(events, np.int64)))
    keys = pa.array([f"account-{cell:02d}" for cell in range(CELLS)]).take(pa.array(places % CELLS))
    cells = pa.StructArray.from_arrays([owner, keys], names=["owner", "key"])
    one_each = pa.array(np.arange(events + 1), pa.int32())
    return pa.table(
        {
            "workflow_id": pa.array([AGENT]).take(pa.array(np.zeros(events, np.int64))),
            "agent_id": owner,
            "event_type": pa.array(["TransactionCommitted"]).take(
                pa.array(np.zeros(events, np.int64))
            ),
            "name": keys,
            "time_ns": places * 1_000,
            "payload": pa.array(payloads, pa.binary()),
            "writes": pa.ListArray.from_arrays(one_each, cells),
        }
    )


def expected(event: int) -> dict[str, int]:
    """Return the teller's state after an event.

    Example:
        >>> expected(3)
        {'account-00': 0, 'account-01': 1, 'account-02': 2}
    """
    first = max(0, event - CELLS)
    return {f"account-{place % CELLS:02d}": place for place in range(first, event)}


@lru_cache(maxsize=2)
def looked_back(scale: Scale) -> dict[str, Spread]:
    """Return the seconds of a state at a random event, by how far apart checkpoints are.

    Raises:
        AssertionError: a state is wrong.
    """
    rng = random.Random(SEED)  # noqa: S311 - a sample
    found: dict[str, Spread] = {}
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(teller_table(scale.events))
        for name, apart in APART.items():
            checkpoint_states(store, AGENT, every=min(apart, scale.events // 2))
            took = []
            for _ in range(LOOKS):
                at = rng.randint(1, scale.events)
                seconds, state = timed(partial(state_at, store, AGENT, event=at))
                if state.state != expected(at):
                    message = f"the state of {AGENT} after {at} is wrong"
                    raise AssertionError(message)
                took.append(seconds)
            found[name] = Spread.of(took)
    return found


def state_at_any_event(scale: Scale, apart: str) -> Measurement:
    """Ask for an agent's state after 60 random events of one stream, and check each.

    The store is open; the state is that of 100 cells, 2 kB. The value is the median.
    """
    spread = looked_back(scale)[apart]
    beside = {
        "events": f"{scale.events:,}",
        "checkpoints": f"each {min(APART[apart], scale.events // 2):,}",
        "state": f"{CELLS} cells",
    }
    median, low, high = (1e3 * value for value in (spread.median, spread.low, spread.high))
    return Measurement(median, low, high, "ms", spread.count, beside)


def state_at_far(scale: Scale) -> Measurement:
    """With checkpoints each 10 000 events; see `state_at_any_event`."""
    return state_at_any_event(scale, "far")


def state_at_near(scale: Scale) -> Measurement:
    """With checkpoints each 1 000 events; see `state_at_any_event`."""
    return state_at_any_event(scale, "near")


@projection(life="live", initial={})
def posted(counts: dict[str, int], event: Any) -> dict[str, int]:
    """Count the entries of each account: a plain fold, a call for each event."""
    counts[event.name] = counts.get(event.name, 0) + 1
    return counts


def folds(scale: Scale) -> Measurement:
    """Fold a whole log from its files, one call an event, and as one query.

    Beside them is the floor: the same calls over events that are in memory already. The value is
    the plain fold's events a second, the store's reading and decoding included.
    """
    with workplace(scale) as folder, EventStore(folder / "s") as store:
        store.append_table(teller_table(scale.events))
        query = "SELECT name, count(*) AS n FROM events GROUP BY name"
        events = store.read("/agents/teller", limit=min(scale.events, 100_000)).events()

        def in_memory() -> dict[str, int]:
            state: dict[str, int] = {}
            for event in events:
                state = posted(state, event)
            return state

        plain = store.project(posted).state
        counted = dict(store.sql(query).iter_rows())
        if msgspec.to_builtins(plain) != counted:
            message = "the plain fold and the query differ"
            raise AssertionError(message)
        found = race(
            {
                "plain": lambda _: store.project(posted),
                "query": lambda _: store.sql(query),
                "memory": lambda _: in_memory(),
            },
            blocks=scale.rounds(7),
            repeats=1,
            warm=1,
        )
    rate = Spread.of([scale.events / seconds for seconds in found.seconds["plain"]])
    vectorised = Spread.of([scale.events / seconds for seconds in found.seconds["query"]])
    floor = Spread.of([len(events) / seconds for seconds in found.seconds["memory"]])
    beside = {
        "as one query": f"{vectorised.median:,.0f} events/s",
        "in memory, the fold alone": f"{floor.median:,.0f} events/s",
        "a fold of all": duration(scale.events / rate.median),
        "events": f"{scale.events:,}",
    }
    return Measurement(rate.median, rate.low, rate.high, "events/s", rate.count, beside)


def disk_bytes(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
