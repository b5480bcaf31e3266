"""WorldState: what every cell holds on a cut, from the writes that the log records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality.columns import encode, pair
from flowlab.events import Cell, counted, decode_payload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flowlab.causality.cuts import Cut
    from flowlab.causality.world_chains import WorldChains

MAX_SHOWN = 20
"""Cells of a state's HTML table."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WorldState:
    """What every cell holds on a cut: the value that was written last, in causal order.

    `order.state_on(cut)` makes one. A cell is known from its first write on: what it held before,
    the log does not say. None is the value of a cell that was deleted, too.

    Args:
        cut: the cut.
        cells: the value of each cell.
        writers: of each cell, the row of the event that wrote it last.
        conflicts: the cells that concurrent events wrote last, with the rows of those; they are
            not among `cells`. Cells of an agent that does
            one thing at a time never are.
        unknown: the cells that were written, and whose value the payload does not tell.
    """

    cut: Cut
    cells: Mapping[Cell, Any]
    writers: Mapping[Cell, int]
    conflicts: Mapping[Cell, tuple[int, ...]]
    unknown: tuple[Cell, ...]

    def of(self, owner: str) -> dict[str, Any]:
        """Return what an agent's (or a resource's) cells hold, by key."""
        return {cell.key: value for cell, value in self.cells.items() if cell.owner == owner}

    def get(self, owner: str, key: str, default: Any = None) -> Any:
        """Return what a cell holds, or the default where nothing has been written."""
        return self.cells.get(Cell(owner, key), default)

    def __eq__(self, other: object) -> bool:
        """Equal when the same cells hold the same values, and are in doubt alike."""
        if not isinstance(other, WorldState):
            return NotImplemented
        return (self.cells, self.conflicts, self.unknown) == (
            other.cells,
            other.conflicts,
            other.unknown,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        owners = counted(len({cell.owner for cell in self.cells}), "owner")
        parts = [f"{counted(len(self.cells), 'cell')} of {owners}"]
        parts += [counted(len(self.conflicts), "conflict")] if self.conflicts else []
        parts += [f"{len(self.unknown)} unknown"] if self.unknown else []
        return f"WorldState({', '.join(parts)})"

    def _repr_html_(self) -> str:
        told = [(cell.owner, cell.key, repr(value)) for cell, value in self.cells.items()]
        told += [(cell.owner, cell.key, "written by concurrent events") for cell in self.conflicts]
        told += [(cell.owner, cell.key, "written, not told") for cell in self.unknown]
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align:left">{escape(text[:80])}</td>' for text in row)
            + "</tr>"
            for row in told[:MAX_SHOWN]
        )
        more = f", {MAX_SHOWN} of {len(told)} shown" if len(told) > MAX_SHOWN else ""
        head = "".join(f'<th style="text-align:left">{x}</th>' for x in ("owner", "key", "value"))
        title = f"<caption>{escape(repr(self))}{more}</caption>"
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Writes:
    """The writes of one world: which events wrote which cells, in causal order.

    Args:
        home: the world.
    """

    def __init__(self, home: WorldChains) -> None:
        order = home.order
        self.home = home
        column = order.log.table.column("writes").combine_chunks()
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        flat = pc.list_flatten(column)
        mine = order.graph.world[rows] == home.world
        rows, flat = rows[mine], flat.filter(pa.array(mine))
        owners, owner_names = encode(pa.chunked_array([pc.struct_field(flat, 0)]))
        keys, key_names = encode(pa.chunked_array([pc.struct_field(flat, 1)]))
        codes, left, right = pair(owners, keys, max(len(key_names), 1))
        names = zip(left.tolist(), right.tolist(), strict=True)
        owner_texts, key_texts = owner_names.to_pylist(), key_names.to_pylist()
        self.cells = [Cell(owner_texts[owner], key_texts[key]) for owner, key in names]
        turn = np.lexsort((order.graph.rank[rows], codes))
        self.row: NDArray[np.int32] = rows[turn]
        self.cell: NDArray[np.int32] = codes[turn]
        same = self.cell[1:] == self.cell[:-1]
        before, after = self.row[:-1][same], self.row[1:][same]
        apart = (before != after) & ~order.index.reaches_many(before, after)
        self.loose = np.zeros(len(self.cells), bool)
        self.loose[self.cell[1:][same][apart]] = True
        self._told: dict[int, dict[Cell, Any]] = {}

    def told_by(self, row: int) -> dict[Cell, Any]:
        """Return the values that an event wrote, as far as its payload tells them."""
        if row not in self._told:
            self._told[row] = _values(self.home, row)
        return self._told[row]

    def last_on(self, cut: Cut) -> dict[int, list[int]]:
        """Return of each cell written in a cut the rows of its last writes: one, or concurrent."""
        mask = cut.mask[self.row]
        cells, rows = self.cell[mask], self.row[mask]
        last = np.ones(len(cells), bool)
        last[:-1] = cells[1:] != cells[:-1]
        found = {
            cell: [row] for cell, row in zip(cells[last].tolist(), rows[last].tolist(), strict=True)
        }
        for cell in found:
            if self.loose[cell]:
                found[cell] = self._latest(np.unique(rows[cells == cell]))
        return found

    def _latest(self, rows: NDArray[np.int32]) -> list[int]:
        """Return those of some rows that happened before none of the others."""
        index = self.home.order.index
        return [
            row
            for row in rows.tolist()
            if not index.reaches_many(np.full(len(rows), row, np.int32), rows).any()
        ]


def state_on(cut: Cut) -> WorldState:
    """Return the state of the world on a cut; see `CausalOrder.state_on`."""
    writes = cut.home.writes
    cells: dict[Cell, Any] = {}
    writers: dict[Cell, int] = {}
    conflicts: dict[Cell, tuple[int, ...]] = {}
    unknown: list[Cell] = []
    last = {writes.cells[code]: rows for code, rows in writes.last_on(cut).items()}
    for cell in sorted(last, key=_name):
        rows = last[cell]
        if len(rows) > 1:
            conflicts[cell] = tuple(rows)
            continue
        told = writes.told_by(rows[0])
        writers[cell] = rows[0]
        if cell in told:
            cells[cell] = told[cell]
        else:
            unknown.append(cell)
    return WorldState(cut, cells, writers, conflicts, tuple(unknown))


def _name(cell: Cell) -> tuple[str, str]:
    return cell.owner, cell.key


def _values(home: WorldChains, row: int) -> dict[Cell, Any]:
    """Return the values in an event's payload: its own agent's, and those of others by owner."""
    table = home.order.log.table
    payload = decode_payload(table.column("payload")[row].as_py())
    if not isinstance(payload, dict):
        return {}
    owners = {table.column("agent_id")[row].as_py(): payload.get("values")}
    others = payload.get("resources")
    owners |= others if isinstance(others, dict) else {}
    return {
        Cell(owner, key): value
        for owner, values in owners.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
