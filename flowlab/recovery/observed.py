"""What a log tells of failures: how long its workflows get, how fast, and how often they recover.

A crash is an `AgentCrashed` event, or an `AgentRestarted` that follows none (who is killed writes
nothing; the crash is then taken to be as late as the restart). It makes every workflow recover
that its agent carried out and that was open; where no crash of a log hit such a workflow, the
agents' own states are what recovers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowlab.errors import InvalidArgumentError
from flowlab.events import TERMINAL_STATUS, counted
from flowlab.events.wording import brief

Kind = Literal["workflow", "agent"]
Lane = tuple[str, str, str]

MOST_PER_S: Final = 1e7
"""Events a second of one workflow, above which a log's times are taken for logical ones."""
_CRASHED: Final = "AgentCrashed"
_ENDS: Final = ", ".join(map(repr, TERMINAL_STATUS))
_RUNS: Final = """
WITH ends AS (SELECT namespace, run_id, max(time_ns) AS stop FROM events GROUP BY ALL)"""
_WORKFLOWS: Final = f"""{_RUNS}
SELECT namespace, run_id, workflow_id, generation, count(*) AS events,
       arg_min(agent_id, sequence) AS agent_id, min(time_ns) AS began,
       -- One that has not ended can fail up to the end of its run.
       CASE WHEN bool_or(event_type IN ({_ENDS})) THEN max(time_ns) ELSE any_value(stop) END
       AS ended, coalesce(sum(octet_length(payload)), 0)::BIGINT AS size
FROM events JOIN ends USING (namespace, run_id) WHERE NOT starts_with(workflow_id, '@')
GROUP BY ALL ORDER BY namespace, run_id, workflow_id, generation"""
_AGENTS: Final = f"""{_RUNS}
SELECT namespace, run_id, agent_id AS workflow_id, 0 AS generation, count(*) AS events, agent_id,
       min(time_ns) AS began, any_value(stop) AS ended,
       coalesce(sum(octet_length(payload)), 0)::BIGINT AS size
FROM events JOIN ends USING (namespace, run_id)
GROUP BY ALL HAVING NOT bool_or(event_type = 'WorkflowStarted')
ORDER BY namespace, run_id, agent_id"""
_FAULTS: Final = """
SELECT namespace, run_id, workflow_id, agent_id, event_type, time_ns
FROM events WHERE event_type IN ('AgentCrashed', 'AgentRestarted')
ORDER BY namespace, run_id, workflow_id, sequence"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a log tells of how often what is recovered fails.

    Args:
        kind: what recovers: "workflow" or "agent".
        lengths: (events, how many have so many), rising; a generation counts as a workflow.
        failures: recoveries, each crash counted for each that it made recover.
        gaps_s: seconds that one ran until a failure, in the order of the log.
        censored_s: seconds that one ran without a failure until it ended.
        down_s: mean seconds from a crash to the restart, None where no restart was seen.
        payload_bytes: mean size of an event's payload.
    """

    kind: Kind
    lengths: tuple[tuple[int, int], ...]
    failures: int
    gaps_s: tuple[float, ...] = field(repr=False)
    censored_s: tuple[float, ...] = field(repr=False)
    down_s: float | None
    payload_bytes: float

    @property
    def count(self) -> int:
        """How many workflows or agents there are."""
        return sum(count for _, count in self.lengths)

    @property
    def events(self) -> int:
        """Their events."""
        return sum(events * count for events, count in self.lengths)

    @property
    def longest(self) -> int:
        """Events of the longest."""
        return self.lengths[-1][0] if self.lengths else 0

    @property
    def up_s(self) -> float:
        """Seconds that all of them ran, together."""
        return float(sum(self.gaps_s) + sum(self.censored_s))

    @property
    def events_per_s(self) -> float | None:
        """Events a second of one that runs; None where the log's times are no durations.

        Nor are they where there are more than `MOST_PER_S`: logical times count places.
        """
        pace = self.events / self.up_s if self.up_s > 0 else math.inf
        return pace if pace <= MOST_PER_S else None

    def at_least(self, events: float) -> int:
        """Return how many have at least so many events."""
        return sum(count for length, count in self.lengths if length >= events)

    def __repr__(self) -> str:
        told = f"{counted(self.count, self.kind)}, {counted(self.events, 'event')}"
        return f"Observed({told}, {counted(self.failures, 'recovery')} in {self.up_s:.6g} s)"


class Queried(Protocol):
    """What has the relation `events`: a log, a store, a snapshot of one."""

    def query(self, query: str) -> pa.Table:
        """Run SQL over the relations; return an Arrow table."""
        ...


def observe(log: Queried, *, kind: Kind | None = None) -> Observed:
    """Return what a log tells of failures.

    Args:
        log: of one or more runs, or a store of them, or a snapshot of one.
        kind: what recovers; by default workflows, unless crashes hit agents alone.

    Raises:
        InvalidArgumentError: it is neither, or has no event of that kind.

    Example:
        >>> from flowlab.events import EventLog
        >>> observe(EventLog.from_text("A: a@0 !crash@3000000000 !restart@4000000000 b@9000000000"))
        Observed(1 agent, 4 events, 1 recovery in 8 s)
    """
    if not callable(getattr(log, "query", None)):
        message = f"log is {brief(log)}; expected an EventLog, such as run.log, or an EventStore"
        raise InvalidArgumentError(message)
    pinned = getattr(log, "snapshot", None)
    if callable(pinned):
        log = pinned()  # all questions are asked of one moment
    if kind not in {None, "workflow", "agent"}:
        message = f"kind is {kind!r}; expected 'workflow' or 'agent'"
        raise InvalidArgumentError(message)
    crashes = _crashes(log)
    if kind != "agent":
        found = _observed("workflow", log.query(_WORKFLOWS).to_pydict(), crashes)
        if kind == "workflow" or found.failures or (found.count and not crashes):
            return _checked(found)
    return _checked(_observed("agent", log.query(_AGENTS).to_pydict(), crashes))


def _checked(found: Observed) -> Observed:
    if not found.count:
        message = f"the log holds no event of any {found.kind}; expected at least one"
        raise InvalidArgumentError(message)
    return found


def _crashes(log: Queried) -> dict[Lane, list[tuple[int, int | None]]]:
    """Return each agent's crashes as (when, when it was back), in order."""
    rows = log.query(_FAULTS).to_pydict()
    found: dict[Lane, list[tuple[int, int | None]]] = defaultdict(list)
    waiting: dict[tuple[Any, ...], Lane] = {}
    names = ("namespace", "run_id", "workflow_id", "agent_id", "event_type", "time_ns")
    for namespace, run, stream, agent, kind, at in zip(*(rows[n] for n in names), strict=True):
        lane = (namespace, run, agent)
        open_at = waiting.pop((namespace, run, stream), None)
        if kind == _CRASHED:
            found[lane].append((at, None))
            waiting[namespace, run, stream] = lane
        elif open_at is not None:
            found[open_at][-1] = (found[open_at][-1][0], at)
        else:
            found[lane].append((at, at))
    return dict(found)


def _observed(
    kind: Kind, rows: dict[str, list[Any]], crashes: dict[Lane, list[tuple[int, int | None]]]
) -> Observed:
    hit = np.zeros(len(rows["events"]), np.bool_)
    gaps: list[float] = []
    censored: list[float] = []
    failures = 0
    downs = []
    lanes = zip(rows["namespace"], rows["run_id"], rows["agent_id"], strict=True)
    for place, lane in enumerate(lanes):
        if lane not in crashes:
            continue
        up, ended = rows["began"][place], rows["ended"][place]
        for at, back in crashes[lane]:
            if not rows["began"][place] <= at <= ended:
                continue
            failures += 1
            gaps.extend([(at - up) / 1e9] if at > up else [])
            up = max(up, at if back is None else back)
            if back is not None and back > at:
                downs.append((back - at) / 1e9)
        censored.extend([(ended - up) / 1e9] if ended > up else [])
        hit[place] = True
    began, ended_at = (np.asarray(rows[name], np.int64) for name in ("began", "ended"))
    untouched: NDArray[np.float64] = (ended_at - began)[~hit] / 1e9
    censored.extend(untouched[untouched > 0].tolist())
    events = np.asarray(rows["events"], np.int64)
    lengths, counts = np.unique(events, return_counts=True)
    total = int(np.sum(events))
    return Observed(
        kind,
        tuple(zip(lengths.tolist(), counts.tolist(), strict=True)),
        failures,
        tuple(gaps),
        tuple(censored),
        sum(downs) / len(downs) if downs else None,
        sum(rows["size"]) / total if total else 0.0,
    )
