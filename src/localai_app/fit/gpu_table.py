"""Bandwidth and computing power of known GPUs, matched on the exact names that drivers report."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.units import GIB

ASSUMED_SHARE_OF_PEAK = 0.85
"""Share of the peak bandwidth that decoding reaches beside its fixed cost per layer (fitted to llama.cpp's scoreboards)."""
_BENCH_BLOCKS = 32
"""Blocks of the models in those scoreboards (Llama-2-7B, Mistral-7B, Llama-3.1-8B)."""
_BENCH_FAMILIES = ("llama-2-7b", "llama-3.1-8b", "mistral-7b")
_MEMORY_TOLERANCE = 0.12
"""Drivers report up to 8 % less than a card is sold with."""
_LARGEST_ONLY_GIB = {"a100": 80}
"""Sold under one name with different bandwidths; the table's figure is that of the size given here."""
_NOISE = frozenset({
    "nvidia", "geforce", "amd", "ati", "radeon", "intel", "corporation", "graphics", "tesla", "instinct", "gpu", "generation",
    "blackwell", "workstation", "ws", "edition", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "hbm2", "hbm2e", "hbm3", "hbm3e", "tm",
    "r", "inc", "advanced", "micro", "devices",
})
_PCIE_IS_SLOWER = frozenset({"a100", "h100", "h200"})
_MEMORY_TOKEN = re.compile(r"\d+gb")
_CORES = re.compile(r"\((\d+)-core gpu\)")


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
                for key in _row_keys(name):
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
        for alternative in _alternatives(name):
            rows = self._rows_called(alternative, total_bytes)
            if not rows:
                return None
            candidates += rows
        bandwidths = {row.bandwidth_gbs for row in candidates}
        if len(bandwidths) != 1 or None in bandwidths:
            return None
        return _spec(candidates[0])

    def _rows_called(self, name: str, total_bytes: int | None) -> list[_Row]:
        key, tokens = _key(name), _tokens(name)
        if not key or ("pcie" in tokens and _PCIE_IS_SLOWER.intersection(tokens)):
            return []
        rows = self._rows.get(key) or self._rows.get(" ".join(t for t in key.split() if t != "pcie"), [])
        sold_gib = [int(token[:-2]) for token in tokens if _MEMORY_TOKEN.fullmatch(token)]
        size_gib = total_bytes / GIB if total_bytes else (sold_gib[0] if sold_gib else None)
        smallest = next((gib for chip, gib in _LARGEST_ONLY_GIB.items() if chip in tokens), None)
        if smallest is not None and (size_gib is None or size_gib < smallest * (1 - _MEMORY_TOLERANCE)):
            return []
        return [row for row in rows if _has_memory(row, size_gib)]


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


def _tokens(name: str) -> list[str]:
    return re.findall(r"[a-z0-9.+]+", name.lower())


def _key(name: str) -> str:
    """The words of a name that tell devices apart; notes in parentheses and memory sizes are left out."""
    plain = re.sub(r"\((?:r|tm|c)\)", " ", name.lower())
    plain = re.sub(r"\([^)]*\)", " ", plain)
    return " ".join(t for t in _tokens(plain) if t not in _NOISE and not _MEMORY_TOKEN.fullmatch(t))


def _row_keys(name: str) -> list[str]:
    """Names under which a row is found.

    Apple's Max chips come in bins with different bandwidths, so a row for one bin needs the number of GPU cores in the
    name; the bins of its other chips share one bandwidth.
    """
    cores = _CORES.search(name.lower())
    key = _key(name)
    if cores is None:
        return [key]
    with_cores = f"{key} {cores[1]} core"
    return [with_cores] if key.endswith("max") else [key, with_cores]


def _alternatives(name: str) -> list[str]:
    """One name, or the several that a PCI database lists for one chip: `Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]`."""
    bracketed = re.search(r"\[([^\]]+)\]", name)
    text = bracketed[1] if bracketed else name
    cores = _CORES.search(text.lower())
    if cores:
        text = f"{text[: cores.start()]} {cores[1]} core"
    parts = [part.strip() for part in text.split("/") if part.strip()]
    series = " rx " if re.search(r"\brx\b", text.lower()) else " "
    return [part if index == 0 or re.search(r"\brx\b", part.lower()) else series + part for index, part in enumerate(parts)]


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

    Fitted to llama.cpp's scoreboards (32 blocks): CUDA Ada and Blackwell 0.6-1.0 ms, Ampere 0.7-1.8 (also taken for Hopper, of
    which no row was read), V100 2.8; ROCm RDNA3/4 1.3-3.6, older and CDNA 3.5-5.7; Arc 4.4; Metal base and Pro 0-1.5, Max 4,
    Ultra 5.
    """
    capability = float(row.compute_capability or 0)
    if row.vendor == "nvidia":
        if capability == 7.0:
            return 88e-6
        if capability in (8.0, 9.0):
            return 40e-6
        return 25e-6 if capability >= 8.9 else 40e-6 if capability >= 8.6 else 60e-6
    if row.vendor == "amd":
        return 75e-6 if (row.gfx or "").startswith(("gfx11", "gfx12")) else 145e-6
    if row.vendor == "apple":
        return 155e-6 if "Ultra" in row.name else 125e-6 if "Max" in row.name else 25e-6
    return 138e-6


def _prompt_flops(row: _Row) -> float | None:
    """Listed TFLOPS times the share that prompts reach: the device's own benchmark, else that of its relatives."""
    own = [
        2 * bench.params * bench.pp512 for bench in row.bench
        if bench.pp512 and bench.params and bench.model.lower().startswith(_BENCH_FAMILIES)
    ]
    if own:
        return sum(own) / len(own)
    if row.fp16_tflops is None:
        return None
    capability = float(row.compute_capability or 0)
    if row.vendor == "nvidia":
        factor = 2.0 if capability >= 8.6 and capability != 9.0 else 1.4 if capability in (7.0, 7.5) else None
        factor = None if row.kind == "datacenter" and capability < 8.6 else factor
    elif row.vendor == "amd":
        factor = 0.7 if (row.gfx or "").startswith("gfx12") else 0.4
    elif row.vendor == "apple":
        factor = 1.5 if "M5" in row.name else 0.7
    else:
        factor = 0.3
    return None if factor is None else factor * row.fp16_tflops * 1e12
