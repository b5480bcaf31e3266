"""Run the notebooks and store their outputs again: `make notebooks`.

Kept are the cells and their outputs; times, widget state and metadata are not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import nbformat
from jupyter_client.manager import start_new_kernel

HERE: Final = Path(__file__).parent
CELL_TIMEOUT_S: Final = 120
KINDS: Final = {"stream", "display_data", "execute_result", "error"}
METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> None:
    """Run one notebook in a new kernel, in its own folder, and write it back.

    Raises:
        SystemExit: a cell failed; the file stays as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(path.absolute().parent))
    number = 0
    try:
        for place, cell in enumerate(notebook.cells, 1):
            cell.metadata = nbformat.from_dict({})
            cell.id = f"cell-{place:02d}"
            if cell.cell_type == "code":
                number += 1
                cell.execution_count = number
                cell.outputs = outputs_of(client, cell.source, f"{path.name}, cell {number}")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def outputs_of(client: Any, source: str, where: str) -> list[Any]:
    """Run one cell; return its outputs, what was printed in one piece."""
    outputs: list[Any] = []

    def keep(message: dict[str, Any]) -> None:
        if message["header"]["msg_type"] not in KINDS:
            return
        output = nbformat.v4.output_from_msg(message)
        last = outputs[-1] if outputs else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            outputs.append(output)

    reply = client.execute_interactive(source, timeout=CELL_TIMEOUT_S, output_hook=keep)
    if reply["content"]["status"] != "ok":
        sys.exit("\n".join([where, *reply["content"].get("traceback", [])]))
    return outputs


if __name__ == "__main__":
    for each in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        run(each)
        print(each.name)
