"""The relations that every log has, defined once in SQL over events, runs and anomalies.

`RELATIONS` maps each name to the SQL of a view. An EventLog and a store run the same text, so a
simulated, an executed and an imported log answer alike. The base views are `events` (schema
version 1), `run_info` and `anomalies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa

from flowlab.events.codec import encode_json
from flowlab.events.run import RunInfo
from flowlab.events.states import STATES
from flowlab.events.vocabulary import EVENT_CATEGORIES, TERMINAL_STATUS, UNKNOWN_CATEGORY, CauseKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def _case(column: str, pairs: dict[str, str], fallback: str) -> str:
    arms = " ".join(f"WHEN '{key}' THEN '{value}'" for key, value in pairs.items())
    return f"CASE {column} {arms} ELSE {fallback} END"


_KIND_NAMES: Final = "[" + ", ".join(f"'{kind.label}'" for kind in CauseKind) + "]"
_STATUS: Final = (
    "coalesce(arg_max("
    + _case("event_type", {**TERMINAL_STATUS, "WorkflowStarted": "open"}, "NULL")
    + ", sequence), 'open')"
)
"""Of a stream: what its last start or end leaves. A generation that follows reopens it."""

_ENDED: Final = (
    f"CASE {_STATUS} WHEN 'open' THEN max(time_ns) ELSE arg_max("
    f"CASE WHEN event_type IN ({', '.join(map(repr, TERMINAL_STATUS))}) THEN time_ns END, "
    "sequence) END"
)
"""Of a stream: when it ended, whatever answers came after that; its last event where it is open."""

_ATTEMPT: Final = "TRY_CAST(payload_json(p)->>'$.attempt' AS BIGINT)"
_TEXT: Final = "CASE WHEN json_type(json, path) = 'VARCHAR' THEN json->>path END"

MACROS: Final = (
    # try() turns bytes that are not JSON into NULL, so one binary payload spoils no query.
    "CREATE OR REPLACE TEMP MACRO payload_json(payload) AS TRY(CAST(decode(payload) AS JSON))",
    f"CREATE OR REPLACE TEMP MACRO attempt_in(p) AS {_ATTEMPT}",
    f"CREATE OR REPLACE TEMP MACRO json_text(json, path) AS {_TEXT}",
    "CREATE OR REPLACE TEMP MACRO category(event_type) AS "
    + _case(
        "event_type",
        {k: v for k, v in EVENT_CATEGORIES.items() if v != UNKNOWN_CATEGORY},
        f"'{UNKNOWN_CATEGORY}'",
    ),
    "CREATE OR REPLACE TEMP MACRO cause_kind(kind) AS " + f"{_KIND_NAMES}[kind + 1]",
)

_CALLS: Final = """
WITH called AS (
    SELECT namespace, run_id, workflow_id, sequence, agent_id, name, time_ns, payload
    FROM events WHERE event_type = 'ActivityScheduled'),
acts AS (
    SELECT namespace, run_id, workflow_id, sequence, event_type, agent_id, name, time_ns, payload,
           causes FROM events
    WHERE event_type IN ('ActivityStarted', 'ActivityCompleted', 'ActivityFailed',
                         'ActivityTimedOut', 'ActivityCanceled')),
refs AS (
    SELECT a.namespace, a.run_id, a.workflow_id, a.sequence, c.ref.sequence AS cause
    FROM acts a, unnest(a.causes) AS c(ref) WHERE c.ref.workflow_id = a.workflow_id),
direct AS (
    SELECT r.namespace, r.run_id, r.workflow_id, r.sequence, s.sequence AS scheduled
    FROM refs r JOIN called s ON (r.namespace, r.run_id, r.workflow_id, r.cause)
                               = (s.namespace, s.run_id, s.workflow_id, s.sequence)),
through AS (
    SELECT r.namespace, r.run_id, r.workflow_id, r.sequence, d.scheduled
    FROM refs r JOIN direct d ON (r.namespace, r.run_id, r.workflow_id, r.cause)
                               = (d.namespace, d.run_id, d.workflow_id, d.sequence)),
linked AS (
    SELECT namespace, run_id, workflow_id, sequence, max(scheduled) AS scheduled
    FROM (FROM direct UNION ALL FROM through) GROUP BY ALL),
steps AS (
    SELECT a.*, l.scheduled FROM acts a
    JOIN linked l USING (namespace, run_id, workflow_id, sequence)),
begun AS (
    SELECT namespace, run_id, workflow_id, scheduled, count(*) AS starts,
           max(struct_pack(s := sequence, t := time_ns, a := agent_id, p := payload)) AS started
    FROM steps WHERE event_type = 'ActivityStarted' GROUP BY ALL),
answers AS (
    SELECT a.namespace, a.run_id, a.workflow_id, a.scheduled,
           -- An answer after the first, to a message that came twice or to whoever no longer
           -- waited, changes nothing; of several starts of one request the last one counts.
           arg_min(struct_pack(s := a.sequence, e := a.event_type, t := a.time_ns,
                               a := a.agent_id, p := a.payload),
                   struct_pack(early := a.sequence < coalesce(b.started.s, 0),
                               s := a.sequence)) AS ended
    FROM steps a LEFT JOIN begun b USING (namespace, run_id, workflow_id, scheduled)
    WHERE a.event_type <> 'ActivityStarted' GROUP BY ALL),
calls AS (
    SELECT namespace, run_id, workflow_id, scheduled, b.starts, b.started, a.ended
    FROM begun b FULL JOIN answers a USING (namespace, run_id, workflow_id, scheduled)),
received AS (
    SELECT namespace, run_id, workflow_id, sequence, agent_id, time_ns, unnest(causes) AS ref,
           unnest(cause_kinds) AS kind FROM events WHERE event_type = 'MessageReceived'),
copies AS (
    SELECT namespace, run_id, workflow_id, sequence, unnest(causes) AS ref
    FROM events WHERE event_type = 'MessageDuplicated'),
reached AS (
    SELECT * EXCLUDE (kind) FROM received WHERE kind = {message}
    UNION ALL
    SELECT r.* EXCLUDE (ref, kind), c.ref FROM received r JOIN copies c
    ON (r.namespace, r.run_id, r.ref.workflow_id, r.ref.sequence)
     = (c.namespace, c.run_id, c.workflow_id, c.sequence)),
taken AS (
    SELECT s.namespace, s.run_id, s.workflow_id, s.sequence AS scheduled,
           min(struct_pack(t := r.time_ns, w := r.workflow_id, s := r.sequence, a := r.agent_id))
           AS took
    FROM reached r JOIN called s
    ON (r.namespace, r.run_id, r.ref.workflow_id, r.ref.sequence)
     = (s.namespace, s.run_id, s.workflow_id, s.sequence) GROUP BY ALL)
"""

RELATIONS: Final[dict[str, str]] = {
    "runs": """
SELECT namespace, run_id, i.* EXCLUDE (namespace, run_id),
       coalesce(e.events, 0) AS events, coalesce(e.workflows, 0) AS workflows,
       e.started_ns, e.ended_ns, e.ended_ns - e.started_ns AS duration_ns,
       CASE WHEN e.failed > 0 THEN 'failed' WHEN e.finished = e.workflows AND e.workflows > 0
            THEN 'completed' ELSE 'open' END AS outcome,
       coalesce(a.anomalies, 0) AS anomalies
FROM run_info i
FULL JOIN (SELECT namespace, run_id, sum(events)::BIGINT AS events, min(started_ns) AS started_ns,
                  max(ended_ns) AS ended_ns, count(*) FILTER (history) AS workflows,
                  count(*) FILTER (history AND status <> 'open') AS finished,
                  count(*) FILTER (history AND status IN ('failed', 'timed_out')) AS failed
           FROM (SELECT namespace, run_id, workflow_id, count(*) AS events,
                        min(time_ns) AS started_ns, max(time_ns) AS ended_ns,
                        NOT starts_with(workflow_id, '@') AS history,
                        {status} AS status
                 FROM events GROUP BY ALL) GROUP BY ALL) e USING (namespace, run_id)
LEFT JOIN (SELECT namespace, run_id, count(*) AS anomalies FROM anomalies GROUP BY ALL) a
USING (namespace, run_id)
""",
    "workflows": """
SELECT namespace, run_id, workflow_id,
       arg_min(name, sequence) FILTER (event_type = 'WorkflowStarted') AS name,
       {status} AS status,
       count(*) AS events, max(generation) AS generation,
       count(*) FILTER (event_type = 'ActivityScheduled') AS activities,
       count(*) FILTER (event_type IN ('ActivityFailed', 'ActivityTimedOut',
                        'ChildWorkflowFailed', 'CompensationFailed', 'WorkflowTaskFailed',
                        'WorkflowTaskTimedOut', 'OperationFailed')) AS failures,
       -- Each attempt is a request of its own, or the starts of one request are counted.
       CASE WHEN count(attempt_in(payload)) FILTER (event_type = 'ActivityScheduled') > 0
            THEN count(*) FILTER (event_type = 'ActivityScheduled' AND attempt_in(payload) > 1)
            ELSE coalesce(sum(greatest(coalesce(attempt_in(payload), 1) - 1, 0))
                          FILTER (event_type = 'ActivityStarted'), 0)::BIGINT END AS retries,
       count(*) FILTER (event_type = 'CompensationScheduled') AS compensations,
       min(time_ns) AS started_ns, {ended} AS ended_ns,
       {ended} - min(time_ns) AS duration_ns
FROM events WHERE NOT starts_with(workflow_id, '@') GROUP BY namespace, run_id, workflow_id
""",
    "activities": _CALLS
    + """
SELECT s.namespace, s.run_id, s.workflow_id, s.sequence,
       CASE WHEN t.took IS NOT NULL THEN t.took.a
            WHEN c.started IS NOT NULL THEN coalesce(c.ended.a, c.started.a)
            ELSE coalesce(payload_json(s.payload)->>'$.agent', c.ended.a, s.agent_id)
            END AS agent_id, s.name,
       greatest(coalesce(attempt_in(s.payload), 1), coalesce(attempt_in(c.started.p), 1),
                coalesce(c.starts, 0))::BIGINT AS attempt,
       coalesce((attempt_in(s.payload) > 1)::BIGINT,
                greatest(attempt_in(c.started.p), c.starts, 1) - 1) AS retries,
       s.time_ns AS scheduled_ns, coalesce(t.took.t, c.started.t) AS started_ns,
       c.ended.t AS ended_ns,
       CASE c.ended.e WHEN 'ActivityCompleted' THEN 'completed' WHEN 'ActivityFailed'
            THEN 'failed' WHEN 'ActivityTimedOut' THEN 'timed_out' WHEN 'ActivityCanceled'
            THEN 'canceled' ELSE CASE WHEN coalesce(t.took.t, c.started.t) IS NULL
            THEN 'scheduled' ELSE 'running' END END AS status,
       -- An importer puts usage beside the result; an activity of ours has it in its result.
       TRY_CAST(coalesce(payload_json(c.ended.p)->>'$.usage.total_tokens',
                payload_json(c.ended.p)->>'$.result.usage.total_tokens') AS BIGINT) AS tokens,
       TRY_CAST(coalesce(payload_json(c.ended.p)->>'$.usage.cost',
                payload_json(c.ended.p)->>'$.result.usage.cost') AS DOUBLE) AS cost,
       CASE WHEN t.took IS NOT NULL THEN t.took.w WHEN c.started IS NOT NULL THEN s.workflow_id
            END AS started_workflow_id,
       coalesce(t.took.s, c.started.s) AS started_sequence, c.ended.s AS ended_sequence
FROM called s LEFT JOIN calls c ON (s.namespace, s.run_id, s.workflow_id, s.sequence)
                                 = (c.namespace, c.run_id, c.workflow_id, c.scheduled)
LEFT JOIN taken t ON (s.namespace, s.run_id, s.workflow_id, s.sequence)
                   = (t.namespace, t.run_id, t.workflow_id, t.scheduled)
""",
    "edges": """
SELECT namespace, run_id, ref.workflow_id AS cause_workflow_id, ref.sequence AS cause_sequence,
       workflow_id, sequence, cause_kind(kind) AS kind
FROM (SELECT namespace, run_id, workflow_id, sequence, unnest(causes) AS ref,
             unnest(cause_kinds) AS kind FROM events)
UNION ALL
SELECT namespace, run_id, cause.w, cause.s, workflow_id, sequence, 'lane'
FROM (SELECT namespace, run_id, workflow_id, sequence, follows_lane,
             lag(struct_pack(w := workflow_id, s := sequence)) OVER (
                 PARTITION BY namespace, run_id, agent_id
                 ORDER BY agent_sequence, position, workflow_id, sequence) AS cause FROM events)
WHERE follows_lane AND cause IS NOT NULL
""",
    "messages": """
WITH arrows AS (
    SELECT namespace, run_id, workflow_id, sequence, event_type, agent_id, time_ns, payload,
           unnest(causes) AS ref, unnest(cause_kinds) AS kind FROM events
    WHERE list_contains(cause_kinds, {message})
       OR event_type IN ('MessageReceived', 'MessageDropped', 'MessageDuplicated')),
copies AS (
    SELECT namespace, run_id, workflow_id, sequence, arg_max(ref, (kind = {message})::INT) AS ref
    FROM arrows WHERE event_type = 'MessageDuplicated' GROUP BY ALL),
links AS (
    SELECT a.*, c.sequence IS NOT NULL AS copied,
           coalesce(c.ref.workflow_id, a.ref.workflow_id) AS sent_w,
           coalesce(c.ref.sequence, a.ref.sequence) AS sent_s
    FROM arrows a LEFT JOIN copies c
    ON (a.namespace, a.run_id, a.ref.workflow_id, a.ref.sequence)
     = (c.namespace, c.run_id, c.workflow_id, c.sequence)
    WHERE a.event_type <> 'MessageDuplicated' AND (a.kind = {message} OR (
        c.sequence IS NOT NULL AND a.event_type IN ('MessageReceived', 'MessageDropped')))),
flying AS (
    SELECT namespace, run_id, workflow_id AS sent_w, sequence AS sent_s FROM events e
    WHERE event_type IN ('MessageSent', 'SignalInitiated') AND NOT EXISTS (
        FROM links l WHERE NOT l.copied AND (l.namespace, l.run_id, l.sent_w, l.sent_s)
                                          = (e.namespace, e.run_id, e.workflow_id, e.sequence))
    UNION ALL
    SELECT namespace, run_id, ref.workflow_id, ref.sequence FROM copies c WHERE NOT EXISTS (
        FROM links l WHERE (l.namespace, l.run_id, l.ref.workflow_id, l.ref.sequence)
                         = (c.namespace, c.run_id, c.workflow_id, c.sequence))),
fates AS (
    SELECT namespace, run_id, sent_w, sent_s, workflow_id, sequence, time_ns,
           CASE WHEN event_type = 'MessageDropped' THEN payload_json(payload)->>'$.to'
                ELSE agent_id END AS receiver,
           CASE WHEN event_type = 'MessageDropped' THEN 'dropped' WHEN copied THEN 'duplicated'
                ELSE 'delivered' END AS status FROM links
    UNION ALL
    SELECT namespace, run_id, sent_w, sent_s, NULL, NULL, NULL, NULL, 'in_flight' FROM flying)
SELECT s.namespace, s.run_id, s.workflow_id AS sent_workflow_id, s.sequence AS sent_sequence,
       s.agent_id AS sender, s.name AS name, s.time_ns AS sent_ns,
       f.workflow_id AS received_workflow_id, f.sequence AS received_sequence,
       f.receiver, f.time_ns AS received_ns, f.status
FROM fates f JOIN events s ON (f.namespace, f.run_id, f.sent_w, f.sent_s)
                            = (s.namespace, s.run_id, s.workflow_id, s.sequence)
""",
    "compensations": """
WITH asked AS (
    SELECT * REPLACE (coalesce(payload_json(payload)->>'$.agent', agent_id) AS agent_id)
    FROM events WHERE event_type = 'CompensationScheduled'),
ended AS (
    SELECT namespace, run_id, workflow_id, sequence, time_ns, ref.sequence AS cause,
           event_type = 'CompensationCompleted' AS held
    FROM (SELECT *, unnest(causes) AS ref FROM events
          WHERE event_type IN ('CompensationCompleted', 'CompensationFailed'))
    WHERE ref.workflow_id = workflow_id)
SELECT a.namespace, a.run_id, a.workflow_id, a.sequence, a.agent_id, a.name, a.step_id,
       -- What held once has held, whatever comes late; and one that failed may be tried again.
       a.time_ns AS scheduled_ns,
       coalesce(arg_min(e.time_ns, e.sequence) FILTER (e.held),
                arg_max(e.time_ns, e.sequence)) AS ended_ns,
       CASE bool_or(e.held) WHEN true THEN 'completed' WHEN false THEN 'failed'
            ELSE 'pending' END AS status
FROM asked a LEFT JOIN ended e ON (a.namespace, a.run_id, a.workflow_id, a.sequence)
                                = (e.namespace, e.run_id, e.workflow_id, e.cause)
GROUP BY ALL
""",
    "states": STATES,
}

_FINDS_NAMES: Final = tuple(
    "duckdb_ _schema pg_ pragma query show sqlite_ describe desc) /*".split()
)
"""What is in a query that lists relations, or that puts their names together."""

RELATION_NAMES: Final = ("events", *RELATIONS, "anomalies")

RUN_INFO_SCHEMA: Final = pa.schema(
    [
        pa.field("namespace", pa.string(), False),
        pa.field("run_id", pa.string(), False),
        pa.field("clock", pa.string(), False),
        pa.field("scenario", pa.string(), False),
        pa.field("seed", pa.int64()),
        pa.field("parameters", pa.string(), False),
        pa.field("faults", pa.string(), False),
        pa.field("code_digest", pa.string(), False),
        pa.field("created_ns", pa.int64(), False),
        pa.field("version", pa.string(), False),
        pa.field("agents", pa.list_(pa.string()), False),
        pa.field("source", pa.string(), False),
        pa.field("attributes", pa.string(), False),
    ]
)


def run_info_table(runs: Sequence[RunInfo]) -> pa.Table:
    """Return the runs' metadata as a table; JSON fields are JSON text."""
    columns = []
    for field in RUN_INFO_SCHEMA:
        values = [getattr(run, field.name) for run in runs]
        if field.name in {"parameters", "faults", "attributes"}:
            values = [encode_json(value).decode() for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=RUN_INFO_SCHEMA)


def define_relations(
    connection: duckdb.DuckDBPyConnection, names: Collection[str] = tuple(RELATIONS)
) -> None:
    """Create the macros and views in a connection that has `events`, `run_info` and `anomalies`."""
    for macro in MACROS:
        connection.execute(macro)
    for name, text in RELATIONS.items():
        if name in names:
            body = text.replace("{status}", _STATUS).replace("{ended}", _ENDED)
            body = body.replace("{message}", str(int(CauseKind.MESSAGE)))
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {body}")


def relations_in(query: str) -> frozenset[str]:
    """Return the relations that a query may name; none of them is made of others.

    Its letters decide: some that it does not name are among them, and all of them if it may find
    names otherwise than by writing them.
    """
    text = str(query).casefold()
    if any(word in text for word in _FINDS_NAMES):
        return frozenset(RELATIONS)
    return frozenset(name for name in RELATIONS if name in text)
