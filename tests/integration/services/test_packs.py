"""W6: runtime packs from a server on this computer. Bad ones are refused before anything of them is loaded; good ones are
tried out in a child only; whatever fails, what ran before still runs."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import Cancelled, Progress
from localai_app.services.events import PacksChanged
from localai_app.services.packs import installer as installer_module
from localai_app.services.packs.folders import PackFolders
from localai_app.services.packs.installer import Job, Phase
from localai_app.services.packs.offers import Standing
from tests.helpers.file_server import file_server
from tests.helpers.packs import CRASHING, ENGINE_ID, HANGING, PRINTING, PackBench, change_manifest, nvidia_card, quiet_job
from tests.helpers.runtime_builds import CRASHES
from tests.helpers.services_fixture import wait_until
from tests.helpers.signing import SigningKey, at, packs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackBench]:
    with file_server() as server:
        yield PackBench(tmp_path, server, monkeypatch)


def install(bench: PackBench, name: str = "extra") -> None:
    bench.service().work.install(name, quiet_job())


def refused(bench: PackBench, spec: errors.ErrorSpec, reason: str = "") -> AppError:
    """The installation is refused with this error, nothing was loaded in any process, and nothing is left."""
    before = bench.tree()
    with pytest.raises(AppError) as caught:
        install(bench)
    assert caught.value.spec is spec, caught.value
    assert reason in str(caught.value), caught.value
    assert bench.loaded_by() == []
    assert bench.tree() == before
    return caught.value


# --- what is good -----------------------------------------------------------------------------------------------------


def test_a_good_pack_is_tried_out_in_children_and_used(bench: PackBench) -> None:
    bench.publish(bench.pack())
    steps: list[tuple[Phase, Progress]] = []
    service = bench.service()
    installed = service.work.install("extra", Job(lambda phase, progress: steps.append((phase, progress))))
    assert list(dict.fromkeys(phase for phase, _progress in steps)) == list(Phase)
    assert installed.folder == bench.paths.runtimes / ENGINE_ID / "extra-1.0"
    assert {path.name for path in installed.folder.iterdir()} == {
        ".verified", "engine.json", "libggml-cpu-haswell.so", "licence.txt", "pack.json"}
    assert bench.runtimes_in_use() == {f"{ENGINE_ID}/haswell": True, f"{ENGINE_ID}/x64": True}
    assert bench.loaded_by()
    assert os.getpid() not in bench.loaded_by()
    assert not list((bench.paths.cache / "packs").iterdir())
    (offer,) = service.work.look()
    assert (offer.standing, offer.reason) == (Standing.INSTALLED, "Version 1.0 is installed.")
    with pytest.raises(AppError, match="is installed"):
        install(bench)


def test_removing_leaves_what_was_before(bench: PackBench) -> None:
    bench.publish(bench.pack())
    before = bench.runtimes_in_use()
    install(bench)
    assert bench.service().work.remove("extra") > 10_000
    assert bench.tree() == set()
    assert bench.runtimes_in_use() == before
    with pytest.raises(AppError) as caught:
        bench.service().work.remove("extra")
    assert caught.value.spec is errors.PACK_UNKNOWN


def test_from_a_file_with_its_signed_list_nobody_is_asked(bench: PackBench) -> None:
    entry, archive = bench.pack()
    (archive.parent / "packs.json").write_bytes(bench.key.sign_packs(packs(3, packs=[entry])))
    bench.service().work.install_file(archive, quiet_job())
    assert bench.runtimes_in_use()[f"{ENGINE_ID}/haswell"]
    assert bench.server.requests == []
    assert archive.exists()


@pytest.mark.parametrize("fault", ["absent", "other", "changed", "longer", "old"])
def test_a_file_whose_list_is_not_right_is_refused(bench: PackBench, fault: str) -> None:
    entry, archive = bench.pack()
    listed = archive.parent / "packs.json"
    key = SigningKey() if fault == "other" else bench.key
    if fault != "absent":
        listed.write_bytes(key.sign_packs(packs(1, packs=[entry], expires=at(-0.5 if fault == "old" else 30))))
    content = archive.read_bytes()
    if fault == "changed":
        archive.write_bytes(content[:-100] + bytes(100))
    if fault == "longer":
        archive.write_bytes(content + b"more")
    with pytest.raises(AppError) as caught:
        bench.service().work.install_file(archive, quiet_job())
    assert caught.value.spec in {
        "absent": {errors.FILE_UNREADABLE}, "other": {errors.SIGNATURE_INVALID}, "changed": {errors.PACK_REFUSED},
        "longer": {errors.PACK_REFUSED}, "old": {errors.SIGNED_DOCUMENT_EXPIRED}}[fault]
    assert bench.loaded_by() == []
    assert bench.tree() == set()


# --- the list and the archive -----------------------------------------------------------------------------------------


def test_a_bad_signature_is_refused(bench: PackBench) -> None:
    document = bench.publish(bench.pack())
    bench.server.serve("/packs.json", SigningKey().sign_packs(document))
    refused(bench, errors.SIGNATURE_INVALID)
    envelope = json.loads(bench.key.sign_packs(document))
    envelope["payload"] = json.loads(bench.key.sign_packs({**document, "number": 9}))["payload"]
    bench.server.serve("/packs.json", json.dumps(envelope).encode())
    refused(bench, errors.SIGNATURE_INVALID)
    assert [request.path for request in bench.server.requests] == ["/packs.json"] * 2


def test_an_older_list_is_refused(bench: PackBench) -> None:
    made = bench.pack()
    bench.number = 7
    bench.publish(made)
    bench.service().work.look()
    bench.number = 6
    bench.publish(made)
    refused(bench, errors.SIGNED_DOCUMENT_ROLLED_BACK)


def test_an_expired_list_is_refused(bench: PackBench) -> None:
    bench.publish(bench.pack(), expires=at(-0.1))
    refused(bench, errors.SIGNED_DOCUMENT_EXPIRED)


def test_an_archive_with_another_checksum_is_refused(bench: PackBench) -> None:
    entry, archive = bench.pack()
    bench.publish((entry, archive))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    bench.server.serve(f"/{entry['archive']['url']}", bytes(content))
    refused(bench, errors.DOWNLOAD_DAMAGED)


def test_an_archive_that_is_cut_off_is_refused_and_goes_on_later(bench: PackBench) -> None:
    entry, archive = bench.pack()
    bench.publish((entry, archive))
    address, content = f"/{entry['archive']['url']}", archive.read_bytes()
    bench.server.serve(address, content, cut_after=[len(content) // 2, *[0] * 20])
    refused(bench, errors.TRANSFER_FAILED)
    bench.server.serve(address, content)
    install(bench)
    asked = [request.headers.get("range") for request in bench.server.requests if request.path == address]
    assert asked[-1] == f"bytes={len(content) // 2}-"


def test_a_file_with_another_checksum_than_the_signed_one_is_refused(bench: PackBench) -> None:
    entry, archive = bench.pack()
    for file in entry["files"]:
        if file["path"].endswith(".so"):
            file["sha256"] = "0" * 64
    bench.publish((entry, archive))
    refused(bench, errors.PACK_REFUSED, "the checksum of libggml-cpu-haswell.so is not the signed one")


@pytest.mark.parametrize("name", ["../../escaped.so", "/tmp/escaped.so", "a/../../escaped.so"])
def test_an_archive_that_writes_elsewhere_is_refused(bench: PackBench, name: str) -> None:
    """Signed by mistake, as it were: with the list naming it, and with a list that does not."""
    import hashlib
    import io
    import lzma
    import tarfile

    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"code"))
    data = lzma.compress(output.getvalue())
    entry, archive = bench.pack()
    archive.write_bytes(data)
    entry["archive"] |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    bench.publish((entry, archive))
    refused(bench, errors.PACK_REFUSED, "which the signed list does not name")
    entry["files"].append({"path": name, "size_bytes": 4, "sha256": hashlib.sha256(b"code").hexdigest()})
    entry["unpacked_bytes"] += 4
    bench.publish((entry, archive))
    refused(bench, errors.SIGNED_DOCUMENT_INVALID, "no safe file name")
    assert not list(bench.root.rglob("escaped.so"))


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_a_pack_for_another_build_is_refused(bench: PackBench) -> None:
    bench.publish(bench.pack(adds_to="lcpp-2"))
    refused(bench, errors.PACK_UNFIT, "It belongs to another version of Local AI.")
    bench.publish(bench.pack(adds_to="lcpp-2", engine_id=ENGINE_ID))
    refused(bench, errors.PACK_TEST_FAILED, "it is made for the build lcpp-2 and not for lcpp-1")


@pytest.mark.parametrize(("change", "reason"), [
    ({"bindings": "0.0.1"}, "it is made for llama-cpp-python 0.0.1"),
    ({"backends": ["gone.so"]}, "gone.so is not in its engine.json"),
    ({"preload": ["gone.so"]}, "gone.so is not in its engine.json"),
    ({"backends": []}, "it has no back end"),
    ({"files": []}, "is not in its engine.json"),
    ({"files": [{"path": "../x", "size_bytes": 1, "sha256": ""}]}, "names a file outside its folder"),
    ({"adds_to": ""}, "it is made for the build of its own"),
])
def test_a_manifest_that_does_not_fit_is_refused(bench: PackBench, change: dict[str, object], reason: str) -> None:
    bench.pack()
    folder = bench.root / "pack-extra-1.0" / "files"
    change_manifest(folder, **change)
    bench.publish_unsigned_tree(folder)
    refused(bench, errors.PACK_TEST_FAILED, reason)


@pytest.mark.parametrize("fault", ["garbage", "truncated", "empty"])
def test_a_library_that_is_none_is_refused_in_a_child(bench: PackBench, fault: str) -> None:
    library = bench.backend()
    content = library.read_bytes()
    library.write_bytes({"garbage": os.urandom(20_000), "truncated": content[: len(content) // 3], "empty": b""}[fault])
    bench.publish(bench.pack(library))
    refused(bench, errors.PACK_TEST_FAILED)
    assert bench.runtimes_in_use() == {f"{ENGINE_ID}/x64": True}


@pytest.mark.parametrize(("constructor", "reason"), [
    (CRASHING, "SIGSEGV"), (HANGING, "did not finish within 3 seconds"), ("_exit(0);", ""), ("__builtin_trap();", "SIGILL"),
])
def test_a_library_that_goes_wrong_while_it_is_loaded_hurts_a_child_only(
    bench: PackBench, constructor: str, reason: str,
) -> None:
    bench.deadlines_s = (3.0, 3.0)
    library = bench.backend(constructor=constructor)
    bench.publish(bench.pack(library))
    with pytest.raises(AppError) as caught:
        install(bench)
    assert caught.value.spec is errors.PACK_TEST_FAILED
    assert reason in str(caught.value)
    assert len(bench.loaded_by()) == 2, "it is tried twice"
    assert os.getpid() not in bench.loaded_by()
    assert bench.tree() == set()
    assert bench.runtimes_in_use() == {f"{ENGINE_ID}/x64": True}


def test_a_library_that_prints_disturbs_nothing(bench: PackBench) -> None:
    bench.publish(bench.pack(bench.backend(constructor=PRINTING)))
    install(bench)
    assert bench.runtimes_in_use()[f"{ENGINE_ID}/haswell"]


def test_a_back_end_that_crashes_or_is_none_is_refused(bench: PackBench) -> None:
    bench.publish(bench.pack(bench.backend(body=CRASHES)))
    with pytest.raises(AppError, match="SIGSEGV"):
        install(bench)
    bench.publish(bench.pack(bench.backend("none", body="return nullptr;"), version="1.1"))
    with pytest.raises(AppError, match="is no back end for this build"):
        install(bench)
    assert bench.tree() == set()


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_newer_version_takes_over_and_the_one_before_is_kept(bench: PackBench) -> None:
    bench.publish(bench.pack())
    install(bench)
    bench.publish(bench.pack(version="1.1"))
    (offer,) = bench.service().work.look()
    assert offer.standing is Standing.NEWER
    install(bench)
    kept = bench.service().work.installed()
    assert [(each.verified.version, each.is_current) for each in kept] == [("1.1", True), ("1.0", False)]
    assert len(bench.runtimes_in_use()) == 2
    folders = PackFolders(bench.paths.runtimes)
    folders.sweep(time.time())
    assert len(folders.installed()) == 2
    folders.sweep(time.time() + 15 * 24 * 3600)
    assert [each.verified.version for each in folders.installed()] == ["1.1"]


def test_a_newer_version_that_fails_leaves_the_one_before(bench: PackBench) -> None:
    bench.publish(bench.pack())
    install(bench)
    before = bench.tree()
    bench.publish(bench.pack(bench.backend(body=CRASHES), version="1.1"))
    with pytest.raises(AppError) as caught:
        install(bench)
    assert caught.value.spec is errors.PACK_TEST_FAILED
    assert bench.tree() == before
    assert bench.runtimes_in_use()[f"{ENGINE_ID}/haswell"]


def test_a_newer_version_that_fails_later_gives_way_to_the_one_before(bench: PackBench) -> None:
    """Its back end works until a file appears, as one does that a new driver breaks."""
    broken = bench.root / "driver-changed"
    bench.publish(bench.pack())
    install(bench)
    body = f'if (access("{broken}", F_OK) == 0) {{ {CRASHES} }} return ggml_backend_cpu_reg();'
    bench.publish(bench.pack(bench.backend(body=body), version="1.1"))
    install(bench)
    service = bench.service()
    service.start()
    try:
        broken.touch()
        bench.runtimes.test_all()
        wait_until(lambda: any("Version 1.1 of the runtime pack Extra failed" in each for each in bench.sentences))
    finally:
        service.close()
    assert [each.verified.version for each in service.work.installed()] == ["1.0"]
    assert bench.runtimes_in_use() == {f"{ENGINE_ID}/haswell": True, f"{ENGINE_ID}/x64": True}


# --- interruptions ----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
import pytest
from localai_app.release.envelope import PublicKey
from localai_app.services.packs.installer import Job
from tests.helpers.packs import PackBench
bench = PackBench.__new__(PackBench)
bench.join(Path(sys.argv[1]), sys.argv[2], pytest.MonkeyPatch(), PublicKey(sys.argv[3], bytes.fromhex(sys.argv[4])))
bench.service().work.install("extra", Job(lambda phase, progress: print(phase.value, progress.done, flush=True)))
print("installed 0", flush=True)
"""
WHOLE = {f"{ENGINE_ID}", f"{ENGINE_ID}/extra-1.0"} | {
    f"{ENGINE_ID}/extra-1.0/{name}"
    for name in (".verified", "engine.json", "filler.bin", "libggml-cpu-haswell.so", "licence.txt", "pack.json")}


@pytest.mark.parametrize("moment", ["downloading 1", "unpacking 20000000", "testing 0", "finishing 0"])
def test_a_kill_at_any_moment_leaves_nothing_half(bench: PackBench, moment: str) -> None:
    """SIGKILL in the middle of each step: what is there is whole or not used, and a start tidies up."""
    filler = bench.root / "filler.bin"
    filler.write_bytes(bytes(40_000_000))
    bench.publish(bench.pack(more={"filler.bin": filler}))
    phase, least = moment.split()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(bench.root), bench.server.url, bench.key.public.key_id,
         bench.key.public.public_bytes.hex()], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            now, done = line.split()
            if now == phase and int(done) >= int(least):
                break
        time.sleep(random.uniform(0, 0.003) if phase == "finishing" else 0)
        process.kill()
    if phase in ("unpacking", "testing"):
        assert bench.tree(), "nothing was there when the kill came"
    assert bench.runtimes_in_use()[f"{ENGINE_ID}/x64"]
    service = bench.service()
    service.work.sweep()
    assert bench.tree() in (set(), {ENGINE_ID}, WHOLE)
    assert bool(service.work.installed()) == (bench.tree() == WHOLE)


def test_what_was_renamed_but_not_verified_is_not_used_and_goes(bench: PackBench) -> None:
    bench.publish(bench.pack())
    install(bench)
    folder = bench.paths.runtimes / ENGINE_ID / "extra-1.0"
    (folder / ".verified").unlink()
    assert bench.runtimes_in_use() == {f"{ENGINE_ID}/x64": True}
    bench.service().work.sweep()
    assert not folder.exists()


def test_a_full_disk_is_said_before_and_meanwhile(bench: PackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.publish(bench.pack())
    monkeypatch.setattr(installer_module, "free_bytes", lambda _folder: 1000)
    error = refused(bench, errors.NO_ROOM_FOR_FILE)
    assert "Extra" in error.message
    assert [request.path for request in bench.server.requests] == ["/packs.json"]
    monkeypatch.undo()


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(bench: PackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.publish(bench.pack())

    def no_space(_stream: object, _file: object, folder: Path, _on_written: object) -> None:
        (folder / "half.so").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("localai_app.release.unpack._write_file", no_space)
    error = refused(bench, errors.FOLDER_UNUSABLE, "No space left on device")
    assert str(bench.paths.runtimes) in error.message


def test_two_at_once_are_kept_apart(bench: PackBench) -> None:
    bench.publish(bench.pack())
    with PackFolders(bench.paths.runtimes).locked():
        refused(bench, errors.PACK_BUSY)
        with pytest.raises(AppError):
            bench.service().work.install("extra", quiet_job())
    install(bench)


def test_it_can_be_cancelled_at_every_step(bench: PackBench) -> None:
    bench.publish(bench.pack())
    for phase in (Phase.DOWNLOADING, Phase.UNPACKING, Phase.TESTING):
        job = quiet_job()

        def stop(now: Phase, _progress: Progress, job: Job = job, phase: Phase = phase) -> None:
            if now is phase:
                job.end()

        job.on_step = stop
        with pytest.raises(Cancelled):
            bench.service().work.install("extra", job)
        assert bench.tree() == set(), phase
    install(bench)


# --- the service of the window ------------------------------------------------------------------------------------------


def eventually(bench: PackBench, condition: Callable[[], bool]) -> None:
    wait_until(condition, timeout_s=60)


def test_looking_installing_and_removing_in_the_background(bench: PackBench) -> None:
    bench.report = type(bench.report)(
        system="linux", cpu=bench.report.cpu, memory=bench.report.memory, gpus=(nvidia_card(),))
    bench.publish(bench.pack(min_compute_capability="7.5", min_driver="580"))
    service = bench.service()
    service.start()
    try:
        assert service.work.might_gain() == (
            "There may be a runtime pack with NVIDIA's own libraries for NVIDIA GeForce RTX 4090.")
        eventually(bench, lambda: service.state.phase is None)
        idle(service)
        service.look()
        idle(service)
        assert service.state.offers is not None
        (offer,) = service.state.offers
        assert offer.can_install
        assert "NVIDIA GeForce RTX 4090" in offer.reason
        service.install(offer)
        idle(service)
        assert service.state.error is None
        assert service.state.news == "Extra 1.0 is installed."
        assert service.work.might_gain() == ""
        service.remove("extra")
        idle(service)
        assert service.state.news == "Extra was removed."
        assert any(isinstance(event, PacksChanged) for event in bench.events)
        bench.server.served.clear()
        service.look()
        idle(service)
        assert service.state.error is not None
        assert service.state.error.spec is errors.SOURCE_REFUSED
    finally:
        service.close()
    assert threading.active_count() < 20


def idle(service: object) -> None:
    """Wait for the end of the work in the background."""
    thread = service._thread  # type: ignore[attr-defined]
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive()
