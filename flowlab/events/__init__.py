"""What happened: events, logs of events, their keys, encodings and relations."""

from flowlab.events.asking import connect, run_query
from flowlab.events.codec import decode_payload, encode_json, encode_payload
from flowlab.events.event import (
    MAX_SCHEMA_VERSION,
    SCHEMA_VERSION,
    UNSTAMPED,
    Cause,
    Cell,
    Event,
    EventId,
    as_event,
)
from flowlab.events.keys import Key, decode_id, encode_id, event_key, parse_key
from flowlab.events.log import EventLog, register_accessor, to_frame
from flowlab.events.ranks import rank_strings, sorted_rows
from flowlab.events.relations import RELATION_NAMES, define_relations, run_info_table
from flowlab.events.run import RunInfo
from flowlab.events.schema import (
    ANOMALY_SCHEMA,
    CAUSE_TYPE,
    CELL_TYPE,
    EVENT_COLUMNS,
    EVENT_SCHEMA,
    MAX_CAUSES,
    MAX_ID_BYTES,
    MAX_PAYLOAD_BYTES,
    conform,
    events_from_table,
    table_from_events,
)
from flowlab.events.sink import LogSink, LogSource
from flowlab.events.upcasting import Upcast, Upcasts, upcast
from flowlab.events.vocabulary import (
    CATEGORIES,
    EVENT_CATEGORIES,
    TERMINAL_STATUS,
    WORLD_STREAM,
    CauseKind,
    category_of,
    is_history_stream,
)
from flowlab.events.wording import counted, grouped, told_absent

__all__ = [
    "ANOMALY_SCHEMA",
    "CATEGORIES",
    "CAUSE_TYPE",
    "CELL_TYPE",
    "EVENT_CATEGORIES",
    "EVENT_COLUMNS",
    "EVENT_SCHEMA",
    "MAX_CAUSES",
    "MAX_ID_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_SCHEMA_VERSION",
    "RELATION_NAMES",
    "SCHEMA_VERSION",
    "TERMINAL_STATUS",
    "UNSTAMPED",
    "WORLD_STREAM",
    "Cause",
    "CauseKind",
    "Cell",
    "Event",
    "EventId",
    "EventLog",
    "Key",
    "LogSink",
    "LogSource",
    "RunInfo",
    "Upcast",
    "Upcasts",
    "as_event",
    "category_of",
    "conform",
    "connect",
    "counted",
    "decode_id",
    "decode_payload",
    "define_relations",
    "encode_id",
    "encode_json",
    "encode_payload",
    "event_key",
    "events_from_table",
    "grouped",
    "is_history_stream",
    "parse_key",
    "rank_strings",
    "register_accessor",
    "run_info_table",
    "run_query",
    "sorted_rows",
    "table_from_events",
    "to_frame",
    "told_absent",
    "upcast",
]
