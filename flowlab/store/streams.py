"""The streams of a table's rows as numbers: what is done to many rows is done to arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.events import rank_strings, sorted_rows
from flowlab.store.layout import STREAM_COLUMNS, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DENSE: Final = 4
"""Keys for each row at most where streams are found in a table of all keys, and not by search."""


@dataclass(frozen=True, slots=True, repr=False)
class Streams:
    """The streams of a table.

    Args:
        codes: of each row's stream; codes are in the order of (namespace, run_id, workflow_id).
        keys: of each stream: namespace, run and workflow, by their places among the names, in one
            number.
        spaces, runs, flows: the names, each sorted.
        order: the rows by stream and sequence; in row order where they are not numbered.
    """

    codes: Ints
    keys: Ints
    spaces: list[str]
    runs: list[str]
    flows: list[str]
    order: Ints

    @classmethod
    def of(cls, table: pa.Table) -> Streams:
        """Return the streams of a table."""
        spaces, space_names = rank_strings(table.column("namespace"))
        runs, run_names = rank_strings(table.column("run_id"))
        flows, flow_names = rank_strings(table.column("workflow_id"))
        codes, keys = rank_ints((spaces * len(run_names) + runs) * len(flow_names) + flows)
        order = sorted_rows(codes, table.column("sequence").to_numpy())
        return cls(codes, keys, space_names, run_names, flow_names, order)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Streams({len(self.codes)} rows, {len(self)} streams)"

    @property
    def worlds(self) -> Ints:
        """The world of each stream: namespace and run in one number."""
        worlds: Ints = self.keys // max(len(self.flows), 1)
        return worlds

    def world(self, key: int) -> tuple[str, str]:
        """Return the (namespace, run_id) of a world."""
        return self.spaces[key // len(self.runs)], self.runs[key % len(self.runs)]

    def name(self, code: int) -> Stream:
        """Return the (namespace, run_id, workflow_id) of a stream."""
        key = int(self.keys[code])
        return *self.world(key // len(self.flows)), self.flows[key % len(self.flows)]

    def within(self, holds: Callable[[str, str], bool]) -> list[int]:
        """Return the codes of the streams in the worlds (namespace, run_id) of which that holds."""
        place, worlds = rank_ints(self.worlds)
        found = np.array([holds(*self.world(key)) for key in worlds.tolist()], bool)
        codes: list[int] = np.flatnonzero(found[place]).tolist() if len(found) else []
        return codes

    def find(self, worlds: Ints, flows: Ints) -> Ints:
        """Return the codes of streams by world and workflow, by their places; -1 where none is."""
        wanted = worlds * len(self.flows) + flows
        span = int(self.keys[-1]) + 1
        if span <= DENSE * len(wanted):
            table = np.full(span + 1, -1)
            table[self.keys] = np.arange(len(self))
            return table[np.where((flows >= 0) & (wanted < span), wanted, span)]
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self) - 1)
        found: Ints = np.where((flows >= 0) & (self.keys[places] == wanted), places, -1)
        return found


def rank_ints(values: Ints) -> tuple[Ints, Ints]:
    """Return each value's rank among the distinct ones, and those in order.

    Example:
        >>> rank_ints(np.array([7, 3, 7]))
        (array([1, 0, 1]), array([3, 7]))
    """
    span = int(values.max()) + 1 if len(values) else 0
    if 0 < span <= DENSE * len(values) and values.min() >= 0:
        # Where they lie densely a table of all of them is faster than one by hash.
        found = np.zeros(span, bool)
        found[values] = True
        places: Ints = np.cumsum(found) - 1
        return places[values], np.flatnonzero(found)
    encoded = pa.array(values).dictionary_encode()
    distinct: Ints = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[encoded.indices.to_numpy()], distinct[order]


def streams_of(table: pa.Table) -> set[Stream]:
    """Return the streams that a table of events has rows of."""
    found = table.select(STREAM_COLUMNS).group_by(list(STREAM_COLUMNS)).aggregate([])
    return set(zip(*(found.column(name).to_pylist() for name in STREAM_COLUMNS), strict=True))
