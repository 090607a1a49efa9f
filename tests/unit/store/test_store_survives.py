"""Kills, full disks, locks and folders that cannot be written to, each with real processes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.store.database import open_store
from localai_app.store.records import MessageState, Role

KILLS = 20

WRITER = """
import sys, time
from pathlib import Path
from localai_app.store.database import open_store
from localai_app.store.records import MessageState, Role
store = open_store(Path(sys.argv[1]))
chat = store.conversations.create("chat")
answer = store.conversations.add_message(chat.id, Role.ASSISTANT, "", MessageState.STREAMING)
print(answer.id, flush=True)
number = 0
while True:
    store.conversations.append_text(answer.id, f"{number} ")
    print(number, flush=True)
    number += 1
    time.sleep(float(sys.argv[2]))
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from localai_app.errors import AppError
from localai_app.store.database import open_store
from localai_app.store.records import Role
store = open_store(Path(sys.argv[1]))
chat = store.conversations.create("chat")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for number in range(10_000):
    try:
        store.conversations.add_message(chat.id, Role.USER, f"{number} " + "x" * 1000)
    except AppError as error:
        print(error.code, number, len(store.conversations.messages(chat.id)))
        break
"""

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
connection.close()
"""


def _start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_kill_9_during_writing_never_loses_what_was_written(store_path: Path) -> None:
    chance = random.Random(7)
    written: dict[int, int] = {}
    for _ in range(KILLS):
        with _start(WRITER, store_path, 0.0) as child:
            assert child.stdout is not None
            answer_id = int(child.stdout.readline())
            threading.Event().wait(chance.uniform(0.0, 0.03))
            child.send_signal(signal.SIGKILL)
            numbers = child.stdout.read().split("\n")[:-1]
            written[answer_id] = len(numbers)
    assert len(written) == KILLS
    assert sum(written.values()) > KILLS
    store = open_store(store_path)
    assert store.notice is None
    for answer_id, count in written.items():
        message = store.conversations.get_message(answer_id)
        assert message.state is MessageState.INTERRUPTED
        found = message.text.split()
        # One more than was confirmed may have arrived before the kill.
        assert found == [str(number) for number in range(len(found))]
        assert len(found) - count in (0, 1)
    store.close()


def test_an_answer_that_another_running_program_streams_is_left_alone(store_path: Path) -> None:
    # At the pace of a model: one that only ever writes leaves others no turn within their time on a busy computer.
    with _start(WRITER, store_path, 0.02) as child:
        assert child.stdout is not None
        answer_id = int(child.stdout.readline())
        store = open_store(store_path)
        assert store.conversations.get_message(answer_id).state is MessageState.STREAMING
        store.close()
        child.kill()
    store = open_store(store_path)
    assert store.conversations.get_message(answer_id).state is MessageState.INTERRUPTED
    store.close()


@pytest.mark.parametrize("cut", [1, 32, 1000, 5000, 20_000])
def test_a_truncated_write_ahead_log_loses_only_its_end(tmp_path: Path, cut: int) -> None:
    original = tmp_path / "original" / "localai.sqlite3"
    store = open_store(original)
    chat = store.conversations.create("chat")
    for number in range(40):
        store.conversations.add_message(chat.id, Role.USER, f"message {number}")
    # What a crash leaves: the files as they are while the program runs.
    path = tmp_path / "crashed" / "localai.sqlite3"
    path.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{original}{suffix}", f"{path}{suffix}")
    store.close()
    with Path(f"{path}-wal").open("r+b") as log:
        log.truncate(Path(f"{path}-wal").stat().st_size - cut)

    again = open_store(path)
    assert again.notice is None
    texts = [message.text for message in again.conversations.messages(chat.id)]
    assert texts == [f"message {number}" for number in range(len(texts))]
    # Each message takes at least one page of 4 KiB in the log.
    assert len(texts) >= 40 - cut // 4096 - 2
    again.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits on Windows")
def test_a_full_disk_is_told_in_words_and_loses_nothing(store_path: Path) -> None:
    with _start(FULL_DISK, store_path) as child:
        output, _ = child.communicate(timeout=60)
    code, failed_at, readable = output.split()
    assert code == "store_unavailable"
    assert int(failed_at) > 10
    assert int(readable) == int(failed_at)
    store = open_store(store_path)
    assert store.notice is None
    (chat,) = store.conversations.list()
    texts = [message.text.split()[0] for message in store.conversations.messages(chat.id)]
    assert texts == [str(number) for number in range(int(failed_at))]
    store.close()


def test_a_lock_of_another_program_is_told_after_the_timeout(store_path: Path) -> None:
    open_store(store_path).close()
    with _start(LOCKER, store_path, "BEGIN EXCLUSIVE") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(AppError) as busy:
            open_store(store_path, busy_timeout_s=0.2)
        assert busy.value.code == "store_busy"
        child.communicate("")
    store = open_store(store_path)
    assert store.notice is None
    store.close()


def test_a_write_while_another_program_holds_the_lock_can_be_repeated(store_path: Path) -> None:
    store = open_store(store_path, busy_timeout_s=0.2)
    with _start(LOCKER, store_path, "BEGIN IMMEDIATE") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        with pytest.raises(AppError) as busy:
            store.conversations.create("chat")
        assert busy.value.code == "store_busy"
        assert store.conversations.list() == ()
        child.communicate("")
    store.conversations.create("chat")
    assert [chat.title for chat in store.conversations.list()] == ["chat"]
    store.close()


def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for path in (tmp_path / "file" / "localai.sqlite3", tmp_path / "file" / "deeper" / "localai.sqlite3"):
        with pytest.raises(AppError) as unavailable:
            open_store(path)
        assert unavailable.value.code == "store_unavailable"
        assert str(path.parent) in unavailable.value.message


def test_a_folder_in_place_of_the_file_is_told_in_words(store_path: Path) -> None:
    store_path.mkdir()
    with pytest.raises(AppError) as unavailable:
        open_store(store_path)
    assert unavailable.value.code == "store_unavailable"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files on Linux, whoever asks")
def test_a_folder_that_takes_no_files_is_told_in_words() -> None:
    with pytest.raises(AppError) as unavailable:
        open_store(Path("/proc/self/localai.sqlite3"))
    assert unavailable.value.code == "store_unavailable"


def test_a_path_with_spaces_and_letters_of_many_scripts_works(tmp_path: Path) -> None:
    sign = "" if sys.platform == "win32" else "?"  # No name of Windows has one.
    path = tmp_path / f"Benutzer Ünï 用户 %20#{sign}" / "data folder" / "localai.sqlite3"
    store = open_store(path)
    store.conversations.create("chat")
    store.close()
    assert path.is_file()
    store = open_store(path)
    assert [chat.title for chat in store.conversations.list()] == ["chat"]
    store.close()


def test_closing_twice_is_allowed(store_path: Path) -> None:
    store = open_store(store_path)
    store.close()
    store.close()
