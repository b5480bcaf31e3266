"""An agent at work: a mailbox, one message at a time, each handled as an atomic transaction."""

from __future__ import annotations

from collections import deque
from heapq import heappush
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from flowlab.events import CauseKind
from flowlab.events.codec import encode_json
from flowlab.events.wording import error_text
from flowlab.simulation.answers import TALKING, is_begun, knows, remember
from flowlab.simulation.call import SEVERAL, WAITS, WITHDRAWN, first_wanted
from flowlab.simulation.conversation import Conversation, begin_talk
from flowlab.simulation.disk import Disk
from flowlab.simulation.driver import Parent
from flowlab.simulation.locks import GRANTED, STASHED, Stashed
from flowlab.simulation.outage import befall, finish_badly
from flowlab.simulation.recorder import LEAST, MOST, PACK, ROW_BYTES, Value, plain
from flowlab.workflow.cells import own

if TYPE_CHECKING:
    from flowlab.simulation.agent import Agent
    from flowlab.simulation.answers import Told
    from flowlab.simulation.call import Call
    from flowlab.simulation.driver import Fire
    from flowlab.simulation.engine import Engine

_MESSAGE: Final = int(CauseKind.MESSAGE)
_LOCK: Final = int(CauseKind.LOCK)


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
        woken: what it goes on with before it takes another message: (what to do, with what, and the
            message that it is about).
        talks: the messages whose handlers wait in the middle of their work.
        answered: what it remembers of the requests that it has answered, if it deduplicates.
        attempts: the same of the attempts that may come again.
        up: whether it runs.
    """

    __slots__ = (
        "_committed",
        "_counted",
        "_deduplicates",
        "_handlers",
        "_received",
        "_skew",
        "agent",
        "answered",
        "attempts",
        "busy",
        "cells",
        "code",
        "context",
        "disk",
        "engine",
        "faults",
        "mailbox",
        "name",
        "state",
        "talks",
        "up",
        "woken",
    )

    def __init__(self, engine: Engine, agent: Agent) -> None:
        self.engine = engine
        self.agent = agent
        self.name, self.code = agent.name, engine.recorder.stream("@" + agent.name)
        self.state: dict[str, Any] = own(agent.state)
        self.context = engine.context
        self.cells = engine.context.state
        self.mailbox: deque[Call] = deque()
        self.busy: Call | None = None
        self.woken: deque[tuple[Fire, Any, Call]] = deque()
        self.talks: dict[Call, Conversation] = {}
        self.up = True
        self.answered: dict[str, Told] = {}
        self._handlers = agent.handlers
        self.attempts: dict[str, Told] = {}
        self._deduplicates = agent.deduplicate
        shapes = engine.recorder.handled
        self._received: dict[str, int] = shapes.received
        self._committed: dict[tuple[str, ...], int] = shapes.committed
        self._counted: dict[tuple[str, str], int] = shapes.counted
        faults = engine.faults
        befalls = faults is not None and (faults.segment_live or faults.duplicate_live)
        self.faults = faults if befalls else None
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
            call.mail |= WAITS
            self.mailbox.append(call)
        else:
            self.begin(now_ns, call)

    def begin(self, now_ns: int, call: Call) -> None:
        """Take a message from the mailbox, and work on it; pass over what was withdrawn."""
        if call.mail == WAITS:
            call.mail = 0
        elif call.mail:
            taken = first_wanted(call, self.mailbox)
            if taken is None:
                self.busy = None
                return
            call = taken
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
        if self.faults is not None:
            service_ns = befall(self, now_ns, call)
        heappush(engine.agenda, (now_ns + service_ns, engine.ordinal(), self.finish, call))

    def receive(self, now_ns: int, name: str, waited_ns: int, coordination: int, row: int) -> None:
        """Write that it takes the answer to what it has asked."""
        shape = self._received.get(name) or self._new_received(name)
        self.engine.recorder.add(now_ns, shape, self.code, coordination, row, value=waited_ns)

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
        """Go on with what was woken, or with the next message."""
        self.busy = None
        if self.woken and self.up:
            fire, about, self.busy = self.woken.popleft()
            self.engine.at(now_ns, fire, about)
        elif self.mailbox and self.up:
            self.begin(now_ns, self.mailbox.popleft())

    def wake(self, now_ns: int, fire: Fire, about: Any, call: Call) -> None:
        """Go on with a message that has waited, as soon as the agent is free."""
        if not self.up:
            self.mailbox.appendleft(call)
        elif self.busy is None or self.busy is call:
            self.busy = call
            fire(now_ns, about)
        else:
            self.woken.append((fire, about, call))

    def again(self, now_ns: int, call: Call) -> None:
        """Work once more on a message that it has received."""
        call.deliveries = max(call.deliveries, 1)
        self.engine.at(now_ns + befall(self, now_ns, call), self.finish, call)

    def withdraw(self, now_ns: int, call: Call) -> None:
        """Give up a message that it has not begun, if its sender asks for that in time."""
        if not isinstance(call.driver, Parent):  # nobody else withdraws one
            return
        if call.mail & SEVERAL and is_begun(self, call):
            return
        if call.mail & WAITS:
            call.mail = WITHDRAWN
        elif call.aside is not STASHED or not self.engine.locks.withdraw(now_ns, call):
            return
        elif call.mail & SEVERAL:
            call.mail |= WITHDRAWN
            self.engine.locks.withdraw_copies(now_ns, call)
        self.engine.at(now_ns + call.reply_ns, call.driver.canceled, call)

    # -- its work ---------------------------------------------------------------------------------

    def finish(self, now_ns: int, call: Call) -> None:
        """Carry out the handler, commit what it did, and answer."""
        if self.busy is not call:
            return
        if call.fault is not None:
            finish_badly(self, now_ns, call)
            return
        self.work(now_ns, call)
        if call.aside is not None or self.woken:
            self.leave(now_ns, call)
            return
        self.engine.transit.reply(now_ns, call)
        self.busy = None
        if self.mailbox and self.up:
            self.begin(now_ns, self.mailbox.popleft())

    def leave(self, now_ns: int, call: Call) -> None:
        """Answer a message, unless it still waits, and go on."""
        if call.aside is TALKING or call.aside is STASHED:
            self.rest(now_ns, call)
            return
        if call.aside is GRANTED:
            self.engine.locks.settle(now_ns, call)
        self.engine.transit.reply(now_ns, call)
        self.next(now_ns)

    def rest(self, now_ns: int, call: Call) -> None:
        """Go on with other messages, unless it waits with this one alone."""
        if call.aside is not TALKING or self.agent.interleaving:
            self.next(now_ns)

    def work(self, now_ns: int, call: Call) -> None:
        """Carry out the handler as one transaction."""
        context = self.context
        context.begin(self, now_ns, call)
        repeats = self._deduplicates
        if repeats and knows(self, now_ns, call):
            return
        try:
            outcome = self._handlers[call.name](context, call.value)
            if outcome is None or (type(outcome) is int and LEAST <= outcome <= MOST):
                call.kept = outcome
            elif type(outcome) is CoroutineType:
                begin_talk(now_ns, self, call, outcome)
                return
            else:
                call.kept, outcome = plain(outcome)
            call.txn = self.commit(now_ns, call)
            call.failed, call.outcome = False, outcome
        except Stashed as stash:
            self.engine.locks.stash(now_ns, call, stash.lock)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - how it failed
            self.abort(now_ns, call, type(error).__name__, error_text(error))
        else:
            if repeats:
                remember(self, call)
            if context.letters:
                self.engine.transit.post(now_ns, self, call)

    def abort(self, now_ns: int, call: Call, error_type: str, message: str, row: int = -1) -> None:
        """Note that a transaction came to nothing, and why; `row` is a fault's."""
        call.kept = encode_json({"message": message, "type": error_type})
        if self.context.marks:
            self.engine.locks.abort(call, self.context.marks)
        recorder = self.engine.recorder
        shape = recorder.shape(
            "TransactionAborted",
            name=call.name,
            value=Value.JSON,
            head=b'{"error":',
            tail=b"}",
            kind_a=int(CauseKind.FAULT),
            follows_lane=True,
            reads=self.context.reads,
            writes=(),
        )
        kept = recorder.keep(call.kept)
        call.txn = recorder.add(now_ns, shape, self.code, call.coordination, row, value=kept)
        if self.context.others:
            recorder.because(call.txn, self.engine.writers_of(self.context.others), _LOCK)
        call.failed, call.outcome = True, (error_type, message)

    # -- its transactions -------------------------------------------------------------------------

    def commit(self, now_ns: int, call: Call) -> int:
        """Make the running transaction's writes the agent's state; return the row of its event.

        Raises:
            InvalidEventError: a value that it wrote is not JSON; nothing is written.
        """
        written = self.cells.changes()
        context = self.context
        if len(written) == 1 and not context.others and not context.marks:
            ((key, value),) = written.items()
            if type(value) is int and LEAST <= value <= MOST:
                # One number is the usual case: no payload is built for it.
                reads = self.cells.reads
                if len(reads) == 1 and key in reads:
                    shape = self._counted.get((call.name, key))
                else:
                    shape = self._committed.get((call.name, key, *reads))
                if shape is None:
                    recorder = self.engine.recorder
                    shape = recorder.handled.counting(recorder, call.name, key, tuple(reads))
                self.state[key] = value
                rows = self.engine.rows
                row = len(rows) // ROW_BYTES
                rows += PACK(now_ns, value, shape, self.code, call.coordination, -1, -1, -1)
                if self.disk is not None:
                    self.disk.write(now_ns, call, written)
                return row
        if context.others or context.marks:
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

    def _commit_shared(self, now_ns: int, call: Call, written: dict[str, Any]) -> int:
        """Commit what a transaction has done to resources and locks, too."""
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
        writes: list[tuple[str | None, str]] = [(None, key) for key in written]
        for name, changes in changed.items():
            writes += [(name, key) for key in changes]
        recorder = self.engine.recorder
        shape = recorder.shape(
            "TransactionCommitted",
            name=call.name,
            value=Value.JSON if parts else Value.NONE,
            kind_a=_LOCK,
            kind_b=_LOCK,
            follows_lane=True,
            reads=self.context.reads,
            writes=tuple(writes),
        )
        value = recorder.keep(b"{" + b",".join(parts) + b"}") if parts else 0
        marks = self.context.marks
        if marks:
            self.engine.locks.commit_claims(now_ns, call, marks)
        row = recorder.add(now_ns, shape, self.code, call.coordination, value=value)
        self.cells.commit(written)
        if self.disk is not None and written:
            self.disk.write(now_ns, call, written)
        recorder.because(row, self.engine.commit_resources(row, others, changed), _LOCK)
        if marks:
            self.engine.locks.commit_releases(now_ns, call, marks)
        return row
