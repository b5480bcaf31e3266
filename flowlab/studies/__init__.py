"""Reports and statements about logs, measured."""

from __future__ import annotations

from flowlab.studies.checking import (
    CLAIMS,
    CheckReport,
    Finding,
    check,
    choose,
    claims_page,
    claims_summary,
)
from flowlab.studies.claim import Bound, Claim, Measurement, Reliability, Verdict
from flowlab.studies.comparison import ArmEstimate, Comparison, PairedDifference, compare
from flowlab.studies.differences import diff
from flowlab.studies.intervals import Interval
from flowlab.studies.measuring import FULL, QUICK, Race, Scale, Spread, race
from flowlab.studies.report import Report, build_report

__all__ = [
    "CLAIMS",
    "FULL",
    "QUICK",
    "ArmEstimate",
    "Bound",
    "CheckReport",
    "Claim",
    "Comparison",
    "Finding",
    "Interval",
    "Measurement",
    "PairedDifference",
    "Race",
    "Reliability",
    "Report",
    "Scale",
    "Spread",
    "Verdict",
    "build_report",
    "check",
    "choose",
    "claims_page",
    "claims_summary",
    "compare",
    "diff",
    "race",
]
