from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.gguf.label import label_of_name, split_part
from localai_app.gguf.quant_types import BITS_PER_WEIGHT


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("gemma-3-270m-q4_k_m.gguf", "Q4_K_M"),
        ("gemma-4-31B-it-qat-q4_0.gguf", "Q4_0"),
        ("UD-Q4_K_XL/DeepSeek-R1-0528-UD-Q4_K_XL-00001-of-00009.gguf", "UD-Q4_K_XL"),
        ("DeepSeek-R1-0528-UD-IQ1_S.gguf", "UD-IQ1_S"),
        ("model-IQ2_XXS.gguf", "IQ2_XXS"),
        ("Llama-3.2-1B.i1-IQ3_M.gguf", "IQ3_M"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-120b-MXFP4_MOE-00001-of-00003.gguf", "MXFP4"),
        ("phi-4-bf16.gguf", "BF16"),
        ("phi-4-fp16.gguf", "F16"),
        ("model-f32.gguf", "F32"),
        ("model-IQ4_NL.gguf", "IQ4_NL"),
        ("model-Q6_K.gguf", "Q6_K"),
        ("model-Q3_K_XL.gguf", "Q3_K_XL"),
        ("model-Q6_K_L.gguf", "Q6_K_L"),
        ("BF16/model-00001-of-00002.gguf", "BF16"),
        ("model-TQ1_0.gguf", "TQ1_0"),
        ("Q4_K_M-tuned-Q8_0.gguf", "Q8_0"),
        ("tinyllama.gguf", ""),
        ("qwen3-4b.gguf", ""),
        ("", ""),
    ],
)
def test_label_of_name(name: str, label: str) -> None:
    assert label_of_name(name) == label


@given(st.sampled_from(sorted(BITS_PER_WEIGHT)), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.]{0,20}", fullmatch=True))
def test_every_label_is_found_after_any_name(label: str, name: str) -> None:
    assert label_of_name(f"{name}-{label}.gguf") == label


@given(st.text())
def test_any_text_gives_a_label_or_nothing(name: str) -> None:
    assert isinstance(label_of_name(name), str)
    split_part(name)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model-Q4_K_M-00002-of-00003.gguf", (2, 3)),
        ("a/b-00001-of-00001.gguf", (1, 1)),
        ("model-00004-of-00003.gguf", None),
        ("model-00000-of-00003.gguf", None),
        ("model-Q4_K_M.gguf", None),
        ("model-1-of-3.gguf", None),
    ],
)
def test_split_part(name: str, part: tuple[int, int] | None) -> None:
    assert split_part(name) == part
