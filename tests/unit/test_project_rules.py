"""Rules of docs/contributing.md that no other tool checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("src", "tests", "tools", "scripts")
TEXT_FOLDERS = (*CODE_FOLDERS, "docs", "packaging", "requirements", ".ci")
TEXT_SUFFIXES = frozenset({".py", ".md", ".toml", ".txt", ".in", ".json", ".css", ".qss", ".sql", ".svg", ""})
RUNS_ON_OLD_PYTHON = (
    "dev.py", "tools/__init__.py", "tools/dev/__init__.py", "tools/dev/prerequisites.py", "tools/dev/stamp.py",
)
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_METHODS = 20

HOME_FOLDER = re.compile(r"(?<![\w.])/(?:home|Users|root)/[A-Za-z]")
PACKAGE_HOSTS = re.compile("|".join((r"py" r"pi\.org", r"python" r"hosted\.org", r"npm" r"js\.com", r"ana" r"conda\.org")))
OUTSIDE_FOLDERS = re.compile(r"\bsha" r"red/(?:facts|design|hooks)\b")


@cache
def python_files() -> tuple[Path, ...]:
    found = [path for folder in CODE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return (ROOT / "dev.py", *found)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Outline:
    """What a file defines. The trees themselves are a million nodes, which every full garbage collection would visit."""

    functions: tuple[tuple[int, str, int], ...]
    """Line, name and number of lines."""
    classes: tuple[tuple[int, str, int], ...]
    """Line, name and number of methods."""
    is_annotated: bool


@cache
def outline_of(path: Path) -> Outline:
    functions, classes, is_annotated = [], [], False
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append((node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body)
            classes.append((node.lineno, node.name, methods))
        is_annotated = is_annotated or isinstance(node, ast.FunctionDef | ast.AnnAssign)
    return Outline(tuple(functions), tuple(classes), is_annotated)


def text_files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT_SUFFIXES)
    for folder in TEXT_FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts:
                yield path


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_are_short() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short_and_classes_have_few_methods() -> None:
    too_large = []
    for path in python_files():
        outline = outline_of(path)
        too_large += [
            f"{shown(path)}:{line} {name}: {lines} lines" for line, name, lines in outline.functions
            if lines > MAX_FUNCTION_LINES]
        too_large += [
            f"{shown(path)}:{line} {name}: {methods} methods" for line, name, methods in outline.classes
            if methods > MAX_METHODS and not name.startswith("Test")]
    assert not too_large, "\n".join(too_large)


def test_no_module_is_a_heap_of_unrelated_things() -> None:
    heaps = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [shown(path) for path in python_files() if path.name in heaps] == []


def test_annotations_are_lazy_everywhere() -> None:
    without = []
    for path in python_files():
        if outline_of(path).is_annotated and "from __future__ import annotations" not in path.read_text(encoding="utf-8"):
            without.append(shown(path))
    assert not without, "\n".join(without)


@pytest.mark.parametrize("name", RUNS_ON_OLD_PYTHON)
def test_the_entry_parses_on_python_3_8(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name, feature_version=(3, 8))


def test_the_entry_imports_nothing_but_the_standard_library() -> None:
    import sys

    allowed = {*sys.stdlib_module_names, "tools"}
    foreign = []
    for path in [ROOT / "dev.py", *(ROOT / "tools" / "dev").glob("*.py")]:
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            foreign += [f"{shown(path)}: {name}" for name in names if name.split(".")[0] not in allowed]
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [("a home folder", HOME_FOLDER), ("a host of a package index", PACKAGE_HOSTS), ("a folder outside", OUTSIDE_FOLDERS)],
)
def test_no_file_names_what_only_one_computer_has(rule: str, pattern: re.Pattern[str]) -> None:
    found = []
    for path in text_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{shown(path)}: {match[0]}" for match in pattern.finditer(text)]
    assert not found, f"these files name {rule}:\n" + "\n".join(found)
