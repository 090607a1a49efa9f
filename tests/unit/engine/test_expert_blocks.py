"""Which tensors stay in main memory when the experts of some blocks do."""

from __future__ import annotations

import re

import pytest

from localai_app.engine.worker.expert_blocks import expert_overrides, expert_pattern


@pytest.mark.parametrize("name", [
    "blk.0.ffn_up_exps.weight", "blk.11.ffn_gate_exps.weight", "blk.7.ffn_down_exps.weight", "blk.3.ffn_gate_up_exps.weight",
    "blk.2.ffn_down_chexps.weight", "blk.1.ffn_up_exps.bias"])
def test_experts_of_the_first_blocks_are_named(name: str) -> None:
    assert re.search(expert_pattern(12), name)


@pytest.mark.parametrize("name", [
    "blk.12.ffn_up_exps.weight", "blk.110.ffn_up_exps.weight", "blk.1.ffn_up_shexp.weight", "blk.1.ffn_up.weight",
    "blk.1.attn_q.weight", "blk.1.ffn_gate_inp.weight", "output.weight"])
def test_everything_else_stays_on_the_gpu(name: str) -> None:
    assert not re.search(expert_pattern(12), name)


def test_the_list_ends_with_an_empty_entry() -> None:
    overrides = expert_overrides(2, 4096)
    assert (overrides[0].pattern, overrides[0].buffer_type) == (expert_pattern(2).encode(), 4096)
    assert (overrides[1].pattern, overrides[1].buffer_type) == (None, None)
