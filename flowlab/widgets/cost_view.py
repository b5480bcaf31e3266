"""The live view of recovery costs: sliders for the numbers, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from flowlab.errors import InvalidArgumentError
from flowlab.figures import Figure, MeasuredRecovery, RecoveryCosts
from flowlab.figures import recovery_cost as picture_of
from flowlab.figures.recovery_cost import case_of
from flowlab.figures.recovery_run import longest_crash_s
from flowlab.figures.recovery_words import LOOKS
from flowlab.figures.theme import palette
from flowlab.recovery.replaying import best_interval
from flowlab.widgets.module import COST_FILES, joined
from flowlab.widgets.page import html_target, shell, write_page
from flowlab.widgets.placeholder import WidgetView, bundle, image_of

_numbers = count(1)
_SHARE: Final = 0.65
"""Where the run crashes unless it is placed, as a share of its first four intervals."""
_TITLE: Final = "What recovery costs"


class RecoveryCostView(anywidget.AnyWidget):  # type: ignore[misc]
    """What recovery costs, with sliders: `fl.widgets.recovery_cost(...)`.

    In a notebook it is shown as a picture, which becomes live where a kernel runs; without one it
    stays a picture. What the sliders say is in `costs` and `crash_s`; what is put there is shown.

    Args:
        costs: of the case.
        measured: recoveries that were measured.
        crash_s: when the drawn run crashes, within its first four intervals.
        title: of the view.

    Attributes:
        costs: what the sliders say, a `RecoveryCosts`. May be set.
        measured: the recoveries that were measured.

    Raises:
        InvalidArgumentError: a number is out of its range.

    Example:
        >>> view = RecoveryCostView(RecoveryCosts(S=50, L=20, r=.5, p=.001))
        >>> view
        RecoveryCostView(S=50, L=20, r=0.5, p=0.001, history=10000)
        >>> view.costs = RecoveryCosts(S=5, L=20, r=.5, p=.001)
        >>> view.costs.S
        5
    """

    _esm = joined(COST_FILES, "js_cost/style")
    _header = traitlets.Unicode("{}").tag(sync=True)
    _place = traitlets.Unicode("").tag(sync=True)
    _numbers = traitlets.Dict().tag(sync=True)
    _share = traitlets.Float(_SHARE).tag(sync=True)

    costs = traitlets.Any()

    def __init__(
        self,
        costs: RecoveryCosts,
        *,
        measured: Sequence[MeasuredRecovery] = (),
        crash_s: float | None = None,
        title: str = _TITLE,
    ) -> None:
        self.measured = tuple(measured)
        share = _SHARE if crash_s is None else crash_s / _latest_s(costs)
        header = {
            "title": title,
            "costs": asdict(costs),
            "measured": [asdict(one) for one in self.measured],
            "crash_share": share,
            "looks": {scheme: _look(scheme) for scheme in LOOKS},
            "palette": {"light": palette(), "dark": palette(dark=True)},
        }
        self._facts = header
        self._picture = ""
        self._figure_of(costs, share)
        sent = json.dumps(header)
        digest = sha256(sent.encode()).hexdigest()[:16]
        super().__init__(
            _header=sent,
            _place=f"{digest}-{next(_numbers)}",
            _numbers=asdict(costs),
            _share=share,
            costs=costs,
        )

    @property
    def title(self) -> str:
        """What stands above the view."""
        return str(self._facts["title"])

    @property
    def crash_s(self) -> float:
        """When the drawn run crashes."""
        return float(self._share * _latest_s(self.costs))

    @property
    def figure(self) -> Figure:
        """The picture of what the sliders say."""
        return self._figure_of(self.costs, self._share)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the view as a page that works offline, as the sliders stand; return its path.

        Raises:
            InvalidArgumentError: the file has another ending than .html.
        """
        target = html_target(path, "view.figure")
        header = {**self._facts, "costs": asdict(self.costs), "crash_share": self._share}
        return write_page(target, shell(header, b"", self._esm_text()))

    def widget(self) -> WidgetView:
        """Return the view as an ordinary widget, for hosts that keep each output apart."""
        return WidgetView(self)

    def __repr__(self) -> str:
        return repr(self.costs).replace("RecoveryCosts", "RecoveryCostView", 1)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # type: ignore[override]
        if not self._picture:
            figure = self.figure
            self._picture = image_of(figure, " ".join(figure.text.split("\n")[-4:]))
        return bundle(self._place, self._picture, repr(self))

    @staticmethod
    def _esm_text() -> str:
        return joined(COST_FILES, "js_cost/style")

    def _figure_of(self, costs: RecoveryCosts, share: float) -> Figure:
        title = str(self._facts["title"])
        crash_s = share * _latest_s(costs)
        return picture_of(costs, measured=self.measured, crash_s=crash_s, title=title)

    @traitlets.validate("costs")
    def _valid_costs(self, proposal: Any) -> RecoveryCosts:
        value = proposal["value"]
        if isinstance(value, Mapping):
            value = case_of(None, dict(value))
        if not isinstance(value, RecoveryCosts):
            message = f"costs is {value!r:.80}; expected a RecoveryCosts, or its numbers by name"
            raise InvalidArgumentError(message)
        _latest_s(value)
        return value

    @traitlets.observe("costs")
    def _put_numbers(self, _: Any) -> None:
        self._numbers = asdict(self.costs)

    @traitlets.observe("_numbers")
    def _take_numbers(self, _: Any) -> None:
        self.costs = case_of(None, dict(self._numbers))


def recovery_cost(
    costs: RecoveryCosts | None = None,
    /,
    *,
    measured: Sequence[MeasuredRecovery] = (),
    crash_s: float | None = None,
    title: str = _TITLE,
    **numbers: float,
) -> RecoveryCostView:
    """Return a live view of what recovery costs: a picture, live where a kernel runs.

    Args:
        costs: of the case.
        measured: recoveries that were measured, drawn hollow over the curves.
        crash_s: when the drawn run crashes, within its first four intervals.
        title: of the view.
        **numbers: those of a `RecoveryCosts` by name, in place of it.

    Raises:
        InvalidArgumentError: a number is out of its range.

    Example:
        >>> recovery_cost(S=50, L=20, r=.5, p=.001, history=800)
        RecoveryCostView(S=50, L=20, r=0.5, p=0.001, history=800)
    """
    case = case_of(costs, numbers)
    return RecoveryCostView(case, measured=measured, crash_s=crash_s, title=title)


def _latest_s(costs: RecoveryCosts) -> float:
    """Return the latest time at which the drawn run may crash.

    Raises:
        InvalidArgumentError: nothing arrives.
    """
    if costs.arrivals <= 0:
        message = "arrivals is 0; expected some events a second: without them no run goes on"
        raise InvalidArgumentError(message)
    c = costs
    found = best_interval(S=c.full_s, L=c.load_s, r=c.r, p=c.p, rate=c.rate, D=c.D)
    return longest_crash_s(max(1.0, float(int(found.n_star + 0.5))), c)


def _look(scheme: str) -> dict[str, Any]:
    look = LOOKS[scheme]
    roles = {colour: role for role, colour in palette().items() if not role.endswith("_line")}
    return {
        "letter": look.letter,
        "name": look.name,
        "role": roles[look.colour],
        "dash": look.dash,
        "width": look.width,
    }
