"""Archives of runtime packs: good ones become the files that were signed, and no other one leaves anything outside."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.progress import Cancelled, CancelToken, Progress
from localai_app.release.pack_document import PackFile
from localai_app.release.unpack import UnpackError, unpack

CONTENT = {"engine.json": b"{}", "backends/libggml-cuda.so": b"code" * 300, "licences/a.txt": b""}


def signed(content: dict[str, bytes]) -> list[PackFile]:
    return [
        PackFile(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in content.items()]


def member(name: str, data: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for key, value in changes.items():
        setattr(entry, key, value)
    return entry, data


def tar_of(members: Sequence[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as tar:
        for entry, data in members:
            tar.addfile(entry, io.BytesIO(data))
    return output.getvalue()


def plain_members(content: dict[str, bytes] | None = None) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(name, data) for name, data in (CONTENT if content is None else content).items()]


def archive_of(members: Sequence[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    return lzma.compress(tar_of(members, form))


def run(data: bytes, folder: Path, content: dict[str, bytes] | None = None) -> list[Progress]:
    progress: list[Progress] = []
    target = folder / "in" / "here"
    target.mkdir(parents=True, exist_ok=True)
    unpack(io.BytesIO(data), signed(CONTENT if content is None else content), target, progress.append, CancelToken())
    return progress


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def require_refused(data: bytes, folder: Path, reason: str = "", content: dict[str, bytes] | None = None) -> None:
    with pytest.raises(UnpackError) as caught:
        run(data, folder, content)
    assert reason in str(caught.value)
    inside = folder / "in" / "here"
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or (path.is_file() and path.is_relative_to(inside)), path
    allowed = CONTENT if content is None else content
    assert set(tree(inside)) <= set(allowed)
    assert sum(map(len, tree(inside).values())) <= sum(map(len, allowed.values()))


def test_what_was_signed_is_there(tmp_path: Path) -> None:
    progress = run(archive_of(plain_members()), tmp_path)
    assert tree(tmp_path / "in" / "here") == CONTENT
    assert progress[-1] == Progress(1202, 1202)
    assert all((path.stat().st_mode & 0o777) & 0o111 == 0 for path in (tmp_path / "in" / "here").rglob("*") if path.is_file())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="packs are made with GNU tar and xz, which Linux has")
def test_what_other_programs_make_is_read(tmp_path: Path) -> None:
    """GNU tar's ustar and xz with several blocks, as the build script writes them."""
    source = tmp_path / "source"
    content = {**CONTENT, f"{'long/' * 25}name": os.urandom(70_000)}
    for name, data in content.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    made = subprocess.run(
        ["tar", "--format=ustar", "--owner=0", "--group=0", "-C", str(source), "-cf", "-", *sorted(content)],
        check=True, capture_output=True).stdout
    data = subprocess.run(["xz", "-T2", "--block-size=16KiB", "-c"], input=made, check=True, capture_output=True).stdout
    run(data, tmp_path / "to", content)
    assert tree(tmp_path / "to" / "in" / "here") == content


HOSTILE: dict[str, Callable[[], bytes]] = {
    "up": lambda: archive_of([*plain_members(), member("../escaped", b"x")]),
    "far up": lambda: archive_of([member("../../../../../../tmp/escaped", b"x"), *plain_members()]),
    "up inside": lambda: archive_of([member("backends/../../../escaped", b"x"), *plain_members()]),
    "absolute": lambda: archive_of([member("/escaped", b"x"), *plain_members()]),
    "drive": lambda: archive_of([member("C:\\escaped", b"x"), *plain_members()]),
    "backslash": lambda: archive_of([member("..\\escaped", b"x"), *plain_members()]),
    "dot": lambda: archive_of([member("./engine.json", b"{}"), *plain_members()[1:]]),
    "twice": lambda: archive_of([*plain_members(), member("engine.json", b"{}")]),
    "case": lambda: archive_of([*plain_members(), member("ENGINE.JSON", b"{}")]),
    "more": lambda: archive_of([*plain_members(), member("more.so", b"x")]),
    "fewer": lambda: archive_of(plain_members()[:-1]),
    "directory": lambda: archive_of([member("backends", type=tarfile.DIRTYPE), *plain_members()]),
    "link": lambda: archive_of([member("engine.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"), *plain_members()[1:]]),
    "link of the name": lambda: archive_of(
        [member("backends", type=tarfile.SYMTYPE, linkname="/tmp"), *plain_members()]),
    "hard link": lambda: archive_of(
        [*plain_members()[:1], member("licences/a.txt", type=tarfile.LNKTYPE, linkname="engine.json"), *plain_members()[1:2]]),
    "device": lambda: archive_of([member("engine.json", type=tarfile.CHRTYPE, devmajor=1, devminor=3), *plain_members()[1:]]),
    "block device": lambda: archive_of([member("engine.json", type=tarfile.BLKTYPE), *plain_members()[1:]]),
    "fifo": lambda: archive_of([member("engine.json", type=tarfile.FIFOTYPE), *plain_members()[1:]]),
    "contiguous": lambda: archive_of([member("engine.json", b"{}", type=tarfile.CONTTYPE), *plain_members()[1:]]),
    "plain with a link name": lambda: archive_of([member("engine.json", b"{}", linkname="/etc/passwd"), *plain_members()[1:]]),
    "more bytes": lambda: archive_of([member("engine.json", b"{}" * 4000), *plain_members()[1:]]),
    "fewer bytes": lambda: archive_of([member("engine.json", b"{"), *plain_members()[1:]]),
    "other bytes": lambda: archive_of([member("engine.json", b"[]"), *plain_members()[1:]]),
    "long name": lambda: archive_of([member("a" * 3000, b"x"), *plain_members()], tarfile.GNU_FORMAT),
    "extended header": lambda: archive_of([member("é" * 80, b"x"), *plain_members()], tarfile.PAX_FORMAT),
    "nul in a name": lambda: archive_of([member("engine.json\0.so", b"{}"), *plain_members()[1:], member("x", b"")]),
    "nothing": lambda: b"",
    "empty": lambda: lzma.compress(b""),
    "only an end": lambda: lzma.compress(bytes(10240)),
    "no tar": lambda: lzma.compress(b"MZ" * 5000),
    "zip": lambda: b"PK\x03\x04" + bytes(200),
    "gzip": lambda: b"\x1f\x8b\x08" + bytes(200),
    "lzma alone": lambda: lzma.compress(tar_of(plain_members()), format=lzma.FORMAT_ALONE),
    "two streams": lambda: archive_of(plain_members()) + lzma.compress(b"more"),
    "something behind": lambda: archive_of(plain_members()) + b"more",
    "something behind the end of the tar": lambda: lzma.compress(tar_of(plain_members()) + b"more" + bytes(508)),
    "endless zeros behind the end": lambda: lzma.compress(tar_of(plain_members()) + bytes(50_000_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused(tmp_path: Path, name: str) -> None:
    started_s = time.monotonic()
    require_refused(HOSTILE[name](), tmp_path)
    assert time.monotonic() - started_s < 10


def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    data = archive_of(plain_members())
    for length in range(0, len(data), 19):
        require_refused(data[:length], tmp_path / str(length))


def test_old_headers_with_holes_are_refused(tmp_path: Path) -> None:
    """GNU's sparse files: a few bytes that stand for terabytes."""
    plain = bytearray(tar_of([member("engine.json", b"{}")]))
    plain[156:157] = b"S"
    plain[257:265] = b"ustar  \0"
    plain[483:495] = b"77777777777\0"
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain[:512])
    require_refused(lzma.compress(bytes(plain)), tmp_path, content={"engine.json": b"{}"})


def test_a_size_in_base_256_is_refused(tmp_path: Path) -> None:
    plain = bytearray(tar_of([member("engine.json", b"{}")]))
    plain[124:136] = b"\x80" + (2).to_bytes(11, "big")
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain[:512])
    require_refused(lzma.compress(bytes(plain)), tmp_path, "size", content={"engine.json": b"{}"})


def test_a_list_with_unsafe_names_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for content in ({"../x": b""}, {"/x": b""}, {"a": b"", "A": b""}, {"a": b"", "a/b": b""}, {"nul": b""}, {"a\0": b""}):
        require_refused(archive_of([]), tmp_path, content=content)


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "in" / "here"
    inside.mkdir(parents=True)
    (tmp_path / "outside").write_text("kept")
    (inside / "engine.json").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="exists"):
        run(archive_of(plain_members()), tmp_path)
    assert (tmp_path / "outside").read_text() == "kept"


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cancel = CancelToken()
    content = {"big": os.urandom(2_000_000)}

    def stop(progress: Progress) -> None:
        if progress.done > 500_000:
            cancel.cancel()

    with pytest.raises(Cancelled):
        unpack(io.BytesIO(archive_of(plain_members(content))), signed(content), tmp_path, stop, cancel)
    assert (tmp_path / "big").stat().st_size < 1_100_000


BOMB = """
import io, lzma, sys
from pathlib import Path
from localai_app.progress import CancelToken
from localai_app.release.pack_document import PackFile
from localai_app.release.unpack import UnpackError, unpack
def peak_mb():
    if sys.platform == "win32":
        import psutil
        return psutil.Process().memory_info().peak_wset >> 20
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
compressor = lzma.LZMACompressor(preset=0)
data = b"".join(compressor.compress(bytes(1 << 24)) for _ in range(20)) + compressor.flush()
files = [PackFile(path="a", size_bytes=1000, sha256="0" * 64)]
before = peak_mb()
try:
    unpack(io.BytesIO(data), files, Path(sys.argv[1]), lambda _progress: None, CancelToken())
except UnpackError as error:
    print(error, peak_mb() - before, len(data))
"""


def test_a_bomb_takes_no_memory_and_no_disk(tmp_path: Path) -> None:
    """Zeros without end, which compress to nothing, in place of a header and behind one."""
    done = subprocess.run([sys.executable, "-c", BOMB, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60)
    *words, grown_mb, _size = done.stdout.split()
    assert " ".join(words) == "it unpacks to more than the signed list says"
    assert int(grown_mb) < 30
    assert tree(tmp_path) == {}
    header = tar_of([member("a", b"x" * 1000)])[:512]
    bomb = lzma.compress(header + bytes(300_000_000), preset=0)
    require_refused(bomb, tmp_path, content={"a": b"x" * 1000})


def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    data = bytearray(lzma.compress(tar_of(plain_members()), filters=filters))
    at = data.index(b"\x21\x01", 12)
    data[at + 2] = 38
    header = bytes(data[12:20])
    data[20:24] = zlib.crc32(header).to_bytes(4, "little")
    require_refused(bytes(data), tmp_path, "emory")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 5000), flipped=st.integers(1, 255))
def test_no_changed_byte_of_the_tar_passes_but_in_what_nobody_reads(
    tmp_path_factory: pytest.TempPathFactory, position: int, flipped: int,
) -> None:
    """Whatever is changed: either all files are the signed ones, or the archive is refused; nothing lands outside."""
    folder = tmp_path_factory.mktemp("flip")
    plain = bytearray(tar_of(plain_members()))
    plain[position % len(plain)] ^= flipped
    try:
        run(lzma.compress(bytes(plain), preset=0), folder)
    except UnpackError:
        return
    assert tree(folder) == {f"in/here/{name}": data for name, data in CONTENT.items()}


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=3000), compresses=st.booleans())
def test_anything_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, compresses: bool) -> None:
    folder = tmp_path_factory.mktemp("any")
    require_refused(lzma.compress(data, preset=0) if compresses else data, folder)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60), max_size=4))
def test_members_with_any_name_are_refused(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    members = [member(name, b"x") for name in names if name not in CONTENT]
    if members:
        require_refused(archive_of([*members, *plain_members()], tarfile.GNU_FORMAT), folder)
