"""What the live view costs: to be on screen, and to be told a past by the kernel."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from flowlab.errors import MissingDependencyError
from flowlab.studies.causality_workload import sagas, traffic
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, Spread, duration, timed, workplace
from flowlab.widgets.content import read_content
from flowlab.widgets.kernel import Kernel
from flowlab.widgets.page import page_of

EVENTS: Final = 100_000
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


def on_screen(scale: Scale) -> Measurement:
    """Open a page that holds 100 000 events in Chromium: from its data to the first picture.

    What is timed begins with the data as text in the page and ends when the picture is drawn:
    decoding, placing, aggregating, drawing.

    Raises:
        MissingDependencyError: there is no Chromium, or no playwright.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        message = "no Chromium was found; on Debian: apt install chromium"
        raise MissingDependencyError(message)
    log = sagas(min(EVENTS, scale.events))
    prepared, page = timed(lambda: page_of(read_content(log, title="sagas"), most=len(log)))
    with workplace(scale) as folder:
        place = folder / "run.html"
        place.write_text(page, encoding="utf-8")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as process:
            told = process.submit(_open, browser, place, scale.rounds(5)).result()
    spread = Spread.of([shown / 1e3 for shown, _ in told])
    beside = {
        "workload": f"{len(log):,} events of sagas, {len(page) / 1e6:.1f} MB of page",
        "on screen": f"{told[-1][1]}",
        "prepared in Python": duration(prepared),
    }
    return Measurement(spread.median, spread.low, spread.high, "s", spread.count, beside)


def _open(browser: str, place: Path, turns: int) -> list[tuple[float, str]]:
    """Open a page several times; return the milliseconds until it was drawn, and what it says."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - needed here alone
    except ImportError as error:
        message = "playwright is not installed; pip install 'flowlab[test]'"
        raise MissingDependencyError(message) from error
    told = []
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=list(_FLAGS))
        for _ in range(turns):
            page = chromium.new_page(viewport={"width": 1400, "height": 900})
            page.goto(place.as_uri())
            view = page.wait_for_selector(".flowlab-live[data-drawn-ms]", timeout=60_000)
            shown = "" if view is None else view.get_attribute("data-drawn-ms")
            words = page.get_by_text("showing").first.inner_text()
            told.append((float(shown or "nan"), words))
            page.close()
        chromium.close()
    return told


def past_from_kernel(scale: Scale) -> Measurement:
    """Ask the kernel, as the view does, for the past and the future of an event."""
    log = traffic(scale.events, seed=SEED)
    kernel = Kernel(read_content(log, title="traffic"))
    rows = np.random.default_rng(SEED).integers(0, len(log), 20).tolist()
    questions: list[dict[str, Any]] = [
        {"flowlab": "about", "row": row, "order": True} for row in rows
    ]
    kernel.answer(questions[0])
    samples = [timed(partial(kernel.answer, asked))[0] for asked in questions]
    spread = Spread.of(samples)
    beside = {"workload": f"{len(rows)} events of {len(log):,}, past and future as bits"}
    return Measurement(spread.median, spread.low, spread.high, "s", spread.count, beside)
