"""Reads the names that drivers and PCI databases give to GPUs: `NVIDIA H100 80GB HBM3`, `Navi 21 [Radeon RX 6800/6900 XT]`."""

from __future__ import annotations

import re

_NOISE = frozenset({
    "nvidia", "geforce", "amd", "ati", "radeon", "intel", "corporation", "graphics", "tesla", "instinct", "gpu", "generation",
    "blackwell", "workstation", "ws", "edition", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "tm", "r", "inc", "advanced", "micro",
    "devices",
})
"""Words that do not tell devices apart. The kind of memory does: an H100 with HBM2e is the slower PCIe card."""
_MEMORY_TOKEN = re.compile(r"\d+gb")
_CORES = re.compile(r"\((\d+)-core gpu\)")


def key_of(name: str) -> str:
    """The words of a name that tell devices apart; notes in parentheses and memory sizes are left out."""
    plain = re.sub(r"\((?:r|tm|c)\)", " ", name.lower())
    plain = re.sub(r"\([^)]*\)", " ", plain)
    return " ".join(token for token in tokens_of(plain) if token not in _NOISE and not _MEMORY_TOKEN.fullmatch(token))


def row_keys(name: str) -> list[str]:
    """Keys under which a device of the table is found.

    Apple's Max chips come in bins with different bandwidths, so a row for one bin needs the number of GPU cores in the
    name; the bins of its other chips share one bandwidth.
    """
    cores = _CORES.search(name.lower())
    key = key_of(name)
    if cores is None:
        return [key]
    with_cores = f"{key} {cores[1]} core"
    return [with_cores] if key.endswith("max") else [key, with_cores]


def alternatives(name: str) -> list[str]:
    """One name, or the several that a PCI database lists for one chip: `Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]`.

    A name without any word of its own (`Radeon Graphics`) is left out where there are others.
    """
    bracketed = re.search(r"\[([^\]]+)\]", name)
    text = bracketed[1] if bracketed else name
    cores = _CORES.search(text.lower())
    if cores:
        text = f"{text[: cores.start()]} {cores[1]} core"
    parts = [part.strip() for part in text.split("/") if part.strip()]
    series = " rx " if re.search(r"\brx\b", text.lower()) else " "
    whole = [part if index == 0 or re.search(r"\brx\b", part.lower()) else series + part for index, part in enumerate(parts)]
    return [part for part in whole if key_of(part)] or whole


def size_in_name(name: str) -> int | None:
    """The memory that a name gives, in GB as sold; None where it gives none."""
    return next((int(token[:-2]) for token in tokens_of(name) if _MEMORY_TOKEN.fullmatch(token)), None)


def tokens_of(name: str) -> list[str]:
    """Words and numbers of a name in lower case."""
    return re.findall(r"[a-z0-9.+]+", name.lower())
