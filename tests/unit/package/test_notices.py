"""The notices: everything is traced to whose it is, and what is nobody's ends the build."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package.component import Component, of_distribution
from tools.package.notices import INDEX_NAME, TEXT_NAME, Bundled, unlisted_files, works_without_text, write_notices
from tools.package.origins import ROOT, Origins, OtherPython


def bundle(folder: Path, files: dict[str, Path]) -> Bundled:
    """A folder with these files, copied from those places, and an engine."""
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(source.read_bytes())
    engine = folder / "engine" / "lcpp-1"
    engine.mkdir(parents=True)
    (engine / "libllama.so").write_bytes(b"library")
    (engine / "LICENSE-llama.cpp").write_text("MIT License\n\nCopyright (c) the authors of ggml\n")
    (folder / "in").mkdir(exist_ok=True)
    return Bundled(files, {"os": Path(os.__file__), "msgspec": module_file("msgspec")})


def module_file(name: str) -> Path:
    return Path(str(importlib.metadata.distribution(name).locate_file(f"{name}/__init__.py")))


def test_each_file_is_listed_with_its_work_and_each_work_has_its_terms(tmp_path: Path) -> None:
    files = {"in/markdown_it/__init__.py": Path(str(importlib.metadata.distribution("markdown-it-py").locate_file(
        "markdown_it/__init__.py"))), "in/entry.py": ROOT / "packaging" / "entry.py"}
    write_notices(tmp_path, bundle(tmp_path, files), "engine/lcpp-1", tmp_path / "in")
    text = (tmp_path / TEXT_NAME).read_text()
    assert unlisted_files(tmp_path, tmp_path / "in") == []
    assert works_without_text(tmp_path, tmp_path / "in") == []
    assert text.index("\nMIT License\n") < text.index("Copyright (c) the authors of ggml")
    assert f"Python {sys.version.split()[0]}" in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in text
    assert f"markdown-it-py {importlib.metadata.version('markdown-it-py')}" in text


def test_a_file_that_came_from_nowhere_ends_the_build(tmp_path: Path) -> None:
    strange = tmp_path / "strange.so"
    strange.write_bytes(b"?")
    (tmp_path / "bundle").mkdir()
    bundled = bundle(tmp_path / "bundle", {"in/strange.so": strange})
    with pytest.raises(StepError, match=r"belong to nothing known: in/strange\.so"):
        write_notices(tmp_path / "bundle", bundled, "engine/lcpp-1", tmp_path / "bundle" / "in")


def test_an_engine_without_its_licence_ends_the_build(tmp_path: Path) -> None:
    bundled = bundle(tmp_path, {})
    (tmp_path / "engine" / "lcpp-1" / "LICENSE-llama.cpp").unlink()
    with pytest.raises(StepError, match=r"No licence text was found for llama\.cpp"):
        write_notices(tmp_path, bundled, "engine/lcpp-1", tmp_path / "in")


def test_what_was_added_later_and_what_has_no_terms_is_found(tmp_path: Path) -> None:
    write_notices(tmp_path, bundle(tmp_path, {}), "engine/lcpp-1", tmp_path / "in")
    (tmp_path / "in" / "added.so").write_bytes(b"added")
    text = (tmp_path / TEXT_NAME).read_text()
    start = text.index("\nMIT License\n\nCopyright (c) the authors of ggml")
    end = text.index("=====", start)
    (tmp_path / TEXT_NAME).write_text(text[:start] + "\n" + text[end:])
    assert unlisted_files(tmp_path, tmp_path / "in") == ["in/added.so"]
    assert works_without_text(tmp_path, tmp_path / "in") == ["llama.cpp lcpp-1 (MIT)"]


def test_what_is_linked_into_the_engine_and_another_python_have_their_terms(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.mkdir()
    (python / "LICENSE.txt").write_text("The terms of another Python.\n")
    (python / "python3.dll").write_bytes(b"library")
    made = tmp_path / "made"
    made.mkdir()
    bundled = bundle(made, {"in/python3.dll": python / "python3.dll"})
    (made / "engine" / "lcpp-1" / "llama.dll").write_bytes(b"library")
    runtime = Component("Runtime", "1", "ZPL-2.1", ("The terms of the runtime.",))
    files = Bundled(bundled.files, {})
    write_notices(
        made, files, "engine/lcpp-1", made / "in", origins=Origins([], OtherPython("3.9.1", python)), linked=[runtime])
    text = (made / TEXT_NAME).read_text()
    assert "Python 3.9.1 (Python-2.0.1)" in text
    assert "The terms of another Python." in text
    assert "The terms of the runtime." in text
    index = {work["name"]: work["contains"] for work in json.loads((made / "in" / INDEX_NAME).read_text())}
    assert index["Runtime"] == ["engine/lcpp-1/llama.dll"]
    strange = Bundled({"in/os.py": Path(os.__file__)}, {})
    with pytest.raises(StepError, match=r"belong to nothing known: in/os\.py"):
        write_notices(made, strange, "engine/lcpp-1", made / "in", origins=Origins([], OtherPython("3.9.1", python)))


def test_microsofts_libraries_are_not_of_those_who_bring_them() -> None:
    for name in ("msvcp140.dll", "VCRUNTIME140_1.dll", "msvcp140-a4c2229bdc2a2a630acdc095b4d86008.dll"):
        component = Origins([]).component_of(ROOT / name)
        assert component is not None
        assert component.name == "Microsoft Visual C++ runtime"


def test_a_distribution_tells_what_is_compiled_in() -> None:
    component = of_distribution(importlib.metadata.distribution("rpds-py"))
    assert component.licence == "MIT"
    assert any("Copyright" in text for text in component.texts)
    assert any(line.startswith("archery ") and line.endswith("(MIT)") for line in component.contains)


def test_a_licence_in_the_code_is_found_and_the_exception_of_the_bootloader_named() -> None:
    nvml = Origins().component_of(Path(str(importlib.metadata.distribution("nvidia-ml-py").locate_file("pynvml.py"))))
    assert nvml is not None
    assert "NVIDIA Corporation" in nvml.texts[0]


@pytest.mark.skipif(not Path("/usr/bin/dpkg-query").exists(), reason="asks Debian's list of packages")
def test_a_library_of_the_system_belongs_to_its_package() -> None:
    component = Origins().component_of(Path("/usr/bin/dpkg-query"))
    assert component is not None
    assert component.name == "dpkg of Debian or Ubuntu"
    assert component.texts
