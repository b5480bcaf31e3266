"""Counts as a person reads them, the same in every repr, report and answer."""

from __future__ import annotations


def grouped(number: int) -> str:
    """Return a number with a space between its thousands.

    Example:
        >>> grouped(12_431)
        '12 431'
    """
    return f"{number:,}".replace(",", " ")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "file"), counted(1_300, "event"), counted(2, "anomaly")
        ('1 file', '1 300 events', '2 anomalies')
    """
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{grouped(number)} {noun if number == 1 else many}"
