"""What a signed document may say, and when it is believed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.acceptance import PACKS, RELEASES, accepted, parsed
from localai_app.release.addresses import is_allowed
from localai_app.release.envelope import RELEASES_TYPE
from localai_app.release.fields import is_safe_name, is_safe_path
from localai_app.release.memory import SeenNumbers
from localai_app.release.strict_json import decode_strictly
from localai_app.release.trust import load_trust, trust_file
from tests.helpers.signing import SigningKey, artefact, at, packs, release, trust_in, trust_json

KEY = SigningKey()
TRUST = trust_in(KEY)
HASH = "0" * 64


@pytest.fixture
def seen(tmp_path: Path) -> SeenNumbers:
    return SeenNumbers(tmp_path / "seen.json")


def failure(document: dict[str, Any], seen: SeenNumbers, now: datetime | None = None) -> AppError:
    with pytest.raises(AppError) as caught:
        accepted(KEY.sign(document), RELEASES, TRUST, seen, now)
    return caught.value


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_a_release_is_read_as_it_was_written(seen: SeenNumbers) -> None:
    file = artefact(b"content", minimum_version="2.35", minimum_system="Debian 12")
    found = accepted(KEY.sign(release(7, "1.2.3rc1", notes="- ä", artefacts=[file], later_field=[])), RELEASES, TRUST, seen)
    assert (found.number, found.version, found.notes) == (7, "1.2.3rc1", "- ä")
    wanted = found.artefact_for("linux-x64-deb")
    assert wanted is not None
    assert (wanted.size_bytes, wanted.minimum_system) == (7, "Debian 12")
    assert found.artefact_for("windows-x64-setup") is None


def test_an_older_number_is_refused_also_by_another_process(seen: SeenNumbers, tmp_path: Path) -> None:
    accepted(KEY.sign(release(5)), RELEASES, TRUST, seen)
    accepted(KEY.sign(release(5)), RELEASES, TRUST, seen)
    later = SeenNumbers(tmp_path / "seen.json")
    assert failure(release(4), later).spec is errors.SIGNED_DOCUMENT_ROLLED_BACK
    assert accepted(KEY.sign_packs(packs(1)), PACKS, TRUST, later).number == 1
    accepted(KEY.sign(release(6)), RELEASES, TRUST, later)
    assert seen.highest(RELEASES_TYPE) == 6


def test_numbers_that_several_accept_at_once_are_all_kept(tmp_path: Path) -> None:
    def accept(kind: str) -> None:
        memory = SeenNumbers(tmp_path / "seen.json")
        for number in range(1, 21):
            memory.remember(kind, number, datetime.now(UTC))

    kinds = [f"kind {number}" for number in range(4)]
    with ThreadPoolExecutor(len(kinds)) as pool:
        list(pool.map(accept, kinds))
    assert [SeenNumbers(tmp_path / "seen.json").highest(kind) for kind in kinds] == [20] * 4


def test_a_refused_document_is_not_remembered(seen: SeenNumbers) -> None:
    failure(release(50, expires=at(-0.5)), seen)
    assert seen.highest(RELEASES_TYPE) == 0
    assert seen.latest_time().year == 1970


def test_an_expired_document_stays_expired_when_the_clock_is_set_back(seen: SeenNumbers, tmp_path: Path) -> None:
    old = release(3, published=at(-40), expires=at(-10))
    assert failure(old, seen).spec is errors.SIGNED_DOCUMENT_EXPIRED
    assert accepted(KEY.sign(old), RELEASES, TRUST, SeenNumbers(tmp_path / "other.json"), in_days(-20)).number == 3
    accepted(KEY.sign(release(3)), RELEASES, TRUST, seen)
    assert failure(old, seen, in_days(-20)).spec is errors.SIGNED_DOCUMENT_EXPIRED


def test_a_clock_that_ran_ahead_spoils_nothing_for_longer_than_a_document_lasts(seen: SeenNumbers) -> None:
    accepted(KEY.sign(release(1, expires=at(30))), RELEASES, TRUST, seen, in_days(29))
    failure(release(2, expires=at(31)), seen, in_days(3000))
    assert accepted(KEY.sign(release(2, expires=at(40))), RELEASES, TRUST, seen, in_days(1)).number == 2


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"x": {"number": -1}}', b"{" * 5000])
def test_a_damaged_memory_is_begun_anew(seen: SeenNumbers, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(content)
    assert accepted(KEY.sign(release(2)), RELEASES, TRUST, seen).number == 2
    assert seen.highest(RELEASES_TYPE) == 2


def test_a_folder_that_cannot_be_written_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert accepted(KEY.sign(release(2)), RELEASES, TRUST, SeenNumbers(tmp_path / "file" / "seen.json")).number == 2


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0}, {"number": 2**53}, {"number": 1.0}, {"number": "1"}, {"number": True}, {"number": None},
        {"version": "1.0\n"}, {"version": "new"}, {"version": ""}, {"published": "2026-01-01T00:00:00"}, {"expires": 5},
        {"expires": at(-2)}, {"notes": "x" * 100_001}, {"notes": "\ud800"}, {"artefacts": {}}, {"artefacts": [{}]},
        {"artefacts": [artefact(b"x"), artefact(b"y")]}, {"artefacts": [artefact(b"")]},
        {"artefacts": [artefact(b"x", file_name="../x")]}, {"artefacts": [artefact(b"x", file_name="a\x00b")]},
        {"artefacts": [artefact(b"x", file_name="CON.exe")]}, {"artefacts": [artefact(b"x", file_name="x.part")]},
        {"artefacts": [artefact(b"x", sha256=HASH[1:])]}, {"artefacts": [artefact(b"x", sha256=HASH + "\n")]},
        {"artefacts": [artefact(b"x", size_bytes=-1)]}, {"artefacts": [artefact(b"x", size_bytes=1 << 41)]},
        {"artefacts": [artefact(b"x", url="http://example.com/x")]}, {"artefacts": [artefact(b"x", url="file:///etc/x")]},
        {"artefacts": [artefact(b"x", url="https://u:p@example.com/")]}, {"artefacts": [artefact(b"x", url="//host/x")]},
        {"artefacts": [artefact(b"x", minimum_version="2.x")]},
    ],
)
def test_a_release_with_nonsense_in_it_is_refused_whole(change: dict[str, Any], seen: SeenNumbers) -> None:
    assert failure({**release(), **change}, seen).spec is errors.SIGNED_DOCUMENT_INVALID


def pack(**changes: Any) -> dict[str, Any]:
    file = {"path": "libggml-cuda.so", "size_bytes": 10, "sha256": HASH}
    return {
        "pack_id": "cuda-13", "engine_id": "lcpp-0c1e57098-1", "platform": "linux-x64", "version": "1.0",
        "label": "NVIDIA CUDA 13", "archive": {"url": "packs/cuda.tar.xz", "size_bytes": 5, "sha256": HASH},
        "unpacked_bytes": 10, "files": [file],
        "min_driver": "580.65", "min_compute_capability": "7.5", **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"unpacked_bytes": 11}, {"files": []}, {"licence_file": "LICENSE"}, {"min_driver": "new"}, {"pack_id": "../x"},
        {"engine_id": "a/b"}, {"archive": {"url": "packs/x", "size_bytes": 0, "sha256": HASH}},
        {"archive": {"url": "../x", "size_bytes": 1, "sha256": HASH}},
        *({"files": [{"path": path, "size_bytes": 10, "sha256": HASH}]} for path in (
            "/etc/x", "../x", "a/../x", "a//x", "", "a\\b", "C:x", "nul", "a/aux.so", "x.", "ä.so", "a\n")),
        {"files": [{"path": path, "size_bytes": 5, "sha256": HASH} for path in ("a.so", "A.so")]},
        {"files": [{"path": path, "size_bytes": 5, "sha256": HASH} for path in ("a", "a/b")]},
    ],
)
def test_a_pack_with_nonsense_in_it_is_refused(change: dict[str, Any]) -> None:
    assert parsed(json.dumps(packs(packs=[pack()])).encode(), PACKS).packs[0].label == "NVIDIA CUDA 13"
    with pytest.raises(AppError) as caught:
        parsed(json.dumps(packs(packs=[pack(**change)])).encode(), PACKS)
    assert caught.value.spec is errors.SIGNED_DOCUMENT_INVALID


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


@given(st.dictionaries(st.sampled_from(sorted(release())), JSON_VALUES))
def test_any_value_of_any_field_is_understood_or_refused_in_words(changes: dict[str, Any]) -> None:
    try:
        parsed(json.dumps({**release(artefacts=[artefact(b"x")]), **changes}).encode(), RELEASES)
    except AppError as error:
        code = error.code
    else:
        code = ""
    assert code in ("", errors.SIGNED_DOCUMENT_INVALID.code)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        value = decode_strictly(data, dict[str, Any], 100)
    except ValueError:
        return
    assert isinstance(value, dict)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"a": NaN}', '{"a": 1e400}', '{"a": 1.5}', '{"a": 9007199254740992}',
                                  '{"a": -9007199254740992}', '{"a": "\\udc00"}', '{"a": ' + "1" * 5000 + "}", '{"a": 1} x'])
def test_what_parsers_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it|number|name|text"):
        decode_strictly(text.encode(), dict[str, Any], 10_000)
    assert decode_strictly(b'{"a": 9007199254740991}', dict[str, Any], 100) == {"a": 2**53 - 1}


@given(st.text(max_size=40))
def test_a_safe_name_is_a_plain_name(name: str) -> None:
    if is_safe_name(name):
        assert Path(name).name == name
        assert name.isascii()
    assert not is_safe_path("../" + name)
    assert not is_safe_path("/" + name)


@pytest.mark.parametrize(("url", "is_fine"), [
    ("https://example.com/a", True), ("https://example.com:8443/a?b=c", True), ("http://127.0.0.1:9/a", True),
    ("http://localhost/a", True), ("http://[::1]:80/a", True), ("http://example.com/a", False), ("http://10.0.0.1/", False),
    ("https:///a", False), ("https://user@example.com/", False),
    ("ftp://example.com/", False), ("https://exa mple.com/", False),
    ("https://example.com/\n", False), ("https://exämple.com/", False), ("https://example.com:0/", False),
    ("https://example.com/#x", False), ("https://example.com:99999/", False), ("", False),
    ("http://127.0.0.1.example.com/", False),
])
def test_only_safe_addresses_are_asked(url: str, is_fine: bool) -> None:
    assert is_allowed(url) is is_fine


def test_the_repository_trusts_nobody() -> None:
    trust = load_trust()
    assert (trust.keys, trust.release_url, trust.packs_url, trust.is_configured) == ((), "", "", False)
    assert json.loads(trust_file().read_text())["keys"] == []


def test_trust_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    file.write_text(trust_json(KEY, release_url="https://example.com/release.json"))
    trust = load_trust(file)
    assert (trust.keys, trust.can_ask_releases, trust.can_ask_packs) == ((KEY.public,), True, False)
    file.write_text(file.read_text().replace('"revoked": []', f'"revoked": ["{KEY.public.key_id}"]'))
    assert (load_trust(file).keys, load_trust(file).is_configured) == ((), False)


@pytest.mark.parametrize("text", [
    "", "{", '{"keys": [{"key_id": "a", "public_key": "AA=="}]}', '{"keys": [{"key_id": "a", "public_key": "?"}]}',
    '{"release_url": "http://example.com/"}', '{"keys": 5}', '{"keys": [], "keys": []}',
])
def test_damaged_trust_is_no_trust(tmp_path: Path, text: str) -> None:
    (tmp_path / "trust.json").write_text(text)
    with pytest.raises(AppError) as caught:
        load_trust(tmp_path / "trust.json")
    assert caught.value.spec is errors.TRUST_DATA_DAMAGED
