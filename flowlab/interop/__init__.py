"""Logs of other systems, in and out."""

from __future__ import annotations

from flowlab.interop.exporting import EXPORTS, export_log
from flowlab.interop.importing import (
    MAX_IMPORT_FILE_BYTES,
    SUFFIXES,
    Failed,
    Imported,
    ImportReport,
    Skipped,
    import_log,
)
from flowlab.interop.mapping import Mapping, load_mapping, propose_mapping

__all__ = [
    "EXPORTS",
    "MAX_IMPORT_FILE_BYTES",
    "SUFFIXES",
    "Failed",
    "ImportReport",
    "Imported",
    "Mapping",
    "Skipped",
    "export_log",
    "import_log",
    "load_mapping",
    "propose_mapping",
]
