"""Names of llama.cpp's back ends, and of its variants for processors: which has more instructions, and which may run here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_X86_512 = ("avx2", "avx512f")
NEEDS: dict[str, tuple[str, ...]] = {
    "zen4": (*_X86_512, "avx512vbmi", "avx512_vnni", "avx512_bf16"),
    "sapphirerapids": (*_X86_512, "avx512_vnni", "avx512_bf16", "amx_int8"),
    "cooperlake": (*_X86_512, "avx512_vnni", "avx512_bf16"),
    "icelake": (*_X86_512, "avx512vbmi", "avx512_vnni"),
    "cascadelake": (*_X86_512, "avx512_vnni"),
    "cannonlake": (*_X86_512, "avx512vbmi"),
    "skylakex": _X86_512,
    "alderlake": ("avx2", "avx_vnni"),
    "haswell": ("avx2",),
    "piledriver": ("f16c", "fma"),
    "ivybridge": ("f16c",),
    "sandybridge": ("avx",),
    "sse42": ("sse4_2",),
    "x64": (),
    "apple_m4": ("sme",),
    "apple_m2_m3": ("i8mm",),
    "apple_m1": (),
    "armv9.2_2": ("sve2", "sme"),
    "armv9.2_1": ("sve", "sme"),
    "armv8.6_2": ("sve2", "i8mm"),
    "armv8.6_1": ("sve", "i8mm"),
    "armv8.2_3": ("sve",),
    "armv8.2_2": ("asimddp", "fphp"),
    "armv8.2_1": ("asimddp",),
    "armv8.0_1": (),
}
"""Those with more instructions first, each with the instruction sets that tell it apart, spelled as in `Cpu.instruction_sets`.

Source: `ggml_add_cpu_backend_variant` in llama.cpp's ggml/src/CMakeLists.txt."""

_NEWEST_FIRST = tuple(NEEDS)


def rank(variant: str) -> int:
    """The place in the order, 0 for most instructions; those that are not known come last."""
    return _NEWEST_FIRST.index(variant) if variant in NEEDS else len(NEEDS)


def is_likely(variant: str, instruction_sets: Collection[str]) -> bool:
    """Whether a processor that lists these sets should run it. A hint: systems leave sets out, or list what they forbid."""
    return set(NEEDS.get(variant, ())) <= set(instruction_sets)


def backend_name(path: Path) -> str:
    """`cpu-haswell` of libggml-cpu-haswell.so."""
    return path.name.removeprefix("lib").removeprefix("ggml-").split(".so")[0].removesuffix(".dll").removesuffix(".dylib")
