from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine import runtimes
from localai_app.engine.runtimes import MANIFEST_NAME, Build, Discovery, discover, gpu_runtimes, processor_runtimes
from tests.helpers.runtime_builds import write_manifest


@pytest.fixture(autouse=True)
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "installed_package", lambda: None)
    monkeypatch.setattr(runtimes, "bindings_version", lambda: "0.3.36")


def make_build(root: Path, name: str = "lcpp-1", backends: tuple[str, ...] = (), **changes: str) -> Path:
    folder = root / name
    for relative in ("libllama.so", "libggml.so.0", *backends):
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(f"{name} {relative}".encode())
    write_manifest(folder, name, backends, **({"bindings": "0.3.36"} | changes))
    return folder


def the_reason(found: Discovery) -> str:
    assert not found.builds
    assert len(found.refused) == 1
    return found.refused[0].reason


def test_a_build_with_loadable_back_ends(tmp_path: Path) -> None:
    names = ["cpu-x64", "cpu-haswell", "cuda", "rpc"]
    folder = make_build(tmp_path, backends=tuple(f"backends/libggml-{name}.so" for name in names))
    (build,) = discover([tmp_path]).builds
    assert (build.engine_id, build.library_dir) == ("lcpp-1", folder)
    haswell, x64 = processor_runtimes(build)
    assert (haswell.key, x64.key) == ("lcpp-1/haswell", "lcpp-1/x64")
    backends = folder / "backends"
    assert haswell.options == (
        "--library-dir", str(folder), "--backend-file", str(backends / "libggml-cpu-haswell.so"),
        "--backend-file", str(backends / "libggml-rpc.so"), "--no-gpu")
    (cuda,) = gpu_runtimes(build, x64)
    assert cuda.key == "lcpp-1/cuda+x64"
    assert "--no-gpu" not in cuda.options


def test_a_build_with_everything_inside(tmp_path: Path) -> None:
    make_build(tmp_path, "plain")
    folder = make_build(tmp_path, "with-gpu")
    (folder / "libggml-vulkan.so.0").write_bytes(b"v")
    write_manifest(folder, "with-gpu", bindings="0.3.36")
    with_gpu, plain = discover([tmp_path]).builds
    assert [each.key for each in processor_runtimes(plain)] == ["plain/cpu"]
    assert gpu_runtimes(plain, processor_runtimes(plain)[0]) == ()
    assert [each.key for each in gpu_runtimes(with_gpu, processor_runtimes(with_gpu)[0])] == ["with-gpu/gpu"]


def test_back_ends_of_a_pack_belong_to_their_build(tmp_path: Path) -> None:
    make_build(tmp_path / "install", "lcpp-1", backends=("backends/libggml-cpu-x64.so",))
    pack = tmp_path / "data" / "lcpp-1" / "cuda-13"
    pack.mkdir(parents=True)
    (pack / "libggml-cuda.so").write_bytes(b"cuda")
    write_manifest(pack, "cuda-13", ["libggml-cuda.so"], bindings="0.3.36", adds_to="lcpp-1")
    found = discover([tmp_path / "data", tmp_path / "install"])
    (build,) = found.builds
    assert build.graphics == (pack / "libggml-cuda.so",)
    write_manifest(pack, "cuda-13", ["libggml-cuda.so"], bindings="0.3.36", adds_to="lcpp-2")
    assert "lcpp-2, which is not here" in discover([tmp_path / "data", tmp_path / "install"]).refused[0].reason


def test_a_build_for_other_bindings_is_refused(tmp_path: Path) -> None:
    make_build(tmp_path, bindings="0.3.35")
    assert the_reason(discover([tmp_path])) == "it is made for llama-cpp-python 0.3.35, and 0.3.36 is installed"


@pytest.mark.parametrize(("damage", "reason"), [
    (lambda folder: (folder / "libllama.so").unlink(), "libllama.so is missing"),
    (lambda folder: (folder / "libllama.so").write_bytes(b"cut"), "libllama.so has 3 bytes instead of"),
    (lambda folder: (folder / "libllama.so").write_bytes(b"X" * len("lcpp-1 libllama.so")), "its checksum is not the one"),
    (lambda folder: (folder / "libggml-cpu-planted.so").write_bytes(b"x"), "libggml-cpu-planted.so is not in its engine.json"),
    (lambda folder: (folder / "MSVCP140.DLL").write_bytes(b"x"), "MSVCP140.DLL is not in its engine.json"),
    (lambda folder: (folder / MANIFEST_NAME).write_bytes(b"{"), "cannot be read"),
    (lambda folder: (folder / MANIFEST_NAME).write_bytes(b" " * 2_000_000), "too long"),
])
def test_a_damaged_build_is_refused_before_anything_of_it_is_loaded(tmp_path: Path, damage: object, reason: str) -> None:
    folder = make_build(tmp_path)
    assert discover([tmp_path]).builds
    assert callable(damage)
    damage(folder)
    assert reason in the_reason(discover([tmp_path]))


def test_what_was_verified_is_not_read_again_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_build(tmp_path)
    (build,) = discover([tmp_path]).builds
    read: list[Path] = []
    monkeypatch.setattr(runtimes, "_sha256", lambda path: read.append(path) or "other")
    verified = frozenset({build.fingerprint})
    assert discover([tmp_path], verified).builds == (build,)
    assert read == []
    (folder / "libllama.so").write_bytes((folder / "libllama.so").read_bytes())
    import os

    os.utime(folder / "libllama.so", ns=(1, 1))
    assert "damaged" in the_reason(discover([tmp_path], verified))


@pytest.mark.parametrize("name", ["../libllama.so", "/etc/passwd", "a/../../b", "x\\y", "a\0b"])
def test_a_manifest_cannot_name_files_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder = make_build(tmp_path)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    manifest["files"].append({"path": name, "size_bytes": 1, "sha256": "0"})
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    assert "outside its folder" in the_reason(discover([tmp_path]))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = make_build(tmp_path / "builds")
    outside = tmp_path / "outside.so"
    outside.write_bytes((folder / "libllama.so").read_bytes())
    (folder / "libllama.so").unlink()
    (folder / "libllama.so").symlink_to(outside)
    assert "outside its folder" in the_reason(discover([tmp_path / "builds"]))


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["engine_id", "bindings", "files", "path", "backends", "adds_to"]), inner), max_leaves=8,
).map(msgspec.json.encode))
def test_any_manifest_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any" / "build"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).write_bytes(data)
    found = discover([folder.parent])
    assert len(found.builds) + len(found.refused) == 1


def test_the_fingerprint_follows_every_file(tmp_path: Path) -> None:
    def fingerprint() -> str:
        found: Build = discover([tmp_path]).builds[0]
        return found.fingerprint

    folder = make_build(tmp_path)
    first = fingerprint()
    assert fingerprint() == first
    (folder / "libggml.so.0").write_bytes(b"another build")
    write_manifest(folder, "lcpp-1", bindings="0.3.36")
    assert fingerprint() != first
