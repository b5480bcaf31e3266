"""How long messages are on their way: a value, and a pure function of the message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.distribution import (
    Distribution,
    Uniform,
    as_distribution,
    distribution_from_json,
)
from flowlab.simulation.doors import as_members
from flowlab.simulation.draws import uniform
from flowlab.workflow import Duration

Link = tuple[str, str]
"""(sender, receiver): one direction."""
HOST: Final = "orchestrator"
"""What the network calls the process in which workflows run."""
OUTSIDE: Final = "outside"
"""What the network calls whoever starts a choreography."""

_LATENCY: Final = Uniform(1_000_000, 5_000_000)
_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The latencies of messages between agents.

    Args:
        latency: of every message: a distribution, nanoseconds or a timedelta (any from 1 to 5 ms).
        links: (sender, receiver) to the latency of that direction, where it is another. Both are
            agents; workflows are run by "orchestrator", and choreographies begun by "outside".
        fifo: messages of a link arrive in the order in which they were sent, as over one
            connection; otherwise a faster one overtakes.

    Raises:
        InvalidArgumentError: a latency is no duration or negative, or a link no pair of names.

    Example:
        >>> network = Network(latency=1_000, links={("till", "bank"): Uniform(5_000, 9_000)})
        >>> network.latency_ns(42, "bank", "till", 7), network.latency_ns(42, "till", "bank", 7)
        (1000, 8203)
    """

    latency: Distribution | Duration = _LATENCY
    links: Mapping[Link, Distribution | Duration] | tuple[tuple[Link, Distribution], ...] = ()
    fifo: bool = False
    _latency: Distribution = field(init=False, repr=False, compare=False)
    _links: dict[Link, Distribution] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        latency = as_distribution(self.latency, "latency")
        links = _as_links(self.links)
        if not isinstance(self.fifo, bool):
            message = f"fifo is {self.fifo!r}; expected True or False"
            raise InvalidArgumentError(message)
        put = object.__setattr__
        put(self, "latency", latency)
        put(self, "links", tuple(links.items()))
        put(self, "_latency", latency)
        put(self, "_links", links)

    def latency_ns(self, key: int, sender: str, receiver: str, message: int) -> int:
        """Return how long a message is on its way, in nanoseconds.

        The names choose the distribution and the message the draw, so that another latency for one
        link changes no draw.

        Args:
            key: of the world's latencies: `key_of(seed, "latency")`.
            sender: the name of an agent.
            receiver: the same.
            message: what tells the message from all others of the world.
        """
        return self.between(sender, receiver).draw(uniform(key, message))

    def between(self, sender: str, receiver: str) -> Distribution:
        """Return the latencies of one direction."""
        return self._links.get((sender, receiver), self._latency)

    @property
    def usual(self) -> Distribution:
        """The latencies of all directions that are not told apart."""
        return self._latency

    def check_names(self, agents: Iterable[str]) -> None:
        """Refuse a link of somebody who does not take part: its latency would never be used.

        Args:
            agents: who takes part, beside `HOST` and `OUTSIDE`.

        Raises:
            InvalidArgumentError: a link names somebody else.
        """
        if not self._links:
            return
        known = {*agents, HOST, OUTSIDE}
        for link in self._links:
            for name in link:
                if name not in known:
                    message = (
                        f"the network has a latency for the link {link!r}, and nobody is called "
                        f"{name!r}; there are {', '.join(sorted(known))}"
                    )
                    raise InvalidArgumentError(message)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, times in nanoseconds.

        Example:
            >>> Network(latency=5, links={("a", "b"): 7}).to_json()["links"]
            [{'from': 'a', 'to': 'b', 'latency': {'kind': 'constant', 'value': 7}}]
        """
        links = [
            {"from": sender, "to": receiver, "latency": latency.to_json()}
            for (sender, receiver), latency in self._links.items()
        ]
        return {"latency": self._latency.to_json(), "links": links, "fifo": self.fifo}

    @classmethod
    def from_json(cls, value: Any) -> Network:
        """Read what `to_json` wrote.

        Raises:
            InvalidArgumentError: a field is unknown, missing, or outside what it may be.

        Example:
            >>> Network.from_json({"latency": 5, "fifo": True})
            Network(latency=Constant(value=5), fifo=True)
        """
        fields = as_members(value, "a network", known=("latency", "links", "fifo"))
        found: dict[str, Any] = {"fifo": fields.get("fifo", False)}
        if "latency" in fields:
            found["latency"] = distribution_from_json(fields["latency"], "latency")
        links = fields.get("links", [])
        if not isinstance(links, list):
            message = f"the links of a network are {links!r}; expected a list of objects"
            raise InvalidArgumentError(message)
        names = ("from", "to", "latency")
        read = [as_members(link, "a link", known=names, required=names) for link in links]
        pairs = [
            (
                (link["from"], link["to"]),
                distribution_from_json(link["latency"], "a link's latency"),
            )
            for link in read
        ]
        return cls(**found, links=tuple(pairs))

    def __repr__(self) -> str:
        links = f", links={self._links!r}" if self._links else ""
        fifo = ", fifo=True" if self.fifo else ""
        return f"Network(latency={self._latency!r}{links}{fifo})"


def _as_links(value: Any) -> dict[Link, Distribution]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, (list, tuple)):
        message = f'links is {value!r}; expected a mapping such as {{("till", "bank"): 5_000_000}}'
        raise InvalidArgumentError(message)
    links: dict[Link, Distribution] = {}
    for item in pairs:
        link = item[0] if isinstance(item, tuple) and len(item) == _PAIR else item
        named = isinstance(link, tuple) and len(link) == _PAIR
        if link is item or not named or not all(isinstance(name, str) and name for name in link):
            message = (
                f"a link is {link!r}; expected the pair (sender, receiver) of agents' names, and "
                "its latency"
            )
            raise InvalidArgumentError(message)
        if link in links:
            message = f"the link {link!r} is there twice; which latency is meant?"
            raise InvalidArgumentError(message)
        links[link] = as_distribution(item[1], f"the latency of the link {link!r}")
    return dict(sorted(links.items(), key=lambda found: found[0]))
