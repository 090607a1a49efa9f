"""From where a worker loads llama.cpp: from the named folder and files, and from nowhere else."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import EXIT_ENGINE_UNUSABLE
from localai_app.engine.protocol import Ready, SelfTest, SelfTested
from localai_app.engine.self_test import MAX_DIFFERENCE, difference
from localai_app.engine.tiny_model import write_tiny_model
from tests.helpers.runtime_builds import copy_libraries, library_folder
from tests.integration.engine.conftest import StartWorker

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")


def mapped_libraries(pid: int) -> set[str]:
    """The files of llama.cpp and of planted ones that a process has loaded."""
    lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return {path for path in paths if "libllama" in path or "libggml" in path or "planted" in path}


def test_every_library_comes_from_the_named_folder(start_worker: StartWorker, tmp_path: Path) -> None:
    folder = copy_libraries(tmp_path / "engine é")
    worker = start_worker("llama", "--library-dir", str(folder))
    pid = worker.client.pid
    assert pid is not None
    loaded = mapped_libraries(pid)
    assert loaded
    assert all(Path(path).parent == folder for path in loaded), loaded
    worker.client.send(SelfTest(id=1, model_path=str(write_tiny_model(tmp_path))))
    tested = worker.wait_for(SelfTested, 1)
    assert difference(tested.after_prompt, tested.after_continuation) < MAX_DIFFERENCE / 5
    assert tested.devices == ()


def test_only_the_binding_of_the_package_is_imported() -> None:
    """The package's own code takes four times as long, at each start of a worker."""
    code = (
        "import sys\n"
        "from localai_app.engine.worker.binding import package_version\n"
        "from localai_app.engine.worker.library import Library, load_library\n"
        "load_library(Library())\n"
        "print(package_version(), sorted({'numpy', 'jinja2', 'llama_cpp'} & sys.modules.keys()))\n"
        "import llama_cpp\n"
        "print(llama_cpp.Llama.__name__)\n")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n") == [f"{importlib.metadata.version('llama-cpp-python')} []", "Llama", ""]


def test_libraries_in_the_working_directory_are_left_alone(
    start_worker: StartWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also those that variables of the environment name."""
    planted = plant(tmp_path / "worker")
    monkeypatch.setenv("GGML_BACKEND_PATH", str(planted))
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(planted.parent))
    monkeypatch.setenv("LD_PRELOAD", str(planted))
    worker = start_worker("llama")
    pid = worker.client.pid
    assert pid is not None
    assert {str(Path(path).parent) for path in mapped_libraries(pid)} == {str(library_folder())}
    assert not (tmp_path / "planted").exists()


def test_a_folder_without_llama_cpp_is_said(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    ended = run_worker(tmp_path, "--library-dir", str(tmp_path / "engine"))
    assert ended.returncode == EXIT_ENGINE_UNUSABLE
    assert "llama_cpp cannot be imported" in ended.stderr


@pytest.mark.parametrize("options", [("--library-dir", "engine"), ("--backend-file", "libggml-cpu-x64.so")])
def test_relative_paths_are_refused(tmp_path: Path, options: tuple[str, str]) -> None:
    ended = run_worker(tmp_path, *options)
    assert ended.returncode == 2
    assert "give a full path" in ended.stderr


def test_a_missing_back_end_is_said(tmp_path: Path) -> None:
    ended = run_worker(tmp_path, "--backend-file", str(tmp_path / "libggml-cpu-gone.so"))
    assert ended.returncode == EXIT_ENGINE_UNUSABLE
    assert "the back end libggml-cpu-gone.so cannot be loaded" in ended.stderr


def test_gpus_can_be_left_alone(start_worker: StartWorker) -> None:
    ready = start_worker("llama", "--no-gpu").wait_for(Ready)
    assert not ready.gpu_offload


def plant(folder: Path) -> Path:
    """A library under the names that llama.cpp looks for, which writes a file `planted` beside its folder when loaded."""
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    folder.mkdir(exist_ok=True)
    library_folder()
    mark = folder.parent / "planted" if folder.name == "worker" else folder / "planted"
    source = (
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void) {"
        f' FILE * file = fopen("{mark}", "w"); if (file) fclose(file); }}\n'
        'extern "C" int ggml_backend_score(void) { return 1000000; }\n'
        'extern "C" void * ggml_backend_init(void) { return 0; }\n')
    planted = folder / "libggml-cpu-planted.so"
    subprocess.run(["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(planted)], input=source, text=True, check=True)
    for name in ("libggml-cpu.so", "libllama.so", "libggml.so.0"):
        shutil.copy2(planted, folder / name)
    return planted


def run_worker(cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Start a worker that is expected to end by itself; its stdin stays open, because its end would end the worker too."""
    process = subprocess.Popen(
        worker_command(extra=options), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True)
    with process:
        assert process.stderr is not None
        said = process.stderr.read()
        return subprocess.CompletedProcess(process.args, process.wait(60), "", said)
