"""What an order is asked about its cuts: the part of `CausalOrder` that has to do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from flowlab.causality.choosing import Frontier, find_cut
from flowlab.causality.cuts import Cut
from flowlab.causality.lattice import Cuts
from flowlab.causality.predicates import (
    MAX_CUTS_SEEN,
    Definitely,
    Possibly,
    Predicate,
    definitely,
    possibly,
)
from flowlab.causality.width import widest
from flowlab.causality.world_chains import WorldChains, world_of
from flowlab.causality.world_state import WorldState, state_on
from flowlab.errors import InvalidArgumentError

if TYPE_CHECKING:
    from datetime import timedelta

    from numpy.typing import NDArray

    from flowlab.causality.order import CausalOrder
    from flowlab.causality.selecting import EventRef


class CutQuestions:
    """Cuts of a log, their states, and predicates over them; `CausalOrder` has all of it."""

    @cached_property
    def _worlds(self) -> dict[int, WorldChains]:
        return {}

    def world_chains(self, world: int) -> WorldChains:
        """Return the chains of one world, by its code in `graph.worlds`."""
        if world not in self._worlds:
            self._worlds[world] = WorldChains(cast("CausalOrder", self), world)
        return self._worlds[world]

    def cut(
        self,
        events: Iterable[EventRef] | EventRef | None = None,
        *,
        position: int | None = None,
        time_ns: int | timedelta | None = None,
        frontier: Frontier | None = None,
        past_of: Iterable[EventRef] | EventRef | None = None,
        json: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        namespace: str | None = None,
    ) -> Cut:
        """Return a cut: a set of events of one run, consistent or not.

        Args:
            events: exactly these.
            position: the events up to a position in the whole log.
            time_ns: the events up to a time.
            frontier: of each agent, its events up to one: `{"a": 3}` by tick, or an event; who is
                not named has none.
            past_of: an event, or several, and all that happened before them.
            json: what `Cut.to_json` has told.
            run_id: which run, where the log holds several and no event says so.
            namespace: of the run.

        Raises:
            InvalidArgumentError: not exactly one way is used, or several runs may be meant.
            NotFoundError: the log has no such event, agent or run.

        Example:
            >>> from flowlab import EventLog
            >>> order = EventLog.from_text("A: a@1 >m@5 | B: <m@3 b@4").causality
            >>> order.cut(time_ns=4)
            Cut(3 of 4 events, not consistent)
            >>> order.cut(past_of=("@B", 1)).to_json()["lanes"]
            {'A': 2, 'B': 1}
        """
        ways = {
            "events": events,
            "position": position,
            "time_ns": time_ns,
            "frontier": frontier,
            "past_of": past_of,
            "json": json,
        }
        return find_cut(cast("CausalOrder", self), ways, run_id, namespace)

    def cuts(self, *, run_id: str | None = None, namespace: str | None = None) -> Cuts:
        """Return all consistent cuts of one run: to count them, or to visit one after the other.

        Raises:
            InvalidArgumentError: several runs may be meant.
            NotFoundError: the log has no such run.
        """
        graph = cast("CausalOrder", self).graph
        return Cuts(self.world_chains(world_of(graph, run_id, namespace)))

    def state_on(self, cut: Cut) -> WorldState:
        """Return the state of the world on a cut, from the recorded writes.

        A cell holds what the last event in the cut that wrote it left there, in causal order. The
        values are in that event's payload: `{"values": {key: value}}` of the agent's own cells,
        `{"resources": {owner: {key: value}}}` of others'. What was never written is not in it.

        Raises:
            InvalidArgumentError: it is no cut, or one of another log.

        Example:
            >>> from flowlab import EventLog
            >>> write = {"agent_id": "bank", "event_type": "TransactionCommitted",
            ...          "writes": [{"owner": "bank", "key": "balance"}]}
            >>> order = EventLog.from_events([
            ...     {"workflow_id": "@bank", "sequence": tick, "agent_sequence": tick, **write,
            ...      "payload": {"values": {"balance": left}}} for tick, left in [(1, 70), (2, 30)]
            ... ]).causality
            >>> order.state_on(order.cut(frontier={"bank": 1})).get("bank", "balance")
            70
        """
        log = cast("CausalOrder", self).log
        if not isinstance(cut, Cut) or cut.home.order.log is not log:
            message = f"{cut!r:.80} is no cut; order.cut(...) makes one, of this log"
            raise InvalidArgumentError(message)
        return state_on(cut)

    def possibly(
        self,
        predicate: Predicate,
        *,
        limit: int = MAX_CUTS_SEEN,
        run_id: str | None = None,
        namespace: str | None = None,
    ) -> Possibly:
        """Say whether a run may have been in a state where a predicate held, and give such a cut.

        Args:
            predicate: a function of a `Cut`, or a `Conjunctive`, for which the answer is the least
                such cut, in polynomial time.
            limit: cuts at which a function is asked at most.
            run_id: which run, where the log holds several.
            namespace: of the run.

        Raises:
            InvalidArgumentError: it is no predicate or no limit, or several runs may be meant.
            NotFoundError: the log has no such run, or the run no such agent.
            LimitError: it was asked at so many cuts, and held at none of them.

        Example:
            >>> from flowlab import EventLog
            >>> order = EventLog.from_text("A: a >m | B: b <m").causality
            >>> bool(order.possibly(lambda cut: "A" not in cut.frontier and len(cut) == 1))
            True
        """
        home = self.world_chains(world_of(cast("CausalOrder", self).graph, run_id, namespace))
        return possibly(home, predicate, limit)

    def definitely(
        self,
        predicate: Predicate,
        *,
        limit: int = MAX_CUTS_SEEN,
        run_id: str | None = None,
        namespace: str | None = None,
    ) -> Definitely:
        """Say whether a run was in any case once in a state where a predicate held.

        If it need not have been, the answer has a way through the world on which it never holds.
        The arguments and errors are those of `possibly`.

        Example:
            >>> from flowlab import EventLog
            >>> order = EventLog.from_text("A: a >m | B: b <m").causality
            >>> order.definitely(lambda cut: len(cut) == 2)
            Definitely(on every way)
        """
        home = self.world_chains(world_of(cast("CausalOrder", self).graph, run_id, namespace))
        return definitely(home, predicate, limit)

    @cached_property
    def _widest(self) -> dict[int, NDArray[np.int32]]:
        return {}

    def widest(
        self, *, run_id: str | None = None, namespace: str | None = None
    ) -> NDArray[np.int32]:
        """Return the rows of as many events of one run as are concurrent at most.

        Raises:
            InvalidArgumentError: several runs may be meant.
            NotFoundError: the log has no such run.
        """
        world = world_of(cast("CausalOrder", self).graph, run_id, namespace)
        return self._widest_of(world).copy()

    def _widest_of(self, world: int) -> NDArray[np.int32]:
        if world not in self._widest:
            self._widest[world] = widest(self.world_chains(world))
        return self._widest[world]

    @property
    def widths(self) -> dict[tuple[str, str], int]:
        """The width of each run, by (namespace, run_id)."""
        worlds = cast("CausalOrder", self).graph.worlds
        return {name: len(self._widest_of(world)) for world, name in enumerate(worlds)}

    @property
    def width(self) -> int:
        """How many events of one run are concurrent at most: of several runs, the most of any.

        It is exact (`flowlab.causality.width` says how): seconds for a million events on a hundred
        lanes where some event of each lane are all concurrent, and otherwise a pass over the log
        for every few chains by which the lanes are more than the width.

        Example:
            >>> from flowlab import EventLog
            >>> EventLog.from_text("A: a >m | B: b <m | C: c").causality.width
            3
        """
        return max(self.widths.values(), default=0)
