"""What the tests of live views share: a page opened in Chromium, and logs that try it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

import flowlab as fl
from flowlab.scenarios import SCENARIOS

VIEW = "document.querySelector('.flowlab-live').flowlab"


def trip() -> fl.EventLog:
    """Three trips, of which the last fails and undoes what it booked."""
    return fl.simulate(SCENARIOS["trip"], seed=1).log


def open_page(page: Page, log: fl.EventLog, folder: Path, **options: Any) -> Page:
    """Save a log as a page, open it, and wait until it is drawn."""
    page.goto(log.explore(**options).save(folder / "run.html").as_uri())
    page.wait_for_selector(".flowlab-live[data-drawn-ms]")
    return page


def ask(page: Page, code: str, argument: Any = None) -> Any:
    """Evaluate JavaScript about the view `v`, with an argument `a`."""
    return page.evaluate(f"async (a) => {{ const v = {VIEW}; return {code}; }}", argument)


def until(page: Page, code: str, argument: Any = None) -> None:
    """Wait until something is true of the view; the page lets nobody evaluate by polling."""
    for _ in range(500):
        if ask(page, code, argument):
            return
        page.wait_for_timeout(20)
    message = f"{code} does not become true"
    raise AssertionError(message)


def position(page: Page, row: int) -> tuple[float, float]:
    """Return where on the page the sign of a row is."""
    x, y = ask(
        page,
        "(() => { const b = v.dom.canvas.getBoundingClientRect();"
        " return [b.left + v.frame.x(v.axis.at[a]), b.top + v.markY(a) - v.scroll]; })()",
        row,
    )
    return x, y


def row_of(log: fl.EventLog, workflow_id: str, sequence: int) -> int:
    """Return the row of an event in the order in which a view has them."""
    ids = [(event.workflow_id, event.sequence) for event in log.explore().log]
    return ids.index((workflow_id, sequence))


def words_that_cover_others(page: Page, said: str) -> list[list[str]]:
    """Return the pairs of texts, among what a selector finds in a view, that lie on each other."""
    script = """(() => {
      const boxes = [...v.dom.root.querySelectorAll(a)]
        .filter((e) => e.textContent.trim() && !e.classList.contains("unseen"))
        .map((e) => { const r = document.createRange(); r.selectNodeContents(e);
          return [e, r.getBoundingClientRect()]; });
      const wrong = [];
      boxes.forEach(([a, p], n) => boxes.slice(0, n).forEach(([b, q]) => {
        if (a.contains(b) || b.contains(a)) return;
        if (p.left + 1 < q.right && q.left + 1 < p.right && p.top + 3 < q.bottom
          && q.top + 3 < p.bottom) wrong.push([a.textContent, b.textContent]);
      }));
      return wrong; })()"""
    return list(ask(page, script, said))
