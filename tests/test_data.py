"""The sample logs: made again equal to the byte, and each is what its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowlab.interop import export_log, import_log, load_mapping

DATA = Path(__file__).parent.parent / "data"
MAX_BYTES = 200_000
ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \| (?P<format>\w+)(?:, by `(?P<mapping>[^`]+)`)? "
    r"\| (?P<streams>\d+) \| (?P<events>\d+) \| (?P<lanes>\d+) \| (?P<calls>\d+) \|$",
    re.MULTILINE,
)
ROWS = [match.groupdict() for match in ROW.finditer((DATA / "README.md").read_text("utf-8"))]


def name_of(row: dict[str, str]) -> str:
    return row["file"]


def made(folder: Path) -> dict[str, bytes]:
    """Return the generated files of a folder: all but scripts and the README."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".md"}
    }


def test_the_command_writes_the_samples_again_equal_to_the_byte(tmp_path: Path) -> None:
    command = [sys.executable, str(DATA / "generate.py"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)

    assert made(tmp_path) == made(DATA)


def test_the_samples_are_small_and_each_is_in_the_readme() -> None:
    logs = {name for name in made(DATA) if not name.endswith(".toml")}

    assert {row["file"] for row in ROWS} == logs
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < MAX_BYTES


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_sample_imports_without_damage_and_with_the_counts_of_the_readme(
    row: dict[str, str],
) -> None:
    mapping = load_mapping(DATA / row["mapping"]) if row["mapping"] else None
    report = import_log(DATA / row["file"], mapping=mapping)
    log = report.log
    assert log is not None
    counts = log.sql(
        "SELECT count(DISTINCT workflow_id), count(*), count(DISTINCT agent_id), "
        "(SELECT count(*) FROM activities) FROM events"
    ).row(0)

    assert (report.failed, report.skipped, report.anomalies) == ([], [], 0)
    assert {run.scenario for run in log.runs} == {row["format"]}
    assert counts == tuple(int(row[name]) for name in ("streams", "events", "lanes", "calls"))


@pytest.mark.parametrize("row", [row for row in ROWS if not row["mapping"]], ids=name_of)
def test_a_sample_in_the_form_of_another_system_goes_out_as_it_came_in(
    row: dict[str, str], tmp_path: Path
) -> None:
    log = import_log(DATA / row["file"]).log
    assert log is not None
    (path,) = export_log(log, row["format"], tmp_path / "out")
    again = import_log(path).log
    assert again is not None

    assert again.digest == log.digest


# A notebook shows what an import did, and "1 files imported: 1 runs" stood there.
def test_a_report_counts_one_thing_as_one() -> None:
    report = import_log(DATA / "agents" / "heat-pumps.json")

    assert str(report) == "1 file imported: 1 run, 161 events, 0 anomalies"
    assert repr(report) == "ImportReport(1 file, 161 events, 0 skipped, 0 failed)"
