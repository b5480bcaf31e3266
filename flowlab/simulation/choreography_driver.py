"""A choreography in a world: agents that hear of events and emit others, conducted by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowlab.events.codec import encode_json
from flowlab.simulation.answers import remember
from flowlab.simulation.call import Call
from flowlab.simulation.choreography_letters import Letter
from flowlab.simulation.choreography_outbox import Outbox
from flowlab.simulation.draws import key_of
from flowlab.simulation.driver import (
    FORK,
    JOIN,
    MESSAGE,
    OPEN,
    PROGRAM,
    Causes,
    Driver,
    call_key,
    failure,
)
from flowlab.simulation.recorder import NOTHING, Value, plain
from flowlab.workflow import SECOND
from flowlab.workflow.choreography_routes import Routes
from flowlab.workflow.choreography_state import ChoreographyState, Deed

if TYPE_CHECKING:
    from flowlab.simulation.engine import Engine
    from flowlab.simulation.server import Server
    from flowlab.workflow import Choreography


class Parked(NamedTuple):
    """A letter that asks to undo what its agent still works on, and how it came."""

    letter: Letter
    attempt: int
    row: int
    service_ns: int
    reply_ns: int


class ChoreographyDriver(Driver):
    """The messages of one saga that nobody conducts; its id is the correlation id.

    Each agent has an outbox: it tells what it emits to each who reacts, and again after the world's
    timeout until that was handled (at least once; an agent that deduplicates does it once, and
    emits once). What the stream holds is the world's projection of that.
    """

    __slots__ = (
        "_emitted",
        "_outbox",
        "_parked",
        "_state",
        "process",
    )

    def __init__(self, engine: Engine, process: Choreography, workflow_id: str) -> None:
        super().__init__(engine, process.name, workflow_id)
        self.process = process
        self._state: ChoreographyState[int] = ChoreographyState(_routes_of(engine, process))
        self._outbox = Outbox(self)
        self._emitted: set[str] = set()
        self._parked: dict[int, list[Parked]] = {}

    # -- what comes from outside ------------------------------------------------------------------

    def begin(self, now_ns: int, value: Any, cause: int = NOTHING) -> None:
        """Begin with an input, which is the value of the first event that may start it."""
        event = self._state.routes.start
        causes = [] if cause == NOTHING else [(cause, FORK)]
        row = self._note(
            now_ns, "WorkflowStarted", self.name, {"event": event, "input": value}, causes
        )
        self._come(now_ns, event, value, row)

    def signal(self, now_ns: int, name: str, value: Any, cause: int) -> None:
        """Take an event from outside; after the end nobody listens."""
        if self.status != OPEN:
            told = {"reason": f"the workflow is {self.status}", "to": self.workflow_id}
            self.engine.transit.drop(now_ns, cause, told, name)
            return
        causes = [] if cause == NOTHING else [(cause, MESSAGE)]
        row = self._note(now_ns, "Signaled", name, {"value": value}, causes)
        self._come(now_ns, name, value, row)

    def cancel(self, now_ns: int, reason: str, cause: int) -> None:
        """Take a request to stop: nobody conducts, so there is nobody to hear it."""
        causes = [] if cause == NOTHING else [(cause, MESSAGE)]
        payload = {"reason": reason} if reason else {}
        self._note(now_ns, "WorkflowCancelRequested", self.name, payload, causes)

    def waiting(self) -> list[str]:
        """Say what it waits for."""
        found = [
            f"{letter.heard.agent} to acknowledge {letter.event} ({letter.heard.activity}), sent "
            f"{letter.sends} times"
            for letter in self._outbox.open
        ]
        final = ", ".join(self.process.final)
        return found or [f"a final event ({final}), which nothing that is on its way leads to"]

    def _come(self, now_ns: int, event: str, value: Any, row: int) -> None:
        self._tell(now_ns, event, value, row, None, self._state.come(event))
        self.settle(now_ns)

    # -- letters ----------------------------------------------------------------------------------

    def _tell(
        self, now_ns: int, event: str, value: Any, row: int, sender: Server | None, source: str
    ) -> None:
        """Tell of an event whoever hears it; `source` is the step that it came of."""
        for heard, step in self._state.tell(event, value, row, source):
            self._outbox.send(now_ns, Letter(heard, step, event, value, row, sender))

    def arrive(self, now_ns: int, call: Call) -> None:
        """Hand a letter to its agent, or to what the agent remembers."""
        letter: Letter = call.op
        if letter.heard.undo:
            self._arrive_to_undo(now_ns, call)
            return
        if self._state.arrive(letter.heard, letter.step):
            call.server.deliver(now_ns, call)
            return
        reason = f"{letter.heard.agent} has heard that it is undone"
        told = {"reason": reason, "to": letter.heard.agent}
        self.engine.transit.drop(now_ns, call.row, told, call.name)
        self._outbox.acknowledge(now_ns, call, call.row)

    def _arrive_to_undo(self, now_ns: int, call: Call) -> None:
        """Undo what the reaction has done for this workflow; it will do nothing any more."""
        letter: Letter = call.op
        deed = self._state.undoes(letter.heard, letter)
        if deed is False:
            told = Parked(letter, call.attempt, call.row, call.service_ns, call.reply_ns)
            self._parked.setdefault(letter.heard.index, []).append(told)
        elif deed is None:
            self._outbox.acknowledge(now_ns, call, self._nothing_to_undo(now_ns, call))
        else:
            self._undo(now_ns, call, deed)

    def _nothing_to_undo(self, now_ns: int, call: Call) -> int:
        recorder = self.engine.recorder
        shape = recorder.shape(
            "MessageReceived",
            name=call.name,
            tail=b'{"nothing_to_undo":true,"waited_ns":0}',
            kind_a=MESSAGE,
            follows_lane=True,
        )
        row = recorder.add(now_ns, shape, call.server.code, self.code, call.row)
        self._state.leaves[row] = JOIN
        return row

    def _undo(self, now_ns: int, call: Call, deed: Deed) -> None:
        letter: Letter = call.op
        self._state.undoing(deed, letter)
        call.value = plain(self._state.undo_input(deed, letter.heard))[1]
        call.step = deed.step
        call.key = call_key(self.key, key_of(deed.step), call)
        payload = {"agent": letter.heard.agent, "attempt": call.attempt, "input": call.value}
        call.asked = self._note(
            now_ns,
            "CompensationScheduled",
            call.name,
            payload,
            [(letter.source, PROGRAM)],
            call.server,
            deed.step,
        )
        call.server.deliver(now_ns, call)

    # -- what the agents have done ----------------------------------------------------------------

    def answered(self, now_ns: int, call: Call) -> None:
        """Take note that an agent has handled a letter."""
        if call.undo:
            self._undone(now_ns, call)
        elif call.failed:
            self._refused(now_ns, call)
        else:
            self._did(now_ns, call)
        if not self._outbox.open:
            self.engine.at(now_ns, self.settle, None)

    def _did(self, now_ns: int, call: Call) -> None:
        letter: Letter = call.op
        self._state.did(letter.step, letter.value, call.outcome)
        emits = letter.heard.reaction.emits
        if self._is_first(call):
            for event in emits:
                self._emit(now_ns, call, event, call.outcome)
            if not emits:
                self._state.leaves[call.txn] = JOIN
        self._outbox.acknowledge(now_ns, call, call.txn)
        self._unpark(now_ns, letter.heard.index)

    def _refused(self, now_ns: int, call: Call) -> None:
        """Emit what says that an activity failed; without that it is tried again."""
        letter: Letter = call.op
        event = letter.heard.reaction.fails_with
        if event is None:
            return
        error = failure(*call.outcome)
        self._state.refused(letter.step, error)
        if call.server.agent.deduplicate:
            remember(call.server, call)
        if self._is_first(call):
            self._emit(now_ns, call, event, {"error": error, "input": letter.value})
        self._outbox.acknowledge(now_ns, call, call.txn)
        self._unpark(now_ns, letter.heard.index)

    def _is_first(self, call: Call) -> bool:
        """Say whether an agent tells what came of a letter: once, if it deduplicates."""
        if not call.server.agent.deduplicate:
            return True
        first = call.step not in self._emitted
        self._emitted.add(call.step)
        return first

    def _emit(self, now_ns: int, call: Call, event: str, value: Any) -> None:
        letter: Letter = call.op
        payload, causes = {"value": value}, [(call.txn, MESSAGE)]
        row = self._note(now_ns, "Signaled", event, payload, causes, call.server, letter.step)
        self._tell(now_ns, event, value, row, call.server, letter.step)

    def _undone(self, now_ns: int, call: Call) -> None:
        deed = self._state.deeds[call.step]
        kind = "CompensationFailed" if call.failed else "CompensationCompleted"
        payload: dict[str, Any] = {"result": call.outcome}
        if call.failed:
            payload = {"attempt": call.attempt, "error": failure(*call.outcome)}
        causes = [(call.asked, PROGRAM), (call.txn, MESSAGE)]
        row = self._note(now_ns, kind, call.name, payload, causes, call.server, deed.step)
        if call.failed:
            return
        other = self._state.undone(deed, row)
        if other is not None:
            self._undo(now_ns, call.again(call.row), other)
        else:
            self._outbox.acknowledge(now_ns, call, call.txn)

    def _unpark(self, now_ns: int, index: int) -> None:
        for told in self._parked.pop(index, ()):
            call = self._outbox.call(told.letter, told.attempt)
            call.row, call.service_ns, call.reply_ns = told.row, told.service_ns, told.reply_ns
            self._arrive_to_undo(now_ns, call)

    # -- the end ----------------------------------------------------------------------------------

    def settle(self, now_ns: int, _: object = None) -> None:
        """End, if nothing of this workflow is left on its way."""
        if self.status != OPEN or not self._outbox.is_empty:
            return
        engine = self.engine
        if any(self._is_held_by(engine.servers[name]) for name in self._state.routes.agents):
            engine.at(now_ns + (engine.world.timeout_ns or SECOND), self.settle, None)
            return
        end = self._state.ending()
        if end is None:
            return
        self.status, payload = end
        self.result = payload if self.status == "failed" else payload["result"]
        event = f"Workflow{self.status.capitalize()}"
        row = self._note(now_ns, event, self.name, payload, sorted(self._state.leaves.items()))
        engine.workflows.ended(now_ns, self, row)

    def _is_held_by(self, server: Server) -> bool:
        """Say whether a copy of a letter waits at an agent."""
        busy = server.busy
        return (busy is not None and busy.waiter is self) or any(
            call.waiter is self for call in server.mailbox
        )

    def _note(
        self,
        now_ns: int,
        event_type: str,
        name: str,
        payload: Any,
        causes: Causes,
        server: Server | None = None,
        step_id: str | None = None,
    ) -> int:
        """Write an event of the history, on the lane of the agent that told it."""
        recorder = self.engine.recorder
        (a, kind_a), (b, kind_b) = [*causes, (NOTHING, 0), (NOTHING, 0)][:2]
        shape = recorder.shape(
            event_type,
            name=name,
            step_id=step_id,
            value=Value.JSON,
            kind_a=kind_a,
            kind_b=kind_b,
            # What an agent tells, it tells in the order of its other events.
            follows_lane=server is not None,
            by_other=server is not None,
        )
        value = recorder.keep(encode_json(payload))
        other = NOTHING if server is None else server.code
        row = recorder.add(now_ns, shape, self.code, self.code, a, b, value, other)
        if len(causes) > 2:  # noqa: PLR2004 - what a row has room for
            recorder.extra[row] = tuple(causes)
        return row


def _routes_of(engine: Engine, choreography: Choreography) -> Routes:
    """Return the routes of a choreography, made once for a recorder."""
    known = engine.recorder.plans
    found: Routes | None = known.get(choreography)
    if found is None:
        found = known[choreography] = Routes(choreography)
    return found
