"""What a handler reads that no seed decides: a world with it is another one each time."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from flowlab.errors import DeterminismWarning
from flowlab.workflow import source_findings

_SAID: Final = {
    "clock": "reads {saw}, and the same seed will give another world; the time is ctx.now_ns()",
    "chance": "reads {saw}, and the same seed will give another world; draw from ctx.random(name)",
}
_WAITS: Final = "waits by {saw}, which takes no time of the world; await ctx.sleep(...) does"

_read: WeakSet[CodeType] = WeakSet()
"""What has been read already: a campaign makes the same agents again and again."""
_adapted: WeakKeyDictionary[Callable[..., Any], Callable[..., Any]] = WeakKeyDictionary()
"""What takes (ctx, value) -> the function in it, as a person wrote it."""


def adapted_from(function: Callable[..., Any], found: Callable[..., Any]) -> Callable[..., Any]:
    """Take note of what a function was adapted from, and return it."""
    _adapted[found] = function
    return found


def warn_of_world(agents: Iterable[Mapping[str, Callable[..., Any]]]) -> None:
    """Warn of clocks and of chance in the source of the handlers of a world, each place once.

    It is no error: a handler may ask a model, and then its run is what it is. Nor is an agent
    warned of that never is in a world: a real one may wait and look about. Without source, as in a
    shell, nothing is found.

    Example:
        >>> warn_of_world([{"look": lambda ctx, value: ctx.now_ns()}])
    """
    # Agents of one kind share their handlers.
    for handlers in {id(handlers): handlers for handlers in agents}.values():
        for activity, handler in handlers.items():
            _warn_of(handler, activity)


def _warn_of(handler: Callable[..., Any], activity: str) -> None:
    if isinstance(handler, FunctionType):
        handler = _adapted.get(handler, handler)
    function = inspect.unwrap(handler)
    code = getattr(function, "__code__", None)
    if code is None or code in _read:
        return
    _read.add(code)
    for finding in source_findings(function):
        if finding.rule in _SAID:
            waits = finding.saw.rpartition(".")[2] == "sleep"
            said = (_WAITS if waits else _SAID[finding.rule]).format(saw=finding.saw)
            warnings.warn_explicit(
                f"the handler of {activity!r} {said}",
                DeterminismWarning,
                finding.file,
                finding.line,
                module=function.__module__,
            )
