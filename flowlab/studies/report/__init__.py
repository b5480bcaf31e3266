"""One offline page about a log, with the SQL behind each table."""

from __future__ import annotations

from flowlab.studies.report.build import Report, build_report

__all__ = ["Report", "build_report"]
