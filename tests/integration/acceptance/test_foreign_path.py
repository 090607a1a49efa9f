"""A profile whose path has spaces and letters of other scripts: download, load and chat, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import run_program
from tests.helpers.real_models import smollm2_path

REPO = "local-ai-demo/SmolLM2-135M-Instruct-GGUF"


@pytest.mark.model
def test_download_load_and_chat_below_a_foreign_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "Größe 用户 профиль é" / "mit Leerzeichen"
    source = smollm2_path()
    with HubServer({REPO: RepoFixture({source.name: source})}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        pulled = run_program("pull", REPO, "--json", "--data-dir", data_dir)
    assert pulled.code == 0, pulled.stderr
    path = Path(pulled.document["paths"][0])
    assert path.is_relative_to(data_dir)
    assert path.stat().st_size == source.stat().st_size
    question = ("-p", "Say hello in one short sentence.", "--temp", "0", "--max-tokens", "24", "--ctx", "512", "--json")
    for model in (f"{REPO}:Q4_1", str(path)):
        answer = run_program("chat", model, *question, "--data-dir", data_dir)
        assert answer.code == 0, answer.stderr
        assert len(answer.document["text"].split()) >= 2
        assert answer.document["tps"] > 0
    assert Path(data_dir / "localai.sqlite3").exists()
