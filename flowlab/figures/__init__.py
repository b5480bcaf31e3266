"""Pure functions from logs to static pictures."""

from __future__ import annotations

from flowlab.figures.beside import beside
from flowlab.figures.space_time import Figure, space_time

__all__ = ["Figure", "beside", "space_time"]
