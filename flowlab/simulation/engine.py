"""A world that runs: its agenda in virtual time, and whoever takes part in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import CauseKind
from flowlab.events.codec import decode_payload, encode_json
from flowlab.simulation.context import AgentContext
from flowlab.simulation.draws import keys_of
from flowlab.simulation.driver import Driver, Fire, Over
from flowlab.simulation.fault_source import FaultSource
from flowlab.simulation.locks import HeldLock, Locks
from flowlab.simulation.network import HOST
from flowlab.simulation.outage import forget
from flowlab.simulation.recorder import NOTHING, ROW, ROW_BYTES, Value
from flowlab.simulation.server import Server
from flowlab.simulation.transit import Transit
from flowlab.simulation.workflows import Workflows
from flowlab.workflow.chance import Random, stream
from flowlab.workflow.names import listed

if TYPE_CHECKING:
    from flowlab.simulation.agenda import Agenda
    from flowlab.simulation.call import Call
    from flowlab.simulation.drawn_ahead import DrawnAhead
    from flowlab.simulation.recipe import Recipe
    from flowlab.simulation.recorder import Recorder
    from flowlab.simulation.world import World
    from flowlab.workflow.cells import Cells

KEYS: Final = ("latency", "service", "faults")
"""What a world draws, each with a key of its own."""
STRIDE: Final = range(32)
_FAULT: Final = int(CauseKind.FAULT)


class Engine:
    """One world in virtual time.

    Entries of the agenda are (due, ordinal, what to do, with what). Equal times are taken in the
    order in which they were put in; agents are made in the order of their ids, so that the order of
    declaration says nothing.

    Args:
        world: what is simulated.
        recipe: the seed of all draws, and what may go wrong.
        recorder: where it is written; one recorder may hold many worlds.
        guide: takes the entries instead, in another order than that of time.
        drawn: what was drawn ahead for the worlds of a batch, and the place of this one among them.

    Attributes:
        keys: of its draws, as `DrawnAhead` has them.
        most: at how many bytes of rows it is stopped.
        stopped: the limit that it has reached, if it has.
    """

    def __init__(
        self,
        world: World,
        recipe: Recipe,
        recorder: Recorder,
        guide: Agenda | None = None,
        drawn: tuple[DrawnAhead, int] | None = None,
    ) -> None:
        self.world = world
        self.seed = recipe.seed
        self.recorder = recorder
        self.rows = recorder.rows
        self.begins = len(recorder.rows)
        self.agenda: list[tuple[int, int, Fire, Any]] = []
        self._guide = guide
        self.drawn = drawn
        self.keys: Sequence[int] = (
            keys_of(self.seed, KEYS) if drawn is None else drawn[0].keys[drawn[1]]
        )
        self.stopped = ""
        self.most = len(self.rows) + world.max_events * ROW_BYTES
        self.happened: dict[str, None] = {}
        self._ordinals = count()
        self.ordinal = self._ordinals.__next__
        self._fifos: dict[int, deque[tuple[int, int, Call]]] = {}
        self._first: dict[str, Server | None] = {}
        self._correlations: dict[str, int] = {}
        self._writers: dict[tuple[str, str], int] = {}
        self._locks: Locks | None = None
        self.fates: dict[int, tuple[str, str, Call]] = {}
        self.context = AgentContext(recorder.streams)
        self.world_code = recorder.stream("@world", "@world")
        self.faults = self._source(recipe)
        self.servers = {agent.name: Server(self, agent) for agent in world.agents}
        self.shared: dict[str, dict[str, Any]] = {
            resource.name: decode_payload(encode_json(dict(resource.state)))
            for resource in world.resources
        }
        self.workflows = Workflows(self)
        self.transit = Transit(self)

    def __repr__(self) -> str:
        if not vars(self):
            return "Engine(closed)"
        return f"Engine({self.world!r}, seed={self.seed}, {len(self.agenda)} pending)"

    def _source(self, recipe: Recipe) -> FaultSource | None:
        if not recipe.faults.kinds:
            return None
        return FaultSource(
            recipe.faults,
            self.keys[2],
            agents=(HOST, *self.world.names),
            suppressed=recipe.without,
            horizon_ns=self.world.max_time_ns,
            keys=self.keys[3:] or None,
        )

    # -- the agenda -------------------------------------------------------------------------------

    def at(self, due_ns: int, fire: Fire, about: Any) -> None:
        """Put an entry into the agenda."""
        heappush(self.agenda, (due_ns, self.ordinal(), fire, about))

    def run(self) -> None:
        """Take entries in order of time until there is none, or a limit is reached."""
        try:
            if self._guide is None:
                self._run()
            else:
                self._guide.run(self)
        except Over:
            return
        except LimitError as error:
            # A workflow that never ends fills its history before it fills the world.
            self.stopped = str(error)

    def _run(self) -> None:
        agenda, rows, most = self.agenda, self.rows, self.most
        # Behind it comes only what is later than the world may last.
        heappush(agenda, (self.world.max_time_ns + 1, -1, self.run_out, None))
        while True:
            # The events are counted now and then: that is enough for a limit that is far away.
            for _ in STRIDE:
                now, _, fire, about = heappop(agenda)
                fire(now, about)
            if len(rows) > most and self.goes_on():
                self.stop_full()

    def progress(self) -> object:
        """Return what is another value whenever code has come back."""
        if self._guide is not None and self._guide.choosing:
            return object()
        return len(self.rows), len(self.agenda), repr(self._ordinals)

    def run_out(self, now_ns: int, _: object) -> NoReturn:
        """Stop: whatever is left would happen too late."""
        if self.goes_on():
            self.stopped = f"max_time: it goes on after {self.world.max_time_ns / 1e9:g} s"
        raise Over(now_ns)

    def stop_full(self) -> NoReturn:
        """Stop, because too much was written."""
        self.stopped = f"max_events: it has more than {self.world.max_events:,} events"
        raise Over

    def goes_on(self) -> bool:
        """Say whether anything in the agenda would do something: not what is answered already."""
        return any(
            ordinal >= 0 and self.matters(fire, about) for _, ordinal, fire, about in self.agenda
        )

    def matters(self, fire: Fire, about: Any) -> bool:
        """Say whether an entry would do something."""
        if fire == self.expire:
            return not about.done
        if fire == self._go_off:
            return any(not call.done for _, _, call in self._fifos[about[0]])
        driver = getattr(fire, "__self__", None)
        return not (isinstance(driver, Driver) and driver.is_over(fire, about))

    @property
    def last_ns(self) -> int:
        """The time of the event that was written last, 0 before the first."""
        rows = self.rows
        if len(rows) == self.begins:
            return 0
        return int(ROW.unpack_from(rows, len(rows) - ROW_BYTES)[0])

    def arm(self, now_ns: int, call: Call, timeout_ns: int) -> None:
        """Give a call up after a time, unless it is answered before.

        Timers of one duration go off in the order in which they were armed: they wait in a queue of
        which only the first has an entry in the agenda, and what is answered leaves it unseen. That
        entry stands where the timer's own would: an answer in the same nanosecond is too late.
        """
        due, ordinal = now_ns + timeout_ns, self.ordinal()
        if self._guide is not None:
            heappush(self.agenda, (due, ordinal, self.expire, call))
            return
        fifo = self._fifos.get(timeout_ns)
        if fifo is None:
            fifo = self._fifos[timeout_ns] = deque()
            heappush(self.agenda, (due, ordinal, self._go_off, (timeout_ns, ordinal)))
        else:
            while fifo and fifo[0][2].done:
                fifo.popleft()
        fifo.append((due, ordinal, call))

    def _go_off(self, now_ns: int, told: tuple[int, int]) -> None:
        timeout_ns, turn = told
        fifo = self._fifos[timeout_ns]
        while fifo:
            due, ordinal, call = fifo[0]
            if call.done:
                fifo.popleft()
            elif ordinal == turn:
                fifo.popleft()
                self.expire(now_ns, call)
            else:
                heappush(self.agenda, (due, ordinal, self._go_off, (timeout_ns, ordinal)))
                return
        del self._fifos[timeout_ns]

    def expire(self, now_ns: int, call: Call) -> None:
        """Give a call up that is not answered."""
        assert call.driver is not None
        call.driver.give_up(now_ns, call)

    def cancel_call(self, now_ns: int, call: Call) -> None:
        """Ask an agent not to begin what it has been asked for."""
        self.at(now_ns + call.request_ns, call.server.withdraw, call)

    # -- faults -----------------------------------------------------------------------------------

    def inject(
        self,
        now_ns: int,
        fault_id: str,
        facts: Mapping[str, Any],
        stream_code: int,
        coordination: int,
        cause: int,
    ) -> int:
        """Write a fault that has no event of its own; return its row."""
        self.happened[fault_id] = None
        recorder = self.recorder
        shape = recorder.shape(
            "FaultInjected",
            name=fault_id.partition(":")[0],
            value=Value.JSON,
            kind_a=_FAULT,
            follows_lane=stream_code != self.world_code,
        )
        value = recorder.keep(encode_json({"fault": fault_id, **facts}))
        return recorder.add(now_ns, shape, stream_code, coordination, cause, value=value)

    # -- whoever takes part -----------------------------------------------------------------------

    def server(self, name: str) -> Server:
        """Return an agent by id.

        Raises:
            InvalidArgumentError: there is none.
        """
        found = self.servers.get(name)
        if found is None:
            message = f"no agent is called {name!r}; the world has {listed(self.servers)}"
            raise InvalidArgumentError(message)
        return found

    def server_for(self, name: str | None, activity: str) -> Server | None:
        """Return the agent that is asked for, or the first by id that has the activity."""
        if name is not None:
            server = self.servers.get(name)
            return server if server and activity in server.agent.handlers else None
        if activity not in self._first:
            able = (s for s in self.servers.values() if activity in s.agent.handlers)
            self._first[activity] = next(able, None)
        return self._first[activity]

    def unknown(self, name: str | None, activity: str) -> str:
        """Say why nobody can be asked for an activity."""
        if name is None:
            return f"no agent has a handler for {activity!r}"
        if name not in self.servers:
            return f"no agent is called {name!r}; the world has {listed(self.servers)}"
        has = listed(self.servers[name].agent.handlers)
        return f"agent {name!r} has no handler for {activity!r}; it has: {has}"

    def random(self, *names: object) -> Random:
        """Return a stream of chance of this run."""
        return stream(self.seed, *names)

    def correlation(self, name: str, own: int) -> int:
        """Return the code under which a correlation id is written."""
        if name == self.recorder.streams[own].name:
            return own
        code = self._correlations.get(name)
        if code is None:
            code = self._correlations[name] = self.recorder.stream(name, name)
        return code

    def close(self) -> None:
        """Let go of everything: who takes part in a world and the world hold each other.

        So it is freed at once, while it is at hand, and no collector has to look for it.
        """
        if self._locks is not None:
            self._locks.forget()
        for server in self.servers.values():
            if server.busy is not None or server.mailbox or server.talks:
                forget(server)
        for driver in self.workflows.drivers.values():
            driver.forget()
        self.context.leave()
        vars(self).clear()

    @property
    def locks(self) -> Locks:
        """The semantic locks of all agents."""
        if self._locks is None:
            self._locks = Locks(self)
        return self._locks

    def held_locks(self) -> tuple[HeldLock, ...]:
        """Return who holds which semantic lock."""
        return () if self._locks is None else self._locks.held()

    def stashed(self) -> list[Call]:
        """Return the messages that wait for semantic locks."""
        return [] if self._locks is None else self._locks.stashed()

    # -- resources --------------------------------------------------------------------------------

    def resource(self, name: str) -> dict[str, Any]:
        """Return the cells of a resource.

        Raises:
            InvalidArgumentError: there is none.
        """
        if name not in self.shared:
            message = f"no resource is called {name!r}; the world has {listed(self.shared)}"
            raise InvalidArgumentError(message)
        return self.shared[name]

    def commit_resources(
        self, row: int, others: Mapping[str, Cells], changed: Mapping[str, dict[str, Any]]
    ) -> list[int]:
        """Commit what a transaction did to resources; return the events it follows from.

        Whoever reads or overwrites a shared cell follows from the last that wrote it.
        """
        causes = self.writers_of(others, changed)
        for name, changes in changed.items():
            for key in changes:
                self._writers[name, key] = row
            others[name].commit(changes)
        return causes

    def writers_of(
        self, others: Mapping[str, Cells], changed: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[int]:
        """Return the events that last wrote the shared cells that were read or are overwritten."""
        causes: dict[int, None] = {}
        for name, cells in others.items():
            for key in (*cells.reads, *(changed or {}).get(name, ())):
                writer = self._writers.get((name, key), NOTHING)
                if writer != NOTHING:
                    causes[writer] = None
        return sorted(causes)
