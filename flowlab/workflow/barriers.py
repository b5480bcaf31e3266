"""Where branches of a workflow wait for each other."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from flowlab.errors import CancelledError, InvalidArgumentError
from flowlab.events import CauseKind, Event
from flowlab.workflow.answers import told
from flowlab.workflow.commands import Commands
from flowlab.workflow.handles import Handle, Promise
from flowlab.workflow.past import Because


class _Place:
    """A barrier: who must arrive, who has, and who waits for it to open."""

    __slots__ = ("arrivals", "missing", "opened", "required", "waiting")

    def __init__(self, required: frozenset[str]) -> None:
        self.required = required
        self.missing = set(required)
        self.arrivals: list[int] = []
        self.waiting: dict[int, Handle] = {}
        self.opened = 0


class Barriers:
    """The barriers of one workflow, by name. One that has opened stays open.

    Args:
        commands: what the workflow asks for.
    """

    __slots__ = ("_commands", "_places")

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._places: dict[str, _Place] = {}

    def arrive(self, name: str, agents: Collection[str], arriving: Collection[str]) -> Handle:
        """Arrive for some agents; the handle is done when all have arrived.

        Raises:
            InvalidArgumentError: nobody arrives, or somebody whom the barrier does not wait for,
                or the barrier waits for others elsewhere.
        """
        required = frozenset(() if isinstance(agents, str) else agents)
        here = frozenset([arriving] if isinstance(arriving, str) else arriving)
        place = self._places.get(name) or _Place(required)
        self._check(name, place, required, here)
        self._places[name] = place
        handle = Promise(f"barrier {name!r}")
        handle.stopper = partial(self._leave, handle)
        self._ask("BarrierArrived", name, here, None, partial(self._arrived, name, here, handle))
        return handle

    @property
    def awaited(self) -> list[str]:
        """A word for each barrier at which somebody waits, with those who have not arrived."""
        return [
            f"barrier {name!r}, where {' and '.join(sorted(place.missing))} did not arrive"
            for name, place in self._places.items()
            if place.missing and not all(handle.done for handle in place.waiting.values())
        ]

    def clear(self) -> None:
        """Begin anew, with no barrier open."""
        self._places.clear()

    def _check(
        self, name: str, place: _Place, required: frozenset[str], here: frozenset[str]
    ) -> None:
        rule = None
        if not required or not all(isinstance(agent, str) and agent for agent in required):
            rule = "agents are given as a list of at least one name"
        elif required != place.required:
            rule = f"it waits for {sorted(required)} here, and for {sorted(place.required)} before"
        elif not here <= required:
            rule = f"{sorted(here - required)} are not among those it waits for: {sorted(required)}"
        elif not here:
            rule = (
                f"this branch has called none of {sorted(required)}; say for whom it arrives "
                "(arriving=...)"
            )
        if rule is not None:
            message = f"barrier {name!r} of workflow {self._commands.workflow_id!r}: {rule}"
            raise InvalidArgumentError(message)

    def _ask(
        self,
        event_type: str,
        name: str,
        agents: Collection[str],
        why: Because | None,
        recorded: partial[None],
    ) -> None:
        # The shape that a plan's barrier has: both are read by the same queries.
        self._commands.ask(
            event_type,
            name,
            {"agents": sorted(agents)},
            why=why,
            step_id=name,
            coordination_id=self._commands.workflow_id,
            recorded=recorded,
        )

    def _arrived(self, name: str, here: frozenset[str], handle: Handle, event: Event) -> None:
        place = self._places[name]
        if place.opened:
            self._pass(handle, place.opened, event.sequence)
            return
        place.waiting[event.sequence] = handle
        if place.missing:
            place.arrivals.append(event.sequence)
            place.missing -= here
            if not place.missing and not self._commands.closed:
                arrivals = dict.fromkeys(place.arrivals, int(CauseKind.JOIN))
                opened = partial(self._opened, place)
                self._ask("BarrierReleased", name, place.required, arrivals, opened)

    def _opened(self, place: _Place, event: Event) -> None:
        place.opened = event.sequence
        waiting, place.waiting = place.waiting, {}
        for arrival, handle in waiting.items():
            self._pass(handle, event.sequence, arrival)

    def _pass(self, handle: Handle, release: int, arrival: int) -> None:
        # Who arrived when it was open, or about to be, follows from both.
        both = {release: int(CauseKind.PROGRAM), arrival: int(CauseKind.PROGRAM)}
        handle.resolve(None, self._commands.minimal(both))

    def _leave(self, handle: Handle, reason: str, why: Because | None) -> None:
        error = CancelledError(told(f"{handle.what} was left", reason))
        handle.reject(error, self._commands.reasons(why))
