"""A scenario: a named way to build a world from parameters, which a study varies."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, overload

from flowlab.errors import InvalidArgumentError
from flowlab.events.codec import encode_json
from flowlab.simulation.processes import Process
from flowlab.simulation.world import World
from flowlab.workflow import Choreography, Node, Plan, Workflow
from flowlab.workflow.names import shortened

Build = Callable[..., World]

MAX_NAME_CHARS: Final = 60
"""Longest name that a world has of the names of its workflows; of a longer one the first so many
characters and a digest."""

_UNNAMED: Final = frozenset({"plan", "choreography"})
"""What plans and choreographies are called that were given no name."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Scenario:
    """A world with parameters; make one with `@scenario`.

    Args:
        name: a word without spaces.
        build: the function that makes the world; its keyword arguments are the parameters.
        parameters: their defaults.
        summary: one sentence.
    """

    name: str
    build: Build
    parameters: Mapping[str, Any]
    summary: str

    def __call__(self, **parameters: Any) -> World:
        """Return the world for some parameters.

        Raises:
            InvalidArgumentError: a parameter is unknown, text for a number, no bool for a bool,
                or below 0 where its default is a number from 0; or it is no world that was built.
        """
        self.check(parameters)
        for name, value in parameters.items():
            default = self.parameters[name]
            if (type(default) is bool and type(value) is not bool) or (
                _is_number(default) and isinstance(value, str)
            ):
                message = (
                    f"parameter {name!r} of scenario {self.name!r} is {value!r}; expected "
                    f"{type(default).__name__}, as {default!r}, which is its default"
                )
                raise InvalidArgumentError(message)
            if _is_number(default) and _is_number(value) and value < 0 <= default:
                message = (
                    f"parameter {name!r} of scenario {self.name!r} is {value}; expected 0 or more"
                )
                raise InvalidArgumentError(message)
        world = self.build(**{**self.parameters, **parameters})
        if not isinstance(world, World):
            message = f"scenario {self.name!r} built {world!r}; expected a World"
            raise InvalidArgumentError(message)
        return world

    def check(self, names: Iterable[str]) -> None:
        """Check that all names are of parameters.

        Raises:
            InvalidArgumentError: one is not.
        """
        unknown = sorted(set(names) - self.parameters.keys())
        if unknown:
            known = ", ".join(self.parameters) or "none"
            message = f"scenario {self.name!r} has no parameter {unknown[0]!r}; it has: {known}"
            raise InvalidArgumentError(message)

    @property
    def code_digest(self) -> str:
        """SHA-256 of the source of the module that builds it; empty where there is none."""
        return _digest_of_code(self.build)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it by the name that its module has for it: another process imports it."""
        name, module = self.build.__module__, sys.modules.get(self.build.__module__)
        for attribute, value in vars(module).items() if module is not None else ():
            if value is self:
                return _found, (name, attribute)
        message = (
            f"scenario {self.name!r} is not at the top level of a module ({name!r} has no such "
            "name), so that no other process can import it. Put the @scenario function into a "
            "file, or run in this process: executor=None, or a ThreadPoolExecutor"
        )
        raise InvalidArgumentError(message)

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self.parameters.items()]
        return f"Scenario({', '.join([repr(self.name), *given])})"


@overload
def scenario(build: Build, /) -> Scenario: ...
@overload
def scenario(*, name: str | None = None) -> Callable[[Build], Scenario]: ...
def scenario(
    build: Build | None = None, /, *, name: str | None = None
) -> Scenario | Callable[[Build], Scenario]:
    """Declare a function that builds a world to be a scenario.

    Its arguments are the parameters of the scenario; each has a default.

    Raises:
        InvalidArgumentError: a parameter has no default, or the name has a space in it.

    Example:
        >>> from flowlab.simulation import Agent, World
        >>> from flowlab.workflow import Step
        >>> @scenario
        ... def till(*, customers=3):
        ...     '''Customers pay.'''
        ...     bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        ...     return World([bank], Step("charge", agent="bank", kind="pivot"), customers)
        >>> till
        Scenario('till', customers=3)
    """
    if build is None:
        return lambda function: _scenario(function, name)
    return _scenario(build, name)


def as_scenario(value: Scenario | World) -> Scenario:
    """Return a scenario as it is, and a world as one without parameters, named after its workflows.

    A workflow that was given no name of its own is told from others by its digest.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if isinstance(value, Scenario):
        return value
    if isinstance(value, World):
        return Scenario(_name_of(value), lambda: value, MappingProxyType({}), "")
    message = f"expected a World or a function declared with @scenario; got {shortened(value)}"
    raise InvalidArgumentError(message + _hint(value))


def _name_of(world: World) -> str:
    processes = world.workflows.values()
    came_along = {it.compensation for it in processes if isinstance(it, Workflow)}
    given = [it for it in processes if it not in came_along] or list(processes)
    name = "+".join(_word_for(it) for it in given)
    if len(name) <= MAX_NAME_CHARS:
        return name
    return f"{_word_for(given[0])[:MAX_NAME_CHARS]}+{_short_digest(name)}"


def _word_for(process: Process) -> str:
    word = "_".join(process.name.split())
    if isinstance(process, Workflow) or process.name not in _UNNAMED:
        return word
    return f"{word}-{_short_digest(encode_json(process.to_json()))}"


def _short_digest(value: bytes | str) -> str:
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()[:8]


def _hint(value: object) -> str:
    if isinstance(value, str):
        return f". The library's are in flowlab.scenarios: SCENARIOS[{shortened(value)}]"
    if inspect.ismodule(value):
        inside = [name for name, item in vars(value).items() if isinstance(item, Scenario)]
        return f". What is in that module: {', '.join(inside)}" if inside else ""
    if isinstance(value, (Workflow, Plan, Node, Choreography)):
        return ". Give it to a World, with the agents that carry it out: World([...], it, 3)"
    return ". Write @scenario above it" if inspect.isfunction(value) else ""


def _found(module: str, name: str) -> Scenario:
    found: Scenario = getattr(import_module(module), name)
    return found


@lru_cache(maxsize=256)
def _digest_of_code(build: Build) -> str:
    module = inspect.getmodule(build)
    try:
        source = inspect.getsource(module or build)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()


def _scenario(build: Build, name: str | None) -> Scenario:
    called = name or str(getattr(build, "__name__", ""))
    if not called or len(called.split()) != 1:
        message = f"the name of a scenario is one word; got {called!r}"
        raise InvalidArgumentError(message)
    defaults: dict[str, Any] = {}
    for parameter in inspect.signature(build).parameters.values():
        if parameter.default is parameter.empty:
            message = (
                f"parameter {parameter.name!r} of scenario {called!r} has no default; a scenario "
                "runs as it is, and a study varies it"
            )
            raise InvalidArgumentError(message)
        defaults[parameter.name] = parameter.default
    first = (inspect.getdoc(build) or "").split("\n\n")[0].replace("\n", " ")
    return Scenario(called, build, MappingProxyType(defaults), first)


def _is_number(value: object) -> bool:
    return type(value) in {int, float}
