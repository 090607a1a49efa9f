"""Tiny models of every architecture of the catalog with random weights: complete files that llama.cpp loads."""

from __future__ import annotations

import json
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.gguf_files import TensorSpec, TinyModel, Typed, encode_gguf, tiny_metadata
from tests.helpers.synthetic import BUILDERS, Facts
from tests.helpers.synthetic.model import SyntheticTensor, assembled

SOURCES = Path(__file__).resolve().parents[2] / "resources" / "catalog" / "sources" / "models.json"
N_VOCAB = 3 + 256 + 95
_TYPE_CODES = {"F32": 0, "F16": 1, "I32": 26}
_NORM_ENDS = ("_norm.weight", "_norm_1.weight", "_norm_2.weight", "nextn.enorm.weight", "nextn.hnorm.weight")

_OWN_NEEDS: dict[str, dict[str, Any]] = {
    "phi3": {"head_dim_k": 64, "head_dim_v": 64},
    "qwen2": {"head_dim_k": 64, "head_dim_v": 64},
    "gemma3n": {"n_layer": 7, "kv_layers_owned": 5},
    "gemma4": {"n_layer": 7, "kv_layers_owned": 5},
    "llama4": {"n_expert_used": 1},
    "deepseek4": {"id": "tiny-deepseek4"},
    "glm-dsa": {"ctx_train": 1_048_576},
    "lfm2": {"id": "tiny-lfm2"}, "nemotron_h_moe": {"id": "tiny-nemotron"},
    "granitehybrid": {"id": "tiny-granite", "n_embd": 256, "recurrent": {
        "d_conv": 4, "d_inner": 512, "d_state": 128, "n_group": 1, "l_cache": None}},
}
"""Phi and Qwen 2 have as many columns in their heads as in the embedding; Gemma's shared caches follow one block of each kind;
Llama 4 takes one expert; GLM 5.2 is told from GLM 5 by its context; the state of
Granite is twice as wide as the embedding. Other names lead to small ranks and to patterns of four blocks."""


def catalog_architectures() -> tuple[str, ...]:
    """Every architecture that a model of the catalog has."""
    return tuple(sorted({row["gguf_arch"] for row in _rows() if row["gguf_arch"]}))


def write_random_model(path: Path, architecture: str, seed: int = 1) -> Path:
    """Writes a model of some MB: the tensors and keys of the architecture at small dimensions, and a vocabulary of bytes."""
    facts = small_facts(architecture)
    model = assembled(facts, BUILDERS[architecture](facts), "F16")
    vocabulary = {key: value for key, value in tiny_metadata(TinyModel()).items() if key.startswith("tokenizer.")}
    metadata: dict[str, Typed] = {**model.metadata, **vocabulary}
    specs = [
        TensorSpec(tensor.name, tensor.dimensions, _TYPE_CODES[tensor.type_name], _values(tensor, facts, seed))
        for tensor in model.tensors]
    path.write_bytes(encode_gguf(metadata, specs))
    return path


def small_facts(architecture: str) -> Facts:
    """A row of the catalog with small dimensions. What the architecture fixes stays: sizes of heads, of states, of ranks."""
    row = dict(next(row for row in _rows() if row["gguf_arch"] == architecture and _is_complete(row)))
    row |= {"n_vocab": N_VOCAB, "n_embd": 128, "n_head": 2, "n_head_kv": 1, "n_layer": 4, "ctx_train": 4096}
    row |= {key: 96 for key in ("n_ff", "n_ff_exp", "n_ff_shared_exp") if row[key]}
    if row["n_expert"]:
        row |= {"n_expert": 4, "n_expert_used": 2}
    if row["n_layer_dense_lead"]:
        row["n_layer_dense_lead"] = 1
    if row["mla"]:
        row["mla"] = row["mla"] | {"q_lora_rank": 96, "kv_lora_rank": 64}
    return row | _OWN_NEEDS.get(architecture, {})


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(SOURCES.read_text(encoding="utf-8"))
    return rows


def _is_complete(row: Facts) -> bool:
    state = row["recurrent"]
    return bool(row["n_layer"] and row["n_vocab"] and row["n_head"]) and (
        state is None or bool(state["d_state"] or state["l_cache"]))


def _values(tensor: SyntheticTensor, facts: Facts, seed: int) -> bytes:
    """Seeded values that keep what goes through the layers near one."""
    source = np.random.default_rng((seed, zlib.crc32(tensor.name.encode())))
    count = prod(tensor.dimensions)
    if tensor.type_name == "I32":
        return bytes(source.integers(0, facts["n_expert"], count, dtype=np.int32).tobytes())
    if tensor.name.endswith(_NORM_ENDS) or tensor.name.endswith((".scale", "layer_output_scale.weight")):
        values = np.ones(count)
    elif tensor.name.endswith("ssm_a"):
        values = -source.uniform(0.5, 1.5, count)
    else:
        reach = 1.5 * (tensor.dimensions[0] if len(tensor.dimensions) > 1 else 100.0) ** -0.5
        values = source.uniform(-reach, reach, count)
    return bytes(values.astype(np.float32 if tensor.type_name == "F32" else np.float16).tobytes())
