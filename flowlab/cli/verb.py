"""A verb of the command: its words for `--help` and the docs, its arguments, its function."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flowlab.cli.output import answer, answer_json

OK: Final = 0
FOUND: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""What a shell reports of a command whose reader went away (128 + SIGPIPE)."""

DONE_TEXT: Final = "done"
USAGE_TEXT: Final = "bad arguments, or something that cannot be read or written"

GROUPS: Final = {
    "store": "What a store is, whether it is whole, and what keeps it small.",
    "law": "How often to checkpoint, by the laws of recovery.",
}
"""Verbs of two words: the first word, and what its verbs are about."""


def no_arguments(_: ArgumentParser) -> None:
    """Add nothing."""


def add_json(parser: ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="answer as JSON")


class Report(Protocol):
    """What a verb found, when it judges."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""

    def to_json(self) -> Any:
        """Return it as a JSON value; `str` is the text for people."""


def answer_report(report: Report, *, as_json: bool) -> int:
    """Answer with a report; return the exit code."""
    if as_json:
        answer_json(report.to_json())
    else:
        answer(str(report))
    return OK if report.ok else FOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb.

    Args:
        name: one word, or two (`store info`).
        summary: one line for the list of verbs.
        text: a paragraph: what is read, what is written, what is promised.
        example: a command line that works.
        run: does it; returns the exit code.
        arguments: adds the verb's own arguments to its parser.
        found: what exit code 1 means, empty where the verb does not judge.
    """

    name: str
    summary: str
    text: str
    example: str
    run: Callable[[Namespace], int]
    arguments: Callable[[ArgumentParser], None] = field(default=no_arguments)
    found: str = ""

    @property
    def exit_codes(self) -> dict[int, str]:
        """What each exit code of this verb means."""
        found = {FOUND: self.found} if self.found else {}
        return {OK: DONE_TEXT, **found, USAGE: USAGE_TEXT}

    def __repr__(self) -> str:
        return f"Verb({self.name!r})"
