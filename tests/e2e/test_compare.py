"""Two real models compared from the window: one downloaded first, side by side and in turn, blind, with votes."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.conftest import SMOLLM2_REPO, Program
from tests.helpers.real_models import smollm2_path

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

NAMES = ("SmolLM2", "gemma")


def test_both_models_answer_side_by_side_and_in_turn(program: Program) -> None:
    folder = program.data_dir / "models" / SMOLLM2_REPO
    folder.mkdir(parents=True)
    shutil.copy(smollm2_path(), folder)
    seen = program.run("compare")
    for words in ("tok/s", "first ", "load ", "peak ", "speeds are shared", "2 contestants · side by side"):
        assert words in seen["side_by_side"]
    assert all(name in seen["side_by_side"] for name in NAMES)
    assert not any(name in seen["blind"] for name in NAMES)
    assert "Answer A" in seen["blind"]
    assert all(name in seen["in_turn"] for name in NAMES)
    assert "speeds are shared" not in seen["in_turn"]
    in_turn, side_by_side = seen["kept"]
    assert (in_turn["way"], side_by_side["way"]) == ("in_turn", "side_by_side")
    for one in (in_turn, side_by_side):
        assert one["votes"] == 1
        assert all(speed > 0 for speed in one["speeds"])
        assert all(load_s > 0 for load_s in one["loads"])
