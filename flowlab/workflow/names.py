"""Ids and names at the door, and how errors tell them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import MAX_ID_BYTES
from flowlab.events.wording import without_addresses

_SHOWN_CHARS: Final = 80
_SHOWN_NAMES: Final = 10

RESERVED: Final = ("orchestrator", "outside", "world")
"""What the log and the network call the world itself, and who is not one of its agents."""


def as_id(value: Any, what: str) -> str:
    """Return a name that the log can keep: text, not empty, of no more bytes than an id has.

    Raises:
        InvalidArgumentError: it is none.

    Example:
        >>> as_id("trip-é/1", "an id")
        'trip-é/1'
    """
    if isinstance(value, str) and is_id(value):
        return value
    message = (
        f"{what} is {shortened(value)}; expected text of 1 to {MAX_ID_BYTES - 1} bytes of UTF-8"
    )
    raise InvalidArgumentError(message)


def is_id(value: str) -> bool:
    """Say whether text can name something in the log, with an @ before it, too.

    Example:
        >>> is_id("bank"), is_id(""), is_id("\\ud800"), is_id("x" * 1024)
        (True, False, False, False)
    """
    if value.isascii():
        return 0 < len(value) < MAX_ID_BYTES
    try:
        return len(value.encode()) < MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def as_workflow_id(value: Any) -> str:
    """Return the id of a workflow's stream.

    Raises:
        InvalidArgumentError: it is none, or one that the world keeps for its own streams.
    """
    workflow_id = as_id(value, "a workflow id")
    if workflow_id.startswith("@") or workflow_id in RESERVED:
        message = (
            f"workflow id {workflow_id!r} is one of the world's own ({', '.join(RESERVED)}, or "
            "what begins with @); give another"
        )
        raise InvalidArgumentError(message)
    return workflow_id


def shortened(value: Any) -> str:
    """Return a repr that fits on a line.

    Example:
        >>> shortened("x" * 1_000)[-6:]
        "xx...'"
    """
    told = without_addresses(repr(value))
    return told if len(told) <= _SHOWN_CHARS else f"{told[:_SHOWN_CHARS]}...{told[-1]}"


def listed(names: Collection[str]) -> str:
    """Return names as an error tells them: all, or the first.

    Example:
        >>> listed(["a", "b"]), listed([]), listed([str(n) for n in range(12)])[-17:]
        ('a, b', 'none', ' 9 and 2 more ...')
    """
    shown = [shortened(name)[1:-1] for name in list(names)[:_SHOWN_NAMES]]
    more = len(names) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more ..." if more else "")
