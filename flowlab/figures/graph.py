"""The causes among the events that are drawn: hidden ones are bridged, and order is theirs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from flowlab.causality import KIND_LABELS
from flowlab.figures.window import Window


@dataclass(frozen=True, slots=True)
class Link:
    """A cause and its effect as rows of the window.

    `kind` is the word of the edge, `assumed` if any part of the way is an importer's guess, and
    `bridged` says that hidden events lie between.
    """

    cause: int
    effect: int
    kind: str
    bridged: bool = False


def visible_links(window: Window) -> list[Link]:
    """Return the links between visible events; chains of hidden events become one link each.

    A bridged link that follows from others is left out.
    """
    visible, chains = window.visible, window.chains
    incoming: list[list[tuple[int, str]]] = [[] for _ in visible]
    for cause, effect, code in window.edges:
        incoming[effect].append((cause, KIND_LABELS[code]))
    behind: list[_Behind] = [{} for _ in visible]
    found: dict[tuple[int, int], Link] = {}
    for row in _causes_first(window):
        for cause, kind in incoming[row]:
            if visible[cause] and visible[row]:
                _keep(found, Link(cause, row, kind))
            elif visible[cause]:
                _meet(behind[row], chains[cause][0], (chains[cause][1], cause, kind))
            else:
                for chain, (place, seen, word) in behind[cause].items():
                    said = "assumed" if kind == "assumed" else word
                    _meet(behind[row], chain, (place, seen, said))
        if visible[row]:
            for _, cause, word in behind[row].values():
                _keep(found, Link(cause, row, word, bridged=True))
            behind[row] = {}
    return _without_implied([found[key] for key in sorted(found)], len(visible))


_Behind = dict[int, tuple[int, int, str]]
"""Of each chain the last visible event that leads here by hidden ones: place, row, and word."""


def _causes_first(window: Window) -> list[int]:
    """Return the rows of a window, every cause before its effects."""
    if all(cause < effect for cause, effect, _ in window.edges):
        return list(range(len(window.visible)))
    links = [Link(cause, effect, "") for cause, effect, _ in window.edges]
    return causal_order(links, len(window.visible))


def _keep(found: dict[tuple[int, int], Link], link: Link) -> None:
    known = found.get((link.cause, link.effect))
    if known is None or _rank(link) < _rank(known):
        found[link.cause, link.effect] = link


def _meet(behind: _Behind, chain: int, seen: tuple[int, int, str]) -> None:
    """Note a visible event behind a hidden one: of a chain, the last says all."""
    known = behind.get(chain)
    if (
        known is None
        or seen[0] > known[0]
        or (seen[0] == known[0] and _word_rank(seen[2]) < _word_rank(known[2]))
    ):
        behind[chain] = seen


def _rank(link: Link) -> tuple[bool, bool, str]:
    return (link.bridged, *_word_rank(link.kind))


def _word_rank(word: str) -> tuple[bool, str]:
    return (word in {"assumed", "lane"}, word)


def _without_implied(links: list[Link], size: int) -> list[Link]:
    """Drop bridged links whose cause is already an ancestor of another cause of the effect."""
    if not any(link.bridged for link in links):
        return links
    into: dict[int, list[Link]] = {}
    for link in links:
        into.setdefault(link.effect, []).append(link)
    ancestors = [0] * size
    kept = []
    for row in causal_order(links, size):
        for link in into.get(row, ()):
            ancestors[row] |= ancestors[link.cause] | 1 << link.cause
        for link in into.get(row, ()):
            others = (other.cause for other in into[row] if other.cause != link.cause)
            if not (link.bridged and any(ancestors[other] >> link.cause & 1 for other in others)):
                kept.append(link)
    return sorted(kept, key=lambda link: (link.cause, link.effect))


def causal_order(links: Sequence[Link], size: int) -> list[int]:
    """Return the rows so that causes come first, and otherwise in their own order.

    Rows on a cycle (a damaged log) follow the rest, in their own order.

    Example:
        >>> causal_order([Link(2, 0, "message")], 3)
        [1, 2, 0]
    """
    waiting = [0] * size
    effects: list[list[int]] = [[] for _ in range(size)]
    for link in links:
        waiting[link.effect] += 1
        effects[link.cause].append(link.effect)
    ready = [row for row in range(size) if not waiting[row]]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        row = heapq.heappop(ready)
        order.append(row)
        for effect in effects[row]:
            waiting[effect] -= 1
            if not waiting[effect]:
                heapq.heappush(ready, effect)
    placed = set(order)
    return order + [row for row in range(size) if row not in placed]


def causal_depth(links: Sequence[Link], order: Sequence[int]) -> dict[int, int]:
    """Return how many events the longest chain of causes has that ends at each row.

    Example:
        >>> causal_depth([Link(0, 1, "lane"), Link(1, 2, "lane")], [0, 1, 2])
        {0: 1, 1: 2, 2: 3}
    """
    depth = dict.fromkeys(order, 1)
    place = {row: index for index, row in enumerate(order)}
    into: dict[int, list[int]] = {}
    for link in links:
        if place[link.cause] < place[link.effect]:
            into.setdefault(link.effect, []).append(link.cause)
    for row in order:
        for cause in into.get(row, ()):
            depth[row] = max(depth[row], depth[cause] + 1)
    return depth
