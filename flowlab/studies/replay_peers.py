"""Replays of other engines, on histories equal to ours, without a server."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from typing import Any, Final

from flowlab.errors import MissingDependencyError
from flowlab.studies.peers import PEERS_EXTRA

_MOMENT: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Peer = Callable[[], object]


def durabletask_replay(count: int) -> Peer:
    """Return a replay of so many steps by the executor of durabletask, its history made before.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        from durabletask import worker  # noqa: PLC0415
        from durabletask.internal import helpers  # noqa: PLC0415
        from durabletask.serialization import JsonDataConverter  # noqa: PLC0415
    except ImportError as error:
        message = f"this claim compares with the library durabletask: {PEERS_EXTRA}"
        raise MissingDependencyError(message) from error

    def steps(ctx: Any, steps_left: int) -> Any:
        for number in range(steps_left):
            yield ctx.call_activity("step", input=number)
        return steps_left

    registry = worker._Registry()  # noqa: SLF001 - it replays behind its worker only
    name = registry.add_orchestrator(steps)
    started = helpers.new_orchestrator_started_event(_MOMENT)
    history = [
        started,
        helpers.new_execution_started_event(name, "steps", encoded_input=str(count)),
    ]
    for number in range(count):
        task = number + 1
        history += [
            helpers.new_task_scheduled_event(task, "step", encoded_input=str(number)),
            started,
            helpers.new_task_completed_event(task, encoded_output=str(number)),
        ]

    def replay() -> object:
        quiet = logging.getLogger("flowlab.peers.durabletask")
        quiet.setLevel(logging.CRITICAL)
        executor = worker._OrchestrationExecutor(registry, quiet, JsonDataConverter())  # noqa: SLF001
        return executor.execute("steps", history[:-1], history[-1:])

    return replay


def temporal_replay(count: int) -> Peer:
    """Return a replay of so many steps by Temporal's Replayer, its history made before.

    The workflow runs outside its sandbox, which would cost more.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        from temporalio import workflow  # noqa: PLC0415
        from temporalio.client import WorkflowHistory  # noqa: PLC0415
        from temporalio.worker import Replayer, UnsandboxedWorkflowRunner  # noqa: PLC0415
    except ImportError as error:
        message = f"this claim compares with the library temporalio: {PEERS_EXTRA}"
        raise MissingDependencyError(message) from error

    async def run(_: Any, steps_left: int) -> int:
        for number in range(steps_left):
            await workflow.execute_activity(
                "step", number, start_to_close_timeout=dt.timedelta(seconds=10)
            )
        return steps_left

    run.__qualname__ = "Steps.run"
    steps = workflow.defn(name="steps", sandboxed=False)(
        type("Steps", (), {"run": workflow.run(run)})
    )
    history = WorkflowHistory("steps", _temporal_events(count))

    def replay() -> object:
        async def replayed() -> object:
            replayer = Replayer(workflows=[steps], workflow_runner=UnsandboxedWorkflowRunner())
            return await replayer.replay_workflow(history)

        return asyncio.run(replayed())

    return replay


def _temporal_events(count: int) -> list[Any]:
    from google.protobuf.json_format import ParseDict  # noqa: PLC0415
    from temporalio.api.history.v1 import HistoryEvent  # noqa: PLC0415

    events: list[Any] = []

    def add(kind: str, **attributes: Any) -> str:
        number = str(len(events) + 1)
        told: dict[str, Any] = {f"{kind}EventAttributes": attributes}
        name = "".join(f"_{sign}" if sign.isupper() else sign for sign in kind).upper()
        told |= {"eventId": number, "eventType": f"EVENT_TYPE_{name}"}
        moment = (_MOMENT + dt.timedelta(milliseconds=len(events))).isoformat()
        events.append(ParseDict({**told, "eventTime": moment}, HistoryEvent()))
        return number

    def task() -> str:
        asked = add("workflowTaskScheduled")
        begun = add("workflowTaskStarted", scheduledEventId=asked)
        return add("workflowTaskCompleted", scheduledEventId=asked, startedEventId=begun)

    add(
        "workflowExecutionStarted",
        workflowType={"name": "steps"},
        taskQueue={"name": "steps"},
        input=_payload(count),
        originalExecutionRunId="r",
        firstExecutionRunId="r",
    )
    for number in range(count):
        decided = task()
        asked = add(
            "activityTaskScheduled",
            activityId=str(number + 1),
            activityType={"name": "step"},
            workflowTaskCompletedEventId=decided,
            input=_payload(number),
        )
        begun = add("activityTaskStarted", scheduledEventId=asked)
        add(
            "activityTaskCompleted",
            scheduledEventId=asked,
            startedEventId=begun,
            result=_payload(number),
        )
    add("workflowExecutionCompleted", workflowTaskCompletedEventId=task(), result=_payload(count))
    return events


def _payload(value: int) -> dict[str, Any]:
    from base64 import b64encode  # noqa: PLC0415

    plain = b64encode(b"json/plain").decode()
    data = b64encode(str(value).encode()).decode()
    return {"payloads": [{"metadata": {"encoding": plain}, "data": data}]}
