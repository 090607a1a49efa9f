"""What makes a bundle stale."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

from tools.package import inputs


def tree(folder: Path) -> Path:
    (folder / "src" / "part").mkdir(parents=True)
    (folder / "src" / "part" / "a.py").write_text("a = 1\n")
    (folder / "src" / "b.py").write_text("b = 1\n")
    return folder / "src"


def test_equal_trees_have_equal_keys_wherever_they_lie(tmp_path: Path) -> None:
    first = tree(tmp_path / "one")
    second = shutil.copytree(first, tmp_path / "two" / "src")
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "b.pyc").write_bytes(b"compiled")
    assert inputs.key_of([first]) == inputs.key_of([second])


def test_every_change_is_seen(tmp_path: Path) -> None:
    source = tree(tmp_path)
    seen = {inputs.key_of([source])}
    (source / "b.py").write_text("b = 2\n")
    seen.add(inputs.key_of([source]))
    (source / "b.py").rename(source / "c.py")
    seen.add(inputs.key_of([source]))
    (source / "empty").touch()
    seen.add(inputs.key_of([source]))
    seen.add(inputs.key_of([source], "another Python"))
    assert len(seen) == 5


def _hold(path: str, taken: object, go_on: object) -> None:
    with inputs.locked(Path(path)):
        taken.set()
        go_on.wait(30)


def test_two_makers_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken, go_on = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path / "lock"), taken, go_on))
    other.start()
    try:
        assert taken.wait(30)
        go_on.set()
        with inputs.locked(tmp_path / "lock"):
            pass
    finally:
        go_on.set()
        other.join(30)
        other.close()
