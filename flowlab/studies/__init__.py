"""Reports and statements about logs, measured. Names load when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowlab.events.lazy_names import lazy_names

if TYPE_CHECKING:
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

_NAMES: Final = {
    "CLAIMS": "flowlab.studies.checking",
    "CheckReport": "flowlab.studies.checking",
    "Finding": "flowlab.studies.checking",
    "check": "flowlab.studies.checking",
    "choose": "flowlab.studies.checking",
    "claims_page": "flowlab.studies.checking",
    "claims_summary": "flowlab.studies.checking",
    "Bound": "flowlab.studies.claim",
    "Claim": "flowlab.studies.claim",
    "Measurement": "flowlab.studies.claim",
    "Reliability": "flowlab.studies.claim",
    "Verdict": "flowlab.studies.claim",
    "ArmEstimate": "flowlab.studies.comparison",
    "Comparison": "flowlab.studies.comparison",
    "PairedDifference": "flowlab.studies.comparison",
    "compare": "flowlab.studies.comparison",
    "diff": "flowlab.studies.differences",
    "Interval": "flowlab.studies.intervals",
    "FULL": "flowlab.studies.measuring",
    "QUICK": "flowlab.studies.measuring",
    "Race": "flowlab.studies.measuring",
    "Scale": "flowlab.studies.measuring",
    "Spread": "flowlab.studies.measuring",
    "race": "flowlab.studies.measuring",
    "Report": "flowlab.studies.report",
    "build_report": "flowlab.studies.report",
}

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

# Each process that a measurement starts loads what it measures, and not every study there is.
__getattr__ = lazy_names("flowlab.studies", _NAMES)
