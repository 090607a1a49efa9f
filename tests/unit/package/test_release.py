"""A release from files to what an installed program believes, and back to every way in which it must not."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from localai_app import __version__
from localai_app.errors import SIGNED_DOCUMENT_EXPIRED, AppError
from localai_app.release.acceptance import RELEASES, accepted
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import Trust, load_trust
from tools.dev.console import StepError
from tools.package import keys, release
from tools.package.artefacts import all_published, published
from tools.package.smoke_report import REPORT_SUFFIX, SmokeReport, checksum, write_report
from tools.package.verify import verify_release

ROOT = Path(__file__).resolve().parents[3]
DEB = f"localai-app_{__version__}_amd64.deb"
TAR = f"localai-app-{__version__}-linux-x64.tar.xz"
URL = "https://downloads.example/v1"


def add_artefact(folder: Path, name: str, content: bytes) -> Path:
    """A file that has passed its self-check."""
    path = folder / name
    path.write_bytes(content)
    write_report(folder / (name + REPORT_SUFFIX), SmokeReport(name, checksum(path), "a test", 1.0, 0, "", {"ok": True}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "dist"
    place.mkdir()
    (place / "localai-app").mkdir()
    add_artefact(place, DEB, b"deb" * 1000)
    add_artefact(place, TAR, b"tar" * 2000)
    return place


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    place = tmp_path / "notes"
    place.mkdir()
    (place / f"{__version__}.md").write_text("- It can be installed.\n")
    return place


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    keys.make_key(path)
    return path


@pytest.fixture
def trust_path(tmp_path: Path, key_file: Path) -> Path:
    path = tmp_path / "trust.json"
    path.write_bytes(keys.trust_document(keys.entries_of([key_file]), f"{URL}/release.json", "", []))
    return path


@pytest.fixture
def trust(trust_path: Path) -> Trust:
    return load_trust(trust_path)


def make(folder: Path, notes: Path, key_file: Path, url: str = "") -> Path:
    return release.make_release(folder, notes, keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)}), url)


def test_a_release_is_believed_and_names_every_file(folder: Path, notes: Path, key_file: Path, trust: Trust) -> None:
    assert make(folder, notes, key_file, URL) == folder / "release.json"
    document = verify_release(folder, trust)
    assert document.version == __version__
    assert document.notes == "- It can be installed.\n"
    deb = document.artefact_for("linux-x64-deb")
    assert deb is not None
    assert (deb.file_name, deb.url, deb.size_bytes) == (DEB, f"{URL}/{DEB}", 3000)
    assert deb.minimum_version == "2.35"
    assert document.artefact_for("linux-x64-tar") is not None
    assert len(document.artefacts) == 2


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_the_checksums_are_what_sha256sum_reads(folder: Path, notes: Path, key_file: Path) -> None:
    make(folder, notes, key_file)
    sums = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert sums.returncode == 0, sums.stdout + sums.stderr
    assert sums.stdout.splitlines() == [f"{TAR}: OK", f"{DEB}: OK"]


def test_without_a_key_there_are_checksums_and_a_plain_word(
    folder: Path, notes: Path, key_file: Path, trust: Trust, capsys: pytest.CaptureFixture[str],
) -> None:
    make(folder, notes, key_file)
    assert release.make_release(folder, notes, []) == folder / "SHA256SUMS"
    assert not (folder / "release.json").exists(), "an older signature would stay beside files that nobody signed"
    assert "NOT SIGNED" in capsys.readouterr().err
    with pytest.raises(StepError, match="not signed"):
        verify_release(folder, trust)


@pytest.mark.parametrize("fault", ["no report", "failed", "changed", "other version", "unknown processor", "two for one"])
def test_what_was_not_tested_or_is_not_clear_is_not_released(folder: Path, notes: Path, key_file: Path, fault: str) -> None:
    report = folder / (DEB + REPORT_SUFFIX)
    if fault == "no report":
        report.unlink()
    elif fault == "failed":
        write_report(report, SmokeReport(DEB, checksum(folder / DEB), "a test", 1.0, 1, "No engine.", {"ok": False}))
    elif fault == "changed":
        (folder / DEB).write_bytes(b"another")
    elif fault == "other version":
        add_artefact(folder, "localai-app-99.0.0-windows-x64-setup.exe", b"MZ")
    elif fault == "unknown processor":
        add_artefact(folder, f"localai-app-{__version__}-windows-setup.exe", b"MZ")
    else:
        add_artefact(folder, f"localai-app-{__version__}-amd64.tar.xz", b"tar")
    with pytest.raises(StepError):
        make(folder, notes, key_file)
    assert not (folder / "release.json").exists()


def test_a_release_without_notes_is_not_made(folder: Path, tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(StepError, match="release-notes"):
        make(folder, tmp_path, key_file)


def test_this_version_has_notes() -> None:
    assert (ROOT / "docs" / "release-notes" / f"{__version__}.md").is_file()


@pytest.mark.parametrize("fault", ["byte", "cut", "gone", "added", "sums", "document", "signature", "other key", "other list"])
def test_what_was_tampered_with_is_refused(
    folder: Path, notes: Path, key_file: Path, trust: Trust, tmp_path: Path, fault: str,
) -> None:
    make(folder, notes, key_file)
    verify_release(folder, trust)
    path = folder / "release.json"
    envelope = json.loads(path.read_text())
    if fault == "byte":
        (folder / DEB).write_bytes(b"D" + (folder / DEB).read_bytes()[1:])
    elif fault == "cut":
        (folder / DEB).write_bytes((folder / DEB).read_bytes()[:-1])
    elif fault == "gone":
        (folder / TAR).unlink()
    elif fault == "added":
        add_artefact(folder, f"localai-app-{__version__}-windows-x64-setup.exe", b"MZ")
    elif fault == "sums":
        (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().replace("a", "b"))
    elif fault == "document":
        payload = base64.b64decode(envelope["payload"]).replace(b"downloads.example", b"elsewhere.example")
        payload = payload.replace(b"It can be installed", b"It can be improved!")
        path.write_text(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}))
    elif fault == "signature":
        path.write_text(json.dumps(envelope | {"signatures": [envelope["signatures"][0] | {"sig": "AAAA"}]}))
    elif fault == "other key":
        keys.make_key(tmp_path / "other.key")
        make(folder, notes, tmp_path / "other.key")
    else:
        path.write_text(json.dumps(envelope | {"payloadType": "application/vnd.localai-app.packs+json"}))
    with pytest.raises(StepError):
        verify_release(folder, trust)


def test_a_release_is_not_signed_with_a_key_that_no_program_knows(
    folder: Path, notes: Path, trust_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys.make_key(tmp_path / "other.key")
    monkeypatch.setenv("LOCALAI_TRUST_FILE", str(trust_path))
    with pytest.raises(StepError, match="would not believe"):
        make(folder, notes, tmp_path / "other.key")
    assert not (folder / "release.json").exists()


def test_renewing_moves_dates_and_number_and_nothing_else(
    folder: Path, notes: Path, key_file: Path, trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(folder, notes, key_file)
    before = verify_release(folder, trust)

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Later:
            return cls.fromtimestamp(before.published.timestamp() + 30 * 86400, tz)

    monkeypatch.setattr(release, "datetime", Later)
    release.renew(folder / "release.json", keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)}), trust)
    after = verify_release(folder, trust)
    assert after.number > before.number
    assert after.expires - before.expires == timedelta(days=30)
    assert (after.version, after.notes, after.artefacts) == (before.version, before.notes, before.artefacts)
    with pytest.raises(AppError) as caught:
        accepted((folder / "release.json").read_bytes(), RELEASES, trust, SeenNumbers(tmp_path / "seen.json"), after.expires)
    assert caught.value.code == SIGNED_DOCUMENT_EXPIRED.code


def test_only_what_was_signed_is_renewed(
    folder: Path, notes: Path, key_file: Path, trust: Trust, tmp_path: Path,
) -> None:
    keys.make_key(tmp_path / "other.key")
    make(folder, notes, tmp_path / "other.key")
    before = (folder / "release.json").read_bytes()
    with pytest.raises(StepError, match="not renewed"):
        release.renew(folder / "release.json", keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)}), trust)
    assert (folder / "release.json").read_bytes() == before


def test_the_command_line_verifies_and_refuses(
    folder: Path, notes: Path, key_file: Path, trust_path: Path,
) -> None:
    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "LOCALAI_TRUST_FILE": str(trust_path), keys.KEY_FILE_VARIABLE: str(key_file)}
        return subprocess.run(
            [sys.executable, "-m", f"tools.package.{module}", *arguments], cwd=ROOT, env=env, capture_output=True, text=True,
            timeout=60, check=False)

    make(folder, notes, key_file)
    verified = run("__main__", "verify", str(folder))
    assert verified.returncode == 0, verified.stderr
    assert f"Local AI {__version__}" in verified.stdout
    renewed = run("release", "renew", str(folder / "release.json"))
    assert renewed.returncode == 0, renewed.stderr
    (folder / DEB).write_bytes(b"another")
    refused = run("verify", str(folder))
    assert refused.returncode == 1
    assert refused.stderr == f"NOT verified: {DEB} is not the file that was signed.\n"


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("localai-app_1.2.3_amd64.deb", "linux-x64-deb"), ("localai-app_1.2.3_arm64.deb", "linux-arm64-deb"),
        ("localai-app-1.2.3-linux-x64.tar.xz", "linux-x64-tar"), ("localai-app-1.2.3-x86_64.AppImage", "linux-x64-appimage"),
        ("localai-app-1.2.3-windows-arm64-setup.exe", "windows-arm64-setup"),
        ("localai-app-1.2.3-macos-arm64.dmg", "macos-arm64-dmg"),
    ],
)
def test_a_file_name_says_what_it_is_for(tmp_path: Path, name: str, platform: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    found = published(tmp_path / name)
    assert found is not None
    assert (found.version, found.platform) == ("1.2.3", platform)
    assert [one.platform for one in all_published(tmp_path)] == [platform]


def test_other_files_are_not_published(tmp_path: Path) -> None:
    for name in ("SHA256SUMS", "release.json", "localai-app.self-check.json", "notes.txt", "cuda13-1.0-linux-x64.tar.xz"):
        (tmp_path / name).write_bytes(b"x")
    assert all_published(tmp_path) == []
