"""The modules that draw live views: small files of JavaScript, joined in a fixed order."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

FILES: Final = tuple(
    "words theme data graph cuts search scale lanes marks signs draw arrows labels view travel "
    "answers dom controls legend panel pointer keys mount place".split()
)
"""The files of the view of a log below `js/`: what a file uses stands in one before it."""
COST_FILES: Final = (
    *("js/words", "js/theme", "js_cost/svg", "js_cost/law", "js_cost/run", "js_cost/sentences"),
    *("js_cost/plots", "js_cost/panels", "js_cost/sliders", "js_cost/costs", "js/place"),
)
"""The files of the view of recovery costs."""
TIME_FILES: Final = (
    *("js/words", "js/theme", "js_cost/svg", "js_time/places", "js_time/lanes"),
    *("js_time/travels", "js/place"),
)
"""The files of the view of time travel."""


@cache
def module() -> str:
    """Return the ES module of the view of a log, its style sheet inside it.

    Example:
        >>> "export default { initialize, render };" in module()
        True
    """
    return joined(tuple(f"js/{name}" for name in FILES), "js/style")


@cache
def joined(names: tuple[str, ...], style: str) -> str:
    """Return files of JavaScript as one module, with a style sheet inside it.

    Args:
        names: of the files, without their ending, in their order.
        style: of the style sheet, likewise.
    """
    place = files("flowlab.widgets")
    sheet = place.joinpath(f"{style}.css").read_text(encoding="utf-8")
    parts = [place.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join([f"const STYLE = {json.dumps(sheet)};\n", *parts])
