"""The installer for Windows that is assembled here: its content is listed, and each program in it is read."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pefile
import pytest

from localai_app import __version__
from localai_app.engine.runtimes import discover
from tests.packaging.version_texts import version_texts
from tools.package import engine_windows, pe, windows, windows_setup, windows_starters
from tools.package.windows_functions import SystemFunctions

Needs = Callable[[str | Path], Path]
_ADDED = {"uninstall.exe", "installed-files.txt"}


@pytest.fixture(scope="module")
def tree(needs: Needs) -> Path:
    return needs(f"for-tests/{windows.TREE}")


@pytest.fixture(scope="module")
def setup(needs: Needs) -> Path:
    return needs(f"for-tests/localai-app-{__version__}-windows-x64-setup.exe")


@pytest.fixture(scope="module")
def unpacked(setup: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("7z") is None:
        pytest.skip("7z is not installed (package p7zip-full)")
    folder = tmp_path_factory.mktemp("setup")
    subprocess.run(["7z", "x", "-y", f"-o{folder}", str(setup)], check=True, stdout=subprocess.DEVNULL)
    return folder


def test_the_installer_contains_the_tree_byte_for_byte(tree: Path, unpacked: Path) -> None:
    wanted = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*") if path.is_file()}
    packed = {path.relative_to(unpacked).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    own = {name for name in packed if name.startswith("$PLUGINSDIR/")}
    assert set(packed) - own == set(wanted) | _ADDED
    assert [name for name, path in wanted.items() if packed[name].read_bytes() != path.read_bytes()] == []
    listed = (unpacked / "installed-files.txt").read_bytes().decode("utf-16-le")
    assert listed == windows_setup.file_list(tree)


@pytest.fixture(scope="module")
def of_windows() -> SystemFunctions:
    return SystemFunctions(engine_windows.zig_compiler())


def test_every_program_is_for_x64_and_all_that_it_imports_exists(
    tree: Path, unpacked: Path, of_windows: SystemFunctions,
) -> None:
    report = pe.check_tree(tree, of_windows)
    assert report.problems == ()
    assert len(report.system_libraries) > 50
    assert report.unchecked == frozenset()
    names = {path.path.relative_to(tree).as_posix() for path in report.programs}
    assert {"LocalAI.exe", "localai-app.exe", "python/python311.dll", "python/packages/PySide6/Qt6Core.dll"} <= names
    assert any(name.startswith("engine/") for name in names)
    # The installer and the uninstaller are for x64 too, and so are the libraries that they bring along.
    for path in (unpacked / "uninstall.exe", *unpacked.glob("$PLUGINSDIR/*.dll")):
        program = pe.read(path)
        assert program.machine == "x64"
        lacking = {name: of_windows.absent(name, functions) for name, functions in program.imports.items()}
        # Zig has no list of the old C library, which NSIS's own programs use.
        assert {name for name, functions in lacking.items() if functions is None} <= {"msvcrt.dll"}
        assert [functions for functions in lacking.values() if functions] == []


@pytest.mark.parametrize("fault", ["processor", "library"])
def test_a_fault_in_the_real_tree_is_found(fault: str, tree: Path, tmp_path: Path) -> None:
    for name in ("localai-app.exe", "msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"):
        shutil.copyfile(tree / name, tmp_path / name)
    assert pe.check_tree(tmp_path).problems == ()
    if fault == "processor":
        data = bytearray((tmp_path / "msvcp140.dll").read_bytes())
        at = int.from_bytes(data[0x3C:0x40], "little") + 4
        data[at:at + 2] = (0xAA64).to_bytes(2, "little")
        (tmp_path / "msvcp140.dll").write_bytes(data)
        assert pe.check_tree(tmp_path).problems == ("msvcp140.dll is for arm64 and not for x64",)
    else:
        (tmp_path / "vcruntime140_1.dll").unlink()
        assert any("needs vcruntime140_1.dll, which is nowhere" in problem for problem in pe.check_tree(tmp_path).problems)


@pytest.mark.parametrize(("real", "planted", "library"), [
    (b"GetModuleFileNameW\0", b"GetModuleFileNameQ\0", "kernel32.dll"), (b"_initterm_e\0", b"_initterm_q\0",
     "api-ms-win-crt-runtime-l1-1-0.dll")])
def test_a_function_that_windows_lacks_is_found(
    real: bytes, planted: bytes, library: str, tree: Path, tmp_path: Path, of_windows: SystemFunctions,
) -> None:
    for name in ("localai-app.exe", "msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll"):
        shutil.copyfile(tree / name, tmp_path / name)
    assert pe.check_tree(tmp_path, of_windows).problems == ()
    changed = [path for path in tmp_path.iterdir() if real in path.read_bytes()]
    assert changed
    for path in changed:
        path.write_bytes(path.read_bytes().replace(real, planted))
    function = planted[:-1].decode()
    assert set(pe.check_tree(tmp_path, of_windows).problems) == {
        f"{path.name} needs {function} of {library}, which has no such function" for path in changed}


def test_what_is_ours_says_its_name_and_version(tree: Path, setup: Path, unpacked: Path) -> None:
    for path in (tree / windows_starters.WINDOWED, tree / windows_starters.CONSOLE, setup, unpacked / "uninstall.exe"):
        facts = version_texts(path)
        assert facts["ProductName"] == "Local AI", path.name
        assert facts["ProductVersion"] == facts["FileVersion"] == __version__, path.name
        assert facts["CompanyName"] == "The Local AI developers", path.name
    subsystems = {name: pefile.PE(str(tree / name), fast_load=True) for name in ("LocalAI.exe", "localai-app.exe")}
    assert {name: image.OPTIONAL_HEADER.Subsystem for name, image in subsystems.items()} == {
        "LocalAI.exe": 2, "localai-app.exe": 3}
    for image in subsystems.values():
        image.close()


def test_the_programs_take_long_paths_and_utf_8(tree: Path) -> None:
    for name in ("LocalAI.exe", "localai-app.exe"):
        content = (tree / name).read_bytes()
        assert b">UTF-8</activeCodePage>" in content
        assert b">true</longPathAware>" in content


def test_modules_and_resources_are_there_and_nothing_of_this_computer(tree: Path) -> None:
    packages = tree / "python" / "packages"
    assert list(packages.rglob("*.py")) == []
    for name in ("localai_start.pyc", "localai_app/__main__.pyc", "llama_cpp/llama_cpp.pyc", "PySide6/QtWidgets.pyd"):
        assert (packages / name).is_file(), name
    for path in (Path(windows.ROOT) / "resources").rglob("*"):
        if path.is_file():
            inside = packages / "localai_app" / "resources" / path.relative_to(Path(windows.ROOT) / "resources")
            assert inside.read_bytes() == path.read_bytes()
    own = str(windows.ROOT).encode()
    holding = [path for path in packages.rglob("*.pyc") if own in path.read_bytes()]
    assert holding == []


def test_the_engine_is_one_that_the_program_accepts(tree: Path) -> None:
    found = discover([tree / "engine"])
    assert found.refused == ()
    builds = [build for build in found.builds if build.library_dir.is_relative_to(tree)]
    assert len(builds) == 1
    manifest = json.loads((builds[0].library_dir / "engine.json").read_text(encoding="utf-8"))
    assert all(entry["path"].endswith(".dll") for entry in manifest["files"] if "ggml" in entry["path"])


def test_the_same_tree_gives_the_same_installer(tree: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    (small / "python").mkdir(parents=True)
    for name in ("LocalAI.exe", "localai-app.exe", "LICENSE.txt"):
        shutil.copy2(tree / name, small / name)
    made = [windows_setup.make(small, tmp_path / str(at), is_quick=True).read_bytes() for at in range(2)]
    assert made[0] == made[1]


@pytest.mark.parametrize("processor", ["x64", "arm64"])
def test_the_script_compiles_as_on_windows_whose_nsis_has_only_32_bits(processor: str, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "LocalAI.exe").write_bytes(b"x")
    setup = windows_setup.make(tmp_path / "small", tmp_path, processor, is_quick=True, stub="x86-unicode")
    assert setup.name.endswith(f"-windows-{processor}-setup.exe")
    assert pe.read(setup).machine == "x86"


@pytest.mark.skipif(shutil.which("osslsigncode") is None, reason="osslsigncode signs and checks")
def test_what_is_ours_is_signed_and_the_engine_still_accepted(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tools.package import windows_signing

    small = tmp_path / "small"
    shutil.copytree(tree / "engine", small / "engine")
    shutil.copyfile(tree / "LocalAI.exe", small / "LocalAI.exe")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test/O=Nobody",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-addext", "extendedKeyUsage=codeSigning"],
        check=True, capture_output=True)
    script = tmp_path / "sign"
    script.write_text(
        f'#!/bin/sh\nosslsigncode sign -certs {tmp_path}/cert.pem -key {tmp_path}/key.pem -in "$1" -out "$1.signed" '
        '&& mv "$1.signed" "$1"\n')
    script.chmod(0o755)
    signed = windows_signing.sign_tree(small, str(script))
    assert {path.suffix for path in signed} == {".exe", ".dll"}
    for path in signed[:2]:
        shown = subprocess.run(["osslsigncode", "verify", "-in", str(path)], capture_output=True, text=True, check=False)
        assert "O=Nobody" in shown.stdout
    assert discover([small / "engine"]).refused == ()
    monkeypatch.setenv(windows_signing.VARIABLE, str(script))
    setup = windows_setup.make(small, tmp_path / "dist", is_quick=True)
    shown = subprocess.run(["osslsigncode", "verify", "-in", str(setup)], capture_output=True, text=True, check=False)
    assert "O=Nobody" in shown.stdout
