"""Semantic locks in a world: which workflow is at work on which record of which agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowlab.errors import DeadlockError, LockedError
from flowlab.events import CauseKind
from flowlab.events.codec import encode_json
from flowlab.simulation.recorder import NOTHING, Value
from flowlab.workflow import LockPolicy, SemanticLocks

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.engine import Engine

_LOCK: Final = int(CauseKind.LOCK)

GRANTED: Final = "granted"
"""Stands at a message that waited for a lock and has it now, until its handling has ended."""

STASHED: Final = "stashed"
"""Stands at a message that waits for a lock."""

CLAIM, KEEP, RELEASE, GIVE_UP = range(4)
Mark = tuple[int, str]
"""What a transaction does to a lock, and to which: it counts when the transaction commits."""


class Stashed(BaseException):
    """Ends a handler whose claim waits; no `except Exception` of the handler's holds it up."""

    def __init__(self, lock: str) -> None:
        super().__init__(lock)
        self.lock = lock


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A semantic lock that a workflow holds at the end of a world.

    Example:
        >>> print(HeldLock("hotel", "room-1", "trip-1"))
        'room-1' of hotel, held by trip-1
    """

    agent: str
    key: str
    owner: str

    def __str__(self) -> str:
        return f"{self.key!r} of {self.agent}, held by {self.owner}"


class Locks:
    """The semantic locks of all agents of one world, and the messages that wait for them.

    The owner of a lock is a workflow: it holds a key or it does not, however often it claims it, so
    a request that comes twice does no harm. A lock is durable: no crash and no end of a workflow
    releases it. A lock is named within the table as the agent's stream and the key.

    Args:
        engine: the world.
    """

    __slots__ = ("_aside", "_engine", "_granted", "_released", "table")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.table = SemanticLocks()
        self._aside: dict[tuple[str, str], dict[Call, int]] = {}
        self._granted: dict[tuple[str, str], dict[Call, None]] = {}
        self._released: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Locks({self.table!r})"

    # -- what a handler asks for ------------------------------------------------------------------

    def claim(self, call: Call, marks: list[Mark], key: str, policy: LockPolicy) -> None:
        """Claim a key of the agent that handles a message, for the message's workflow.

        Raises:
            LockedError: another workflow holds it, and the policy is `fail`.
            DeadlockError: to wait would close a cycle of workflows that wait for one another.
            Stashed: the message waits.
        """
        table, owner = self.table, self._owner(call)
        lock = f"{call.server.code}/{key}"
        if owner in table.holders(lock):
            if (RELEASE, lock) in marks:
                marks.remove((RELEASE, lock))
            if (lock, owner) in self._granted:
                marks.append((KEEP, lock))
            return
        if policy == "stash" and owner in table.stashed(lock):
            raise Stashed(lock)
        claim = table.claim(lock, owner, policy=policy)
        if claim:
            marks.append((CLAIM, lock))
            return
        if claim.deadlock is not None:
            message = (
                f"{owner} would wait for ever for {key!r} of {call.server.name}: "
                f"{self.told(claim.deadlock)}; claim keys in one order, or undo one of the sagas"
            )
            raise DeadlockError(message)
        if claim.outcome == "refused":
            message = (
                f"{owner} cannot have {key!r} of {call.server.name}: {', '.join(claim.holders)} "
                "holds it and has not released it; try again later, or claim with policy='stash'"
            )
            raise LockedError(message)
        raise Stashed(lock)

    def release(self, call: Call, marks: list[Mark], key: str) -> bool:
        """Release a key when the transaction commits; tell whether the workflow held it.

        What of the workflow waits for the key gives up: it would claim what was released already.
        """
        lock, owner = f"{call.server.code}/{key}", self._owner(call)
        if owner in self.table.holders(lock):
            if (RELEASE, lock) not in marks:
                marks.append((RELEASE, lock))
            return True
        if owner in self.table.stashed(lock):
            marks.append((GIVE_UP, lock))
        return False

    # -- how a transaction ends -------------------------------------------------------------------

    def commit_claims(self, now_ns: int, call: Call, marks: list[Mark]) -> None:
        """Write the claims of a transaction that is about to commit."""
        owner = self._owner(call)
        for what, lock in marks:
            if what == KEEP:
                self._confirm(lock, owner)
            elif what == CLAIM:
                before = self._released.get(lock, NOTHING)
                self._write(now_ns, "LockClaimed", call, lock, before)

    def commit_releases(self, now_ns: int, call: Call, marks: list[Mark]) -> None:
        """Release what a transaction that has committed releases."""
        for what, lock in marks:
            if what == RELEASE:
                self._let_go(now_ns, call, lock)
            elif what == GIVE_UP:
                for waiting in list(self._aside.get((lock, self._owner(call)), ())):
                    told = {"reason": "its workflow has released the lock", "to": call.server.name}
                    self._engine.transit.drop(now_ns, waiting.row, told, waiting.name)
                    self.withdraw(now_ns, waiting)

    def abort(self, call: Call, marks: list[Mark]) -> None:
        """Undo the claims of a transaction that comes to nothing."""
        for what, lock in marks:
            if what == CLAIM:
                self.table.release(lock, self._owner(call))

    def stash(self, now_ns: int, call: Call, lock: str) -> None:
        """Put a message aside whose handler waits for a lock: its transaction ends with that."""
        context = call.server.context
        self.abort(call, context.marks)
        row = self._write(
            now_ns, "LockStashed", call, lock, NOTHING, reads=tuple(call.server.cells.reads)
        )
        call.aside = STASHED
        self._aside.setdefault((lock, self._owner(call)), {})[call] = row

    def settle(self, now_ns: int, call: Call) -> None:
        """Release what a message was granted and did not claim by the end of its handling."""
        call.aside = None
        for (lock, owner), calls in list(self._granted.items()):
            if call in calls:
                del calls[call]
                if not calls:
                    del self._granted[lock, owner]
                    self._let_go(now_ns, call, lock)

    def withdraw(self, now_ns: int, call: Call) -> bool:
        """Let a message wait no longer; tell whether it did."""
        for (lock, owner), calls in list(self._aside.items()):
            if call in calls:
                del calls[call]
                call.aside = None
                if not calls:
                    del self._aside[lock, owner]
                    granted = self.table.withdraw(lock, owner)
                    self._grant(now_ns, lock, granted, self._released.get(lock, NOTHING))
                return True
        return False

    def withdraw_copies(self, now_ns: int, call: Call) -> None:
        """Let the copies of a message wait no longer."""
        for other in self.stashed():
            if other.origin is call:
                self.withdraw(now_ns, other)

    def forget(self) -> None:
        """Let go of the messages that wait."""
        self._aside.clear()
        self._granted.clear()

    # -- what is told of them ---------------------------------------------------------------------

    def held(self) -> tuple[HeldLock, ...]:
        """Return who holds what."""
        found = [
            HeldLock(self.agent_of(lock), _key_of(lock), mark[0])
            for lock, sides in self.table.to_json().items()
            for mark in sides["held"]
        ]
        return tuple(sorted(found, key=lambda lock: (lock.agent, lock.key)))

    def waits_for(self, call: Call) -> tuple[str, tuple[str, ...]] | None:
        """Return the key that a message waits for, and who holds it."""
        for lock, owner in self._aside:
            if call in self._aside[lock, owner]:
                return _key_of(lock), self.table.holders(lock)
        return None

    def stashed(self) -> list[Call]:
        """Return the messages that wait."""
        return [call for calls in self._aside.values() for call in calls]

    def told(self, cycle: tuple[tuple[str, str], ...]) -> str:
        """Say who waits for whom in a cycle."""
        owners = [owner for owner, _ in cycle]
        return ", ".join(
            f"{owner} waits for {_key_of(lock)!r} of {self.agent_of(lock)} behind {behind}"
            for (owner, lock), behind in zip(cycle, [*owners[1:], owners[0]], strict=True)
        )

    def agent_of(self, lock: str) -> str:
        """Return the agent to which a lock of the table belongs."""
        return self._engine.recorder.streams[int(lock.partition("/")[0])].lane

    # -- what happens to them ---------------------------------------------------------------------

    def _owner(self, call: Call) -> str:
        return self._engine.recorder.streams[call.coordination].name

    def _let_go(self, now_ns: int, call: Call, lock: str) -> None:
        owner = self._owner(call)
        row = self._write(now_ns, "LockReleased", call, lock, NOTHING)
        self._released[lock] = row
        self._confirm(lock, owner)
        self._grant(now_ns, lock, self.table.release(lock, owner), row)

    def _confirm(self, lock: str, owner: str) -> None:
        """Note that a lock depends no longer on the messages for which it was granted."""
        for call in self._granted.pop((lock, owner), ()):
            if call.aside is GRANTED:
                call.aside = None

    def _grant(self, now_ns: int, lock: str, owners: tuple[str, ...], release: int) -> None:
        """Handle again what has waited for a lock, now that its workflow has it."""
        for owner in owners:
            waiting = self._aside.pop((lock, owner))
            self._granted[lock, owner] = dict.fromkeys(waiting)
            first, stashed = next(iter(waiting.items()))
            self._write(now_ns, "LockClaimed", first, lock, release, stashed)
            for call in waiting:
                call.aside = GRANTED
                call.server.wake(now_ns, call.server.again, call, call)

    def _write(
        self,
        now_ns: int,
        event_type: str,
        call: Call,
        lock: str,
        *causes: int,
        reads: tuple[str, ...] | None = None,
    ) -> int:
        recorder = self._engine.recorder
        shape = recorder.shape(
            event_type,
            name=_key_of(lock),
            value=Value.JSON,
            head=b'{"owner":',
            tail=b"}",
            kind_a=_LOCK,
            kind_b=_LOCK,
            follows_lane=True,
            reads=None if reads is None else tuple((None, key) for key in reads),
            writes=None if reads is None else (),
        )
        value = recorder.keep(encode_json(self._owner(call)))
        code, coordination = call.server.code, call.coordination
        first, second = (*causes, NOTHING)[:2]
        return recorder.add(now_ns, shape, code, coordination, first, second, value)


def _key_of(lock: str) -> str:
    return lock.partition("/")[2]
