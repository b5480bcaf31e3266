"""A log as one page that needs nothing else: no server, no kernel, no network."""

from __future__ import annotations

import json
import os
import threading
from base64 import b64encode
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog
from flowlab.figures.text import escape
from flowlab.widgets.content import MAX_LOCAL, Content, part_of, read_content
from flowlab.widgets.module import module
from flowlab.widgets.packing import pack
from flowlab.widgets.thin import thin

_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0 auto;max-width:1600px;padding:16px;background:#fff}"
    "@media (prefers-color-scheme:dark){body{background:#0d1117}}"
)


def save_page(
    log: EventLog,
    path: str | PathLike[str],
    *,
    run_id: str | None = None,
    workflow_id: str | None = None,
    axis: str = "auto",
    group: str = "auto",
    title: str | None = None,
) -> Path:
    """Write a log as a page that can be explored offline; return its path.

    Up to `MAX_LOCAL` events everything is in it. Of a larger log it holds marks that stand for
    many events each, and says so. The arguments are those of `log.explore`.

    Raises:
        NotFoundError: the log has events, but none of that run and workflow.
        InvalidArgumentError: axis or group is unknown.

    Example:
        >>> import tempfile
        >>> log = EventLog.from_events([{"workflow_id": "w", "sequence": 1, "time_ns": 0,
        ...                              "event_type": "Signaled"}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_page(log, Path(folder, "run.html")).name
        'run.html'
    """
    part, name = part_of(log, run_id=run_id, workflow_id=workflow_id, title=title)
    content = read_content(part, title=name, axis=axis, group=group)
    return write_page(path, page_of(content))


def write_page(path: str | PathLike[str], page: str) -> Path:
    """Write a page whole or not at all, and return its path: what stood there stays until then."""
    target = Path(path)
    place = target.resolve()
    part = place.with_name(f".flowlab-{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(place)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(target)) from error
    return target


def page_of(content: Content, *, most: int = MAX_LOCAL) -> str:
    """Return the page of a log: its data stand in it as text, never as markup.

    Args:
        content: what is drawn.
        most: events from which on it holds marks that stand for many of them.
    """
    if len(content.log) > most:
        content = thin(content)
    directory, data = pack(content.columns)
    header = {**content.header, "local": True, "columns": directory}
    return shell(header, data, module())


def shell(header: Mapping[str, Any], data: bytes, code: str) -> str:
    """Return a page that opens a view of a header and bytes: nothing of them is ever markup.

    Args:
        header: what JSON can hold; its `title` is the page's.
        data: columns.
        code: the module, whose `openPage` shows them.
    """
    title, facts = escape(header["title"]), _inert(json.dumps(header))
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            '<main id="flowlab-view"><noscript>This page draws with JavaScript.</noscript></main>',
            f'<script type="application/json" id="flowlab-header">{facts}</script>',
            f'<script type="text/plain" id="flowlab-data">{b64encode(data).decode()}</script>',
            f'<script type="module">\n{code}\nopenPage();\n</script>\n</body>\n</html>\n',
        )
    )


def html_target(path: str | PathLike[str], other: str) -> Path:
    """Return the path of a page to write.

    Args:
        path: with the ending .html.
        other: what writes files with other endings.

    Raises:
        InvalidArgumentError: the file has another ending.
    """
    target = Path(path)
    if target.suffix.lower() not in {".html", ".htm"}:
        message = (
            f"the file is {target.name!r}; expected a name in .html; "
            f"{other}.save(...) writes .svg, .png and .txt"
        )
        raise InvalidArgumentError(message)
    return target


def _inert(text: str) -> str:
    """Write JSON so that nothing in it can end or open an element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
