"""Many worlds in one recorder, and their logs: one table for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from flowlab.events import EventLog, RunInfo
from flowlab.simulation.finish import table_of
from flowlab.simulation.recorder import Recorder

if TYPE_CHECKING:
    from flowlab.simulation.recipe import Recipe
    from flowlab.simulation.world import World

VERSION = "flowlab 0.1.0"


class Batch:
    """The worlds that one recorder holds.

    Args:
        namespace: of all of them.
    """

    def __init__(self, namespace: str = "default") -> None:
        self.recorder = Recorder()
        self.namespace = namespace
        self._infos: list[RunInfo] = []
        self._table: pa.Table | None = None

    def __repr__(self) -> str:
        return f"Batch({self.recorder!r})"

    @property
    def last(self) -> int:
        """The place of the world that began last."""
        return len(self._infos) - 1

    @property
    def first(self) -> int:
        """The first row of that world."""
        return self.recorder.starts[-1]

    def begin(self, recipe: Recipe, world: World) -> None:
        """Begin a world."""
        self._table = None
        self.recorder.begin()
        self._infos.append(self._info(recipe, world))

    def retell(self, recipe: Recipe, world: World) -> None:
        """Say of the world that began last what it was made of, now that this is known."""
        self._infos[-1] = self._info(recipe, world)

    def _info(self, recipe: Recipe, world: World) -> RunInfo:
        told = recipe.told
        return RunInfo(
            namespace=self.namespace,
            run_id=recipe.run_id,
            clock="virtual",
            scenario=recipe.scenario.name,
            seed=recipe.seed,
            parameters=told.parameters,
            faults=told.faults,
            code_digest=told.code_digest,
            version=VERSION,
            attributes=told.attributes,
            agents=world.names,
        )

    def table(self) -> pa.Table:
        """Return the events of every world."""
        if self._table is None:
            run_ids = [info.run_id for info in self._infos]
            self._table = table_of(self.recorder, run_ids, self.namespace)
        return self._table

    def log(self) -> EventLog:
        """Return everything as one log."""
        return EventLog(self.table(), tuple(self._infos))

    def log_of(self, place: int) -> EventLog:
        """Return the log of one world."""
        infos = (self._infos[place],)
        if self._table is None and len(self._infos) > 1:
            # Whoever reads one log while others are still to come shall not pay for all of them.
            part = self.recorder.alone(place)
            return EventLog(table_of(part, [infos[0].run_id], self.namespace), infos)
        starts = [*self.recorder.starts, len(self.recorder)]
        table = self.table().slice(starts[place], starts[place + 1] - starts[place])
        return EventLog(table, infos)
