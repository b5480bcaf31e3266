"""Predicates over the states of a world: did it possibly hold, and did it in any case?

Nobody has seen the world's state; a log tells which states it may have gone through: its consistent
cuts. *Possibly*: at one of them at least. *Definitely*: whichever way the world took, at one on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowlab.causality.conjunctive import Conjunctive, avoid, first_cut
from flowlab.causality.cuts import Cut
from flowlab.causality.lattice import Cuts
from flowlab.causality.selecting import check_limit
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import counted

if TYPE_CHECKING:
    from flowlab.causality.world_chains import WorldChains

MAX_CUTS_SEEN: Final = 200_000
"""Most cuts at which a predicate is asked before the search is given up."""

Predicate = Callable[[Cut], bool]


@dataclass(frozen=True, slots=True, repr=False)
class Possibly:
    """Whether a predicate holds at some consistent cut; true if it does.

    Args:
        cut: one at which it holds, else None.
        seen: at how many cuts it was asked; 0 where its agents were asked alone.
    """

    cut: Cut | None
    seen: int = 0

    def __bool__(self) -> bool:
        return self.cut is not None

    def __repr__(self) -> str:
        return f"Possibly(at {self.cut!r})" if self.cut is not None else "Possibly(never)"


@dataclass(frozen=True, slots=True, repr=False)
class Definitely:
    """Whether a predicate holds at some cut of every way through the world; true if it does.

    Args:
        first: the empty cut, where every way begins.
        path: the rows of all events in an order on which it never holds, else None.
        spans: where its agents were asked alone and it does hold: of each agent, the rows of the
            event with which its part becomes true and of the one that ends that (None where it is
            true from the beginning, or to the end). Each begins before any ends.
        seen: at how many cuts it was asked; 0 where its agents were asked alone.
    """

    first: Cut
    path: tuple[int, ...] | None
    spans: Mapping[str, tuple[int | None, int | None]] | None = None
    seen: int = 0

    def __bool__(self) -> bool:
        return self.path is None

    def cuts(self) -> Iterator[Cut]:
        """Yield the cuts of the way on which it never holds."""
        if self.path is not None:
            home = self.first.home
            counts = list(self.first.counts)
            yield self.first
            for row in self.path:
                counts[home.chain_of(row)] += 1
                yield Cut(home, tuple(counts))

    def __repr__(self) -> str:
        if self.path is None:
            return "Definitely(on every way)"
        return f"Definitely(not: a way of {counted(len(self.path), 'event')} avoids it)"


def possibly(home: WorldChains, predicate: Predicate, limit: int) -> Possibly:
    """Say whether a predicate holds at some cut; see `CausalOrder.possibly`."""
    check_limit(limit)
    if isinstance(predicate, Conjunctive):
        return Possibly(first_cut(home, predicate))
    _check(predicate)
    seen = 0
    for cut in Cuts(home):
        if seen == limit:
            raise LimitError(_too_many(limit))
        seen += 1
        if predicate(cut):
            return Possibly(cut, seen)
    return Possibly(None, seen)


def definitely(home: WorldChains, predicate: Predicate, limit: int) -> Definitely:
    """Say whether every way leads through a cut where it holds; see `CausalOrder.definitely`."""
    check_limit(limit)
    first, last = Cuts(home).first, Cuts(home).last
    if isinstance(predicate, Conjunctive):
        return Definitely(first, *avoid(home, predicate))
    _check(predicate)
    came: dict[tuple[int, ...], tuple[Cut, int] | None] = {first.counts: None}
    level = [] if predicate(first) else [first]
    while level and level[0].counts != last.counts:
        ahead: list[Cut] = []
        for cut in level:
            for row in cut.enabled:
                after = _with(cut, row)
                if after.counts in came:
                    continue
                if len(came) == limit:
                    raise LimitError(_too_many(limit))
                came[after.counts] = (cut, row)
                # Where it holds, a way need not be followed further.
                if not predicate(after):
                    ahead.append(after)
        level = ahead
    if not level:
        return Definitely(first, None, seen=len(came))
    path: list[int] = []
    step = came[last.counts]
    while step is not None:
        path.append(step[1])
        step = came[step[0].counts]
    return Definitely(first, tuple(path[::-1]), seen=len(came))


def _with(cut: Cut, row: int) -> Cut:
    chain = cut.home.chain_of(row)
    counts = (*cut.counts[:chain], cut.counts[chain] + 1, *cut.counts[chain + 1 :])
    return Cut(cut.home, counts)


def _check(predicate: object) -> None:
    if not callable(predicate):
        message = f"{predicate!r:.80} is no predicate; expected a function of a Cut, or Conjunctive"
        raise InvalidArgumentError(message)


def _too_many(limit: int) -> str:
    return (
        f"the predicate was asked at {limit} consistent cuts and the search is not at its end; "
        "raise limit=, ask a Conjunctive of agents one by one, or a shorter piece of the log"
    )
