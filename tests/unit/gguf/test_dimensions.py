"""Dimensions and weights from headers, against sizes that llama.cpp reported for the same models."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.geometry import Geometry
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import read_header, read_header_file
from localai_app.gguf.tensors import weights_of
from tests.helpers.gguf_files import F16, TensorSpec, Typed, encode_gguf, write_tiny_gguf
from tests.helpers.real_models import gemma_path, smollm2_path

MIB = 1024**2


def _header(architecture: str, tensors: list[TensorSpec] | None = None, **values: int | list[int]) -> GgufHeader:
    """A header with `<architecture>.<key>` for each value; `__` stands for a dot."""
    base: dict[str, int | list[int]] = {"context_length": 131072, "vocab_size": 1000}
    keys = {"general.architecture": Typed("str", architecture)}
    for name, value in (base | values).items():
        typed = Typed("arr", value, "u32") if isinstance(value, list) else Typed("u32", value)
        keys[f"{architecture}.{name.replace('__', '.')}"] = typed
    content = encode_gguf(keys, tensors or [])
    return read_header(lambda offset, n: content[offset : offset + n], len(content), "model.gguf")


def _cache_bytes(geometry: Geometry, n_ctx: int, n_ubatch: int = 512) -> tuple[int, int]:
    """(full, sliding) bytes of an F16 cache, by llama.cpp's rule for windows (llama-kv-cache-iswa.cpp)."""
    window_cells = -(-min(n_ctx, geometry.sliding_window + n_ubatch) // 256) * 256
    full = sum(2 * (c.k_elements + c.v_elements) * n_ctx for c in geometry.cache_layers if not c.sliding)
    sliding = sum(2 * (c.k_elements + c.v_elements) * window_cells for c in geometry.cache_layers if c.sliding)
    return full, sliding


def test_grouped_query_attention_as_llama_cpp_reports_it() -> None:
    geometry = geometry_of(
        _header(
            "qwen3",
            block_count=36,
            embedding_length=4096,
            feed_forward_length=12288,
            attention__head_count=32,
            attention__head_count_kv=8,
            attention__key_length=128,
            attention__value_length=128,
        )
    )
    assert _cache_bytes(geometry, 32768) == (4608 * MIB, 0)


@pytest.mark.parametrize("pattern", [None, 6, "array"])
def test_gemma_3_keeps_a_window_in_five_of_six_layers(pattern: int | str | None) -> None:
    extra: dict[str, int | list[int]] = {}
    if pattern == "array":
        extra["attention__sliding_window_pattern"] = [int(layer % 6 != 5) for layer in range(48)]
    elif isinstance(pattern, int):
        extra["attention__sliding_window_pattern"] = pattern
    geometry = geometry_of(
        _header(
            "gemma3",
            block_count=48,
            embedding_length=3840,
            feed_forward_length=15360,
            attention__head_count=16,
            attention__head_count_kv=8,
            attention__key_length=256,
            attention__value_length=256,
            attention__sliding_window=1024,
            **extra,
        )
    )
    assert _cache_bytes(geometry, 32768) == (2048 * MIB, 480 * MIB)


def test_gpt_oss_alternates_and_counts_its_experts() -> None:
    geometry = geometry_of(
        _header(
            "gpt-oss",
            block_count=24,
            embedding_length=2880,
            feed_forward_length=2880,
            attention__head_count=64,
            attention__head_count_kv=8,
            attention__key_length=64,
            attention__value_length=64,
            attention__sliding_window=128,
            expert_count=32,
            expert_used_count=4,
            expert_feed_forward_length=2880,
        )
    )
    assert _cache_bytes(geometry, 32768) == (768 * MIB, 18 * MIB)
    assert (geometry.n_expert, geometry.n_expert_used, geometry.n_ff) == (32, 4, 11520)


def test_gemma_4_has_two_head_sizes_and_shares_caches() -> None:
    def gemma_4(n_layer: int, period: int, shared: int, kv: int | list[int], window: int) -> Geometry:
        return geometry_of(
            _header(
                "gemma4",
                block_count=n_layer,
                embedding_length=2560,
                feed_forward_length=10240,
                attention__head_count=8,
                attention__head_count_kv=kv,
                attention__key_length=512,
                attention__value_length=512,
                attention__key_length_swa=256,
                attention__value_length_swa=256,
                attention__sliding_window=window,
                attention__sliding_window_pattern=[int(i % period != period - 1) for i in range(n_layer)],
                attention__shared_kv_layers=shared,
            )
        )

    assert sum(_cache_bytes(gemma_4(42, 6, 18, 2, 512), 32768)) == 552 * MIB
    assert sum(_cache_bytes(gemma_4(35, 5, 20, 1, 512), 32768)) == 204 * MIB
    large = gemma_4(60, 6, 0, [16 if layer % 6 != 5 else 4 for layer in range(60)], 1024)
    assert _cache_bytes(large, 32768) == (2560 * MIB, 1200 * MIB)
    assert large.head_dim == 512


def test_gemma_3n_owns_a_cache_in_its_first_twenty_layers() -> None:
    geometry = geometry_of(
        _header(
            "gemma3n",
            block_count=35,
            embedding_length=2048,
            feed_forward_length=[16384] * 35,
            attention__head_count=8,
            attention__head_count_kv=2,
            attention__key_length=256,
            attention__value_length=256,
            attention__sliding_window=512,
        )
    )
    assert [len(geometry.cache_layers), sum(c.sliding for c in geometry.cache_layers)] == [20, 16]


def test_latent_attention_stores_keys_only() -> None:
    values = dict(
        block_count=62,
        nextn_predict_layers=1,
        embedding_length=7168,
        feed_forward_length=18432,
        attention__head_count=128,
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__kv_lora_rank=512,
        leading_dense_block_count=3,
        expert_count=256,
        expert_used_count=8,
        expert_feed_forward_length=2048,
        expert_shared_count=1,
    )
    geometry = geometry_of(_header("deepseek2", **values, attention__key_length_mla=192, attention__value_length_mla=128))
    assert (geometry.n_layer, geometry.unknown_parts) == (61, ())
    assert _cache_bytes(geometry, 32768) == (61 * 576 * 2 * 32768, 0)
    old = geometry_of(_header("deepseek2", **values))
    assert old.cache_layers[0].v_elements == 512
    assert geometry_of(
        _header("deepseek32", **values, attention__key_length_mla=192, attention__value_length_mla=128)
    ).unknown_parts


def test_compressed_caches_are_not_counted_but_named() -> None:
    geometry = geometry_of(
        _header(
            "deepseek4",
            block_count=43,
            embedding_length=4096,
            attention__head_count=64,
            attention__head_count_kv=1,
            attention__key_length=512,
            attention__value_length=512,
            attention__sliding_window=128,
        )
    )
    assert geometry.unknown_parts == ("the compressed attention caches",)
    # What llama.cpp calls the raw cache at 512 cells: one row of 512 elements in each block, 21.5 MiB.
    assert _cache_bytes(geometry, 512) == (0, round(21.5 * MIB))


def test_hybrid_models_keep_a_state_and_a_cache() -> None:
    geometry = geometry_of(
        _header(
            "qwen35",
            block_count=65,
            nextn_predict_layers=1,
            embedding_length=5120,
            feed_forward_length=17408,
            attention__head_count=24,
            attention__head_count_kv=4,
            attention__key_length=256,
            attention__value_length=256,
            ssm__conv_kernel=4,
            ssm__inner_size=6144,
            ssm__state_size=128,
            ssm__group_count=16,
            ssm__time_step_rank=48,
        )
    )
    assert geometry.recurrent_state_bytes == pytest.approx(149.6 * MIB, rel=1e-3)
    assert _cache_bytes(geometry, 32768) == (2048 * MIB, 0)
    assert [layer.block for layer in geometry.cache_layers] == list(range(3, 64, 4))
    lfm2 = geometry_of(
        _header(
            "lfm2",
            block_count=16,
            embedding_length=2048,
            feed_forward_length=8192,
            attention__head_count=32,
            attention__head_count_kv=[0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0],
            shortconv__l_cache=3,
        )
    )
    assert (lfm2.recurrent_state_bytes, len(lfm2.cache_layers)) == (163840, 6)
    assert [layer.block for layer in lfm2.cache_layers] == [2, 5, 8, 10, 12, 14]
    assert lfm2.recurrent_blocks == (0, 1, 3, 4, 6, 7, 9, 11, 13, 15)
    nemotron = geometry_of(
        _header(
            "nemotron_h",
            block_count=4,
            embedding_length=64,
            feed_forward_length=[0, 256, 0, 0],
            attention__head_count=[0, 0, 4, 0],
            attention__head_count_kv=[0, 0, 2, 0],
            attention__key_length=16,
            attention__value_length=16,
            ssm__conv_kernel=4,
            ssm__inner_size=128,
            ssm__state_size=16,
            ssm__group_count=1,
        )
    )
    assert (len(nemotron.cache_layers), nemotron.recurrent_state_bytes) == (1, 2 * 4 * (3 * 160 + 16 * 128))


@pytest.mark.parametrize(
    ("architecture", "values", "sliding"),
    [
        ("muse-glimmer", {}, [0, 1, 2, 4, 5, 6]),
        ("maple", {"attention__sliding_window_pattern": [1, 0, 1, 0, 1, 0, 1, 0]}, [0, 2, 4, 6]),
        ("spark2_5", {"attention__sliding_window_pattern": [0, 0, 0, 1, 0, 0, 0, 1]}, [3, 7]),
        ("lfm2", {"attention__head_count_kv": [0, 0, 4, 0, 0, 4, 0, 0], "shortconv__l_cache": 3}, [2, 5]),
    ],
)
def test_architectures_with_a_window(architecture: str, values: dict[str, int | list[int]], sliding: list[int]) -> None:
    plain: dict[str, int | list[int]] = {
        "block_count": 8, "embedding_length": 64, "feed_forward_length": 128, "attention__head_count": 4,
        "attention__sliding_window": 512}
    geometry = geometry_of(_header(architecture, **plain | values))
    assert geometry.sliding_window == 512
    assert [layer.block for layer in geometry.cache_layers if layer.sliding] == sliding


def test_caches_of_repeated_layers_are_named() -> None:
    values = dict(block_count=4, embedding_length=64, feed_forward_length=128, attention__head_count=4)
    assert geometry_of(_header("nanbeige", **values, num_loops=2)).unknown_parts == ("the caches of its repeated layers",)
    assert geometry_of(_header("nanbeige", **values)).unknown_parts == ()


def test_windows_that_llama_cpp_ignores_are_ignored() -> None:
    for architecture in ("phi3", "qwen2", "llama"):
        geometry = geometry_of(
            _header(
                architecture,
                block_count=4,
                embedding_length=64,
                feed_forward_length=128,
                attention__head_count=4,
                attention__sliding_window=512,
            )
        )
        assert geometry.sliding_window == 0
        assert not any(layer.sliding for layer in geometry.cache_layers)


def test_llama_4_slides_unless_the_file_switches_it_off() -> None:
    values = dict(
        block_count=48,
        embedding_length=5120,
        feed_forward_length=16384,
        attention__head_count=40,
        attention__head_count_kv=8,
        attention__key_length=128,
        attention__value_length=128,
    )
    chunked = geometry_of(_header("llama4", **values))
    assert (chunked.sliding_window, sum(layer.sliding for layer in chunked.cache_layers)) == (8192, 36)
    assert geometry_of(_header("llama4", **values, attention__sliding_window=0)).sliding_window == 0


@pytest.mark.model
def test_the_two_real_models() -> None:
    smollm2, gemma = read_header_file(smollm2_path()), read_header_file(gemma_path())
    small, large = geometry_of(smollm2), geometry_of(gemma)
    assert (small.n_layer, small.n_vocab, small.ctx_train, small.params_total) == (30, 49152, 8192, 134515008)
    assert sum(2 * (c.k_elements + c.v_elements) for c in small.cache_layers) == 23040
    assert (large.n_layer, large.n_vocab, large.sliding_window, large.head_dim) == (18, 262144, 512, 256)
    assert [c.sliding for c in large.cache_layers].count(False) == 3
    for header in (smollm2, gemma):
        weights = weights_of([header])
        assert weights.tied_embeddings
        assert weights.output_bytes == weights.input_bytes
        assert weights.file_bytes == header.file_size - header.data_start


def test_weights_by_place(tmp_path: Path) -> None:
    header = read_header_file(write_tiny_gguf(tmp_path / "m.gguf", n_layer=3, n_expert=4, n_expert_used=1, n_ff=32))
    weights, geometry = weights_of([header]), geometry_of(header)
    assert weights.file_bytes == sum(tensor.n_bytes for tensor in header.tensors)
    assert weights.layers_expert_bytes == (3 * 64 * 32 * 4 * 2,) * 3
    assert (weights.output_bytes, weights.input_bytes, weights.tied_embeddings) == (354 * 64 * 2, 354 * 64 * 2, False)
    assert geometry.params_total - geometry.params_active == 3 * 3 * 64 * 32 * 3
    tied = weights_of([read_header_file(write_tiny_gguf(tmp_path / "t.gguf", tied_embeddings=True))])
    assert (tied.output_bytes, tied.tied_embeddings) == (354 * 64 * 2, True)


def test_prediction_layers_are_left_out_and_projectors_counted_apart() -> None:
    def row(name: str) -> TensorSpec:
        return TensorSpec(name, (32,), F16, b"\0" * 64)

    names = [
        "token_embd.weight",
        "per_layer_token_embd.weight",
        "output.weight",
        "output_norm.weight",
        "blk.0.attn_q.weight",
        "blk.1.ffn_up_exps.weight",
        "blk.2.nextn.eh_proj.weight",
        "rope_freqs.weight",
    ]
    model = _header("glm4moe", [row(name) for name in names], block_count=3, nextn_predict_layers=1, embedding_length=32)
    projector = _header("clip", [row("v.blk.0.attn_q.weight"), row("mm.0.weight")])
    weights = weights_of([model, projector])
    assert weights.layers_bytes == (64, 64 + 2 * 64)
    assert weights.layers_expert_bytes == (0, 64)
    assert (weights.input_bytes, weights.output_bytes, weights.projector_bytes) == (128, 64, 128)


def test_split_models(tmp_path: Path) -> None:
    first = _header("llama", block_count=2, embedding_length=64, feed_forward_length=160, attention__head_count=4)
    second = read_header_file(write_tiny_gguf(tmp_path / "x.gguf"))
    assert weights_of([first, second]).file_bytes == weights_of([second]).file_bytes
    with pytest.raises(AppError, match="another part"):
        weights_of([second, second])


def test_weights_of_a_split_model_are_estimated_without_its_other_parts() -> None:
    content = {"general.architecture": Typed("str", "qwen3"), "split.count": Typed("u16", 2)}
    numbers = dict(block_count=36, embedding_length=4096, feed_forward_length=12288, context_length=40960, vocab_size=151936)
    content |= {f"qwen3.{key}": Typed("u32", value) for key, value in numbers.items()}
    content |= {
        f"qwen3.attention.{key}": Typed("u32", n)
        for key, n in [("head_count", 32), ("head_count_kv", 8), ("key_length", 128), ("value_length", 128)]
    }
    raw = encode_gguf(content)
    header = read_header(lambda offset, n: raw[offset : offset + n], len(raw), "a-00001-of-00002.gguf")
    assert geometry_of(header).params_total == pytest.approx(8.19e9, rel=0.01)


def test_a_projector_is_not_a_language_model() -> None:
    with pytest.raises(AppError, match="not a language model"):
        geometry_of(_header("clip"))
