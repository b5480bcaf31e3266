"""The module that draws live views: small files of JavaScript, joined in a fixed order."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

FILES: Final = tuple(
    "words theme data graph cuts search scale lanes marks signs draw arrows labels view travel "
    "answers dom controls legend panel pointer keys mount".split()
)
"""The files below `js/`, by name: what a file uses when it loads stands in one before it."""


@cache
def module() -> str:
    """Return the ES module, its style sheet inside it.

    Example:
        >>> "export default { initialize, render };" in module()
        True
    """
    place = files("flowlab.widgets").joinpath("js")
    style = json.dumps(place.joinpath("style.css").read_text(encoding="utf-8"))
    parts = [place.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in FILES]
    return "\n".join([f"const STYLE = {style};\n", *parts])
