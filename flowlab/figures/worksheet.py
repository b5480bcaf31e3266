"""A worksheet of clocks is marked: which answers are right, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality import CausalOrder, EventRef
from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import EventId, EventLog
from flowlab.figures.clocks import Clock, Clocks, read_clocks, vector_text
from flowlab.figures.emphasis import event_id
from flowlab.figures.figure import Figure
from flowlab.figures.glyphs import MISSING, RIGHT, SIGNS, WRONG
from flowlab.figures.text import clean, plural, words

if TYPE_CHECKING:
    import polars as pl

_CLOCKS: Final = ("lamport", "vector")

Answer = int | str | Sequence[int] | Mapping[str, int] | None
"""A Lamport clock, or a vector: in the order of the lanes, by agent, or as it is written."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of one answer.

    Args:
        number: of the box on the worksheet.
        event: its id.
        name: what the worksheet calls the event, and whose it is.
        status: `right`, `wrong` or `missing`.
        given: the answer as it was understood, written as a picture writes it.
        expected: the right one.
        why: how the right one comes about; of a right answer, nothing.
    """

    number: int
    event: EventId
    name: str
    status: str
    given: str
    expected: str
    why: str


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Marking:
    """A worksheet that is marked: a mark for each event, in the order of the numbers.

    Args:
        log: the log of the worksheet.
        kind: `lamport` or `vector`.
        marks: a mark for each event.
    """

    log: EventLog
    kind: str
    marks: tuple[Mark, ...]

    @property
    def right(self) -> int:
        """How many answers are right."""
        return sum(mark.status == RIGHT for mark in self.marks)

    def __len__(self) -> int:
        return len(self.marks)

    def __iter__(self) -> Iterator[Mark]:
        return iter(self.marks)

    def __repr__(self) -> str:
        return f"Marking({self._counted})"

    @property
    def _counted(self) -> str:
        wrong = sum(mark.status == WRONG for mark in self.marks)
        missing = len(self.marks) - self.right - wrong
        return (
            f"{self.right} of {plural(len(self.marks), 'answer')} right, {wrong} wrong, "
            f"{missing} missing"
        )

    @property
    def text(self) -> str:
        """A line for each answer that is not right."""
        lines = [
            f"{mark.number}. {mark.name}: {mark.given or 'no answer'}; {mark.why}"
            for mark in self.marks
            if mark.status != RIGHT
        ]
        return "\n".join([repr(self), *lines])

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each event."""
        import polars as pl  # noqa: PLC0415

        names = ("number", "name", "status", "given", "expected", "why")
        columns = {name: [getattr(mark, name) for mark in self.marks] for name in names}
        types = {"number": pl.Int64} | dict.fromkeys(names[1:], pl.String)
        return pl.DataFrame(columns, schema=types)

    def diagram(self, **options: Any) -> Figure:
        """Draw the worksheet with the answers in it, each with its mark; the wrong ones framed."""
        from flowlab.figures.space_time import space_time  # noqa: PLC0415 - it draws worksheets

        said: dict[Any, str] = {
            mark.event: f"{mark.given} {SIGNS[mark.status]}".lstrip() for mark in self.marks
        }
        options = {"title": self._counted, "detail": "all", **options}
        return space_time(self.log, clocks=said, **options)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("", "event", "answer", "", "why"))
        rows = "".join(
            f"<tr><td>{mark.number}</td><td>{escape(mark.name)}</td><td>{escape(mark.given)}</td>"
            f"<td>{SIGNS[mark.status]} {mark.status}</td><td>{escape(mark.why)}</td></tr>"
            for mark in self.marks
        )
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>"


def check_answers(
    log: EventLog, answers: Mapping[int | EventRef, Answer], *, clocks: str = "auto"
) -> Marking:
    """Mark the answers to a worksheet, `log.diagram(clocks="blank")`.

    Args:
        log: the log of the worksheet.
        answers: for each event its clock. An event is the number of its box, its name (if no
            other has it), an `Event`, an id, a pair (workflow_id, sequence) or a key. A Lamport
            clock is a number; a vector is a list in the order of the lanes, numbers by agent, or
            a text like `[2,0,1]`. None is no answer.
        clocks: `lamport`, `vector`, or `auto`: whichever the answers are.

    Raises:
        NotFoundError: there is no such event.
        InvalidArgumentError: an answer is no clock, or some are numbers and some are vectors.

    Example:
        >>> log = EventLog.from_text("a: a1 a2>m | b: b1 b2<m")
        >>> marking = check_answers(log, {1: [1, 0], 2: [2, 0], "b1": {"b": 1}, "b2": [0, 2]})
        >>> print(marking.text)
        Marking(3 of 4 answers right, 1 wrong, 0 missing)
        4. b2 of b: [0,2]; it follows a2, whose clock is [2,0], and b1, whose clock is [0,1]: \
the greatest number in each place, and one more for b, gives [2,2]
    """
    order = CausalOrder(log)
    known = read_clocks(order)
    row_of = {int(number): row for row, number in enumerate(known.number.tolist())}
    given = {_row(order, row_of, event): answer for event, answer in answers.items()}
    kind = _kind(clocks, list(given.values()))
    marks = tuple(
        _mark(known, row, number, kind, given.get(row)) for number, row in sorted(row_of.items())
    )
    return Marking(log, kind, marks)


def _row(order: CausalOrder, row_of: Mapping[int, int], event: int | EventRef) -> int:
    if isinstance(event, int | np.integer) and not isinstance(event, bool):
        if int(event) in row_of:
            return row_of[int(event)]
        message = f"the worksheet has no box {event}; its boxes are 1 to {len(row_of)}"
        raise NotFoundError(message)
    if isinstance(event, str) and not event.startswith("/"):
        named = np.flatnonzero(np.array(order.log.table["name"].to_pylist(), object) == event)
        if len(named) == 1:
            return int(named[0])
        found = "no event" if not len(named) else f"{len(named)} events"
        message = f"the log has {found} {event!r}; use the numbers on the worksheet"
        raise NotFoundError(message)
    return order.row(event)


def _kind(clocks: str, answers: list[Answer]) -> str:
    if clocks not in {"auto", *_CLOCKS}:
        message = f"clocks is {clocks!r}; expected lamport, vector or auto"
        raise InvalidArgumentError(message)
    kinds = {_kind_of(answer) for answer in answers if not _is_missing(answer)}
    kinds |= {clocks} - {"auto"}
    if len(kinds) > 1:
        message = "some answers are numbers and some are vectors; mark one kind of clock at a time"
        raise InvalidArgumentError(message)
    return next(iter(kinds), "vector")


def _is_missing(answer: Answer) -> bool:
    return answer is None or (isinstance(answer, str) and not answer.strip(" _-–"))


def _kind_of(answer: Answer) -> str:
    if isinstance(answer, str):
        answer = _read(answer)
    return "lamport" if isinstance(answer, int | np.integer) else "vector"


def _read(text: str) -> int | list[int]:
    """Read a clock as it is written: 3, [2,0,1], or 2 0 1."""
    parts = text.strip().strip("[](){}<>").replace(",", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        message = f"{text[:60]!r} is no clock; expected a number, or numbers like [2,0,1]"
        raise InvalidArgumentError(message)
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 and "[" not in text else numbers


def _understood(known: Clocks, row: int, answer: Answer) -> Clock:
    """Return an answer as a clock."""
    names = [key[2] for key in known.lanes_of(row)]
    answer = _read(answer) if isinstance(answer, str) else answer
    if isinstance(answer, int | np.integer):
        return int(answer)
    if isinstance(answer, Mapping):
        strange = [name for name in answer if name not in names]
        if strange:
            message = f"there is no agent {strange[0]!r}; the agents are {names}"
            raise InvalidArgumentError(message)
        return tuple(_whole(answer.get(name, 0)) for name in names)
    if not isinstance(answer, Sequence | np.ndarray) or len(answer) != len(names):
        message = f"{answer!r:.60} is no vector; expected {len(names)} numbers, for {names}"
        raise InvalidArgumentError(message)
    return tuple(_whole(count) for count in answer)


def _whole(count: object) -> int:
    if isinstance(count, int | np.integer):
        return int(count)
    message = f"{count!r:.40} is no place of a vector; expected a whole number"
    raise InvalidArgumentError(message)


def _mark(known: Clocks, row: int, number: int, kind: str, answer: Answer) -> Mark:
    right = known.clock(row, kind)
    given = "" if _is_missing(answer) else _understood(known, row, answer)
    status = MISSING if given == "" else RIGHT if given == right else WRONG
    return Mark(
        number,
        event_id(known.order, row),
        _named(known, row),
        status,
        _written(known, row, given),
        _written(known, row, right),
        "" if status == RIGHT else _why(known, row, kind),
    )


def _written(known: Clocks, row: int, clock: Clock | str) -> str:
    if isinstance(clock, tuple):
        return vector_text(clock, [key[2] for key in known.lanes_of(row)])
    return str(clock)


def _named(known: Clocks, row: int) -> str:
    event = known.order.event(row)
    name = clean(event.name[:60]) or words(event.event_type)
    return f"{name} of {clean(event.agent_id[:40])}"


def _why(known: Clocks, row: int, kind: str) -> str:
    """Say how a clock comes about, from those of its causes."""
    right = _written(known, row, known.clock(row, kind))
    lane = clean(known.order.event(row).agent_id[:40])
    causes = known.order.causes(row).tolist()
    if not causes:
        first = "1" if kind == "lamport" else f"one for {lane}"
        return (
            f"it follows nothing: {first}, {right}"
            if kind == "vector"
            else (f"it follows nothing, so its clock is {first}")
        )
    told = [
        f"{_short(known, cause)}, whose clock is {_written(known, cause, known.clock(cause, kind))}"
        for cause in causes
    ]
    said = f"it follows {', and '.join(told)}: "
    if kind == "lamport":
        most = "the greatest of them" if len(causes) > 1 else "that"
        return f"{said}one more than {most} gives {right}"
    most = "the greatest number in each place" if len(causes) > 1 else "that"
    return f"{said}{most}, and one more for {lane}, gives {right}"


def _short(known: Clocks, row: int) -> str:
    event = known.order.event(row)
    return clean(event.name[:60]) or f"{words(event.event_type)} of {clean(event.agent_id[:40])}"
