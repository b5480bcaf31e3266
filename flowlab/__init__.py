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
    from flowlab import widgets
    from flowlab.errors import FlowlabError
    from flowlab.events import Cause, CauseKind, Cell, Event, EventLog, Key, RunInfo, upcast
    from flowlab.interop import export_log, import_log
    from flowlab.recovery import Replayer, recommend
    from flowlab.runtime import Runtime
    from flowlab.simulation import (
        Agent,
        Faults,
        Network,
        Start,
        World,
        scenario,
        simulate,
        simulate_many,
    )
    from flowlab.store import EventStore, Layout, Snapshot, aggregate, projection
    from flowlab.studies import check, compare, diff
    from flowlab.workflow import (
        Barrier,
        Conditional,
        Parallel,
        Plan,
        RetryPolicy,
        Sequential,
        Step,
        activity,
        field,
        workflow,
    )

__version__ = "0.1.0"

_NAMES: Final[dict[str, str]] = {
    "Agent": "flowlab.simulation",
    "Barrier": "flowlab.workflow",
    "Cause": "flowlab.events",
    "CauseKind": "flowlab.events",
    "Cell": "flowlab.events",
    "Conditional": "flowlab.workflow",
    "Event": "flowlab.events",
    "EventLog": "flowlab.events",
    "EventStore": "flowlab.store",
    "Faults": "flowlab.simulation",
    "FlowlabError": "flowlab.errors",
    "Key": "flowlab.events",
    "Layout": "flowlab.store",
    "Network": "flowlab.simulation",
    "Parallel": "flowlab.workflow",
    "Plan": "flowlab.workflow",
    "Replayer": "flowlab.recovery",
    "RetryPolicy": "flowlab.workflow",
    "RunInfo": "flowlab.events",
    "Runtime": "flowlab.runtime",
    "Sequential": "flowlab.workflow",
    "Snapshot": "flowlab.store",
    "Start": "flowlab.simulation",
    "Step": "flowlab.workflow",
    "World": "flowlab.simulation",
    "activity": "flowlab.workflow",
    "aggregate": "flowlab.store",
    "check": "flowlab.studies",
    "compare": "flowlab.studies",
    "diff": "flowlab.studies",
    "export_log": "flowlab.interop",
    "field": "flowlab.workflow",
    "import_log": "flowlab.interop",
    "projection": "flowlab.store",
    "recommend": "flowlab.recovery",
    "scenario": "flowlab.simulation",
    "simulate": "flowlab.simulation",
    "simulate_many": "flowlab.simulation",
    "upcast": "flowlab.events",
    "widgets": "flowlab.widgets",
    "workflow": "flowlab.workflow",
}

_ACCESSORS: Final[dict[str, str]] = {
    "beside": "flowlab.figures.accessor:next_to",
    "check_answers": "flowlab.figures.accessor:marked",
    "causality": "flowlab.causality.order:order_of",
    "diagram": "flowlab.figures.accessor:diagram",
    "explore": "flowlab.widgets.accessor:explore",
    "time_travel": "flowlab.widgets.accessor:time_travel",
}
"""What rooms above `events` add to every EventLog: attribute -> "module:function of the log"."""

__all__ = [
    "Agent",
    "Barrier",
    "Cause",
    "CauseKind",
    "Cell",
    "Conditional",
    "Event",
    "EventLog",
    "EventStore",
    "Faults",
    "FlowlabError",
    "Key",
    "Layout",
    "Network",
    "Parallel",
    "Plan",
    "Replayer",
    "RetryPolicy",
    "RunInfo",
    "Runtime",
    "Sequential",
    "Snapshot",
    "Start",
    "Step",
    "World",
    "__version__",
    "activity",
    "aggregate",
    "check",
    "compare",
    "diff",
    "export_log",
    "field",
    "import_log",
    "projection",
    "recommend",
    "scenario",
    "simulate",
    "simulate_many",
    "upcast",
    "widgets",
    "workflow",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        message = f"module 'flowlab' has no attribute {name!r}"
        raise AttributeError(message)
    module = import_module(_NAMES[name])
    # A room that bears the name of its decorator is both: the module can be called. Of `widgets`,
    # the room itself is the name.
    value = module if module.__name__ == f"flowlab.{name}" else getattr(module, name)
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
