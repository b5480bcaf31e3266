"""Logs that must not leak: payloads replaced by their digest, or left out."""

from __future__ import annotations

import hashlib
from typing import Final

import pyarrow as pa

from flowlab.events import EVENT_SCHEMA, EventLog, encode_payload

PAYLOADS: Final = ("keep", "hash", "drop")


def hide_payloads(log: EventLog, payloads: str) -> EventLog:
    """Return the log with its payloads kept, hashed (SHA-256 of each) or dropped.

    Example:
        >>> log = EventLog.from_events([{"workflow_id": "w", "event_type": "A", "payload": 1}])
        >>> next(iter(hide_payloads(log, "drop"))).payload is None
        True
    """
    if payloads == "keep":
        return log
    hidden = [
        None
        if payloads == "drop" or value is None
        else encode_payload({"sha256": hashlib.sha256(value).hexdigest()})
        for value in log.table.column("payload").to_pylist()
    ]
    index = EVENT_SCHEMA.get_field_index("payload")
    table = log.table.set_column(index, EVENT_SCHEMA.field(index), pa.array(hidden, pa.binary()))
    return EventLog(table, log.runs, log.anomalies)
