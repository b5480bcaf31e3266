"""In which order a world's entries are taken: the seam at which schedules are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from flowlab.simulation.draws import key_of, uniform


class Entry(NamedTuple):
    """What is to happen in a world: a delivery, a segment, an answer, a timer, a restart.

    Args:
        id: stable: kind, agent and the message's name (or a number), so that neither time nor what
            happens elsewhere changes it.
        due_ns: when.
        agent: whom it concerns: an agent, or a workflow.
        kind: `deliver`, `work`, `answer`, `timeout`, `timer`, `signal`, `input`, `start`, `child`,
            `cancel`, `withdraw`, `write`, `restart` or `end`.
        channel: of a message, (sender, receiver); None of all else.

    Example:
        >>> Entry("deliver:bank:trip-1/charge/1", 5, "bank", "deliver", ("trip-1", "bank")).agent
        'bank'
    """

    id: str
    due_ns: int
    agent: str
    kind: str
    channel: tuple[str, str] | None = None


class Scheduler(Protocol):
    """Chooses what happens next; anything that has `choose`.

    Example:
        >>> class Latest:
        ...     def choose(self, enabled):
        ...         return len(enabled) - 1
    """

    def choose(self, enabled: Sequence[Entry]) -> int:
        """Return the place of an entry, among those that may be taken, the earliest first."""
        ...


class RandomScheduler:
    """Takes any entry with the same chance: the n-th choice is a function of the seed and n.

    Args:
        seed: of the choices, which have nothing to do with the draws of the world.
        patient: whether a call is given up only where nothing else is pending. Otherwise a call is
            often tried again before its agent could answer, and what is tried again piles up.

    Example:
        >>> entries = [Entry(name, 0, "bank", "work") for name in "abcd"]
        >>> scheduler = RandomScheduler(9)
        >>> [entries[scheduler.choose(entries)].id for _ in range(6)]
        ['b', 'd', 'c', 'd', 'c', 'b']
    """

    def __init__(self, seed: int = 0, *, patient: bool = True) -> None:
        self._seed = seed
        self._patient = patient
        self._key = key_of("schedule", seed)
        self._count = 0

    def __repr__(self) -> str:
        return f"RandomScheduler({self._seed}{'' if self._patient else ', patient=False'})"

    def choose(self, enabled: Sequence[Entry]) -> int:
        """Draw a place."""
        self._count += 1
        places: Sequence[int] = range(len(enabled))
        if self._patient:
            places = [p for p in places if enabled[p].kind != "timeout"] or places
        return places[int(uniform(self._key, self._count) * len(places))]


@dataclass(frozen=True, slots=True, repr=False)
class Schedule:
    """The order in which the entries of a run were taken: what makes it again.

    Args:
        order: their ids.
        untimed: whether any pending entry could be taken, and not the earliest alone.
        fifo: whether the messages of a channel kept their order all the same.

    Example:
        >>> Schedule(("work:bank:trip-1/charge/1",), untimed=True)
        Schedule(1 entry, untimed)
    """

    order: tuple[str, ...]
    untimed: bool = False
    fifo: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what tells it from others: the order only as a digest, for it may be long."""
        digest = hashlib.sha256("\n".join(self.order).encode()).hexdigest()
        return {"order": digest, "untimed": self.untimed, "fifo": self.fifo}

    def __repr__(self) -> str:
        count = f"{len(self.order)} {'entry' if len(self.order) == 1 else 'entries'}"
        modes = [name for name in ("untimed", "fifo") if getattr(self, name)]
        return f"Schedule({', '.join([count, *modes])})"


class Guide:
    """Takes entries as a schedule did, and lets some wait for others.

    What the schedule does not name comes after what it names, in order of time. An entry that
    another one is to come before waits while that one is pending; all else goes on.

    Args:
        order: ids in the order in which they were taken.
        choices: entry -> the one that waits for it.
    """

    def __init__(self, order: Sequence[str] = (), choices: Mapping[str, str] | None = None) -> None:
        self._ranks = {entry_id: rank for rank, entry_id in enumerate(order)}
        self._choices = dict(choices or {})

    def __repr__(self) -> str:
        return f"Guide({len(self._ranks)} ranked, {len(self._choices)} chosen)"

    def choose(self, enabled: Sequence[Entry]) -> int:
        """Return the first that does not wait."""
        waiting: set[str] = set()
        if self._choices:
            pending = {entry.id for entry in enabled}
            waiting = {late for early, late in self._choices.items() if early in pending}
        free = [place for place, entry in enumerate(enabled) if entry.id not in waiting]
        if not free:
            return 0
        if not self._ranks:
            return free[0]
        last = len(self._ranks)
        return min(free, key=lambda place: self._ranks.get(enabled[place].id, last))
