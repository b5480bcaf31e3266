"""The durable state of an agent under disk faults: what a crash leaves of its writes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from flowlab.simulation.call import Leg
from flowlab.simulation.cells import GONE, copied
from flowlab.simulation.draws import bits
from flowlab.simulation.injection import DelayedWrite, LostWrite

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.fault_source import FaultSource
    from flowlab.simulation.server import Server


class Disk:
    """What of an agent's cells would be there after a crash.

    A lost write is acknowledged and never reaches the disk; of a torn one only some of the cells
    do; a delayed one is durable only after a time. Nobody notices before the crash.

    Args:
        server: the agent.
        faults: the faults of its world.

    Attributes:
        unsure: the requests whose transactions are not durable, by idempotency key.
    """

    __slots__ = ("_durable", "_faults", "_server", "_writes", "unsure")

    def __init__(self, server: Server, faults: FaultSource) -> None:
        self._server = server
        self._faults = faults
        self._durable: dict[str, Any] = copied(server.state)
        self._writes: dict[str, int] = {}
        self.unsure: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"Disk({self._server.name!r})"

    def write(self, now_ns: int, call: Call, written: dict[str, Any]) -> None:
        """Take the writes of a transaction; `GONE` is a cell that was deleted."""
        server = self._server
        key = bits(call.key, 1 << 20 | call.deliveries)
        fault = self._faults.disk(server.name, Leg(call, call.delivery), key)
        writes = self._writes
        for cell in written:
            writes[cell] = writes.get(cell, 0) + 1
        if fault is None:
            self._flush(written)
            return
        facts: dict[str, Any] = {"cells": sorted(written)}
        self.unsure[call.idempotency_key] = None
        if isinstance(fault, LostWrite):
            kept: dict[str, Any] = {}
        elif isinstance(fault, DelayedWrite):
            kept = {}
            facts["delay_ns"] = fault.delay_ns
            due = {cell: (value, self._writes[cell]) for cell, value in written.items()}
            server.engine.at(now_ns + fault.delay_ns, self._arrive, (call.idempotency_key, due))
        else:
            cells = sorted(written)
            count = min(int(fault.share * len(cells)), len(cells) - 1)
            kept = {cell: written[cell] for cell in cells[:count]}
            facts["durable"] = sorted(kept)
        server.engine.inject(now_ns, fault.fault_id, facts, server.code, call.coordination, -1)
        self._flush(kept)

    def _arrive(self, _: int, told: tuple[str, dict[str, tuple[Any, int]]]) -> None:
        """Make a delayed write durable, where no later one has overtaken it."""
        request, due = told
        self.unsure.pop(request, None)
        self._flush(
            {cell: value for cell, (value, turn) in due.items() if self._writes[cell] == turn}
        )

    def _flush(self, written: dict[str, Any]) -> None:
        for cell, value in written.items():
            if value is GONE:
                self._durable.pop(cell, None)
            else:
                self._durable[cell] = value if type(value) is int else deepcopy(value)

    def recover(self) -> dict[str, Any]:
        """Make the durable state that of the agent; return the cells that are not as they were."""
        state, durable = self._server.state, self._durable
        changed = {
            cell: durable.get(cell)
            for cell in sorted(state.keys() | durable.keys())
            if state.get(cell) != durable.get(cell)
        }
        for cell in changed:
            # What was on its way when the agent crashed never arrives.
            self._writes[cell] = self._writes.get(cell, 0) + 1
        state.clear()
        state.update(copied(durable))
        return changed
