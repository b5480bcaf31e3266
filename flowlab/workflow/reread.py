"""Rereading a value before it is overwritten: no saga loses what another has written meanwhile.

Source: the countermeasure *reread value*, Richardson, *Microservices Patterns*, chapter 4.3, after
Frank and Zahle (1998): a form of the optimistic offline lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from flowlab.errors import StaleReadError
from flowlab.events.wording import brief

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned:
    """A value, and how often it was written.

    The version tells apart what equal values hide: that another wrote, and wrote back.

    Args:
        value: any value; a record holds one.
        version: rises by one with each write.

    Example:
        >>> seen = Versioned("free")
        >>> seen.write("sold to Ada", seen=seen)
        Versioned(value='sold to Ada', version=1)
    """

    value: Any = None
    version: int = 0

    def write(self, value: Any, *, seen: Versioned) -> Versioned:
        """Return the record with a new value, if it still is what the writer saw.

        Raises:
            StaleReadError: it is not; nothing was written.
        """
        reread(seen, self)
        return Versioned(value, self.version + 1)


def reread(expected: T, current: T, *, what: str = "the value") -> T:
    """Return the current value, if it is the expected one: what was read when it was decided.

    Of two `Versioned`, the versions are compared too, so a change there and back is found; of
    other values, equality is all that can be seen.

    Raises:
        StaleReadError: it has changed; read it again, and decide again.

    Example:
        >>> reread({"seats": 2}, {"seats": 2})
        {'seats': 2}
    """
    if expected == current:
        return current
    message = (
        f"{what} was {brief(expected)} when it was read and is {brief(current)} now, so nothing "
        "was written; read it again and decide again, or undo the saga"
    )
    raise StaleReadError(message)
