"""The guard of workflows' code, kept in place from one turn to the next while these follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowlab.workflow import armed

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager


class Guarding:
    """Puts the guard in place for turns, and takes it away when no turn follows at once.

    It refuses nothing while no code of a workflow runs, so it may stay while the loop goes on;
    taken away and put back, it would be work at every durable step.
    """

    __slots__ = ("_guard", "_is_looking", "_turns", "_turns_seen")

    def __init__(self) -> None:
        self._guard: AbstractContextManager[None] | None = None
        self._is_looking = False
        self._turns = 0
        self._turns_seen = 0

    def __repr__(self) -> str:
        return f"Guarding({'away' if self._guard is None else 'in place'})"

    def enter(self) -> None:
        """Put the guard in place for a turn, if it is not."""
        self._turns += 1
        if self._guard is None:
            self._guard = armed()
            self._guard.__enter__()

    def leave(self) -> None:
        """Take it away."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.__exit__(None, None, None)

    def leave_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take it away after what the loop is about to do, unless there is a turn in that."""
        if not self._is_looking:
            self._is_looking = True
            self._turns_seen = self._turns
            loop.call_soon(self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_looking = False
        if self._turns == self._turns_seen:
            self.leave()
        else:
            self.leave_later(loop)
