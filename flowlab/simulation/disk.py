"""The durable state of an agent under disk faults: what a crash leaves of its writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowlab.events.codec import encode_json
from flowlab.simulation.call import Leg
from flowlab.simulation.draws import bits
from flowlab.simulation.injection import DelayedWrite, LostWrite
from flowlab.workflow.cells import GONE, own

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

    __slots__ = ("_crashes", "_durable", "_faults", "_landed", "_server", "_turn", "unsure")

    def __init__(self, server: Server, faults: FaultSource) -> None:
        self._server = server
        self._faults = faults
        self._durable: dict[str, Any] = own(server.state)
        self._turn = 0
        self._landed: dict[str, int] = {}
        self._crashes = 0
        self.unsure: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"Disk({self._server.name!r})"

    def write(self, now_ns: int, call: Call, written: dict[str, Any]) -> None:
        """Take the writes of a transaction; `GONE` is a cell that was deleted."""
        server = self._server
        key = bits(call.key, 1 << 20 | call.deliveries)
        leg, talk = call.delivery, server.talks.get(call)
        if talk is not None and talk.segment:
            # A handler that waits writes in each of its segments.
            leg, key = f"{leg}.{talk.segment}", bits(key, talk.segment)
        fault = self._faults.disk(server.name, Leg(call, leg), key)
        self._turn += 1
        if fault is None:
            self._flush(written, self._turn)
            return
        facts: dict[str, Any] = {"cells": sorted(written)}
        self.unsure[call.idempotency_key] = None
        if isinstance(fault, LostWrite):
            kept: dict[str, Any] = {}
        elif isinstance(fault, DelayedWrite):
            kept = {}
            facts["delay_ns"] = fault.delay_ns
            due = (call.idempotency_key, written, self._turn, self._crashes)
            server.engine.at(now_ns + fault.delay_ns, self._arrive, due)
        else:
            cells = sorted(written)
            count = min(int(fault.share * len(cells)), len(cells) - 1)
            kept = {cell: written[cell] for cell in cells[:count]}
            facts["durable"] = sorted(kept)
        server.engine.inject(now_ns, fault.fault_id, facts, server.code, call.coordination, -1)
        self._flush(kept, self._turn)

    def _arrive(self, _: int, told: tuple[str, dict[str, Any], int, int]) -> None:
        """Make a delayed write durable, unless the agent has crashed since."""
        request, written, turn, crashes = told
        if crashes == self._crashes:
            self.unsure.pop(request, None)
            self._flush(written, turn)

    def _flush(self, written: dict[str, Any], turn: int) -> None:
        """Make cells durable, but for those that a later write has made durable already."""
        for cell, value in written.items():
            if self._landed.get(cell, 0) > turn:
                continue
            self._landed[cell] = turn
            if value is GONE:
                self._durable.pop(cell, None)
            else:
                self._durable[cell] = own(value)

    def crash(self) -> None:
        """Lose what is on its way."""
        self._crashes += 1

    def recover(self) -> dict[str, Any]:
        """Make the durable state that of the agent; return the cells that are not as they were."""
        state, durable = self._server.state, self._durable
        changed = {
            cell: durable.get(cell)
            for cell in sorted(state.keys() | durable.keys())
            if encode_json(state.get(cell)) != encode_json(durable.get(cell))
            or (cell in state) != (cell in durable)
        }
        state.clear()
        state.update(own(durable))
        return changed
