"""What an import did: the files that were read, left out, or could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowlab.events import EventLog, counted


@dataclass(frozen=True, slots=True)
class Imported:
    """A file that was read."""

    file: str
    runs: tuple[str, ...]
    events: int
    anomalies: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, which is no error."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that could not be read.

    Args:
        file: its name.
        error: why.
        proposal: a mapping to edit, where the file has records of an unknown format.
    """

    file: str
    error: str
    proposal: str = ""


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    Args:
        imported, skipped, failed: the files.
        log: everything that was read, None where it went to a store.
    """

    imported: list[Imported] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    log: EventLog | None = None

    @property
    def events(self) -> int:
        """How many events were imported."""
        return sum(item.events for item in self.imported)

    @property
    def anomalies(self) -> int:
        """How much damage was recorded."""
        return sum(item.anomalies for item in self.imported)

    def __repr__(self) -> str:
        return (
            f"ImportReport({counted(len(self.imported), 'file')}, "
            f"{counted(self.events, 'event')}, "
            f"{len(self.skipped)} skipped, {len(self.failed)} failed)"
        )

    def __str__(self) -> str:
        runs = sum(len(item.runs) for item in self.imported)
        parts = ((runs, "run"), (self.events, "event"), (self.anomalies, "anomaly"))
        counts = ", ".join(counted(number, noun) for number, noun in parts)
        lines = [f"{counted(len(self.imported), 'file')} imported: {counts}"]
        lines += [
            f"damaged: {item.file}: {counted(item.anomalies, 'anomaly')} (SELECT * FROM anomalies)"
            for item in self.imported
            if item.anomalies
        ]
        lines += [f"skipped: {item.file}: {item.reason}" for item in self.skipped]
        lines += [f"failed: {item.file}: {item.error}" for item in self.failed]
        return "\n".join(lines)
