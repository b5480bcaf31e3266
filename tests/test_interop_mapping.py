"""A mapping says what it does not find, and a proposed one what it wants to know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowlab.cli import main
from flowlab.interop import Mapping, import_log, propose_mapping


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    table = write(tmp_path / "x.csv", "id,who,secret\n1,ann,s\n")
    lines = write(tmp_path / "x.jsonl", '{"id": 1, "who": "ann"}\n')

    (failed,) = import_log(table, mapping=Mapping(id="id", lane="whom")).failed
    assert failed.error.startswith("the header has no 'whom'")
    assert "'who'" in failed.error
    (failed,) = import_log(table, mapping=Mapping(lane="whom"), payloads="drop").failed
    assert "secret" not in failed.error
    log = import_log(lines, mapping=Mapping(id="id", lane="whom", parent="up")).log
    assert log is not None
    rows = log.sql("SELECT kind, detail FROM anomalies").rows()
    assert rows == [("field", "no record has a field 'whom', which the mapping names as lane")]


def test_a_proposed_mapping_says_what_each_field_is(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "key,robot\n1,ann\n")
    lines = propose_mapping(path).splitlines()[1:]
    assert lines[2] == '# lane = ""  # who did it'
    assert all(re.fullmatch(r'(# )?\w+ = ".*"  # .+', line) for line in lines)


@pytest.mark.parametrize("verb", ["report", "demo", "import"])
def test_every_verb_that_reads_files_names_those_it_left_out(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "in"
    place.mkdir()
    write(place / "a.log", 'a {"a": 1}\nstart\n')
    write(place / "rows.csv", "key,robot\n1,ann\n")
    out = {"report": ["-o", "r.html"], "demo": ["-o", "d"], "import": ["--store", "s"]}[verb]

    assert main([verb, str(place), out[0], str(tmp_path / out[1])]) == 0
    assert "skipped: rows.csv: " in capsys.readouterr().err
