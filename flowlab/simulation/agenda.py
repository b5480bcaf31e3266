"""A world whose entries a scheduler takes: all that may be taken is offered, by name."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowlab.errors import InvalidArgumentError
from flowlab.events.wording import counted
from flowlab.simulation.call import Call
from flowlab.simulation.driver import Fire
from flowlab.simulation.engine import STRIDE, Engine
from flowlab.simulation.inputs import Cancel, Signal, Start
from flowlab.simulation.recorder import ROW_BYTES
from flowlab.simulation.schedule import Entry, Guide, Schedule, Scheduler

if TYPE_CHECKING:
    from flowlab.simulation.recipe import Recipe

KINDS: Final[Mapping[str, str]] = {
    "deliver": "deliver",
    "_deliver": "deliver",
    "finish": "work",
    "again": "work",
    "_rung": "work",
    "_heard": "work",
    "_despaired": "work",
    "answer": "answer",
    "take_answer": "answer",
    "_hear": "answer",
    "_take_acknowledgement": "answer",
    "canceled": "answer",
    "expire": "timeout",
    "give_up": "timeout",
    "_despair": "timeout",
    "_fire": "timer",
    "_ring": "timer",
    "send": "timer",
    "take_signal": "signal",
    "_take_input": "input",
    "_begin_child": "start",
    "_tell_parent": "child",
    "_arrive": "write",
    "settle": "end",
}
"""What an entry is called, by the function that it calls; any other has the function's name."""
_OF_WORKFLOWS: Final = frozenset({"answer", "timeout"})


class Pending(NamedTuple):
    """An entry with what it does, in the order in which entries are offered."""

    due_ns: int
    ordinal: int
    fire: Fire
    about: Any
    entry: Entry


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """What could happen next in a world, and what did.

    Args:
        enabled: all entries that could be taken, the earliest first.
        taken: the one that was.
        row: the number of events before.
    """

    enabled: tuple[Entry, ...]
    taken: Entry
    row: int

    @property
    def others(self) -> tuple[Entry, ...]:
        """The entries that waited: what may be chosen instead."""
        return tuple(entry for entry in self.enabled if entry is not self.taken)

    def __repr__(self) -> str:
        return f"Decision({self.taken.id!r}, {counted(len(self.enabled) - 1, 'other')})"


class Agenda:
    """Takes the entries of an engine as a scheduler chooses.

    Args:
        scheduler: asked for each entry, even where there is only one.
        untimed: whether any pending entry may be taken, and not only the earliest; the clock then
            goes on to the time of the entry, and never back.
        fifo: whether of the messages of a channel only the one that was sent first may be taken.
        until: the row of an event: stop once it is written.

    Attributes:
        order: the ids of what was taken.
        last: the last decision.
        choosing: whether the scheduler is being asked, who may be a person.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        untimed: bool = False,
        fifo: bool = False,
        until: int | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._untimed = untimed
        self._fifo = fifo
        self._until = until
        self._pending: list[Pending] = []
        self._names: dict[str, int] = {}
        self.order: list[str] = []
        self.last: Decision | None = None
        self.choosing = False

    def __repr__(self) -> str:
        return f"Agenda({self._scheduler!r}, {len(self._pending)} pending)"

    @property
    def schedule(self) -> Schedule:
        """The order so far."""
        return Schedule(tuple(self.order), self._untimed, self._fifo)

    def run(self, engine: Engine) -> None:
        """Take entries until there is none, or a limit is reached.

        Raises:
            InvalidArgumentError: the scheduler chose what is not there.
        """
        rows, begins = engine.rows, engine.begins
        now = 0
        while True:
            self._take_up(engine)
            offered = self._offered()
            if not offered:
                return
            enabled = tuple(pending.entry for pending in offered)
            chosen = offered[self._choose(enabled)]
            self.last = Decision(enabled, chosen.entry, (len(rows) - begins) // ROW_BYTES)
            now = max(now, chosen.due_ns)
            if now > engine.world.max_time_ns:
                engine.agenda += [item[:4] for item in self._pending]
                engine.run_out(now, None)
            self._pending.remove(chosen)
            self.order.append(chosen.entry.id)
            chosen.fire(now, chosen.about)
            if self._until is not None and len(rows) - begins > self._until * ROW_BYTES:
                return
            if len(rows) > engine.most and len(self.order) % len(STRIDE) == 0:
                self._take_up(engine)
                if self._pending:
                    engine.stop_full()

    def _choose(self, enabled: tuple[Entry, ...]) -> int:
        self.choosing = True
        place = self._scheduler.choose(enabled)
        self.choosing = False
        if type(place) is int and 0 <= place < len(enabled):
            return place
        message = (
            f"{self._scheduler!r} chose {place!r}; expected the place of one of the "
            f"{len(enabled)} entries that it was given"
        )
        raise InvalidArgumentError(message)

    def _take_up(self, engine: Engine) -> None:
        """Name what was put into the engine's agenda since, and forget what would do nothing."""
        for due_ns, ordinal, fire, about in sorted(engine.agenda, key=lambda put: put[1]):
            kind, agent, label, channel = told_of(fire, about)
            name = f"{kind}:{agent}:{label}" if label else f"{kind}:{agent}"
            turn = self._names[name] = self._names.get(name, 0) + 1
            entry_id = name if turn == 1 else f"{name}#{turn}"
            entry = Entry(entry_id, due_ns, agent, kind, channel)
            insort(self._pending, Pending(due_ns, ordinal, fire, about, entry), key=_when)
        engine.agenda.clear()
        matters = engine.matters
        self._pending = [item for item in self._pending if matters(item.fire, item.about)]

    def _offered(self) -> list[Pending]:
        pending = self._pending
        if not self._untimed:
            return [item for item in pending if item.due_ns == pending[0].due_ns]
        if not self._fifo:
            return pending
        first: dict[tuple[str, str], int] = {}
        for item in pending:
            channel = item.entry.channel
            if channel is not None:
                first[channel] = min(item.ordinal, first.get(channel, item.ordinal))
        return [
            item
            for item in pending
            if item.entry.channel is None or first[item.entry.channel] == item.ordinal
        ]


def agenda_for(scheduler: Scheduler | None, *, untimed: bool, fifo: bool) -> Agenda | None:
    """Return the agenda that a scheduler takes entries from; None without one.

    Raises:
        InvalidArgumentError: it is none, or a schedule without time has nobody to choose it.
    """
    if scheduler is None:
        if untimed or fifo:
            message = (
                "untimed and fifo say what a scheduler may choose from; give one, such as "
                "scheduler=RandomScheduler(7)"
            )
            raise InvalidArgumentError(message)
        return None
    if not callable(getattr(scheduler, "choose", None)):
        message = (
            f"scheduler is {scheduler!r}; expected something with choose(enabled), which returns "
            "the place of one of the entries"
        )
        raise InvalidArgumentError(message)
    return Agenda(scheduler, untimed=untimed, fifo=fifo)


def agenda_of(recipe: Recipe, *, until: int | None = None) -> Agenda | None:
    """Return the agenda that makes a recipe's run; None where it is that of time.

    Args:
        recipe: with a schedule, or with choices.
        until: stop at a row; then every pending entry is offered, and taken as in the run.
    """
    schedule, choices = recipe.schedule, recipe.choices
    if schedule is None and not choices and until is None:
        return None
    guide = Guide(() if schedule is None else schedule.order, choices)
    # What another entry is to come before waits beyond its time.
    free = schedule is None or schedule.untimed or bool(choices) or until is not None
    fifo = schedule is not None and schedule.fifo
    return Agenda(guide, untimed=free, fifo=fifo, until=until)


def _when(pending: Pending) -> tuple[int, int]:
    return pending.due_ns, pending.ordinal


def told_of(fire: Fire, about: Any) -> tuple[str, str, str, tuple[str, str] | None]:
    """Return the kind of an entry, whom it concerns, its label, and the channel of a message."""
    function = getattr(fire, "__name__", "entry")
    kind = KINDS.get(function, function.strip("_"))
    owner = getattr(fire, "__self__", None)
    agent = _name_of(owner)
    if isinstance(about, Call):
        return _told_of_call(kind, agent, about)
    if isinstance(about, (Start, Signal, Cancel)):
        name = about.name if isinstance(about, Signal) else type(about).__name__.lower()
        return kind, about.workflow_id, name, None
    if kind == "signal":
        (workflow_id, name, _), _ = about
        return kind, workflow_id, name, ("@signals", workflow_id)
    parts = about if isinstance(about, tuple) else (about,)
    subjects = [found for found in map(_name_of, parts) if found]
    calls = [part.label for part in parts if isinstance(part, Call)]
    texts = [part for part in parts if isinstance(part, str)]
    talk = getattr(owner, "call", None)
    if isinstance(talk, Call):
        calls.insert(0, talk.label)
    if not agent:
        named = subjects or texts
        agent = named.pop(0) if named else ""
    return kind, agent, "/".join([*subjects, *calls, *texts]), None


def _told_of_call(kind: str, agent: str, call: Call) -> tuple[str, str, str, Any]:
    driver, server = call.driver, call.server
    label = call.name if server is None else call.label
    workflow_id = "" if driver is None else driver.workflow_id
    if kind in _OF_WORKFLOWS and workflow_id:
        agent = workflow_id
    if server is not None and (kind == "deliver" or not agent):
        agent = server.name
    if server is None or kind not in {"deliver", "answer"}:
        return kind, agent, label + (call.delivery if kind == "work" else ""), None
    sender = workflow_id or label.partition("/")[0]
    ends = (sender, server.name) if kind == "deliver" else (server.name, agent)
    return kind, agent, label, ends


def _name_of(value: Any) -> str:
    """Return the id of a workflow, an agent, a step, or whatever belongs to one."""
    for attribute in ("workflow_id", "name", "server", "_server", "_driver", "call", "step"):
        found = getattr(value, attribute, None)
        if isinstance(found, str):
            return found
        if found is not None:
            return _name_of(found)
    return ""
