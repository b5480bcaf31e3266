"""Strings as codes: a loop for machine code, which knows most strings by their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.causality.compiled import machine_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_VALUES: Final = 2**13
"""Most different strings of a column that machine code encodes; of more, hashing is left to Arrow.
"""
_WORD: Final = 8


def encode_strings(
    offsets: NDArray[np.int32], data: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Return each string's code, in the order in which they are first met, and each code's row.

    None where there are more than `MAX_VALUES` different ones, or hardly any text.

    Args:
        offsets: where each string begins in the data, and the end.
        data: the strings' bytes one after the other.
    """
    if len(data) < _WORD:
        return None
    # The eight bytes from each place on as one number: a string is mostly two of them.
    words = np.ndarray(len(data) - _WORD + 1, "<u8", data, strides=(1,))
    codes = np.empty(len(offsets) - 1, np.int32)
    firsts = np.empty(MAX_VALUES, np.int32)
    ends = np.empty((2, MAX_VALUES), np.uint64)
    table = np.full(4 * MAX_VALUES, -1, np.int32)
    found = machine_code(_encode_strings)(offsets, data, words, codes, firsts, ends, table)
    return None if found < 0 else (codes, firsts[:found])


def _encode_strings(offsets, data, words, codes, firsts, ends, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, PLR0917
    mask, half, one = np.uint64(len(table) - 1), np.uint64(32), np.uint64(1)
    count = 0
    for row in range(len(codes)):
        begin, end = offsets[row], offsets[row + 1]
        size = end - begin
        if size >= _WORD:
            head, tail = words[begin], words[end - _WORD]
        else:
            head, tail = np.uint64(size), np.uint64(0)
            for at in range(begin, end):
                tail = tail << np.uint64(8) | np.uint64(data[at])
        mixed = head * np.uint64(0x9E3779B97F4A7C15) ^ tail
        mixed = (mixed ^ (mixed >> half)) * np.uint64(0xC2B2AE3D27D4EB4F)
        slot = (mixed ^ (mixed >> half)) & mask
        while True:
            code = table[slot]
            if code < 0:
                if count == len(firsts):
                    return -1
                code = count
                table[slot], firsts[code] = code, row
                ends[0, code], ends[1, code] = head, tail
                count += 1
                break
            if ends[0, code] == head and ends[1, code] == tail:
                first = offsets[firsts[code]]
                same = offsets[firsts[code] + 1] - first == size
                at = _WORD
                while same and at < size - _WORD:
                    same = data[first + at] == data[begin + at]
                    at += 1
                if same:
                    break
            slot = (slot + one) & mask
        codes[row] = code
    return count
