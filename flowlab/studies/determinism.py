"""Whether a workflow does the same again: in this process, in another, with other clocks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import flowlab
from flowlab import errors
from flowlab.errors import FlowlabError, InvalidArgumentError, LimitError
from flowlab.events.wording import counted

HASH_SEEDS: Final = (1, 2, 3)
"""The hash seeds of the processes in which histories are replayed; they are made with 0."""
SHIFT_NS: Final = 34_342_673_000_000_000
"""How far the clocks of another process are set forward: 397 days, 11 hours, 37 minutes, 53 s."""
_ANYWHERE: Final = frozenset({"second run", "another order", "side by side", "another process"})
TIMEOUT_S: Final = 600
"""How long one process may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeterminismReport:
    """What was found in one workflow.

    Args:
        target: what was asked about, `module:workflow`.
        end: how its first run ended; empty for a plan.
        runs: how many histories were made and replayed.
        violations: (mean, message): what was found, and how.
        rules: the rules of the source check that the module breaks.
        unchecked: why the guard leaves it alone, if it does.
        plan: it is a plan: data, with no code that could differ.
    """

    target: str
    end: str = ""
    runs: int = 0
    violations: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = field(default=(), repr=False)
    unchecked: str = ""
    plan: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    @property
    def means(self) -> tuple[str, ...]:
        """The means that found something, each once."""
        return tuple(dict.fromkeys(mean for mean, _ in self.violations))

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON value."""
        return {
            "target": self.target,
            "ok": self.ok,
            "plan": self.plan,
            "unchecked": self.unchecked,
            "end": self.end,
            "runs": self.runs,
            "violations": [{"mean": mean, "message": told} for mean, told in self.violations],
        }

    def __str__(self) -> str:
        if self.plan:
            return f"{self.target} is a plan: data, with no code that could do something else"
        lines = [f"{mean}: {told}" for mean, told in self.violations]
        if self.unchecked:
            lines.append(f"the guard leaves it alone: {self.unchecked}")
        found = f"{len(self.violations)} found" if self.violations else "nothing found"
        told = "was replayed" if self.runs == 1 else "were replayed"
        lines.append(
            f"{self.target}: {found}; {counted(self.runs, 'history')} {told} in "
            f"{len(HASH_SEEDS) + 2} processes, the first ended with {self.end}"
        )
        return "\n".join(lines)


def determinism(
    *targets: str, value: Any = None, seed: int = 0, answers: dict[str, Any] | None = None
) -> tuple[DeterminismReport, ...]:
    """Try workflows out: under the guard, again, side by side, in other orders and processes.

    The code is loaded and run in processes of its own. Activities that its module declares are
    called; others answer by their name and input.

    Args:
        targets: each `module:workflow`, or `path/to/file.py:workflow`.
        value: the input.
        seed: of chance, orders and failures.
        answers: activity -> its result, in place of what it would answer.

    Raises:
        NotFoundError: there is no such module or workflow.
        InvalidArgumentError: a target is none, or its module cannot be loaded.
    """
    for target in targets:
        if not all(target.rpartition(":")[::2]):
            message = f"a workflow is given as MODULE:WORKFLOW or FILE.py:WORKFLOW, not {target!r}"
            raise InvalidArgumentError(message)
    jobs = [
        {"target": target, "input": value, "seed": seed, "answers": answers or {}}
        for target in targets
    ]
    outcomes = _process(jobs)
    for outcome in outcomes:
        if "error" in outcome:
            kind: type[FlowlabError] = getattr(errors, outcome["kind"], InvalidArgumentError)
            raise kind(outcome["error"])
    tried = [place for place, outcome in enumerate(outcomes) if "plan" not in outcome]
    again = [{**jobs[place], "histories": outcomes[place]["histories"]} for place in tried]
    found: list[list[tuple[str, str]]] = [
        [(mean, told) for mean, told in outcome.get("violations", ())] for outcome in outcomes
    ]
    for mean, differences in _elsewhere(again) if again else []:
        for place, told in zip(tried, differences, strict=True):
            # What differs here differs there too, and in any other process in each: told once.
            if told is not None and not {*_ANYWHERE, mean} & {known for known, _ in found[place]}:
                found[place].append((mean, told))
    return tuple(
        _report(target, outcome, violations)
        for target, outcome, violations in zip(targets, outcomes, found, strict=True)
    )


def _report(
    target: str, outcome: dict[str, Any], violations: list[tuple[str, str]]
) -> DeterminismReport:
    if "plan" in outcome:
        return DeterminismReport(target=target, plan=True)
    return DeterminismReport(
        target=target,
        end=outcome["end"],
        runs=len(outcome["histories"]),
        violations=tuple(violations),
        rules=tuple(outcome["rules"]),
        unchecked=outcome["unchecked"],
    )


def _elsewhere(jobs: list[dict[str, Any]]) -> list[tuple[str, list[str | None]]]:
    """Replay histories in other processes; return for each what found it, and each job's first."""
    variants = [("another process", 0, 0), ("shifted clock", 0, SHIFT_NS)]
    variants += [("another hash seed", seed, 0) for seed in HASH_SEEDS]

    def differences(variant: tuple[str, int, int]) -> tuple[str, list[str | None]]:
        mean, hash_seed, shift_ns = variant
        outcomes = _process(jobs, hash_seed=hash_seed, shift_ns=shift_ns)
        told = [next(filter(None, outcome["differences"]), None) for outcome in outcomes]
        return mean, told

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(differences, variants))


def _process(
    jobs: Sequence[dict[str, Any]], *, hash_seed: int = 0, shift_ns: int = 0
) -> list[dict[str, Any]]:
    home = str(Path(flowlab.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    try:
        child = subprocess.run(
            [sys.executable, "-m", "flowlab.cli.trials"],
            input=json.dumps({"shift_ns": shift_ns, "jobs": list(jobs)}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        message = (
            f"the trial took longer than TIMEOUT_S ({TIMEOUT_S} s); "
            "is there a loop without an await?"
        )
        raise LimitError(message) from None
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
        message = f"the process of the trial ended with code {child.returncode}: {last}"
        raise InvalidArgumentError(message)
    found: list[dict[str, Any]] = json.loads(child.stdout)
    return found
