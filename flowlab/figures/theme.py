"""The colours and measures of every picture: Okabe and Ito's palette, safe for colour-blind eyes.

Vermilion is a shade darker than theirs, so that white text on it keeps a contrast of 4.5 to 1.

A picture is drawn in the light colours, on its own panel. A page that holds it inline turns it
dark with `dark_rules`: rules on presentation attributes, which any style sheet outranks.
"""

from __future__ import annotations

import re
from typing import Final

PANEL: Final = "#ffffff"
BORDER: Final = "#d8dee4"
BAND: Final = "#f6f8fa"
GRID: Final = "#e7ebef"
INK: Final = "#1b1f24"
MUTED: Final = "#59636e"
FAINT: Final = "#9aa4af"
BLUE: Final = "#0072b2"
SKY: Final = "#56b4e9"
ORANGE: Final = "#e69f00"
VERMILION: Final = "#b84f00"
GREEN: Final = "#009e73"
PURPLE: Final = "#cc79a7"
WASH: Final = "#fdeee3"
ON_BAR: Final = "#fffffe"
"""The text on a bar: it stays light when the panel turns dark."""

FONT: Final = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

_DARK: Final = {
    PANEL: "#161b22",
    BORDER: "#30363d",
    BAND: "#1c222a",
    GRID: "#2a313a",
    INK: "#e9eef3",
    MUTED: "#9fabb7",
    FAINT: "#6b7784",
    BLUE: "#1b7cc0",
    SKY: "#7cc7f2",
    ORANGE: "#f0b429",
    VERMILION: "#cf5d10",
    GREEN: "#2fbf95",
    PURPLE: "#dd9cc0",
    WASH: "#3a2416",
}

_DARK_LINES: Final = {BLUE: "#5aa9e6", VERMILION: "#f0803c"}
"""Thin lines on dark ground need more light than areas."""


def palette(*, dark: bool = False) -> dict[str, str]:
    """Return the colours by role, as a live view paints them.

    Lines that are thinner than an area have colours of their own: `blue_line`, `vermilion_line`.

    Example:
        >>> palette()["blue"], palette(dark=True)["blue_line"]
        ('#0072b2', '#5aa9e6')
    """
    light = {
        "panel": PANEL,
        "border": BORDER,
        "band": BAND,
        "grid": GRID,
        "ink": INK,
        "muted": MUTED,
        "faint": FAINT,
        "blue": BLUE,
        "sky": SKY,
        "orange": ORANGE,
        "vermilion": VERMILION,
        "green": GREEN,
        "purple": PURPLE,
        "wash": WASH,
    }
    roles = {role: _DARK[colour] if dark else colour for role, colour in light.items()}
    for role in ("blue", "vermilion"):
        own = light[role]
        roles[f"{role}_line"] = _DARK_LINES[own] if dark else own
    return roles | {"on_bar": ON_BAR}


def dark_rules(scope: str) -> str:
    """Return CSS rules that turn the pictures below a selector dark.

    Example:
        >>> dark_rules(".figure").splitlines()[0]
        '.figure [fill="#ffffff"]{fill:#161b22}'
    """
    rules = []
    for light, dark in _DARK.items():
        rules.append(f'{scope} [fill="{light}"]{{fill:{dark}}}')
        rules.append(f'{scope} [stroke="{light}"]{{stroke:{_DARK_LINES.get(light, dark)}}}')
    return "\n".join(rules)


_PAINTED: Final = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')


def darkened(svg: str) -> str:
    """Return a picture with every colour replaced by that for dark ground.

    Example:
        >>> darkened('<rect fill="#ffffff" stroke="#0072b2"/>')
        '<rect fill="#161b22" stroke="#5aa9e6"/>'
    """

    def other(found: re.Match[str]) -> str:
        name, light = found.groups()
        dark = _DARK_LINES.get(light) if name == "stroke" else None
        return f'{name}="{dark or _DARK.get(light, light)}"'

    # Texts are escaped, so a quotation mark stands in an element's head alone.
    return _PAINTED.sub(other, svg)
