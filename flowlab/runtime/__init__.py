"""The durable host: runs workflows for real on a store, and takes them up after a crash."""

from __future__ import annotations

from flowlab.runtime.scheme import RecoveryScheme, Replay, Restored
from flowlab.runtime.standing import Standing

__all__ = ["RecoveryScheme", "Replay", "Restored", "Standing"]
