"""Reports and statements about logs, measured."""

from __future__ import annotations

from flowlab.studies.report import Report, build_report

__all__ = ["Report", "build_report"]
