"""Clocks, common chance and the environment, replaced by functions that refuse a running workflow.

What cannot be replaced is left to the source check: methods of C types (`datetime.now`), and names
that were bound earlier (`from time import time`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib import import_module
from operator import itemgetter
from threading import Lock, get_ident
from typing import Any, Final

Refuse = Callable[[str, str], None]

CLOCKS: Final = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time "
    "process_time_ns thread_time thread_time_ns clock_gettime clock_gettime_ns sleep"
).split()
CLOCKS_WITHOUT_ARGUMENT: Final = ("gmtime", "localtime", "ctime", "asctime")
DRAWS: Final = (
    "betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits "
    "lognormvariate normalvariate paretovariate randbytes randint random randrange sample seed "
    "setstate shuffle triangular uniform vonmisesvariate weibullvariate _urandom"
).split()
ARRAY_DRAWS: Final = (
    "rand randn randint random random_sample choice shuffle permutation normal uniform seed "
    "exponential poisson standard_normal bytes"
).split()
REPLACED: Final[dict[str, tuple[str, list[str]]]] = {
    "time": ("a clock", [*CLOCKS, *CLOCKS_WITHOUT_ARGUMENT]),
    "random": ("chance", DRAWS),
    "os": ("chance", ["urandom", "getrandom"]),
    "uuid": ("chance", ["uuid1", "uuid4"]),
    "threading": ("a thread", ["_start_new_thread", "_start_joinable_thread"]),
    "_thread": ("a thread", ["start_new_thread", "start_new", "start_joinable_thread"]),
    "numpy.random": ("chance", ARRAY_DRAWS),
}
"""The functions that are replaced: module -> (what they reach for, their names)."""


class Blocked:
    """A function that refuses the thread of a running workflow; it looks like the one it replaces.

    An object and not a function: a class that takes it as an attribute must not make it a method,
    since it would not with the built-in.
    """

    __slots__ = ("__wrapped__", "_called", "_refuse", "_running", "_unless_given", "_what")

    def __init__(
        self, function: Callable[..., Any], called: str, what: str, running: Collection[int],
        refuse: Refuse,
    ) -> None:  # fmt: skip
        self.__wrapped__ = function
        self._called = called
        self._what = what
        self._running = running
        self._refuse = refuse
        self._unless_given = called.removeprefix("time.") in CLOCKS_WITHOUT_ARGUMENT

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Refuse, or call what it stands for."""
        # Mostly no workflow's code runs: a loop asks for the time each time that it goes round.
        running = self._running
        if running and get_ident() in running and not (self._unless_given and values):
            shown = f"{values[0]!r}" if self._what == "the environment" and values else ""
            self._refuse(self._what, f"{self._called}({shown})")
        return self.__wrapped__(*values, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return f"Blocked({self._called!r})"

    def __reduce__(self) -> Any:
        return _named, (self._called,)


def _named(called: str) -> Any:
    module, _, name = called.rpartition(".")
    return getattr(import_module(module), name)


class Place:
    """The names of one module that are replaced."""

    __slots__ = (
        "_make",
        "_names",
        "before",
        "holder",
        "ours",
        "ours_by_name",
        "read",
        "theirs_by_name",
    )

    def __init__(
        self, holder: dict[str, Any], names: list[str], make: Callable[[str, Any], Blocked]
    ) -> None:
        self.holder = holder
        self._names = [name for name in names if name in holder]
        self._make = make
        # Of one name alone an itemgetter gives no tuple.
        self.read = itemgetter(*self._names, self._names[0])
        self.before: tuple[Any, ...] = ()
        self.ours: tuple[Any, ...] = ()
        self.ours_by_name: dict[str, Any] = {}
        self.theirs_by_name: dict[str, Any] = {}

    def make(self, before: tuple[Any, ...]) -> None:
        """Make ours anew: for the first time, or another tool has put something there."""
        # Who saved one of ours and put it back after we had left has left it there.
        self.before = before = tuple(
            [theirs.__wrapped__ if isinstance(theirs, Blocked) else theirs for theirs in before]
        )
        self.theirs_by_name = dict(zip(self._names, before, strict=False))
        self.ours_by_name = {
            name: self._make(name, theirs) for name, theirs in self.theirs_by_name.items()
        }
        self.ours = self.read(self.ours_by_name)

    def put_back(self) -> None:
        """Put back what was there, but for what another tool has put in the place of ours."""
        for name, ours in self.ours_by_name.items():
            if self.holder[name] is ours:
                self.holder[name] = self.theirs_by_name[name]


class Blocks:
    """The replacements of this process: in place while at least one has entered.

    Args:
        refuse: called with what was reached for and by which call; raises, or lets it pass.
        running: the threads in which a workflow runs.
    """

    def __init__(self, refuse: Refuse, running: Collection[int]) -> None:
        self._refuse = refuse
        self._running = running
        self._lock = Lock()
        self._entered = 0
        self._modules = 0
        self._places: dict[str, Place] = {}

    def enter(self) -> None:
        """Put the replacements in place, if they are not."""
        with self._lock:
            self._entered += 1
            if self._entered == 1:
                if len(sys.modules) != self._modules:
                    self._find()
                # Every durable step comes by here: so there is no call for each place.
                for place in self._places.values():
                    before = place.read(place.holder)
                    if before != place.before:
                        place.make(before)
                    place.holder.update(place.ours_by_name)

    def leave(self) -> None:
        """Put back what was there, once everyone has left."""
        with self._lock:
            self._entered -= 1
            if self._entered == 0:
                for place in self._places.values():
                    if place.read(place.holder) == place.ours:
                        place.holder.update(place.theirs_by_name)
                    else:
                        place.put_back()

    def _find(self) -> None:
        self._modules = len(sys.modules)
        for module, (what, names) in REPLACED.items():
            if module in sys.modules and module not in self._places:
                self._add(module, vars(sys.modules[module]), names, what)
        if "os.environ" not in self._places:
            # Every read and write of the environment translates its key by these two.
            environ = vars(vars(sys.modules["os"])["environ"])
            self._add("os.environ", environ, ["encodekey", "decodekey"], "the environment")

    def _add(self, place: str, holder: dict[str, Any], names: list[str], what: str) -> None:
        def make(name: str, function: Callable[..., Any]) -> Blocked:
            called = place if place == "os.environ" else f"{place}.{name}"
            return Blocked(function, called, what, self._running, self._refuse)

        self._places[place] = Place(holder, names, make)
