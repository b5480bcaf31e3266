"""Small histories that the project made itself, for the demo, lessons and tests."""

from __future__ import annotations

import base64
import json
from os import PathLike
from pathlib import Path
from typing import Any, Final

START_NS: Final = 1_767_225_600_000_000_000
_CALLS: Final = (
    ("planner", "Plan a weekend in Lisbon", "search_flights", 900, 1, 812),
    ("search_flights", "Flights to Lisbon, Friday evening", "3 flights", 1400, 1, 0),
    ("search_hotels", "Hotels near Alfama, two nights", "5 hotels", 1100, 2, 0),
    ("planner", "Choose a flight and a hotel", "TP 571 and Casa Alfama", 700, 1, 655),
    ("book_flight", "Book TP 571", "confirmed", 600, 1, 0),
    ("book_hotel", "Book Casa Alfama", None, 800, 3, 0),
    ("cancel_flight", "Undo: cancel TP 571", "refunded", 400, 1, 0),
    ("planner", "Tell the traveller", "No room this weekend; refunded", 500, 1, 240),
)


def sample_history() -> dict[str, Any]:
    """Return a history in Temporal's JSON of agents that plan a trip, fail, and undo a booking.

    Example:
        >>> len(sample_history()["events"])
        53
    """
    made = _History()
    for agent, question, answer, took_ms, attempt, tokens in _CALLS:
        made.call(agent, question, answer, took_ms, attempt=attempt, tokens=tokens)
    made.finish()
    return {"events": made.events}


def write_samples(folder: str | PathLike[str]) -> list[Path]:
    """Write the sample histories into a folder; return the files."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    path = target / "trip-planners.json"
    path.write_text(json.dumps(sample_history(), indent=1) + "\n", encoding="utf-8")
    return [path]


class _History:
    """Builds events one after another on a clock of its own."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._ns = START_NS
        kind = {"workflowType": {"name": "PlanTrip"}, "workflowId": "trip-lisbon", "attempt": 1}
        self._add("WORKFLOW_EXECUTION_STARTED", kind)
        self._task = self._work()

    def call(
        self,
        agent: str,
        question: str,
        answer: str | None,
        took_ms: int,
        *,
        attempt: int,
        tokens: int,
    ) -> None:
        """Add a call of an agent: scheduled, started, ended, and the task that takes it up."""
        scheduled = self._add(
            "ACTIVITY_TASK_SCHEDULED",
            {
                "activityType": {"name": agent},
                "input": _payload({"request": question}),
                "workflowTaskCompletedEventId": str(self._task),
            },
            summary=question,
        )
        started = self._add(
            "ACTIVITY_TASK_STARTED",
            {"scheduledEventId": str(scheduled), "attempt": attempt, "identity": "worker-1"},
            after_ms=120 * attempt,
        )
        ids = {"scheduledEventId": str(scheduled), "startedEventId": str(started)}
        if answer is None:
            failure = {"message": "no rooms left", "applicationFailureInfo": {"type": "SoldOut"}}
            self._add("ACTIVITY_TASK_FAILED", {**ids, "failure": failure}, after_ms=took_ms)
        else:
            result: dict[str, Any] = {"answer": answer}
            if tokens:
                result["usage"] = {"input_tokens": tokens, "output_tokens": tokens // 4}
            self._add(
                "ACTIVITY_TASK_COMPLETED", {**ids, "result": _payload(result)}, after_ms=took_ms
            )
        self._task = self._work()

    def finish(self) -> None:
        """Add the end."""
        attributes = {"workflowTaskCompletedEventId": str(self._task), "result": _payload("done")}
        self._add("WORKFLOW_EXECUTION_COMPLETED", attributes)

    def _work(self) -> int:
        scheduled = self._add("WORKFLOW_TASK_SCHEDULED", {"attempt": 1})
        started = self._add("WORKFLOW_TASK_STARTED", {"scheduledEventId": str(scheduled)})
        ids = {"scheduledEventId": str(scheduled), "startedEventId": str(started)}
        return self._add("WORKFLOW_TASK_COMPLETED", ids, after_ms=30)

    def _add(
        self, kind: str, attributes: dict[str, Any], *, after_ms: int = 10, summary: str = ""
    ) -> int:
        self._ns += after_ms * 1_000_000
        seconds, rest = divmod(self._ns - START_NS, 1_000_000_000)
        words = kind.lower().split("_")
        key = words[0] + "".join(word.capitalize() for word in words[1:]) + "EventAttributes"
        record: dict[str, Any] = {
            "eventId": str(len(self.events) + 1),
            "eventTime": f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.{rest:09d}Z",
            "eventType": f"EVENT_TYPE_{kind}",
            key: attributes,
        }
        if summary:
            record["userMetadata"] = {"summary": _payload(summary)["payloads"][0]}
        self.events.append(record)
        return len(self.events)


def _payload(value: Any) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(value).encode()).decode()
    encoding = base64.b64encode(b"json/plain").decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": data}]}
