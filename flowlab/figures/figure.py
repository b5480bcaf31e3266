"""A picture as a value: SVG, PNG when asked, and the same as text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.figures.text import clean
from flowlab.figures.theme import dark_rules, darkened

_DARK_PAGES: Final = ':is([data-jp-theme-light="false"],.vscode-dark) .flowlab-figure'


@dataclass(frozen=True, slots=True, repr=False)
class Figure:
    """A picture: SVG, and the same as text.

    Args:
        svg: the picture, deterministic to the byte.
        text: what it shows, in lines of characters.
        title: of the picture.
    """

    svg: str
    text: str
    title: str

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a file, as the ending says: .svg, .png or .txt; return the path.

        Raises:
            InvalidArgumentError: the file has another ending.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".svg":
                target.write_text(self.svg, encoding="utf-8", newline="\n")
            case ".png":
                target.write_bytes(self.to_png())
            case ".txt":
                target.write_text(f"{self.text}\n", encoding="utf-8", newline="\n")
            case _:
                message = (
                    f"the file is {target.name!r}; expected a name in .svg, .png or .txt; "
                    "log.explore().save(...) writes an .html to look into"
                )
                raise InvalidArgumentError(message)
        return target

    def to_png(self, *, scale: float = 2.0) -> bytes:
        """Return it as the bytes of a PNG, drawn here, without a browser.

        Args:
            scale: pixels for each pixel of the SVG.

        Raises:
            InvalidArgumentError: the scale is not above zero, or too large.
            LimitError: the image would have too many pixels.
        """
        from flowlab.figures.raster import to_png  # noqa: PLC0415 - loads Matplotlib

        return to_png(self.svg, scale=scale)

    def dark(self) -> Figure:
        """Return it in colours for a dark page, as a slide or a README may have.

        Example:
            >>> "#ffffff" in Figure('<rect fill="#ffffff"/>', "", "one").dark().svg
            False
        """
        return Figure(darkened(self.svg), self.text, self.title)

    def __repr__(self) -> str:
        return f"Figure({self.title!r})"

    def _repr_html_(self) -> str:
        # A notebook's theme is known to its page alone, so the page chooses the colours.
        rules = dark_rules(_DARK_PAGES).replace("\n", "")
        label = escape(clean(self.title))
        return (
            f'<figure class="flowlab-figure" aria-label="{label}"><style>{rules}</style>'
            f"{self.svg}</figure>"
        )
