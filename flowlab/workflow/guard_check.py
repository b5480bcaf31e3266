"""What happens to what the source check finds: a workflow is refused, or warned of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from flowlab.errors import DeterminismWarning, NonDeterminismError
from flowlab.workflow.guard_rules import Finding
from flowlab.workflow.guard_source import source_findings

_collected: Final[list[list[Finding]]] = []
_MAX_SHOWN: Final = 20


def check_source(function: Callable[..., Any], name: str) -> None:
    """Check a workflow's source: refuse what the world answers, warn of what may be harmless.

    Raises:
        NonDeterminismError: the code reaches for the world.
    """
    found = source_findings(function)
    if not found:
        return
    if _collected:
        _collected[-1].extend(found)
        return
    refused = [finding for finding in found if finding.refused]
    if refused:
        shown = [str(finding) for finding in refused[:_MAX_SHOWN]]
        if len(refused) > _MAX_SHOWN:
            shown.append(f"... and {len(refused) - _MAX_SHOWN} more")
        message = (
            f"workflow {name!r} reaches for what a replay would find otherwise:\n  "
            + "\n  ".join(shown)
            + '\nIf that is a false alarm, say why: @workflow(unchecked="...")'
        )
        raise NonDeterminismError(message, mean="source check")
    for finding in found:
        warnings.warn_explicit(
            f"workflow {name!r}: {finding}",
            DeterminismWarning,
            finding.file,
            finding.line,
            module=function.__module__,
        )


@contextmanager
def collecting() -> Iterator[list[Finding]]:
    """Collect what the source check finds in workflows that are declared meanwhile.

    Nothing is refused or warned of until it ends.

    Example:
        >>> with collecting() as found:
        ...     pass
        >>> found
        []
    """
    found: list[Finding] = []
    _collected.append(found)
    try:
        yield found
    finally:
        _collected.pop()
