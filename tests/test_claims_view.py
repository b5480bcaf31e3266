"""What is claimed of views can be measured, in a browser."""

from __future__ import annotations

import pytest
from test_claims import IN_A_BROWSER, check_can_be_measured


@pytest.mark.parametrize("name", IN_A_BROWSER)
@pytest.mark.usefixtures("chromium")
def test_a_claim_about_what_is_on_screen_can_be_measured(name: str) -> None:
    check_can_be_measured(name)
