"""Semantic locks: marks on records that say which saga is still at work on them.

Source: the countermeasure *semantic lock* of Frank and Zahle, "Semantic ACID properties in
multidatabases using remote procedure calls and update propagations" (Software: Practice and
Experience, 1998), as told in Richardson, *Microservices Patterns*, chapter 4.3: other sagas either
fail at such a mark, or wait for it, and then deadlocks must be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.workflow.waits import Wait, wait_cycle

LockMode = Literal["exclusive", "shared"]
"""Who may hold a key beside one: nobody, or others that share it."""

LockPolicy = Literal["fail", "stash"]
"""What becomes of a claim that cannot be granted now: it is refused, or it waits in line."""

MAX_STASHED: Final = 10_000
"""Most claims that wait for one key."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a claim.

    Args:
        key, owner, mode: what was claimed, by whom, and how.
        outcome: `granted`, `stashed` or `refused`.
        holders: who holds the key now.
        deadlock: the cycle that the claim closes, or would close, as (owner, key): each waits for
            its key until the next has released it, and the last waits for the first. None if none.

    Example:
        >>> bool(SemanticLocks().claim("seat-1", "trip-1"))
        True
    """

    key: str
    owner: str
    mode: LockMode
    outcome: Literal["granted", "stashed", "refused"]
    holders: tuple[str, ...] = ()
    deadlock: tuple[tuple[str, str], ...] | None = None

    def __bool__(self) -> bool:
        return self.outcome == "granted"


class Grant(NamedTuple):
    """A key, and the owner who has it now.

    Example:
        >>> Grant("seat-1", "trip-2")
        Grant(key='seat-1', owner='trip-2')
    """

    key: str
    owner: str


class _Mark(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A claim that is held or waits: how, and how many times over."""

    mode: LockMode
    count: int


class _Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The marks on one key: those that hold it, and those that wait, each by owner and in order."""

    held: dict[str, _Mark] = {}
    queue: dict[str, _Mark] = {}


class SemanticLocks:
    """The table of the semantic locks of one agent or resource.

    An owner is a saga; a key names a record. Claims of one owner nest: it holds a key until it has
    released it as often as it claimed it. Those that wait get a key in the order in which they
    came, but that an owner who shares a key and wants it alone comes first. Nobody overtakes: a
    claim waits behind those that wait, even if those who hold the key would let it share.

    The table does nothing by itself: its host writes `LockClaimed`, `LockStashed` and
    `LockReleased` from what it returns. It is plain data by `to_json` and `from_json`.

    Example:
        >>> locks = SemanticLocks()
        >>> locks.claim("seat-1", "trip-1").outcome, locks.claim("seat-1", "trip-2").outcome
        ('granted', 'refused')
        >>> locks.claim("seat-1", "trip-2", policy="stash").holders
        ('trip-1',)
        >>> locks.release("seat-1", "trip-1")
        ('trip-2',)
    """

    __slots__ = ("_held", "_records", "_waiting")

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._held: dict[str, dict[str, None]] = {}
        self._waiting: dict[str, dict[str, None]] = {}

    def __repr__(self) -> str:
        stashed = sum(len(record.queue) for record in self._records.values())
        held = sum(bool(record.held) for record in self._records.values())
        return f"SemanticLocks({held} held, {stashed} stashed)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SemanticLocks):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def claim(
        self,
        key: str,
        owner: str,
        *,
        policy: LockPolicy = "fail",
        mode: LockMode = "exclusive",
        in_deadlock: LockPolicy = "fail",
        others: Iterable[Wait] = (),
    ) -> Claim:
        """Claim a key for an owner.

        Args:
            key: of the record.
            owner: who wants it.
            policy: `fail` refuses the claim if it cannot be granted now, `stash` lets it wait.
            mode: `exclusive`, or `shared` with others that share it.
            in_deadlock: what becomes of a claim that waiting would make part of a deadlock; `fail`
                refuses it, `stash` lets it wait, for a host that chooses another victim.
            others: who waits for whom in other tables; a deadlock may lead through several.

        Raises:
            InvalidArgumentError: a policy or a mode is none.
            LimitError: more than `MAX_STASHED` claims would wait for the key.
        """
        _check(policy, LockPolicy, "policy")
        _check(in_deadlock, LockPolicy, "in_deadlock")
        _check(mode, LockMode, "mode")
        record = self._records.get(key) or _Record({}, {})
        if self._take(record, key, owner, mode):
            return Claim(key, owner, mode, "granted", tuple(record.held))
        holders = tuple(record.held)
        if policy == "fail":
            return Claim(key, owner, mode, "refused", holders)
        if len(record.queue) >= MAX_STASHED and owner not in record.queue:
            message = (
                f"{len(record.queue):,} claims wait for {key!r}, MAX_STASHED is {MAX_STASHED:,}; "
                "let the claims fail, or find out why the holder never releases it: "
                f"{', '.join(map(repr, holders))}"
            )
            raise LimitError(message)
        before = record.queue.get(owner)
        elsewhere = tuple(others)
        awaited = bool(elsewhere or owner in self._held or owner in self._waiting)
        self._stash(record, key, owner, mode)
        # Nobody waits for one who holds nothing and stands nowhere in line.
        cycle = wait_cycle(chain(self.waits(), elsewhere), start=owner) if awaited else None
        if cycle is None or in_deadlock == "stash":
            return Claim(key, owner, mode, "stashed", holders, cycle)
        if before is None:
            self._forget(record, key, owner)
        else:
            record.queue[owner] = before
        return Claim(key, owner, mode, "refused", holders, cycle)

    def release(self, key: str, owner: str) -> tuple[str, ...]:
        """Take back one claim of a holder; return the owners who have got the key by that.

        Raises:
            InvalidArgumentError: the owner does not hold the key.
        """
        record = self._records.get(key)
        mark = None if record is None else record.held.get(owner)
        if record is None or mark is None:
            holders = ", ".join(map(repr, self.holders(key))) or "nobody"
            message = f"{owner!r} cannot release {key!r}: {holders} holds it; claim it first"
            raise InvalidArgumentError(message)
        mark.count -= 1
        if mark.count:
            return ()
        self._let_go(record, key, owner)
        return self._promote(record, key)

    def withdraw(self, key: str, owner: str) -> tuple[str, ...]:
        """Let an owner wait no longer for a key; return the owners who have got it by that."""
        record = self._records.get(key)
        if record is None or owner not in record.queue:
            return ()
        self._forget(record, key, owner)
        return self._promote(record, key)

    def release_all(self, owner: str) -> tuple[Grant, ...]:
        """Let an owner hold nothing and wait for nothing; return who has got what by that."""
        keys = [*self._waiting.get(owner, ()), *self._held.get(owner, ())]
        granted: list[Grant] = []
        for key in dict.fromkeys(keys):
            record = self._records[key]
            if owner in record.queue:
                self._forget(record, key, owner)
            if owner in record.held:
                self._let_go(record, key, owner)
            granted += [Grant(key, other) for other in self._promote(record, key)]
        return tuple(granted)

    def holders(self, key: str) -> tuple[str, ...]:
        """Return who holds a key, in the order in which they got it."""
        record = self._records.get(key)
        return tuple(record.held) if record else ()

    def stashed(self, key: str) -> tuple[str, ...]:
        """Return who waits for a key, the next one first."""
        record = self._records.get(key)
        return tuple(record.queue) if record else ()

    def waits(self) -> tuple[Wait, ...]:
        """Return who waits for what, and for whom to release it."""
        return tuple(
            Wait(owner, key, other)
            for key, record in self._records.items()
            for owner, others in _blockers(record)
            for other in others
        )

    def deadlock(self) -> tuple[tuple[str, str], ...] | None:
        """Return a cycle of owners and the keys that they wait for, or None; see `Claim`."""
        return wait_cycle(self.waits())

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON values: for each key who holds it and who waits, in order."""
        return {
            key: {name: _listed(getattr(record, name)) for name in ("held", "queue")}
            for key, record in sorted(self._records.items())
        }

    @classmethod
    def from_json(cls, data: Any) -> SemanticLocks:
        """Make a table of what `to_json` returned.

        Raises:
            InvalidArgumentError: it is not that.
        """
        kind = dict[str, dict[Literal["held", "queue"], list[tuple[str, LockMode, int]]]]
        try:
            told = msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            message = f"this is no table of semantic locks: {error}; give what to_json returned"
            raise InvalidArgumentError(message) from error
        locks = cls()
        for key, sides in told.items():
            held, queue = (
                {owner: _Mark(mode, count) for owner, mode, count in sides.get(name, ())}
                for name in ("held", "queue")
            )
            locks._records[key] = _Record(held, queue)
            for index, owners in ((locks._held, held), (locks._waiting, queue)):
                for owner in owners:
                    index.setdefault(owner, {})[key] = None
        return locks

    # -- one key ------------------------------------------------------------------------------

    def _take(self, record: _Record, key: str, owner: str, mode: LockMode) -> bool:
        """Let an owner hold a key if nothing is against it."""
        mark = record.held.get(owner)
        if mark is not None and (mode == "shared" or mark.mode == "exclusive"):
            mark.count += 1
        elif mark is not None and len(record.held) == 1:
            mark.mode, mark.count = "exclusive", mark.count + 1
        elif mark is None and not record.queue and _compatible(record, mode):
            record.held[owner] = _Mark(mode, 1)
            self._records[key] = record
            self._held.setdefault(owner, {})[key] = None
        else:
            return False
        return True

    def _stash(self, record: _Record, key: str, owner: str, mode: LockMode) -> None:
        before = record.queue.get(owner)
        if before is not None:
            stronger: LockMode = "exclusive" if "exclusive" in {mode, before.mode} else "shared"
            record.queue[owner] = _Mark(stronger, before.count + 1)
            return
        record.queue[owner] = _Mark(mode, 1)
        self._waiting.setdefault(owner, {})[key] = None
        if owner in record.held:
            ahead = [other for other in record.queue if other in record.held]
            behind = [other for other in record.queue if other not in record.held]
            record.queue = {other: record.queue[other] for other in ahead + behind}

    def _promote(self, record: _Record, key: str) -> tuple[str, ...]:
        """Give a key to those in line whom nothing is against any more."""
        granted = []
        for owner, mark in list(record.queue.items()):
            own = record.held.get(owner)
            if not (len(record.held) == 1 if own else _compatible(record, mark.mode)):
                break
            self._forget(record, key, owner)
            count = mark.count + (own.count if own else 0)
            record.held[owner] = _Mark(mark.mode, count)
            self._held.setdefault(owner, {})[key] = None
            granted.append(owner)
        if not record.held and not record.queue:
            self._records.pop(key, None)
        return tuple(granted)

    def _let_go(self, record: _Record, key: str, owner: str) -> None:
        del record.held[owner]
        _drop(self._held, owner, key)

    def _forget(self, record: _Record, key: str, owner: str) -> None:
        del record.queue[owner]
        _drop(self._waiting, owner, key)


def _blockers(record: _Record) -> Iterator[tuple[str, list[str]]]:
    """Yield whom each in line waits for: who holds the key, and who comes right before.

    Those further ahead are waited for through these, so a long line has few pairs.
    """
    last: list[str] = []
    sharing: list[str] = []
    for owner, mark in record.queue.items():
        alone = mark.mode == "exclusive"
        found = [
            other
            for other, held in record.held.items()
            if other != owner and (alone or held.mode == "exclusive")
        ]
        ahead = last + sharing if alone else last
        yield owner, [*found, *(other for other in ahead if other not in found)]
        if alone:
            last, sharing = [owner], []
        else:
            sharing.append(owner)


def _compatible(record: _Record, mode: LockMode) -> bool:
    if mode == "exclusive":
        return not record.held
    return all(mark.mode == "shared" for mark in record.held.values())


def _drop(index: dict[str, dict[str, None]], owner: str, key: str) -> None:
    del index[owner][key]
    if not index[owner]:
        del index[owner]


def _listed(marks: dict[str, _Mark]) -> list[list[Any]]:
    return [[owner, mark.mode, mark.count] for owner, mark in marks.items()]


def _check(value: object, allowed: Any, name: str) -> None:
    if value not in get_args(allowed):
        message = f"{name} is {value!r}; expected {' or '.join(map(repr, get_args(allowed)))}"
        raise InvalidArgumentError(message)
