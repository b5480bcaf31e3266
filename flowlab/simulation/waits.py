"""Who waits for whom at the end of a world: what became of each message that is not answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from flowlab.simulation.call import Call
from flowlab.simulation.driver import OPEN, Driver
from flowlab.simulation.run import Stuck

if TYPE_CHECKING:
    from flowlab.simulation.engine import Engine
    from flowlab.simulation.server import Server

NOTHING_LEFT: Final = "nothing that is left to happen"
ITS_TURN: Final = "its turn: it was at work when the world was stopped"


def stuck_in(engine: Engine) -> tuple[Stuck, ...]:
    """Return the workflows of a world that have not ended, each with its wait-for chain."""
    drivers = engine.workflows.drivers
    left = [name for name, driver in drivers.items() if driver.status == OPEN]
    if not left:
        return ()
    waits = _Waits(engine)
    return tuple(Stuck(name, waits.chain_of(name)) for name in left)


class _Waits:
    """Where every message is that is not answered, and what follows from that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places: dict[Call, tuple[str, int]] = dict(_places(engine))
        self._asked: dict[Driver, list[Call]] = {}
        lost = [call for _, _, call in engine.fates.values()]
        for call in dict.fromkeys([*self._places, *lost]):
            answered = call.done or (call.origin is not None and call.origin.done)
            if call.driver is not None and not answered:
                self._asked.setdefault(call.driver, []).append(call)
        self._path: list[str] = []
        self._known: set[str] = set()

    def chain_of(self, workflow_id: str) -> tuple[str, ...]:
        """Return what a workflow waits for, and what that waits for."""
        self._known.clear()
        return tuple(self._workflow(workflow_id))

    def _workflow(self, workflow_id: str) -> Iterator[str]:
        driver = self._engine.workflows.drivers[workflow_id]
        calls = list(self._asked.get(driver, ()))
        told = driver.waiting() or [ITS_TURN if self._engine.stopped else NOTHING_LEFT]
        others = [call for call in calls if not any(text in told for text in _names_of(call))]
        with self._at(workflow_id):
            for text in told:
                call = next((call for call in calls if text in _names_of(call)), None)
                if call is not None:
                    calls.remove(call)
                    yield text
                    yield from self._call(call)
                elif text.startswith("child workflow "):
                    yield text
                    yield from self._other(text.removeprefix("child workflow ")[1:-1])
                elif not others:
                    yield text
            for call in others:
                # A plan that undoes says which step, and the message says what for.
                yield _names_of(call)[0]
                yield from self._call(call)

    def _other(self, workflow_id: str, *, holds: bool = False) -> Iterator[str]:
        """Say what another workflow waits for."""
        driver = self._engine.workflows.drivers.get(workflow_id)
        if driver is None or driver.status != OPEN:
            if holds:
                status = "no workflow" if driver is None else driver.status
                yield f"{workflow_id} is {status} and has not released it"
            return
        if workflow_id in self._path or workflow_id in self._known:
            yield self._seen(workflow_id)
            return
        first, *rest = self._workflow(workflow_id)
        yield f"{workflow_id} waits for {first}"
        yield from rest

    def _call(self, call: Call) -> Iterator[str]:
        """Say what became of a message."""
        server, name = call.server, call.server.name
        where, number = self._places.get(call, ("", 0))
        if where == "mailbox" and not server.up:
            yield f"{name} has crashed and is not back"
        elif where == "mailbox":
            others = f" behind {number} other{'s' * (number > 1)}" if number else ""
            yield f"it waits at {name}{others}"
            yield from self._agent(server)
        elif where == "talk":
            yield from self._agent(server, call)
        elif where == "lock":
            key, holders = self._engine.locks.waits_for(call) or ("", ())
            yield f"it waits at {name} for {key!r}, which {', '.join(holders)} holds"
            for holder in holders:
                yield from self._other(holder, holds=True)
        elif where:
            yield f"{name} works on it" if where == "work" else "it is on its way"
        elif call.asked in self._engine.fates:
            yield _fate(*self._engine.fates[call.asked])

    def _agent(self, server: Server, call: Call | None = None) -> Iterator[str]:
        """Say what keeps an agent, with a message or altogether."""
        name = server.name
        if name in self._path or name in self._known:
            yield self._seen(name)
            return
        busy = call or server.busy
        if busy is None:
            return
        with self._at(name):
            what = "it" if call is not None else f"{busy.name} for {_workflow_of(busy)}"
            talk = server.talks.get(busy)
            waits_for = None if talk is None else talk.waits_for
            if isinstance(waits_for, Call):
                asked = f"{waits_for.name} by {waits_for.server.name}"
                yield f"{name} is busy with {what}, and waits for {asked}"
                yield from self._call(waits_for)
            else:
                yield f"{name} is busy with {what}{'' if waits_for is None else ', and sleeps'}"

    def _seen(self, name: str) -> str:
        """Say that the chain has come to where it has been."""
        if name not in self._path:
            return f"{name} waits as told above"
        round_ = [*self._path[self._path.index(name) :], name]
        return f"a deadlock: {' waits for '.join(round_)}"

    @contextmanager
    def _at(self, name: str) -> Iterator[None]:
        self._path.append(name)
        yield
        self._path.pop()
        self._known.add(name)


def _places(engine: Engine) -> Iterator[tuple[Call, tuple[str, int]]]:
    """Yield where each message is that has neither been answered nor lost."""
    for _, _, _, about in sorted(engine.agenda, key=lambda entry: entry[:2]):
        if isinstance(about, Call) and not about.done:
            yield about, ("way", 0)
    for server in engine.servers.values():
        if server.busy is not None:
            yield server.busy, ("work", 0)
        for number, call in enumerate(server.mailbox):
            yield call, ("mailbox", number)
        for call in server.talks:
            yield call, ("talk", 0)
    for call in engine.stashed():
        yield call, ("lock", 0)


def _fate(fault_id: str, receiver: str, call: Call) -> str:
    name = call.server.name
    if fault_id.startswith("hang:"):
        return f"{name} hangs on it ({fault_id})"
    if receiver == name:
        return f"the message to {name} was lost ({fault_id})"
    return f"the answer of {name} was lost ({fault_id})"


def _names_of(call: Call) -> tuple[str, str]:
    """Return what a workflow calls what it waits for."""
    return f"{call.name} by {call.server.name}", f"{call.name} by any agent"


def _workflow_of(call: Call) -> Any:
    return call.server.engine.recorder.streams[call.coordination].name
