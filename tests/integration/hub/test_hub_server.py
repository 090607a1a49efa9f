"""The Hub server of the tests, held to account by the real huggingface_hub client."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from tests.helpers.hub_server import GOOD_TOKEN, UNGRANTED_TOKEN, HubServer, RepoFixture

MODEL = b"GGUF" + random.Random(1).randbytes(300_000)
REPO = "tiny/model-GGUF"


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would otherwise ask the public Hub which coding agents there are."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def server() -> Iterator[HubServer]:
    repos = {
        REPO: RepoFixture(
            {"model-Q4_K_M.gguf": MODEL, "sub/model-Q8_0.gguf": MODEL[:1000], "README.md": b"# hello"}, downloads=7, likes=3
        ),
        "tiny/gated-GGUF": RepoFixture({"gated-Q4_0.gguf": MODEL[:500]}, gated=True, downloads=99),
        "other/thing": RepoFixture({"weights.bin": b"1234"}, tags=("pytorch",)),
    }
    with HubServer(repos) as running:
        yield running


@pytest.fixture
def api(server: HubServer) -> HfApi:
    return HfApi(endpoint=server.endpoint, token=False)


def test_search_filters_sorts_limits_and_pages(server: HubServer, api: HfApi) -> None:
    assert [m.id for m in api.list_models(filter="gguf", sort="downloads")] == ["tiny/gated-GGUF", REPO]
    assert [m.id for m in api.list_models(search="tiny model")] == [REPO]
    assert [m.id for m in api.list_models(author="other")] == ["other/thing"]
    server.page_size = 1
    assert len(list(api.list_models(filter="gguf"))) == 2
    assert len(list(api.list_models(filter="gguf", limit=1))) == 1
    expanded = next(iter(api.list_models(search="gated", expand=["gated", "downloads", "lastModified"])))
    assert expanded.gated == "manual"
    assert expanded.downloads == 99
    assert expanded.last_modified is not None


def test_model_info_and_tree_agree_with_the_files(server: HubServer, api: HfApi) -> None:
    info = api.model_info(REPO, files_metadata=True)
    assert info.sha == server.commit(REPO)
    assert info.gguf is not None
    assert info.gguf["architecture"] == "llama"
    assert info.siblings is not None
    by_name = {sibling.rfilename: sibling for sibling in info.siblings}
    large = by_name["model-Q4_K_M.gguf"].lfs
    assert large is not None
    assert large.sha256 == hashlib.sha256(MODEL).hexdigest()
    server.page_size = 1
    for expand in (False, True):
        rows = list(api.list_repo_tree(REPO, recursive=True, expand=expand))
        assert [row.path for row in rows] == ["sub", "README.md", "model-Q4_K_M.gguf", "sub/model-Q8_0.gguf"]
    assert [row.path for row in api.list_repo_tree(REPO, "sub")] == ["sub/model-Q8_0.gguf"]


def test_the_real_client_downloads_large_and_small_files(server: HubServer, tmp_path: Path) -> None:
    for name, data in (("model-Q4_K_M.gguf", MODEL), ("README.md", b"# hello"), ("sub/model-Q8_0.gguf", MODEL[:1000])):
        path = hf_hub_download(REPO, name, endpoint=server.endpoint, cache_dir=tmp_path, token=False)
        assert Path(path).read_bytes() == data
    assert {record.site for record in server.requests} == {"hub", "cdn"}


def test_the_real_client_resumes_after_a_drop(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: Callable[[str], None]
) -> None:
    expect_log("Error while downloading from")
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 16_384)
    server.fail("/cdn/*", "drop@0.5")
    path = hf_hub_download(REPO, "model-Q4_K_M.gguf", endpoint=server.endpoint, cache_dir=tmp_path, token=False)
    assert Path(path).read_bytes() == MODEL
    first, second = server.body_requests()
    assert first.bytes_sent == len(MODEL) // 2
    assert second.range is not None
    assert second.status == 206


def test_errors_have_the_types_of_the_real_hub(server: HubServer, api: HfApi, tmp_path: Path) -> None:
    signed_in = HfApi(endpoint=server.endpoint, token=GOOD_TOKEN)
    with pytest.raises(RepositoryNotFoundError):
        signed_in.model_info("no/such")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="0" * 40)
    with pytest.raises(EntryNotFoundError):
        signed_in.hf_hub_download(REPO, "absent.gguf", cache_dir=tmp_path)
    for token in (False, UNGRANTED_TOKEN):
        with pytest.raises(GatedRepoError):
            hf_hub_download("tiny/gated-GGUF", "gated-Q4_0.gguf", endpoint=server.endpoint, cache_dir=tmp_path, token=token)
    granted = signed_in.hf_hub_download("tiny/gated-GGUF", "gated-Q4_0.gguf", cache_dir=tmp_path)
    assert Path(granted).read_bytes() == MODEL[:500]
    assert signed_in.whoami()["name"] == "tester"
    assert all(record.authorization is None for record in server.requests if record.site == "cdn")


def test_a_new_commit_leaves_the_old_one_reachable(server: HubServer, api: HfApi) -> None:
    old = server.commit(REPO)
    new = server.publish(REPO, RepoFixture({"model-Q4_K_M.gguf": MODEL[:2000]}))
    assert old != new
    assert api.model_info(REPO).sha == new
    assert api.model_info(REPO, revision=old).sha == old


def test_it_runs_as_a_program_with_control_and_log(tmp_path: Path) -> None:
    model = tmp_path / "demo-Q4_K_M.gguf"
    model.write_bytes(MODEL)
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "tests.helpers.hub_server", "--repo", f"{REPO}={model}", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        body = json.dumps({"path": "/api/models/*", "script": "status=503"}).encode()
        with urllib.request.urlopen(f"{endpoint}/__control/fail", data=body) as answer:
            assert json.load(answer) == {"ok": True}
        path = hf_hub_download(REPO, model.name, endpoint=endpoint, cache_dir=tmp_path / "cache", token=False)
        assert Path(path).read_bytes() == MODEL
        process.terminate()
        assert process.wait(10) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(record["bytes_sent"] for record in records if record["site"] == "cdn" and record["finished"]) == len(MODEL)
