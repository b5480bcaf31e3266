"""How an open store clusters its log by agent and by coordination."""

from __future__ import annotations

from collections.abc import Callable

from flowlab.store.cluster_build import Build
from flowlab.store.clustering import ClusterResult, kinds_of
from flowlab.store.reading import StoreReading
from flowlab.store.segment_reader import SegmentReader


class StoreClusterings(StoreReading):
    """Clusterings of an open store."""

    def cluster(
        self,
        kind: str | None = None,
        *,
        rebuild: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> tuple[ClusterResult, ...]:
        """Bring the clusterings up to the sealed part, so that such reads touch what they return.

        `agents` holds every event again, by agent and time; `coordination` says where the events
        of each coordination are. Appends go on meanwhile: nothing is locked but the clustering
        itself. Only events sealed since the last time are read, in pieces of bounded size; small
        files are merged as they grow many. Reads never depend on it: what it does not hold, they
        take from `workflows` and the tail.

        Args:
            kind: `agents`, `coordination`, or None for both.
            rebuild: begin anew, as after damage.
            progress: is told how far it is.

        Raises:
            InvalidArgumentError: there is no such kind, or the store is open for reading only.
            LockedError: another build of that clustering is at work.
            CorruptionError: the clustering, or a sealed file, is damaged.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import EventStore
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     _ = store.append("trip-1", {"event_type": "Signaled", "agent_id": "ann"})
            ...     sealed = store.seal()
            ...     store.cluster("agents")
            (ClusterResult('agents', 1 event taken in, up to position 1, 1 file),)
        """
        self._check_writable()
        kinds = kinds_of(kind)
        say = progress or (lambda _: None)
        reader = SegmentReader(self.path / "workflows")
        try:
            results = []
            for each in kinds:
                table = self._files.clusterings.tables[each.name]
                # While the snapshot lives, vacuum spares the files that are read.
                now = self.snapshot()
                build = Build(table, now.state, now.bases, reader, self.disk, say)
                results.append(build.run(rebuild=rebuild))
        finally:
            reader.close()
        return tuple(results)
