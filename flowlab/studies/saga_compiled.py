"""The loop under the simulation of sagas as machine code: what no engine in any language avoids.

It is the floor of `saga_floor` without Python: the agenda, mailboxes, timers and rows are numbers,
and nobody's functions are called. What the workload's own functions take, and the making of the
table, is measured apart and comes on top.
"""

from __future__ import annotations

import time
from heapq import heappop, heappush
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality.compiled import machine_code
from flowlab.errors import MissingDependencyError
from flowlab.studies.peers import PEERS_EXTRA
from flowlab.studies.saga_peers import SagaOutcome
from flowlab.studies.saga_workload import SECOND_NS, TIMEOUT_S, SagaWorkload

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STARTED, SENT, ARRIVED, RECEIVED, SERVED, ANSWERED, ENDED = range(7)
_FIELDS: Final = 8
"""Of a row, as a recorder has it."""


def compiled_run(workload: SagaWorkload, *, compiled: bool = True) -> SagaOutcome:
    """Simulate a workload with rows of numbers alone.

    Args:
        workload: what is simulated.
        compiled: as machine code.

    Raises:
        MissingDependencyError: numba is not installed.

    Example:
        >>> from flowlab.studies.saga_peers import simpy_run
        >>> workload = SagaWorkload.of(agents=3, sagas=20)
        >>> compiled_run(workload, compiled=False) == simpy_run(workload)
        True
    """
    columns = [
        np.array(column, np.int64)
        for column in (
            workload.starts_ns,
            workload.failing,
            workload.ends,
            workload.agent,
            workload.request_ns,
            workload.service_ns,
            workload.reply_ns,
        )
    ]
    if compiled and find_spec("numba") is None:
        message = f"this claim compares with a loop compiled by numba: {PEERS_EXTRA}"
        raise MissingDependencyError(message)
    loop: Callable[..., Any] = machine_code(_loop) if compiled else _loop
    began = time.process_time()
    rows = np.empty((workload.logical_events, _FIELDS), np.int64)
    count, total, last, expired = loop(*columns, workload.agents, TIMEOUT_S * SECOND_NS, rows)
    seconds = time.process_time() - began
    return SagaOutcome(int(total), int(count), int(last), int(expired), seconds)


def _loop(  # noqa: C901, PLR0912, PLR0915, PLR0917 - that it is one loop is its point
    starts: NDArray[np.int64],
    failing: NDArray[np.int64],
    ends: NDArray[np.int64],
    agent_of: NDArray[np.int64],
    request: NDArray[np.int64],
    service: NDArray[np.int64],
    reply: NDArray[np.int64],
    agents: int,
    timeout: int,
    rows: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Return how many events there are, the sum of ends, the last, and timers that went off."""
    sagas = len(starts)
    place, sent, work = np.zeros_like(starts), np.zeros_like(starts), np.zeros_like(starts)
    arrived, behind = np.zeros(sagas, np.int64), np.full(sagas, -1, np.int64)
    first, newest = np.full(agents, -1, np.int64), np.full(agents, -1, np.int64)
    busy, done = np.zeros(agents, np.bool_), np.zeros(agents, np.int64)
    due, asked, answered = np.zeros_like(reply), np.zeros_like(reply), np.zeros_like(reply)
    agenda = [(1 << 62, 0, 0, 0)]  # it is never empty: behind this comes nothing
    turn = count = total = now = begun = armed = looked = expired = 0
    while True:
        if begun < sagas and starts[begun] <= agenda[0][0]:
            now, what, saga = starts[begun], STARTED, begun
            begun += 1
            place[saga] = ends[saga - 1] if saga else 0
            rows[count, :] = (now, saga, what, saga, -1, -1, -1, -1)
            count += 1
        elif len(agenda) > 1:
            now, _, what, saga = heappop(agenda)
        else:
            return count, total, now, expired
        at = place[saga]
        if what == ARRIVED:
            agent, arrived[saga] = agent_of[at], now
            if busy[agent]:
                if first[agent] < 0:
                    first[agent] = saga
                else:
                    behind[newest[agent]] = saga
                newest[agent] = saga
                continue
            busy[agent] = True
        elif what == SERVED:
            agent, step = agent_of[at], at - (ends[saga - 1] if saga else 0)
            if step != failing[saga]:
                done[agent] += -1 if 0 <= failing[saga] < step else 1
            work[saga] = count
            rows[count, :] = (now, done[agent], what, agent, saga, -1, -1, -1)
            count, turn = count + 1, turn + 1
            heappush(agenda, (now + reply[at], turn, ANSWERED, saga))
            saga = first[agent]
            if saga < 0:
                busy[agent] = False
                continue
            first[agent], behind[saga] = behind[saga], -1
            at = place[saga]
        if what in {ARRIVED, SERVED}:  # an agent begins
            rows[count, :] = (now, now - arrived[saga], RECEIVED, agent, saga, sent[saga], -1, -1)
            count, turn = count + 1, turn + 1
            heappush(agenda, (now + service[at], turn, SERVED, saga))
            continue
        if what == ANSWERED:
            answered[at] = 1
            rows[count, :] = (now, done[agent_of[at]], what, saga, saga, sent[saga], work[saga], -1)
            count, at = count + 1, at + 1
            place[saga] = at
        if at == ends[saga]:
            rows[count, :] = (now, 0, ENDED, saga, saga, count - 1, -1, -1)
            count, total = count + 1, total + now
            continue
        sent[saga] = count
        rows[count, :] = (now, at, SENT, saga, saga, count - 1, -1, agent_of[at])
        count, turn = count + 1, turn + 1
        heappush(agenda, (now + request[at], turn, ARRIVED, saga))
        # Timers of one duration stand in a queue, which what is answered leaves unseen.
        while looked < armed and (answered[asked[looked]] or due[looked] <= now):
            expired += 1 - answered[asked[looked]]
            looked += 1
        due[armed], asked[armed] = now + timeout, at
        armed += 1
