"""Live views of logs: in a notebook, and as pages that need nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flowlab.widgets.cost_view import RecoveryCostView, recovery_cost
    from flowlab.widgets.explorer import Explorer
    from flowlab.widgets.page import save_page
    from flowlab.widgets.time_view import TimeTravelView

_NAMES: Final = {
    "Explorer": "explorer",
    "RecoveryCostView": "cost_view",
    "TimeTravelView": "time_view",
    "recovery_cost": "cost_view",
    "save_page": "page",
}

__all__ = ["Explorer", "RecoveryCostView", "TimeTravelView", "recovery_cost", "save_page"]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: a page needs no widgets, and they take long to load."""
    if name not in _NAMES:
        message = f"module 'flowlab.widgets' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"flowlab.widgets.{_NAMES[name]}"), name)
