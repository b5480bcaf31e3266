"""Two hosts of plans that share nothing but the order of telling, and random plans that can run."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from workflow_host import ID, Host, NoAnswer
from workflow_worlds import numbered, small_plans

from flowlab.events import Cause, Event
from flowlab.workflow import (
    COMMAND_KINDS,
    NO_RETRY,
    SCHEDULE,
    SECOND,
    TIMER,
    UNDO,
    UNDO_TIMER,
    Barrier,
    Command,
    Compensation,
    Conditional,
    Node,
    Parallel,
    Plan,
    PlanExecution,
    PlanInstance,
    Program,
    RetryPolicy,
    Sequential,
    Step,
    StepOp,
    plan_problems,
)
from flowlab.workflow import field as of_state


@dataclass
class PlanHost(Host):
    """The smallest host of `PlanExecution`."""

    code: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.code, Program):
            self.code = Program.of(self.code)
        self.execution: Any = PlanExecution(self.code, ID)

    def begin(self, value: Any, **more: Any) -> PlanHost:
        self.tell("WorkflowStarted", payload={"input": value, **more})
        return self

    @property
    def closed(self) -> bool:
        return bool(self.execution.closed)

    def cancel(self, reason: str) -> None:
        self.tell("WorkflowCancelRequested", payload={"reason": reason})

    def step(self) -> bool:
        if not self.open or self.execution.closed:
            return False
        asked = self.open.pop(self.pick(len(self.open)))
        causes = (Cause(ID, asked.sequence),)
        if asked.event_type == "TimerStarted":
            self.tell("TimerFired", causes=causes)
            return True
        self.reply(asked, asked.event_type.removesuffix("Scheduled"), causes)
        return True

    @property
    def trace(self) -> tuple[str, ...]:
        """The steps in the order of their completion."""
        done = (event for event in self.history if event.event_type == "ActivityCompleted")
        return tuple(str(self.history[e.causes[0].sequence - 1].step_id) for e in done)

    def of(self, event_type: str) -> list[Event]:
        return [event for event in self.history if event.event_type == event_type]


@dataclass
class DirectHost:
    """Drives an instance by references that say nothing about order; writes what it is asked."""

    program: Program
    answer: Callable[[str, Any, int], Any]
    pick: Callable[[int], int]
    draw: Callable[[], float] | None = None
    written: list[Any] = field(default_factory=list)
    open: list[tuple[Command, int]] = field(default_factory=list)

    def begin(self, value: Any) -> DirectHost:
        self.instance = PlanInstance(self.program, value, draw=self.draw)
        self.carry_out(self.instance.start(self.record(("start", ()))))
        return self

    @property
    def closed(self) -> bool:
        return self.instance.closed

    def cancel(self, reason: str) -> None:
        self.carry_out(self.instance.cancel(self.record(("cancel", ())), reason))

    def record(self, what: Any) -> int:
        self.written.append(what)
        return self.ref(len(self.written))

    @staticmethod
    def ref(place: int) -> int:
        return 10_000 - 7 * place

    def place(self, ref: int) -> int:
        return (10_000 - ref) // 7

    @property
    def now_ns(self) -> int:
        return len(self.written) * SECOND

    def carry_out(self, commands: tuple[Command, ...]) -> None:
        waves = deque([commands])
        while waves:
            wave, after = waves.popleft(), []
            refs = [self.write(command) for command in wave]
            for command, ref in zip(wave, refs, strict=True):
                if command.wants_ref:
                    time_ns = self.place(ref) * SECOND
                    after += self.instance.noted(command, ref, time_ns)
            if after:
                waves.append(tuple(after))

    def write(self, command: Command) -> int:
        causes = tuple(sorted((self.place(ref), kind) for ref, kind in command.causes))
        name = None if command.op is None else command.op.name
        value, kind = command.value, COMMAND_KINDS[command.kind]
        ref = self.record((kind, name, command.attempt, value, causes))
        if command.kind in {SCHEDULE, UNDO, TIMER, UNDO_TIMER}:
            self.open.append((command, ref))
        return ref

    def step(self) -> bool:
        if not self.open or self.instance.closed:
            return False
        asked, ref = self.open.pop(self.pick(len(self.open)))
        op, attempt = asked.op, asked.attempt
        assert isinstance(op, StepOp)
        forward = asked.kind in {SCHEDULE, TIMER}
        if asked.kind in {TIMER, UNDO_TIMER}:
            tell = self.instance.timer_fired if forward else self.instance.undo_timer_fired
            self.carry_out(tell(op, self.record(("fired", (self.place(ref),))), attempt))
            return True
        activity = op.activity if forward else op.undo.activity
        try:
            result = self.answer(activity, asked.value, attempt)
        except Exception as error:  # noqa: BLE001 - what an agent raises is its answer
            late = isinstance(error, NoAnswer)
            kind = "TimedOut" if late else type(error).__name__
            answer = self.record(("failed", (self.place(ref),)))
            tell_failed = self.instance.failed if forward else self.instance.undo_failed
            told = kind if late else str(error)
            now_ns = self.now_ns
            self.carry_out(tell_failed(op, answer, attempt, kind, told, late, now_ns))
        else:
            answer = self.record(("completed", (self.place(ref),)))
            if forward:
                self.carry_out(self.instance.completed(op, answer, result, attempt))
            else:
                self.carry_out(self.instance.undone(op, answer, attempt))
        return True


_NAMES = {
    "ActivityScheduled": "SCHEDULE",
    "CompensationScheduled": "UNDO",
    "BarrierArrived": "ARRIVED",
    "BarrierReleased": "RELEASED",
    "PivotReached": "PIVOT",
    "WorkflowCompleted": "END_COMPLETED",
    "WorkflowFailed": "END_FAILED",
    "WorkflowCanceled": "END_CANCELED",
}


def as_written(history: list[Event]) -> list[Any]:
    """Return a history in the words of `DirectHost`."""
    found: list[Any] = []
    undoing: set[str | None] = set()
    for event in history:
        causes = tuple((cause.sequence, cause.kind) for cause in event.causes)
        data = event.data
        kind = _NAMES.get(event.event_type)
        if event.event_type == "CompensationScheduled":
            undoing.add(event.step_id)
        if event.event_type == "TimerStarted":
            kind = "UNDO_TIMER" if event.step_id in undoing else "TIMER"
            found.append((kind, event.step_id, data["attempt"], data["delay_ns"], causes))
        elif kind in {"SCHEDULE", "UNDO"}:
            found.append((kind, event.step_id, data["attempt"], data["input"], causes))
        elif kind is not None:
            found.append((kind, event.step_id, 0, data, causes))
        else:
            first = tuple(sequence for sequence, _ in causes)
            words = {"WorkflowStarted": "start", "WorkflowCancelRequested": "cancel"}
            ends = {"TimerFired": "fired", "TimedOut": "failed", "Failed": "failed"}
            word = words.get(event.event_type, "completed")
            for end, meaning in ends.items():
                if event.event_type.endswith(end):
                    word = meaning
            found.append((word, first))
    return found


POLICIES = st.sampled_from(
    [
        None,
        RetryPolicy(maximum_attempts=2),
        RetryPolicy(maximum_attempts=3, jitter=0.5, non_retryable_error_types=("Final",)),
        RetryPolicy(retry_timeout=4 * SECOND),
    ]
)
UNDO_POLICIES = st.sampled_from(
    [NO_RETRY, RetryPolicy(maximum_attempts=2), RetryPolicy(retry_timeout=3 * SECOND)]
)


def rewritten(root: Node, change: Callable[[Step], Step]) -> Node:
    """Return a plan with other steps."""
    match root:
        case Step():
            return change(root)
        case Sequential(nodes):
            return Sequential(*(rewritten(node, change) for node in nodes))
        case Parallel(branches, point):
            return Parallel(*(rewritten(node, change) for node in branches), sync_point=point)
        case Conditional(on, branches, otherwise):
            cases = {b.when.to_json(): rewritten(b.node, change) for b in branches}
            rest = None if otherwise is None else rewritten(otherwise, change)
            return Conditional(on, cases, otherwise=rest)
    return root


def pointed(root: Node, count: list[int] | None = None) -> Node:
    """Return a plan in which every parallel part has a sync point."""
    used = [0] if count is None else count
    match root:
        case Sequential(nodes):
            return Sequential(*(pointed(node, used) for node in nodes))
        case Parallel(branches, _):
            used[0] += 1
            name = f"point{used[0]}"
            return Parallel(*(pointed(node, used) for node in branches), sync_point=name)
    return root


def compensable(step: Step) -> Step:
    return Step(step.name, agent=step.agent, compensation=f"undo_{step.name}")


def without_barriers(root: Node) -> Node:
    match root:
        case Sequential(nodes):
            return Sequential(*(without_barriers(node) for node in nodes))
        case Parallel(branches, point):
            return Parallel(*(without_barriers(node) for node in branches), sync_point=point)
        case Conditional(on, branches, otherwise):
            cases = {b.when.to_json(): without_barriers(b.node) for b in branches}
            rest = None if otherwise is None else without_barriers(otherwise)
            return Conditional(on, cases, otherwise=rest)
        case Barrier():
            return Sequential()
    return root


@st.composite
def nested(draw: st.DrawFn, *, size: int, barriers: bool) -> Node:
    """Return plans of so many parts, nested at will, some of them empty, some with barriers."""
    if size <= 1:
        step = Step("?", agent=draw(st.sampled_from("abc")), compensation="undo")
        return draw(st.sampled_from([step] * 5 + [Sequential()]))
    first = draw(st.integers(1, size - 1))
    left = draw(nested(size=first, barriers=barriers))
    right = draw(nested(size=size - first, barriers=barriers))
    shape = draw(st.sampled_from("then then beside beside if maybe else meet".split()))
    if shape == "then":
        return Sequential(left, right)
    if shape == "if":
        return Sequential(left, Conditional(of_state("p") == draw(st.integers(0, 1)), right))
    if shape == "maybe":
        return Parallel(left, Conditional(of_state("p") == 1, right))
    if shape == "else":
        return Conditional(of_state("p") == 1, left, otherwise=right)
    if shape == "meet" and barriers:
        agents = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True))
        name = draw(st.sampled_from("xyz"))
        after = draw(nested(size=1, barriers=False))
        return Parallel(
            Sequential(left, Barrier(name, agents), after), Sequential(right, Barrier(name, agents))
        )
    return Parallel(left, right)


@st.composite
def plans(draw: st.DrawFn, *, barriers: bool = True, failing: bool = False) -> Plan:
    """Return plans that can run, of at most six steps and barriers; with policies, if failing."""
    if draw(st.integers(0, 3)):
        root = numbered(draw(nested(size=draw(st.integers(1, 6)), barriers=barriers)))
    else:
        root = draw(small_plans(barriers=barriers))
    if draw(st.booleans()):
        root = pointed(root)
    if plan_problems(root):
        root = rewritten(root, compensable)
    if any(problem.rule.startswith("barrier") for problem in plan_problems(root)):
        root = without_barriers(root)
    assume(not plan_problems(root))
    if failing:

        def dressed(step: Step) -> Step:
            undo = step.compensation and Compensation(
                f"undo_{step.name}", retry=draw(UNDO_POLICIES)
            )
            return Step(
                step.name,
                agent=step.agent,
                kind=step.kind,
                input=draw(st.sampled_from([None, {"p": of_state("p")}, {"constant": 1}])),
                compensation=undo,
                idempotent=step.idempotent,
                retry=draw(POLICIES),
            )

        root = rewritten(root, dressed)
    return Plan(root, parallel_undo=draw(st.booleans()), go_on=draw(st.booleans()))


class Final(Exception): ...  # noqa: N818 - the name of an error of the business


def moody(seed: int) -> Callable[[str, Any, int], Any]:
    """Return agents that succeed, fail, fail for good or do not answer, as (name, attempt) says."""

    def answer(name: str, value: Any, attempt: int) -> Any:
        mood = random.Random(f"{seed} {name} {attempt}").random()
        if mood < 0.12:
            message = f"{name} is busy"
            raise OSError(message)
        if mood < 0.18:
            raise Final(name)
        if mood < 0.26:
            raise NoAnswer
        return [name, attempt, value]

    return answer


def driven(host: Any, seed: int, *, value: Any, cancel_after: int | None = None) -> Any:
    """Run a host to the end of its plan, and ask it to stop after so many steps."""
    host.begin(value)
    count = 0
    while host.step():
        count += 1
        if count == cancel_after and not host.closed:
            host.cancel(f"seed {seed}")
    return host
