"""The marks of the notation in which a space-time diagram is a few lines, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from flowlab.errors import InvalidArgumentError

UNITS: Final = {"": 1, "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""What may follow the number of a time, in nanoseconds."""
FAULTS: Final = {"crash": "AgentCrashed", "restart": "AgentRestarted"}
"""What may follow `!`, and the type of event that it is."""
_MOST_SHOWN: Final = 72
_TOKEN: Final = re.compile(
    r"""(?P<rule>^[ \t]*===[^\n]*?===[ \t\r]*$)
    |(?P<comment>\#[^\n]*)|(?P<line>\n)|(?P<bar>\|)|(?P<space>[^\S\n]+)
    |(?P<quoted>"(?:[^"\\\n]|\\[^\n])*")|(?P<sign>[:<>@=~!,])
    |(?P<word>[^\s|:<>@\#,"=~!][^\s|:<>@\#,"]*)""",
    re.VERBOSE | re.MULTILINE,
)
_BARE: Final = re.compile(r'[^\s|:<>@#,"=~!][^\s|:<>@#,"=]*')
_TIME: Final = re.compile(r"(?P<number>-?[0-9]+(?:\.[0-9]+)?)(?P<unit>[a-z]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a text: from, and to before."""

    start: int
    end: int

    def __repr__(self) -> str:
        return f"Place({self.start}, {self.end})"


@dataclass(frozen=True, slots=True)
class Word:
    """A name in a text."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One event, or one lane's part in a barrier.

    Args:
        name: None where it is not written.
        event_type: None where it is not written.
        receives, sends: the messages.
        time_ns: None where it is not written.
        follows_lane: whether the event before it in its lane is a cause.
        barrier: the name of the barrier that it is.
        place: where it stands.
    """

    name: str | None
    event_type: str | None
    receives: tuple[Word, ...]
    sends: tuple[Word, ...]
    time_ns: int | None
    follows_lane: bool
    barrier: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Sheet:
    """One run's diagram: the lanes and their marks, and the run's name (None: no rule named it)."""

    run: Word | None
    lanes: dict[str, list[Mark]]


def refusal(text: str, place: Place, message: str) -> InvalidArgumentError:
    """Return an error that shows the place in the text."""
    first = text.rfind("\n", 0, place.start) + 1
    number, column = text.count("\n", 0, place.start) + 1, place.start - first
    line = text[first:].split("\n", 1)[0]
    length = max(1, min(place.end, first + len(line)) - place.start)
    # A line of any length is shown around the place, and signs of no width do not move the caret.
    begin = max(0, column - _MOST_SHOWN // 2) if len(line) > _MOST_SHOWN else 0
    shown = "".join(sign if sign.isprintable() else " " for sign in line[begin:][:_MOST_SHOWN])
    length = min(length, max(1, len(shown) - (column - begin)))
    caret = " " * (column - begin) + "^" * length
    where = f"line {number}, column {column + 1}: {message}"
    return InvalidArgumentError(f"{where}\n  {shown}\n  {caret}")


def is_bare(name: str) -> bool:
    """Say whether a name needs no quotes.

    Example:
        >>> is_bare("book-2"), is_bare("two words"), is_bare("")
        (True, False, False)
    """
    return _BARE.fullmatch(name) is not None


def written(name: str) -> str:
    """Return a name as the notation has it: quoted where it must be.

    Example:
        >>> written("book"), written("a b")
        ('book', '"a b"')
    """
    return name if is_bare(name) else json.dumps(name, ensure_ascii=False)


def read_sheets(text: str) -> list[Sheet]:
    """Read the diagrams of a text, one for each run that it names.

    Raises:
        InvalidArgumentError: it breaks the grammar; the message shows the place.
    """
    return _Reader(text).sheets()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: Place


class _Reader:
    """Reads tokens one after the other; the end is one more, of the kind `end`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._at = 0

    def sheets(self) -> list[Sheet]:
        """Read the whole text."""
        found = [Sheet(None, {})]
        while self._next.kind != "end":
            if self._next.kind == "rule":
                found.append(Sheet(self._heading(), {}))
            elif self._next.kind in {"line", "bar", "space"}:
                self._at += 1
            else:
                self._lane(found[-1])
        return found

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                end = (self._text + "\n").find("\n", at)
                raise self._refusal(Place(at, end), 'a quoted name ends with " on its line')
            kind = str(match.lastgroup)
            if kind != "comment":
                yield _Token(kind, match.group(), Place(match.start(), match.end()))
            at = match.end()
        yield _Token("end", "", Place(at, at))

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _sign(self, *signs: str) -> bool:
        """Say whether the next token is one of some signs."""
        return self._next.kind == "sign" and self._next.text in signs

    def _heading(self) -> Word:
        token = self._take()
        name = token.text.strip().removeprefix("===").removesuffix("===").strip()
        if name.startswith('"'):
            name = self._unquoted(_Token("quoted", name, token.place))
        return Word(name, token.place)

    def _lane(self, sheet: Sheet) -> None:
        follows = not self._sign("~")
        if not follows:
            self._at += 1
        agent = self._word("a lane begins with its agent and a colon, as in A: a1 a2")
        if not agent.name:
            raise self._refusal(agent.place, "a lane's agent has a name")
        if self._next.kind == "space":
            self._at += 1
        if not self._sign(":"):
            message = "a lane begins with its agent and a colon, as in A: a1 a2"
            raise self._refusal(agent.place, message)
        self._at += 1
        marks = sheet.lanes.setdefault(agent.name, [])
        while self._next.kind not in {"line", "bar", "end", "rule"}:
            if self._next.kind == "space":
                self._at += 1
            else:
                marks.append(self._mark(follows=follows))

    def _mark(self, *, follows: bool) -> Mark:
        start = self._next.place.start
        if self._sign("~"):
            self._at += 1
            follows = False
        barrier = name = event_type = None
        fault = self._sign("!")
        if self._sign("="):
            barrier = self._barrier()
        elif fault:
            event_type = self._fault()
        elif self._next.kind in {"word", "quoted"}:
            name = self._word("").name
        if barrier is None and self._sign(":"):
            self._at += 1
            typed = self._word("a type follows the colon, as in work:ActivityCompleted")
            if not typed.name or event_type:
                raise self._refusal(typed.place, "an event has one type, and not an empty one")
            event_type = typed.name
        ends = self._ends(barrier is None)
        if not any((name is not None, fault, barrier is not None, *ends[:2])):
            message = "an event has a name, or a message that it sends (>m) or receives (<m)"
            raise self._refusal(self._next.place, message)
        if self._next.kind not in {"space", "line", "bar", "end"}:
            message = "events are parted by spaces; a name with signs in it is quoted"
            raise self._refusal(self._next.place, message)
        return Mark(
            name=name,
            event_type=event_type,
            receives=ends[0],
            sends=ends[1],
            time_ns=ends[2],
            follows_lane=follows,
            barrier=barrier,
            place=Place(start, self._tokens[self._at - 1].place.end),
        )

    def _ends(self, messages: bool) -> tuple[tuple[Word, ...], tuple[Word, ...], int | None]:  # noqa: FBT001
        """Read what an event receives and sends, and when it is."""
        found: dict[str, tuple[Word, ...]] = {}
        time_ns = None
        while self._sign("<", ">", "@"):
            sign = self._take()
            if sign.text == "@" and time_ns is None:
                time_ns = self._time()
            elif sign.text in found or sign.text == "@" or not messages:
                message = "an event has one time, one list <m,n of messages that it receives and "
                raise self._refusal(
                    sign.place, message + "one >m,n of those it sends; a barrier none"
                )
            else:
                words = [self._word(f"a message follows {sign.text}, as in {sign.text}m")]
                while self._sign(","):
                    self._at += 1
                    words.append(self._word("a message follows the comma"))
                found[sign.text] = tuple(words)
        return found.get("<", ()), found.get(">", ()), time_ns

    def _barrier(self) -> str:
        opening = self._take()
        word = self._word("a barrier is =name=")
        if self._tokens[self._at - 1].kind == "quoted" and self._sign("="):
            self._at += 1
        elif self._tokens[self._at - 1].kind == "word" and word.name.endswith("="):
            word = Word(word.name[:-1], word.place)
        else:
            raise self._refusal(opening.place, "a barrier is =name=, on each lane that meets there")
        return word.name

    def _fault(self) -> str:
        self._at += 1
        word = self._word("! is followed by crash or restart")
        if word.name not in FAULTS:
            message = f"! is followed by crash or restart; for any other type, {word.name}:Type"
            raise self._refusal(word.place, message)
        return FAULTS[word.name]

    def _time(self) -> int:
        token = self._take()
        match = _TIME.fullmatch(token.text)
        if match is None or match["unit"] not in UNITS:
            message = "a time is a number of nanoseconds, or of us, ms or s, as in @5 or @1.5ms"
            raise self._refusal(token.place, message)
        time_ns = Fraction(match["number"]) * UNITS[match["unit"]]
        if time_ns.denominator != 1 or not -(2**63) <= time_ns < 2**63:
            message = "a time is a whole number of nanoseconds, of 64 bits"
            raise self._refusal(token.place, message)
        return int(time_ns)

    def _word(self, expected: str) -> Word:
        token = self._take()
        if token.kind == "quoted":
            return Word(self._unquoted(token), token.place)
        if token.kind != "word":
            self._at -= 1
            raise self._refusal(token.place, expected)
        return Word(token.text, token.place)

    def _unquoted(self, token: _Token) -> str:
        try:
            name = json.loads(token.text, strict=False)
            if not isinstance(name, str):
                raise TypeError  # noqa: TRY301 - what follows says it for both
            name.encode()
        except (ValueError, TypeError) as error:
            message = "a quoted name is a JSON string of valid Unicode"
            raise self._refusal(token.place, message) from error
        return name

    def _refusal(self, place: Place, message: str) -> InvalidArgumentError:
        return refusal(self._text, place, message)
