"""Asking the world outside whether an effect has happened that a crash has left open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowlab.runtime.effect import Done, Effect, Gone, Outcome
from flowlab.runtime.uncertain import UNCERTAIN_EFFECT

if TYPE_CHECKING:
    from flowlab.runtime.host import Host


def found_out(host: Host, effect: Effect, outcome: Outcome | None) -> None:
    """Take note of what was found out about an effect, and go on with that.

    Args:
        host: which asked.
        effect: of which nobody knew.
        outcome: how asking ended: its result is `Done`, `Gone`, or None where it has not happened.
            None where nobody waits for the effect any more.
    """
    if outcome is None:
        host.canceled(effect)
        return
    instance = host.instances.get(effect.workflow_id)
    if instance is None or not instance.is_open:
        return
    verdict, answer = _verdict(effect, outcome)
    host.recording.beside(
        f"@{effect.workflow_id}",
        effect.workflow_id,
        "MarkerRecorded",
        name=effect.activity,
        payload={**effect.facts(), "found": verdict},
        coordination_id=effect.workflow_id,
    )
    if answer is not None:
        host.answer(None, effect, answer)
    elif effect.sequence < 0:
        host.hand_to_agent(effect)
    elif effect.sequence in instance.standing.withdrawn:
        host.canceled(effect)
    elif effect.sequence in instance.standing.open:
        request = instance.standing.open[effect.sequence]
        host.ask(instance, request, delivery=effect.delivery + 1)


def _verdict(effect: Effect, outcome: Outcome) -> tuple[str, Outcome | None]:
    if isinstance(outcome, Done):
        said = outcome.result
        if said is None:
            return "not done", None
        if isinstance(said, Done):
            return "done", said
        if isinstance(said, Gone):
            return "gone", said
        why = f"asking gave {said!r}; expected Done(result), Gone(type, message) or None"
    else:
        why = f"asking whether it has failed: {outcome.error_type}: {outcome.message}"
    told = f"{effect.key} may have happened before the process stopped, and {why}"
    return "unknown", Gone(UNCERTAIN_EFFECT, told)
