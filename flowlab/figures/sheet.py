"""What a picture stands on: the SVG element, a frame, a title and a line below it."""

from __future__ import annotations

from collections.abc import Iterable

from flowlab.figures import theme
from flowlab.figures.svg import element, rect, text
from flowlab.figures.text import clean, ellipsize, escape


def sheet(parts: Iterable[str], *, title: str, subtitle: str, width: float, height: float) -> str:
    """Return a whole SVG image, its parts in a frame below title and subtitle."""
    head = (
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(subtitle or title)}</desc>",
        rect(0.5, 0.5, width - 1, height - 1, fill=theme.PANEL, rx=8, stroke=theme.BORDER),
        text(20, 28, ellipsize(clean(title), 16, width * 0.9), size=16, weight=600),
        text(20, 48, ellipsize(clean(subtitle), 12, width - 40.0), size=12, fill=theme.MUTED),
    )
    drawn = element(
        "svg",
        "\n" + "\n".join(part for part in (*head, *parts) if part) + "\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {round(width)} {round(height)}",
        width=float(width),
        height=float(height),
        role="img",
        font_family=theme.FONT,
    )
    return f"{drawn}\n"
