"""The lock files pin everything, with hashes, for every system, and from no particular place."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = (
    "lock.txt", "test.txt", "build.txt", "engine-build.txt", "engine-windows.txt", "engine.txt", "package.txt",
    "windows.txt", "models.txt")
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[\w.!+]+)(?: ; (?P<marker>[^\\]+?))? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
NAME = re.compile(r"^[A-Za-z0-9._-]+")


def normalised(requirement: str) -> str:
    name = NAME.match(requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def pins(lock: str) -> dict[str, list[str]]:
    """Name of each distribution to its pinned versions (several where systems or Python versions differ)."""
    found: dict[str, list[str]] = {}
    for line in (REQUIREMENTS / lock).read_text(encoding="utf-8").splitlines():
        if pin := PIN.match(line):
            found.setdefault(pin["name"], []).append(pin["version"])
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, list[str]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build: list[str] = document["build-system"]["requires"]
    return {
        "lock.txt": document["project"]["dependencies"],
        "test.txt": document["project"]["dependencies"] + document["project"]["optional-dependencies"]["test"],
        "build.txt": build,
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_or_one_of_its_hashes(lock: str) -> None:
    lines = (REQUIREMENTS / lock).read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if not PIN.match(line) and not HASH.match(line)] == []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if PIN.match(line):
            assert HASH.match(after), f"{line} has no hash"


@pytest.mark.parametrize("lock", ["lock.txt", "test.txt", "build.txt"])
def test_every_dependency_of_the_project_is_pinned(lock: str, project: dict[str, list[str]]) -> None:
    pinned = pins(lock) | pins("engine.txt")
    assert [name for name in map(normalised, project[lock]) if name not in pinned] == []


def test_the_pinned_versions_are_the_ones_that_the_project_allows(project: dict[str, list[str]]) -> None:
    from packaging.requirements import Requirement

    pinned = pins("test.txt") | pins("engine.txt") | pins("build.txt")
    for text in project["test.txt"] + project["build.txt"]:
        requirement = Requirement(text)
        allowed = list(requirement.specifier.filter(pinned[normalised(text)]))
        # Where systems differ, each line is about one of the pins.
        assert allowed if requirement.marker else allowed == pinned[normalised(text)], f"{text} does not allow what is pinned"


def test_tests_run_with_the_versions_of_the_program() -> None:
    program, tests = pins("lock.txt"), pins("test.txt")
    assert {name: tests.get(name) for name in program} == program


def test_the_engine_is_one_source_archive() -> None:
    lines = (REQUIREMENTS / "engine.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "llama-cpp-python==0.3.36 \\"
    assert len(lines) == 2


@pytest.mark.parametrize("name", ["pyside6-essentials", "shiboken6"])
def test_the_hashes_cover_all_three_systems(name: str) -> None:
    lines = (REQUIREMENTS / "lock.txt").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    hashes = list(itertools.takewhile(HASH.match, lines[start + 1:]))
    assert len(hashes) >= 5  # Linux on x86-64 and ARM, macOS, Windows on x86-64 and ARM
