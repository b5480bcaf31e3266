"""Runs in a process of its own: tries workflows out, or replays histories of theirs.

Reads one JSON object on standard input and writes one on standard output. A process of its own can
have another hash seed, and clocks that were set forward before the workflow's module was loaded.
"""

from __future__ import annotations

import datetime as dt
import importlib
import importlib.util
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from flowlab.errors import ActivityError, FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events import Event, encode_json
from flowlab.workflow import Activity, Plan, Workflow
from flowlab.workflow.guard import disarmed
from flowlab.workflow.guard_check import collecting
from flowlab.workflow.guard_source import source_findings
from flowlab.workflow.guard_trial import derived_answer, replay, run_once, try_out

MAX_CHILD_DEPTH: Final = 8
"""How deep workflows may start each other in a trial."""
_CLOCKS: Final = ("time", "monotonic", "perf_counter")
_PARTS: Final = ("gmtime", "localtime", "ctime")


def main() -> None:
    """Carry out the jobs on standard input."""
    asked = json.load(sys.stdin)
    # What a workflow prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, str(Path.cwd()))
    if asked["shift_ns"]:
        shift_clocks(asked["shift_ns"])
    with answers:
        json.dump([_outcome(job) for job in asked["jobs"]], answers)


def shift_clocks(shift_ns: int) -> None:
    """Set the clocks of this process forward, for modules that are loaded from now on."""
    for name in _CLOCKS:
        setattr(time, name, _later(getattr(time, name), shift_ns / 1e9))
        setattr(time, f"{name}_ns", _later(getattr(time, f"{name}_ns"), shift_ns))
    for name in _PARTS:
        setattr(time, name, _of_later(getattr(time, name), time.time))
    delta = dt.timedelta(microseconds=shift_ns // 1000)
    real = dt.datetime

    class LooksLike(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, cls.__mro__[1])

    class LaterDatetime(dt.datetime, metaclass=LooksLike):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return real.now(tz) + delta

        @classmethod
        def utcnow(cls) -> Any:
            return real.now(dt.UTC).replace(tzinfo=None) + delta

        @classmethod
        def today(cls) -> Any:
            return real.now() + delta

    class LaterDate(dt.date, metaclass=LooksLike):
        @classmethod
        def today(cls) -> Any:
            return (real.now() + delta).date()

    dt.datetime = LaterDatetime  # type: ignore[misc]
    dt.date = LaterDate  # type: ignore[misc]


def _later(clock: Callable[[], Any], shift: float) -> Callable[[], Any]:
    return lambda: clock() + shift


def _of_later(part: Callable[[Any], Any], clock: Callable[[], float]) -> Callable[..., Any]:
    return lambda seconds=None: part(clock() if seconds is None else seconds)


def _outcome(job: dict[str, Any]) -> dict[str, Any]:
    try:
        with collecting():
            module = _load(job["target"])
        workflow = _workflow(module, job["target"])
    except FlowlabError as error:
        return {"error": str(error), "kind": type(error).__name__}
    except Exception as error:  # noqa: BLE001 - whatever a module does when it is loaded
        told = f"{job['target']} cannot be loaded: {type(error).__name__}: {error}"
        return {"error": told, "kind": "InvalidArgumentError"}
    if isinstance(workflow, Plan):
        return {"plan": True, "name": job["target"]}
    if job.get("histories") is not None:
        with disarmed():
            return {
                "differences": [
                    replay(workflow, msgspec.json.decode(text, type=list[Event]), job["seed"])
                    for text in job["histories"]
                ]
            }
    outcome = try_out(
        workflow, job["input"], seed=job["seed"], answers=_answers(module, job["answers"])
    )
    findings = () if workflow.unchecked else source_findings(workflow.body)
    return {
        "name": workflow.name,
        "unchecked": workflow.unchecked,
        "rules": list(dict.fromkeys(finding.rule for finding in findings)),
        "violations": [
            *(["source check", str(finding)] for finding in findings),
            *([violation.mean, violation.message] for violation in outcome.violations),
        ],
        "histories": [msgspec.json.encode(list(h)).decode() for h in outcome.histories],
        "end": outcome.end,
    }


def _load(target: str) -> ModuleType:
    place, _, _ = target.rpartition(":")
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        message = f"{place} is no file of Python code"
        raise NotFoundError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _workflow(module: ModuleType, target: str) -> Workflow | Plan:
    name = target.rpartition(":")[2]
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Workflow | Plan):
        # A scenario holds its workflow.
        found = getattr(found, "workflow", found)
    if isinstance(found, Workflow | Plan):
        return found
    there = [key for key, value in vars(module).items() if isinstance(value, Workflow | Plan)]
    message = (
        f"{target} is no workflow; workflows there are: {', '.join(there) or 'none'}. Declare it "
        "with @workflow"
    )
    raise NotFoundError(message) if found is None else InvalidArgumentError(message)


def _answers(module: ModuleType, given: dict[str, Any]) -> Callable[[str, Any, int], Any]:
    """Return what answers: what is given, the module's activities and workflows, a derived value.

    Each call is made once: an activity may answer otherwise the next time, and that is no fault.
    """
    things = vars(module).values()
    functions = {thing.name: thing.function for thing in things if isinstance(thing, Activity)}
    workflows = {thing.name: thing for thing in things if isinstance(thing, Workflow)}
    known: dict[tuple[str, bytes, int], Any] = {}
    depth: list[None] = []

    def called(name: str, value: Any) -> Any:
        function = functions.get(name)
        if name in given:
            return given[name]
        if function is not None and not inspect.iscoroutinefunction(function):
            return function(value)
        if name in workflows and len(depth) < MAX_CHILD_DEPTH:
            depth.append(None)
            try:
                end = run_once(workflows[name], value, answers=answer)[-1]
            finally:
                depth.pop()
            if end.event_type == "WorkflowCompleted":
                data: Any = end.data
                return data["result"]
            message = f"it ended with {end.event_type}"
            raise ActivityError(message, activity=name)
        return derived_answer(name, value)

    def answer(name: str, value: Any, attempt: int) -> Any:
        key = (name, encode_json(value), attempt)
        if key not in known:
            try:
                known[key] = called(name, value)
            except Exception as error:  # noqa: BLE001 - what an activity raises is its answer
                known[key] = error
        if isinstance(known[key], Exception):
            raise known[key]
        return known[key]

    return answer


if __name__ == "__main__":
    main()
