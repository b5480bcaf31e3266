"""A JupyterLab of the tests' own: its folders, its port, its notebooks, its page in Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary
from playwright.sync_api import Page

TOKEN = "tests"
START_TIMEOUT_S = 60
PROJECT = Path(__file__).parent.parent
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


@dataclass
class Lab:
    """A running server."""

    url: str
    notebooks: Path
    data: Path
    fetched: list[str] = field(default_factory=list)

    def write(self, name: str, cells: Sequence[str | tuple[str, Any]], **options: Any) -> Path:
        """Write a notebook: sources, or sources with what they have put out; trusted if asked."""
        notebook = nbformat.v4.new_notebook()
        kernel = {"name": options.get("kernel", "python3"), "display_name": "Python 3"}
        notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
        for cell in cells:
            source, bundle = (cell, None) if isinstance(cell, str) else cell
            made = nbformat.v4.new_code_cell(source)
            if bundle is not None:
                made.outputs = [nbformat.v4.new_output("execute_result", bundle, execution_count=1)]
            notebook.cells.append(made)
        place = self.notebooks / name
        nbformat.write(notebook, place)
        if options.get("trusted"):
            NotebookNotary(data_dir=str(self.data)).sign(nbformat.read(place, as_version=4))
        return place

    def open(self, page: Page, name: str, *, kernel: bool = True) -> Page:
        """Open a notebook; with a kernel, wait until it is idle."""
        # A notebook keeps only the cells on screen in its page: here, all of them.
        page.set_viewport_size({"width": 1280, "height": 2400})
        page.on("request", lambda request: self.fetched.append(request.url))
        if kernel:
            body = {"path": name, "type": "notebook", "name": name, "kernel": {"name": "python3"}}
            self._post("api/sessions", body)
        # A workspace of its own: another would open what was open in it before.
        space = name.partition(".")[0]
        page.goto(f"{self.url}/lab/workspaces/{space}/tree/{name}?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        if kernel:
            page.wait_for_selector(IDLE)
            page.wait_for_selector('#jp-main-statusbar >> text="Python 3 (ipykernel) | Idle"')
        return page

    def _post(self, where: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(
            f"{self.url}/{where}", json.dumps(body).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=START_TIMEOUT_S):
            pass


def run_command(page: Page, command: str, **arguments: Any) -> None:
    """Run one of JupyterLab's commands."""
    page.evaluate(
        "([name, args]) => window.jupyterapp.commands.execute(name, args)", [command, arguments]
    )


def run_cell(page: Page, index: int) -> list[str]:
    """Run a cell, and return the texts that it put out."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(index)
    cell.locator(".cm-content").click()
    before = cell.locator(".jp-InputPrompt").inner_text()
    page.keyboard.press("Control+Enter")
    number = cell.locator(".jp-InputPrompt")
    deadline = time.monotonic() + START_TIMEOUT_S
    while number.inner_text() in {before, "[*]:"}:
        assert time.monotonic() < deadline, f"cell {index} does not end"
        page.wait_for_timeout(30)
    return cell.locator(".jp-OutputArea-output").all_inner_texts()


@contextlib.contextmanager
def start_lab(folder: Path) -> Iterator[Lab]:
    """Run a server whose every folder is below one of the tests'."""
    notebooks, home = folder / "notebooks", folder / "home"
    notebooks.mkdir()
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        "HOME": home,
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
    }
    quiet = home / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    environment["PYTHONPATH"] = str(PROJECT)
    options = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={notebooks}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (folder / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, folder / "log")
        yield Lab(url, notebooks, home / "data")
    finally:
        server.terminate()
        server.wait(timeout=START_TIMEOUT_S)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=5):
                return
        except OSError:
            ended = server.poll() is not None or time.monotonic() > deadline
            assert not ended, log.read_text(encoding="utf-8")[-2000:]
            time.sleep(0.1)
