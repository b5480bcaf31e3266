"""Counts and errors as a person reads them, the same in every repr, report, log and answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowlab.events.log import EventLog

MAX_KNOWN: Final = 8
"""Runs or workflows named to somebody who asked for another."""

MAX_ERROR_CHARS: Final = 65_536
"""Characters of an error's text that an event keeps."""

_QUOTED_CHARS: Final = 1_024
"""So many more, so that what quotes a text that was cut is not cut again."""

_ADDRESS: Final = re.compile(r" at 0x[0-9A-Fa-f]+")


def grouped(number: int) -> str:
    """Return a number with a space between its thousands.

    Example:
        >>> grouped(12_431)
        '12 431'
    """
    return f"{number:,}".replace(",", " ")


def brief(value: object, most: int = 60) -> str:
    """Return a value's repr, cut to so many characters.

    Example:
        >>> brief("short"), brief([1, 2, 3], 6)
        ("'short'", '[1, 2…')
    """
    text = without_addresses(repr(value))
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "file"), counted(1_300, "event"), counted(2, "anomaly")
        ('1 file', '1 300 events', '2 anomalies')
    """
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{grouped(number)} {noun if number == 1 else many}"


def error_facts(error: BaseException) -> dict[str, str]:
    """Return what an event keeps of an error.

    Example:
        >>> error_facts(ValueError("too late"))
        {'type': 'ValueError', 'message': 'too late'}
    """
    return {"type": type(error).__name__, "message": error_text(error)}


def error_text(error: BaseException) -> str:
    """Return what an error says, the same in every process: without addresses of objects.

    Example:
        >>> error_text(ValueError("no <object object at 0x7f0a51e3c0f0>"))
        'no <object object>'
        >>> error_text(KeyError("stock")), error_text(ValueError())
        ("there is no 'stock'", 'ValueError')
    """
    try:
        text = str(error) or type(error).__name__
    except Exception as broken:  # noqa: BLE001 - a foreign __str__ raises what it likes
        text = f"its text cannot be read: {type(broken).__name__}"
    if type(error) is KeyError and len(error.args) == 1 and " " not in text:
        text = f"there is no {text}"
    return cut(without_addresses(text))


def cut(text: str) -> str:
    """Return what an event keeps of a text that a person or a program wrote: its beginning.

    Example:
        >>> cut("sold out"), cut("x" * 70_000)[-32:]
        ('sold out', 'xxxxxx... (70 000 characters)')
    """
    if len(text) <= MAX_ERROR_CHARS + _QUOTED_CHARS:
        return text
    return f"{text[:MAX_ERROR_CHARS]}... ({grouped(len(text))} characters)"


def without_addresses(text: str) -> str:
    """Return a repr without where its objects are in memory, which is elsewhere in each process.

    Example:
        >>> without_addresses("<function pay at 0x7f0a51e3c0f0>")
        '<function pay>'
    """
    return _ADDRESS.sub("", text)


def told_absent(log: EventLog, run_id: str | None, workflow_id: str | None) -> str:
    """Return what to say of a run or workflow that a log has not: the first few that it has.

    Example:
        >>> from flowlab.events import EventLog
        >>> log = EventLog.from_text("A: a", run_id="one")
        >>> told_absent(log, "two", None)
        "the log has no such events: no run 'two'; there are 'one'"
    """
    part = log if run_id is None else log.filter(run_id=run_id)
    by_run = run_id is not None and not len(part)
    noun, wanted, part = ("run", run_id, log) if by_run else ("workflow", workflow_id, part)
    names = sorted(part.table.column(f"{noun}_id").unique().to_pylist())
    known = ", ".join(f"{name!r:.80}" for name in names[:MAX_KNOWN]) or "none"
    more = f" and {len(names) - MAX_KNOWN} more" if len(names) > MAX_KNOWN else ""
    return f"the log has no such events: no {noun} {wanted!r:.80}; there are {known}{more}"
