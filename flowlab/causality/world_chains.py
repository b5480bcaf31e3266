"""One world of a log: its chains, and clocks over them alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality.world_state import Writes
from flowlab.errors import InvalidArgumentError, LimitError, NotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.graph import CausalGraph
    from flowlab.causality.order import CausalOrder

MAX_TABLE_CELLS: Final = 200_000_000
"""Most cells of a table of all clocks of a world: its events times the chains of the log."""
_SHOWN: Final = 5


class WorldChains:
    """The chains of one world, numbered from 0.

    Args:
        order: the order of the log.
        world: the world's code.
    """

    def __init__(self, order: CausalOrder, world: int) -> None:
        chains = order.chains
        self.order = order
        self.world = world
        self.chains: NDArray[np.int64] = np.flatnonzero(
            order.graph.lanes.world[chains.lane] == world
        )
        self.lengths: NDArray[np.int64] = chains.lengths[self.chains]
        self.begin: NDArray[np.int64] = chains.start[:-1][self.chains]

    def __len__(self) -> int:
        return len(self.chains)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make it again: what was derived stays behind."""
        return type(self), (self.order, self.world)

    @property
    def size(self) -> int:
        """How many events the world has."""
        return int(self.lengths.sum())

    @cached_property
    def rows(self) -> NDArray[np.int32]:
        """The world's rows, chain by chain."""
        parts = [self.order.chains.rows_of(int(chain)) for chain in self.chains]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each chain begins in `rows`."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def writes(self) -> Writes:
        """Which events of the world wrote which cells."""
        return Writes(self)

    def row(self, chain: int, place: int) -> int:
        """Return the row at a place, from 1, of a chain."""
        return int(self.order.chains.rows[self.begin[chain] + place - 1])

    def chain_of(self, row: int) -> int:
        """Return the number of a row's chain."""
        return int(np.searchsorted(self.chains, self.order.chains.chain[row]))

    def needs(self, row: int) -> NDArray[np.int64]:
        """Return how much of each chain a row and its past are."""
        clock: NDArray[np.int64] = self.order.index.prefix(row)[self.chains]
        return clock

    def allows(self, row: int) -> NDArray[np.int64]:
        """Return how much of each chain is neither a row nor its future."""
        bounds: NDArray[np.int64] = self.order.index.suffix(row)[self.chains]
        bounds[self.chain_of(row)] = self.order.chains.place[row] - 1
        return bounds

    def table(self) -> NDArray[np.int32]:
        """Return `needs` of all rows, chain by chain.

        Raises:
            LimitError: it has more than `MAX_TABLE_CELLS`.
        """
        cells = self.size * len(self.order.chains)
        if cells > MAX_TABLE_CELLS:
            message = (
                f"{self.size} events on {len(self.order.chains)} chains need {cells} cells, more "
                f"than MAX_TABLE_CELLS={MAX_TABLE_CELLS}; take one run, or a piece of the log"
            )
            raise LimitError(message)
        wide = np.zeros((self.size, len(self.order.chains)), np.int32)
        self.order.index.prefixes(self.rows, out=wide)
        return wide[:, self.chains] if len(self) < wide.shape[1] else wide

    def full(self, counts: tuple[int, ...]) -> NDArray[np.int64]:
        """Return counts of this world's chains as counts of all chains of the log."""
        wide = np.zeros(len(self.order.chains), np.int64)
        wide[self.chains] = counts
        return wide


def world_of(graph: CausalGraph, run_id: str | None, namespace: str | None) -> int:
    """Return the code of the world that is meant.

    Raises:
        NotFoundError: the log has no such run.
        InvalidArgumentError: it has several, and none or not one alone is named.
    """
    if run_id is None and namespace is None and len(graph.worlds) <= 1:
        return 0
    found = [
        code
        for code, (space, run) in enumerate(graph.worlds)
        if run_id in {None, run} and namespace in {None, space}
    ]
    if len(found) == 1:
        return found[0]
    names = [f"{space}/{run}" for space, run in graph.worlds]
    shown = ", ".join(sorted(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    if not found:
        message = f"the log has no run {run_id!r}; it has (namespace/run_id) {shown}"
        raise NotFoundError(message)
    message = (
        f"the log holds {len(found)} runs that may be meant ({shown}); a cut lies in one: "
        "name it by run_id=... and namespace=..., or take log.filter(run_id=...).causality"
    )
    raise InvalidArgumentError(message)
