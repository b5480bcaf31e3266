"""Write docs/api.md and docs/cli.md from docstrings and parsers: `make docs`."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import flowlab
from flowlab.cli import reference

PLACE = Path(__file__).parent / "api.md"
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
    """Return the public methods and properties that a class defines, in the order it does."""
    kinds = (property, cached_property, classmethod, staticmethod)
    return [
        (name, getattr(cls, name))
        for name, value in vars(cls).items()
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
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PLACE.write_text(api(), encoding="utf-8")
    (PLACE.parent / "cli.md").write_text(reference(), encoding="utf-8")
