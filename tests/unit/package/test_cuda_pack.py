"""The CUDA pack without compiling it: layout, archive, its entry of the list, the toolkit, and what is checked of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localai_app.progress import CancelToken, Progress
from localai_app.release.acceptance import PACKS, parsed
from localai_app.release.unpack import unpack
from tests.helpers.signing import packs
from tools.dev.console import StepError
from tools.package.cuda_build import RELEASE_ARCHITECTURES, check_backend
from tools.package.cuda_pack import LABEL, NEEDS, PACK_ID, main
from tools.package.cuda_toolkit import Toolkit, compiler_version, find_toolkit, write_link_folder
from tools.package.pack_archive import Pack, entry_of, lay_out, write_archive

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("gcc") is None, reason="the pack is made on Linux")
NAMES = ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13")


def compile_library(path: Path, source: str, *options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-x", "c", "-", "-x", "none", *options, "-o", str(path)],
        input=source, text=True, check=True, capture_output=True)
    return path


def stand_in(folder: Path) -> Path:
    """A compiler that says which release it is of, with libraries, headers and a licence as NVIDIA's packages lay them."""
    home = folder / "site" / "nvidia" / "cu13"
    for name in NAMES:
        compile_library(home / "lib" / name, f"void {name.split('.')[0]}_call(void) {{}}")
    (home / "include").mkdir()
    for header in ("cuda_runtime.h", "cublas_v2.h"):
        (home / "include" / header).touch()
    licence = folder / "site" / "nvidia_cublas-13.1.dist-info" / "licenses" / "License.txt"
    licence.parent.mkdir(parents=True)
    licence.write_text("End User License Agreement\n")
    nvcc = home / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(
        "#!/bin/sh\ncase $1 in --version) echo 'Cuda compilation tools, release 13.0, V13.0.88';;\n"
        f"*) echo '#$ _HERE_={nvcc.parent}' >&2;; esac\n")
    nvcc.chmod(0o755)
    return nvcc


def test_a_toolkit_is_found_beside_its_compiler(tmp_path: Path) -> None:
    nvcc = stand_in(tmp_path)
    toolkit = find_toolkit(nvcc)
    assert toolkit.version == (13, 0)
    assert tuple(path.name for path in toolkit.libraries) == NAMES
    assert toolkit.includes == ()
    assert toolkit.licence is not None
    assert toolkit.licence.read_text() == "End User License Agreement\n"


def test_a_compiler_without_cublas_is_completed(tmp_path: Path) -> None:
    whole, bare = stand_in(tmp_path / "a"), stand_in(tmp_path / "b")
    home = bare.parents[1]
    (home / "lib" / "libcublas.so.13").unlink()
    (home / "include" / "cublas_v2.h").unlink()
    with pytest.raises(StepError, match=r"libcublas.so.13 is not there: install the packages of requirements/cuda.txt"):
        find_toolkit(bare)
    toolkit = find_toolkit(bare, [whole.parents[1]])
    assert toolkit.libraries[-1] == whole.parents[1] / "lib" / "libcublas.so.13"
    assert toolkit.includes == (whole.parents[1] / "include",)


def test_what_is_no_compiler_is_said(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="does not run"):
        compiler_version(tmp_path / "nvcc")
    with pytest.raises(StepError, match="does not say which release"):
        compiler_version(Path(shutil.which("true") or "/bin/true"))


def toolkit_of(folder: Path) -> Toolkit:
    return find_toolkit(stand_in(folder))


def test_the_stand_in_for_the_driver_has_the_calls_of_the_sources(tmp_path: Path) -> None:
    source = tmp_path / "llama" / "ggml" / "src" / "ggml-cuda"
    source.mkdir(parents=True)
    (source / "a.cu").write_text("CU_CHECK(cuMemCreate(&handle)); cudaMalloc(p); cuBLAS; cuMemMap (x);")
    write_link_folder(toolkit_of(tmp_path), tmp_path / "llama", tmp_path / "link")
    table = subprocess.run(
        ["readelf", "--dyn-syms", "-dW", tmp_path / "link" / "libcuda.so"], check=True, capture_output=True, text=True).stdout
    assert "[libcuda.so.1]" in table
    assert "cuMemCreate" in table
    assert "cuMemMap" in table
    assert "cudaMalloc" not in table
    assert (tmp_path / "link" / "libcublas.so").resolve().name == "libcublas.so.13"


def test_what_a_back_end_needs_is_checked(tmp_path: Path) -> None:
    toolkit = toolkit_of(tmp_path)
    base = compile_library(tmp_path / "engine" / "libggml-base.so.0", "void ggml_abort(void) {} void ggml_free(void) {}")
    strange = compile_library(tmp_path / "libstrange.so.2", "void strange(void) {}")
    calls = "void ggml_free(void); void run(void) { ggml_free(); }"
    good = compile_library(tmp_path / "libggml-cuda.so", calls, str(base), str(toolkit.libraries[0]))
    check_backend(good, toolkit, tmp_path / "engine")
    linked = compile_library(tmp_path / "a.so", "void strange(void); void run(void) { strange(); }", str(strange))
    with pytest.raises(StepError, match=r"needs libstrange.so.2, which is not part of the pack"):
        check_backend(linked, toolkit)
    looking = compile_library(tmp_path / "b.so", calls, str(base), "-Wl,-rpath,/opt/elsewhere")
    with pytest.raises(StepError, match="looks for libraries in a folder"):
        check_backend(looking, toolkit)
    other = compile_library(tmp_path / "c.so", "void ggml_new(void); void run(void) { ggml_new(); }")
    with pytest.raises(StepError, match="has no function ggml_new: it was built from other sources"):
        check_backend(other, toolkit, tmp_path / "engine")


def make(folder: Path, name: str = "x") -> tuple[Pack, Path, Path]:
    folder.mkdir(exist_ok=True)
    library, licence = folder / "lib.so", folder / "licence"
    library.write_bytes(b"code" * 5000)
    licence.write_text("free\n")
    pack = Pack(PACK_ID, "1.0", LABEL, "linux-x64", "lcpp-1", "0.3.36", ("libggml-cuda.so",), ("libcudart.so.13",))
    files = {"libggml-cuda.so": library, "libcudart.so.13": library, NEEDS["licence_file"]: licence}
    laid = lay_out(pack, files, folder / name)
    return pack, laid, write_archive(laid, folder / f"{name}.tar.xz")


def test_the_entry_is_what_the_program_reads_and_the_archive_what_it_unpacks(tmp_path: Path) -> None:
    pack, folder, archive = make(tmp_path / "made")
    document = parsed(json.dumps(packs(packs=[entry_of(pack, archive, folder, NEEDS)])).encode(), PACKS)
    (entry,) = document.packs
    assert (entry.min_driver, entry.min_compute_capability) == ("580", "7.5")
    progress: list[Progress] = []
    (tmp_path / "to").mkdir()
    with archive.open("rb") as file:
        unpack(file, entry.files, tmp_path / "to", progress.append, CancelToken())
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "to" / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_equal_files_make_an_equal_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pack, _folder, first = make(tmp_path / "one")
    os.utime(tmp_path / "one" / "lib.so", (1, 1))
    _pack, _folder, second = make(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()
    monkeypatch.setattr("tools.package.pack_archive.shutil.which", lambda _name: None)
    _pack, folder, third = make(tmp_path / "three")
    assert third.stat().st_size < 10_000
    assert folder.is_dir()


def test_a_pack_without_its_files_is_not_made(tmp_path: Path) -> None:
    pack = Pack(PACK_ID, "1.0", LABEL, "linux-x64", "lcpp-1", "0.3.36", ("gone.so",))
    with pytest.raises(StepError, match=r"The pack has no file gone.so"):
        lay_out(pack, {}, tmp_path / "x")


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nvcc = stand_in(tmp_path)
    output = tmp_path / "out"
    assert main(["--sources", str(tmp_path), "--nvcc", str(nvcc), "--output", str(output)]) == 1
    assert "does not hold the sources of llama.cpp" in capsys.readouterr().err
    assert main(["--sources", str(tmp_path), "--nvcc", str(tmp_path / "x"), "--output", str(output)]) == 1
    assert main(["--sources", ".", "--nvcc", str(nvcc), "--output", str(output), "--engine", str(tmp_path)]) == 1
    assert "is no engine" in capsys.readouterr().err


def test_nothing_but_the_standard_library_is_needed() -> None:
    """The first half is made on machines that have nothing else."""
    code = (
        "import sys\nimport tools.package.cuda_pack\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'msgspec', 'localai_app', 'cryptography', 'httpx2'}))")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})
    assert done.stdout == "[]\n"
    assert RELEASE_ARCHITECTURES[0] == "75-virtual"
