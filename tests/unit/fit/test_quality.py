"""Losses of quantizations."""

from __future__ import annotations

from itertools import pairwise

import pytest

from localai_app.fit.quality import KLD, LADDER, loss_words, quantization_kld
from localai_app.gguf.quant_types import BITS_PER_WEIGHT


def test_the_ladder_goes_down_in_quality() -> None:
    losses = [KLD[label] for label in LADDER]
    steps_up = [one for one, following in pairwise(losses) if following < one]
    assert losses[0] == min(losses)
    assert steps_up == [0.332], "only IQ2_M comes after Q2_K, which is as good and runs quicker"


@pytest.mark.parametrize(("label", "words"), [
    ("Q8_0", "practically the original"), ("Q4_K_M", "good"), ("UD-Q4_K_XL", "good"), ("Q3_K_M", "noticeable loss"),
    ("Q3_K_S", "reduced"), ("IQ1_S", "strongly reduced"), ("MXFP4", "practically the original"), ("", ""), ("SOMETHING", "")])
def test_losses_in_words(label: str, words: str) -> None:
    assert loss_words(label) == words


def test_four_bit_formats_of_old_lose_more_than_their_successors() -> None:
    old, new = quantization_kld("q4_0"), quantization_kld("Q4_K_S")
    assert old is not None
    assert new is not None
    assert old > new


def test_labels_with_known_sizes_have_a_loss_or_none() -> None:
    without = {label for label in BITS_PER_WEIGHT if quantization_kld(label) is None}
    assert without == {"TQ1_0", "TQ2_0"}
