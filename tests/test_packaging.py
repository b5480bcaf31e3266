"""The pins agree, a wheel holds everything, and importing flowlab costs little."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import flowlab
from flowlab.simulation.batch import VERSION

PROJECT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13")
CONDA_NAMES = {"python-duckdb": "duckdb", "matplotlib-base": "matplotlib"}
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""

Bounds = dict[str, Version]


def lower_bounds(lines: list[str]) -> Bounds:
    """Return the lower bound of each requirement, which has one specifier and it is `>=`."""
    found = {}
    for requirement in map(Requirement, lines):
        (specifier,) = requirement.specifier
        assert specifier.operator == ">=", requirement
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def core() -> Bounds:
    return lower_bounds(PYPROJECT["dependencies"])


def extras() -> dict[str, Bounds]:
    return {n: lower_bounds(lines) for n, lines in PYPROJECT["optional-dependencies"].items()}


def pins(python: str) -> Bounds:
    """Return what constraints.txt pins on one Python."""
    found: Bounds = {}
    for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        assert requirement.url is None, f"{text}: an address, where a version is enough"
        environment = {"python_version": python, "python_full_version": f"{python}.0"}
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{text} pins nothing"
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is pinned twice"
        found[name] = Version(specifier.version)
    return found


def conda_bounds() -> Bounds:
    """Return the lower bounds in environment.yml, by their names on PyPI."""
    listed = yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in listed["dependencies"] if isinstance(line, str)]
    named = [line for line in lines if line != "pip" and Requirement(line).name != "python"]
    found = lower_bounds(named)
    return {CONDA_NAMES.get(name, name): bound for name, bound in found.items()}


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_at_or_above_its_lower_bound(python: str) -> None:
    pinned = pins(python)
    for bounds in (core(), *extras().values()):
        for name, bound in bounds.items():
            assert pinned[name] >= bound, name


def test_what_is_pinned_runs_on_the_first_release_of_its_python() -> None:
    # soupsieve 4.1 wants Python 3.11.5, so that nothing could be installed on a Debian's 3.11.2.
    python = "{}.{}".format(*sys.version_info)
    wanted = {}
    for name, pin in pins(python).items():
        try:
            told = metadata(name)
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        if Version(told["Version"]) == pin:
            wanted[name] = told.get("Requires-Python", "")

    assert wanted.keys() >= core().keys()
    first = f"{python}.0"
    assert {n: said for n, said in wanted.items() if not SpecifierSet(said).contains(first)} == {}


def test_a_requirement_has_the_same_lower_bound_wherever_it_stands() -> None:
    seen = core()
    for bounds in extras().values():
        for name, bound in bounds.items():
            assert seen.setdefault(name, bound) == bound, name


def test_the_conda_environment_is_the_core_and_the_lab_with_the_same_bounds() -> None:
    build = lower_bounds(
        tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"][
            "requires"
        ]
    )
    assert conda_bounds() == core() | extras()["lab"] | build


def test_the_classifiers_name_the_pythons_that_the_pins_are_for() -> None:
    named = {c.rpartition(" ")[2] for c in PYPROJECT["classifiers"] if ":: Python :: 3." in c}
    assert named == set(PYTHONS)
    assert PYPROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_a_run_keeps_the_version_that_the_package_has() -> None:
    assert PYPROJECT["version"] == flowlab.__version__
    assert f"flowlab {flowlab.__version__}" == VERSION


def test_what_runs_here_meets_the_lower_bounds() -> None:
    here = {name: Version(version(name)) for name in core()}
    assert {name: bound for name, bound in core().items() if here[name] < bound} == {}


def test_the_license_is_the_verbatim_apache_text() -> None:
    assert hashlib.sha256((PROJECT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without network."""
    folder = tmp_path_factory.mktemp("a wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    source = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "flowlab").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        info = {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert "flowlab/py.typed" in held
    assert held == source
    assert {"METADATA", "RECORD", "entry_points.txt", "LICENSE"} <= info


def test_the_wheel_installs_into_an_empty_environment_and_makes_a_log(
    wheel: Path, tmp_path: Path
) -> None:
    place = tmp_path / "an empty environment"
    venv.create(place, with_pip=False)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installer = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*installer, "--no-deps", "--no-index", str(wheel)], check=True)
    script = """
import sys
sys.path.append(sys.argv[1])  # the libraries; flowlab itself comes from the environment
import flowlab
assert "an empty environment" in flowlab.__file__, flowlab.__file__
log = flowlab.EventLog.from_events([flowlab.Event.of("Signaled", workflow_id="w", sequence=1)])
print(log, flowlab.FlowlabError.__name__)
"""
    done = subprocess.run(
        [str(python), "-I", "-c", script, sysconfig.get_path("purelib")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "EventLog(1 event, 1 workflow, 1 run) FlowlabError\n"


def test_importing_flowlab_imports_none_of_its_heavy_libraries() -> None:
    heavy = "duckdb pyarrow polars numpy matplotlib IPython ipywidgets networkx msgspec".split()
    script = f"import sys, flowlab; dir(flowlab); print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=PROJECT
    )
    assert done.stdout == "[]\n"
