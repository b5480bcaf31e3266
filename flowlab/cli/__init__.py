"""The command line: thin, one verb a façade function."""

from __future__ import annotations

from flowlab.cli.command import main
from flowlab.cli.reference import reference

__all__ = ["main", "reference"]
