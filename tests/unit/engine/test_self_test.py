from __future__ import annotations

import hashlib
import math
from pathlib import Path

from localai_app.engine import self_test, tiny_model
from localai_app.gguf.reader import read_header_file


def test_the_tiny_model_is_always_the_same_and_readable(tmp_path: Path) -> None:
    path = tiny_model.write_tiny_model(tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == self_test.reference().model_sha256
    assert path.stat().st_size < 1_000_000
    header = read_header_file(path)
    assert [tensor.name for tensor in header.tensors] == [tensor.name for tensor in tiny_model.tensors()]


def test_a_damaged_copy_of_it_is_written_again(tmp_path: Path) -> None:
    path = tiny_model.write_tiny_model(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    assert tiny_model.write_tiny_model(tmp_path).read_bytes() == tiny_model.tiny_model_bytes()


def test_results_are_told_apart() -> None:
    known = self_test.reference()
    assert self_test.difference(known.after_prompt, known.after_continuation) == 0
    rounded = tuple(value * 1.002 for value in known.after_prompt)
    assert self_test.difference(rounded, known.after_continuation) < self_test.MAX_DIFFERENCE
    assert self_test.difference(known.after_continuation, known.after_continuation) > 5 * self_test.MAX_DIFFERENCE
    doubled = tuple(2 * value for value in known.after_continuation)
    assert self_test.difference(known.after_prompt, doubled) > 5 * self_test.MAX_DIFFERENCE
    assert self_test.difference(known.after_prompt, known.after_prompt[:-1]) == math.inf
    assert self_test.difference((math.nan, *known.after_prompt[1:]), known.after_continuation) == math.inf
