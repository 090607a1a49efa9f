"""Fetching signed documents and their files from a server of this computer that has the faults of the world."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app import errors
from localai_app.errors import AppError, ErrorSpec
from localai_app.progress import Cancelled, CancelToken, Progress
from localai_app.release.memory import SeenNumbers
from localai_app.services.signed_fetch import SignedFetch
from localai_app.services.source_download import FetchOptions
from tests.helpers.file_server import FileServer, file_server, wait_for
from tests.helpers.signing import SigningKey, packs, release, trust_in
from tests.helpers.tls_server import tls_server

KEY = SigningKey()
CONTENT = bytes(range(256)) * 800
QUICK = FetchOptions(document_s=2.0, stall_s=2.0, max_failures=3, first_pause_s=0.01, max_pause_s=0.02)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


@pytest.fixture
def fetch(server: FileServer, tmp_path: Path) -> SignedFetch:
    trust = trust_in(KEY, release_url=f"{server.url}/release.json", packs_url=f"{server.url}/packs.json")
    return SignedFetch(trust, SeenNumbers(tmp_path / "seen.json"), lambda: "", QUICK)


def get(fetch: SignedFetch, url: str, target: Path, content: bytes = CONTENT) -> list[Progress]:
    told: list[Progress] = []
    got = fetch.file(url, len(content), hashlib.sha256(content).hexdigest(), target, told.append, CancelToken())
    assert got.read_bytes() == content
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name]
    assert told[-1] == Progress(len(content), len(content))
    return told


def document_failure(fetch: SignedFetch) -> AppError:
    with pytest.raises(AppError) as caught:
        fetch.releases()
    return caught.value


def file_failure(fetch: SignedFetch, url: str, target: Path, content: bytes = CONTENT) -> AppError:
    with pytest.raises(AppError) as caught:
        get(fetch, url, target, content)
    assert not target.exists()
    return caught.value


def test_documents_are_fetched_and_nothing_is_told_of_who_asks(fetch: SignedFetch, server: FileServer) -> None:
    server.serve("/release.json", KEY.sign(release(4)), headers={"Set-Cookie": "id=1", "ETag": '"x"'})
    server.serve("/packs.json", KEY.sign_packs(packs(9)))
    assert (fetch.releases().number, fetch.packs().number, fetch.releases().number) == (4, 9, 4)
    for request in server.requests:
        assert {name for name in request.headers if name != "connection"} == {"host", "user-agent", "accept", "accept-encoding"}
        assert request.headers["user-agent"] == "localai-app"


def test_a_signed_list_of_another_kind_is_refused(fetch: SignedFetch, server: FileServer) -> None:
    server.serve("/release.json", KEY.sign_packs(packs(9)))
    assert "another kind" in document_failure(fetch).message


def test_a_build_without_address_or_keys_asks_nobody(tmp_path: Path, server: FileServer) -> None:
    seen = SeenNumbers(tmp_path / "seen.json")
    for trust in (trust_in(KEY), trust_in(release_url=f"{server.url}/release.json")):
        assert document_failure(SignedFetch(trust, seen, lambda: "")).spec is errors.NOTHING_TO_ASK
    assert server.requests == []


def test_offline_mode_is_kept(fetch: SignedFetch, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert document_failure(fetch).spec is errors.STAYS_OFFLINE
    assert server.requests == []


@pytest.mark.parametrize(
    ("body", "options", "spec"),
    [
        (b"", {"status": 404}, errors.SOURCE_REFUSED), (b"", {"status": 503}, errors.SOURCE_REFUSED),
        (b"<html>log in</html>", {}, errors.SOURCE_BAD_ANSWER),
        (b"{}", {"headers": {"Content-Type": "text/html; charset=utf-8"}}, errors.SOURCE_BAD_ANSWER),
        (b"{}", {"headers": {"Content-Encoding": "gzip"}}, errors.SOURCE_BAD_ANSWER),
        (b" " * 3_000_000, {}, errors.SOURCE_BAD_ANSWER), (b"{}", {}, errors.SIGNED_DOCUMENT_INVALID),
        (b"", {}, errors.SIGNED_DOCUMENT_INVALID), (KEY.sign(release())[:-40], {}, errors.SIGNED_DOCUMENT_INVALID),
        (SigningKey().sign(release()), {}, errors.SIGNATURE_INVALID), (KEY.sign_packs(packs()), {}, errors.SIGNATURE_INVALID),
        (KEY.sign(release()), {"cut_after": [100]}, errors.SOURCE_UNREACHABLE),
        (b"", {"status": 302, "headers": {"Location": "/release.json"}}, errors.SOURCE_BAD_ANSWER),
        (b"", {"status": 302, "headers": {"Location": "http://example.invalid/"}}, errors.SOURCE_BAD_ANSWER),
        (b"", {"status": 302, "headers": {"Location": "file:///etc/passwd"}}, errors.SOURCE_BAD_ANSWER),
        (b"", {"status": 302, "headers": {"Location": "https://u:p@example.invalid/"}}, errors.SOURCE_BAD_ANSWER),
        (b"", {"status": 302, "headers": {"Location": "https://example.invalid/"}}, errors.SOURCE_UNREACHABLE),
    ],
)
def test_what_a_network_may_send_instead_is_refused(
    fetch: SignedFetch, server: FileServer, body: bytes, options: dict[str, object], spec: ErrorSpec,
) -> None:
    server.serve("/release.json", body, **options)
    assert document_failure(fetch).spec is spec


def test_a_server_that_is_not_there_or_drips_is_given_up(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    server.serve("/release.json", KEY.sign(release(notes="x" * 60_000)), drip_s=0.5)
    started_s = time.monotonic()
    assert document_failure(fetch).spec is errors.SOURCE_UNREACHABLE
    assert time.monotonic() - started_s < 6
    away = SignedFetch(trust_in(KEY, release_url="http://127.0.0.1:9/x"), SeenNumbers(tmp_path / "s"), lambda: "", QUICK)
    assert document_failure(away).spec is errors.SOURCE_UNREACHABLE
    wait_for(lambda: not any(thread.name == "fetch-document" for thread in threading.enumerate()))


def test_the_proxy_of_the_settings_is_used(server: FileServer, tmp_path: Path) -> None:
    trust = trust_in(KEY, release_url="http://localhost:1/release.json")
    server.serve("http://localhost:1/release.json", KEY.sign(release(8)))
    fetch = SignedFetch(trust, SeenNumbers(tmp_path / "s"), lambda: server.url, QUICK)
    assert fetch.releases().number == 8
    broken = SignedFetch(trust, SeenNumbers(tmp_path / "s"), lambda: "http://:::", QUICK)
    assert document_failure(broken).spec is errors.PROXY_INVALID


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_the_environment_names_and_nobody_can_read(
    fetch: SignedFetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None,
) -> None:
    if content is not None:
        (tmp_path / "certificates.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates.pem"))
    assert document_failure(fetch).spec is errors.CERTIFICATES_UNREADABLE


def test_a_certificate_that_is_not_trusted_ends_it_at_once(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    with tls_server(tmp_path) as (url, _certificate):
        server.serve("/release.json", b"", status=302, headers={"Location": f"{url}/release.json"})
        server.serve("/file", b"", status=302, headers={"Location": f"{url}/file"})
        found = (document_failure(fetch), file_failure(fetch, f"{server.url}/file", tmp_path / "target" / "file"))
    for error in found:
        assert error.spec is errors.CERTIFICATE_REFUSED
        assert "127.0.0.1, because its certificate is not trusted: self-signed certificate." in error.message
    assert [request.path for request in server.requests] == ["/release.json", "/file"]


@pytest.mark.parametrize("place", ["https://a..b/x", "https://1.2.3.999/x", f"https://{'a' * 64}.example/x"])
def test_a_redirect_to_a_name_that_is_none_is_told(fetch: SignedFetch, server: FileServer, place: str) -> None:
    server.serve("/release.json", b"", status=302, headers={"Location": place})
    error = document_failure(fetch)
    assert error.spec is errors.SOURCE_BAD_ANSWER
    assert error.message.startswith("127.0.0.1 sent something else")


def test_a_file_is_fetched_through_redirects_to_another_host(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    with file_server() as mirror:
        place = mirror.serve("/real", CONTENT)
        url = server.serve("/file", b"", status=302, headers={"Location": place, "Set-Cookie": "a=b"})
        get(fetch, url, tmp_path / "new" / "file.deb")
        assert "cookie" not in mirror.requests[0].headers
        get(fetch, url, tmp_path / "new" / "file.deb")
        assert len(mirror.requests) == 1


def test_a_broken_download_goes_on_where_it_was(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/file", CONTENT, cut_after=[100_000, 50_000])
    get(fetch, url, tmp_path / "new" / "file.deb")
    assert [request.headers.get("range") for request in server.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_without_ranges_is_asked_for_all_of_it_again(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/file", CONTENT, cut_after=[100_000], ranges=False)
    get(fetch, url, tmp_path / "new" / "file.deb")


def test_a_server_that_always_begins_anew_and_never_ends_is_given_up(
    fetch: SignedFetch, server: FileServer, tmp_path: Path,
) -> None:
    """Each second attempt brings more than the one before it, and none more than the best."""
    url = server.serve("/file", CONTENT, cut_after=[150_000, 20_000] * 10, ranges=False)
    assert file_failure(fetch, url, tmp_path / "get" / "file").spec is errors.TRANSFER_FAILED
    assert len(server.requests) == QUICK.max_failures


def test_a_cancelled_download_goes_on_later(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/file", CONTENT, drip_s=0.005)
    cancel, target = CancelToken(), tmp_path / "new" / "file.deb"
    digest = hashlib.sha256(CONTENT).hexdigest()

    def stop(progress: Progress) -> None:
        if progress.done > 20_000:
            cancel.cancel()

    with pytest.raises(Cancelled):
        fetch.file(url, len(CONTENT), digest, target, stop, cancel)
    assert not target.exists()
    server.served["/file"].drip_s = 0.0
    get(fetch, url, target)
    assert int(server.requests[-1].headers["range"].removeprefix("bytes=").rstrip("-")) > 20_000


@pytest.mark.parametrize(
    ("body", "options", "spec"),
    [
        (CONTENT[:-1] + b"\0", {}, errors.DOWNLOAD_DAMAGED), (CONTENT + b"more", {}, errors.DOWNLOAD_DAMAGED),
        (CONTENT[:-1], {}, errors.DOWNLOAD_DAMAGED), (CONTENT, {"content_length": 1 << 50}, errors.DOWNLOAD_DAMAGED),
        (CONTENT, {"status": 404}, errors.SOURCE_REFUSED), (CONTENT, {"status": 500}, errors.SOURCE_REFUSED),
        (CONTENT, {"headers": {"Content-Type": "text/html"}}, errors.SOURCE_BAD_ANSWER),
        (CONTENT, {"headers": {"Content-Encoding": "gzip"}}, errors.SOURCE_BAD_ANSWER),
        (CONTENT, {"cut_after": [0, 0, 0]}, errors.TRANSFER_FAILED),
    ],
)
def test_a_file_that_is_not_the_signed_one_gets_no_name(
    fetch: SignedFetch, server: FileServer, tmp_path: Path, body: bytes, options: dict[str, object], spec: ErrorSpec,
) -> None:
    url = server.serve("/file", body, **options)
    assert file_failure(fetch, url, tmp_path / "new" / "file.deb").spec is spec
    assert [path.name for path in (tmp_path / "new").iterdir()] == []


def test_a_disk_without_room_is_said_before_anything_is_asked(
    fetch: SignedFetch, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("localai_app.services.source_download.free_bytes", lambda _folder: 1000)
    url = server.serve("/file", CONTENT)
    assert file_failure(fetch, url, tmp_path / "file.deb").spec is errors.NO_ROOM_FOR_FILE
    assert server.requests == []


def test_a_folder_that_is_a_file_is_said_in_words(fetch: SignedFetch, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = file_failure(fetch, server.serve("/file", CONTENT), tmp_path / "file" / "x.deb")
    assert error.spec is errors.FOLDER_UNUSABLE
    assert "models" not in error.message + error.action
