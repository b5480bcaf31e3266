"""A workflow's declared state, and going on from where it was saved.

**The contract.** A function that declares its state is entered with (ctx, input, state): once with
the state that its type gives by itself, and again from any savepoint with the state of that moment.
So what it does after a savepoint follows from input and state alone, never from a local variable:
typically a loop over what the state says is left to do. Nothing is in flight at a savepoint, since
nobody would wait for it after re-entry. Ids of children and sagas, streams of chance, patches and
barriers begin anew there; events from outside that nobody has asked for yet are kept in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowlab.errors import CorruptionError, InvalidArgumentError
from flowlab.workflow.answers import Inbox, data_of

if TYPE_CHECKING:
    from flowlab.events import Event
    from flowlab.workflow.definition import Workflow

SAVEPOINT: Final = "savepoint"
"""The name of the marker that a savepoint is."""


def is_savepoint(event: Event) -> bool:
    """Say whether an event is a savepoint.

    Example:
        >>> from flowlab.events import Event
        >>> is_savepoint(Event.of("MarkerRecorded", name="savepoint", payload={"state": {}}))
        True
    """
    return event.event_type == "MarkerRecorded" and event.name == SAVEPOINT


def saved(workflow: Workflow, state: Any, in_flight: list[str], inbox: Inbox) -> dict[str, Any]:
    """Return what a savepoint holds.

    Raises:
        InvalidArgumentError: the workflow declares no state, or something is in flight.
    """
    reason = None
    if workflow.state is None:
        reason = "it declares no state; write @workflow(state=T) and take (ctx, input, state)"
    elif in_flight:
        reason = f"in flight: {', '.join(in_flight)}; wait for the end of everything before it"
    if reason is not None:
        message = f"workflow {workflow.name!r} cannot take a savepoint: {reason}"
        raise InvalidArgumentError(message)
    payload = {"state": encode_state(state, workflow)}
    kept = inbox.kept
    return {**payload, "kept": kept} if kept else payload


def encode_state(state: Any, workflow: Workflow) -> Any:
    """Return a state as a JSON value.

    Raises:
        InvalidArgumentError: it holds something that JSON cannot.
    """
    try:
        return msgspec.to_builtins(state, str_keys=True, order="deterministic")
    except (TypeError, ValueError) as error:
        message = (
            f"the state of workflow {workflow.name!r} cannot be saved: {error}; let "
            f"{workflow.state!r} hold JSON values, dataclasses and Structs only"
        )
        raise InvalidArgumentError(message) from error


def decode_state(savepoint: Event, workflow: Workflow) -> Any:
    """Return the state that a savepoint holds, as the type that a workflow declares.

    Raises:
        InvalidArgumentError: the event is no savepoint, or the workflow declares no state.
        CorruptionError: the state is not of that type.
    """
    if workflow.state is None or not is_savepoint(savepoint):
        message = (
            f"{savepoint!r} is no savepoint of {workflow!r}; give a MarkerRecorded event named "
            f"{SAVEPOINT!r} and a workflow that declares its state"
        )
        raise InvalidArgumentError(message)
    try:
        return msgspec.convert(data_of(savepoint).get("state"), workflow.state, str_keys=True)
    except msgspec.ValidationError as error:
        message = (
            f"the state in {savepoint!r} is not what workflow {workflow.name!r} declares: {error}; "
            "it was saved by other code: go on from the whole history, or from an earlier savepoint"
        )
        raise CorruptionError(message) from error


def check_state(state: type, name: str) -> None:
    """Check that a type can be a workflow's state.

    Raises:
        InvalidArgumentError: it cannot be made without arguments, or not be saved and read back.
    """
    try:
        first = state()
        plain = msgspec.to_builtins(first, str_keys=True, order="deterministic")
        same = msgspec.convert(plain, state, str_keys=True) == first
    except Exception as error:  # noqa: BLE001 - whatever a foreign constructor raises
        same, why = False, f"{type(error).__name__}: {error}"
    else:
        why = "what is read back is not equal"
    if not same:
        message = (
            f"workflow {name!r} cannot have {state!r} as its state ({why}); give a dataclass, a "
            "msgspec Struct or a dict type whose fields have defaults and hold JSON values"
        )
        raise InvalidArgumentError(message)
