"""Chance without a generator: the n-th draw of a key is a pure function of both.

One more draw, agent or fault elsewhere changes nothing here, and no order of asking does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING, Final

import numpy as np

from flowlab.errors import InvalidArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
UNIT: Final = 2.0**-53
"""The upper 53 bits of a draw, in such units, are a number from [0, 1)."""
_LANE_BITS: Final = 128
"""Of two numbers of 64 bits the product has as many."""
_CACHED_KEYS: Final = 1 << 14


# Typed, for 1, 1.0 and True are equal as keys of a cache and are not the same name.
@lru_cache(maxsize=_CACHED_KEYS, typed=True)
def key_of(*names: str | int) -> int:
    """Return the 64-bit key of a list of names: texts and ints, which are told apart.

    The last keys are kept, so that asking again is cheap.

    Raises:
        InvalidArgumentError: a name is neither text nor an int.

    Example:
        >>> key_of(7, "trip-1") == key_of(7, "trip-1"), key_of("a", "b") == key_of("ab")
        (True, False)
    """
    told = b""
    for name in names:
        if type(name) is str:
            # A text from outside may hold half of a surrogate pair, and is a name all the same.
            text = name.encode("utf-8", "surrogatepass")
            told += b"s%d:%b" % (len(text), text)
        elif type(name) is int:
            told += b"i%d;" % name
        else:
            message = (
                f"a name of a key is {name!r} ({type(name).__name__}); expected text or an int"
            )
            raise InvalidArgumentError(message)
    return int.from_bytes(blake2b(told, digest_size=8).digest(), "little")


def keys_of(seed: int, names: Sequence[str]) -> list[int]:
    """Return `key_of(seed, name)` of each name, and keep none: no other world asks for these.

    Example:
        >>> keys_of(7, ["latency", "service"]) == [key_of(7, "latency"), key_of(7, "service")]
        True
    """
    # A hash that has read the seed goes on with each name.
    begun = blake2b(b"i%d;" % seed, digest_size=8)
    keys = []
    for name in names:
        text = name.encode()
        hasher = begun.copy()
        hasher.update(b"s%d:%b" % (len(text), text))
        keys.append(int.from_bytes(hasher.digest(), "little"))
    return keys


def bits(key: int, n: int) -> int:
    """Return the n-th 64 bits of a key; also how a key is made of a key and a number.

    It is output n + 1 of the generator SplitMix64 with the key as its seed, found without the ones
    before it: a counter under a good mixing function is a generator (Salmon, Moraes, Dror and Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", 2011); the function is from Steele, Lea and
    Flood, "Fast splittable pseudorandom number generators", 2014. For simulation, not for secrets.

    Args:
        key: from `key_of`, or from here.
        n: any int; those that are equal modulo 2^64 give the same.

    Example:
        >>> hex(bits(0, 0))
        '0xe220a8397b1dcdaf'
    """
    z = (key + (n + 1) * _GAMMA) & _MASK
    z = (z ^ (z >> 30)) * _MIX_1 & _MASK
    z = (z ^ (z >> 27)) * _MIX_2 & _MASK
    return z ^ (z >> 31)


def many_bits(keys: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """Return the n-th 64 bits of many keys.

    Example:
        >>> many_bits(np.array([7, 8], np.uint64), 3).tolist() == [bits(7, 3), bits(8, 3)]
        True
    """
    z = keys + np.uint64((n + 1) * _GAMMA & _MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


def uniform(key: int, n: int) -> float:
    """Return the n-th number from [0, 1) of a key: the upper 53 of its `bits`.

    Example:
        >>> uniform(key_of("coin"), 0) == uniform(key_of("coin"), 0)
        True
    """
    return (bits(key, n) >> 11) * UNIT


def following(key: int) -> int:
    """Return the key that is one draw ahead of another.

    Example:
        >>> bits(following(7), 3) == bits(7, 4)
        True
    """
    return (key + _GAMMA) & _MASK


def many_following(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the keys that are one draw ahead of many.

    Example:
        >>> many_following(np.array([7], np.uint64)).tolist() == [following(7)]
        True
    """
    return keys + np.uint64(_GAMMA)


class Lanes:
    """Several keys of which the n-th draws are made together, in a third of the time.

    The keys lie side by side in one large int, each in a lane that is wide enough for the products
    of `bits`: one multiplication of the int is that of every lane.

    Args:
        keys: of the draws.

    Example:
        >>> Lanes([7, 8]).at(3) == (bits(7, 3), bits(8, 3))
        True
    """

    __slots__ = ("_bytes", "_keys", "_mask", "_ones", "_unpack")

    def __init__(self, keys: Sequence[int]) -> None:
        self._ones, self._bytes, self._unpack = _lanes(len(keys))
        self._mask = self._ones * _MASK
        self._keys = 0
        for key in reversed(keys):
            self._keys = self._keys << _LANE_BITS | key

    def __repr__(self) -> str:
        return f"Lanes({self._bytes * 8 // _LANE_BITS})"

    def at(self, n: int) -> tuple[int, ...]:
        """Return the n-th 64 bits of each key."""
        mask = self._mask
        z = (self._keys + ((n + 1) * _GAMMA & _MASK) * self._ones) & mask
        z = (z ^ (z >> 30 & mask)) * _MIX_1 & mask
        z = (z ^ (z >> 27 & mask)) * _MIX_2 & mask
        z ^= z >> 31 & mask
        return self._unpack(z.to_bytes(self._bytes, "little"))


@lru_cache
def _lanes(count: int) -> tuple[int, int, Callable[[bytes], tuple[int, ...]]]:
    """Return an int with 1 in each lane, the bytes of all, and what takes them apart."""
    ones = sum(1 << place for place in range(0, _LANE_BITS * count, _LANE_BITS))
    return ones, _LANE_BITS // 8 * count, Struct("<" + "Q8x" * count).unpack
