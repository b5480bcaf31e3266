"""A made-up run of language-model agents that write a briefing, as a Temporal history."""

from __future__ import annotations

import base64
import heapq
import json
from dataclasses import dataclass, field
from typing import Any, Final

SLOTS: Final = 3
"""Calls that the one worker runs at the same time; the others wait."""
BACKOFF_MS: Final = 1_000
"""Between the first attempt and the second; it doubles."""
DOLLARS: Final = {"input": 3e-6, "output": 15e-6}
"""The made-up price of a token."""
INSTRUCTIONS: Final = {
    "planner": "planner",
    "cost_analyst": "You estimate what a change costs a household. Name your sources.",
    "grid_analyst": "You judge whether the electricity network can carry a change.",
    "survey_analyst": "You report what residents say, and how many of them were asked.",
    "writer": "You write one page of plain prose from the notes that you are given.",
    "critic": "You accept no figure in a draft that has no source in the notes.",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model or of a tool.

    Args:
        key: its name in this table.
        agent: the agent that the model plays, or the tool.
        question: what is asked of it.
        answer: what it says; None where its last attempt fails.
        took_ms: how long its last attempt takes.
        after: the calls that must have ended before it is asked for.
        tokens: read and written by the model.
        asks: the agents that its answer calls, each with the question put to it.
        errors: of the attempts before the last, each with how long it took.
        failure: of the last attempt.
    """

    key: str
    agent: str
    question: str
    answer: str | None
    took_ms: int
    after: tuple[str, ...] = ()
    tokens: tuple[int, int] = (0, 0)
    asks: tuple[tuple[str, str], ...] = ()
    errors: tuple[tuple[str, int], ...] = ()
    failure: str = ""


COSTS: Final = "What would the change cost a household in ten years?"
GRID: Final = "Can the network carry the winter peak?"
SURVEY: Final = "What do the residents want?"
DRAFT: Final = "Write the briefing from the three notes"
CHECK: Final = "Check the draft against the notes"
SOURCE: Final = "Find a source for the winter peak"
REVISE: Final = "Write it again with the source"
RECHECK: Final = "Check the second draft"
_TIMEOUT: Final = "no answer within 2 s"

CALLS: Final = (
    Call(
        "plan",
        "planner",
        "Should our town replace its gas boilers with heat pumps?",
        "Three notes are needed: costs, network, residents.",
        1850,
        tokens=(412, 180),
        asks=(("cost_analyst", COSTS), ("grid_analyst", GRID), ("survey_analyst", SURVEY)),
    ),
    Call("cost", "cost_analyst", COSTS, "I need prices.", 1420, ("plan",), (365, 74)),
    Call("grid", "grid_analyst", GRID, "I need the operator's report.", 1290, ("plan",), (351, 66)),
    Call("survey", "survey_analyst", SURVEY, "I need the survey.", 1160, ("plan",), (348, 58)),
    Call("pumps", "web_search", "Price of a heat pump, installed", "9 offers", 930, ("cost",)),
    Call(
        "gas",
        "web_search",
        "Gas price, next ten years",
        "3 forecasts",
        1180,
        ("cost",),
        errors=(("connection reset", 310),),
    ),
    Call(
        "report",
        "read_page",
        "Network operator's yearly report",
        None,
        2000,
        ("grid",),
        errors=((_TIMEOUT, 2000), (_TIMEOUT, 2000)),
        failure=_TIMEOUT,
    ),
    Call("answers", "read_page", "Survey of residents, page 1", "412 answers", 640, ("survey",)),
    Call("comments", "read_page", "Survey of residents, page 2", "88 comments", 710, ("survey",)),
    Call(
        "sum",
        "calculator",
        "Ten years of gas against ten of electricity",
        "21 400 against 18 900",
        45,
        ("pumps", "gas"),
    ),
    Call(
        "cost-note",
        "cost_analyst",
        "Write the note on costs",
        "A household saves 2 500 in ten years.",
        1980,
        ("sum",),
        (1120, 240),
    ),
    Call(
        "survey-note",
        "survey_analyst",
        "Write the note on residents",
        "Of 412 residents 61 % are in favour.",
        1730,
        ("answers", "comments"),
        (1480, 205),
        errors=(("429 too many requests", 160),),
    ),
    Call(
        "grid-note",
        "grid_analyst",
        "Write the note on the network",
        "The report cannot be read; the peak may rise by a fifth.",
        1540,
        ("report",),
        (690, 188),
    ),
    Call(
        "weigh",
        "planner",
        "Weigh the three notes",
        "In favour, if the network holds.",
        1610,
        ("cost-note", "survey-note", "grid-note"),
        (1310, 160),
        asks=(("writer", DRAFT),),
    ),
    Call("draft", "writer", DRAFT, "First draft, 410 words.", 4870, ("weigh",), (1390, 620)),
    Call(
        "hand-over",
        "planner",
        "Have the draft checked",
        "To the critic.",
        620,
        ("draft",),
        (980, 40),
        asks=(("critic", CHECK),),
    ),
    Call(
        "check",
        "critic",
        CHECK,
        "The winter peak has no source.",
        2210,
        ("hand-over",),
        (2060, 130),
        asks=(("grid_analyst", SOURCE),),
    ),
    Call("source", "grid_analyst", SOURCE, "I search elsewhere.", 880, ("check",), (540, 61)),
    Call("peak", "web_search", "Winter peak load, district", "2 statistics", 860, ("source",)),
    Call("meters", "web_search", "Smart meter statistics", "1 data set", 1240, ("source",)),
    Call(
        "proof",
        "calculator",
        "Peak with 3 200 heat pumps",
        "18 % above today",
        50,
        ("peak", "meters"),
    ),
    Call(
        "revise",
        "planner",
        "Have the draft written again",
        "To the writer, with the source.",
        590,
        ("proof",),
        (1205, 45),
        asks=(("writer", REVISE),),
    ),
    Call("second", "writer", REVISE, "Second draft, 430 words.", 4310, ("revise",), (2010, 655)),
    Call("recheck", "critic", RECHECK, "Every figure has a source.", 1930, ("second",), (2110, 48)),
    Call(
        "publish",
        "publish",
        "Publish the briefing",
        "briefing-1",
        520,
        ("recheck",),
        errors=(("503 service unavailable", 240),),
    ),
    Call("answer", "planner", "Tell the council", "It is published.", 700, ("publish",), (640, 72)),
)


@dataclass(slots=True)
class Worker:
    """Runs the calls in virtual milliseconds and writes their history as the engine would."""

    now: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    agenda: list[tuple[int, int, str, Any]] = field(default_factory=list)
    waiting: list[tuple[Call, int]] = field(default_factory=list)
    scheduled: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    unseen: list[tuple[Call, int, int]] = field(default_factory=list)
    running: int = 0
    task: int = 0
    asked: int = 0

    def run(self) -> dict[str, Any]:
        """Return the whole history."""
        start = {"workflowType": {"name": "WriteBriefing"}, "workflowId": "heat-pumps"}
        self.add("WORKFLOW_EXECUTION_STARTED", {**start, "attempt": 1})
        self.wake()
        while self.agenda:
            self.now, _, what, value = heapq.heappop(self.agenda)
            getattr(self, what)(value)
        return {"events": self.records}

    def at(self, after_ms: int, what: str, value: Any = None) -> None:
        """Put a step on the agenda."""
        self.asked += 1
        heapq.heappush(self.agenda, (self.now + after_ms, self.asked, what, value))

    def wake(self) -> None:
        """Ask for a workflow task: the code reads what is new and says what is next."""
        self.task = self.add("WORKFLOW_TASK_SCHEDULED", {"attempt": 1})
        self.at(4, "begin_task")

    def begin_task(self, _: None) -> None:
        """Give the task to the worker."""
        scheduled = self.task
        self.task = self.add("WORKFLOW_TASK_STARTED", {"scheduledEventId": str(scheduled)})
        self.at(18, "end_task", {"scheduledEventId": str(scheduled)})

    def end_task(self, ids: dict[str, str]) -> None:
        """Schedule every call that can begin now, or end the workflow."""
        ids = {**ids, "startedEventId": str(self.task)}
        done = self.add("WORKFLOW_TASK_COMPLETED", ids)
        self.task = 0
        cause = {"workflowTaskCompletedEventId": str(done)}
        if len(self.ended) == len(CALLS):
            self.add("WORKFLOW_EXECUTION_COMPLETED", {**cause, "result": payload("briefing-1")})
            return
        for call in CALLS:
            if call.key not in self.scheduled and self.ended.issuperset(call.after):
                self.scheduled[call.key] = self.add(
                    "ACTIVITY_TASK_SCHEDULED", {**asked_for(call), **cause}, call.question
                )
                self.at(12, "queue", (call, 1))
        self.close()

    def queue(self, job: tuple[Call, int]) -> None:
        """Let an attempt begin as soon as the worker has a free slot."""
        self.waiting.append(job)
        self.fill()

    def fill(self) -> None:
        """Begin waiting attempts while there are free slots."""
        while self.waiting and self.running < SLOTS:
            self.running += 1
            call, attempt = self.waiting.pop(0)
            errors = [took for _, took in call.errors]
            took = [*errors, call.took_ms][attempt - 1]
            self.at(took, "end_attempt", (call, attempt, self.now))

    def end_attempt(self, job: tuple[Call, int, int]) -> None:
        """Free the slot; try again later, or close the call."""
        call, attempt, began = job
        self.running -= 1
        self.fill()
        if attempt <= len(call.errors):
            self.at(BACKOFF_MS * 2 ** (attempt - 1), "queue", (call, attempt + 1))
            return
        self.unseen.append((call, attempt, began))
        if not self.task:
            self.close()

    def close(self) -> None:
        """Record the calls that ended; what ends during a workflow task waits for the task."""
        for call, attempt, began in self.unseen:
            scheduled = {"scheduledEventId": str(self.scheduled[call.key])}
            start = {**scheduled, "identity": "worker-1", "attempt": attempt}
            if call.errors:
                start["lastFailure"] = failure(call.errors[-1][0])
            # A start is recorded when the call ends, with the time at which its last attempt began.
            ids = {
                **scheduled,
                "startedEventId": str(self.add("ACTIVITY_TASK_STARTED", start, at=began)),
            }
            if call.answer is None:
                self.add("ACTIVITY_TASK_FAILED", {**ids, "failure": failure(call.failure)})
            else:
                self.add("ACTIVITY_TASK_COMPLETED", {**ids, "result": payload(result_of(call))})
            self.ended.add(call.key)
        if self.unseen:
            self.unseen.clear()
            self.wake()

    def add(
        self, kind: str, attributes: dict[str, Any], summary: str = "", *, at: int | None = None
    ) -> int:
        """Record an event; return its id."""
        seconds, rest = divmod(self.now if at is None else at, 1_000)
        words = kind.lower().split("_")
        key = words[0] + "".join(map(str.capitalize, words[1:])) + "EventAttributes"
        record: dict[str, Any] = {
            "eventId": str(len(self.records) + 1),
            "eventTime": f"2026-03-02T09:{seconds // 60:02d}:{seconds % 60:02d}.{rest:03d}Z",
            "eventType": f"EVENT_TYPE_{kind}",
            key: attributes,
        }
        if summary:
            record["userMetadata"] = {"summary": payload(summary)["payloads"][0]}
        self.records.append(record)
        return len(self.records)


def asked_for(call: Call) -> dict[str, Any]:
    """Return what the scheduling of a call says: its type and its input."""
    instructions = INSTRUCTIONS.get(call.agent)
    if instructions is None:
        return {
            "activityType": {"name": call.agent},
            "input": payload({"request": call.question}),
        }
    request = {
        "model": "made-up-1",
        "system_instructions": instructions,
        "input": [{"role": "user", "content": call.question}],
    }
    return {"activityType": {"name": "invoke_model"}, "input": payload(request)}


def result_of(call: Call) -> dict[str, Any]:
    """Return what a call answers, with the calls that it asks for and what it used."""
    if call.agent not in INSTRUCTIONS:
        return {"answer": call.answer}
    read, written = call.tokens
    said = {"type": "message", "content": [{"type": "output_text", "text": call.answer}]}
    asks = [
        {"type": "function_call", "name": name, "arguments": json.dumps({"task": question})}
        for name, question in call.asks
    ]
    cost = round(read * DOLLARS["input"] + written * DOLLARS["output"], 6)
    usage = {"input_tokens": read, "output_tokens": written, "cost": cost}
    return {"output": [said, *asks], "usage": usage}


def failure(message: str) -> dict[str, Any]:
    """Return a failure in the engine's form."""
    return {"message": message, "applicationFailureInfo": {"type": "ToolError"}}


def payload(value: Any) -> dict[str, Any]:
    """Return a value in the engine's form: base64 of JSON."""
    data = base64.b64encode(json.dumps(value).encode()).decode()
    encoding = base64.b64encode(b"json/plain").decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": data}]}
