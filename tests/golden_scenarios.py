"""`python tests/golden_scenarios.py` writes the digests of the library's scenarios again."""

from __future__ import annotations

from flowlab.studies.golden import keep_golden

if __name__ == "__main__":
    keep_golden()
