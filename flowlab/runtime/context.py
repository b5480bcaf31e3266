"""What a function that carries out an activity for real is given."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from flowlab.errors import InvalidArgumentError
from flowlab.runtime.clock import WallClock
from flowlab.runtime.effect import Effect
from flowlab.workflow import Duration, as_ns
from flowlab.workflow.cells import Cells
from flowlab.workflow.chance import Random, stream

_CLOCK = WallClock()


class Flag:
    """Tells whoever looks that nobody waits for it any more; other threads may look, too.

    Example:
        >>> flag = Flag()
        >>> flag.set()
        >>> flag.is_set
        True
    """

    __slots__ = ("is_set",)

    def __init__(self) -> None:
        self.is_set = False

    def __repr__(self) -> str:
        return f"Flag({self.is_set})"

    def set(self) -> None:
        """Say so."""
        self.is_set = True


class ActivityContext:
    """The first argument of an activity, `ctx`: who asks, how often, and under which key.

    Send `idempotency_key` along with whatever the activity changes outside: after a crash the same
    key may come again, and whoever keeps the key knows that the work is done.

    Args:
        effect: what is asked for.
        agent: who does it; None where no agent in particular does.
        cells: the agent's state, if it has one.

    Example:
        >>> from flowlab.events import Event
        >>> request = Event.of("ActivityScheduled", workflow_id="trip-1", sequence=2,
        ...                    name="book", payload={"input": 7, "attempt": 1})
        >>> ctx = ActivityContext(Effect.of(request, "trip-1/book.2"))
        >>> ctx.idempotency_key, ctx.attempt
        ('trip-1/book.2', 1)
    """

    __slots__ = ("_cells", "_effect", "_flag", "agent")

    def __init__(
        self,
        effect: Effect,
        agent: str | None = None,
        cells: Cells | None = None,
        flag: Flag | None = None,
    ) -> None:
        self._effect = effect
        self._cells = cells
        self._flag = flag
        self.agent = agent

    def __repr__(self) -> str:
        return f"ActivityContext({self._effect.key!r}, attempt {self.attempt})"

    @property
    def idempotency_key(self) -> str:
        """Equal for all attempts and deliveries of one step of one workflow."""
        return self._effect.key

    @property
    def workflow_id(self) -> str:
        """Whose request it is."""
        return self._effect.workflow_id

    @property
    def activity(self) -> str:
        """What is asked for."""
        return self._effect.activity

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1."""
        return self._effect.attempt

    @property
    def delivery(self) -> int:
        """How often this attempt was handed out: more than 1 where it may have happened already."""
        return self._effect.delivery

    @property
    def is_canceled(self) -> bool:
        """Whether nobody waits for it any more: it was canceled, or not answered in time.

        Long work in a thread looks from time to time.
        """
        return self._flag is not None and self._flag.is_set

    @property
    def state(self) -> Cells:
        """The agent's durable cells: what a handler changes is committed with its answer.

        Raises:
            InvalidArgumentError: the agent has no state.
        """
        if self._cells is None:
            message = (
                f"{self.agent or self.activity!r} has no durable state here; give the runtime an "
                "Agent(name, handler, state={...}), and do not let it run in another process"
            )
            raise InvalidArgumentError(message)
        return self._cells

    @staticmethod
    def now_ns() -> int:
        """Return the wall time in nanoseconds since 1970."""
        return _CLOCK.now_ns()

    def random(self, name: str = "") -> Random:
        """Return a stream of chance of this attempt: the same in every delivery."""
        return stream(self._effect.key, self.attempt, name)

    @staticmethod
    async def sleep(duration: Duration) -> None:
        """Wait, in an async function: nanoseconds or a timedelta."""
        await asyncio.sleep(as_ns(duration, "duration") / 1e9)

    def __getattr__(self, name: str) -> NoReturn:
        if name in {"resource", "send", "signal", "call", "claim", "release", "message"}:
            message = (
                f"ctx.{name} belongs to simulated agents; an agent that runs for real keeps to its "
                "own state and to what it is given"
            )
            raise InvalidArgumentError(message)
        message = f"ActivityContext has no attribute {name!r}"
        raise AttributeError(message)
