"""Who waits for whom, and the cycles in which all wait for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Wait(NamedTuple):
    """An owner waits for a key until another has released it.

    Example:
        >>> Wait("trip-1", "seat-1", "trip-2").blocker
        'trip-2'
    """

    owner: str
    key: str
    blocker: str


def wait_cycle(
    waits: Iterable[Wait], *, start: str | None = None
) -> tuple[tuple[str, str], ...] | None:
    """Return a cycle as (owner, key) pairs, or None: each waits for the next, the last for the
    first.

    An owner goes on once everyone whom it waits for has released, so those who wait for ever are
    those from whom a cycle can be reached. The cycle begins with the least owner that is in one,
    and is one of the shortest through it.

    Args:
        waits: of one table of locks, or of several together.
        start: look only for a cycle through this owner, and begin with it.

    Example:
        >>> wait_cycle([Wait("a", "x", "b"), Wait("b", "y", "a"), Wait("c", "x", "a")])
        (('a', 'x'), ('b', 'y'))
    """
    graph: dict[str, dict[str, str]] = {}
    for owner, key, blocker in waits:
        graph.setdefault(owner, {}).setdefault(blocker, key)
    for first in _stuck(graph) if start is None else [start]:
        path = _way_back(graph, first)
        if path is not None:
            following = [*path[1:], first]
            return tuple(
                (owner, graph[owner][other]) for owner, other in zip(path, following, strict=True)
            )
    return None


def _stuck(graph: dict[str, dict[str, str]]) -> list[str]:
    """Return the owners who wait for ever, sorted: the others go on one after the other."""
    left = {owner: len(blockers) for owner, blockers in graph.items()}
    waiting: dict[str, list[str]] = {}
    for owner, blockers in graph.items():
        for blocker in blockers:
            waiting.setdefault(blocker, []).append(owner)
    free = [owner for owner in waiting if owner not in graph]
    while free:
        for owner in waiting.get(free.pop(), ()):
            left[owner] -= 1
            if not left[owner]:
                free.append(owner)
    return sorted(owner for owner, count in left.items() if count)


def _way_back(graph: dict[str, dict[str, str]], first: str) -> list[str] | None:
    """Return a shortest path from an owner to one that waits for it, or None."""
    came: dict[str, str | None] = {first: None}
    waiting = deque([first])
    while waiting:
        owner = waiting.popleft()
        for other in sorted(graph.get(owner, ())):
            if other == first:
                path = [owner]
                while (before := came[path[-1]]) is not None:
                    path.append(before)
                return path[::-1]
            if other not in came:
                came[other] = owner
                waiting.append(other)
    return None
