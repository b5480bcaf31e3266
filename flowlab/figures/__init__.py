"""Pure functions from logs to static pictures."""

from __future__ import annotations

from flowlab.figures.beside import beside
from flowlab.figures.curves import curves
from flowlab.figures.figure import Figure
from flowlab.figures.flow import flow
from flowlab.figures.lattice import lattice
from flowlab.figures.recovery_cost import recovery_cost
from flowlab.figures.recovery_model import MeasuredRecovery, RecoveryCosts
from flowlab.figures.space_time import space_time
from flowlab.figures.time_travel import time_travel
from flowlab.figures.travel_values import CheckpointMark
from flowlab.figures.worksheet import Marking, check_answers

__all__ = [
    "CheckpointMark",
    "Figure",
    "Marking",
    "MeasuredRecovery",
    "RecoveryCosts",
    "beside",
    "check_answers",
    "curves",
    "flow",
    "lattice",
    "recovery_cost",
    "space_time",
    "time_travel",
]
