"""Bandwidth and computing power of known GPUs, matched on the exact names that drivers report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.fit.gpu_names import alternatives, key_of, row_keys, size_in_name
from localai_app.units import GIB

ASSUMED_SHARE_OF_PEAK = 0.85
"""Share of the peak bandwidth that decoding reaches beside its fixed cost per layer (fitted to llama.cpp's scoreboards)."""
_BENCH_BLOCKS = 32
"""Blocks of the models in those scoreboards (Llama-2-7B, Mistral-7B, Llama-3.1-8B)."""
_BENCH_FAMILIES = ("llama-2-7b", "llama-3-8b", "llama-3.1-8b", "mistral-7b")
_PROMPT_FAMILIES = (*_BENCH_FAMILIES, "qwen3.5-9b")
"""Models whose prompt speed tells that of a device: all weights take part in every token."""
_NVIDIA_PROMPT_FACTORS = {7.0: 1.4, 7.5: 1.4, 8.0: 1.2, 9.0: 0.54}
"""Operations per second in prompts against the listed TFLOPS, by compute capability; 2.0 for Ampere's small chips, Ada and
Blackwell. 8.0: an A100 with Llama 3 8B, 9.0: an H100 with Qwen3.5 9B (the sources stand in the table)."""
_MEMORY_TOLERANCE = 0.12
"""Drivers report up to 8% less than a card is sold with."""
_PCIE_IS_SLOWER = frozenset({"a100", "h100", "h200"})
"""Sold as modules and as cards, of which the cards have slower memory; V100 and older do not differ."""


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one GPU. None: not known, never a guess."""

    name: str
    kind: str
    """discrete, laptop, workstation, datacenter, igpu or unified."""
    bandwidth_bytes_per_s: float
    layer_overhead_s: float
    """Fixed cost of one block of a dense model per token, in seconds."""
    prompt_flops: float | None = None
    """Operations per second that prompt processing reaches."""


class _Bench(msgspec.Struct, frozen=True):
    model: str = ""
    model_bytes: float | None = None
    params: float | None = None
    tg128: float | None = None
    pp512: float | None = None


class _Row(msgspec.Struct, frozen=True):
    name: str
    vendor: str
    kind: str
    aliases: tuple[str, ...] = ()
    vram_gib: tuple[float, ...] | str = ()
    bandwidth_gbs: float | None = None
    fp16_tflops: float | None = None
    compute_capability: str | None = None
    gfx: str | None = None
    bench: tuple[_Bench, ...] = ()


class GpuTable:
    """Rows by normalised name. Unknown and ambiguous names find nothing."""

    def __init__(self, rows: tuple[_Row, ...] = ()) -> None:
        self._rows: dict[str, list[_Row]] = {}
        self._found: dict[tuple[str, int | None], GpuSpec | None] = {}
        for row in rows:
            if row.kind == "system_ram":
                continue
            for name in (row.name, *row.aliases):
                for key in row_keys(name):
                    self._rows.setdefault(key, []).append(row)

    def find(self, name: str, total_bytes: int | None = None) -> GpuSpec | None:
        """The GPU that a driver calls `name`; `total_bytes` tells apart cards that share a name.

        None where the name is unknown, or stands for cards with different bandwidths.
        """
        asked = (name, total_bytes)
        if asked not in self._found:
            self._found[asked] = self._look_up(name, total_bytes)
        return self._found[asked]

    def _look_up(self, name: str, total_bytes: int | None) -> GpuSpec | None:
        candidates: list[_Row] = []
        for alternative in alternatives(name):
            rows = self._rows_called(alternative)
            if not rows:
                # Something unknown may hide behind the name.
                return None
            size_gib = total_bytes / GIB if total_bytes else size_in_name(alternative)
            candidates += [row for row in rows if _has_memory(row, size_gib)]
        bandwidths = {row.bandwidth_gbs for row in candidates}
        if len(bandwidths) != 1 or None in bandwidths:
            return None
        specs = [spec for row in candidates if (spec := _spec(row)) is not None]
        alike = len({spec.prompt_flops for spec in specs}) == 1
        return specs[0] if alike else msgspec.structs.replace(specs[0], prompt_flops=None)

    def _rows_called(self, name: str) -> list[_Row]:
        key = key_of(name)
        rows = self._rows.get(key)
        words = key.split()
        if rows is None and "pcie" in words and not _PCIE_IS_SLOWER.intersection(words):
            rows = self._rows.get(" ".join(word for word in words if word != "pcie"))
        if rows is None and words[-1:] == ["core"]:
            # A chip whose bins share one bandwidth stands in the table without its cores.
            rows = self._rows.get(" ".join(words[:-2]))
        return rows or []


def load_gpu_table(path: Path) -> GpuTable:
    """Read the table (a JSON array of devices). Raises `AppError` FILE_UNREADABLE or FILE_INVALID."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=path.name, reason=error.strerror or "unknown") from error
    try:
        return GpuTable(msgspec.json.decode(content, type=tuple[_Row, ...]))
    except msgspec.MsgspecError as error:
        raise AppError(errors.FILE_INVALID, name=path.name, kind="GPU table", reason=str(error)) from error


def _has_memory(row: _Row, size_gib: float | None) -> bool:
    if size_gib is None or row.kind in ("igpu", "unified") or isinstance(row.vram_gib, str) or not row.vram_gib:
        return True
    return any(abs(size_gib - sold) <= sold * _MEMORY_TOLERANCE for sold in row.vram_gib)


def _spec(row: _Row) -> GpuSpec | None:
    if row.bandwidth_gbs is None:
        return None
    bandwidth = row.bandwidth_gbs * 1e9
    measured = [
        1 / bench.tg128 - bench.model_bytes / (ASSUMED_SHARE_OF_PEAK * bandwidth)
        for bench in row.bench
        if bench.tg128 and bench.model_bytes and bench.model.lower().startswith(_BENCH_FAMILIES)
    ]
    overhead = max(sum(measured) / len(measured) / _BENCH_BLOCKS, 0.0) if measured else _default_overhead_s(row)
    return GpuSpec(
        name=row.name, kind=row.kind, bandwidth_bytes_per_s=bandwidth, layer_overhead_s=overhead,
        prompt_flops=_prompt_flops(row))


def _default_overhead_s(row: _Row) -> float:
    """Fixed cost per block where no benchmark of the device itself was read: that of its measured relatives.

    Fitted to llama.cpp's scoreboards (32 blocks): CUDA Ada and Blackwell 0.6-1.0 ms, Ampere's small chips 0.7-1.8, A30 3.2 and
    V100 2.8; Hopper 1.8 with the recurrent states of Qwen3.5 9B; ROCm RDNA3/4 1.3-3.6, older and CDNA 3.5-5.7; integrated
    RDNA3.5 (Radeon 8060S) 0.8 with Vulkan, without what experts add; Arc 4.4; Metal base and Pro 0-1.5, Max 4, Ultra 5.
    """
    capability = float(row.compute_capability or 0)
    if row.vendor == "nvidia":
        own = {7.0: 88e-6, 8.0: 100e-6, 9.0: 35e-6}.get(capability)
        return own or (25e-6 if capability >= 8.9 else 40e-6 if capability >= 8.6 else 60e-6)
    if row.vendor == "amd":
        if row.kind == "igpu":
            return 25e-6
        return 75e-6 if (row.gfx or "").startswith(("gfx11", "gfx12")) else 145e-6
    if row.vendor == "apple":
        return 155e-6 if "Ultra" in row.name else 125e-6 if "Max" in row.name else 25e-6
    return 138e-6


def _prompt_flops(row: _Row) -> float | None:
    """Listed TFLOPS times the share that prompts reach: the device's own benchmark, else that of its relatives."""
    own = [
        2 * bench.params * bench.pp512 for bench in row.bench
        if bench.pp512 and bench.params and bench.model.lower().startswith(_PROMPT_FAMILIES)
    ]
    if own:
        return sum(own) / len(own)
    if row.fp16_tflops is None:
        return None
    capability = float(row.compute_capability or 0)
    if row.vendor == "nvidia":
        factor = _NVIDIA_PROMPT_FACTORS.get(capability, 2.0 if capability >= 8.6 else None)
        # The figure listed for a T4 is that of its tensor cores, which the others of its kind do not count.
        factor = None if row.kind == "datacenter" and capability == 7.5 else factor
    elif row.vendor == "amd":
        factor = 0.7 if (row.gfx or "").startswith("gfx12") else 0.4
    elif row.vendor == "apple":
        factor = 1.5 if "M5" in row.name else 0.7
    else:
        factor = 0.3
    return None if factor is None else factor * row.fp16_tflops * 1e12
