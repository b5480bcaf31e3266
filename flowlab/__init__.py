"""flowlab: logs of multi-agent workflows that name their causes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "Cause": "flowlab.events",
    "CauseKind": "flowlab.events",
    "Cell": "flowlab.events",
    "Event": "flowlab.events",
    "EventLog": "flowlab.events",
    "RunInfo": "flowlab.events",
    "FlowlabError": "flowlab.errors",
}

__all__ = ["__version__", *sorted(_NAMES)]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        message = f"module 'flowlab' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
