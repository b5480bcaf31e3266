"""What a durable host owes those who hang, are refused, or have mistaken themselves."""

from __future__ import annotations

import pytest

from flowlab.runtime.errands import Errands
from flowlab.runtime.families import Families
from flowlab.runtime.pooling import Pooling


@pytest.mark.parametrize("part", [Errands, Families, Pooling])
def test_a_part_of_a_host_cannot_be_made_without_what_it_needs_of_the_whole(part: type) -> None:
    with pytest.raises(TypeError, match="_settle"):
        part()
