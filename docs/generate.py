"""Write what is derived: `make docs`.

docs/api.md and docs/cli.md come from docstrings and parsers; docs/claims.md and the figures of
README.md from docs/claims.json, which is what `flowlab check --json` printed.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import flowlab
from flowlab import causality
from flowlab.cli import reference
from flowlab.studies import claims_page, claims_summary

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
BEGIN = "<!-- figures: make docs -->"
END = "<!-- end of figures -->"
HEAD = """# The public names

Written by `make docs` from the docstrings: `help(flowlab.EventStore)` has the whole text.
Everything here is `import flowlab as fl`, then `fl.EventLog` and so on.
"""


def first_sentence(value: Any) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = (inspect.getdoc(value) or "").partition("\n\n")[0]
    text = " ".join(paragraph.split())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def row(name: str, value: Any) -> str:
    """Return a row of a table of names."""
    return f"| `{name}` | {first_sentence(value).replace('|', chr(92) + '|')} |"


def methods(cls: type) -> list[tuple[str, Any]]:
    """Return the public methods and properties of a class, in the order it defines them."""
    kinds = (property, cached_property, classmethod, staticmethod)
    return [
        (name, getattr(cls, name))
        for owner in cls.mro()[:-1]
        for name, value in vars(owner).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


def api() -> str:
    """Return docs/api.md as it should be."""
    names = [name for name in flowlab.__all__ if name != "__version__"]
    parts = [HEAD, "| name | |", "|---|---|"]
    parts += [row(name, getattr(flowlab, name)) for name in names]
    for name in ("EventLog", "EventStore", "Snapshot"):
        own = methods(getattr(flowlab, name))
        parts += ["", f"## {name}", "", "| name | |", "|---|---|"]
        parts += [row(f".{method}", value) for method, value in own]
    empty = flowlab.EventLog.from_events([])
    parts += ["", "## What other rooms make of an EventLog", "", "| name | |", "|---|---|"]
    parts += [row(f".{name}", getattr(empty, name)) for name in sorted(empty.accessors)]
    own = methods(causality.CausalOrder)
    parts += ["", "## log.causality", "", "| name | |", "|---|---|"]
    parts += [row(f".{method}", value) for method, value in own]
    rest = [(name, getattr(causality, name)) for name in causality.__all__]
    parts += ["", "## flowlab.causality", "", "| name | |", "|---|---|"]
    parts += [
        row(name, value)
        for name, value in rest
        if inspect.isroutine(value) or inspect.isclass(value)
    ]
    return "\n".join(parts) + "\n"


def claims() -> str:
    """Return docs/claims.md as it should be."""
    return claims_page(_results())


def readme() -> str:
    """Return README.md with the figures that it should have."""
    text = README.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n{claims_summary(_results())}{end}{tail}"


def _results() -> dict[str, Any]:
    results: dict[str, Any] = json.loads((DOCS / "claims.json").read_text(encoding="utf-8"))
    return results


PAGES = {
    DOCS / "api.md": api,
    DOCS / "cli.md": reference,
    DOCS / "claims.md": claims,
    README: readme,
}

if __name__ == "__main__":
    for place, text in PAGES.items():
        place.write_text(text(), encoding="utf-8")
