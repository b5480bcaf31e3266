"""Which event of one log is which of another: by content and causes, not by when it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flowlab.causality.canonical import colours, mixed
from flowlab.causality.contents import content_codes, content_hashes
from flowlab.causality.graph import read_graph
from flowlab.causality.piece_reduction import reduce_pieces
from flowlab.causality.pieces import PieceGraph, Pieces, levels, piece_graph
from flowlab.causality.variants import in_canonical_order
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


_STEPS: Final = (8, 4, 2, 1)
"""How far into their futures equal events are compared, the furthest first."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Side:
    """One of two logs: its events, causes first, numbered from 0.

    Args:
        log: the log.
        whole: all its events as one piece, with reduced edges.
        parts: that piece.
        codes: the content of each row, in codes of both logs.
        colour: what content, past and future say of each event.
        causes: the immediate causes of each event.
        likeness: what it goes by to choose among equals, as numbers of each event: first what
            content, past and future say of it, then its future to fewer and fewer steps.
    """

    log: EventLog
    whole: PieceGraph
    parts: Pieces
    codes: NDArray[np.int32]
    colour: NDArray[np.uint64]
    causes: list[list[int]]
    likeness: tuple[list[int], ...]

    def __len__(self) -> int:
        return len(self.whole.rows)

    def content(self) -> list[int]:
        """Return the content of each event."""
        return self.codes[self.whole.rows].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pairing:
    """Pairs of events of two sides.

    Args:
        of_a: the event of b that each of a's is; -1 for none.
        of_b: the event of a that each of b's is; -1 for none.
        by_past: of each of a's events, whether the whole pasts of both correspond.
    """

    of_a: list[int]
    of_b: list[int]
    by_past: list[bool]


def sides(a: EventLog, b: EventLog, content: Sequence[str]) -> tuple[Side, Side]:
    """Read two logs of one run each.

    Raises:
        InvalidArgumentError: a log holds several runs.
    """
    for log in (a, b):
        worlds = log.table.select(["namespace", "run_id"]).group_by(["namespace", "run_id"])
        count = worlds.aggregate([]).num_rows
        if count > 1:
            message = (
                f"a log of {counted(count, 'run')} was given; take one: log.filter(run_id=...), "
                "or group all of them: flowlab.causality.variants(log, by='run')"
            )
            raise InvalidArgumentError(message)
    both = pa.concat_tables([log.table.select(content) for log in (a, b)])
    codes, labels = content_codes(both, content)
    bits = content_hashes(labels)
    return _side(a, codes[: len(a)], bits), _side(b, codes[len(a) :], bits)


def _side(log: EventLog, codes: NDArray[np.int32], bits: NDArray[np.uint64]) -> Side:
    parts = Pieces(np.zeros(len(log), np.int32), [("", "", None)])
    whole = reduce_pieces(piece_graph(read_graph(log), parts), log)
    causes: list[list[int]] = [[] for _ in range(len(log))]
    for cause, effect in zip(whole.cause.tolist(), whole.effect.tolist(), strict=True):
        causes[effect].append(cause)
    labels = bits[codes[whole.rows]]
    colour = colours(whole, labels)
    nearer = [own.tolist() for own in _futures(whole, labels)]
    return Side(log, whole, parts, codes, colour, causes, (colour.tolist(), *nearer))


def _futures(whole: PieceGraph, labels: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Return colours that the content of an event and of its effects decide, to so many steps."""
    found, colour = [], labels
    for step in range(1, _STEPS[0] + 1):
        sums = np.zeros_like(labels)
        np.add.at(sums, whole.cause, mixed(colour[whole.effect]))
        colour = mixed(labels + mixed(sums))
        if step in _STEPS:
            found.append(colour)
    return found[::-1]


def pair_up(a: Side, b: Side) -> Pairing:
    """Pair the events of two logs.

    Where the logs are equal up to trace equivalence, all are paired so. Otherwise an event is
    paired with one of the same content whose causes are the partners of its own, as far as there
    is one; of what is left, the first of a content on one side with the first on the other.
    """
    whole = _isomorphic(a, b)
    if whole is not None:
        return whole
    of_a, of_b = [-1] * len(a), [-1] * len(b)
    _by_past(a, b, of_a, of_b)
    by_past = [partner >= 0 for partner in of_a]
    rest: dict[int, list[int]] = defaultdict(list)
    for event, code in enumerate(a.content()):
        if of_a[event] < 0:
            rest[code].append(event)
    for own in rest.values():
        own.reverse()
    for event, code in enumerate(b.content()):
        if of_b[event] < 0 and rest.get(code):
            of_b[event] = rest[code].pop()
            of_a[of_b[event]] = event
    return Pairing(of_a, of_b, by_past)


def _isomorphic(a: Side, b: Side) -> Pairing | None:
    """Pair two logs that are equal up to trace equivalence; None where they are not."""
    if not np.array_equal(np.sort(a.colour), np.sort(b.colour)):
        return None
    try:
        one, other = (_canonical(side) for side in (a, b))
    except LimitError:
        return None
    same = np.array_equal(a.codes[one.rows], b.codes[other.rows])
    same = same and np.array_equal(one.cause, other.cause)
    if not (same and np.array_equal(one.effect, other.effect)):
        return None
    places = [np.empty(len(a), np.int64) for _ in range(2)]
    for place, side in zip(places, (a, b), strict=True):
        place[side.whole.rows] = np.arange(len(side))
    mine, yours = places[0][one.rows], places[1][other.rows]
    of_a, of_b = np.empty(len(a), np.int64), np.empty(len(a), np.int64)
    of_a[mine], of_b[yours] = yours, mine
    return Pairing(of_a.tolist(), of_b.tolist(), [True] * len(a))


def _canonical(side: Side) -> PieceGraph:
    return in_canonical_order(side.whole, side.colour, side.parts)


def _by_past(a: Side, b: Side, of_a: list[int], of_b: list[int]) -> None:
    """Pair events whose pasts correspond, in place; of several, one whose future does too."""
    waiting: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
    for event, code in enumerate(a.content()):
        waiting[code, tuple(sorted(a.causes[event]))].append(event)
    content = b.content()
    level = levels(len(b), b.whole.cause, b.whole.effect).level
    order = np.argsort(level, kind="stable").tolist()
    for _, own in groupby(order, key=level.tolist().__getitem__):
        asking: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)
        for event in own:
            partners = [of_b[cause] for cause in b.causes[event]]
            key = (content[event], tuple(sorted(partners)))
            if min(partners, default=0) >= 0 and key in waiting:
                asking[key].append(event)
        for key, events in asking.items():
            for mine, yours in _assigned(a, b, waiting[key], events):
                of_a[mine], of_b[yours] = yours, mine


def _assigned(
    a: Side, b: Side, ones: Sequence[int], others: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of equals, those that are most alike first, and then as they come."""
    if len(ones) == len(others) == 1:
        yield ones[0], others[0]
        return
    left, asking = list(ones), list(others)
    for mine, yours in zip(a.likeness, b.likeness, strict=True):
        free: dict[int, list[int]] = defaultdict(list)
        for one in reversed(left):
            free[mine[one]].append(one)
        rest = []
        for other in asking:
            if free.get(yours[other]):
                one = free[yours[other]].pop()
                left.remove(one)
                yield one, other
            else:
                rest.append(other)
        asking = rest
    yield from zip(left, asking, strict=False)


def common_causes(side: Side, shared: Sequence[bool]) -> list[frozenset[int]]:
    """Return the immediate causes of each shared event in the order of shared events alone."""
    wanted = list(shared)
    for event in range(len(side) - 1, -1, -1):
        if wanted[event]:
            for cause in side.causes[event]:
                wanted[cause] = True
    nearest: list[frozenset[int]] = [frozenset()] * len(side)
    for event, causes in enumerate(side.causes):
        if not wanted[event]:
            continue
        found: set[int] = set()
        for cause in causes:
            found |= {cause} if shared[cause] else nearest[cause]
        passed = shared[event] and any(not shared[cause] for cause in causes)
        nearest[event] = frozenset(_latest(side, found) if passed and len(found) > 1 else found)
    return nearest


def _latest(side: Side, found: set[int]) -> set[int]:
    """Return those of some events that come before none of the others."""
    kept = set(found)
    for event in found:
        seen, stack, least = set(), list(side.causes[event]), min(found)
        while stack:
            cause = stack.pop()
            if cause >= least and cause not in seen:
                seen.add(cause)
                stack += side.causes[cause]
        kept -= seen
    return kept
