"""What all tests share: Hypothesis profiles, the shared histories, and a browser.

A test whose means are absent here (the `shared` fixture, a browser) is deselected, and the summary
says so: it neither passes nor counts as skipped.
"""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Route

SHARED = os.environ.get("FLOWLAB_SHARED")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_FIXTURES = frozenset(
    {"browser", "chromium", "context", "page", "offline_page", "new_context"}
)
LONGEST = frozenset(
    {
        "test_claims.py",
        "test_claims_recovery.py",
        "test_pages.py",
        "test_widgets_lab.py",
        "test_widgets_time.py",
    }
)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# `--hypothesis-profile=thorough` looks further, with another seed each time.
settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile("ci")

_left_out: dict[str, int] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose means are absent."""
    kept, left_out = [], []
    for item in items:
        absent = _absent_means(set(getattr(item, "fixturenames", ())))
        if absent is None:
            kept.append(item)
        else:
            left_out.append(item)
            _left_out[absent] = _left_out.get(absent, 0) + 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = _in_order(kept)


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the files that use a browser last, and of either kind the longest first.

    A browser's driver leaves an event loop running in its process, and no other can run there then.
    """
    browsing = {
        item.path for item in items if BROWSER_FIXTURES & set(getattr(item, "fixturenames", ()))
    }

    def turn(item: pytest.Item) -> tuple[bool, bool]:
        return item.path in browsing, item.path.name not in LONGEST

    return sorted(items, key=turn)


def _absent_means(fixtures: set[str]) -> str | None:
    if "shared" in fixtures and SHARED is None:
        return "FLOWLAB_SHARED names no folder of shared histories"
    if fixtures & BROWSER_FIXTURES and CHROMIUM is None:
        return "no Chromium was found"
    return None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a process that runs a part of the tests tell which it has left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = _left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear it from each: all of them leave out the same."""
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which tests were left out, and why."""
    for reason, count in _left_out.items():
        tests = "test" if count == 1 else "tests"
        terminalreporter.write_line(f"{count} {tests} deselected: {reason}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder that FLOWLAB_SHARED names."""
    assert SHARED is not None
    folder = Path(SHARED)
    assert folder.is_dir(), f"FLOWLAB_SHARED={SHARED} is no folder; unset it or name one"
    return folder


@pytest.fixture(scope="module")
def only_young_garbage() -> Iterator[None]:
    """Let the collector search what is young alone, whatever is asked of it.

    What is measured collects the garbage of before, many times; each time half a second would go to
    searching the millions of objects that pytest holds, and times are not what is tested.
    """
    collect = gc.collect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda generation=1: collect(min(generation, 1)))
        yield


@pytest.fixture(scope="session")
def chromium() -> str:
    """The Chromium that is installed."""
    assert CHROMIUM is not None
    return CHROMIUM


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Start the Chromium that is installed; nothing is ever downloaded."""
    return {"executable_path": CHROMIUM, "args": CHROMIUM_FLAGS}


@pytest.fixture
def offline_page(page: Page) -> Iterator[Page]:
    """A page that may fetch nothing beyond its own file, and whose scripts may not fail."""
    wrong: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            wrong.append(f"fetched {route.request.url}")
            route.abort()

    page.route("**/*", refuse)
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on(
        "console",
        lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None,
    )
    yield page
    assert wrong == []
