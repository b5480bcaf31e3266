"""What is counted and drawn from one savepoint to the next: it begins anew at each."""

from __future__ import annotations

from flowlab.workflow.chance import Random, stream


class Section:
    """A stretch of a workflow's generation: from its start or a savepoint to the next one.

    Args:
        workflow_id: the workflow.
        seed: of its streams of chance.

    Attributes:
        name: the generation, and the place of the savepoint where the stretch begins with one.
        patches: what was decided about each change to the code.
    """

    __slots__ = ("_children", "_sagas", "_seed", "_streams", "name", "patches", "workflow_id")

    def __init__(self, workflow_id: str, seed: object) -> None:
        self.workflow_id = workflow_id
        self._seed = seed
        self.begin("0")

    def begin(self, name: str) -> None:
        """Begin anew under another name."""
        self.name = name
        self.patches: dict[str, bool] = {}
        self._streams: dict[str, Random] = {}
        self._children = 0
        self._sagas = 0

    def next_child(self) -> str:
        """Return the id of the next child workflow."""
        self._children += 1
        return f"{self.workflow_id}/{self.name}.{self._children}"

    def next_saga(self) -> str:
        """Return the id of the next saga."""
        self._sagas += 1
        return f"{self.workflow_id}#{self.name}.{self._sagas}"

    def chance(self, name: str) -> Random:
        """Return a named stream of chance; the same name goes on where it was."""
        if name not in self._streams:
            self._streams[name] = stream(self._seed, self.workflow_id, self.name, name)
        return self._streams[name]
