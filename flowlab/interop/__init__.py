"""Logs of other systems, in and out."""

from __future__ import annotations

from flowlab.interop.exporting import export_log
from flowlab.interop.files import SUFFIXES
from flowlab.interop.importing import MAX_IMPORT_FILE_BYTES, import_log
from flowlab.interop.mapping import Mapping, load_mapping, propose_mapping
from flowlab.interop.report import (
    Failed,
    Imported,
    ImportReport,
    Skipped,
)

__all__ = [
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
