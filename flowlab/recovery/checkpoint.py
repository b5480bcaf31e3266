"""A workflow's checkpoint: all that a host needs to go on after an event, without what came before.

The body is opaque to the store. It is JSON with a version of its own; docs/recovery.md shows one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final

import msgspec

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError
from flowlab.events import Event
from flowlab.runtime.scheme import Executing, Process
from flowlab.runtime.standing import Standing
from flowlab.workflow import Execution, PlanExecution, Program, Workflow
from flowlab.workflow.savepoints import is_savepoint

VERSION: Final = 1
"""The version of the body that is written."""
PLAN: Final = "plan"
CODE: Final = "code"
STATE: Final = "state"
KINDS: Final = (PLAN, CODE, STATE)
PARTS: Final = ("state", "standing", "pending")
"""What a delta tells the changes of."""


@dataclass(frozen=True, slots=True, repr=False)
class WorkflowCheckpoint:
    """What is known of a workflow after one of its events.

    Life cycle: a scheme makes one of a live execution (`of`), a store keeps its bytes (`encode`),
    and recovery makes an execution of it again (`decode`, `restored`), which then takes the events
    after `at`. The law: from there it asks for exactly what a replay of everything asks for.

    Args:
        kind: `plan` (the interpreter's state is data), `code` (the newest savepoint of a function
            that declares its state) or `state` (of an agent, or of anything that is a fold).
        process: the name of what runs.
        digest: of the code or plan that wrote it.
        at: the last sequence of the stream that is in `state`.
        generation: how often it has continued as new.
        vector: of each stream of its world the last sequence that the state depends on: the least
            consistent cut that holds `at`.
        state: a JSON value.
        standing: what it has asked for and has no answer to, as JSON; its `head` may be beyond
            `at`, where a savepoint lies back. None for a `state`.
        pending: the steps whose effects a compensation would still have to undo, the next first.
        agents: of a savepoint the cells that the agents' transactions had left, by name: `values`,
            `deleted` and the sequence `at` that they hold. A scheme keeps agents' states in
            checkpoints of their own, and here none: `vector` tells up to where they count.
        learned: running estimates of what checkpoints cost, for `Lawful()`.
    """

    kind: str
    process: str
    digest: str
    at: int
    generation: int
    vector: Mapping[str, int]
    state: Any
    standing: Any = None
    pending: tuple[str, ...] = ()
    agents: Mapping[str, Any] = field(default_factory=dict)
    learned: Any = None

    def __repr__(self) -> str:
        left = f", {len(self.pending)} to undo" if self.pending else ""
        return f"WorkflowCheckpoint({self.kind} {self.process!r} at {self.at}{left})"

    @classmethod
    def of(
        cls,
        execution: Executing,
        standing: Standing,
        *,
        savepoint: Event | None = None,
        vector: Mapping[str, int] | None = None,
        agents: Mapping[str, Any] | None = None,
        learned: Any = None,
    ) -> WorkflowCheckpoint:
        """Return the checkpoint of a live execution.

        Args:
            execution: that has taken its history so far.
            standing: the fold over the same history.
            savepoint: the newest one of this generation, where code declares its state.
            vector: the least consistent cut.
            agents: states of agents.
            learned: estimates.

        Raises:
            InvalidArgumentError: it is a plain function, which recovers by replay or from its last
                continue-as-new; or it has taken no savepoint yet; or it has not begun.

        Example:
            >>> from flowlab.workflow import PlanExecution, Step
            >>> started = Event.of("WorkflowStarted", workflow_id="w", sequence=1, time_ns=0,
            ...                    name="plan", payload={"input": None})
            >>> execution = PlanExecution(Step("pay", agent="bank", kind="pivot"), "w")
            >>> drafts = execution.advance([started])
            >>> WorkflowCheckpoint.of(execution, Standing.of([started]))
            WorkflowCheckpoint(plan 'plan' at 1)
        """
        if standing.started is None:
            message = f"{execution!r} has not begun; a checkpoint is taken after one of its events"
            raise InvalidArgumentError(message)
        pending: tuple[str, ...] = ()
        if isinstance(execution, PlanExecution):
            state = execution.to_json()
            kind, at = PLAN, int(state["last"])
            if execution.instance is not None:
                pending = execution.instance.uncompensated
        else:
            saved = _savepoint_of(execution, savepoint, standing)
            kind, at = CODE, resume_place(saved)
            state = msgspec.to_builtins({"started": standing.started, "savepoint": saved})
        return cls(
            kind=kind,
            process=_name_of(execution),
            digest=process_digest(_process_of(execution)),
            at=at,
            generation=standing.generation,
            vector=dict(vector or {execution.workflow_id: at}),
            state=state,
            standing=standing.to_json(),
            pending=pending,
            agents=dict(agents or {}),
            learned=learned,
        )

    def restored(
        self, process: Process, workflow_id: str, *, seed: object = 0
    ) -> tuple[Executing, Standing, int]:
        """Return an execution, how it stands, and the last sequence that the execution knows.

        Give the execution every event after that sequence, and the standing every one after its
        head.

        Raises:
            InvalidArgumentError: it is of another plan, or of a process of another kind.
            CorruptionError: it is damaged, or the saved state is not of the declared type.
        """
        standing = Standing.from_json(self.standing)
        if isinstance(process, Program):
            self._expect(PLAN, process)
            execution = PlanExecution.from_json(process, self.state, seed=seed)
            if execution.workflow_id != workflow_id or self.state["last"] != self.at:
                message = f"a checkpoint of {workflow_id!r} holds the state of {execution!r}"
                raise CorruptionError(message)
            return execution, standing, self.at
        self._expect(CODE, process)
        try:
            events = msgspec.convert(self.state, _Saved)
        except msgspec.ValidationError as error:
            message = f"a checkpoint of {workflow_id!r} holds no savepoint: {error}"
            raise CorruptionError(message) from error
        again = Execution.from_savepoint(
            process, workflow_id, events.started, events.savepoint, seed=seed
        )
        return again, standing, again.last_sequence

    def encode(self) -> bytes:
        """Return the body that a store keeps.

        Example:
            >>> content = WorkflowCheckpoint("state", "@ann", "", 7, 0, {"@ann": 7}, {"seats": 2})
            >>> WorkflowCheckpoint.decode(content.encode()) == content
            True
        """
        return encode_body(
            self._body(state=self.state, standing=self.standing, pending=list(self.pending))
        )

    @classmethod
    def decode(cls, body: bytes, *, where: str = "a checkpoint") -> WorkflowCheckpoint:
        """Read a body that holds the whole state; `recovery.restoring` reads chains of deltas, too.

        Args:
            body: what a store kept.
            where: the name of its file, for errors.

        Raises:
            FormatVersionError: a newer flowlab wrote it.
            CorruptionError: it is not the body of a checkpoint, or needs another before it.
        """
        read = decode_body(body, where=where)
        if read.base:
            message = f"{where} is a delta of checkpoint {read.base!r}; read that first"
            raise CorruptionError(message)
        return content_of(read, {name: getattr(read, name) for name in PARTS})

    def _body(
        self, *, state: Any, standing: Any, pending: list[str], base: str = "", changes: Any = None
    ) -> Body:
        return Body(
            version=VERSION,
            kind=self.kind,
            process=self.process,
            digest=self.digest,
            at=self.at,
            generation=self.generation,
            vector=dict(self.vector),
            pending=pending,
            agents=dict(self.agents),
            state=state,
            standing=standing,
            learned=self.learned,
            base=base,
            changes=changes,
        )

    def delta_body(self, base: str, changes: Any) -> bytes:
        """Return a body that holds only what has changed since the checkpoint `base`."""
        return encode_body(
            self._body(state=None, standing=None, pending=[], base=base, changes=changes)
        )

    def _expect(self, kind: str, process: Process) -> None:
        if self.kind != kind:
            message = f"{self!r} is no checkpoint of {process!r}: it holds the state of a {kind}"
            raise InvalidArgumentError(message.replace(f"a {kind}", f"a {self.kind}"))


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a checkpoint, version 1."""

    version: int
    kind: str
    process: str
    digest: str
    at: int
    generation: int
    vector: dict[str, int]
    pending: list[str]
    agents: dict[str, Any]
    state: Any
    standing: Any
    learned: Any = None
    base: str = ""
    changes: list[list[Any]] | None = None


class _Saved(msgspec.Struct):
    started: Event
    savepoint: Event


class _Versioned(msgspec.Struct):
    version: int


def encode_body(body: Body) -> bytes:
    """Return a body as JSON.

    Raises:
        InvalidArgumentError: a state is no JSON value.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"the state of {body.process!r} is no JSON value: {error}"
        raise InvalidArgumentError(message) from error


def decode_body(body: bytes, *, where: str) -> Body:
    """Read a body, whole or a delta.

    Raises:
        FormatVersionError: a newer flowlab wrote it.
        CorruptionError: it is not the body of a checkpoint of a workflow.
    """
    try:
        version = msgspec.json.decode(body, type=_Versioned).version
        if version > VERSION:
            message = (
                f"{where} has version {version} of a checkpoint's body; this flowlab reads up to "
                f"{VERSION}: use a newer one"
            )
            raise FormatVersionError(message)
        read = msgspec.json.decode(body, type=Body)
    except (msgspec.MsgspecError, RecursionError) as error:
        message = f"{where} is no checkpoint of a workflow: {error}"
        raise CorruptionError(message) from error
    if (
        version < 1
        or read.kind not in KINDS
        or read.at < 1
        or bool(read.base) == (read.changes is None)
    ):
        message = f"{where} is no checkpoint of a workflow: {read.kind!r} at {read.at}"
        raise CorruptionError(message)
    return read


def content_of(body: Body, parts: Any) -> WorkflowCheckpoint:
    """Return what a body holds, with the `PARTS` that were found for it.

    Raises:
        CorruptionError: these are no parts of a checkpoint.
    """
    try:
        state, standing, pending = (parts[name] for name in PARTS)
        undo = tuple(msgspec.convert(pending, list[str]))
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        message = f"the state of a checkpoint is damaged: {error!r}"
        raise CorruptionError(message) from error
    return WorkflowCheckpoint(
        kind=body.kind,
        process=body.process,
        digest=body.digest,
        at=body.at,
        generation=body.generation,
        vector=body.vector,
        state=state,
        standing=standing,
        pending=undo,
        agents=body.agents,
        learned=body.learned,
    )


def resume_place(savepoint: Event) -> int:
    """Return the last sequence that re-entry from a savepoint needs no more.

    Example:
        >>> resume_place(Event.of("MarkerRecorded", name="savepoint", sequence=7))
        6
    """
    return max((cause.sequence for cause in savepoint.causes), default=savepoint.sequence - 1)


def process_digest(process: Process) -> str:
    """Return the digest of a plan, or of a workflow's compiled code.

    Of code it tells versions apart for a reader: a function that declares its state may change
    between savepoints.

    Example:
        >>> from flowlab.workflow import Step
        >>> len(process_digest(Program.of(Step("pay", agent="bank", kind="pivot"))))
        64
    """
    if isinstance(process, Program):
        return process.digest
    digest = hashlib.sha256()
    codes = [process.body.__code__]
    while codes:
        code = codes.pop()
        digest.update(code.co_code)
        digest.update(repr(code.co_names).encode())
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                codes.append(constant)
            elif not isinstance(constant, frozenset):  # its order is another in every process
                digest.update(repr(constant).encode())
    return digest.hexdigest()


def _name_of(execution: Executing) -> str:
    if isinstance(execution, PlanExecution):
        return execution.program.plan.name
    return execution.workflow.name


def _process_of(execution: Executing) -> Process:
    return execution.program if isinstance(execution, PlanExecution) else execution.workflow


def _savepoint_of(execution: Execution, savepoint: Event | None, standing: Standing) -> Event:
    workflow: Workflow = execution.workflow
    reason = ""
    if workflow.state is None:
        reason = (
            "it is a plain async function, which recovers by replay, or from its last "
            "continue-as-new; declare its state, @workflow(state=T), and take savepoints"
        )
    elif savepoint is None or savepoint.generation != standing.generation:
        reason = "it has taken no savepoint yet; await ctx.savepoint() where nothing is in flight"
    elif not is_savepoint(savepoint):
        reason = f"{savepoint!r} is no savepoint"
    if savepoint is None or reason:
        message = f"there is no checkpoint of workflow {workflow.name!r} to take: {reason}"
        raise InvalidArgumentError(message)
    return savepoint
