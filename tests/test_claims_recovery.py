"""What is claimed of recovery can be measured; processes are started and killed for it."""

from __future__ import annotations

import pytest
from test_claims import check_can_be_measured

from flowlab.studies import CLAIMS


@pytest.mark.parametrize("name", [found.name for found in CLAIMS if found.area == "recovery"])
def test_every_claim_of_recovery_can_be_measured(name: str) -> None:
    check_can_be_measured(name)
