"""The application and image for macOS as far as another system can tell: facts, order of signing, and the commands."""

from __future__ import annotations

import hashlib
import json
import plistlib
import struct
import sys
from pathlib import Path

import pytest

from localai_app import __version__
from tools.dev.console import StepError
from tools.package import mach_o, macos, macos_app


def library_for(version: tuple[int, int], processor: int = 0x0100000C) -> bytes:
    """The head of a library that needs this version of macOS."""
    command = struct.pack("<IIIIII", 0x32, 24, 1, version[0] << 16 | version[1] << 8, 15 << 16, 0)
    other = struct.pack("<III", 0x1B, 12, 7)
    return b"\xcf\xfa\xed\xfe" + struct.pack("<IIIIIII", processor, 0, 6, 2, 36, 0, 0) + other + command


CODE = library_for((14, 0))
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in
  *" $FAILS_FOR"*) echo "it was refused" >&2; exit 1;;
  "hdiutil create"*) if [ "$(grep -c "^hdiutil create" "$CALLS")" -lt "$TRIES_WANTED" ]; then
    echo "hdiutil: create failed - Resource busy" >&2; exit 1; fi
    for last; do :; done; echo image > "$last";;
  "codesign --force"*) for last; do :; done; if [ -f "$last" ]; then echo signed >> "$last"; fi;;
esac
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / macos_app.NAME
    engine = folder / "Contents" / "Resources" / "engine" / "lcpp-1"
    for path in (folder / "Contents" / "MacOS" / "localai-app", folder / "Contents" / "Frameworks" / "QtCore",
                 engine / "libllama.dylib"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CODE)
    (folder / "Contents" / "Frameworks" / "Link").symlink_to("QtCore")
    (folder / "Contents" / "Info.plist").write_bytes(plistlib.dumps(dict(macos_app.info())))
    (engine / "engine.json").write_text(json.dumps({
        "files": [{"path": "libllama.dylib", "size_bytes": len(CODE), "sha256": hashlib.sha256(CODE).hexdigest()}]}))
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where codesign and hdiutil, which only macOS has, write how they were called."""
    if sys.platform == "win32":
        pytest.skip("the programs made here are shell scripts")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("codesign", "hdiutil"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAILS_FOR", "nothing")
    monkeypatch.setenv("TRIES_WANTED", "1")
    monkeypatch.setattr(macos, "PAUSE_S", 0.0)
    monkeypatch.delenv(macos.IDENTITY_VARIABLE, raising=False)
    return tmp_path / "calls"


def signed(calls: Path) -> list[str]:
    return [line for line in calls.read_text().splitlines() if line.startswith("codesign --force")]


def test_the_facts_say_what_opens_the_program_and_where_it_runs() -> None:
    facts = plistlib.loads(plistlib.dumps(dict(macos_app.info())))
    assert facts["CFBundleShortVersionString"] == __version__
    assert facts["LSMinimumSystemVersion"] == "14.0"
    assert facts["NSHighResolutionCapable"] is True
    assert facts["CFBundleURLTypes"][0]["CFBundleURLSchemes"] == ["hf"]
    kind = facts["CFBundleDocumentTypes"][0]["LSItemContentTypes"][0]
    declared = facts["UTImportedTypeDeclarations"][0]
    assert declared["UTTypeIdentifier"] == kind
    assert declared["UTTypeTagSpecification"]["public.filename-extension"] == ["gguf"]


def test_entitlements_are_no_more_than_ctypes_needs() -> None:
    granted = plistlib.loads(macos_app.ENTITLEMENTS.read_bytes())
    assert granted == {"com.apple.security.cs.allow-unsigned-executable-memory": True}


def test_the_inside_is_signed_before_the_application_and_checksums_follow(
    app: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(macos.IDENTITY_VARIABLE, "Developer ID Application: Somebody")
    macos.sign(app, "Developer ID Application: Somebody")
    order = [line.rpartition("/")[2] for line in signed(calls)]
    assert order == ["libllama.dylib", "QtCore", "Local AI.app"]
    assert all("--timestamp" in line and "--options runtime" in line for line in signed(calls))
    assert ["--entitlements" in line for line in signed(calls)] == [False, False, True]
    manifest = app / "Contents" / "Resources" / "engine" / "lcpp-1" / "engine.json"
    entry = json.loads(manifest.read_text())["files"][0]
    library = (manifest.parent / "libllama.dylib").read_bytes()
    assert library != CODE
    assert (entry["size_bytes"], entry["sha256"]) == (len(library), hashlib.sha256(library).hexdigest())


def test_without_an_identity_it_says_so_and_signs_ad_hoc(
    app: Path, calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    image = macos.make_image(app, tmp_path / "dist" / "localai-app-1.0-macos-arm64.dmg")
    assert image.read_text() == "image\n"
    assert "is signed for no developer" in capsys.readouterr().out
    assert len(signed(calls)) == 3
    for line in signed(calls):
        # With the hardened runtime macOS would refuse every library: they are of no developer that the app is of, too.
        assert "--sign - " in line
        assert "--timestamp" not in line
        assert "--options" not in line
    assert (app / "Contents" / "Frameworks" / "QtCore").read_bytes() == CODE, "the bundle itself stays as it was made"


def test_a_signature_that_fails_ends_the_build(
    app: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAILS_FOR", "--verify")
    with pytest.raises(StepError, match=r"codesign failed for Local AI\.app: it was refused"):
        macos.make_image(app, tmp_path / "dist" / "localai-app-1.0-macos-arm64.dmg")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(("tries", "is_made"), [(3, True), (100, False)])
def test_an_image_that_is_busy_is_asked_for_again_but_not_for_ever(
    tries: int, is_made: bool, app: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIES_WANTED", str(tries))
    image = tmp_path / "dist" / "localai-app-1.0-macos-arm64.dmg"
    if is_made:
        macos.make_image(app, image)
    else:
        with pytest.raises(StepError, match="Resource busy"):
            macos.make_image(app, image)
    assert image.exists() is is_made
    asked = [line for line in calls.read_text().splitlines() if line.startswith("hdiutil create")]
    assert len(asked) == (tries if is_made else 6)


def test_an_image_that_fails_for_another_reason_is_asked_for_once(
    app: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAILS_FOR", "-volname")
    with pytest.raises(StepError, match="it was refused"):
        macos.make_image(app, tmp_path / "dist" / "localai-app-1.0-macos-arm64.dmg")
    assert calls.read_text().count("hdiutil create") == 1


def test_engine_and_notices_go_into_resources(tmp_path: Path) -> None:
    app, engine, text = tmp_path / macos_app.NAME, tmp_path / "lcpp-1", tmp_path / "THIRD_PARTY.txt"
    (app / "Contents" / "Resources").mkdir(parents=True)
    engine.mkdir()
    (engine / "engine.json").write_text("{}")
    text.write_text("notices")
    macos_app.complete(app, engine, text)
    assert (app / "Contents" / "Resources" / "engine" / "lcpp-1" / "engine.json").read_text() == "{}"
    assert (app / "Contents" / "Resources" / "THIRD_PARTY.txt").read_text() == "notices"


def test_a_library_for_a_newer_macos_ends_the_build(app: Path, calls: Path, tmp_path: Path) -> None:
    (app / "Contents" / "Frameworks" / "QtCore").write_bytes(library_for((15, 2)))
    with pytest.raises(StepError, match=r"macOS 14\.0 and newer, but QtCore needs macOS 15\.2"):
        macos.make_image(app, tmp_path / "dist" / "localai-app-1.0-macos-arm64.dmg")
    assert not calls.exists()


def test_the_oldest_macos_is_read_for_apples_processors_alone() -> None:
    other = library_for((15, 0), processor=0x01000007)
    assert mach_o.minimum_macos(other) == (0, 0)
    old = b"\xcf\xfa\xed\xfe" + struct.pack("<IIIIIIIIIII", 0x0100000C, 0, 6, 1, 16, 0, 0, 0x24, 16, 11 << 16 | 3 << 8, 0)
    assert mach_o.minimum_macos(old) == (11, 3)
    head = b"\xca\xfe\xba\xbe" + struct.pack(">I", 2)
    parts = ((0x01000007, other), (0x0100000C, library_for((13, 3))))
    offsets = (48, 48 + len(other))
    for (processor, data), offset in zip(parts, offsets, strict=True):
        head += struct.pack(">IIIII", processor, 0, offset, len(data), 0)
    assert mach_o.minimum_macos(head + other + parts[1][1]) == (13, 3)


def test_a_library_that_is_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "QtCore").write_bytes(CODE[:50])
    with pytest.raises(StepError, match="QtCore is damaged"):
        mach_o.check_floor([tmp_path / "QtCore"], "14.0")
