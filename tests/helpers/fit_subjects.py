"""Models and computers with hand-written figures for tests of `fit`: dimensions as in the models' own headers."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from localai_app.fit.gpu_table import GpuTable, load_gpu_table
from localai_app.fit.result import Basis, Subject
from localai_app.gguf.geometry import CacheLayer, Geometry, Weights
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, Vendor
from localai_app.units import GIB

GPU_TABLE_FILE = Path(__file__).resolve().parents[2] / "resources" / "catalog" / "gpus.json"


def gpu_table() -> GpuTable:
    """The table that the program ships."""
    return load_gpu_table(GPU_TABLE_FILE)


def full(elements: int, count: int = 1) -> tuple[CacheLayer, ...]:
    """Layers that keep K and V of the whole context."""
    return tuple(CacheLayer(k_elements=elements, v_elements=elements, block=block) for block in range(count))


def sliding(elements: int, count: int = 1) -> tuple[CacheLayer, ...]:
    """Layers that keep a window."""
    return tuple(CacheLayer(k_elements=elements, v_elements=elements, sliding=True, block=block) for block in range(count))


def _geometry(architecture: str, cache_layers: tuple[CacheLayer, ...], every: int = 1, **dimensions: int) -> Geometry:
    """`every`: the blocks that own a cache; the others keep the state of a hybrid model."""
    n_layer = dimensions["n_layer"]
    placed = tuple(replace(layer, block=(number + 1) * every - 1) for number, layer in enumerate(cache_layers))
    keepers = tuple(block for block in range(n_layer) if (block + 1) % every) if every > 1 else ()
    return Geometry(
        architecture=architecture, cache_layers=placed, recurrent_blocks=keepers, **dimensions)  # type: ignore[arg-type]


QWEN3_8B = _geometry(
    "qwen3", full(8 * 128, 36), n_layer=36, n_embd=4096, n_vocab=151_936, n_ff=12_288, n_head=32, head_dim=128,
    ctx_train=40_960, params_total=8_190_735_360, params_active=8_190_735_360)
QWEN3_32B = _geometry(
    "qwen3", full(8 * 128, 64), n_layer=64, n_embd=5120, n_vocab=151_936, n_ff=25_600, n_head=64, head_dim=128,
    ctx_train=40_960, params_total=32_762_123_264, params_active=32_762_123_264)
LLAMA_70B = _geometry(
    "llama", full(8 * 128, 80), n_layer=80, n_embd=8192, n_vocab=128_256, n_ff=28_672, n_head=64, head_dim=128,
    ctx_train=131_072, params_total=70_553_706_496, params_active=70_553_706_496)
GEMMA3_12B = _geometry(
    "gemma3", (sliding(8 * 256, 5) + full(8 * 256)) * 8, n_layer=48, n_embd=3840, n_vocab=262_144, n_ff=15_360, n_head=16,
    head_dim=256, ctx_train=131_072, sliding_window=1024, params_total=11_766_034_176, params_active=11_766_034_176)
GPT_OSS_20B = _geometry(
    "gpt-oss", (sliding(8 * 64) + full(8 * 64)) * 12, n_layer=24, n_embd=2880, n_vocab=201_088, n_ff=4 * 2880, n_head=64,
    head_dim=64, ctx_train=131_072, sliding_window=128, n_expert=32, n_expert_used=4, n_ff_experts=4 * 2880,
    n_embd_experts=4 * 2880, params_total=20_914_757_184, params_active=3_610_000_000)
GEMMA4_31B = _geometry(
    "gemma4", (sliding(16 * 256, 5) + full(4 * 512)) * 10, n_layer=60, n_embd=5376, n_vocab=262_144, n_ff=21_504, n_head=32,
    head_dim=512, ctx_train=262_144, sliding_window=1024, params_total=31_000_000_000, params_active=31_000_000_000)
GEMMA4_E4B = _geometry(
    "gemma4", (sliding(2 * 256, 5) + full(2 * 512)) * 4, n_layer=42, n_embd=2560, n_vocab=262_144, n_ff=10_240, n_head=8,
    head_dim=512, ctx_train=131_072, sliding_window=512, n_embd_side=42 * 256, params_total=7_900_000_000,
    params_active=4_500_000_000)
DEEPSEEK_R1 = _geometry(
    "deepseek2", (CacheLayer(k_elements=576, v_elements=0),) * 61, n_layer=61, n_embd=7168, n_vocab=129_280, n_ff=18_432,
    n_head=128, head_dim=576, ctx_train=163_840, n_expert=256, n_expert_used=8, n_ff_experts=8 * 2048, n_embd_experts=8 * 7168,
    params_total=671_026_419_200, params_active=36_600_000_000)
QWEN35_27B = _geometry(
    "qwen35", full(4 * 256, 16), every=4, n_layer=64, n_embd=5120, n_vocab=248_320, n_ff=17_408, n_head=24, head_dim=256,
    ctx_train=262_144, recurrent_state_bytes=156_893_184, params_total=27_000_000_000, params_active=27_000_000_000)
SMOLLM2_135M = _geometry(
    "llama", full(3 * 64, 30), n_layer=30, n_embd=576, n_vocab=49_152, n_ff=1536, n_head=9, head_dim=64, ctx_train=8192,
    params_total=134_515_008, params_active=134_515_008)
QWEN3_06B = _geometry(
    "qwen3", full(8 * 128, 28), n_layer=28, n_embd=1024, n_vocab=151_936, n_ff=3072, n_head=16, head_dim=128, ctx_train=40_960,
    params_total=596_049_920, params_active=596_049_920)
QWEN3_30B_A3B = _geometry(
    "qwen3moe", full(4 * 128, 48), n_layer=48, n_embd=2048, n_vocab=151_936, n_ff=8 * 768, n_head=32, head_dim=128,
    ctx_train=40_960, n_expert=128, n_expert_used=8, n_ff_experts=8 * 768, n_embd_experts=8 * 2048, params_total=30_532_122_624,
    params_active=3_350_000_000)


def weights(geometry: Geometry, bits_per_weight: float = 4.89, *, tied: bool = False, expert_share: float = 0.0) -> Weights:
    """All weights at one size, spread evenly over the blocks; the token table and the head by the vocabulary."""
    table = round(geometry.n_vocab * geometry.n_embd * bits_per_weight / 8)
    total = round(geometry.params_total * bits_per_weight / 8)
    block = (total - table * (1 if tied else 2)) // geometry.n_layer
    experts = round(block * expert_share)
    return Weights(
        layers_bytes=(block,) * geometry.n_layer, layers_expert_bytes=(experts,) * geometry.n_layer, output_bytes=table,
        input_bytes=table, tied_embeddings=tied)


def subject(
    geometry: Geometry, *, label: str = "Q4_K_M", bits_per_weight: float = 4.89, tied: bool = False, expert_share: float = 0.0,
) -> Subject:
    """A model as it would come from its header."""
    return Subject(
        name=geometry.architecture, geometry=geometry, basis=Basis.HEADER, label=label, model_path="model.gguf",
        weights=weights(geometry, bits_per_weight, tied=tied, expert_share=expert_share))


def computer(
    ram_gib: float = 32, available_gib: float | None = None, gpus: tuple[Gpu, ...] = (), *, cores: int = 8,
    bandwidth_gb_s: float | None = 30.0, instruction_sets: tuple[str, ...] = ("avx2",),
) -> HardwareReport:
    """A computer; what is not given is that of a usual one."""
    available = ram_gib - 4 if available_gib is None else available_gib
    return HardwareReport(
        system="linux", gpus=gpus,
        cpu=Cpu(
            model="test", architecture="x86_64", physical_cores=cores, logical_cores=2 * cores,
            instruction_sets=instruction_sets),
        memory=Memory(
            total_bytes=round(ram_gib * GIB), available_bytes=round(available * GIB),
            bandwidth_bytes_per_s=None if bandwidth_gb_s is None else bandwidth_gb_s * 1e9))


def nvidia(name: str, gib: float, free_gib: float | None = None, index: int = 0) -> Gpu:
    """A GeForce; unless given, 0.4 GiB of it are in use."""
    free = gib - 0.4 if free_gib is None else free_gib
    return Gpu(
        index=index, name=f"NVIDIA GeForce {name}", vendor=Vendor.NVIDIA, total_bytes=round(gib * GIB),
        free_bytes=round(free * GIB))


def apple(name: str, limit_gib: float) -> Gpu:
    """Apple Silicon with its working-set limit."""
    return Gpu(
        index=0, name=name, vendor=Vendor.APPLE, total_bytes=round(limit_gib * GIB), free_bytes=round(limit_gib * GIB),
        unified=True)


def integrated(name: str, free_gib: float | None) -> Gpu:
    """A GPU inside an AMD processor."""
    free = None if free_gib is None else round(free_gib * GIB)
    return Gpu(index=1, name=name, vendor=Vendor.AMD, total_bytes=free, free_bytes=free, unified=True)
