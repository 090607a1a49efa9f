"""When the application bundle is made anew: after a change of what it is made from, and of nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.package import bundle

ROOT = Path(__file__).resolve().parents[3]
COMPILES_THE_ENGINE = "engine"


def imported(path: Path) -> Iterator[str]:
    """Modules of tools.package that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "tools.package":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tools.package."):
            yield str(node.module).split(".")[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with everything that decides the bundle, and some of what does not."""
    for name in (*bundle.SOURCES, "tools/package/deb.py", "packaging/linux/AppRun"):
        target = tmp_path / name if (ROOT / name).is_file() else tmp_path / name / "part.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(name, encoding="utf-8")
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    return tmp_path


def test_every_module_that_makes_it_counts() -> None:
    waiting = [ROOT / "packaging" / "localai.spec", ROOT / "tools" / "package" / "bundle.py"]
    found = {"bundle"}
    while waiting:
        new = set(imported(waiting.pop())) - found - {COMPILES_THE_ENGINE}
        found |= new
        waiting += [ROOT / "tools" / "package" / f"{name}.py" for name in new]
    assert found == set(bundle.CODE)


def test_every_source_is_there() -> None:
    assert [name for name in bundle.SOURCES if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", bundle.SOURCES)
def test_a_change_of_what_it_is_made_from_makes_it_anew(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, name: str,
) -> None:
    engine = tmp_path_factory.mktemp("engine")
    before = bundle.key_of(engine)
    file = checkout / name if (checkout / name).is_file() else checkout / name / "part.txt"
    file.write_text("changed", encoding="utf-8")
    assert bundle.key_of(engine) != before


@pytest.mark.parametrize("name", ["tools/package/deb.py", "packaging/linux/AppRun", "packaging/windows/setup.nsi"])
def test_what_is_only_packed_around_it_leaves_it_alone(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, name: str,
) -> None:
    engine = tmp_path_factory.mktemp("engine")
    before = bundle.key_of(engine)
    file = checkout / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("changed", encoding="utf-8")
    assert bundle.key_of(engine) == before
    (engine / "libllama.so").write_bytes(b"compiled anew")
    assert bundle.key_of(engine) != before
