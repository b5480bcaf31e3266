"""The operations on a record, kept so that they are done in order however they arrive.

Source: the countermeasure *version file*, Richardson, *Microservices Patterns*, chapter 4.3, after
Frank and Zahle (1998): operations that do not commute are recorded as they arrive, and done in the
order that they need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec

from flowlab.errors import InvalidArgumentError, LimitError

MAX_OPERATIONS: Final = 10_000
"""Most operations of one record that a version file keeps."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on a record: what it is called, what it does, and what must come before.

    Args:
        name: of its own on this record, such as `create`.
        value: what it does, any JSON value.
        after: the operations that must have been done before.

    Example:
        >>> Operation("cancel", after=("create",))
        Operation(name='cancel', value=None, after=('create',))
    """

    name: str
    value: Any = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of an operation that arrived.

    Args:
        file: the version file that holds it.
        outcome: `due` (to be done now), `held` (it waits for others), `repeated` (it is known),
            `skipped` (it comes after one that will never be done), or `empty` (an undoing that has
            nothing to undo: its operation will be skipped when it comes).
        due: the operations to be done now, in this order: it, and those that waited for it.

    Example:
        >>> VersionFile().arrived(Operation("create")).due
        (Operation(name='create', value=None, after=()),)
    """

    file: VersionFile
    outcome: Literal["due", "held", "repeated", "skipped", "empty"]
    due: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class VersionFile:
    """The operations on one record: done, held until they may be done, and never to be done.

    Each is done at most once and after all that it names, whatever the order in which they arrive
    and however often. An undoing that overtakes what it undoes leaves a mark (a *tombstone*): it is
    answered at once, and what it would have undone is skipped when it comes.

    Args:
        done: names, in the order in which they were done.
        held: operations that wait for others.
        gone: names of those that were undone, or will never be done.

    Example:
        >>> file = VersionFile().arrived(Operation("cancel", after=("create",))).file
        >>> file
        VersionFile(0 done, 1 held, 0 gone)
        >>> [operation.name for operation in file.arrived(Operation("create")).due]
        ['create', 'cancel']
        >>> empty = VersionFile().undone("reserve")
        >>> empty.outcome, empty.file.arrived(Operation("reserve")).outcome
        ('empty', 'skipped')
    """

    done: tuple[str, ...] = ()
    held: tuple[Operation, ...] = ()
    gone: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"VersionFile({len(self.done)} done, {len(self.held)} held, {len(self.gone)} gone)"

    def arrived(self, operation: Operation) -> Filed:
        """File an operation that arrived, and say what is to be done now.

        Raises:
            InvalidArgumentError: it must come after itself, or after one that comes after it.
            LimitError: the record has more than `MAX_OPERATIONS`.
        """
        if operation.name in self.gone:
            return Filed(self, "skipped")
        if operation.name in self.done or self._holds(operation.name):
            return Filed(self, "repeated")
        self._check_room()
        if any(name in self.gone for name in operation.after):
            return Filed(self._without({operation.name}), "skipped")
        waiting = (*self.held, operation)
        _check_acyclic(operation, waiting)
        done, held, due = _settled(self.done, waiting)
        file = replace(self, done=done, held=held)
        return Filed(file, "due" if due else "held", due)

    def undone(self, name: str) -> Filed:
        """File the undoing of an operation; it is due if that was done, and empty if not.

        An operation that is held is dropped with all that wait for it; one that never came will be
        skipped. The caller does the undoing itself where the outcome is `due`.

        Raises:
            LimitError: the record has more than `MAX_OPERATIONS`.
        """
        if name in self.gone:
            return Filed(self, "repeated")
        self._check_room()
        return Filed(self._without({name}), "due" if name in self.done else "empty")

    def to_json(self) -> dict[str, Any]:
        """Return the file as JSON values."""
        held = [{"name": it.name, "value": it.value, "after": list(it.after)} for it in self.held]
        return {"done": list(self.done), "held": held, "gone": list(self.gone)}

    @classmethod
    def from_json(cls, data: Any) -> VersionFile:
        """Make a file of what `to_json` returned.

        Raises:
            InvalidArgumentError: it is not that.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            message = f"this is no version file: {error}; give what to_json returned"
            raise InvalidArgumentError(message) from error

    def _holds(self, name: str) -> bool:
        return any(operation.name == name for operation in self.held)

    def _without(self, names: Iterable[str]) -> VersionFile:
        """Mark operations as gone, and with them the held ones that come after."""
        gone = dict.fromkeys([*self.gone, *names])
        held = list(self.held)
        while lost := {
            it.name for it in held if it.name in gone or any(name in gone for name in it.after)
        }:
            held = [it for it in held if it.name not in lost]
            gone |= dict.fromkeys(sorted(lost))
        return replace(self, held=tuple(held), gone=tuple(gone))

    def _check_room(self) -> None:
        known = len(self.done) + len(self.held) + len(self.gone)
        if known >= MAX_OPERATIONS:
            message = (
                f"the version file keeps {known:,} operations, MAX_OPERATIONS is "
                f"{MAX_OPERATIONS:,}; begin a new one once the record's sagas have ended"
            )
            raise LimitError(message)


def _settled(
    done: tuple[str, ...], held: tuple[Operation, ...]
) -> tuple[tuple[str, ...], tuple[Operation, ...], tuple[Operation, ...]]:
    """Return what is done, held and due, once all that may be done now is due."""
    after, waiting, due = dict.fromkeys(done), list(held), []
    while ready := next((it for it in waiting if all(name in after for name in it.after)), None):
        waiting.remove(ready)
        after[ready.name] = None
        due.append(ready)
    return tuple(after), tuple(waiting), tuple(due)


def _check_acyclic(operation: Operation, held: tuple[Operation, ...]) -> None:
    """Refuse what would wait for itself for ever."""
    after = {it.name: it.after for it in held}
    reached, fresh = set[str](), [*operation.after]
    while fresh:
        name = fresh.pop()
        if name == operation.name:
            message = (
                f"operation {name!r} must come after itself, by way of what it comes after "
                f"({', '.join(map(repr, operation.after))}); name what really precedes it"
            )
            raise InvalidArgumentError(message)
        if name not in reached:
            reached.add(name)
            fresh += after.get(name, ())
