"""Words and numbers as people read them: units, widths, ellipses, and text that is safe in XML.

Widths are estimates, so that a layout needs no font and is the same on every machine. They follow
DejaVu Sans, one of the widest fonts that systems set a page in: elsewhere text is shorter.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_WIDTHS: Final = {
    0.28: "ijl",
    0.30: "IJ'",
    0.34: " .,:;/\\|·",
    0.40: "tfr-()[]!",
    0.53: 'czs?"_`*L',
    0.59: "kvxyFPTY",
    0.80: "wDGHNOQU&",
    0.90: "#%+=<>~^×M",
    1.00: "mW@…",
}
_WIDTH_OF: Final = {sign: width for width, signs in _WIDTHS.items() for sign in signs}
_OTHER_WIDTH: Final = 0.64
_CAPITAL_WIDTH: Final = 0.70
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNCLEAN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufffe\uffff]"
)
_SMALL_UNITS: Final = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
_WALL_FROM_NS: Final = 10**17
THIN_SPACE: Final = "\u202f"
MAX_LINE: Final = 600
"""Characters of a line that are looked at: more would not fit any picture."""
_ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
)
_SHORT: Final = 80
"""Below so many characters a text is likely to come again: colours, names, words."""
_JOINTS: Final = frozenset(" /._-:")


def clean(text: object) -> str:
    """Make any text one visible line that XML allows.

    Control characters become their pictures, line breaks and tabs become spaces, and what would
    reorder or hide the rest (direction marks, zero widths, lone surrogates) becomes U+FFFD.

    Example:
        >>> clean("a\\nb\\x00")
        'a b␀'
    """
    return _UNCLEAN.sub(_clean_character, str(text))


def _clean_character(found: re.Match[str]) -> str:
    character = found.group()
    code = ord(character)
    if character in "\n\r\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return "\ufffd"


def escape(text: object) -> str:
    """Clean a text and escape it for XML and HTML, attributes included.

    Example:
        >>> escape('<a title="x">&')
        '&lt;a title=&quot;x&quot;&gt;&amp;'
    """
    said = str(text)
    return _escaped(said) if len(said) < _SHORT else clean(said).translate(_ENTITIES)


@lru_cache(maxsize=8_192)
def _escaped(text: str) -> str:
    return clean(text).translate(_ENTITIES)


def text_width(text: str, size: float) -> float:
    """Estimate the width of a line of text in pixels, on the safe side.

    Example:
        >>> text_width("iii", 10) < text_width("mmm", 10)
        True
    """
    return size * _em_width(text)


@lru_cache(maxsize=8_192)
def _em_width(text: str) -> float:
    # sum() rounds otherwise from Python 3.12 on, and a picture is the same to the byte everywhere.
    return math.fsum(map(_character_width, text))


@lru_cache(maxsize=4_096)
def _character_width(character: str) -> float:
    known = _WIDTH_OF.get(character)
    if known is not None:
        return known
    if character.isascii():
        return _CAPITAL_WIDTH if character.isupper() else _OTHER_WIDTH
    if unicodedata.combining(character):
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.75


def ellipsize(text: str, size: float, room: float) -> str:
    """Shorten a text to fit a width; empty if not even three letters would fit.

    A sentence loses its end; an identifier keeps both ends, since its last part tells it apart.

    Example:
        >>> ellipsize("research_assistant", 11, 60)
        'resea…nt'
        >>> ellipsize("Choose a flight and a hotel", 11, 80)
        'Choose a fli…'
        >>> ellipsize("planner", 11, 100)
        'planner'
    """
    text = text[:MAX_LINE]
    if text_width(text, size) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(_shortened(text, middle), size) <= room:
            low = middle
        else:
            high = middle - 1
    return _shortened(text, low) if low >= 3 else ""


def _shortened(text: str, kept: int) -> str:
    tail = 0 if " " in text else kept * 2 // 5
    return text[: kept - tail].rstrip() + "…" + (text[-tail:] if tail else "")


def wrap(text: str, size: float, room: float) -> tuple[str, ...]:
    """Break a name into at most two lines, after a space or a sign that joins words.

    Example:
        >>> wrap("go.uber.org/cadence.Execute", 11, 100)
        ('go.uber.org/', 'cadence.Execute')
        >>> wrap("planner", 11, 90)
        ('planner',)
    """
    text = text[:MAX_LINE]
    if text_width(text, size) <= room:
        return (text,)
    places = [place + 1 for place, sign in enumerate(text) if sign in _JOINTS]
    first = next(
        (place for place in reversed(places) if text_width(text[:place].rstrip(), size) <= room), 0
    )
    if not first:
        return (ellipsize(text, size, room),)
    return (text[:first].rstrip(), ellipsize(text[first:], size, room))


def number(value: float, *, digits: int = 1) -> str:
    """Write a number with thin spaces between thousands.

    Example:
        >>> number(12431).replace(THIN_SPACE, " "), number(2.5), number(0.04)
        ('12 431', '2.5', '0.04')
    """
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace(",", THIN_SPACE)
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)


def plural(count: int, noun: str) -> str:
    """Write a count and its noun.

    Example:
        >>> plural(1, "event"), plural(2, "activity")
        ('1 event', '2 activities')
    """
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    many = noun + "es" if noun.endswith(("ss", "sh", "ch")) else many
    return f"{number(count)} {noun if count == 1 else many}"


def duration(ns: int | None) -> str:
    """Write a duration in nanoseconds with three figures and the unit that fits.

    Example:
        >>> duration(18_726_000), duration(2_500_000_000), duration(192 * 10**9), duration(None)
        ('18.7 ms', '2.5 s', '3 min 12 s', '–')
    """
    if ns is None:
        return "–"
    if ns < 0:
        return "-" + duration(-ns)
    seconds = ns / 1e9
    if seconds >= 119.5:
        return _long_duration(round(seconds))
    for unit, name in _SMALL_UNITS:
        if ns >= unit * 0.9995:
            return f"{_figures(ns / unit)} {name}"
    return "0 s"


def _figures(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _long_duration(seconds: int) -> str:
    for unit, name, smaller, smaller_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            whole, rest = divmod(seconds, unit)
            part = rest // smaller
            tail = f" {part} {smaller_name}" if part and whole < 100 else ""
            return f"{number(whole)} {name}{tail}"
    return f"{seconds} s"


def is_wall_time(time_ns: int) -> bool:
    """Say whether a time can be a date (after March 1973) rather than virtual time."""
    return time_ns >= _WALL_FROM_NS


def moment(time_ns: int) -> str:
    """Write a wall time as a date in UTC with milliseconds, a virtual one as a duration.

    Example:
        >>> moment(1_751_299_442_623_610_000), moment(5_000_000)
        ('2025-06-30 16:04:02.623 UTC', '5 ms')
    """
    if not is_wall_time(time_ns):
        return duration(time_ns)
    try:
        date = _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return f"{time_ns} ns"
    return f"{date:%Y-%m-%d %H:%M:%S}.{date.microsecond // 1000:03d} UTC"


def words(event_type: str) -> str:
    """Write an event type in words.

    Example:
        >>> words("WorkflowContinuedAsNew")
        'workflow continued as new'
    """
    spaced = "".join(
        f" {character.lower()}" if character.isupper() and place else character
        for place, character in enumerate(event_type)
    )
    return spaced[:1].lower() + spaced[1:]
