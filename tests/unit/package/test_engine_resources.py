"""Versions of the engine's libraries for Windows: one for each that is shipped, and nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package import engine_resources, engine_windows
from tools.package.engine_plan import COMMITS, PLANS, EnginePlan

BINDINGS = next(iter(COMMITS))
ON_WINDOWS = [PLANS["windows-x64"], PLANS["windows-arm64"], engine_windows.PLAN]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "LICENSE").write_text("MIT License\n\nCopyright (c) 2023-2026 The ggml authors\n\nPermission is\n")
    return tmp_path


@pytest.mark.parametrize("plan", ON_WINDOWS, ids=lambda plan: f"{plan.name}-{len(plan.variants)}")
def test_each_library_that_is_shipped_has_a_resource_of_its_own(plan: EnginePlan, source: Path) -> None:
    folder = source / "resources"
    options = engine_resources.configure_options(plan, BINDINGS, source, folder)
    assert options == [
        f"-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES={engine_resources.SCRIPT.as_posix()}",
        f"-DLOCALAI_RESOURCES={folder.as_posix()}"]
    shipped = {name for _compiled, name in plan.libraries} | set(plan.backends)
    assert {f"{path.stem}.dll" for path in folder.iterdir()} == shipped
    for path in folder.iterdir():
        content = path.read_bytes()
        for text in (f"{path.stem}.dll", "Copyright (c) 2023-2026 The ggml authors. MIT licence.", f"{BINDINGS}.1"):
            assert text.encode("utf-16-le") in content


def test_what_a_version_says_decides_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_resources.key_parts(engine_windows.PLAN, BINDINGS)
    monkeypatch.setattr(engine_resources, "MAKERS", "Others")
    assert engine_resources.key_parts(engine_windows.PLAN, BINDINGS) != before


def test_other_systems_have_no_such_thing(source: Path) -> None:
    for plan in (PLANS["linux-x64"], PLANS["macos-arm64"]):
        assert engine_resources.configure_options(plan, BINDINGS, source, source / "resources") == []
        assert engine_resources.key_parts(plan, BINDINGS) == ()
    assert not (source / "resources").exists()


def test_a_licence_that_names_nobody_ends_the_build(source: Path) -> None:
    (source / "LICENSE").write_text("none\n")
    with pytest.raises(StepError, match="names nobody"):
        engine_resources.configure_options(engine_windows.PLAN, BINDINGS, source, source / "resources")
