"""The guard of workflows' code, kept in place from one turn to the next while these follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowlab.workflow import armed

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager

LINGER_S: Final = 0.01
"""How often it is looked whether turns still follow, once one has followed at once."""


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
        """Take it away after what the loop is about to do, unless there is a turn in that.

        Where there is, turns follow each other: it stays then until a moment goes by without one.
        """
        if not self._is_looking:
            self._is_looking = True
            self._turns_seen = self._turns
            loop.call_soon(self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._turns == self._turns_seen:
            self._is_looking = False
            self.leave()
        else:
            # To look each time the loop goes round would be work at every step, as well.
            self._turns_seen = self._turns
            loop.call_later(LINGER_S, self._look, loop)
