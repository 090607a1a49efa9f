"""From lists of files, as real repositories have them, to variants."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.gguf.label import label_of_name
from localai_app.hub.model import RepoFile
from localai_app.hub.variants import RepoContents, label_of_path, sort_contents


def contents(*paths: str, sizes: dict[str, int] | None = None) -> RepoContents:
    return sort_contents(
        RepoFile(path=path, size_bytes=(sizes or {}).get(path, 1000 + index), sha256="0" * 64)
        for index, path in enumerate(paths))


def labels(*paths: str) -> list[str]:
    return [variant.label for variant in contents(*paths).variants]


def test_one_file_per_variant_smallest_first() -> None:
    found = sort_contents([
        RepoFile(path="m-Q8_0.gguf", size_bytes=800), RepoFile(path="m-Q2_K.gguf", size_bytes=200),
        RepoFile(path="README.md", size_bytes=1), RepoFile(path="config.json", size_bytes=1),
        RepoFile(path="m.safetensors", size_bytes=5000),
    ])
    assert [(variant.label, variant.size_bytes) for variant in found.variants] == [("Q2_K", 200), ("Q8_0", 800)]


def test_split_parts_are_one_variant_in_order() -> None:
    names = [f"BF16/m-BF16-{n:05}-of-00003.gguf" for n in (3, 1, 2)]
    (variant,) = contents(*names).variants
    assert variant.label == "BF16"
    assert [file.path for file in variant.files] == sorted(names)
    assert variant.size_bytes == 1000 + 1001 + 1002


@pytest.mark.parametrize(
    "names",
    [
        ["m-Q4_0-00001-of-00003.gguf", "m-Q4_0-00003-of-00003.gguf"],
        ["m-Q4_0-00002-of-00002.gguf"],
        ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00003-of-00002.gguf"],
        ["m-Q4_0-00001-of-00002.gguf", "other/m-Q4_0-00002-of-00002.gguf"],
        ["m-Q4_0-00000-of-00001.gguf"],
    ],
)
def test_a_split_set_with_a_part_missing_is_left_out(names: list[str]) -> None:
    assert labels(*names, "m-Q8_0.gguf") == ["Q8_0"]


def test_projectors_and_companions_are_no_variants() -> None:
    found = contents(
        "mmproj-F16.gguf", "model-mmproj-bf16.gguf", "imatrix.gguf", "m-imatrix.gguf", "mtp-m-Q4_0.gguf", "draft-m-Q4_0.gguf",
        "m-lora-F16.gguf", "ggml-vocab-llama.gguf", "m-Q4_0.gguf", "empty-Q5_0.gguf", sizes={"empty-Q5_0.gguf": 0})
    assert [variant.label for variant in found.variants] == ["Q4_0"]
    assert [file.path for file in found.projectors] == ["mmproj-F16.gguf", "model-mmproj-bf16.gguf"]


def test_words_inside_names_do_not_hide_models() -> None:
    assert labels("explora-7b-Q4_0.gguf", "adapted-Q8_0.gguf") == ["Q4_0", "Q8_0"]


def test_one_folder_per_quantization() -> None:
    assert labels("Q4_K_M/model.gguf", "Q8_0/model.gguf", "IQ2_XXS/a-00001-of-00001.gguf") == ["Q4_K_M", "Q8_0", "IQ2_XXS"]


def test_equal_labels_are_kept_apart() -> None:
    assert labels("m-Q4_K_M.gguf", "m-Q8_0.gguf", "abliterated/m-Q4_K_M.gguf") == ["Q4_K_M", "Q8_0", "abliterated/Q4_K_M"]
    assert labels("m-1b-Q4_K_M.gguf", "m-3b-Q4_K_M.gguf", "m-3b-Q8_0.gguf") == ["m-1b-Q4_K_M", "m-3b-Q4_K_M", "Q8_0"]
    assert labels("a/m-Q4_0.gguf", "b/m-Q4_0.gguf") == ["a/Q4_0", "b/Q4_0"]
    assert labels("a/x-Q4_0.gguf", "a/y-Q4_0.gguf", "b/x-Q4_0.gguf") == ["x-Q4_0", "y-Q4_0", "b/Q4_0"]
    assert labels("a/x-Q4_0.gguf", "a/y-Q4_0.gguf", "b/x-Q4_0.gguf", "b/y-Q4_0.gguf") == [
        "a/x-Q4_0", "a/y-Q4_0", "b/x-Q4_0", "b/y-Q4_0"]


def test_a_file_without_a_label_goes_by_its_name() -> None:
    assert labels("ggml-model.gguf") == ["ggml-model"]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"), ("m.Q4_1.gguf", "Q4_1"), ("m-q5_k_s.gguf", "Q5_K_S"),
        ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"), ("m-IQ3_XXS.gguf", "IQ3_XXS"), ("m-IQ4_NL.gguf", "IQ4_NL"), ("m-fp16.gguf", "F16"),
        ("m-bf16.gguf", "BF16"), ("gpt-oss-20b-mxfp4.gguf", "MXFP4"), ("m-MXFP4_MOE.gguf", "MXFP4"), ("m-TQ1_0.gguf", "TQ1_0"),
        ("UD-Q2_K_XL/m-00001-of-00002.gguf", "UD-Q2_K_XL"), ("Q6_K/thing.gguf", "Q6_K"), ("m.gguf", ""), ("faq_1.gguf", ""),
    ],
)
def test_labels_are_those_that_installed_models_get(path: str, label: str) -> None:
    assert label_of_path(path) == label
    assert label_of_name(path) == label


_STEMS = st.sampled_from(["m-Q4_K_M", "m-Q8_0", "M-q8_0", "n-Q8_0", "mmproj-F16", "m", "imatrix", "x-UD-Q4_K_XL"])
_FOLDERS = st.sampled_from(["", "a/", "b/c/", "Q8_0/", "A/"])
_SUFFIXES = st.sampled_from([".gguf", ".GGUF", "-00001-of-00002.gguf", "-00002-of-00002.gguf", "-00001-of-00001.gguf", ".txt"])


@given(st.lists(st.builds("".join, st.tuples(_FOLDERS, _STEMS, _SUFFIXES)), unique=True, max_size=20), st.randoms())
def test_labels_are_unique_and_files_are_used_once(paths: list[str], shuffle: random.Random) -> None:
    files = [RepoFile(path=path, size_bytes=1 + len(path)) for path in paths]
    found = sort_contents(files)
    names = [variant.label.casefold() for variant in found.variants]
    assert len(names) == len(set(names))
    used = [file.path for variant in found.variants for file in variant.files] + [file.path for file in found.projectors]
    assert len(used) == len(set(used))
    assert set(used) <= set(paths)
    assert all(variant.files and variant.label for variant in found.variants)
    assert [v.size_bytes for v in found.variants] == sorted(v.size_bytes for v in found.variants)
    shuffled = list(files)
    shuffle.shuffle(shuffled)
    if len({path.casefold() for path in paths}) == len(paths):
        assert {v.label for v in sort_contents(shuffled).variants} == {v.label for v in found.variants}
