"""The digests that every scenario of the library has, on every machine and Python.

`python tests/golden_scenarios.py` writes them again, after a change that is meant to change them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate

PATH: Final = Path(__file__).with_suffix(".json")
SEEDS: Final = (1, 2, 3)
PRESETS: Final = ("none", "chaos")


def digests_of(name: str) -> dict[str, dict[str, str]]:
    """Return preset -> seed -> digest of one scenario."""
    return {
        preset: {
            str(seed): simulate(SCENARIOS[name], seed=seed, faults=preset).digest for seed in SEEDS
        }
        for preset in PRESETS
    }


def read() -> dict[str, dict[str, dict[str, str]]]:
    """Return the digests that are kept, by scenario."""
    found: dict[str, dict[str, dict[str, str]]] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def write() -> None:
    """Keep the digests of now."""
    found = {name: digests_of(name) for name in SCENARIOS}
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
