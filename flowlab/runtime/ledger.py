"""The ledger of effects, and how every workflow of a store stands: read from the log alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowlab.events.codec import decode_payload
from flowlab.runtime.unfinished import Identify, workflows_of
from flowlab.store import EventStore
from flowlab.store.views import text_literal

if TYPE_CHECKING:
    import polars as pl

    from flowlab.store import Snapshot

_EFFECTS: Final = """
WITH requests AS (
    SELECT namespace, workflow_id, sequence, position, event_type, name AS activity, time_ns,
           step_id, payload_json(payload) AS told
    FROM events
    WHERE run_id = '' AND event_type IN ('ActivityScheduled', 'CompensationScheduled')
), answers AS (
    SELECT namespace, workflow_id, cause.sequence AS sequence, arg_min(event_type, position) AS how,
           min(time_ns) AS ended_ns
    FROM (SELECT namespace, workflow_id, event_type, position, time_ns, unnest(causes) AS cause
          FROM events
          WHERE run_id = '' AND event_type IN (
              'ActivityCompleted', 'ActivityFailed', 'ActivityTimedOut', 'ActivityCanceled',
              'CompensationCompleted', 'CompensationFailed'))
    WHERE cause.workflow_id = workflow_id
    GROUP BY ALL
), begun AS (
    SELECT namespace, cause.workflow_id AS workflow_id, cause.sequence AS sequence,
           count(*) AS deliveries
    FROM (SELECT namespace, unnest(causes) AS cause FROM events
          WHERE run_id = '' AND event_type = 'MessageReceived')
    GROUP BY ALL
), named AS (
    SELECT namespace, effect->>'workflow_id' AS workflow_id,
           (effect->>'sequence')::BIGINT AS sequence, any_value(effect->>'key') AS key,
           count(*) AS times
    FROM (SELECT namespace, unnest((payload_json(payload)->'$.uncertain')::JSON[]) AS effect
          FROM events WHERE run_id = '' AND event_type = 'AgentRestarted')
    GROUP BY ALL
), reacting AS (
    SELECT namespace, coordination_id AS workflow_id, agent_id AS agent, name AS activity,
           event_type, position, time_ns, causes, payload_json(payload) AS told
    FROM events
    WHERE run_id = '' AND event_type IN (
        'MessageReceived', 'TransactionCommitted', 'TransactionAborted')
), reactions AS (
    SELECT namespace, workflow_id, agent, activity, told->>'key' AS key,
           (told->>'attempt')::BIGINT AS attempt, min(position) AS position,
           min(time_ns) AS asked_ns,
           max(time_ns) FILTER (event_type <> 'MessageReceived') AS ended_ns,
           coalesce(max(CASE event_type WHEN 'TransactionCommitted' THEN 'done'
                                        WHEN 'TransactionAborted' THEN 'failed' END), 'open')
               AS status,
           any_value(causes[1].sequence) FILTER (event_type = 'MessageReceived') AS sequence
    FROM reacting WHERE told->>'errand' IS NOT NULL AND told->>'key' IS NOT NULL
    GROUP BY ALL
), named_reactions AS (
    SELECT namespace, effect->>'key' AS key, (effect->>'attempt')::BIGINT AS attempt,
           count(*) AS times
    FROM (SELECT namespace, unnest((payload_json(payload)->'$.uncertain')::JSON[]) AS effect
          FROM events WHERE run_id = '' AND event_type = 'AgentRestarted')
    GROUP BY ALL
)
SELECT * EXCLUDE (position) FROM (
SELECT r.namespace, r.workflow_id, r.sequence, r.activity, r.told->>'agent' AS agent,
       (r.told->>'attempt')::BIGINT AS attempt, r.step_id,
       r.event_type = 'CompensationScheduled' AS undo,
       CASE WHEN a.how IS NOT NULL THEN
                CASE WHEN a.how LIKE '%Completed' THEN 'done'
                     WHEN a.how LIKE '%Failed' THEN 'failed'
                     WHEN a.how LIKE '%TimedOut' THEN 'timed out' ELSE 'canceled' END
            WHEN r.told->>'agent' IS NULL OR b.deliveries > 0 OR n.times > 0 THEN 'open'
            ELSE 'not begun' END AS status,
       coalesce(n.times, 0)::BIGINT AS times_uncertain,
       n.key AS uncertain_key,
       r.time_ns AS asked_ns, a.ended_ns, r.position
FROM requests r
LEFT JOIN answers a USING (namespace, workflow_id, sequence)
LEFT JOIN begun b USING (namespace, workflow_id, sequence)
LEFT JOIN named n USING (namespace, workflow_id, sequence)
UNION ALL
SELECT r.namespace, r.workflow_id, r.sequence, r.activity, r.agent, r.attempt,
       substr(r.key, length(r.workflow_id) + 2), false, r.status, coalesce(n.times, 0)::BIGINT,
       CASE WHEN n.times > 0 THEN r.key END, r.asked_ns, r.ended_ns, r.position
FROM reactions r
LEFT JOIN named_reactions n USING (namespace, key, attempt)
)
ORDER BY position
"""

_SURVEY: Final = """
WITH open AS (
    SELECT namespace, workflow_id, count(*) AS waits,
           count(*) FILTER (status = 'open') AS uncertain,
           list(activity ORDER BY sequence) FILTER (status = 'open') AS effects
    FROM ledger WHERE status IN ('open', 'not begun') GROUP BY ALL
), children AS (
    SELECT namespace, payload_json(payload)->>'$.workflow_id' AS workflow_id,
           arg_max(name, position) AS name
    FROM events WHERE run_id = '' AND event_type = 'ChildWorkflowInitiated' GROUP BY ALL
)
SELECT w.namespace, w.workflow_id, coalesce(w.name, c.name) AS name, w.status, w.events,
       CASE WHEN w.status NOT IN ('open', 'running') THEN 'finished'
            WHEN coalesce(o.uncertain, 0) > 0 THEN 'unknown' ELSE 'unfinished' END AS standing,
       coalesce(o.uncertain, 0)::BIGINT AS uncertain, o.effects
FROM known w LEFT JOIN open o USING (namespace, workflow_id)
LEFT JOIN children c USING (namespace, workflow_id)
ORDER BY w.started_ns, w.workflow_id
"""


def ledger(store: EventStore | Snapshot) -> pl.DataFrame:
    """Return every effect that workflows have asked for, and what is known of it.

    One row for each attempt: `status` is `done`, `failed`, `timed out`, `canceled`, `open` (it may
    have happened: nobody knows) or `not begun` (it certainly has not); `times_uncertain` says how
    often a crash left it open, after which it was named in the log and handed out once more. What
    an agent of a choreography does is there once it has begun: `sequence` is that of the event that
    it reacts to.

    Args:
        store: a store, or a snapshot of one.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     ledger(store).columns[:6]
        ['namespace', 'workflow_id', 'sequence', 'activity', 'agent', 'attempt']
    """
    return store.sql(_EFFECTS)


def survey(store: EventStore | Snapshot, identify: Identify | None = None) -> pl.DataFrame:
    """Return how every live workflow stands: finished, unfinished, or unknown.

    `unknown` means that effects are open of which nobody knows whether they happened: `effects`
    names them. Nothing is executed, and no code is needed. A stream in which no workflow begins is
    none; where its beginning was truncated, the workflow that began it says what it is, or else a
    checkpoint. The name is null where none of them does.

    Args:
        store: a store, or a snapshot of one.
        identify: says what a stream is an instance of: as the checkpoints do that a scheme has
            taken, `partial(scheme.identify, store)`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import EventStore
        >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
        ...     result = store.append("w", {"event_type": "WorkflowStarted", "name": "trip"})
        ...     survey(store)["standing"].to_list()
        ['unfinished']
    """
    snapshot = store.snapshot() if isinstance(store, EventStore) else store
    query = _SURVEY.replace("FROM ledger", f"FROM ({_EFFECTS})")
    found = snapshot.sql(query.replace("FROM known", f"FROM ({workflows_of(snapshot)})"))
    if identify is None or not found["name"].null_count():
        return found
    import polars as pl  # noqa: PLC0415

    names = [
        identify((space, "", workflow_id)) if name is None else name
        for space, workflow_id, name in found.select("namespace", "workflow_id", "name").rows()
    ]
    return found.with_columns(pl.Series("name", names, pl.String))


def named_uncertain(
    store: EventStore, workflow_id: str, *, namespace: str = "default"
) -> list[dict[str, Any]]:
    """Return the effects that the log names as uncertain, of a workflow and of its children.

    After a crash they may have happened, and stand in the log before they are repeated.

    Args:
        store: open.
        workflow_id: whose, with all the workflows that it has begun and that these have begun.
        namespace: of all of them.
    """
    whose, where = text_literal(workflow_id), text_literal(namespace)
    told = store.sql(f"""
        WITH RECURSIVE own AS (SELECT * FROM events WHERE namespace = {where} AND run_id = ''),
        family(id) AS (SELECT {whose} UNION SELECT payload_json(payload)->>'workflow_id'
            FROM own JOIN family ON workflow_id = id WHERE event_type = 'ChildWorkflowInitiated')
        SELECT payload FROM own JOIN family ON workflow_id = '@' || id
        WHERE event_type = 'AgentRestarted' AND payload IS NOT NULL ORDER BY position
    """)
    return [each for row in told["payload"] for each in decode_payload(row).get("uncertain", ())]
