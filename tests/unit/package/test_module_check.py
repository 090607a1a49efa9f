"""The self-check's search for modules that are imported only when they are needed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.cli import module_check, resource_check
from localai_app.paths import resources_dir
from tools.package import trim

HAS_QT = importlib.util.find_spec("PySide6") is not None
CODE = """
from __future__ import annotations

def now():
    from json import loads, no_such_function

def later():
    class Inner:
        def deep(self):
            import winreg
            import no_such_package.part
            from xml import sax
"""

ASK = """
import functools, json
from localai_app.cli import module_check as check
check.imports_of = functools.cache(check.imports_of)
count, absent = check.absent_modules()
print(json.dumps([count, absent, sorted({module for name in check.own_modules() for module, _ in check.imports_of(name)})]))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "checked_package").mkdir()
    (tmp_path / "checked_package" / "__init__.py").write_text("")
    (tmp_path / "checked_package" / "part.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "checked_package"
    for name in [name for name in sys.modules if name.startswith("checked_package")]:
        del sys.modules[name]


def test_imports_are_found_however_deep_they_are(package: str) -> None:
    found = module_check.imports_of(f"{package}.part")
    assert {("winreg", ""), ("no_such_package.part", ""), ("xml", "sax"), ("json", "loads")} <= found


@pytest.mark.parametrize(("module", "attribute", "problem"), [
    ("no_such_package.part", "", "no_such_package.part cannot be imported: No module named 'no_such_package'"),
    ("msgspec", "no_such_name", "msgspec has no no_such_name"),
    ("msgspec", "Struct", ""),
    ("msgspec", "json", ""),
    ("winreg", "", ""),
    ("xml", "sax", ""),
    ("llama_cpp", "llama_cpp", ""),
])
def test_what_cannot_be_imported_is_told(module: str, attribute: str, problem: str) -> None:
    assert module_check.problem_with(module, attribute).startswith(problem)
    assert bool(module_check.problem_with(module, attribute)) is bool(problem)


@pytest.mark.skipif(not HAS_QT, reason="the window's modules need Qt")
def test_the_program_is_complete_and_uses_nothing_that_the_bundle_leaves_out() -> None:
    # In a process of its own: pytest loads modules whose names look like tests in a way that hides their code.
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    count, absent, used = json.loads(asked.stdout)
    assert absent == []
    assert count > 1000
    left_out = {module for module in used for part in trim.EXCLUDED_MODULES if f"{module}.".startswith(f"{part}.")}
    assert left_out == set()


def test_files_of_the_program_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line for line in resource_check.resource_problems() if HAS_QT or "icons" not in line] == []
    assert resource_check.connection_words() == "works"
    copy = shutil.copytree(resources_dir(), tmp_path / "resources")
    monkeypatch.setattr(resource_check, "resources_dir", lambda: copy)
    (copy / "catalog" / "gpus.json").write_text(json.dumps([])[:1])
    shutil.rmtree(copy / "style")
    problems = resource_check.resource_problems()
    assert "the folder style of the program's resources is empty" in problems
    assert any(line.startswith("the resource catalog/gpus.json cannot be read") for line in problems)
