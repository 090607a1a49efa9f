"""Downloads that go on after a restart, linked files, uses and facts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localai_app.store.database import Store, open_store
from localai_app.store.records import DownloadState

FILES = (("a-00001-of-00002.gguf", 10**10, "ab" * 32), ("ü/b.gguf", 5, None))


def test_a_download_is_found_as_it_was_after_a_restart(store_path: Path) -> None:
    store = open_store(store_path)
    added = store.downloads.add(repo_id="owner/repo", commit="c" * 40, label="Q4_K_M", files=FILES)
    store.downloads.update(added.id, done_bytes=123)
    store.close()
    store = open_store(store_path)
    (found,) = store.downloads.list()
    assert (found.repo_id, found.commit, found.label, found.files) == ("owner/repo", "c" * 40, "Q4_K_M", FILES)
    assert (found.state, found.done_bytes, found.error) == (DownloadState.ACTIVE, 123, "")
    store.close()


def test_an_update_changes_only_what_it_names(store: Store) -> None:
    one, two = (store.downloads.add(repo_id=name, commit="c", label="", files=FILES) for name in ("one/x", "two/x"))
    store.downloads.update(one.id, state=DownloadState.FAILED, error="No space.")
    store.downloads.update(one.id, done_bytes=7)
    store.downloads.update(one.id)
    found = store.downloads.get(one.id)
    assert found is not None
    assert (found.state, found.error, found.done_bytes) == (DownloadState.FAILED, "No space.", 7)
    store.downloads.update(one.id, state=DownloadState.PAUSED, error="")
    found = store.downloads.get(one.id)
    assert found is not None
    assert (found.state, found.error, found.done_bytes) == (DownloadState.PAUSED, "", 7)
    assert store.downloads.get(two.id) == two
    store.downloads.remove(one.id)
    assert store.downloads.list() == (two,)
    assert store.downloads.get(one.id) is None


@pytest.mark.parametrize("damage", ["files = 'not json'", "files = '[[1]]'", "state = 'sleeping'"])
def test_a_download_that_cannot_be_read_does_not_hide_the_others(store: Store, expect_log, damage: str) -> None:
    bad, good = (store.downloads.add(repo_id=name, commit="c", label="", files=FILES) for name in ("bad/x", "good/x"))
    store._connection.write(f"UPDATE downloads SET {damage} WHERE id = ?", (bad.id,))
    expect_log("the download .* of bad/x cannot be read")
    assert store.downloads.list() == (good,)


def test_linking_twice_keeps_one_and_unlinking_forgets_it(store: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "Модель.gguf", tmp_path / "b.gguf"
    linked = store.library.link(first)
    store.library.link(str(second))
    assert store.library.link(str(first)) == linked
    assert [model.path for model in store.library.linked()] == [str(first), str(second)]
    store.library.unlink(str(first))
    assert [model.path for model in store.library.linked()] == [str(second)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows file names that are no text")
def test_a_file_name_that_is_no_text_can_be_linked(store: Store, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.gguf")
    Path(path).write_bytes(b"GGUF")
    store.library.link(path)
    (linked,) = store.library.linked()
    assert Path(linked.path).read_bytes() == b"GGUF"
    store.library.unlink(path)
    assert store.library.linked() == ()


def test_the_last_measured_speed_stays_until_a_new_one_comes(store_path: Path) -> None:
    seconds = iter(range(100, 200))
    store = open_store(store_path, clock=lambda: float(next(seconds)))
    store.library.note_use("a", tps=20.0, prompt_tps=200.0)
    store.library.note_use("b")
    store.library.note_use("a")
    uses = store.library.uses()
    assert [(use.model_key, use.tps, use.prompt_tps) for use in uses] == [("a", 20.0, 200.0), ("b", None, None)]
    assert uses[0].last_used_s > uses[1].last_used_s
    store.library.note_use("a", tps=21.0)
    assert (store.library.uses()[0].tps, store.library.uses()[0].prompt_tps) == (21.0, 200.0)
    store.close()


def test_facts_are_replaced(store: Store) -> None:
    assert store.library.get_fact("memory_bandwidth") is None
    store.library.set_fact("memory_bandwidth", "1.5e10")
    store.library.set_fact("memory_bandwidth", "2e10")
    assert store.library.get_fact("memory_bandwidth") == "2e10"
