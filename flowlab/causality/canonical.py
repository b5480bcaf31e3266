"""One form for all equal labelled orders: events in an order that their causes and content fix.

Each event gets a colour from its content, its past and its future. Where all colours of a piece
differ they are an order, and the piece written in that order is its form. Where some are equal
(concurrent events of one content whose pasts and futures look alike) a search decides among them:
each in turn is singled out, what follows from it is worked out, and the least form is taken.
Choices that lead to one and the same form are symmetries and are tried once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality.pieces import PieceGraph, levels
from flowlab.errors import LimitError
from flowlab.events import grouped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Colours = NDArray[np.uint64]

MAX_SEARCH_STEPS: Final = 20_000_000
"""Most events that are looked at to find the form of one piece with equal events in it."""
_ODD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))
_EVEN: Final = np.uint64(0x94D049BB133111EB)

Form = tuple[tuple[int, int], ...]
"""The edges (effect, cause) of a piece whose events are numbered in its canonical order, sorted."""


def mixed(values: Colours) -> Colours:
    """Scatter 64-bit numbers (the finalizer of SplitMix64), one to one."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * _ODD[1]
        values = (values ^ (values >> np.uint64(27))) * _EVEN
    return values ^ (values >> np.uint64(31))


def colours(pieces: PieceGraph, labels: Colours) -> Colours:
    """Return a colour of each event that its content, its past and its future decide.

    Args:
        pieces: the pieces; their edges are reduced.
        labels: 64 bits of each event's content.
    """
    steps = levels(len(pieces.rows), pieces.cause, pieces.effect)
    with np.errstate(over="ignore"):
        past = mixed(labels + _ODD[0])
        bounds = list(zip(steps.start[1:-1].tolist(), steps.start[2:].tolist(), strict=True))
        for begin, end in bounds:
            _gather(past, pieces.cause, pieces.effect, steps.edges[begin:end])
        future = mixed(labels + _EVEN)
        tall = np.argsort(-steps.level[pieces.cause].astype(np.int64), kind="stable")
        tops = np.searchsorted(
            -steps.level[pieces.cause][tall].astype(np.int64), -np.arange(len(bounds), -1, -1)
        )
        for begin, end in zip(tops.tolist(), [*tops[1:].tolist(), len(tall)], strict=True):
            _gather(future, pieces.effect, pieces.cause, tall[begin:end])
        return mixed(past * _ODD[0] + mixed(future))


def _gather(
    values: Colours, source: NDArray[np.int32], target: NDArray[np.int32], edges: NDArray[np.int64]
) -> None:
    """Mix into each target the values of its sources, in whatever order they come."""
    if not len(edges):
        return
    at, place = np.unique(target[edges], return_inverse=True)
    sums = np.zeros(len(at), np.uint64)
    np.add.at(sums, place, mixed(values[source[edges]]))
    values[at] = mixed(values[at] + sums * _ODD[0])


def canonical_order(
    pieces: PieceGraph, colour: Colours
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the events of each piece by colour, and which pieces have two of one colour."""
    order = np.lexsort((colour, pieces.piece))
    same = (colour[order][1:] == colour[order][:-1]) & (
        pieces.piece[order][1:] == pieces.piece[order][:-1]
    )
    tied = np.zeros(len(pieces.start) - 1, bool)
    tied[pieces.piece[order][1:][same]] = True
    return order, tied


@dataclass(slots=True, eq=False)
class Search:
    """Finds the canonical order of one piece whose colours do not decide it.

    Args:
        name: the piece, for an error.
        causes: of each event, its causes; events are numbered from 0.
        known: canonical orders by a form that a first, arbitrary choice gave: pieces that agree in
            it are equal, so that one search does for all.
    """

    name: str
    causes: Sequence[Sequence[int]]
    effects: list[list[int]] = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        self.effects = [[] for _ in self.causes]
        for effect, causes in enumerate(self.causes):
            for cause in causes:
                self.effects[cause].append(effect)

    def apart(self, ranks: Sequence[int]) -> list[int]:
        """Number equal events with the same causes and effects: any two may change places.

        So no search needs to decide among them.
        """
        turn: dict[tuple[Any, ...], int] = {}
        told = []
        for event, rank in enumerate(ranks):
            key = (rank, tuple(sorted(self.causes[event])), tuple(sorted(self.effects[event])))
            turn[key] = turn.get(key, -1) + 1
            told.append((rank, turn[key]))
        ranked = {one: place for place, one in enumerate(sorted(set(told)))}
        return [ranked[one] for one in told]

    def first(self, ranks: Sequence[int]) -> tuple[Form, list[int]]:
        """Return the form, and the place of each event, when the first of equals is chosen."""
        places = self._refined(ranks)
        while (cell := _cell(places)) is not None:
            places = self._refined(_singled(places, cell[0]))
        return self._form(places), places

    def best(self, ranks: Sequence[int]) -> tuple[Form, list[int]]:
        """Return the least form of all choices, and the place of each event in it."""
        places = self._refined(ranks)
        cell = _cell(places)
        if cell is None:
            return self._form(places), places
        seen: set[Form] = set()
        found: list[tuple[Form, list[int]]] = []
        for event in cell:
            singled = _singled(places, event)
            form, _ = self.first(singled)
            if form not in seen:
                seen.add(form)
                found.append(self.best(singled))
        return min(found)

    def _form(self, places: Sequence[int]) -> Form:
        return tuple(
            sorted(
                (places[effect], places[cause])
                for effect, causes in enumerate(self.causes)
                for cause in causes
            )
        )

    def _refined(self, ranks: Sequence[int]) -> list[int]:
        """Tell events apart by the ranks of their causes and effects, until no more can be."""
        now = list(ranks)
        count = len(set(now))
        while True:
            self.steps += len(now)
            if self.steps > MAX_SEARCH_STEPS:
                message = (
                    f"{self.name} has so many equal concurrent events that its form was not found "
                    f"in {grouped(MAX_SEARCH_STEPS)} steps (MAX_SEARCH_STEPS); give a content= "
                    "that tells them apart, such as step_id"
                )
                raise LimitError(message)
            told = [
                (
                    now[event],
                    tuple(sorted(now[cause] for cause in self.causes[event])),
                    tuple(sorted(now[effect] for effect in self.effects[event])),
                )
                for event in range(len(now))
            ]
            ranked = {one: place for place, one in enumerate(sorted(set(told)))}
            now = [ranked[one] for one in told]
            if len(ranked) == count:
                return now
            count = len(ranked)


def _cell(places: Sequence[int]) -> list[int] | None:
    """Return the events of the least rank that several have."""
    members: dict[int, list[int]] = {}
    for event, place in enumerate(places):
        members.setdefault(place, []).append(event)
    several = [place for place, events in members.items() if len(events) > 1]
    return members[min(several)] if several else None


def _singled(places: Sequence[int], event: int) -> list[int]:
    """Return the ranks with one event before those that were its equals."""
    return [2 * place - (other == event) for other, place in enumerate(places)]
