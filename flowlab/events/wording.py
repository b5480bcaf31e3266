"""Counts as a person reads them, the same in every repr, report and answer."""

from __future__ import annotations


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
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "file"), counted(1_300, "event"), counted(2, "anomaly")
        ('1 file', '1 300 events', '2 anomalies')
    """
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{grouped(number)} {noun if number == 1 else many}"
