"""What is claimed of recovery can be measured; processes are started and killed for it."""

from __future__ import annotations

import pytest
from test_claims import check_can_be_measured

from flowlab.studies import CLAIMS

pytestmark = pytest.mark.usefixtures("only_young_garbage")

# At the smallest size the costs of a busy machine may have no least: the parts of that one are
# tested in test_recovery_optimum.py.
LARGE = "recovery.optimum"
HERE = [c.name for c in CLAIMS if c.area == "recovery" and c.name != LARGE]


@pytest.mark.parametrize("name", HERE)
def test_every_claim_of_recovery_can_be_measured(name: str) -> None:
    check_can_be_measured(name)
