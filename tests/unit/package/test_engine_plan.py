"""What the engine of an installer is made of: plans for each platform, and patches that fit exactly or not at all."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.variants import NEEDS
from tools.dev.console import StepError
from tools.dev.engine import engine_requirement
from tools.package import engine_windows
from tools.package.engine_layout import unshipped_backends
from tools.package.engine_plan import COMMITS, PLANS, EnginePlan, engine_id, prefix_flags
from tools.package.engine_source import apply_patch, patches

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "-d\n", "+e\n", " f\n", "@@ g\n"]), max_size=30)
EVERY_PLAN = [*PLANS.values(), engine_windows.PLAN]


@pytest.mark.parametrize("plan", EVERY_PLAN, ids=lambda plan: plan.name)
def test_nothing_is_left_to_the_computer_that_compiles(plan: EnginePlan) -> None:
    names = [flag.partition("=")[0] for flag in plan.cmake_flags]
    assert len(names) == len(set(names))
    assert {"-DGGML_NATIVE=OFF", "-DGGML_OPENMP=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CCACHE=OFF"} <= set(plan.cmake_flags)


@pytest.mark.parametrize("plan", EVERY_PLAN, ids=lambda plan: plan.name)
def test_the_program_knows_every_variant(plan: EnginePlan) -> None:
    assert set(plan.variants) - {""} <= set(NEEDS)
    assert len(set(plan.backends)) == len(plan.backends)
    assert not set(unshipped_backends(plan)) & set(plan.backends)


def test_the_commit_of_the_pinned_version_is_written_down() -> None:
    bindings = engine_requirement().split("==")[1]
    assert engine_id(bindings).startswith(f"lcpp-{COMMITS[bindings]}-")


def test_folders_with_blanks_stay_one_option_each() -> None:
    source, build = Path("/my code/source"), Path("/my code/build")
    assert prefix_flags(source, build).split('"')[1::2] == [
        f"-ffile-prefix-map={build}=build", f"-ffile-prefix-map={source}=llama.cpp"]


@given(LINES, LINES)
def test_a_patch_makes_the_new_file_of_the_old(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str],
) -> None:
    folder = tmp_path_factory.getbasetemp() / "patched"
    folder.mkdir(exist_ok=True)
    target = folder / "file.c"
    # The reader of patches is for changes of files that stay: neither is empty.
    old, new = ["first\n", *old, "last\n"], ["first\n", *new, "last\n"]
    target.write_text("".join(old), encoding="utf-8")
    patch = folder / "change.patch"
    patch.write_text("Why it is done.\n\n" + "".join(difflib.unified_diff(old, new, "a/file.c", "b/file.c")), encoding="utf-8")
    apply_patch(patch, folder)
    assert target.read_text(encoding="utf-8") == "".join(new)


def test_a_patch_for_other_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.c").write_text("one\ntwo\n", encoding="utf-8")
    patch = tmp_path / "change.patch"
    patch.write_text("--- a/file.c\n+++ b/file.c\n@@ -1,2 +1,2 @@\n one\n-three\n+four\n", encoding="utf-8")
    with pytest.raises(StepError, match=r"change\.patch does not fit file\.c .* at line 1"):
        apply_patch(patch, tmp_path)
    assert (tmp_path / "file.c").read_text(encoding="utf-8") == "one\ntwo\n"


def test_every_patch_says_why() -> None:
    for path in patches():
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.endswith(".")
        assert not first.startswith(("---", "diff"))
