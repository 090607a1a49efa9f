"""The smoke-test runner with artefacts that are broken in the ways artefacts break; real ones are in tests/packaging."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package import opened, smoke
from tools.package.smoke_report import REPORT_SUFFIX, why_untested

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs made here are shell scripts")

REPORT = {"ok": True, "protocol": "works", "engine": "works", "frame": "works", "decoded": {"tokens": 40}}


def saying(**changes: object) -> str:
    """A script that prints a good report, with changes."""
    return f"printf '%s' '{json.dumps(REPORT | changes)}'"


GOOD = saying()
ROOT = Path(smoke.__file__).parents[2]


def folder_with(tmp_path: Path, script: str) -> Path:
    """An application folder whose program is a shell script."""
    folder = tmp_path / smoke.BUNDLE
    folder.mkdir()
    program = folder / smoke.PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


def tar_of(folder: Path) -> Path:
    path = folder.parent / "localai-app-1.0-linux-x64.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.add(folder, folder.name)
    return path


def test_a_folder_and_a_tar_with_a_sound_program_pass(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, GOOD)
    tar = tar_of(folder)
    assert smoke.check(folder).problem == ""
    assert why_untested(folder) == ""
    assert smoke.check(tar).problem == ""
    kept = json.loads((tmp_path / (tar.name + REPORT_SUFFIX)).read_text())
    assert kept["ok"] is True
    assert kept["report"] == REPORT
    assert why_untested(tar) == ""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "No report came, and the exit status was 3."),
        ("echo 'Segmentation fault' >&2; kill -SEGV $$", "exit status was -11. Segmentation fault"),
        ("echo hello", "No report came"),
        ("echo '[1]'", "no JSON object"),
        (saying(ok=False, problem="engine: libllama is missing") + "; exit 1", "engine: libllama is missing"),
        (saying(ok="yes"), "does not say that all is well"),
        (saying(engine="The engine is missing."), "engine: The engine is missing."),
        (saying(frame="the frame stayed empty"), "frame: the frame stayed empty"),
        ("""printf '{"ok": true}'""", "engine: not checked"),
        (saying(decoded={"tokens": 0}), "decoded no token"),
        (GOOD + "; exit 1", "the exit status was 1"),
    ],
)
def test_what_is_not_well_is_said(tmp_path: Path, script: str, words: str) -> None:
    report = smoke.check(folder_with(tmp_path, script))
    assert not report.ok
    assert words in report.problem


def test_a_program_that_hangs_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "TIMEOUT_S", 0.3)
    assert "did not end" in smoke.check(folder_with(tmp_path, "exec sleep 30")).problem


def test_an_artefact_without_the_program_fails(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no program" in smoke.check(tmp_path / "empty").problem


def test_a_cut_tar_fails(tmp_path: Path) -> None:
    tar = tar_of(folder_with(tmp_path, GOOD))
    tar.write_bytes(tar.read_bytes()[:-40])
    assert smoke.check(tar).problem.startswith("tar failed")


def test_the_program_sees_an_empty_home_and_nothing_of_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "LOCALAI_BUILD_CACHE", "QT_PLUGIN_PATH", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, "/elsewhere")
    seen = tmp_path / "seen"
    assert smoke.check(folder_with(tmp_path, f"env > {seen}; ls -A $HOME > {seen}.home; {GOOD}")).ok
    assert "/elsewhere" not in seen.read_text()
    assert Path(f"{seen}.home").read_text() == ""


def test_a_file_that_was_changed_after_its_test_does_not_count_as_tested(tmp_path: Path) -> None:
    tar = tar_of(folder_with(tmp_path, GOOD))
    assert "has no report" in why_untested(tar)
    smoke.check(tar)
    with tar.open("ab") as file:
        file.write(b"\0")
    assert "is not the file that was tested" in why_untested(tar)


@pytest.mark.parametrize(
    "damage", ["{", "[]", "{}", '{"ok": true, "problem": "", "exit_status": 0, "report": {}, "sha256": ""}'])
def test_a_damaged_report_does_not_count(tmp_path: Path, damage: str) -> None:
    tar = tar_of(folder_with(tmp_path, GOOD))
    (tmp_path / (tar.name + REPORT_SUFFIX)).write_text(damage)
    assert why_untested(tar)


def test_only_a_deb_goes_into_a_container(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"Only a \.deb"):
        smoke.container_command(tmp_path / "localai-app.tar.xz", "debian:12")
    command = smoke.container_command(tmp_path / "localai-app_1.0_amd64.deb", "debian:12")
    assert f"{tmp_path}:/artefacts:ro" in command
    assert command[-1] == "/artefacts/localai-app_1.0_amd64.deb"


def test_the_command_line_ends_with_the_outcome(tmp_path: Path) -> None:
    def run(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.package.smoke", os.path.relpath(path, ROOT)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    folder = folder_with(tmp_path, GOOD)
    assert run(folder).returncode == 0
    (folder / smoke.PROGRAM).write_text("#!/bin/sh\nexit 1\n")
    failed = run(folder)
    assert failed.returncode == 1
    assert "FAILED" in failed.stdout
    assert run(tmp_path / "nothing").returncode == 1


def test_setup_gets_a_folder_with_blanks_without_quotation_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NSIS reads its command line as it is; Python would put what has blanks in quotation marks."""
    lines: list[object] = []
    folder = tmp_path / "Jane Doe" / "installed"
    folder.mkdir(parents=True)
    setup, program = tmp_path / "a setup.exe", folder / ("program.exe" if sys.platform == "win32" else "program")
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr(opened, "run_step", lines.append)
    with pytest.raises(StepError, match="left 1 files"), opened.installed_on_windows(setup, folder, "program") as command:
        assert command == [str(program)]
    assert lines == [f'"{setup}" /S /D={folder}', f'"{folder / "uninstall.exe"}" /S _?={folder}']


def test_a_command_line_for_windows_is_named_by_its_program() -> None:
    with pytest.raises(StepError, match=r"^/nowhere/a setup\.exe is not there\.$"):
        opened.run_step('"/nowhere/a setup.exe" /S /D=x')
