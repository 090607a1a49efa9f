"""What comparisons remember: hashes of files, and what side by side gave."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from localai_app.compare.schedule import PROCESSOR, ContestantNeed, DeviceUse
from localai_app.hardware.cpu import this_cpu
from localai_app.services.compare.file_hashes import FileHashes
from localai_app.services.compare.side_by_side_memory import MOST_GAIN, SideBySideMemory
from localai_app.store.database import Store, open_store


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "store.db")
    yield opened
    opened.close()


def test_a_file_is_hashed_once_and_again_after_a_change(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, hashes = tmp_path / "model.gguf", FileHashes(store.library)
    path.write_bytes(b"weights" * 1000)
    assert hashes.known(path) is None
    assert hashes.of(path, lambda: True) is None, "it was cancelled"
    first = hashes.of(path)
    assert first == hashlib.sha256(b"weights" * 1000).hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_args, **_kwargs: pytest.fail("it was read again"))
        assert hashes.of(path) == FileHashes(store.library).known(path) == first
    path.write_bytes(b"WEIGHTS" * 1000)
    os.utime(path, ns=(1, 1))
    assert hashes.known(path) is None
    assert hashes.of(path) == hashlib.sha256(b"WEIGHTS" * 1000).hexdigest()
    path.unlink()
    assert hashes.of(path) is None


def need(tps: float | None, device: str = PROCESSOR) -> ContestantNeed:
    return ContestantNeed((DeviceUse(device, 1, 2),), tps)


def test_what_side_by_side_gave_counts_for_the_same_devices_on_the_same_processor(store: Store) -> None:
    memory, cpu = SideBySideMemory(store.library), this_cpu()
    two = [need(40.0), need(20.0)]
    assert memory.gain(cpu, two) == 1.0
    memory.learn(cpu, two, 45.0)
    assert memory.gain(cpu, two) == pytest.approx(1.5), "the rule says 30 tok/s"
    assert memory.gain(cpu, [need(1.0), need(None)]) == pytest.approx(1.5), "other models on the same processor"
    assert memory.gain(cpu, [need(40.0), need(20.0), need(10.0)]) == 1.0
    assert memory.gain(cpu, [need(40.0), need(20.0, "CUDA0")]) == 1.0
    memory.learn(cpu, two, 30.0)
    assert 1.0 < memory.gain(cpu, two) < 1.5, "the newest counts, and not alone"
    memory.learn(cpu, two, 1e9)
    assert memory.gain(cpu, two) <= MOST_GAIN


def test_nothing_is_learned_from_speeds_that_are_not_known(store: Store) -> None:
    memory, cpu = SideBySideMemory(store.library), this_cpu()
    for needs, measured in (([need(40.0), need(None)], 30.0), ([need(40.0), need(20.0)], 0.0)):
        memory.learn(cpu, needs, measured)
        assert memory.gain(cpu, needs) == 1.0
