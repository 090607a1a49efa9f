"""The state of a conversation on disk: comes back as it was written, and nothing else is taken for one."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.engine.load_options import KvType, LoadOptions
from localai_app.engine.worker.state_file import (
    StateFileError,
    StateHeader,
    StatePart,
    read_state,
    state_key,
    write_state,
)
from tests.helpers.torture import rounds

KEY = "model|1|2"
LIMIT = 1024**2


def copy_of(data: bytes) -> mmap.mmap:
    copy = mmap.mmap(-1, len(data))
    copy[:] = data
    return copy


def written(path: Path) -> bytes:
    header = StateHeader(
        key=KEY, tokens=(1, 2, 3), text="Où est-il ?", text_tokens=(1, 2, 3, 4), marks=((2, 1), (11, 4)),
        parts=(StatePart(3, 0, 0), StatePart(2, 0, 0)))
    assert write_state(path, header, (copy_of(b"whole state" * 9), copy_of(b"part"))) == path.stat().st_size
    return path.read_bytes()


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "1.state"
    written(path)
    header, copies = read_state(path, KEY, LIMIT)
    assert (header.tokens, header.text, header.marks) == ((1, 2, 3), "Où est-il ?", ((2, 1), (11, 4)))
    assert [part.n_tokens for part in header.parts] == [3, 2]
    assert [bytes(copy) for copy in copies] == [b"whole state" * 9, b"part"]
    assert [file.name for file in path.parent.iterdir()] == ["1.state"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_key_and_too_large_a_file_are_refused(tmp_path: Path) -> None:
    size = len(written(tmp_path / "1.state"))
    with pytest.raises(StateFileError, match="another model"):
        read_state(tmp_path / "1.state", KEY + "3", LIMIT)
    with pytest.raises(StateFileError, match="larger"):
        read_state(tmp_path / "1.state", KEY, size - 1)
    with pytest.raises(StateFileError):
        read_state(tmp_path / "2.state", KEY, LIMIT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=rounds(80, 2000), deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "1.state"
    good = written(path)
    place = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        bad = good[:place]
    else:
        bad = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1:]
    path.write_bytes(bad)
    with pytest.raises(StateFileError):
        read_state(path, KEY, LIMIT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=rounds(40, 1000), deadline=None)
@given(st.binary(max_size=200))
def test_a_foreign_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "1.state"
    path.write_bytes(data)
    with pytest.raises(StateFileError):
        read_state(path, KEY, LIMIT)


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    (tmp_path / "1.state").mkdir()
    with pytest.raises(OSError, match="directory"):
        written(tmp_path / "1.state")
    assert [file.name for file in tmp_path.iterdir()] == ["1.state"]


def test_the_key_names_what_a_state_depends_on(tmp_path: Path) -> None:
    model = tmp_path / "a.gguf"
    model.write_bytes(b"GGUF")
    options = LoadOptions(model_path=str(model), ctx=512)
    keys = {
        state_key(options, 512, "one"), state_key(options, 1024, "one"), state_key(options, 512, "two"),
        state_key(LoadOptions(model_path=str(model), ctx=512, kv_type=KvType.Q8_0), 512, "one")}
    os.utime(model, (1, 1))
    assert len(keys | {state_key(options, 512, "one")}) == 5
    model.unlink()
    assert state_key(options, 512, "one") == ""
