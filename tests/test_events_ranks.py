"""Rows in order of integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowlab.events import sorted_rows

small = st.integers(0, 5)
any_int = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 2**31, 2**62, 2**63 - 1])


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[small | any_int] * n))))
def test_rows_are_in_the_order_of_their_keys_and_equal_ones_stay_as_they_are(
    rows: list[tuple[int, ...]],
) -> None:
    columns = zip(*rows, strict=True) if rows else [()]
    keys = [np.array(column, np.int64) for column in columns]
    assert sorted_rows(*keys).tolist() == sorted(range(len(rows)), key=rows.__getitem__)
