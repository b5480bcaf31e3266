"""What keeps a store small and trustworthy: sealing and verification."""

from __future__ import annotations

from collections.abc import Callable

from flowlab.store.parts import StoreParts
from flowlab.store.verify import Verifier, VerifyReport


class StoreMaintenance(StoreParts):
    """Maintenance of an open store."""

    def seal(self) -> bool:
        """Move the tail into sorted Parquet files; return whether there was anything to move."""
        self._check_writable()
        return self._writer.seal()

    def verify(self, *, progress: Callable[[str], None] | None = None) -> VerifyReport:
        """Check every file's checksums and every event's place; repair nothing."""
        return Verifier(self.path, progress=progress).run()
