"""Damaged and absurd headers all the way to a decision: an `AppError` with words or an answer, never another exception."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai_app.errors import AppError
from localai_app.fit.decide import decide
from localai_app.fit.result import Basis, FitResult, Request, Subject, Verdict
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header
from localai_app.gguf.tensors import weights_of
from tests.helpers.fit_subjects import computer, gpu_table, nvidia
from tests.helpers.gguf_files import Typed, encode_gguf
from tests.helpers.synthetic import SyntheticModel, synthesise, write_sparse
from tests.helpers.torture import rounds

SOURCES = Path(__file__).resolve().parents[3] / "resources" / "catalog" / "sources" / "models.json"
ROWS = {row["id"]: row for row in json.loads(SOURCES.read_text(encoding="utf-8"))}
MODELS = (
    "llama-3.2-1b-instruct", "gemma-3-1b-it", "gemma-4-e2b-it", "gpt-oss-20b", "deepseek-r1-0528", "deepseek-v3.2",
    "qwen3.5-0.8b", "lfm2.5-1.2b-instruct", "nemotron-3-nano-30b-a3b", "granite-4.0-h-tiny", "llama-4-scout",
    "glm-4.5-air")
GPUS = gpu_table()
COMPUTERS = (computer(16), computer(64, 56, (nvidia("RTX 4090", 24), nvidia("RTX 4060", 8, index=1))))
LARGEST = (1 << 32) - 1


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[SyntheticModel, bytes, int]]:
    """By model: its parts, the bytes of its header and the length of its file."""
    made = {}
    for model_id in MODELS:
        model = synthesise(ROWS[model_id])
        path = write_sparse(tmp_path_factory.mktemp("headers") / "model.gguf", model)
        with path.open("rb") as file:
            made[model_id] = (model, file.read(400_000), path.stat().st_size)
    return made


def outcome(content: bytes, file_size: int) -> FitResult | AppError:
    """What comes of a header: read, measured, decided on two computers."""
    try:
        header = read_header(lambda offset, n: (content[offset : offset + n]).ljust(n, b"\0"), file_size, "odd.gguf")
        geometry, weights = geometry_of(header), weights_of([header])
    except AppError as error:
        return error
    subject = Subject(name="odd", geometry=geometry, weights=weights, basis=Basis.HEADER)
    answers = [decide(machine, subject, Request(), GPUS) for machine in COMPUTERS]
    assert all(answer.reasons for answer in answers)
    return answers[-1]


def encoded(model: SyntheticModel, metadata: dict[str, Typed]) -> bytes:
    """The metadata of a model, some of it changed, and no tensors."""
    return encode_gguf(model.metadata | metadata)


@pytest.mark.parametrize("model_id", MODELS)
def test_the_headers_themselves_are_decided(model_id: str, headers: dict[str, tuple[SyntheticModel, bytes, int]]) -> None:
    _model, content, file_size = headers[model_id]
    assert isinstance(outcome(content, file_size), FitResult)


@given(st.sampled_from(MODELS), st.data())
@settings(max_examples=rounds(60, 1500), deadline=None)
def test_changed_bytes_end_in_words_or_in_an_answer(
    headers: dict[str, tuple[SyntheticModel, bytes, int]], model_id: str, data: st.DataObject
) -> None:
    _model, content, file_size = headers[model_id]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, min(len(content), 4000) - 9))
        value = data.draw(st.sampled_from((0, 1, 255, 2**31, LARGEST, 2**63, 2**64 - 1)))
        width = data.draw(st.sampled_from((1, 4, 8)))
        changed[position : position + width] = struct.pack("<Q", value)[:width]
    outcome(bytes(changed), file_size)


NUMBERS = st.sampled_from((0, 1, 2, 7, 255, 256, 513, 2**20, 2**31 - 1, LARGEST))


@given(st.sampled_from(MODELS), st.data())
@settings(max_examples=rounds(80, 2000), deadline=None)
def test_absurd_dimensions_end_in_words_or_in_an_answer(
    headers: dict[str, tuple[SyntheticModel, bytes, int]], model_id: str, data: st.DataObject
) -> None:
    model, _content, file_size = headers[model_id]
    numeric = sorted(key for key, value in model.metadata.items() if value.type_name in ("u32", "arr"))
    changed: dict[str, Typed] = {}
    for key in data.draw(st.lists(st.sampled_from(numeric), min_size=1, max_size=4, unique=True)):
        value = data.draw(NUMBERS)
        length = data.draw(st.sampled_from((0, 1, 40, 512)))
        changed[key] = data.draw(st.sampled_from((
            Typed("u32", value), Typed("i32", -1), Typed("f32", 1.5), Typed("str", "many"), Typed("u64", 2**64 - 1),
            Typed("arr", [value] * length, "u32"), Typed("arr", ["a"] * length, "str"))))
    outcome(encoded(model, changed), file_size)


@pytest.mark.parametrize(("model_id", "key", "value", "words"), [
    ("llama-3.2-1b-instruct", "llama.block_count", 600, "number of layers"),
    ("llama-3.2-1b-instruct", "llama.block_count", 0, "number of layers"),
    ("llama-3.2-1b-instruct", "llama.attention.head_count", 0, "attention heads is zero"),
    ("llama-3.2-1b-instruct", "llama.embedding_length", 0, "embedding_length"),
    ("llama-3.2-1b-instruct", "llama.context_length", 0, "context_length"),
    ("deepseek-v3.2", "deepseek32.nextn_predict_layers", 62, "how many layers"),
])
def test_impossible_dimensions_are_refused_in_words(
    headers: dict[str, tuple[SyntheticModel, bytes, int]], model_id: str, key: str, value: int, words: str
) -> None:
    model, _content, file_size = headers[model_id]
    result = outcome(encoded(model, {key: Typed("u32", value)}), file_size)
    assert isinstance(result, AppError)
    assert words in result.message


def test_a_header_without_tensors_is_not_decided(headers: dict[str, tuple[SyntheticModel, bytes, int]]) -> None:
    model, _content, file_size = headers["llama-3.2-1b-instruct"]
    result = outcome(encoded(model, {}), file_size)
    assert isinstance(result, FitResult)
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("model_id", ["llama-3.2-1b-instruct", "deepseek-r1-0528", "qwen3.5-0.8b"])
def test_a_header_that_ends_early_says_so(model_id: str, headers: dict[str, tuple[SyntheticModel, bytes, int]]) -> None:
    _model, content, _file_size = headers[model_id]
    for length in (0, 3, 8, 20, 24, 100, 700, 1500, 5000, 20_000):
        result = outcome_of_short_file(content[:length])
        assert isinstance(result, AppError)
        assert result.code in ("gguf_truncated", "not_a_gguf")


def outcome_of_short_file(content: bytes) -> FitResult | AppError:
    """As `outcome`, for a file that ends where the bytes end."""
    try:
        header = read_header(lambda offset, n: content[offset : offset + n], len(content), "short.gguf")
        geometry_of(header)
    except AppError as error:
        return error
    raise AssertionError("a header that ends early was accepted")
