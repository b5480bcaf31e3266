"""What a live view leaves in the output of a cell: a picture, and a name by which it is found."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final, Protocol

from flowlab.figures import Figure
from flowlab.figures.text import clean, escape

_DARK: Final = (
    '<style>[data-jp-theme-light="false"] .flowlab-view>img'
    "{filter:invert(.9) hue-rotate(180deg)}</style>"
)
"""An image knows nothing of its page's theme: a trusted page turns it dark."""


class _View(Protocol):
    @property
    def title(self) -> str: ...

    @property
    def model_id(self) -> Any: ...


def image_of(figure: Figure, words: str) -> str:
    """Return a picture as an image: hosts that do not trust a page keep images alone."""
    data = b64encode(figure.svg.encode()).decode()
    label = f"{escape(figure.title)}: {escape(clean(words))}"
    return f'<img alt="{label}" src="data:image/svg+xml;base64,{data}">'


def bundle(place: str, image: str, said: str) -> dict[str, str]:
    """Return the output of a cell: the picture, which the view of that name replaces.

    Args:
        place: the name.
        image: the picture, from `image_of`.
        said: the same as one line of text.
    """
    html = f'<div data-flowlab-view="{escape(place)}" class="flowlab-view">{_DARK}{image}</div>'
    return {"text/plain": said, "text/html": html}


class WidgetView:
    """A view as an ordinary widget: what a host shows that keeps each output apart."""

    def __init__(self, view: _View) -> None:
        self._view = view

    def __repr__(self) -> str:
        return f"WidgetView({self._view.title!r})"

    def _repr_mimebundle_(self, **_: Any) -> Any:
        kind = "application/vnd.jupyter.widget-view+json"
        view = {"version_major": 2, "version_minor": 0, "model_id": self._view.model_id}
        return {"text/plain": repr(self), kind: view}
