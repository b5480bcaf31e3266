"""What a report asks of a log: one query for each table, shown beside its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_ROWS: Final = 50
"""Rows of a table."""
MAX_RUNS: Final = 200
"""Rows of the table of runs."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what it tells, the query behind it, and how many rows are shown."""

    key: str
    heading: str
    says: str
    query: str
    limit: int = MAX_ROWS
    none: str = "none"


NUMBERS: Final = """
SELECT (SELECT count(*) FROM runs) AS runs,
       (SELECT count(*) FROM workflows) AS workflows,
       count(*) AS events,
       count(DISTINCT agent_id) AS agents,
       (SELECT count(*) FROM activities) AS calls,
       (SELECT count(*) FROM activities WHERE status IN ('failed', 'timed_out')) AS failed_calls,
       (SELECT coalesce(sum(retries), 0)::BIGINT FROM activities) AS retries,
       count(*) FILTER (event_type = 'CompensationScheduled') AS compensations,
       (SELECT count(*) FROM anomalies) AS damaged_places
FROM events
""".strip()

RUNS: Final = Section(
    "runs",
    "What ran",
    "Every run with its outcome; those that failed stand first.",
    """
SELECT r.run_id AS run, r.outcome, w.workflows, r.events, e.agents,
       coalesce(a.calls, 0) AS calls, coalesce(a.failed, 0) AS failed_calls,
       coalesce(a.retries, 0) AS retries, coalesce(w.compensations, 0) AS compensations,
        r.duration_ns, r.started_ns,
       r.anomalies AS damage
FROM runs r
LEFT JOIN (SELECT namespace, run_id, string_agg(DISTINCT coalesce(name, workflow_id), ', '
                  ORDER BY coalesce(name, workflow_id)) AS workflows,
                  sum(compensations)::BIGINT AS compensations
           FROM workflows GROUP BY ALL) w USING (namespace, run_id)
LEFT JOIN (SELECT namespace, run_id, count(*) AS calls,
                  count(*) FILTER (status IN ('failed', 'timed_out')) AS failed,
                  sum(retries)::BIGINT AS retries
           FROM activities GROUP BY ALL) a USING (namespace, run_id)
LEFT JOIN (SELECT namespace, run_id, count(DISTINCT agent_id) AS agents
           FROM events GROUP BY ALL) e USING (namespace, run_id)
ORDER BY CASE r.outcome WHEN 'failed' THEN 0 WHEN 'open' THEN 1 ELSE 2 END,
         r.events DESC, r.namespace, r.run_id
""".strip(),
    MAX_RUNS,
)

AGENTS: Final = Section(
    "agents",
    "Who did what",
    "For each agent: its calls, how they ended, how long they waited and worked.",
    """
SELECT agent_id AS agent, count(*) AS calls,
       count(*) FILTER (status = 'completed') AS completed,
       count(*) FILTER (status IN ('failed', 'timed_out')) AS failed,
       sum(coalesce(started_ns, ended_ns) - scheduled_ns)::BIGINT AS waiting_ns,
       sum(ended_ns - started_ns)::BIGINT AS working_ns, sum(tokens)::BIGINT AS tokens
FROM activities GROUP BY agent_id ORDER BY calls DESC, agent
""".strip(),
    none="no calls: this log has no activities",
)

FAILURES: Final = Section(
    "failures",
    "Failures",
    "Everything that failed, ran out of time, was canceled, crashed or got lost, and why.",
    """
SELECT run_id AS run, workflow_id AS workflow, event_type AS what, name, agent_id AS agent,
       coalesce(nullif(payload_json(payload)->>'$.error.message', ''),
                payload_json(payload)->>'$.error.cause.message') AS why, time_ns
FROM events
WHERE regexp_matches(event_type, '(Failed|TimedOut|Canceled|Terminated)$')
      AND event_type <> 'TimerCanceled'
   OR event_type IN ('AgentCrashed', 'MessageDropped', 'UpdateRejected')
ORDER BY namespace, run_id, time_ns, workflow_id, sequence
""".strip(),
)

RETRIES: Final = Section(
    "retries",
    "Retries",
    "Calls that were tried more than once.",
    """
SELECT run_id AS run, workflow_id AS workflow, name, agent_id AS agent, attempt AS attempts, status
FROM activities WHERE attempt > 1
ORDER BY attempt DESC, namespace, run_id, workflow_id, sequence
""".strip(),
)

COMPENSATIONS: Final = Section(
    "compensations",
    "Compensations",
    "Compensations that the log records as such, and whether they worked.",
    """
SELECT run_id AS run, workflow_id AS workflow, name, agent_id AS agent, step_id AS step, status,
       ended_ns - scheduled_ns AS duration_ns
FROM compensations ORDER BY namespace, run_id, workflow_id, sequence
""".strip(),
)

CALLS: Final = Section(
    "calls",
    "Slowest calls",
    "From the request to the end, and how much of it was waiting.",
    """
SELECT run_id AS run, name, agent_id AS agent, ended_ns - scheduled_ns AS duration_ns,
       started_ns - scheduled_ns AS waiting_ns, status
FROM activities WHERE ended_ns IS NOT NULL
ORDER BY duration_ns DESC, namespace, run_id, workflow_id, sequence
""".strip(),
    20,
    "no calls: this log has no activities",
)

FLIGHT: Final = """
WITH moments AS (
    SELECT namespace, run_id, scheduled_ns AS time_ns, 1 AS waiting, 0 AS working FROM activities
    UNION ALL
    SELECT namespace, run_id, started_ns, -1, 1 FROM activities WHERE started_ns IS NOT NULL
    UNION ALL
    SELECT namespace, run_id, ended_ns, CASE WHEN started_ns IS NULL THEN -1 ELSE 0 END,
           CASE WHEN started_ns IS NULL THEN 0 ELSE -1 END
    FROM activities WHERE ended_ns IS NOT NULL)
SELECT namespace, run_id, time_ns, sum(sum(waiting)) OVER span::BIGINT AS waiting,
       sum(sum(working)) OVER span::BIGINT AS working
FROM moments GROUP BY namespace, run_id, time_ns
WINDOW span AS (PARTITION BY namespace, run_id ORDER BY time_ns)
ORDER BY namespace, run_id, time_ns
""".strip()

CONCURRENCY: Final = Section(
    "concurrency",
    "Concurrency",
    "Calls in flight, waiting and working, at their most; the runs drawn above have their course.",
    f"""
SELECT run_id AS run, max(waiting + working) AS most_calls_in_flight,
       max(waiting) AS most_waiting, max(working) AS most_working
FROM (
{FLIGHT})
GROUP BY namespace, run_id ORDER BY most_calls_in_flight DESC, most_working DESC, namespace, run_id
""".strip(),
    20,
    "no calls: this log has no activities",
)

DAMAGE: Final = Section(
    "damage",
    "Damage",
    "What the log itself gets wrong: references that lead nowhere, gaps, clocks that run back.",
    """
SELECT run_id AS run, workflow_id AS workflow, sequence, kind, detail
FROM anomalies ORDER BY namespace, run_id, workflow_id, sequence, kind, detail
""".strip(),
)

ORDER: Final = """
SELECT e.namespace, e.run_id
FROM events e LEFT JOIN activities a USING (namespace, run_id, workflow_id, sequence)
GROUP BY e.namespace, e.run_id
ORDER BY count(DISTINCT e.agent_id) * (least(count(a.sequence), 30) + 1)
         * CASE WHEN bool_or(regexp_matches(e.event_type, '(Failed|TimedOut|Crashed)$')
                             OR e.event_type = 'CompensationScheduled') THEN 3 ELSE 1 END DESC,
         e.namespace, e.run_id
""".strip()
"""The runs in drawing order: many agents and calls count, thrice where something failed."""
