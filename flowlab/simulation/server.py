"""An agent at work: a mailbox, one message at a time, each handled as an atomic transaction."""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING, Any, Final

from flowlab.events import CauseKind
from flowlab.events.codec import encode_json
from flowlab.simulation.call import Leg
from flowlab.simulation.cells import copied
from flowlab.simulation.disk import Disk
from flowlab.simulation.draws import bits
from flowlab.simulation.injection import TRANSIENT_ERROR, CrashAfter, CrashBefore, Fail, Slow
from flowlab.simulation.recorder import PACK, ROW_BYTES, Value, plain

if TYPE_CHECKING:
    from flowlab.simulation.agent import Agent
    from flowlab.simulation.call import Call
    from flowlab.simulation.engine import Engine

_MESSAGE: Final = int(CauseKind.MESSAGE)
_LOCK: Final = int(CauseKind.LOCK)
_LEAST: Final = -(2**63)


class Server:
    """One agent of one world.

    A crash loses what it works on, and writes that are not durable. The message that it worked on
    stays with the network as the mailbox does, and comes again after the restart.

    Attributes:
        agent: what was declared.
        name, code: its id, and its stream.
        state: its cells; `cells` shows them to a transaction.
        mailbox: what has arrived and waits, first come first served.
        busy: the message that it works on.
        up: whether it runs.
    """

    __slots__ = (
        "_answered",
        "_committed",
        "_deduplicates",
        "_faults",
        "_handlers",
        "_received",
        "_skew",
        "agent",
        "busy",
        "cells",
        "code",
        "context",
        "disk",
        "engine",
        "mailbox",
        "name",
        "state",
        "up",
    )

    def __init__(self, engine: Engine, agent: Agent) -> None:
        self.engine = engine
        self.agent = agent
        self.name = agent.name
        self.code = engine.recorder.stream("@" + agent.name)
        self.state: dict[str, Any] = copied(agent.state)
        self.context = engine.context
        self.cells = engine.context.state
        self.mailbox: deque[Call] = deque()
        self.busy: Call | None = None
        self.up = True
        self._answered: dict[str, tuple[bool, Any, Any]] = {}
        self._handlers = agent.handlers
        self._deduplicates = agent.deduplicate
        shapes = engine.recorder.handled
        self._received: dict[str, int] = shapes.received
        self._committed: dict[tuple[str, ...], int] = shapes.committed
        faults = engine.faults
        self._faults = faults if faults is not None and faults.segment_live else None
        self.disk = Disk(self, faults) if faults is not None and faults.disk_live else None
        self._skew = faults.skew(agent.name) if faults is not None and faults.skew_live else None
        if self._skew is not None:
            skew = self._skew
            facts = {"drift_ppb": skew.drift_ppb, "offset_ns": skew.offset_ns}
            engine.inject(0, skew.fault_id, facts, self.code, -1, -1)

    def __repr__(self) -> str:
        return f"Server({self.name!r}, {len(self.mailbox)} waiting)"

    def clock(self, now_ns: int) -> int:
        """Return what its own clock shows."""
        return now_ns if self._skew is None else self._skew.local_ns(now_ns)

    # -- its mailbox ------------------------------------------------------------------------------

    def deliver(self, now_ns: int, call: Call) -> None:
        """Take a message from the network."""
        call.arrived_ns = now_ns
        if self.busy is not None or not self.up:
            self.mailbox.append(call)
        else:
            self.begin(now_ns, call)

    def begin(self, now_ns: int, call: Call) -> None:
        """Take a message from the mailbox, and work on it."""
        self.busy = call
        shape = self._received.get(call.name)
        if shape is None:
            shape = self._new_received(call.name)
        engine = self.engine
        rows = engine.rows
        rows += PACK(
            now_ns, now_ns - call.arrived_ns, shape, self.code, call.coordination, call.row, -1, -1
        )
        service_ns = call.service_ns
        if self._faults is not None:
            service_ns = self._befall(now_ns, call)
        heappush(engine.agenda, (now_ns + service_ns, engine.ordinal(), self.finish, call))

    def _new_received(self, name: str) -> int:
        shape = self._received[name] = self.engine.recorder.shape(
            "MessageReceived",
            name=name,
            value=Value.INT,
            head=b'{"waited_ns":',
            tail=b"}",
            kind_a=_MESSAGE,
            follows_lane=True,
        )
        return shape

    def next(self, now_ns: int) -> None:
        """Go on with the next message."""
        self.busy = None
        if self.mailbox and self.up:
            self.begin(now_ns, self.mailbox.popleft())

    def withdraw(self, now_ns: int, call: Call) -> None:
        """Give up a message that it has not begun, if its sender asks for that in time."""
        if call in self.mailbox and call.driver is not None:
            self.mailbox.remove(call)
            self.engine.at(now_ns + call.reply_ns, call.driver.canceled, call)

    # -- its work ---------------------------------------------------------------------------------

    def finish(self, now_ns: int, call: Call) -> None:
        """Carry out the handler, commit what it did, and answer."""
        if self.busy is not call:
            return
        if call.fault is not None:
            self._finish_badly(now_ns, call)
            return
        self.work(now_ns, call)
        self.engine.transit.reply(now_ns, call)
        self.busy = None
        if self.mailbox and self.up:
            self.begin(now_ns, self.mailbox.popleft())

    def work(self, now_ns: int, call: Call) -> None:
        """Carry out the handler as one transaction."""
        context = self.context
        context.begin(self, now_ns, call)
        repeats = self._deduplicates
        if repeats and self._knows(now_ns, call):
            return
        try:
            outcome = self._handlers[call.name](context, call.value)
            if type(outcome) is int or outcome is None:
                call.kept = outcome
            else:
                call.kept, outcome = plain(outcome)
            call.txn = self.commit(now_ns, call)
            call.failed, call.outcome = False, outcome
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is how it failed
            self.abort(now_ns, call, type(error).__name__, str(error))
        else:
            if repeats:
                self.remember(call)
            if context.letters:
                self.engine.transit.post(now_ns, self, call)

    def _knows(self, now_ns: int, call: Call) -> bool:
        """Answer from memory what was done before."""
        known = self._answered.get(call.idempotency_key)
        if known is None:
            return False
        call.failed, call.outcome, call.kept = known
        recorder = self.engine.recorder
        shape = recorder.shape(
            "TransactionCommitted",
            name=call.name,
            tail=b'{"repeated":true}',
            follows_lane=True,
            reads=(),
            writes=(),
        )
        call.txn = recorder.add(now_ns, shape, self.code, call.coordination)
        return True

    def remember(self, call: Call) -> None:
        """Answer from now on from memory, should the same request come again."""
        self._answered[call.idempotency_key] = (call.failed, call.outcome, call.kept)

    def abort(self, now_ns: int, call: Call, error_type: str, message: str, row: int = -1) -> None:
        """Note that a transaction came to nothing, and why; `row` is a fault's."""
        call.kept = encode_json({"message": message, "type": error_type})
        recorder = self.engine.recorder
        shape = recorder.shape(
            "TransactionAborted",
            name=call.name,
            value=Value.JSON,
            head=b'{"error":',
            tail=b"}",
            kind_a=int(CauseKind.FAULT),
            follows_lane=True,
            reads=tuple((None, key) for key in self.cells.reads),
            writes=(),
        )
        call.txn = recorder.add(
            now_ns, shape, self.code, call.coordination, row, value=recorder.keep(call.kept)
        )
        call.failed, call.outcome = True, (error_type, message)

    # -- what befalls it --------------------------------------------------------------------------

    def _befall(self, now_ns: int, call: Call) -> int:
        """Ask what happens while it handles a message; return how long that takes."""
        assert self._faults is not None
        call.deliveries += 1
        key = call.key if call.deliveries == 1 else bits(call.key, call.deliveries)
        call.fault = fault = self._faults.segment(self.name, Leg(call, call.delivery), key)
        if not isinstance(fault, Slow):
            return call.service_ns
        call.fault = None
        facts = {"factor": fault.factor}
        self.engine.inject(now_ns, fault.fault_id, facts, self.code, call.coordination, -1)
        return int(call.service_ns * fault.factor)

    def _finish_badly(self, now_ns: int, call: Call) -> None:
        fault, call.fault = call.fault, None
        engine = self.engine
        if isinstance(fault, (CrashBefore, CrashAfter)):
            if isinstance(fault, CrashAfter):
                self.work(now_ns, call)
            self.crash(now_ns, call, fault)
            return
        row = engine.inject(now_ns, fault.fault_id, {}, self.code, call.coordination, -1)
        if isinstance(fault, Fail):
            self.context.begin(self, now_ns, call)
            self.abort(now_ns, call, TRANSIENT_ERROR, fault.message, row)
            engine.transit.reply(now_ns, call)
        self.next(now_ns)

    def crash(self, now_ns: int, call: Call, fault: CrashBefore | CrashAfter) -> None:
        """Stop; lose what is not durable, and come back after a time."""
        engine = self.engine
        engine.happened[fault.fault_id] = None
        shape = engine.recorder.shape(
            "AgentCrashed", name=self.name, value=Value.JSON, follows_lane=True
        )
        told = encode_json({"down_ns": fault.down_ns, "fault": fault.fault_id})
        value = engine.recorder.keep(told)
        engine.recorder.add(now_ns, shape, self.code, call.coordination, value=value)
        self.up = False
        self.busy = None
        self.mailbox.appendleft(call)
        engine.at(now_ns + fault.down_ns, self.restart, None)

    def restart(self, now_ns: int, _: object) -> None:
        """Come back with what is durable."""
        recorder = self.engine.recorder
        lost = {} if self.disk is None else self.disk.recover()
        if self.disk is not None:
            # What it remembers of answers was written with the cells, and is no better.
            for request in self.disk.unsure:
                self._answered.pop(request, None)
            self.disk.unsure.clear()
        shape = recorder.shape(
            "AgentRestarted",
            name=self.name,
            value=Value.JSON if lost else Value.NONE,
            follows_lane=True,
            writes=tuple((None, key) for key in lost) if lost else None,
        )
        value = recorder.keep(encode_json({"values": lost})) if lost else 0
        recorder.add(now_ns, shape, self.code, value=value)
        self.up = True
        self.next(now_ns)

    # -- its transactions -------------------------------------------------------------------------

    def commit(self, now_ns: int, call: Call) -> int:
        """Make the running transaction's writes the agent's state; return the row of its event.

        Raises:
            InvalidEventError: a value that it wrote is not JSON; nothing is written.
        """
        written = self.cells.changes()
        if len(written) == 1 and not self.context.others:
            ((key, value),) = written.items()
            if type(value) is int and _LEAST <= value < -_LEAST:
                # One number is the usual case: no payload is built for it.
                known = (call.name, key, *self.cells.reads)
                shape = self._committed.get(known)
                if shape is None:
                    shape = self._new_committed(known)
                self.state[key] = value
                rows = self.engine.rows
                row = len(rows) // ROW_BYTES
                rows += PACK(now_ns, value, shape, self.code, call.coordination, -1, -1, -1)
                if self.disk is not None:
                    self.disk.write(now_ns, call, written)
                return row
        if self.context.others:
            return self._commit_shared(now_ns, call, written)
        text = self.cells.encoded(written)
        reads = self.cells.reads
        known = ("", call.name, str(len(reads)), *reads, *written)
        shape = self._committed.get(known)
        if shape is None:
            shape = self._committed[known] = self.engine.recorder.shape(
                "TransactionCommitted",
                name=call.name,
                value=Value.NONE if text is None else Value.JSON,
                head=b"" if text is None else b'{"values":',
                tail=b"" if text is None else b"}",
                follows_lane=True,
                reads=tuple((None, key) for key in reads),
                writes=tuple((None, key) for key in written),
            )
        recorder = self.engine.recorder
        value = -1 if text is None else recorder.keep(text)
        row = recorder.add(now_ns, shape, self.code, call.coordination, -1, -1, value)
        self.cells.commit(written)
        if self.disk is not None and written:
            self.disk.write(now_ns, call, written)
        return row

    def _new_committed(self, known: tuple[str, ...]) -> int:
        name, key, *reads = known
        shape = self._committed[known] = self.engine.recorder.shape(
            "TransactionCommitted",
            name=name,
            value=Value.INT,
            head=b'{"values":{' + encode_json(key) + b":",
            tail=b"}}",
            follows_lane=True,
            reads=tuple((None, read) for read in reads),
            writes=((None, key),),
        )
        return shape

    def _commit_shared(self, now_ns: int, call: Call, written: dict[str, Any]) -> int:
        """Commit what a transaction has done to resources, too."""
        own = self.cells.encoded(written)
        others = self.context.others
        changed = {name: cells.changes() for name, cells in sorted(others.items())}
        members = [
            encode_json(name) + b":" + text
            for name, changes in changed.items()
            if (text := others[name].encoded(changes)) is not None
        ]
        parts = [b'"resources":{' + b",".join(members) + b"}"] if members else []
        parts += [] if own is None else [b'"values":' + own]
        reads: list[tuple[str | None, str]] = [(None, key) for key in self.cells.reads]
        writes: list[tuple[str | None, str]] = [(None, key) for key in written]
        for name, changes in changed.items():
            reads += [(name, key) for key in others[name].reads]
            writes += [(name, key) for key in changes]
        recorder = self.engine.recorder
        shape = recorder.shape(
            "TransactionCommitted",
            name=call.name,
            value=Value.JSON if parts else Value.NONE,
            kind_a=_LOCK,
            kind_b=_LOCK,
            follows_lane=True,
            reads=tuple(reads),
            writes=tuple(writes),
        )
        value = recorder.keep(b"{" + b",".join(parts) + b"}") if parts else 0
        row = recorder.add(now_ns, shape, self.code, call.coordination, value=value)
        self.cells.commit(written)
        if self.disk is not None and written:
            self.disk.write(now_ns, call, written)
        recorder.because(row, self.engine.commit_resources(row, others, changed), _LOCK)
        return row
