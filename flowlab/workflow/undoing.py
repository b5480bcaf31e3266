"""What a saga has done, and how each effect is undone, one after the other or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flowlab.workflow.handles import Handle, Promise
from flowlab.workflow.joining import all_of


class CompensationResult(StrEnum):
    """What became of a step's effect when its saga failed; see `Saga.outcomes`.

    A compensation, be it an activity or a workflow, may return {"compensation": "nothing_to_do"},
    or "failed"; whatever else it returns means compensated.

    Example:
        >>> CompensationResult.of({"compensation": "nothing_to_do"})
        <CompensationResult.NOTHING_TO_DO: 'nothing_to_do'>
    """

    COMPENSATED = "compensated"
    NOTHING_TO_DO = "nothing_to_do"
    FAILED = "failed"

    @classmethod
    def of(cls, result: Any) -> CompensationResult:
        """Return what the result of a compensation says."""
        said = result.get("compensation") if isinstance(result, dict) else None
        known = {str(member): member for member in cls}
        return known.get(said, cls.COMPENSATED) if isinstance(said, str) else cls.COMPENSATED


@dataclass(frozen=True, slots=True)
class Undo:
    """How one effect is undone.

    Args:
        step_id: whose effect.
        ask: begins it; raises where there is no input for it.
    """

    step_id: str
    ask: Callable[[], Handle]

    def begin(self) -> Handle:
        """Begin it; what could not be begun is a handle with the error."""
        try:
            return self.ask()
        except Exception as error:  # noqa: BLE001 - a person's function made its input
            failed = Promise(f"the undoing of {self.step_id!r}")
            failed.reject(error, {})
            return failed


async def in_turn(undo: list[Undo], *, go_on: bool) -> dict[str, CompensationResult]:
    """Undo the last first; unless told to go on, stop at one that fails for good."""
    outcomes: dict[str, CompensationResult] = {}
    for one in reversed(undo):
        handle = one.begin()
        await ends([handle])
        outcomes[one.step_id] = _outcome(handle)
        if outcomes[one.step_id] is CompensationResult.FAILED and not go_on:
            break
    return outcomes


async def at_once(undo: list[Undo]) -> dict[str, CompensationResult]:
    """Undo everything at the same time."""
    handles = [(one.step_id, one.begin()) for one in reversed(undo)]
    await ends([handle for _, handle in handles])
    return {step_id: _outcome(handle) for step_id, handle in handles}


def ends(handles: Iterable[Handle]) -> Handle:
    """Return a handle that is done when all are, however they ended; it gives up none of them."""
    found = []
    for handle in handles:
        end = Promise(f"the end of {handle.what}")
        handle.then(lambda end=end, handle=handle: end.resolve(None, handle.because))  # type: ignore[misc]
        found.append(end)
    return all_of(found)


def _outcome(handle: Handle) -> CompensationResult:
    if handle.error is not None:
        return CompensationResult.FAILED
    return CompensationResult.of(handle.result())
