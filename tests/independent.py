"""A reader of stores and a pair of digests, written from docs/format.md alone: nothing of flowlab.

Whatever it refuses, it refuses with `DamagedError`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pyarrow.parquet as pq

Row = dict[str, Any]

COLUMNS = (
    "namespace run_id workflow_id sequence position generation agent_id agent_sequence event_type "
    "name time_ns follows_lane causes cause_kinds reads writes coordination_id step_id payload "
    "schema_version"
).split()
TAKE_COMMIT_TIME = -(2**63)


class DamagedError(Exception):
    """A file is not what was written."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise DamagedError(what)


def own_crc_holds(data: bytes) -> bool:
    found = re.search(rb'"crc32": ?"([0-9a-f]{8})"', data)
    if found is None:
        return False
    blank = data[: found.start(1)] + b"00000000" + data[found.end(1) :]
    return zlib.crc32(blank) == int(found.group(1), 16)


# -- the store -----------------------------------------------------------------------------------


class Content:
    """Everything that a store holds."""

    def __init__(self, root: Path, *, boot: int = 0) -> None:
        self.events: list[Row] = []
        self.runs: dict[tuple[str, str], Row] = {}
        self.anomalies: list[Row] = []
        self.keys: dict[tuple[str, ...], tuple[int, ...]] = {}
        self.commits: list[tuple[int, int, int]] = []
        self.bases: dict[tuple[str, ...], int] = {}
        self.truncations = 0
        manifest = (root / "flowlab.json").read_bytes()
        expect(own_crc_holds(manifest), "flowlab.json")
        self.manifest = json.loads(manifest)
        expect(self.manifest["format"] in {1, 2}, "a newer format")
        self.files: dict[str, Row] = {}
        told = self._commit_log(root)
        for path, add in self.files.items():
            self._sealed(root / "workflows" / path, add)
        self.events = [
            row
            for row in self.events
            if row["sequence"] > self.bases.get(tuple(row[name] for name in COLUMNS[:3]), 0)
        ]
        self.gone = sum(self.bases.values())
        expect(len(self.events) + self.gone == told["sealed_position"], "sealed position")
        expect(told.get("truncations", 0) == self.truncations, "truncations")
        self._tail(root / "tail", told["tail"], boot)
        self.events.sort(key=lambda row: row["position"])
        positions = [row["position"] for row in self.events]
        expect(len(set(positions)) == len(positions), "positions")
        expect(not positions or positions[-1] <= len(positions) + self.gone, "positions")
        if not self.gone:
            expect(positions == list(range(1, len(positions) + 1)), "positions")

    def _commit_log(self, root: Path) -> Row:
        folder, version, told = root / "workflows" / "_delta_log", 0, {}
        while (path := folder / f"{version:020d}.json").exists():
            data = path.read_bytes()
            expect(own_crc_holds(data), path.name)
            for line in data.decode("ascii").splitlines():
                action = json.loads(line)
                if "add" in action:
                    self.files[unquote(action["add"]["path"])] = action["add"]
                elif "remove" in action:
                    del self.files[unquote(action["remove"]["path"])]
                elif "commitInfo" in action:
                    told = action["commitInfo"]["flowlab"]
                elif "protocol" in action:
                    expect(action["protocol"]["minReaderVersion"] == 1, "protocol")
            if told["sidecar"]:
                self._sidecar(root / told["sidecar"], told["sidecar_sha256"])
            version += 1
        expect(version, "no commit")
        return told

    def _sidecar(self, path: Path, sha256: str) -> None:
        data = path.read_bytes()
        expect(hashlib.sha256(data).hexdigest() == sha256, path.name)
        content = json.loads(gzip.decompress(data))
        expect(content["format"] == 1, path.name)
        for _, run in content["runs"]:
            self.runs[run["namespace"], run["run_id"]] = run
        self.anomalies += content["anomalies"]
        for stream, key, fingerprint, *places in content["keys"]:
            self.keys[*stream, key] = (fingerprint, *places)
        for stream, base, *_ in content.get("bases", []):
            self.bases[tuple(stream)] = base
            self.truncations += 1
        before = (0, 0, 0)
        for row in content["commits"]:
            before = tuple(a + b for a, b in zip(before, row, strict=True))  # type: ignore[assignment]
            self.commits.append(before)

    def _sealed(self, path: Path, add: Row) -> None:
        data = path.read_bytes()
        expect(len(data) == add["size"], f"{path.name}: size")
        tags = add["tags"]
        expect(zlib.crc32(data) == int(tags["flowlab.file_crc32"], 16), path.name)
        footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
        expect(zlib.crc32(footer) == int(tags["flowlab.footer_crc32"], 16), f"{path.name}: footer")
        # As a file object, so that no partition is read out of the path.
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            rows = file.read().to_pylist()
            _check_constants(file, add["path"])
        expect(len(rows) == json.loads(add["stats"])["numRecords"], f"{path.name}: rows")
        for row in rows:
            row.setdefault("namespace", add["partitionValues"].get("namespace"))
            values = partition_of(row, self.manifest["layout"])
            expect(values == add["partitionValues"], f"{path.name}: partition")
        order = [tuple(row[name] for name in COLUMNS[:4]) for row in rows]
        expect(order == sorted(order), f"{path.name}: order")
        self.events += rows

    def _tail(self, folder: Path, number: int, boot: int) -> None:
        data = (folder / f"{number:08d}.log").read_bytes()
        magic, version, own, salt, _, crc = struct.unpack_from("<8sIIQqI", data)
        whole = magic == b"FLTAIL01" and crc == zlib.crc32(data[:32]) and own == number
        expect(whole and version == 1, "tail header")
        mark = (folder / "watermark").read_bytes()
        end = None
        magic, marked_boot, file, offset, position, crc = struct.unpack_from("<8sIIQqI", mark)
        if magic == b"FLMARK01" and crc == zlib.crc32(mark[:32]) and boot == marked_boot != 0:
            end = offset if file == number else None
        place = 40
        while place < (len(data) if end is None else end):
            frame = frame_at(data, place, salt)
            if frame is None:
                expect(end is None, "a committed frame")
                later = range(place + 8, len(data), 8)
                found = (at for at in later if frame_at(data, at, salt))
                expect(next(found, None) is None, "a frame after a bad one")
                break
            body, place = frame
            self._commit(msgspec.msgpack.decode(body))
        if end is not None:
            expect(position == len(self.events) + self.gone, "the watermark's position")

    def _commit(self, commit: list[Any]) -> None:
        epoch, committed_ns, transactions = commit
        for transaction in transactions:
            *stream, sequence, position, ticks, events, key, fingerprint, runs = transaction
            for index, given in enumerate(events):
                row = event_row(given)
                row |= dict(zip(COLUMNS[:3], stream, strict=True))
                row |= {"sequence": sequence + index, "position": position + index}
                row["agent_sequence"] = ticks[index]
                row["agent_id"] = row["agent_id"] or row["workflow_id"]
                if row["time_ns"] == TAKE_COMMIT_TIME:
                    row["time_ns"] = committed_ns
                self.events.append(row)
            for run in runs:
                self.runs[run["namespace"], run["run_id"]] = run
            if key is not None:
                last = len(ticks) - 1
                places = (sequence, sequence + last, position, position + last)
                self.keys[*stream, key] = (fingerprint.hex(), *places)
        self.commits.append((len(self.events) + self.gone, committed_ns, epoch))


def partition_of(row: Row, layout: Row) -> dict[str, str]:
    """Return the values of the partition columns of an event."""
    found = {}
    if layout["kind"] == "levels":
        levels = layout["levels"]
    else:
        levels = ["namespace", f"bucket:{layout['buckets']}"]
    for level in levels:
        kind, _, count = level.partition(":")
        if count:
            name = row["workflow_id" if kind == "bucket" else "agent_id"]
            bucket = zlib.crc32(f"{row['run_id']}\0{name}".encode()) % int(count)
            found[kind] = str(bucket)
        elif kind in {"day", "hour"}:
            seconds = timedelta(seconds=row["time_ns"] // 10**9)
            text = (datetime(1970, 1, 1, tzinfo=UTC) + seconds).isoformat()
            found[kind] = text[:10] if kind == "day" else text[:13]
        elif kind == "namespace":
            found[kind] = row[kind]
        else:
            found[f"{kind}_partition"] = row[f"{kind}_id"]
    return found


def _check_constants(file: pq.ParquetFile, where: str) -> None:
    """Check what the footer says of columns that hold one value in a row group."""
    groups = json.loads(file.metadata.metadata[b"flowlab.constants"])
    expect(len(groups) == file.num_row_groups, f"{where}: constants")
    for index, constants in enumerate(groups):
        held = file.read_row_group(index).to_pylist()
        for name, value in constants.items():
            expect(all(row[name] == value for row in held), f"{where}: {name} in {index}")


def event_row(given: list[Any]) -> Row:
    names = [name for name in COLUMNS if name != "cause_kinds"]
    row = dict(zip(names, given, strict=True))
    row["cause_kinds"] = [kind for _, _, kind in row["causes"]]
    row["causes"] = [{"workflow_id": flow, "sequence": n} for flow, n, _ in row["causes"]]
    for name in ("reads", "writes"):
        if row[name] is not None:
            row[name] = [{"owner": owner, "key": key} for owner, key in row[name]]
    return row


def frame_at(data: bytes, place: int, salt: int) -> tuple[bytes, int] | None:
    """Return the body and where the next frame begins, None where no whole frame stands."""
    if place + 32 > len(data):
        return None
    magic, length, number, position, crc = struct.unpack_from("<4sIQqI", data, place)
    if magic != b"FLFR":
        return None
    body = data[place + 32 : place + 32 + length]
    covered = struct.pack("<QQqI", salt, number, position, length) + body
    if len(body) < length or zlib.crc32(covered) != crc:
        return None
    return body, place + 32 + length + -length % 8


# -- canonical JSON --------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    if isinstance(value, dict):
        members = [f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(_escaped(sign) for sign in value) + '"'
    if isinstance(value, float):
        return _float(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _escaped(sign: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f"}
    short["\r"] = "\\r"
    if sign in short:
        return short[sign]
    return f"\\u{ord(sign):04x}" if sign < " " or "\ud800" <= sign <= "\udfff" else sign


def _float(value: float) -> str:
    """Write the shortest digits, which Python's own repr finds, as the format does."""
    number = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?", repr(value))
    assert number is not None
    sign, whole, part, exponent = number.groups()
    digits = (whole + (part or "")).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + (part or "")) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0.0"
    if 1e-5 <= abs(value) < 1e16:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1}"


# -- digests ---------------------------------------------------------------------------------------

DIGEST = (
    "workflow_id sequence generation agent_id agent_sequence event_type name time_ns follows_lane "
    "causes cause_kinds reads writes coordination_id step_id payload schema_version"
).split()
HISTORY = (
    "workflow_id sequence generation event_type name causes cause_kinds coordination_id step_id "
    "payload"
).split()


def digest(rows: list[Row]) -> str:
    return _over_runs(rows, DIGEST)


def history_digest(rows: list[Row]) -> str:
    kept = []
    for row in rows:
        if row["workflow_id"].startswith("@"):
            continue
        pairs = zip(row["causes"], row["cause_kinds"], strict=True)
        inside = [pair for pair in pairs if not pair[0]["workflow_id"].startswith("@")]
        causes, kinds = [cause for cause, _ in inside], [kind for _, kind in inside]
        kept.append({**row, "causes": causes, "cause_kinds": kinds})
    return _over_runs(kept, HISTORY)


def _over_runs(rows: list[Row], columns: list[str]) -> str:
    runs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        runs.setdefault((row["namespace"], row["run_id"]), []).append(row)
    found = sorted(_run_digest(part, columns) for part in runs.values() or [[]])
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _run_digest(rows: list[Row], columns: list[str]) -> str:
    rows = sorted(rows, key=lambda row: (row["workflow_id"], row["sequence"]))
    data = b"flowlab-1\0" + struct.pack("<Q", len(rows))
    for name in columns:
        data += name.encode() + b"\0" + _column(name, [row[name] for row in rows])
    return hashlib.sha256(data).hexdigest()


def _column(name: str, values: list[Any]) -> bytes:
    if name in {"causes", "cause_kinds", "reads", "writes"}:
        elements = [element for value in values for element in value or []]
        members = {
            "causes": ("workflow_id", "sequence"),
            "reads": ("owner", "key"),
            "writes": ("owner", "key"),
        }
        if name not in members:
            return _lengths(values) + _numbers(elements)
        parts = [_column(part, [item[part] for item in elements]) for part in members[name]]
        return _lengths(values) + b"".join(parts)
    if name == "follows_lane":
        return bytes(values)
    if name in {"sequence", "generation", "agent_sequence", "time_ns", "schema_version"}:
        return _numbers(values)
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    return _lengths(texts) + b"".join(text for text in texts if text is not None)


def _lengths(values: list[Any]) -> bytes:
    return _numbers([-1 if value is None else len(value) for value in values])


def _numbers(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)
