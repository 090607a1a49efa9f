"""Search, repositories and ranges against a Hub that behaves and one that does not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app import errors
from localai_app.errors import AppError, ErrorSpec
from localai_app.hub.client import HubClient
from localai_app.hub.connection import MAX_ANSWER_BYTES
from localai_app.hub.layout import target_path
from tests.helpers.hub_downloads import MODEL, NAME, REPO, SHA256
from tests.helpers.hub_server import GOOD_TOKEN, UNGRANTED_TOKEN, HubServer, RepoFixture
from tests.helpers.tls_server import tls_server

SPLIT = {f"BF16/big-BF16-0000{n}-of-00002.gguf": MODEL[: 100 * n] for n in (1, 2)}


@pytest.fixture
def server() -> Iterator[HubServer]:
    repos = {
        REPO: RepoFixture({NAME: MODEL, "mmproj-F16.gguf": MODEL[:50], "README.md": b"# hi"}, downloads=50, likes=5),
        "tiny/other-GGUF": RepoFixture({**SPLIT, "other-Q8_0.gguf": MODEL[:500]}, downloads=900, license="mit"),
        "tiny/gated-GGUF": RepoFixture({"gated-Q4_0.gguf": MODEL[:400]}, gated=True, downloads=10),
        "tiny/private-GGUF": RepoFixture({"p-Q4_0.gguf": MODEL[:400]}, private=True),
        "torch/only": RepoFixture({"weights.bin": b"1234"}, tags=("pytorch",)),
    }
    with HubServer(repos) as running:
        yield running


@pytest.fixture
def client(server: HubServer) -> Iterator[HubClient]:
    made = HubClient(server.endpoint)
    yield made
    made.close()


def failure_of(client: HubClient, repo_id: str = REPO) -> AppError:
    with pytest.raises(AppError) as caught:
        client.repo(repo_id)
    return caught.value


def test_search_finds_gguf_repositories_by_words_most_downloaded_first(client: HubClient) -> None:
    assert [hit.repo_id for hit in client.search("")] == ["tiny/other-GGUF", REPO, "tiny/gated-GGUF"]
    (hit,) = client.search("  TINY   model ")
    assert (hit.repo_id, hit.downloads, hit.likes, hit.gated) == (REPO, 50, 5, False)
    assert hit.last_modified.startswith("2026-03-01T12:00:00")
    assert "gguf" in hit.tags
    assert client.search("gated")[0].gated
    assert client.search("torch") == ()
    assert len(client.search("tiny", limit=2)) == 2


def test_a_repository_is_pinned_and_its_files_sorted(server: HubServer, client: HubClient) -> None:
    repo = client.repo(REPO)
    assert repo.commit == server.commit(REPO)
    (variant,) = repo.variants
    assert (variant.label, variant.size_bytes, variant.files[0].sha256) == ("Q4_K_M", len(MODEL), SHA256)
    assert [file.path for file in repo.projectors] == ["mmproj-F16.gguf"]
    assert (repo.license, repo.downloads, repo.likes, repo.gated) == ("apache-2.0", 50, 5, False)
    other = client.repo("tiny/other-GGUF")
    assert [(v.label, len(v.files), v.size_bytes) for v in other.variants] == [("BF16", 2, 300), ("Q8_0", 1, 500)]
    assert other.license == "mit"


def test_long_lists_of_files_are_followed_over_pages(server: HubServer, client: HubClient) -> None:
    server.publish(REPO, RepoFixture({f"m{n}-Q4_0.gguf": MODEL[: n + 1] for n in range(25)}))
    server.page_size = 10
    assert len(client.repo(REPO).variants) == 25


def test_the_list_of_files_is_that_of_the_pinned_commit(server: HubServer, client: HubClient) -> None:
    old = client.repo(REPO)
    server.publish(REPO, RepoFixture({"new-Q4_0.gguf": MODEL[:20]}))
    assert [v.label for v in client.repo(REPO, old.commit).variants] == ["Q4_K_M"]
    assert [v.label for v in client.repo(REPO).variants] == ["Q4_0"]


@pytest.mark.parametrize("repo_id", ["no/such", "tiny/private-GGUF", "nonsense", "../..", "a/b/c", ""])
def test_an_unknown_repository(client: HubClient, repo_id: str) -> None:
    assert failure_of(client, repo_id).spec is errors.REPO_UNKNOWN


def test_a_gated_repository_can_be_looked_at_but_not_read(server: HubServer, client: HubClient) -> None:
    repo = client.repo("tiny/gated-GGUF")
    assert repo.gated
    for token in (None, UNGRANTED_TOKEN):
        asking = HubClient(server.endpoint, token=token)
        with pytest.raises(AppError) as caught:
            asking.read_range("tiny/gated-GGUF", repo.commit, "gated-Q4_0.gguf", 0, 10)
        assert caught.value.spec is errors.REPO_GATED
        asking.close()
    granted = HubClient(server.endpoint, token=GOOD_TOKEN)
    assert granted.read_range("tiny/gated-GGUF", repo.commit, "gated-Q4_0.gguf", 0, 10) == MODEL[:10]
    assert granted.repo("tiny/private-GGUF").variants
    granted.close()


@pytest.mark.parametrize(
    ("script", "spec"),
    [
        ("status=500", errors.HUB_REFUSED),
        ("status=503;retry_after=1000000000", errors.HUB_REFUSED),
        ("status=429;retry_after=1000000000", errors.HUB_RATE_LIMITED),
        ("status=403", errors.HUB_REFUSED),
        ("close", errors.HUB_UNREACHABLE),
        ("captive_portal", errors.HUB_BAD_ANSWER),
        ("redirect_loop", errors.HUB_BAD_ANSWER),
        ("redirect=file:///etc/passwd", errors.HUB_BAD_ANSWER),
        ("redirect=http://a..b/x", errors.HUB_BAD_ANSWER),
        (f"huge_json={MAX_ANSWER_BYTES + 1}", errors.HUB_BAD_ANSWER),
        ("json=", errors.HUB_BAD_ANSWER),
        ("json=null", errors.HUB_BAD_ANSWER),
        ("json=7", errors.HUB_BAD_ANSWER),
        ('json="text"', errors.HUB_BAD_ANSWER),
        ("json={}", errors.HUB_BAD_ANSWER),
        ("json=[{}]", errors.HUB_BAD_ANSWER),
        ('json={"id":5,"sha":"x"}', errors.HUB_BAD_ANSWER),
        ('json={"id":"tiny/model-GGUF","siblings":7}', errors.HUB_BAD_ANSWER),
        ('json={"id":"tiny/model-GGUF","sha":"%s","lastModified":"yesterday"}' % ("a" * 40), errors.HUB_BAD_ANSWER),
        ("json=" + "[" * 100_000, errors.HUB_BAD_ANSWER),
        ("json=\x00\x01", errors.HUB_BAD_ANSWER),
        ("commit=main", errors.HUB_BAD_ANSWER),
        ("commit=../../../../etc/passwd", errors.HUB_BAD_ANSWER),
        (f"commit={'A' * 40}", errors.HUB_BAD_ANSWER),
    ],
)
def test_a_description_that_is_none_is_refused_at_once(
    server: HubServer, client: HubClient, script: str, spec: ErrorSpec
) -> None:
    server.fail("/api/models/*", script, times=None)
    started = time.monotonic()
    error = failure_of(client)
    assert error.spec is spec
    assert time.monotonic() - started < 5
    assert len(error.message) < 250


@pytest.mark.parametrize("size", ["-5", "1125899906842624", "null", '"12"', "1.5", "true", "[]"])
def test_a_size_that_cannot_be_true_is_refused(server: HubServer, client: HubClient, size: str) -> None:
    server.fail("/api/models/*/tree/*", f"lie_size={size}")
    assert failure_of(client).spec is errors.HUB_BAD_ANSWER


@pytest.mark.parametrize("digest", ["", "../../x", "z" * 64, "a" * 63, "A" * 64, "a" * 10_000])
def test_a_checksum_that_is_none_is_refused(server: HubServer, client: HubClient, digest: str) -> None:
    server.fail("/api/models/*/tree/*", f"hash={digest}")
    assert failure_of(client).spec is errors.HUB_BAD_ANSWER


def test_a_list_without_an_end_is_refused(server: HubServer, client: HubClient) -> None:
    server.publish(REPO, RepoFixture({f"m{n}.gguf": b"GGUF" for n in range(100)}))
    server.page_size = 1
    assert failure_of(client).spec is errors.HUB_BAD_ANSWER


def test_names_that_one_disk_would_merge_are_refused(server: HubServer, client: HubClient) -> None:
    server.publish(REPO, RepoFixture({"m-Q4_0.gguf": b"GGUF1", "M-Q4_0.gguf": b"GGUF2"}))
    assert failure_of(client).spec is errors.UNSAFE_FILE_NAME


@pytest.mark.parametrize("name", ["../../evil-Q5_0.gguf", "C:/evil-Q5_0.gguf", "aux/evil-Q5_0.gguf", "evil\u202e-Q5_0.gguf"])
def test_a_hostile_name_is_refused_when_its_place_is_asked_for(
    server: HubServer, client: HubClient, tmp_path: Path, name: str
) -> None:
    server.publish(REPO, RepoFixture({NAME: MODEL, name: MODEL[:30]}))
    variants = {variant.label: variant for variant in client.repo(REPO).variants}
    assert set(variants) == {"Q4_K_M", "Q5_0"}
    with pytest.raises(AppError) as caught:
        target_path(tmp_path, REPO, variants["Q5_0"].files[0].path)
    assert caught.value.spec is errors.UNSAFE_FILE_NAME
    assert target_path(tmp_path, REPO, variants["Q4_K_M"].files[0].path).is_relative_to(tmp_path)


def test_search_refuses_other_types_and_leaves_out_rows_without_a_name(server: HubServer, client: HubClient) -> None:
    server.fail("/api/models", 'json=[{"id":"ok/name"},{"id":"../evil"},{"id":7},{"id":"a/b/c"}]')
    assert [hit.repo_id for hit in client.search("x")] == ["ok/name"]
    rows = ('{"id":"a/b","downloads":"many"}', '{"id":"a/b","tags":"x"}', '{"id":"a/b","likes":[]}', "3", '"a"', "null")
    for hostile in ('{"a":1}', *(f"[{row}]" for row in rows)):
        server.fail("/api/models", f"json={hostile}")
        with pytest.raises(AppError) as caught:
            client.search("x")
        assert caught.value.spec is errors.HUB_BAD_ANSWER, hostile


def test_negative_and_huge_counts_are_bounded(server: HubServer, client: HubClient) -> None:
    row = {"id": "a/b", "downloads": -4, "likes": 10**400, "tags": ["t" * 10_000, 5, *["x"] * 1000]}
    server.fail("/api/models", f"json={json.dumps([row])}")
    (hit,) = client.search("x")
    assert (hit.downloads, hit.likes) == (0, 10**12)
    assert len(hit.tags) <= 200
    assert max(map(len, hit.tags)) <= 200


def test_ranges_are_read_exactly(server: HubServer, client: HubClient) -> None:
    commit = server.commit(REPO)
    assert client.read_range(REPO, commit, NAME, 0, 1000) == MODEL[:1000]
    assert client.read_range(REPO, commit, NAME, 500_000, 3) == MODEL[500_000:500_003]
    assert client.read_range(REPO, commit, NAME, len(MODEL) - 10, 1000) == MODEL[-10:]
    assert [record.range for record in server.body_requests()][:2] == ["bytes=0-999", "bytes=500000-500002"]
    assert all(record.bytes_sent <= 1000 for record in server.body_requests())


@pytest.mark.parametrize("script", ["ignore_range", "drop@600", "close", "stall@0"])
def test_a_range_survives_one_failure(
    server: HubServer, client: HubClient, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localai_app.hub.client._READ_TIMEOUT_S", 0.5)
    server.fail("/cdn/*", script)
    assert client.read_range(REPO, server.commit(REPO), NAME, 500, 300) == MODEL[500:800]


@pytest.mark.parametrize(
    ("script", "spec"),
    [
        ("wrong_content_range", errors.HUB_BAD_ANSWER), ("gzip", errors.HUB_BAD_ANSWER), ("close", errors.HUB_UNREACHABLE),
        ("status=500", errors.HUB_REFUSED), ("refuse_range", errors.HUB_REFUSED),
    ],
)
def test_a_range_that_cannot_be_had(server: HubServer, client: HubClient, script: str, spec: ErrorSpec) -> None:
    server.fail("/cdn/*", script, times=None)
    with pytest.raises(AppError) as caught:
        client.read_range(REPO, server.commit(REPO), NAME, 10, 100)
    assert caught.value.spec is spec


@pytest.mark.parametrize("path", ["../x.gguf", "/etc/passwd", "a/../../b.gguf", "CON"])
def test_an_unsafe_path_is_not_even_asked_for(server: HubServer, client: HubClient, path: str) -> None:
    with pytest.raises(AppError) as caught:
        client.read_range(REPO, "a" * 40, path, 0, 10)
    assert caught.value.spec is errors.UNSAFE_FILE_NAME
    assert server.requests == []


def test_the_users_own_token_is_not_sent_to_another_hub(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_theusersowntoken")
    for endpoint in (server.endpoint, ""):
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        client = HubClient(endpoint)
        client.search("tiny")
        client.read_range(REPO, client.repo(REPO).commit, NAME, 0, 4)
        client.close()
    assert len(server.requests) >= 8
    assert all(record.authorization is None for record in server.requests)
    assert "hf_theusersowntoken" not in str([record.headers for record in server.requests])


def test_an_entered_token_goes_to_its_hub_only_even_along_pages_and_redirects(server: HubServer) -> None:
    with HubServer({REPO: RepoFixture({NAME: MODEL})}) as elsewhere:
        client = HubClient(server.endpoint, token=GOOD_TOKEN)
        server.fail("/api/models/*", f"redirect={elsewhere.endpoint}/api/models/{REPO}")
        server.fail("/api/models/*/tree/*", f"redirect={elsewhere.endpoint}/api/models/{REPO}/tree/main")
        client.repo(REPO)
        server.fail("*/resolve/*", f"redirect={elsewhere.endpoint}/{REPO}/resolve/main/{NAME}")
        assert client.read_range(REPO, server.commit(REPO), NAME, 0, 4) == b"GGUF"
        client.close()
        assert {record.authorization for record in server.requests if record.site == "hub"} == {f"Bearer {GOOD_TOKEN}"}
        assert len(elsewhere.requests) >= 3
        assert all(record.authorization is None and record.cookie is None for record in elsewhere.requests)


def test_the_request_names_the_program_and_nothing_about_the_computer(server: HubServer, client: HubClient) -> None:
    client.repo(REPO)
    client.read_range(REPO, server.commit(REPO), NAME, 0, 4)
    agents = {record.headers.get("User-Agent", record.headers.get("user-agent", "")) for record in server.requests}
    assert all(agent.startswith("localai-app") for agent in agents)
    assert not any("torch" in agent or "agent/" in agent for agent in agents)
    encodings = {
        value for record in server.requests for name, value in record.headers.items() if name.lower() == "accept-encoding"}
    assert encodings == {"identity"}


def test_hf_endpoint_counts_when_no_address_is_set(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint + "/")
    client = HubClient()
    assert client.host == "127.0.0.1"
    assert client.repo(REPO).variants
    client.close()
    assert HubClient("https://hub.example/").host == "hub.example"


def test_offline_mode_is_respected(server: HubServer, client: HubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert failure_of(client).spec is errors.HUB_UNREACHABLE
    with pytest.raises(AppError) as caught:
        client.read_range(REPO, server.commit(REPO), NAME, 0, 4)
    assert caught.value.spec is errors.HUB_UNREACHABLE
    assert server.requests == []


def test_requests_go_through_the_proxy(server: HubServer) -> None:
    with HubServer({}) as proxy:
        client = HubClient("http://hub.invalid", proxy=proxy.endpoint)
        assert failure_of(client).spec is errors.REPO_UNKNOWN
        client.close()
        assert [record.host for record in proxy.requests] == ["hub.invalid"]


def test_certificates_that_the_environment_names_and_that_are_gone(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    assert failure_of(HubClient(server.endpoint)).spec is errors.CERTIFICATES_UNREADABLE


@pytest.mark.parametrize(
    ("options", "is_known", "reason"),
    [({}, False, "self-signed certificate"), ({"valid_days": -1}, True, "certificate has expired"),
     ({"address": "127.0.0.2"}, True, "IP address mismatch, certificate is not valid for '127.0.0.1'")])
def test_a_certificate_that_is_not_trusted_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], is_known: bool, reason: str,
) -> None:
    with tls_server(tmp_path, **options) as (url, certificate):
        if is_known:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        client = HubClient(url)
        with pytest.raises(AppError) as searched:
            client.search("")
        with pytest.raises(AppError) as read:
            client.read_range(REPO, "0" * 40, NAME, 0, 10)
    for error in (searched.value, read.value):
        assert error.spec is errors.CERTIFICATE_REFUSED
        assert error.message.endswith(f" to 127.0.0.1, because its certificate is not trusted: {reason}.")


def test_a_certificate_that_the_environment_names_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server(tmp_path) as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert HubClient(url).search("") == ()


@pytest.mark.parametrize("proxy", ["nonsense", "gopher://x:1", "socks5://127.0.0.1:1", "http://[::1", "http://a:b:c"])
def test_a_proxy_address_that_is_none(server: HubServer, proxy: str) -> None:
    client = HubClient(server.endpoint, proxy=proxy)
    assert failure_of(client).spec is errors.PROXY_INVALID
    assert proxy not in str(failure_of(client))


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://proxy.invalid:3128"])
def test_a_proxy_that_is_not_there_is_noticed_within_seconds(server: HubServer, proxy: str) -> None:
    client = HubClient(server.endpoint, proxy=proxy)
    started = time.monotonic()
    assert failure_of(client).spec is errors.HUB_UNREACHABLE
    assert time.monotonic() - started < 3
    client.close()


def test_a_hub_that_is_not_there_is_noticed_within_seconds() -> None:
    for endpoint in ("http://127.0.0.1:1", "http://hub.invalid", "https://127.0.0.1:1"):
        client = HubClient(endpoint)
        started = time.monotonic()
        error = failure_of(client)
        assert error.spec is errors.HUB_UNREACHABLE
        assert client.host in error.message
        assert time.monotonic() - started < 3
        client.close()


def test_a_server_without_tls_behind_an_https_address(server: HubServer) -> None:
    client = HubClient(server.endpoint.replace("http:", "https:"))
    assert failure_of(client).spec is errors.HUB_UNREACHABLE
    client.close()


@pytest.mark.parametrize("endpoint", [
    "nonsense", "ftp://x.example", "http://", "http://[::1", "https://exa mple", "https://u:p@x", "https://a..b",
    f"https://{'a' * 64}.example"])
def test_an_address_that_is_none(endpoint: str) -> None:
    client = HubClient(endpoint)
    assert client.host
    assert failure_of(client).spec is errors.HUB_ADDRESS_INVALID


def test_two_clients_with_different_settings_do_not_mix(server: HubServer) -> None:
    with HubServer({"tiny/second-GGUF": RepoFixture({"s-Q4_0.gguf": MODEL[:10]})}) as second_server:
        first, second = HubClient(server.endpoint, token=GOOD_TOKEN), HubClient(second_server.endpoint)
        assert first.repo(REPO).variants
        assert second.repo("tiny/second-GGUF").variants
        assert [hit.repo_id for hit in second.search("")] == ["tiny/second-GGUF"]
        assert len(first.search("")) == 3
        assert all(record.authorization is None for record in second_server.requests)
        first.close()
        second.close()
