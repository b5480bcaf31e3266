"""The page around a report: HTML that needs nothing else, for screens, phones and paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from flowlab.figures.text import clean, duration, is_wall_time, moment, number
from flowlab.figures.theme import dark_rules

MAX_CELL: Final = 160
"""Characters of a cell."""
SHORT_CELL: Final = 20
"""Characters up to which a cell stays one line."""
TALL_ROWS: Final = 15
"""Rows from which on a table scrolls within itself, on a screen."""
_SPANS: Final = frozenset({"duration_ns", "waiting_ns", "working_ns", "took_ns", "length_ns"})
_OUTCOMES: Final = {
    "completed": "✓",
    "failed": "✕",
    "timed_out": "✕",
    "canceled": "⊘",
    "terminated": "⊘",
    "open": "…",
    "running": "…",
    "scheduled": "…",
    "pending": "…",
}
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--ground:#fff;--soft:#f6f8fa;--line:#d8dee4;
--muted:#59636e;--link:#005a8f;--bad:#a84300}
@media (prefers-color-scheme:dark){:root{--ink:#e9eef3;--ground:#0d1117;--soft:#161b22;
--line:#30363d;--muted:#9fabb7;--link:#7cc7f2;--bad:#ff9d5c}
@DARK@
}
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;
color:var(--ink);background:var(--ground)}
main,header,nav{max-width:1280px;margin:0 auto;padding:0 24px}
header{padding-top:28px}h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:36px 0 2px}h3{font-size:15px;margin:18px 0 4px;overflow-wrap:anywhere}
p{margin:0 0 10px;max-width:80ch}.note{color:var(--muted);font-size:13px}
nav ul{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;margin:14px 0 0;padding:10px 0;
border-block:1px solid var(--line)}
a{color:var(--link)}nav a,td a{text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:10px;
margin:16px 0 0}
.numbers div{background:var(--soft);border:1px solid var(--line);border-radius:8px;
padding:10px 12px}
.numbers dd{margin:0;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums}
.numbers dt{color:var(--muted);font-size:12.5px}.numbers .bad dd{color:var(--bad)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;font-size:13px;width:100%}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{padding:5px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child td{border-bottom:0}tbody tr:nth-child(even){background:var(--soft)}
th{background:var(--soft);white-space:nowrap;font-weight:600}
td{max-width:34em;overflow-wrap:anywhere}td.t{min-width:15em}td.s{overflow-wrap:normal}
.zero{color:var(--muted)}.tall{max-height:560px;overflow:auto}
.tall th{position:sticky;top:0;box-shadow:0 1px var(--line)}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.bad{color:var(--bad);font-weight:600}.s{white-space:nowrap}
details{margin:8px 0}summary{cursor:pointer;color:var(--link);width:fit-content}
.run{border-top:1px solid var(--line);padding-top:6px}.run summary{font-weight:600;max-width:100%;
overflow-wrap:anywhere}
pre{margin:6px 0;padding:10px 12px;overflow-x:auto;background:var(--soft);font-size:12px;
border:1px solid var(--line);border-radius:8px;user-select:all}
figure{margin:8px 0;overflow-x:auto}figure svg{display:block;width:100%;min-width:900px;height:auto}
@media (max-width:600px){main,header,nav{padding:0 14px}h1{font-size:21px}header{padding-top:18px}
th,td{padding:5px 8px}}
@media print{nav,.sql{display:none}figure svg{min-width:0}figure,tr{break-inside:avoid}
body{font-size:11px}.scroll{overflow:visible;border:0;max-height:none}h2{break-after:avoid}main{max-width:none}
table{font-size:9px}th,td{padding:2px 5px}td.t{min-width:6em}th,.n,.s{white-space:normal}}
"""


def safe(value: object) -> str:
    """Clean any text and escape it for HTML."""
    return escape(clean(value))


def page(title: str, head: Iterable[str], body: Iterable[str]) -> str:
    """Put a page together."""
    style = _STYLE.replace("@DARK@", dark_rules("figure svg")).strip()
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{safe(title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>",
            *head,
            "<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        )
    )


def numbers(row: Mapping[str, Any]) -> str:
    """Show the totals of a log, those that tell of trouble marked by a sign and by colour."""
    parts = []
    for name, value in row.items():
        bad = value and name in {"failed_calls", "damaged_places"}
        sign = "✕ " if bad else ""
        mark = ' class="bad"' if bad else ""
        words = name.replace("_", " ")
        parts.append(f"<div{mark}><dt>{words}</dt><dd>{sign}{number(value)}</dd></div>")
    return f'<dl class="numbers">{"".join(parts)}</dl>'


def table(
    rows: Sequence[Mapping[str, Any]], *, caption: str, links: Mapping[str, str] | None = None
) -> str:
    """Show rows: numbers to the right, times and durations in words, runs as links to pictures.

    Args:
        rows: at least one; their keys are the columns.
        caption: what the table is, for those who cannot see it.
        links: from a run to the anchor of its picture.
    """
    heads = []
    for name in rows[0]:
        right = ' class="n"' if _is_number(rows, name) else ""
        words = name.removesuffix("_ns").replace("_", " ")
        heads.append(f'<th scope="col"{right}>{safe(words)}</th>')
    lines = [
        "<tr>" + "".join(_cell(name, value, links or {}) for name, value in row.items()) + "</tr>"
        for row in rows
    ]
    tall = " tall" if len(rows) > TALL_ROWS else ""
    return (
        f'<div class="scroll{tall}" role="region" aria-label="{safe(caption)}" tabindex="0"><table>'
        f"<caption>{safe(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead>\n"
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _is_number(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return name.endswith("_ns") or any(isinstance(row[name], int | float) for row in rows)


def _cell(name: str, value: Any, links: Mapping[str, str]) -> str:
    if name.endswith("_ns"):
        if value is None:
            return '<td class="n">–</td>'
        plain = name in _SPANS or not is_wall_time(value)
        return f'<td class="n">{safe(duration(value) if plain else moment(value))}</td>'
    if value is None:
        return "<td></td>"
    if isinstance(value, int | float):
        bad = " bad" if value and name in {"failed", "failed_calls", "damage"} else ""
        mark = bad if value else " zero"
        return f'<td class="n{mark}">{number(value)}</td>'
    if name in {"outcome", "status"}:
        sign = _OUTCOMES.get(value, "")
        bad = " bad" if sign == "✕" else ""
        return f'<td class="s{bad}">{sign} {safe(str(value).replace("_", " "))}</td>'
    text = str(value)
    shown = safe(text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…")
    room = "t" if len(text) > SHORT_CELL else "s"
    if name == "run":
        shown = shown or "live run"
        shown = f'<a href="#{links[text]}">{shown}</a>' if text in links else shown
    return f'<td class="{room}">{shown}</td>'


def sql(query: str) -> str:
    """Show a query, folded; one click marks all of it."""
    kept = "\n".join(clean(line) for line in query.splitlines())
    return (
        '<details class="sql"><summary>SQL</summary>'
        f'<pre tabindex="0"><code>{escape(kept)}</code></pre></details>'
    )


def shown_of(shown: int, total: int, what: str) -> str:
    """Say that not everything is shown; nothing where it is."""
    if shown >= total:
        return ""
    return f'<p class="note">{number(shown)} of {number(total)} {safe(what)} shown</p>'
