"""What builds of llama.cpp are compared with is right: the stored logits against a calculation without llama.cpp."""

from __future__ import annotations

import pytest

from localai_app.engine.self_test import CONTINUATION, MAX_DIFFERENCE, PROMPT, difference

pytest.importorskip("numpy")


def test_the_stored_logits_are_those_of_the_formats_and_the_architecture() -> None:
    from tests.helpers.tiny_model_forward import logits, weights

    model = weights()
    after_prompt, after_continuation = logits(model, PROMPT), logits(model, [*PROMPT, *CONTINUATION])
    found = difference(after_prompt, after_continuation)
    print(f"stored against calculated: {found:.4f} of the spread")
    # llama.cpp rounds activations to 8 bits; what is wrong in a part of the model is far more off.
    assert found < MAX_DIFFERENCE / 2

    swapped = dict(model)
    swapped["blk.1.attn_v.weight"], swapped["blk.1.attn_k.weight"] = model["blk.1.attn_k.weight"], model["blk.1.attn_v.weight"]
    turned = dict(model)
    turned["blk.0.ffn_up.weight"] = model["blk.0.ffn_up.weight"][::-1]
    scaled = dict(model)
    scaled["blk.1.attn_output.weight"] = 1.5 * model["blk.1.attn_output.weight"]
    for wrong in (swapped, turned, scaled):
        off = difference(logits(wrong, PROMPT), logits(wrong, [*PROMPT, *CONTINUATION]))
        print(f"with a fault: {off:.2f}")
        assert off > MAX_DIFFERENCE
