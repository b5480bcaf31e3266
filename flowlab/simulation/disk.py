"""The durable state of an agent under disk faults: what a crash leaves of its writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowlab.events.codec import encode_json
from flowlab.simulation.call import Leg
from flowlab.simulation.draws import bits
from flowlab.simulation.injection import DelayedWrite, LostWrite
from flowlab.workflow.cells import GONE, own

if TYPE_CHECKING:
    from flowlab.simulation.call import Call, Names
    from flowlab.simulation.fault_source import FaultSource
    from flowlab.simulation.server import Server


class Disk:
    """What of an agent's cells would be there after a crash.

    A lost write is acknowledged and never reaches the disk; of a torn one only some of the cells
    do; a delayed one is durable only after a time. Nobody notices before the crash.

    Args:
        server: the agent.
        faults: the faults of its world.

    What the agent remembers of its answers is written with the cells that they tell of. A cell is
    written whole: a later write of it that lands makes good an earlier one that did not.
    """

    __slots__ = ("_crashes", "_durable", "_faults", "_landed", "_server", "_turn", "_unsure")

    def __init__(self, server: Server, faults: FaultSource) -> None:
        self._server = server
        self._faults = faults
        self._durable: dict[str, Any] = own(server.state)
        self._turn = 0
        self._landed: dict[str, int] = {}
        self._crashes = 0
        self._unsure: dict[int, tuple[Names, tuple[str, ...]]] = {}

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
        self._unsure[self._turn] = (call.names, tuple(written))
        if isinstance(fault, LostWrite):
            kept: dict[str, Any] = {}
        elif isinstance(fault, DelayedWrite):
            kept = {}
            facts["delay_ns"] = fault.delay_ns
            due = (written, self._turn, self._crashes)
            server.engine.at(now_ns + fault.delay_ns, self._arrive, due)
        else:
            cells = sorted(written)
            count = min(int(fault.share * len(cells)), len(cells) - 1)
            kept = {cell: written[cell] for cell in cells[:count]}
            facts["durable"] = sorted(kept)
        server.engine.inject(now_ns, fault.fault_id, facts, server.code, call.coordination, -1)
        self._flush(kept, self._turn)

    def _arrive(self, _: int, told: tuple[dict[str, Any], int, int]) -> None:
        """Make a delayed write durable, unless the agent has crashed since."""
        written, turn, crashes = told
        if crashes == self._crashes:
            self._unsure.pop(turn, None)
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

    def lost(self) -> list[Names]:
        """Return what the messages are remembered by of whose writes some did not land."""
        landed = self._landed
        found = [
            names
            for turn, (names, cells) in self._unsure.items()
            if any(landed.get(cell, 0) < turn for cell in cells)
        ]
        self._unsure.clear()
        return found

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
