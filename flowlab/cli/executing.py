"""Verbs of the durable host: run, recover."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from flowlab.cli.loading import load_module, prints_beside
from flowlab.cli.output import answer, answer_json, say, text_table
from flowlab.cli.verb import FOUND, INTERRUPTED, OK, Verb, add_json

if TYPE_CHECKING:
    from flowlab.runtime import Runtime
    from flowlab.runtime.code import Code
    from flowlab.runtime.handle import WorkflowHandle
    from flowlab.runtime.scheme import RecoveryScheme
    from flowlab.store import EventStore, Snapshot

SCHEMES: Final = ("replay", "checkpoint", "incremental", "cache")
_SOURCES: Final = "code"
"""The attribute of the live run that says which modules its workflows are in."""


def _add_scheme(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--namespace", metavar="NAME", default="default", help="of the workflows (default)"
    )
    parser.add_argument(
        "--scheme",
        choices=SCHEMES,
        default="replay",
        help="how workflows are got back, and what is kept for that (replay)",
    )
    parser.add_argument(
        "--every",
        metavar="N",
        type=int,
        default=None,
        help="events between two checkpoints (by the law, from what they turn out to cost)",
    )


def _run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", metavar="MODULE:WORKFLOW", help="or FILE.py:WORKFLOW")
    parser.add_argument("--id", required=True, metavar="ID", help="the workflow's id")
    parser.add_argument("--store", required=True, metavar="DIR", help="made if it is not there")
    parser.add_argument("--input", metavar="JSON", default="null", help="its input; null without")
    _add_scheme(parser)
    add_json(parser)


def _run(arguments: Namespace) -> int:
    from flowlab.errors import InvalidArgumentError, WorkflowError  # noqa: PLC0415
    from flowlab.runtime.ledger import named_uncertain  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    source, _, name = arguments.target.rpartition(":")
    if not source or not name:
        message = (
            f"a workflow is given as MODULE:WORKFLOW or FILE.py:WORKFLOW, not {arguments.target!r}"
        )
        raise InvalidArgumentError(message)
    try:
        value = json.loads(arguments.input)
    except (ValueError, RecursionError) as error:
        message = f"--input is no JSON: {error}; a text stands in double quotes"
        if isinstance(error, RecursionError):
            message = "--input is nested deeper than any payload may be; flatten it"
        raise InvalidArgumentError(message) from None
    scheme = _scheme(arguments)
    code = _code(source)
    workflow = code.workflow(name)
    told: dict[str, Any]
    with EventStore(arguments.store) as store:
        _remember(store, [source], arguments.namespace)
        runtime = _runtime(store, code, scheme, arguments.namespace)
        try:
            with prints_beside():
                result = runtime.run(workflow, value, id=arguments.id)
        except KeyboardInterrupt:
            _leave(store)
        except WorkflowError as error:
            told = {"id": arguments.id, "error": {"type": error.error_type, "message": str(error)}}
            code_ = FOUND
        else:
            told, code_ = {"id": arguments.id, "result": result}, OK
        told["uncertain"] = named_uncertain(store, arguments.id, namespace=arguments.namespace)
    if arguments.json:
        answer_json(told)
    elif code_ == OK:
        answer(json.dumps(told["result"], ensure_ascii=False))
    else:
        say(told["error"]["message"])
    for effect in told["uncertain"]:
        say(f"uncertain: {effect['key']} may have happened before a crash ({effect['policy']})")
    return code_


def _leave(store: EventStore) -> NoReturn:
    """End the process now: a thread that is still at work would hold it up to its end."""
    store.close()
    say("interrupted; the same command goes on where it stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _recover_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--store", required=True, metavar="DIR", help="of the store")
    parser.add_argument(
        "--code",
        action="append",
        metavar="MODULE",
        default=None,
        help="or FILE.py, several times: where the workflows are (where `run` found them)",
    )
    parser.add_argument(
        "--survey", action="store_true", help="only say how everything stands; run nothing"
    )
    _add_scheme(parser)
    add_json(parser)


def _recover(arguments: Namespace) -> int:
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415
    from flowlab.events import counted  # noqa: PLC0415
    from flowlab.runtime.unfinished import find_unfinished, nameless  # noqa: PLC0415
    from flowlab.store import EventStore  # noqa: PLC0415

    scheme, namespace = _scheme(arguments), arguments.namespace
    with EventStore(arguments.store, read_only=True) as store:
        snapshot = store.snapshot()
        everywhere = _surveyed(snapshot)
        sources = arguments.code or _remembered(store, namespace)
        found = find_unfinished(snapshot, partial(scheme.identify, store), namespace)
    before = everywhere.get(namespace, {})
    reports: list[dict[str, Any]] = []
    if found.names and not arguments.survey:
        if not sources:
            message = (
                "the store does not say where the code of its workflows is; give --code MODULE, "
                "or --survey to see how they stand"
            )
            raise InvalidArgumentError(message)
        names = set(found.names.values())
        code = _joined(_loaded(sources, names, skip=not arguments.code))
        with EventStore(arguments.store) as store:
            try:
                with prints_beside():
                    taken = _taken_up(store, code, scheme, namespace, [*found.names])
                    reports = asyncio.run(taken)
            except KeyboardInterrupt:
                _leave(store)
            before = _surveyed(store.snapshot()).get(namespace, {})
    if not arguments.survey:
        reports += [{"workflow_id": known, "error": nameless(known)} for known in found.nameless]
    for other in sorted(everywhere.keys() - {namespace}):
        if count := sum(row["standing"] != "finished" for row in everywhere[other].values()):
            say(f"{counted(count, 'workflow')} of --namespace {other!r} unfinished, left so")
    rows = [
        {**_row(before[known["workflow_id"]]), **known}
        for known in reports or [{"workflow_id": name} for name in (*found.names, *found.nameless)]
    ]
    if arguments.json:
        answer_json({"scheme": arguments.scheme, "workflows": rows})
    else:
        _show(rows, len(before))
    return FOUND if any(row.get("error") for row in rows) else OK


def _surveyed(snapshot: Snapshot) -> dict[str, dict[str, dict[str, Any]]]:
    """Return how workflows stand, by namespace and id; of some only a checkpoint knows the name."""
    from flowlab.recovery.restoring import process_of  # noqa: PLC0415
    from flowlab.runtime.ledger import survey  # noqa: PLC0415

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in survey(snapshot, partial(process_of, snapshot)).to_dicts():
        found.setdefault(row["namespace"], {})[row["workflow_id"]] = row
    return found


async def _taken_up(
    store: EventStore, code: Code, scheme: RecoveryScheme, namespace: str, ids: list[str]
) -> list[dict[str, Any]]:
    from flowlab.errors import FlowlabError  # noqa: PLC0415

    reports: list[dict[str, Any]] = []
    handles: dict[str, WorkflowHandle] = {}
    async with _runtime(store, code, scheme, namespace) as runtime:
        for workflow_id in ids:
            report: dict[str, Any] = {"workflow_id": workflow_id}
            try:
                handles[workflow_id] = await runtime.resume(workflow_id)
            except FlowlabError as error:
                report["error"] = str(error)
            else:
                report |= _restarted(store, workflow_id, namespace)
            reports.append(report)
            say(f"{workflow_id}: {report.get('error') or 'taken up'}")
        await runtime.quiet()
        for report in reports:
            handle = handles.get(report["workflow_id"])
            if handle is not None and handle.error is not None:
                report["error"] = str(handle.error)
                say(f"{handle.workflow_id}: {handle.error}")
    return reports


def _runtime(store: EventStore, code: Code, scheme: RecoveryScheme, namespace: str) -> Runtime:
    from flowlab.runtime import Runtime  # noqa: PLC0415

    several = list({id(process): process for process in code.workflows.values()}.values())
    return Runtime(
        store,
        several,
        activities=code.activities,
        agents=code.agents,
        recovery=scheme,
        namespace=namespace,
    )


def _scheme(arguments: Namespace) -> RecoveryScheme:
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415
    from flowlab.recovery import (  # noqa: PLC0415
        Cached,
        Checkpointed,
        EveryEvents,
        Incremental,
        Lawful,
        Replay,
    )

    if arguments.scheme == "replay" and arguments.every is not None:
        message = (
            f"--every {arguments.every} says how often a checkpoint is taken, and --scheme replay "
            "takes none; leave it out, or give --scheme checkpoint, incremental or cache"
        )
        raise InvalidArgumentError(message)
    policy = Lawful() if arguments.every is None else EveryEvents(arguments.every)
    if arguments.scheme == "replay":
        return Replay()
    if arguments.scheme == "incremental":
        return Incremental(policy)
    if arguments.scheme == "cache":
        return Cached(Checkpointed(policy))
    return Checkpointed(policy)


def _code(source: str) -> Code:
    """Return what a module holds; its agents are real ones here, which may wait and look about."""
    from flowlab.errors import DeterminismWarning  # noqa: PLC0415
    from flowlab.runtime.code import code_in  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the handler of", DeterminismWarning)
        return code_in(load_module(source))


def _loaded(sources: list[str], names: set[str], *, skip: bool) -> dict[str, Code]:
    """Return the code of the modules that hold these workflows, by where it is."""
    from flowlab.errors import FlowlabError, InvalidArgumentError  # noqa: PLC0415

    found: dict[str, Code] = {}
    for source in sources:
        try:
            code = _code(source)
        except FlowlabError as error:
            if not skip:
                raise
            say(f"left out: {error}; if it is elsewhere now, say so with --code")
            continue
        if names & code.workflows.keys():
            found[source] = code
    if not found:
        message = (
            f"the workflows {', '.join(sorted(names))} are in none of {', '.join(sources)}; give "
            "--code MODULE, where they are"
        )
        raise InvalidArgumentError(message)
    return found


def _joined(several: dict[str, Code]) -> Code:
    from flowlab.errors import InvalidArgumentError  # noqa: PLC0415
    from flowlab.runtime.code import Code  # noqa: PLC0415

    whole = Code({}, {}, {})
    whose: dict[tuple[str, str], str] = {}
    for source, code in several.items():
        for kind in ("workflows", "activities", "agents"):
            known = getattr(whole, kind)
            for name, value in getattr(code, kind).items():
                if known.setdefault(name, value) is not value:
                    # The one of another module would be taken for it, and do something else.
                    message = (
                        f"{name!r} is one of the {kind} of {whose[kind, name]} and of {source}; "
                        "recover the workflows of each by themselves, with --code"
                    )
                    raise InvalidArgumentError(message)
                whose.setdefault((kind, name), source)
    return whole


def _remember(store: EventStore, sources: list[str], namespace: str = "default") -> None:
    """Record where the code of the store's workflows is, so that `recover` finds it."""
    from flowlab.events import RunInfo  # noqa: PLC0415

    own = (run for run in store.runs if run.key == (namespace, ""))
    known = next(own, RunInfo(namespace=namespace))
    told = [str(Path(s).resolve()) if s.endswith(".py") else s for s in sources]
    listed = list(dict.fromkeys([*known.attributes.get(_SOURCES, []), *told]))
    if listed != known.attributes.get(_SOURCES):
        import msgspec  # noqa: PLC0415

        attributes = {**known.attributes, _SOURCES: listed}
        store.record_run(msgspec.structs.replace(known, attributes=attributes))


def _remembered(store: EventStore, namespace: str) -> list[str]:
    runs = [run for run in store.runs if run.key == (namespace, "")]
    return list(runs[0].attributes.get(_SOURCES, [])) if runs else []


def _restarted(store: EventStore, workflow_id: str, namespace: str) -> dict[str, Any]:
    """Return what the log says of the newest time that a workflow was taken up."""
    from flowlab.runtime.uncertain import backwards  # noqa: PLC0415

    for event in backwards(store, f"@{workflow_id}", namespace=namespace):
        if event.event_type == "AgentRestarted":
            names = ("checkpoint", "events_read", "events_replayed", "uncertain")
            return {name: event.data.get(name) for name in names}
    return {}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "workflow_id": row["workflow_id"],
        "workflow": row["name"],
        "status": row["status"],
        "standing": row["standing"],
        "events": row["events"],
        "open_effects": row["effects"] or [],
    }


def _show(rows: list[dict[str, Any]], count: int) -> None:
    if not rows:
        answer(f"nothing is unfinished; {count} workflows have ended")
        return
    head = ("workflow", "of", "status", "checkpoint", "read", "replayed", "uncertain")
    lines = [
        (
            row["workflow_id"],
            row["workflow"] or "not known",
            row.get("error") or row["status"],
            row.get("checkpoint") or "",
            row.get("events_read", ""),
            row.get("events_replayed", ""),
            ", ".join(effect["key"] for effect in row.get("uncertain") or ())
            or ", ".join(row["open_effects"]),
        )
        for row in rows
    ]
    answer("".join(text_table(head, lines)).rstrip("\n"))


VERBS: Final = (
    Verb(
        name="run",
        summary="Run a workflow for real on a store; after a kill, the same command resumes it.",
        text="Loads the module, and carries the workflow out: what it asks for is durable before "
        "it is begun, and its results before anything depends on them. Activities are the module's "
        "functions and agents. An id that was started before goes on where it stopped; one that "
        "has ended gives its result. Prints the result as JSON, and names every effect that may "
        "have happened before a crash.",
        example="flowlab run trips.py:trip --input '{\"nights\": 2}' --id trip-1 --store S",
        run=_run,
        arguments=_run_arguments,
        found="the workflow failed or was canceled",
    ),
    Verb(
        name="recover",
        summary="Take up every workflow of a store that has not ended.",
        text="Restores each by the scheme, names the effects of which nobody knows whether they "
        "happened, and goes on until all have ended or wait for events from outside. The code is "
        "where `run` found it, or where --code says.",
        example="flowlab recover --store S --scheme checkpoint --json",
        run=_recover,
        arguments=_recover_arguments,
        found="a workflow could not be taken up, or cannot go on here",
    ),
)
