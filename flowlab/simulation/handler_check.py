"""What a handler reads that no seed decides: a world with it is another one each time."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any, Final
from weakref import WeakSet

from flowlab.errors import DeterminismWarning
from flowlab.workflow import source_findings

_INSTEAD: Final = {
    "clock": "the time is ctx.now_ns(), and waiting is await ctx.sleep(...)",
    "chance": "draw from ctx.random(name)",
}

_read: WeakSet[CodeType] = WeakSet()
"""What has been read already: a campaign makes the same agents again and again."""


def warn_of_world(handler: Callable[..., Any], activity: str) -> None:
    """Warn of clocks and of chance in a handler's source, each place once.

    It is no error: a handler may ask a model, and then its run is what it is. Without source, as in
    a shell, nothing is found.

    Example:
        >>> warn_of_world(lambda ctx, value: ctx.now_ns(), "look")
    """
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is None or code in _read:
        return
    _read.add(code)
    for finding in source_findings(handler):
        if finding.rule in _INSTEAD:
            message = (
                f"the handler of {activity!r} reads {finding.saw}, and the same seed will give "
                f"another world; {_INSTEAD[finding.rule]}"
            )
            warnings.warn_explicit(
                message, DeterminismWarning, finding.file, finding.line, module=handler.__module__
            )
