"""The state of every workflow at each of its events, in SQL: the relation `states`.

It says in SQL what `flowlab.workflow.states_of` says in Python; a law holds the two together.
"""

from __future__ import annotations

from typing import Final

from flowlab.events.vocabulary import (
    CALL_ANSWERS,
    CALL_FAILURES,
    CALL_REQUESTS,
    CALL_STARTS,
    CALL_SUCCESSES,
    TERMINAL_STATUS,
)

_KEY: Final = "namespace, run_id, workflow_id"
_STREAM: Final = "stream"
"""A stream's number: nearly everything is joined or ordered by it, and three texts take longer."""

_PLACED: Final = (*CALL_REQUESTS, *CALL_ANSWERS, "TimerStarted", "SagaStepCommitted")
_MARKS: Final = ("WorkflowStarted", *TERMINAL_STATUS)

# A generation begins with its WorkflowStarted; nothing that was open before is so after it. `mark`
# is the last event that alone decides the state, `asked` the last request that undoes nothing. A
# saga asks for the child of a step once: a second one undoes what the first has done.
_MARKED: Final = f"""
streams AS (
    SELECT {_KEY}, row_number() OVER (ORDER BY {_KEY}) AS stream FROM (
        SELECT DISTINCT {_KEY} FROM events WHERE NOT starts_with(workflow_id, '@'))),
own AS (
    SELECT {_STREAM}, {_KEY}, sequence, event_type, name, time_ns, generation, agent_id, step_id,
           coalesce(coordination_id, '') AS saga, causes, payload
    FROM events JOIN streams USING ({_KEY})),
numbered AS (
    SELECT {_STREAM}, sequence, time_ns, event_type, saga, step_id, max(time_ns) OVER past AS peak,
           count(*) FILTER (event_type = 'WorkflowStarted') OVER past AS era
    FROM own WINDOW past AS (PARTITION BY {_STREAM} ORDER BY sequence)),
children AS (
    SELECT {_STREAM}, sequence, 1 < row_number() OVER (
               PARTITION BY {_STREAM}, era, saga, step_id ORDER BY sequence) AS undoes
    FROM numbered
    WHERE event_type = 'ChildWorkflowInitiated' AND saga <> '' AND step_id <> ''),
marked AS (
    SELECT {_STREAM}, sequence, time_ns, event_type, era, undoes,
           max(sequence) FILTER (event_type IN {_MARKS} OR undoes) OVER past AS mark,
           max(sequence) FILTER (event_type IN {CALL_REQUESTS} AND NOT undoes) OVER past AS asked
    FROM (
        SELECT {_STREAM}, sequence, time_ns, event_type, era,
               event_type = 'CompensationScheduled' OR coalesce(undoes, false) AS undoes
        FROM numbered LEFT JOIN children USING ({_STREAM}, sequence))
    WINDOW past AS (PARTITION BY {_STREAM} ORDER BY sequence)),
eras AS (
    SELECT {_STREAM}, era, max(sequence) + 1 AS ends,
           min(sequence) FILTER (undoes) AS undoing,
           min(sequence) FILTER (event_type = 'ActivityStarted') AS starts
    FROM marked GROUP BY ALL),
placed AS (
    SELECT own.* EXCLUDE (time_ns, generation), era, undoes
    FROM own JOIN marked USING ({_STREAM}, sequence)
    WHERE own.event_type IN {_PLACED})"""

# An agent that takes a request up says so in its own stream. `peak` is the time that a history has
# come to: whatever happened by then, elsewhere too, has happened at that event.
_TAKEN: Final = f"""
letters AS (
    SELECT namespace, run_id, workflow_id AS lane, sequence AS spot, event_type, agent_id, name,
           time_ns, unnest(causes) AS ref, unnest(cause_kinds) AS kind FROM events
    WHERE event_type IN ('MessageReceived', 'MessageDropped', 'MessageDuplicated')),
copies AS (
    SELECT namespace, run_id, lane, spot, ref FROM letters
    WHERE event_type = 'MessageDuplicated' AND kind = {{message}}),
reached AS (
    SELECT l.* REPLACE (coalesce(c.ref, l.ref) AS ref)
    FROM letters l LEFT JOIN copies c ON (l.namespace, l.run_id, l.ref.workflow_id, l.ref.sequence)
                                       = (c.namespace, c.run_id, c.lane, c.spot)
    WHERE l.event_type <> 'MessageDuplicated' AND (l.kind = {{message}} OR c.spot IS NOT NULL)
          AND NOT starts_with(coalesce(c.ref, l.ref).workflow_id, '@')),
tales AS (
    SELECT namespace, run_id, list(DISTINCT name) AS taken_up FROM reached GROUP BY ALL),
took AS (
    SELECT {_STREAM}, ref.sequence AS call,
           min(struct_pack(t := time_ns, w := lane, s := spot, a := agent_id)) AS first
    FROM reached r JOIN streams s
    ON (r.namespace, r.run_id, r.ref.workflow_id) = (s.namespace, s.run_id, s.workflow_id)
    WHERE event_type = 'MessageReceived' GROUP BY ALL),
clock AS (
    SELECT {_STREAM}, peak, min(sequence) AS place FROM numbered GROUP BY ALL),
takes AS (
    SELECT c.* RENAME (sequence AS call), greatest(c.sequence, k.place) AS sequence, taker FROM (
        SELECT placed.stream, era, placed.sequence, first.t AS t, first.a AS taker
        FROM placed JOIN took ON (placed.stream, placed.sequence) = (took.stream, took.call)
        WHERE event_type IN ('ActivityScheduled', 'CompensationScheduled')) c
    ASOF JOIN clock k ON (c.stream = k.stream AND c.t <= k.peak))"""

# An answer names its request, or the request's start; a late one, after another, is not heard.
_CALLS: Final = f"""
calls AS (
    SELECT {_STREAM}, namespace, run_id, era, sequence AS call, undoes,
           event_type = 'ChildWorkflowInitiated' AS child,
           coalesce(nullif(json_text(payload_json(payload), if(child, '$.workflow_id', '$.agent')),
                           ''),
                    nullif(if(child, name, agent_id), ''), workflow_id) AS agent,
           coalesce(nullif(step_id, ''), name) AS step, name, saga, step_id <> '' AS of_step,
           json_text(payload_json(payload), '$.agent') <> '' AS named,
           coalesce((payload_json(payload)->'$.effect')::VARCHAR, '') <> 'false' AS effect
    FROM placed WHERE event_type IN {CALL_REQUESTS}),
refs AS (
    SELECT {_STREAM}, era, sequence, cause.sequence AS cause
    FROM (SELECT {_STREAM}, workflow_id, era, sequence, event_type, unnest(causes) AS cause
          FROM placed)
    WHERE cause.workflow_id = workflow_id AND cause.sequence < sequence
          AND event_type IN {CALL_ANSWERS}),
direct AS (
    SELECT {_STREAM}, era, sequence, call FROM refs JOIN calls USING ({_STREAM}, era)
    WHERE cause = call),
linked AS (
    SELECT {_STREAM}, era, sequence, max(call) AS call FROM (
        FROM direct UNION ALL
        SELECT {_STREAM}, era, r.sequence, d.call
        FROM refs r JOIN direct d USING ({_STREAM}, era) WHERE r.cause = d.sequence)
    GROUP BY ALL),
answered AS (
    SELECT {_STREAM}, era, call, min(sequence) AS first FROM linked GROUP BY ALL),
begins AS (
    SELECT {_STREAM}, era, call, t.sequence, taker
    FROM takes t JOIN eras USING ({_STREAM}, era) LEFT JOIN answered USING ({_STREAM}, era, call)
    WHERE t.sequence <= coalesce(first, t.sequence) AND t.sequence < ends),
moves AS (
    SELECT {_STREAM}, era, call, call AS sequence, 'asked' AS what, 0 AS rank FROM calls
    UNION ALL
    SELECT {_STREAM}, era, call, sequence, 'begun', 1 FROM begins
    UNION ALL
    SELECT {_STREAM}, era, call, sequence, CASE
           WHEN event_type IN {CALL_STARTS} THEN 'begun'
           WHEN event_type IN {CALL_FAILURES} THEN 'failed'
           WHEN event_type IN {CALL_SUCCESSES} THEN 'done' ELSE 'ended' END, 2
    FROM linked JOIN placed USING ({_STREAM}, era, sequence)),
heard AS (
    SELECT * FROM (SELECT *, lag(what) OVER (
        PARTITION BY {_STREAM}, call ORDER BY sequence, rank) AS before FROM moves)
    WHERE what IN ('asked', 'begun') OR before IN ('asked', 'begun')),
lasting AS (
    SELECT {_STREAM}, era, call, sequence, what, lead(sequence) OVER (
        PARTITION BY {_STREAM}, call ORDER BY sequence, rank) AS until FROM heard),
retries AS (
    SELECT {_STREAM}, era, cause.sequence AS sequence, min(sequence) AS timer
    FROM (SELECT {_STREAM}, workflow_id, era, sequence, unnest(causes) AS cause FROM placed
          WHERE event_type = 'TimerStarted' AND payload_json(payload)->>'$.attempt' IS NOT NULL)
    WHERE cause.workflow_id = workflow_id GROUP BY {_STREAM}, era, cause.sequence),
spans AS (
    SELECT {_STREAM}, era, call, h.sequence, what, undoes, child, step, name, saga, timer, undoing,
           if(what = 'asked', agent, coalesce(taker, agent)) AS agent, ends,
           if(NOT child AND (coalesce(named, false) OR list_contains(taken_up, name))
              AND taken_up IS NOT NULL, h.sequence, starts) AS starts,
           coalesce(until, ends) AS until
    FROM lasting h JOIN calls USING ({_STREAM}, era, call) JOIN eras USING ({_STREAM}, era)
    LEFT JOIN retries USING ({_STREAM}, era, sequence)
    LEFT JOIN (SELECT * EXCLUDE (sequence) FROM begins) USING ({_STREAM}, era, call)
    LEFT JOIN tales USING (namespace, run_id))"""

# What holds from one event up to, not including, another; a row for each event in between.
_HELD: Final = f"""
undone AS (
    SELECT {_STREAM}, era, saga, step, call FROM calls WHERE undoes),
begun AS (
    SELECT {_STREAM}, era, saga, min(call) AS undoing FROM undone GROUP BY ALL),
steps AS (
    SELECT {_STREAM}, era, saga, step_id AS step, sequence FROM placed
    WHERE event_type = 'SagaStepCommitted'
          AND json_text(payload_json(payload), '$.kind') = 'compensable'),
held AS (
    SELECT {_STREAM}, 'current' AS what, agent AS value, 0 AS rank, call AS place,
           unnest(range(sequence, until)) AS sequence
    FROM spans WHERE what IN ('asked', 'begun') AND NOT undoes
    UNION ALL
    SELECT {_STREAM}, 'pending', name, 0, call, unnest(range(greatest(sequence, starts), until))
    FROM spans WHERE what = 'asked' AND NOT undoes AND NOT child AND starts IS NOT NULL
    UNION ALL
    SELECT {_STREAM}, 'failed', agent, 0, call,
           unnest(range(greatest(sequence, undoing), least(until, coalesce(timer, until))))
    FROM spans WHERE what = 'failed' AND undoing IS NOT NULL
    UNION ALL
    SELECT {_STREAM}, 'chain', step, 0, call, unnest(range(sequence, until))
    FROM spans WHERE what IN ('asked', 'begun') AND undoes
    UNION ALL
    SELECT {_STREAM}, 'chain', step, 0, call, unnest(range(timer, until)) FROM (
        SELECT {_STREAM}, step, f.call, timer,
               least(until, min(u.call) FILTER (u.call > timer)) AS until
        FROM (SELECT * FROM spans WHERE what = 'failed' AND undoes AND timer IS NOT NULL) f
        LEFT JOIN undone u USING ({_STREAM}, era, saga, step)
        GROUP BY {_STREAM}, step, f.call, timer, until)
    UNION ALL
    SELECT {_STREAM}, 'chain', step, 1, -sequence,
           unnest(range(greatest(sequence, undoing), until)) FROM (
        SELECT {_STREAM}, era, step, t.sequence, any_value(b.undoing) AS undoing,
               coalesce(min(call) FILTER (call > t.sequence), any_value(ends)) AS until
        FROM steps t JOIN begun b USING ({_STREAM}, era, saga) JOIN eras e USING ({_STREAM}, era)
        LEFT JOIN undone USING ({_STREAM}, era, saga, step)
        GROUP BY {_STREAM}, era, step, t.sequence)),
seen AS (
    SELECT {_STREAM}, sequence,
           coalesce(list_sort(list_distinct(list(value) FILTER (what = 'current'))), []) AS current,
           coalesce(list(value ORDER BY place) FILTER (what = 'pending'), []) AS pending,
           coalesce(list_sort(list_distinct(list(value) FILTER (what = 'failed'))), []) AS failed,
           coalesce(list(value ORDER BY rank, place) FILTER (what = 'chain'), []) AS chain
    FROM held GROUP BY ALL)"""

# A late answer counts, too: what it says was done, was done. What undoes a step undoes all of its
# attempts that were asked for before.
_LEFT: Final = f"""
acts AS (
    SELECT {_STREAM}, era, call, sequence, c.saga, c.step, c.undoes, coalesce(of_step, false)
           AS of_step, effect, event_type, payload_json(payload) AS told
    FROM linked JOIN placed p USING ({_STREAM}, era, sequence)
    JOIN calls c USING ({_STREAM}, era, call)
    WHERE event_type IN {(*CALL_SUCCESSES, "CompensationCompleted", "ChildWorkflowFailed")}),
effects AS (
    SELECT {_STREAM}, era, call, saga, step, of_step, min(sequence) AS done FROM acts
    WHERE NOT undoes AND effect AND (
        event_type IN {CALL_SUCCESSES} OR event_type = 'ChildWorkflowFailed'
        AND list_count(TRY_CAST(told->'$.uncompensated' AS VARCHAR[])) > 0)
    GROUP BY ALL),
undoings AS (
    SELECT {_STREAM}, era, saga, step, call, min(sequence) AS sequence FROM acts
    WHERE undoes AND event_type <> 'ChildWorkflowFailed'
          AND coalesce(json_text(told, '$.result.compensation'), '') <> 'failed'
    GROUP BY ALL),
failures AS (
    SELECT {_STREAM}, era, sequence AS mark FROM marked
    WHERE event_type IN ('WorkflowFailed', 'WorkflowTimedOut')),
remains AS (
    SELECT {_STREAM}, mark, list(step ORDER BY done) AS remains FROM (
        SELECT {_STREAM}, mark, e.step, min(done) AS done
        FROM failures JOIN effects e USING ({_STREAM}, era)
        LEFT JOIN undoings u ON of_step AND u.call > e.call AND u.sequence < mark
            AND (u.stream, u.era, u.saga, u.step) = (e.stream, e.era, e.saga, e.step)
        WHERE done < mark AND u.call IS NULL
        GROUP BY {_STREAM}, mark, e.saga, e.step, CASE WHEN of_step THEN 0 ELSE e.call END)
    GROUP BY ALL)"""

_ENDED: Final = f"""
results AS (
    SELECT {_STREAM}, mark, '{{' || string_agg(
               to_json(step)::VARCHAR || ':' || result, ',' ORDER BY step) || '}}' AS results
    FROM (
        SELECT {_STREAM}, w.sequence AS mark, step, arg_max(
                   coalesce((payload_json(p.payload)->'$.result')::VARCHAR, 'null'), p.sequence)
               AS result
        FROM (SELECT {_STREAM}, era, sequence FROM marked
              WHERE event_type = 'WorkflowCompleted') w
        JOIN spans s USING ({_STREAM}, era) JOIN placed p USING ({_STREAM}, era)
        WHERE s.what = 'done' AND NOT s.undoes
              AND p.sequence = s.sequence AND s.sequence < w.sequence
        GROUP BY {_STREAM}, w.sequence, step) GROUP BY ALL),
named AS (
    SELECT {_STREAM}, k.sequence, k.time_ns, mark, CASE
           WHEN m.event_type IN {CALL_REQUESTS} THEN 'Compensating'
           WHEN asked > coalesce(mark, 0) THEN 'AgentExecuting'
           WHEN m.event_type IN ('WorkflowFailed', 'WorkflowTimedOut') THEN 'Failed'
           WHEN m.event_type IN ('WorkflowCanceled', 'WorkflowTerminated') THEN 'Canceled'
           WHEN m.event_type IN ('WorkflowCompleted', 'WorkflowContinuedAsNew')
           THEN m.event_type[9:] ELSE 'Initiated' END AS state,
           m.event_type AS marked_by, payload_json(m.payload) AS told, m.generation
    FROM marked k LEFT JOIN (
        SELECT {_STREAM}, sequence AS mark, event_type, payload, generation FROM own
        WHERE event_type IN {(*_MARKS, *CALL_REQUESTS)}) m USING ({_STREAM}, mark))"""

STATES: Final = f"""
WITH {_MARKED}, {_TAKEN}, {_CALLS}, {_HELD}, {_LEFT}, {_ENDED}
SELECT {_KEY}, sequence, time_ns, state,
       CASE state WHEN 'Initiated' THEN coalesce(i.agents, []) WHEN 'AgentExecuting'
            THEN coalesce(current, []) WHEN 'Compensating' THEN coalesce(failed, [])
            ELSE []::VARCHAR[] END AS agents,
       CAST(CASE state
            WHEN 'Initiated' THEN json_object('agents', coalesce(i.agents, []))
            WHEN 'AgentExecuting' THEN json_object(
                'current', coalesce(current, []), 'pending', coalesce(pending, []))
            WHEN 'Compensating' THEN json_object('failed_agents', coalesce(failed, []),
                'compensation_chain', coalesce(chain, []))
            WHEN 'Completed' THEN json_object('results', coalesce(results, '{{}}')::JSON)
            WHEN 'Failed' THEN json_object('error', coalesce(
                nullif(told->>'$.error.message', ''),
                nullif(told->>'$.error.type', ''),
                CASE marked_by WHEN 'WorkflowTimedOut' THEN 'timed out' ELSE '' END),
                'final_state', list_concat(coalesce(remains, []), list_filter(
                    list_concat(coalesce(TRY_CAST(told->'$.uncompensated' AS VARCHAR[]), []),
                                coalesce(TRY_CAST(told->'$.effects_left' AS VARCHAR[]), [])),
                    lambda name: name IS NOT NULL
                                 AND NOT list_contains(coalesce(remains, []), name))))
            WHEN 'Canceled'
            THEN json_object('reason', coalesce(json_text(told, '$.reason'), ''))
            WHEN 'ContinuedAsNew' THEN json_object('generation', generation + 1)
            END AS VARCHAR) AS detail
FROM named JOIN streams USING ({_STREAM}) LEFT JOIN seen USING ({_STREAM}, sequence)
LEFT JOIN results USING ({_STREAM}, mark) LEFT JOIN remains USING ({_STREAM}, mark)
LEFT JOIN (SELECT namespace, run_id, list_sort(list_distinct(agents)) AS agents FROM run_info) i
USING (namespace, run_id)
"""
"""For each event of a history: the state's name, whom it is about, and its fields as JSON."""
