"""The `flowlab` command: parses, calls one verb, and turns its end into an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import flowlab
from flowlab.cli.verb import GROUPS, INTERRUPTED, PIPE_CLOSED, USAGE, Verb
from flowlab.cli.verbs import VERBS

DEBUG_VARIABLE: Final = "FLOWLAB_DEBUG"
_WIDTH: Final = 96


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code: 0, 1 where it found something, 2 for usage.

    Standard output carries the answer, standard error the progress and the errors, each of which
    is one message without a traceback (`--debug` or FLOWLAB_DEBUG=1 shows it).

    Args:
        argv: the words after `flowlab`; None takes the process's.

    Example:
        >>> main(["--version"])
        flowlab 0.1.0
        0
    """
    _open_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in words or bool(os.environ.get(DEBUG_VARIABLE))
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_standard_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        sys.stderr.write("flowlab: interrupted\n")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the one place where an error becomes an exit code
        if debug:
            traceback.print_exc()
        sys.stderr.write(f"flowlab: error: {_message(error)}\n")
        return USAGE
    return code


def build_parser(verbs: Sequence[Verb] = VERBS) -> ArgumentParser:
    """Return the parser of the whole command; parsed arguments carry the verb as `verb`."""
    parser = _Parser(
        prog="flowlab",
        description="Event logs of multi-agent workflows: import, store, query, see.",
        epilog="flowlab VERB --help has an example of each.\n\nexit codes:\n"
        "  0  done\n  1  a verb that judges found something\n"
        "  2  bad arguments, or something that cannot be read or written",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"flowlab {flowlab.__version__}")
    _add_debug(parser, default=False)
    places: dict[str, Any] = {
        "": parser.add_subparsers(title="verbs", metavar="VERB", parser_class=_Parser)
    }
    for verb in verbs:
        group, _, word = verb.name.rpartition(" ")
        if group not in places:
            inner = _add(places[""], group, summary=GROUPS[group], text=GROUPS[group])
            places[group] = inner.add_subparsers(title="verbs", metavar="VERB", required=True)
        added = _add(
            places[group], word, summary=verb.summary, text=verb.text, epilog=_epilog(verb)
        )
        verb.arguments(added)
        added.set_defaults(verb=verb)
    return parser


class _Parser(ArgumentParser):
    """An ArgumentParser whose errors read like all others of this command."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.format_usage()}flowlab: error: {message}; {self.prog} --help\n")
        self.exit(USAGE)


def _run(words: list[str]) -> int:
    parser = build_parser()
    try:
        arguments = parser.parse_args(words)
    except SystemExit as stop:  # argparse ends a process; this is a function
        return stop.code if isinstance(stop.code, int) else USAGE
    if not hasattr(arguments, "verb"):
        sys.stderr.write(parser.format_help())
        return USAGE
    verb: Verb = arguments.verb
    return verb.run(arguments)


def _add(
    place: object, word: str, *, summary: str, text: str, epilog: str | None = None
) -> ArgumentParser:
    added: ArgumentParser = place.add_parser(  # type: ignore[attr-defined]
        word,
        help=summary[0].lower() + summary[1:].rstrip("."),
        description=text,
        epilog=epilog,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    _add_debug(added, default=SUPPRESS)
    return added


def _add_debug(parser: ArgumentParser, *, default: object) -> None:
    parser.add_argument(
        "--debug", action="store_true", default=default, help="show the traceback of an error"
    )


def _epilog(verb: Verb) -> str:
    codes = "\n".join(f"  {code}  {text}" for code, text in verb.exit_codes.items())
    return f"example:\n  {verb.example}\n\nexit codes:\n{codes}"


def _formatter(prog: str) -> RawDescriptionHelpFormatter:
    return _HelpFormatter(prog, width=_WIDTH, max_help_position=26)


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Fills the description; keeps the lines of example and exit codes."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return super(RawDescriptionHelpFormatter, self)._fill_text(text, width, indent)


def _message(error: Exception) -> str:
    if isinstance(error, flowlab.FlowlabError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        from flowlab.store.opening import FULL_DISK  # noqa: PLC0415

        where = f"{error.filename}: " if error.filename is not None else ""
        step = "; make room, and try again" if error.errno in FULL_DISK else ""
        return f"{where}{error.strerror}{step}"
    name = type(error).__name__
    return f"{name}: {error} (a defect of flowlab: {DEBUG_VARIABLE}=1 shows where)"


def _open_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the process
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for its life
            setattr(sys, name, nowhere)
        # An id or a file's name may hold signs that the terminal's encoding has no bytes for.
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_standard_output() -> None:
    # The interpreter flushes standard output once more at its end, and would complain.
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    empty = os.open(os.devnull, os.O_WRONLY)
    os.dup2(empty, descriptor)
    os.close(empty)
