"""Scenario 50: the wheel in a clean environment, without a screen, and without the engine."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture

CHECKOUT = Path(__file__).resolve().parents[3]
REPO = "tester/Tiny-GGUF"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder),
         str(CHECKOUT)], check=True, cwd=folder)
    return next(folder.glob("localai_app-*.whl"))


class Installation:
    """The wheel in an environment of its own; its dependencies are those of this one, but for `without`."""

    def __init__(self, folder: Path, wheel: Path, without: tuple[str, ...] = ()) -> None:
        self._folder = folder
        venv.create(folder / "env", with_pip=False)
        self._python = folder / "env" / "bin" / "python"
        subprocess.run(
            [sys.executable, "-m", "pip", "--quiet", "--python", str(self._python), "install", "--no-deps", "--no-index",
             str(wheel)], check=True)
        dependencies = folder / "dependencies"
        dependencies.mkdir()
        for entry in Path(site.getsitepackages()[0]).iterdir():
            if entry.suffix != ".pth" and not entry.name.startswith(("localai_app", *without)):
                (dependencies / entry.name).symlink_to(entry)
        own = next((folder / "env" / "lib").glob("python*/site-packages"))
        (own / "dependencies.pth").write_text(f"{dependencies}\n")

    def run(self, *arguments: str, endpoint: str = "http://127.0.0.1:9") -> tuple[int, dict]:
        """Exit code and the JSON document of a command, started away from the checkout and without a screen."""
        environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        result = subprocess.run(
            [str(self._folder / "env" / "bin" / "localai-app"), *arguments, "--json", "--data-dir", str(self._folder / "data")],
            capture_output=True, text=True, timeout=120, cwd=self._folder, check=False,
            env={**environment, "QT_QPA_PLATFORM": "offscreen", "HF_ENDPOINT": endpoint})
        assert "Traceback" not in result.stderr, result.stderr
        return result.returncode, json.loads(result.stdout)


def test_the_wheel_has_the_prompt_sets(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("localai_app/resources/prompts/")}
    assert packed == {f"localai_app/resources/prompts/{path.name}" for path in (CHECKOUT / "resources" / "prompts").iterdir()}
    assert len(packed) == 5


def test_the_wheel_passes_its_self_check_without_a_screen(tmp_path: Path, wheel: Path) -> None:
    code, report = Installation(tmp_path, wheel).run("--self-check")
    assert code == 0
    assert report["ok"] is True
    assert report["engine"] == "works"
    assert report["frame"] == "works"
    assert report["catalog_models"] > 100


def test_without_the_engine_the_rest_works_and_it_says_so(tmp_path: Path, wheel: Path) -> None:
    installation = Installation(tmp_path, wheel, without=("llama_cpp",))
    code, report = installation.run("--self-check")
    assert code == 0
    assert report["frame"] == "works"
    assert report["engine"] == "The engine (llama.cpp) is not installed here."
    code, suggestions = installation.run("suggest")
    assert code == 0
    assert len(suggestions["suggestions"]) == 3
    tiny = write_tiny_gguf(tmp_path / "tiny-Q8_0.gguf").read_bytes()
    with HubServer({REPO: RepoFixture({"tiny-Q8_0.gguf": tiny})}) as hub:
        code, pulled = installation.run("pull", REPO, endpoint=hub.endpoint)
    assert code == 0
    code, fit = installation.run("fit", pulled["model"])
    assert code == 0
    assert fit["basis"] == "header"
    code, failure = installation.run("chat", pulled["model"], "-p", "Hello")
    assert code == 1
    assert failure["error"]["code"] == "engine_missing"
    assert failure["error"]["action"]
