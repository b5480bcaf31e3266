"""The floor under the simulation of sagas: one loop that writes the same log, and nothing else.

What a general engine costs is told by what is left when all generality is gone: no plan that is
interpreted, no agents with handlers, no transactions, no faults, no timers that could go off. The
floor knows the workload by heart. Its log has the digest of flowlab's.
"""

from __future__ import annotations

import time
from collections import deque
from heapq import heappop, heappush
from typing import Any

from flowlab.events import CauseKind, EventLog
from flowlab.simulation.finish import table_of
from flowlab.simulation.plan_shapes import PlanShapes
from flowlab.simulation.recorder import PACK, ROW_BYTES, Recorder, Value, json_of
from flowlab.studies.saga_peers import SagaOutcome
from flowlab.studies.saga_workload import STEPS, SagaWorkload
from flowlab.studies.saga_world import ROLES, DeclinedError, saga_plan, saga_world
from flowlab.workflow import Program

ARRIVED, SERVED, ANSWERED, STARTED = range(4)
_MESSAGE = int(CauseKind.MESSAGE)
_ERROR = {"message": "DeclinedError", "type": "DeclinedError"}
_FAILURE = {
    "message": "activity 'work' failed in attempt 1: DeclinedError",
    "type": "ActivityError",
}


class _Codes:
    """The shapes of the sagas' events, the same as a world's."""

    def __init__(self, recorder: Recorder) -> None:
        self.plan = PlanShapes(recorder, Program.of(saga_plan()))
        steps = self.plan.program.steps
        one = ((0, 0),)
        self.scheduled = [self.plan.scheduled(step, 1, 0, one) for step in steps]
        self.undoing = [
            self.plan.note("CompensationScheduled", "undo", step.name, True, one) for step in steps
        ]
        self.completed = self.plan.completed_int[0]
        self.undone = self.plan.completed[1]
        self.received = [
            recorder.shape(
                "MessageReceived",
                name=name,
                value=Value.INT,
                head=b'{"waited_ns":',
                tail=b"}",
                kind_a=_MESSAGE,
                follows_lane=True,
            )
            for name in ("work", "undo")
        ]
        self.committed = [
            recorder.shape(
                "TransactionCommitted",
                name=name,
                value=Value.INT,
                head=b'{"values":{"done":',
                tail=b"}}",
                follows_lane=True,
                reads=((None, "done"),),
                writes=((None, "done"),),
            )
            for name in ("work", "undo")
        ]
        self.ended = self.plan.note("WorkflowCompleted", "saga", None, True, one)
        self.failed = self.plan.note("WorkflowFailed", "saga", None, True, one)
        self._failures(recorder)

    def _failures(self, recorder: Recorder) -> None:
        self.aborted = recorder.shape(
            "TransactionAborted",
            name="work",
            value=Value.JSON,
            head=b'{"error":',
            tail=b"}",
            kind_a=int(CauseKind.FAULT),
            follows_lane=True,
            reads=(),
            writes=(),
        )
        self.declined = [
            recorder.shape(
                "ActivityFailed",
                name="work",
                step_id=step.name,
                value=Value.JSON,
                head=b'{"attempt":1,"error":',
                tail=b"}",
                kind_b=_MESSAGE,
            )
            for step in self.plan.program.steps
        ]


def floor_run(workload: SagaWorkload) -> tuple[SagaOutcome, EventLog]:
    """Simulate a workload and write its log in one loop.

    Example:
        >>> from flowlab.studies.saga_world import flowlab_run
        >>> work = SagaWorkload.of(agents=3, sagas=20)
        >>> floor_run(work)[1].digest == flowlab_run(work)[1].digest
        True
    """
    began = time.process_time()
    recorder = Recorder()
    recorder.begin()
    completion_ns, last_ns = _loop(workload, recorder, _Codes(recorder))
    log = EventLog(table_of(recorder, [""], "default"))
    seconds = time.process_time() - began
    return SagaOutcome(completion_ns, len(log), last_ns, 0, seconds), log


def table_seconds(workload: SagaWorkload) -> float:
    """Return what the table of a recorded run takes, which whatever records these rows must pay.

    Example:
        >>> table_seconds(SagaWorkload.of(agents=3, sagas=20)) > 0
        True
    """
    recorder = Recorder()
    recorder.begin()
    _loop(workload, recorder, _Codes(recorder))
    began = time.process_time()
    EventLog(table_of(recorder, [""], "default"))
    return time.process_time() - began


def own_code_seconds(workload: SagaWorkload) -> float:
    """Return what the workload's own functions take by themselves, which any engine must call.

    Once each: `starts` and what it yields for every saga, `delays` for every call, and the handler
    of every call, with a context of two plain attributes and a dict as cells. Each saga is gone
    through from its first call to its last, so that what it touches is at hand. There is no agenda,
    no order of time, no mailbox, no plan, no timer, no transaction, and nothing is written.

    Example:
        >>> own_code_seconds(SagaWorkload.of(agents=3, sagas=20)) > 0
        True
    """
    world = saga_world(workload)
    starts: Any = world.starts
    delays: Any = world.delays
    work, undo = (world.agents[0].handlers[name] for name in ("work", "undo"))
    states = [{"done": 0} for _ in range(workload.agents)]
    agent, context, begin = workload.agent, _Context(), 0
    began = time.process_time()
    for start, end, fails in zip(starts(None), workload.ends, workload.failing, strict=True):
        context.workflow_id = name = start.workflow_id
        for call in range(end - begin):
            delays(name, call)
            context.state = states[agent[begin + call]]
            if 0 <= fails < call:
                undo(context, None)
                continue
            try:
                work(context, call)
            except DeclinedError:
                continue
        begin = end
    return time.process_time() - began


class _Context:
    """What the handlers of the sagas read of a context."""

    __slots__ = ("state", "workflow_id")

    def __init__(self) -> None:
        self.workflow_id = ""
        self.state: dict[str, int] = {}


def _loop(  # noqa: C901, PLR0912, PLR0915 - that it is one loop is what it measures
    workload: SagaWorkload, recorder: Recorder, codes: _Codes
) -> tuple[int, int]:
    rows, keep, pack, size = recorder.rows, recorder.keep, PACK, ROW_BYTES
    request, service, reply = workload.request_ns, workload.service_ns, workload.reply_ns
    agent_of, ends, failing = workload.agent, workload.ends, workload.failing
    agents = [recorder.stream(f"@agent-{n}") for n in range(workload.agents)]
    boxes: list[deque[int]] = [deque() for _ in agents]
    busy, done = [False] * len(agents), [0] * len(agents)
    sagas = len(ends)
    place, code, sent, txn, arrived = ([0] * sagas for _ in range(5))
    results: list[list[int]] = [[] for _ in range(sagas)]
    error = json_of(_ERROR)
    told = json_of({"error": _FAILURE})
    agenda: list[tuple[int, int, int, int]] = []
    turn = total = now = begun = 0
    starts = workload.starts_ns
    while True:
        if begun < sagas and (not agenda or starts[begun] <= agenda[0][0]):
            now, what, saga = starts[begun], STARTED, begun
            begun += 1
        elif agenda:
            now, _, what, saga = heappop(agenda)
        else:
            return total, now
        at = place[saga]
        if what == ARRIVED:  # a request arrives
            agent = agent_of[at]
            arrived[saga] = now
            if busy[agent]:
                boxes[agent].append(saga)
                continue
            busy[agent] = True
        elif what == SERVED:  # an agent has served
            agent = agent_of[at]
            step = at - (ends[saga - 1] if saga else 0)
            fails = failing[saga]
            undo = 0 <= fails < step
            row = len(rows) // size
            if step == fails:
                rows += pack(now, keep(error), codes.aborted, agents[agent], code[saga], -1, -1, -1)
            else:
                done[agent] += -1 if undo else 1
                rows += pack(
                    now, done[agent], codes.committed[undo], agents[agent], code[saga], -1, -1, -1
                )
                if not undo:
                    results[saga].append(done[agent])
            txn[saga] = row
            turn += 1
            heappush(agenda, (now + reply[at], turn, ANSWERED, saga))
            if not boxes[agent]:
                busy[agent] = False
                continue
            saga = boxes[agent].popleft()
            at = place[saga]
        if what < ANSWERED:  # an agent begins
            base = ends[saga - 1] if saga else 0
            undo = 0 <= failing[saga] < at - base
            rows += pack(
                now,
                now - arrived[saga],
                codes.received[undo],
                agents[agent],
                code[saga],
                sent[saga],
                -1,
                -1,
            )
            turn += 1
            heappush(agenda, (now + service[at], turn, SERVED, saga))
            continue
        base, fails = ends[saga - 1] if saga else 0, failing[saga]
        stream = code[saga]
        if what == ANSWERED:  # a saga is answered
            step = at - base
            row = len(rows) // size
            if step == fails:
                rows += pack(
                    now,
                    keep(error),
                    codes.declined[step],
                    stream,
                    stream,
                    sent[saga],
                    txn[saga],
                    -1,
                )
            elif 0 <= fails < step:
                rows += pack(
                    now,
                    keep(None),
                    codes.undone[2 * fails - step],
                    stream,
                    stream,
                    sent[saga],
                    txn[saga],
                    -1,
                )
            else:
                rows += pack(
                    now,
                    results[saga][step],
                    codes.completed[step],
                    stream,
                    stream,
                    sent[saga],
                    txn[saga],
                    -1,
                )
            place[saga] = at = at + 1
            step += 1
        else:
            step = 0
            code[saga] = stream = recorder.stream(f"saga-{saga}", f"saga-{saga}")
            place[saga] = at = base
            forward = agent_of[base : base + (fails + 1 or STEPS)]
            named = [*forward, *forward[:1] * STEPS][:STEPS]
            roles = json_of({role: f"agent-{n}" for role, n in zip(ROLES, named, strict=True)})
            row = len(rows) // size
            rows += pack(
                now, keep(b'%d,"roles":' % saga + roles), codes.plan.started, stream, -1, -1, -1, -1
            )
        if at == ends[saga]:
            total += now
            if fails < 0:
                named_results = {f"step-{n}": value for n, value in enumerate(results[saga])}
                value, shape = keep(json_of({"result": named_results})), codes.ended
            else:
                value, shape = keep(told), codes.failed
            rows += pack(now, value, shape, stream, stream, row, -1, -1)
            continue
        sent[saga] = len(rows) // size
        agent = agent_of[at]
        if 0 <= fails < step:
            undone = 2 * fails - step
            given = {"input": undone, "result": results[saga][undone]}
            payload = json_of({"agent": f"agent-{agent}", "attempt": 1, "input": given})
            rows += pack(now, keep(payload), codes.undoing[undone], stream, stream, row, -1, -1)
        else:
            rows += pack(now, -1, codes.scheduled[step], stream, stream, row, -1, agents[agent])
        turn += 1
        heappush(agenda, (now + request[at], turn, ARRIVED, saga))
