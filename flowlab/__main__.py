"""`python -m flowlab` is the `flowlab` command."""

from __future__ import annotations

import sys

from flowlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
