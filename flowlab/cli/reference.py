"""docs/cli.md, made from the parsers so that it cannot lie."""

from __future__ import annotations

from flowlab.cli.verb import Verb
from flowlab.cli.verbs import VERBS


def reference() -> str:
    """Return the text of docs/cli.md.

    Example:
        >>> reference().splitlines()[0]
        '# The `flowlab` command'
    """
    head = (
        "# The `flowlab` command\n\nWritten by `make docs` from the command itself. Standard "
        "output carries the answer, standard error the progress.\n"
    )
    return head + "".join(_section(verb) for verb in VERBS)


def _section(verb: Verb) -> str:
    codes = "; ".join(f"{code}: {text}" for code, text in verb.exit_codes.items())
    return (
        f"\n## `flowlab {verb.name}`\n\n{verb.summary} {verb.text}\n\n"
        f"```\n{verb.example}\n```\n\nExit codes: {codes}.\n"
    )
