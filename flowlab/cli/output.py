"""What the verbs print: tables, JSON and CSV of any content, safe for pipes and terminals.

Standard output carries the answer alone; `say` writes to standard error.
"""

from __future__ import annotations

import json
import math
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TABLE_ROWS: Final = 1_000
"""Rows of a table for people, unless `--limit` says otherwise; JSON and CSV have them all."""
MAX_CELL_WIDTH: Final = 72
"""Characters of a table's cell; JSON and CSV have them all."""
_BATCH_ROWS: Final = 4_096
_PLAIN_SIGNS: Final = str.maketrans(
    {"─": "-", "│": "|", "├": "|", "└": "`", "…": "...", "→": "->", "·": ".", "×": "x", "–": "-"}
)


def say(text: str) -> None:
    """Tell the person something, on standard error."""
    sys.stderr.write(text + "\n")


def answer(text: str) -> None:
    """Print text for people on standard output, with plain signs where it has no others."""
    if not _is_unicode():
        text = text.translate(_PLAIN_SIGNS)
    sys.stdout.write(text + "\n")


def answer_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(_json(value, indent=2) + "\n")


def answer_rows(table: pa.Table, form: str, *, limit: int | None = None) -> None:
    """Print a table as `"table"`, `"json"` or `"csv"`.

    Args:
        table: any Arrow table; nested columns are JSON in the text forms.
        form: the form.
        limit: at most so many rows; None is `MAX_TABLE_ROWS` for a table for people, else all.
    """
    from flowlab.events import counted, grouped  # noqa: PLC0415

    shown = MAX_TABLE_ROWS if limit is None and form == "table" else limit
    rows = table if shown is None else table.slice(0, shown)
    if not table.column_names:
        return
    if form == "json":
        _write_json_rows(rows)
    elif form == "csv":
        _write_csv(rows)
    else:
        sys.stdout.writelines(text_table(rows.column_names, _tuples(rows)))
    if rows.num_rows < table.num_rows:
        say(f"{grouped(rows.num_rows)} of {counted(table.num_rows, 'row')} shown; see --limit")


def text_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of an aligned table; numbers stand right, control characters are escaped.

    Example:
        >>> print("".join(text_table(["agent", "calls"], [("café", 2), ("a\\nb", 10)])), end="")
        agent  calls
        -----  -----
        café       2
        a\\nb      10
    """
    body = list(rows)
    cells = [[_cell(value) for value in row] for row in body]
    heads = [_escaped(name) for name in names]
    right = [
        any(_is_number(row[place]) for row in body)
        and all(row[place] is None or _is_number(row[place]) for row in body)
        for place in range(len(heads))
    ]
    widths = [
        max([_width(head), *(_width(row[place]) for row in cells)])
        for place, head in enumerate(heads)
    ]
    for row in [heads, ["-" * width for width in widths], *cells]:
        padded = [
            " " * (width - _width(text)) + text if to_right else text + " " * (width - _width(text))
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        yield "  ".join(padded).rstrip() + "\n"


def plain(value: Any) -> Any:
    """Return a value of a result as what JSON can hold.

    Bytes that are JSON become what they say, other text a string, other bytes `{"base64": ...}`;
    times are ISO 8601; numbers that JSON has no word for are null.

    Example:
        >>> plain({"payload": b'{"attempt": 1}', "raw": b"\\xff"})
        {'payload': {'attempt': 1}, 'raw': {'base64': '/w=='}}
    """
    if isinstance(value, bytes):
        return _plain_bytes(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _plain_bytes(value: bytes) -> Any:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}
    try:
        return plain(json.loads(text, parse_constant=str))
    except (ValueError, RecursionError):
        return text


def _write_json_rows(table: pa.Table) -> None:
    # One row a line: exact for programs, and still something that grep and diff can read.
    names = _unique(table.column_names)
    sys.stdout.write("[")
    first = True
    for row in _tuples(table):
        record = dict(zip(names, row, strict=True))
        sys.stdout.write(("\n" if first else ",\n") + _json(record))
        first = False
    sys.stdout.write("]\n" if first else "\n]\n")


def _write_csv(table: pa.Table) -> None:
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    columns = []
    for column in table.columns:
        texts = column
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            values = [plain(value) for value in column.to_pylist()]
            texts = pa.array(
                [v if v is None or isinstance(v, str) else _json(v) for v in values], pa.string()
            )
        columns.append(texts)
    flat = pa.Table.from_arrays(columns, names=_unique(table.column_names))
    frame = pl.from_arrow(flat)
    assert isinstance(frame, pl.DataFrame)
    sys.stdout.write(frame.write_csv())


def _tuples(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _unique(names: Sequence[str]) -> list[str]:
    """Number the names that repeat: a JSON object would keep the last of them alone."""
    found: list[str] = []
    for name in names:
        other, number = name, 1
        while other in found:
            number += 1
            other = f"{name}_{number}"
        found.append(other)
    return found


def _json(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(plain(value), ensure_ascii=not _is_unicode(), indent=indent, allow_nan=False)


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal | timedelta) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    value = plain(value)
    text = _escaped(value if isinstance(value, str) else _json(value))
    return text if len(text) <= MAX_CELL_WIDTH else text[: MAX_CELL_WIDTH - 3] + "..."


def _escaped(text: str) -> str:
    # An id may hold anything: a newline would break the table, an escape sequence the terminal.
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


def _width(text: str) -> int:
    return sum(
        0 if combining(sign) else 2 if east_asian_width(sign) in {"W", "F"} else 1 for sign in text
    )
