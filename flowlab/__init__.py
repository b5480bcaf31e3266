"""flowlab: logs of multi-agent workflows that name their causes.

Everything is an `EventLog`: what was imported, stored, simulated or executed is the same table of
events, and every reader (SQL, keys, pictures, claims) starts from it. Names load when they are
first used, so that `import flowlab` costs next to nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flowlab.errors import FlowlabError
    from flowlab.events import Cause, CauseKind, Cell, Event, EventLog, Key, RunInfo
    from flowlab.interop import export_log, import_log
    from flowlab.store import EventStore, Layout, Snapshot
    from flowlab.studies import check

__version__ = "0.1.0"

_NAMES: Final[dict[str, str]] = {
    "Cause": "flowlab.events",
    "CauseKind": "flowlab.events",
    "Cell": "flowlab.events",
    "Event": "flowlab.events",
    "EventLog": "flowlab.events",
    "EventStore": "flowlab.store",
    "FlowlabError": "flowlab.errors",
    "Key": "flowlab.events",
    "Layout": "flowlab.store",
    "RunInfo": "flowlab.events",
    "Snapshot": "flowlab.store",
    "check": "flowlab.studies",
    "export_log": "flowlab.interop",
    "import_log": "flowlab.interop",
}

_ACCESSORS: Final[dict[str, str]] = {"diagram": "flowlab.figures.accessor:diagram"}
"""What rooms above `events` add to every EventLog: attribute -> "module:function of the log"."""

__all__ = [
    "Cause",
    "CauseKind",
    "Cell",
    "Event",
    "EventLog",
    "EventStore",
    "FlowlabError",
    "Key",
    "Layout",
    "RunInfo",
    "Snapshot",
    "__version__",
    "check",
    "export_log",
    "import_log",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        message = f"module 'flowlab' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_NAMES[name]), name)
    _add_accessors()
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _add_accessors() -> None:
    if "flowlab.events" not in sys.modules:
        return
    from flowlab.events import EventLog, register_accessor  # noqa: PLC0415

    for name in _ACCESSORS.keys() - EventLog.accessors.keys():
        register_accessor(name, _ACCESSORS[name])
