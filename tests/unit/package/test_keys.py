"""Keys: made privately, told apart, replaced, and never quoted."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.release.envelope import RELEASES_TYPE, verify
from localai_app.release.trust import load_trust
from tools.dev.console import StepError
from tools.package import keys, trust_file

ROOT = Path(__file__).resolve().parents[3]
URL = "https://releases.example/release.json"
POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="the permissions of POSIX")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    keys.make_key(path)
    return path


def run_keys(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.package.keys", *arguments], cwd=ROOT, env={**os.environ, **variables},
        capture_output=True, text=True, timeout=60, check=False)


@POSIX_ONLY
def test_a_new_key_can_be_read_by_its_owner_alone(key_file: Path) -> None:
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_no_key_is_written_over(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(StepError, match="never written over"):
        keys.make_key(key_file)
    assert key_file.read_bytes() == before


@POSIX_ONLY
def test_a_key_that_others_can_read_is_refused(key_file: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(StepError, match="can be read by others"):
        keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)})


def test_a_key_comes_from_a_file_or_a_variable_also_without_line_ends(key_file: Path) -> None:
    [from_file] = keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)})
    for text in (key_file.read_text(), key_file.read_text().replace("\n", " ")):
        [from_variable] = keys.private_keys({keys.KEY_VARIABLE: text})
        assert keys.public_entry(from_variable) == keys.public_entry(from_file)
    assert keys.private_keys({}) == []
    assert keys.private_keys({keys.KEY_VARIABLE: " \n"}) == []


def test_what_is_no_key_is_refused_and_not_quoted(key_file: Path) -> None:
    secret = key_file.read_text().splitlines()[1]
    for text in ("hunter2-hunter2", key_file.read_text().replace(secret, secret[:-8] + "hunter2=")):
        with pytest.raises(StepError) as caught:
            keys.private_keys({keys.KEY_VARIABLE: text})
        assert "hunter2" not in str(caught.value)
        assert secret[:20] not in str(caught.value)


def test_keys_of_another_kind_are_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    other = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(StepError, match="another kind"):
        keys.private_keys({keys.KEY_VARIABLE: other.decode()})


def test_a_key_is_replaced_step_by_step(tmp_path: Path, key_file: Path) -> None:
    """Programs that know only the old key, both, or only the new one with the old one revoked believe what both signed."""
    new_file = tmp_path / "new.key"
    keys.make_key(new_file)
    both = keys.private_keys({keys.KEY_FILE_VARIABLE: os.pathsep.join([str(key_file), str(new_file)])})
    old, new = both
    signed_by_both = keys.sign_with_all(b"{}", RELEASES_TYPE, both)
    old_id = keys.public_entry(old)["key_id"]
    programs = {
        "old": ([key_file], []), "both": ([key_file, new_file], []), "new": ([new_file], [old_id]),
    }
    for name, (files, revoked) in programs.items():
        place = tmp_path / f"{name}.json"
        place.write_bytes(keys.trust_document(keys.entries_of(files), URL, "", revoked))
        trust = load_trust(place)
        assert verify(signed_by_both, RELEASES_TYPE, trust.keys, trust.revoked) == b"{}"
        if name == "new":
            with pytest.raises(AppError):
                verify(keys.sign_with_all(b"{}", RELEASES_TYPE, [old]), RELEASES_TYPE, trust.keys, trust.revoked)
            assert verify(keys.sign_with_all(b"{}", RELEASES_TYPE, [new]), RELEASES_TYPE, trust.keys, trust.revoked)


def test_the_public_halves_of_two_keys_in_one_file_are_read_again(tmp_path: Path, key_file: Path) -> None:
    keys.make_key(tmp_path / "new.key")
    both = tmp_path / "both.key"
    both.write_text(key_file.read_text(encoding="ascii") + (tmp_path / "new.key").read_text(encoding="ascii"), encoding="ascii")
    both.chmod(0o600)
    printed = tmp_path / "public.json"
    printed.write_text(run_keys("public", str(both)).stdout, encoding="utf-8")
    assert keys.entries_of([printed]) == keys.entries_of([key_file, tmp_path / "new.key"])


@pytest.mark.parametrize("content", ['{"key_id": "a"}'.encode("utf-16"), b'{"key_id": "a"}', b"[]", b"x"])
def test_what_is_no_key_is_told_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "public.json").write_bytes(content)
    with pytest.raises(StepError, match="neither a private key nor a public one"):
        keys.entries_of([tmp_path / "public.json"])


def test_a_trust_file_that_the_program_would_refuse_is_not_made(key_file: Path) -> None:
    entries = keys.entries_of([key_file])
    for bad_entries, url, words in (
        (entries, "http://releases.example/release.json", "no address"), (entries, "", "could check nothing"),
        ([], URL, "could check nothing"), (entries * 2, URL, "one id"),
        ([entries[0] | {"public_key": "AAAA"}], URL, "bytes instead of"),
    ):
        with pytest.raises(StepError, match=words):
            keys.trust_document(bad_entries, url, "", [])


def test_the_whole_way_on_the_command_line(tmp_path: Path) -> None:
    key = tmp_path / "release.key"
    made = run_keys("make", str(key))
    public = run_keys("public", str(key))
    (tmp_path / "public.json").write_text(public.stdout)
    trust = run_keys("trust", "--release-url", URL, str(tmp_path / "public.json"))
    assert (made.returncode, public.returncode, trust.returncode) == (0, 0, 0), made.stderr + public.stderr + trust.stderr
    entry = json.loads(public.stdout)
    assert entry["key_id"] in made.stdout
    assert json.loads(trust.stdout) == {"keys": [entry], "revoked": [], "release_url": URL, "packs_url": ""}
    secret = key.read_text().splitlines()[1]
    assert secret not in made.stdout + public.stdout + trust.stdout
    again = run_keys("make", str(key))
    assert again.returncode == 1
    assert again.stderr.startswith("keys: ")


def test_a_document_is_signed_only_if_it_is_one(tmp_path: Path, key_file: Path) -> None:
    document = tmp_path / "packs.json"
    document.write_text("{}")
    refused = run_keys("sign", "packs", str(document), **{keys.KEY_FILE_VARIABLE: str(key_file)})
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr


class TestTrustFile:
    def test_without_a_wish_the_empty_one_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(trust_file.TRUST_VARIABLE, raising=False)
        assert trust_file.trust_file() == trust_file.EMPTY
        assert "cannot check for updates" in trust_file.words_about(trust_file.EMPTY)
        assert not load_trust(trust_file.EMPTY).is_configured

    def test_the_chosen_one_takes_the_place_of_the_empty_one(
        self, tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        chosen = tmp_path / "trust.json"
        chosen.write_bytes(keys.trust_document(keys.entries_of([key_file]), URL, "", []))
        monkeypatch.setenv(trust_file.TRUST_VARIABLE, str(chosen))
        other = ("localai_app/resources/catalog/models.json", "models.json", "DATA")
        files = trust_file.with_trust([other, ("localai_app/resources/release/trust.json", "empty", "DATA")])
        assert files == [other, (str(Path("localai_app/resources/release/trust.json")), str(chosen), "DATA")]
        assert keys.entries_of([key_file])[0]["key_id"] in trust_file.words_about(chosen)

    @pytest.mark.parametrize("text", ["", "{", '{"keys": []}', '{"keys": [{"key_id": "a", "public_key": "AA=="}]}'])
    def test_a_file_that_would_be_refused_stops_the_build(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str,
    ) -> None:
        bad = tmp_path / "trust.json"
        bad.write_text(text)
        monkeypatch.setenv(trust_file.TRUST_VARIABLE, str(bad))
        with pytest.raises(StepError):
            trust_file.trust_file()
