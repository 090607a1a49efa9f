"""Libraries that a pack brings along: loaded by full path before its back end, and no folder of the environment is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localai_app.engine.outcome import EXIT_ENGINE_UNUSABLE
from localai_app.engine.protocol import SelfTest, SelfTested
from localai_app.engine.runtimes import discover, processor_runtimes
from localai_app.engine.self_test import MAX_DIFFERENCE, difference
from localai_app.engine.tiny_model import write_tiny_model
from tests.helpers.runtime_builds import compile_backend, copy_libraries, write_manifest
from tests.integration.engine.conftest import StartWorker
from tests.integration.engine.test_worker_library import run_worker

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")


def make_pack(folder: Path, preload: tuple[str, ...]) -> None:
    """A back end that needs a library (libwide.so.1) that needs another (libdeep.so.1), which it does not find by itself."""
    engine = copy_libraries(folder / "engine" / "lcpp-1")
    write_manifest(engine, "lcpp-1")
    pack = folder / "runtimes" / "extra"
    pack.mkdir(parents=True)
    for name, source, needs in (
        ("libdeep.so.1", "int deep(void) { return 41; }", ()),
        ("libwide.so.1", "int deep(void); int wide(void) { return deep() + 1; }", (str(pack / "libdeep.so.1"),)),
    ):
        subprocess.run(
            ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-x", "c", "-", "-x", "none", *needs, "-o", str(pack / name)],
            input=source, text=True, check=True, capture_output=True)
    backend = compile_backend(
        pack, "needy", "return wide() == 42 ? ggml_backend_cpu_reg() : nullptr;", declares='extern "C" int wide(void);',
        library_folder=engine, needs=(str(pack / "libwide.so.1"),))
    write_manifest(pack, "extra", [backend], adds_to="lcpp-1", preload=preload)


def test_what_a_back_end_needs_is_loaded_before_it(start_worker: StartWorker, tmp_path: Path) -> None:
    make_pack(tmp_path, ("libdeep.so.1", "libwide.so.1"))
    build = discover([tmp_path / "runtimes", tmp_path / "engine"]).builds[0]
    (runtime,) = processor_runtimes(build)
    assert runtime.key == "lcpp-1/needy"
    assert [path.name for path in runtime.preload] == ["libdeep.so.1", "libwide.so.1"]
    worker = start_worker("llama", *runtime.options)
    worker.client.send(SelfTest(id=1, model_path=str(write_tiny_model(tmp_path))))
    tested = worker.wait_for(SelfTested, 1)
    assert difference(tested.after_prompt, tested.after_continuation) < MAX_DIFFERENCE
    maps = Path(f"/proc/{worker.client.pid}/maps").read_text(encoding="utf-8")
    assert str(tmp_path / "runtimes" / "extra" / "libdeep.so.1") in maps


def test_without_it_the_back_end_is_said_not_to_load(tmp_path: Path) -> None:
    make_pack(tmp_path, ())
    build = discover([tmp_path / "runtimes", tmp_path / "engine"]).builds[0]
    (runtime,) = processor_runtimes(build)
    ended = run_worker(tmp_path, *runtime.options)
    assert ended.returncode == EXIT_ENGINE_UNUSABLE
    assert "libdeep.so.1: cannot open shared object file" in ended.stderr


def test_a_library_that_cannot_be_loaded_first_is_said(tmp_path: Path) -> None:
    make_pack(tmp_path, ("libwide.so.1", "libdeep.so.1"))
    build = discover([tmp_path / "runtimes", tmp_path / "engine"]).builds[0]
    (runtime,) = processor_runtimes(build)
    ended = run_worker(tmp_path, *runtime.options)
    assert ended.returncode == EXIT_ENGINE_UNUSABLE
    assert "the library libwide.so.1 cannot be loaded" in ended.stderr


def test_a_relative_path_is_refused(tmp_path: Path) -> None:
    ended = run_worker(tmp_path, "--preload-file", "libdeep.so.1")
    assert ended.returncode == 2
    assert "give a full path" in ended.stderr


def test_a_library_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    make_pack(tmp_path, ("libstrange.so",))
    found = discover([tmp_path / "runtimes", tmp_path / "engine"])
    assert [refused.reason for refused in found.refused] == ["libstrange.so is not in its engine.json"]
    assert all(not build.additions for build in found.builds)


def test_a_library_that_was_changed_is_refused(tmp_path: Path) -> None:
    make_pack(tmp_path, ("libdeep.so.1", "libwide.so.1"))
    library = tmp_path / "runtimes" / "extra" / "libdeep.so.1"
    content = bytearray(library.read_bytes())
    content[len(content) // 2] ^= 1
    library.write_bytes(content)
    (refused,) = discover([tmp_path / "runtimes", tmp_path / "engine"]).refused
    assert refused.reason == "libdeep.so.1 is damaged: its checksum is not the one in engine.json"


def test_a_pack_changes_what_is_remembered_of_its_own_runtimes_alone(tmp_path: Path) -> None:
    """Its back ends are tested when it is added, and the others are not tested again."""
    make_pack(tmp_path, ("libdeep.so.1", "libwide.so.1"))
    engine = tmp_path / "engine" / "lcpp-1"
    write_manifest(engine, "lcpp-1", [compile_backend(engine, "x64", "return ggml_backend_cpu_reg();")])
    alone = discover([tmp_path / "engine"]).builds[0]
    both = discover([tmp_path / "runtimes", tmp_path / "engine"]).builds[0]
    (before,) = processor_runtimes(alone)
    after = {runtime.key: runtime.fingerprint for runtime in processor_runtimes(both)}
    assert after["lcpp-1/x64"] == before.fingerprint
    assert after["lcpp-1/needy"] != before.fingerprint
    assert both.fingerprint == alone.fingerprint
    assert not next(runtime.preload for runtime in processor_runtimes(both) if runtime.key == "lcpp-1/x64")
