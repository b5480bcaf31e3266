"""Vector clocks for a log that has recorded none: derived from its causes, for ShiViz."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowlab.causality import CausalGraph, read_graph
from flowlab.errors import LimitError
from flowlab.events import EventLog, grouped
from flowlab.interop.decoding import short_text

MAX_CLOCK_ENTRIES: Final = 20_000_000
"""Most entries of all clocks of a run together; each is some ten bytes of text."""
_MAX_NAME_CHARS: Final = 120


def derive(log: EventLog) -> list[dict[str, Any]]:
    """Return host, clock and text of each event of a run, causes first.

    A host's events are one after the other in ShiViz. A lane whose events overlap is therefore
    several hosts, `agent`, `agent/2` and so on, as few as a greedy split needs: what is before what
    in the clocks is then exactly what is before what in the log.

    Raises:
        LimitError: the clocks would have more than `MAX_CLOCK_ENTRIES` entries.
    """
    graph = read_graph(log)
    chain, clocks = _chains(graph)
    hosts = dict(zip(chain.values(), _hosts(graph, list(chain)), strict=True))
    types = log.table.column("event_type").to_pylist()
    names = log.table.column("name").to_pylist()
    return [
        {
            "host": hosts[own],
            "clock": {hosts[other]: tick for other, tick in sorted(clock.items())},
            "text": short_text(f"{types[row]} {names[row]}", _MAX_NAME_CHARS),
        }
        for row, own, clock in clocks
    ]


def _chains(
    graph: CausalGraph,
) -> tuple[dict[tuple[int, int], int], list[tuple[int, int, dict[int, int]]]]:
    """Return the number of each chain (lane, which of its chains), and each row's and its clock."""
    chains: dict[tuple[int, int], int] = {}
    length: list[int] = []
    of_lane: list[list[int]] = [[] for _ in graph.lanes.ids]
    known: dict[int, dict[int, int]] = {}
    found = []
    entries = 0
    causes, into, lanes = graph.cause.tolist(), graph.into.tolist(), graph.lane.tolist()
    for row in graph.order.tolist():
        clock: dict[int, int] = {}
        for cause in causes[into[row] : into[row + 1]]:
            for other, tick in known[cause].items():
                if tick > clock.get(other, 0):
                    clock[other] = tick
        own = _free(of_lane[lanes[row]], clock, length)
        if own is None:
            own = len(length)
            chains[lanes[row], len(of_lane[lanes[row]])] = own
            of_lane[lanes[row]].append(own)
            length.append(0)
        length[own] += 1
        clock[own] = length[own]
        known[row] = clock
        entries += len(clock)
        if entries > MAX_CLOCK_ENTRIES:
            message = (
                f"the vector clocks of these events have more than {grouped(MAX_CLOCK_ENTRIES)} "
                "entries (MAX_CLOCK_ENTRIES); export fewer of them: log.filter(...)"
            )
            raise LimitError(message)
        found.append((row, own, clock))
    return chains, found


def _free(chains: list[int], clock: dict[int, int], length: list[int]) -> int | None:
    """Return a chain whose last event is in the past that a clock tells."""
    for chain in chains:
        if clock.get(chain, 0) == length[chain]:
            return chain
    return None


def _hosts(graph: CausalGraph, chains: list[tuple[int, int]]) -> Iterator[str]:
    """Name each chain as its lane, in signs that a line of ShiViz can hold, and never two alike."""
    taken: set[str] = set()
    for lane, number in chains:
        plain = short_text(graph.lanes.ids[lane], _MAX_NAME_CHARS).replace("{", "(") or "(no agent)"
        name = plain if not number else f"{plain}/{number + 1}"
        while name in taken:
            name += "'"
        taken.add(name)
        yield name
