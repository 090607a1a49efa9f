"""What people type to name a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.reference import ModelReference, is_repo_id, parse_model_reference

REPO = "bartowski/Llama-3.2-1B-Instruct-GGUF"
FILE = "Llama-3.2-1B-Instruct-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        (REPO, None),
        (f"  {REPO}/ ", None),
        (f"{REPO}\n", None),
        (f"{REPO}:Q4_K_M", "Q4_K_M"),
        (f"{REPO}:UD-Q4_K_XL", "UD-Q4_K_XL"),
        (f"{REPO}:BF16/part one", "BF16/part one"),
        (f"https://huggingface.co/{REPO}", None),
        (f"http://www.huggingface.co/{REPO}/", None),
        (f"https://huggingface.co/{REPO}/tree/main", None),
        (f"https://huggingface.co/{REPO}/tree/main/BF16", "BF16"),
        (f"https://huggingface.co/{REPO}/blob/main/{FILE}", "Q4_K_M"),
        (f"https://huggingface.co/{REPO}/resolve/main/{FILE}?download=true", "Q4_K_M"),
        (f"https://huggingface.co/{REPO}?show_file_info={FILE}", "Q4_K_M"),
        (f"https://huggingface.co/{REPO}/blob/main/IQ2%5FM/model-IQ2%5FM-00001-of-00002.gguf", "IQ2_M"),
        (f"https://huggingface.co/{REPO}/discussions/3", None),
        (f"<https://hf.co/{REPO}>", None),
        (f"hf.co/{REPO}:Q8_0", "Q8_0"),
        (f"huggingface.co/{REPO}", None),
        (f"https://hf-mirror.com/{REPO}", None),
        (f"hf:{REPO}:Q4_K_M", "Q4_K_M"),
        (f"hf://{REPO}/{FILE}", "Q4_K_M"),
        (f"hf://{REPO}@main/{FILE}", "Q4_K_M"),
        (f"HF:{REPO}", None),
    ],
)
def test_every_way_to_name_a_model_is_understood(text: str, variant: str | None) -> None:
    assert parse_model_reference(text) == ModelReference(REPO, variant)


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "gpt2", "mistral 7b", "a/b/c", "a/b:", ":Q4", "owner/", "/name",
        "https://huggingface.co/", "https://huggingface.co/owner", "https://huggingface.co/datasets/owner/name",
        "https://huggingface.co/models?search=x", "https://huggingface.co/docs/hub/gguf",
        "https://github.com/ggml-org/llama.cpp", "https://evil.example/huggingface.co/a", "ftp://huggingface.co/a/b",
        "https://[::1", "../..", "owner/..", "owner/na..me", "owner/na--me", "owner/name.git", "owner/-name", "owner/name.",
        "owner/na me", "owner/nämé", "https://huggingface.co/own%2Fer/../x", f"o/{'x' * 96}", "x" * 5000,
        "owner/name:../../etc", "owner/name:Q4\x00", "\u202eowner/name",
    ],
)
def test_everything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(AppError) as caught:
        parse_model_reference(text)
    assert caught.value.spec is errors.REFERENCE_INVALID
    assert len(caught.value.message) < 150
    assert caught.value.message.isprintable()


def test_a_mirror_counts_when_it_is_the_configured_one() -> None:
    with pytest.raises(AppError):
        parse_model_reference("https://hub.example.org/owner/name")
    assert parse_model_reference("https://hub.example.org/owner/name", hub_hosts=["hub.example.org"]).repo_id == "owner/name"
    assert parse_model_reference("http://127.0.0.1:8080/owner/name", hub_hosts=["127.0.0.1"]).repo_id == "owner/name"


@given(st.text(max_size=200))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse_model_reference(text)
    except AppError:
        return
    assert is_repo_id(reference.repo_id)
    assert reference.variant != ""


@given(
    st.from_regex(r"[A-Za-z0-9]{1,20}/[A-Za-z0-9_.-]{1,40}", fullmatch=True),
    st.sampled_from(["Q4_K_M", "IQ2_XXS", "UD-Q2_K_XL"]),
)
def test_forms_of_the_same_reference_agree(repo_id: str, variant: str) -> None:
    if not is_repo_id(repo_id):
        return
    expected = ModelReference(repo_id, variant)
    for text in (
        f"{repo_id}:{variant}", f"hf:{repo_id}:{variant}", f"hf.co/{repo_id}:{variant}",
        f"https://hf.co/{repo_id}/blob/main/m-{variant}.gguf",
    ):
        assert parse_model_reference(text) == expected
