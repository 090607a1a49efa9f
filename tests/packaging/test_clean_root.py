"""The .deb in a fresh Debian: installed with what it declares, used, traced, and removed with nothing left but the user's data.

All of it is done once, in one order, by the fixture `record`; each test looks at a part of what came of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SMOLLM2_REPO
from tests.helpers.real_models import smollm2_path
from tests.packaging import clean_root as roots
from tests.packaging.clean_root import HOME, CleanRoot
from tests.packaging.connections import Sent, sent_in, violations, was_traced
from tools.package import deb

ROOT = Path(__file__).resolve().parents[2]
CATALOG = "/usr/lib/localai-app/_internal/localai_app/resources/catalog/demo.json"
QUESTION = "Tell a long story about a lighthouse."
SHOTS = "LOCALAI_TEST_SHOTS"  # A folder that keeps the pictures of the windows.
HANDED_OVER = "a model.gguf"
TOOLS_OF_DESKTOPS = ("xdg-utils", "desktop-file-utils", "shared-mime-info", "libglib2.0-bin")
DATA = tuple(f"{HOME}/{folder}" for folder in (".local", ".config", ".cache", HANDED_OVER))

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]

LIVE_SPEED = r"^[\d.]+ tok/s"
CHAT = [
    {"wait_button": "New chat"}, {"click_text": "Message"}, {"type": QUESTION}, {"key": "Return"}, {"wait_match": LIVE_SPEED},
    {"see": "live"}, {"key": "Escape"}, {"wait_button": "Copy the answer"}, {"see": "answer"}]
WINDOW = ["localai-app", "--catalog", CATALOG]
MAIN_JOB: list[list[Any]] = [
    ["command", "tokens", ["localai-app", "settings", "max_answer_tokens", "400"]],
    ["command", "hardware", ["localai-app", "hardware", "--json"]],
    ["window", "first", WINDOW, [[
        {"wait_button": "Download and chat"}, {"wait": "This computer can run"}, {"see": "suggestions"},
        {"shoot": "suggestions"}, {"click": "Download and chat"}, *CHAT, {"shoot": "chat"}, {"close": True}]]],
    ["window", "again", WINDOW, [[
        {"wait_button": "New chat"}, {"click_text": QUESTION}, {"wait": "first after"}, {"see": "answer"},
        {"shoot": "again"}, {"close": True}]]],
    ["command", "models", ["localai-app", "models", "--json"]],
    ["command", "chat", ["localai-app", "chat", f"{SMOLLM2_REPO}:Q4_1", "-p", "Hi", "--max-tokens", "8", "--json"]],
]
OFFLINE: list[list[Any]] = [
    ["command", "offline-suggest", ["localai-app", "suggest", "--json"]],
    ["window", "offline", ["localai-app"], [[
        {"click": "New chat"}, *CHAT, {"key": "ctrl+2"}, {"shoot": "offline"}, {"see": "models"}, {"close": True}]]],
]
OPENING: list[list[Any]] = [
    ["window", "opening", WINDOW, [
        [{"wait_button": "New chat"}],
        {"run": ["gio", "open", f"{HOME}/{HANDED_OVER}"]}, [{"wait": "a model"}, {"see": "file"}, {"shoot": "file"}],
        {"run": ["xdg-open", f"hf:{SMOLLM2_REPO}"]},
        [{"wait_button": "Model card"}, {"see": "link"}, {"shoot": "link"}, {"close": True}]]],
]


@dataclass
class Record:
    """What came of everything that was done in the fresh system, in one order; each test looks at one part."""

    folder: Path
    check: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    handlers: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    has_chats: bool = False
    hub_ports: list[int] = field(default_factory=list)

    def window(self, name: str) -> dict[str, Any]:
        """A run of the window that came to its end as it should."""
        run: dict[str, Any] = self.runs[name]
        assert not run["failed"], f"{run['failed']}\n{run['said']}\n{run['steps']}"
        assert run["code"] == 0, run["said"]
        return run

    def sent_elsewhere(self, name: str, ports: list[int]) -> list[Sent]:
        """What a run sent to anything but these ports of loopback, with all its children."""
        log = self.folder / f"{name}.strace"
        assert was_traced(log, "localai-app"), f"nothing was traced of {name}"
        return violations(sent_in(log), ports)


@pytest.fixture(scope="module")
def record(needs: Callable[[str | Path], Path]) -> Iterator[Record]:
    package = needs(deb.file_name())
    if problem := roots.problem():
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    with tempfile.TemporaryDirectory(prefix="localai-desk-") as name:
        # pytest's own folders are closed to the ordinary user, who has to reach the screen and the bus in it.
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "desk").mkdir()
        (folder / "desk").chmod(0o777)
        (folder / "root").mkdir()
        yield use_it(package, folder)


def use_it(package: Path, folder: Path) -> Record:
    """Install, check, use, open and remove it."""
    model = str(smollm2_path())
    found = Record(folder / "desk")
    with roots.clean_root(folder / "root", field_of(package, "Depends")) as root:
        before = root.files()
        shutil.copyfile(package, root.path(f"/tmp/{package.name}"))
        root.apt("install", "--no-install-recommends", f"/tmp/{package.name}")
        found.check = json.loads(root.run("localai-app", "--self-check", is_checked=False).stdout)
        found.runs = at_a_desk(root, found.folder, MAIN_JOB, {SMOLLM2_REPO: model})
        found.hub_ports = found.runs["hub_ports"]
        found.runs |= at_a_desk(root, found.folder, OFFLINE, {})
        without_tools = root.files()
        root.apt("install", "--no-install-recommends", *TOOLS_OF_DESKTOPS)
        tools = root.files() - without_tools
        shutil.copyfile(model, root.path(f"{HOME}/{HANDED_OVER}"))
        for kind in ("application/x-gguf", "x-scheme-handler/hf"):
            found.handlers.append(root.run("xdg-mime", "query", "default", kind).stdout.strip())
        facts = root.run("gio", "info", "--attributes=standard::content-type", f"{HOME}/{HANDED_OVER}").stdout
        found.handlers.append(facts.split()[-1])
        found.runs |= at_a_desk(root, found.folder, OPENING, {SMOLLM2_REPO: model})
        root.keep_archives()
        root.apt("purge", "localai-app")
        after = root.files()
        added = {path for path in after - before - tools if not path.startswith(DATA)}
        named = {path for path in after if re.search("localai|gguf", path) and not path.startswith(DATA)}
        # Folders that the desktop's tools share with the package were there first by the package.
        found.left = sorted(path for path in added | named if not root.is_owned(path))
        found.taken = sorted(before - after)
        found.has_chats = root.path(f"{HOME}/.local/share/localai-app/localai.sqlite3").is_file()
    return found


def field_of(package: Path, name: str) -> str:
    done = subprocess.run(["dpkg-deb", "--field", str(package), name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def at_a_desk(root: CleanRoot, folder: Path, runs: list[list[Any]], repos: dict[str, str]) -> dict[str, Any]:
    """What came of runs of the program in a network of its own, with a Hub of these repositories if there are any."""
    job = {"root": str(root.folder), "folder": str(folder), "repos": repos, "runs": runs}
    command = ["unshare", "--net", sys.executable, "-m", "tests.packaging.desk"]
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    results: dict[str, Any] = json.loads(done.stdout)
    for shot in folder.glob("*.xwd"):
        keep_picture(shot)
    return results


def keep_picture(shot: Path) -> None:
    """Keep a picture of the screen as PNG where somebody wants to look at it."""
    if SHOTS not in os.environ:
        return
    from PySide6.QtGui import QImage

    data = shot.read_bytes()
    header_bytes, width, height, line_bytes, n_colors = (int.from_bytes(data[at:at + 4], "big") for at in (0, 16, 20, 48, 76))
    folder = Path(os.environ[SHOTS])
    folder.mkdir(parents=True, exist_ok=True)
    picture = QImage(data[header_bytes + 12 * n_colors:], width, height, line_bytes, QImage.Format.Format_RGB32)
    picture.save(str(folder / f"{shot.stem}.png"))


def test_the_engine_of_the_installed_program_works_for_an_ordinary_user(record: Record) -> None:
    """Also without Vulkan, which the package only recommends."""
    assert record.check["ok"] is True, json.dumps(record.check)
    assert record.check["engine"] == "works"


def test_the_main_job_can_be_done_in_its_window(record: Record) -> None:
    """Suggestion, download, chat with its speed, the end, and the chat again: all of it by mouse and keys."""
    first, again = record.window("first"), record.window("again")
    assert re.search(LIVE_SPEED, first["seen"]["live"], re.MULTILINE)
    assert "Stop the answer" in first["seen"]["live"], "the speed was seen only when the answer was over"
    assert re.search(r"first after [\d.]+ m?s", first["seen"]["answer"])
    assert QUESTION in again["seen"]["answer"]
    assert re.search(r"\d tok/s", again["seen"]["answer"])


def test_the_same_job_can_be_done_by_its_commands(record: Record) -> None:
    for name in ("tokens", "hardware", "models", "chat"):
        assert record.runs[name]["code"] == 0, record.runs[name]["stderr"]
    assert SMOLLM2_REPO in record.runs["models"]["stdout"]
    assert json.loads(record.runs["chat"]["stdout"])["text"]


@pytest.mark.parametrize("name", ["tokens", "hardware", "first", "again", "models", "chat"])
def test_nothing_goes_anywhere_but_to_the_hub(record: Record, name: str) -> None:
    assert record.sent_elsewhere(name, record.hub_ports) == []


def test_the_download_went_past_the_tracer(record: Record) -> None:
    seen = {one.port for one in sent_in(record.folder / "first.strace")}
    assert set(record.hub_ports) <= seen


def test_without_a_network_it_shows_the_catalog_and_chats(record: Record) -> None:
    offline = record.window("offline")
    assert re.search(r"\d tok/s", offline["seen"]["answer"])
    assert "Discover" in offline["seen"]["models"]
    assert record.runs["offline-suggest"]["code"] == 0
    assert json.loads(record.runs["offline-suggest"]["stdout"])
    for name in ("offline", "offline-suggest"):
        assert all(one.address not in ("127.0.0.1", "::1") for one in record.sent_elsewhere(name, []))


def test_models_and_links_open_in_the_window_that_is_there(record: Record) -> None:
    """The desktop's own programs choose it, and the second start hands over to the first and ends."""
    assert record.handlers == ["localai-app.desktop", "localai-app.desktop", "application/x-gguf"]
    opening = record.window("opening")
    assert opening["codes"] == [0, 0], opening["steps"]
    assert "SmolLM2 135M Instruct" in opening["seen"]["link"]


def test_nothing_but_data_is_left_after_it_was_removed(record: Record) -> None:
    assert record.left == []
    assert record.taken == []
    assert record.has_chats, "the user's chats are gone"
