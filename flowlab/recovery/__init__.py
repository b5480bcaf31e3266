"""Recovery: the laws of when to checkpoint."""

from __future__ import annotations
