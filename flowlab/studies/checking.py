"""Checking claims: measure them again, print the table, write the page."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from flowlab.errors import InvalidArgumentError, MissingDependencyError
from flowlab.studies.causality_claims import CAUSALITY_CLAIMS
from flowlab.studies.claim import Claim, Measurement, Verdict
from flowlab.studies.law_claims import LAW_CLAIMS
from flowlab.studies.log_claims import LOG_CLAIMS
from flowlab.studies.measuring import Scale
from flowlab.studies.recovery_claims import RECOVERY_COST_CLAIMS
from flowlab.studies.replay_claims import REPLAY_CLAIMS
from flowlab.studies.runtime_claims import RUNTIME_CLAIMS
from flowlab.studies.scheme_claims import SCHEME_CLAIMS
from flowlab.studies.simulation_claims import SIMULATION_CLAIMS
from flowlab.studies.store_claims import STORE_CLAIMS

CLAIMS: Final[tuple[Claim, ...]] = (
    *LOG_CLAIMS,
    *STORE_CLAIMS,
    *SIMULATION_CLAIMS,
    *CAUSALITY_CLAIMS,
    *LAW_CLAIMS,
    *RUNTIME_CLAIMS,
    *REPLAY_CLAIMS,
    *RECOVERY_COST_CLAIMS,
    *SCHEME_CLAIMS,
)
"""Every claim of flowlab, in the order of the table."""

_LIBRARIES: Final = (
    "flowlab", "duckdb", "pyarrow", "polars", "numpy", "msgspec", "eventsourcing", "simpy",
    "networkx", "rustworkx", "numba", "pm4py", "durabletask", "temporalio", "dbos", "langgraph",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What measuring a claim gave.

    Args:
        claim: the claim.
        measurement: None where it could not be measured.
        verdict: None where it could not be measured; never counted as held.
        reason: why it could not be measured.
    """

    claim: Claim
    measurement: Measurement | None
    verdict: Verdict | None
    reason: str = ""

    def __repr__(self) -> str:
        return f"Finding({self.claim.name!r}, {self.verdict or 'not measured'})"

    @property
    def ok(self) -> bool:
        """Whether it was measured and is not refuted."""
        return self.verdict not in {None, Verdict.REFUTED}

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        claim, found = self.claim, self.measurement
        row: dict[str, Any] = {
            "name": claim.name,
            "statement": claim.statement,
            "source": claim.source,
            "reliability": str(claim.reliability),
            "gate": None if claim.gate is None else str(claim.gate),
            "aim": None if claim.aim is None else str(claim.aim),
            "verdict": None if self.verdict is None else str(self.verdict),
        }
        if found is None:
            return {**row, "reason": self.reason}
        keys = ("value", "low", "high", "unit", "samples", "beside")
        row |= {key: getattr(found, key) for key in keys}
        if self.verdict is Verdict.RESTATED:
            row["restatement"] = claim.restatement
        if claim.aim is not None:
            row["aim_met"] = claim.aim.holds(found.value)
        return row


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The findings of one check, with the machine and the versions that gave them."""

    findings: tuple[Finding, ...]
    machine: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every claim was measured and none is refuted."""
        return all(finding.ok for finding in self.findings)

    def __repr__(self) -> str:
        refuted = sum(not finding.ok for finding in self.findings)
        return f"CheckReport({len(self.findings)} claims, {refuted} refuted or not measured)"

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value: what docs/claims.json keeps."""
        return {
            "machine": self.machine,
            "claims": [finding.to_json() for finding in self.findings],
        }

    def __str__(self) -> str:
        rows = [_cells(row) for row in self.to_json()["claims"]]
        head = ("claim", "measured", "gate", "aim", "verdict")
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(head, widths, strict=True)).rstrip()]
        lines.append("  ".join("-" * width for width in widths))
        for row, finding in zip(rows, self.findings, strict=True):
            pairs = zip(row, widths, strict=True)
            lines.append("  ".join(cell.ljust(width) for cell, width in pairs).rstrip())
            lines += [f"    {line}" for line in _evidence(finding.to_json())]
        lines.append("")
        lines.append("; ".join(f"{name} {value}" for name, value in self.machine.items()))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("claim", "measured", "gate", "verdict"))
        body = "".join(
            "<tr>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in (row[0], row[1], row[2], row[4]))
            + "</tr>"
            for row in (_cells(finding.to_json()) for finding in self.findings)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def check(
    *names: str,
    scale: Scale | None = None,
    progress: Callable[[str], None] | None = None,
    claims: Sequence[Claim] = CLAIMS,
) -> CheckReport:
    """Measure claims again: all, those of an area (`log`), or one by name (`log.append`).

    Args:
        names: areas or claims; none means every claim.
        scale: how much is measured; the default takes a few minutes for the log.
        progress: told the name of each claim before it is measured, and the parts of long ones.
        claims: what there is to choose from.

    Returns:
        A report that prints as a table. A claim whose peer is not installed is *not measured*,
        which is no success.

    Raises:
        InvalidArgumentError: there is no such area or claim.

    Example:
        >>> from flowlab.studies.measuring import QUICK
        >>> check("log.syncs", scale=QUICK).findings
        (Finding('log.syncs', held),)
    """
    chosen = choose(names, claims)
    scale, findings = scale or Scale(), []
    if progress is not None:
        scale = replace(scale, tell=progress)
    for claim in chosen:
        scale.tell(f"measuring {claim.name}")
        findings.append(_measure(claim, scale))
    return CheckReport(tuple(findings), describe_machine())


def choose(names: Iterable[str], claims: Sequence[Claim] = CLAIMS) -> list[Claim]:
    """Return the claims of areas or names, in the table's order.

    Raises:
        InvalidArgumentError: there is no such area or claim.
    """
    wanted = list(names)
    known = {claim.area for claim in claims} | {claim.name for claim in claims}
    for name in wanted:
        if name not in known:
            areas = ", ".join(sorted({claim.area for claim in claims}))
            message = (
                f"there is no area or claim {name!r}; areas are {areas}, and claims "
                + ", ".join(claim.name for claim in claims)
            )
            raise InvalidArgumentError(message)
    return [c for c in claims if not wanted or c.name in wanted or c.area in wanted]


def _measure(claim: Claim, scale: Scale) -> Finding:
    try:
        found = claim.measure(scale)
    except MissingDependencyError as error:
        return Finding(claim, None, None, str(error))
    except Exception as error:  # noqa: BLE001 - told in the table, and no success; the rest goes on
        return Finding(claim, None, None, f"it could not be measured: {error!r}")
    return Finding(claim, found, claim.judge(found))


def describe_machine() -> dict[str, str]:
    """Return what a figure depends on: processor, system, versions, day."""
    found = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def shown_value(row: dict[str, Any]) -> str:
    """Write a measured value with its spread."""
    if "value" not in row:
        return "not measured"
    value = f"{row['value']:.3g}"
    if row["low"] != row["high"]:
        # JSON has no infinity: a fit through noise may leave a quartile without one.
        low, high = ("no bound" if row[k] is None else f"{row[k]:.3g}" for k in ("low", "high"))
        value += f" ({low} to {high})"
    return f"{value} {row['unit']}"


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    aim = row["aim"] or ""
    if aim and "aim_met" in row:
        aim += ", met" if row["aim_met"] else ", missed"
    verdict = row["verdict"] or "not measured"
    return row["name"], shown_value(row), row["gate"] or "", aim, verdict


def _evidence(row: dict[str, Any]) -> list[str]:
    lines = [row["statement"]]
    if "restatement" in row:
        lines.append(f"restated: {row['restatement']}")
    if "reason" in row:
        lines.append(row["reason"])
    if row.get("beside"):
        lines.append("; ".join(f"{name}: {value}" for name, value in row["beside"].items()))
    return lines


def claims_page(results: dict[str, Any]) -> str:
    """Return docs/claims.md, from what `flowlab check --json` printed."""
    machine = "; ".join(f"{name} {value}" for name, value in results["machine"].items())
    lines = [
        "# Claims",
        "",
        "Every statement of speed, size or guarantee, measured by `flowlab check` and written here",
        "by `make docs` from `docs/claims.json`. A ratio is the median over alternating blocks of",
        "one process, and the quartiles stand in brackets; a count has no spread. The seed of",
        "every workload is fixed. A figure holds for the machine that gave it:",
        "",
        f"> {machine}",
        "",
        "| claim | measured | gate | aim | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in results["claims"]:
        name, *cells = _cells(row)
        lines.append(f"| [`{name}`](#{_anchor(name)}) | {' | '.join(cells)} |")
    for row in results["claims"]:
        name, value, gate, _, verdict = _cells(row)
        lines += ["", f"## {name}", "", row["statement"], ""]
        lines.append(f"- **{verdict}**: {value}{f', gate: {gate}' if gate else ''}")
        if "restatement" in row:
            lines.append(f"- Restated: {row['restatement']}")
        lines.append(f"- Source: {row['source']} ({row['reliability']})")
        lines += [f"- {key}: {text}" for key, text in row.get("beside", {}).items()]
        lines.append(f"- Again: `flowlab check {name}`")
    return "\n".join(lines) + "\n"


def claims_summary(results: dict[str, Any]) -> str:
    """Return the table of README.md: the gates, and what was measured."""
    lines = ["| statement | measured | gate | verdict |", "|---|---|---|---|"]
    for row in results["claims"]:
        if row["gate"] is not None:
            _, value, gate, _, verdict = _cells(row)
            text = row["statement"]
            if "restatement" in row:
                text += f" *Restated:* {row['restatement']}"
            lines.append(f"| {text} | {value} | {gate} | {verdict} |")
    machine = results["machine"]
    where = (
        f"Measured on {machine['date']}: {machine['cores']} cores of {machine['processor']}, "
        f"{machine['system']}, Python {machine['python']}. Again: `make check`."
    )
    return "\n".join([*lines, "", where]) + "\n"


def _anchor(name: str) -> str:
    return name.replace(".", "")
