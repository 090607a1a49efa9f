"""The energy of an answer in words: how much, of what, and that counters do not know who asked."""

from __future__ import annotations

from localai_app.units import format_energy


def energy_parts(gpu_j: float | None, processor_j: float | None) -> str:
    """The sum, for the line under an answer: “320 J”; empty where nothing was told."""
    known = [part for part in (gpu_j, processor_j) if part is not None]
    return format_energy(sum(known)) if known and sum(known) > 0 else ""


def energy_words(gpu_j: float | None, processor_j: float | None, tokens: int) -> str:
    """The sum by device and per token, as sentences; empty where nothing was told."""
    total = energy_parts(gpu_j, processor_j)
    if not total:
        return ""
    named = [
        f"{format_energy(part)} by the {name}"
        for part, name in ((gpu_j, "GPU"), (processor_j, "processor")) if part is not None]
    each = f", {format_energy(((gpu_j or 0.0) + (processor_j or 0.0)) / tokens)} for each token" if tokens else ""
    return f"Energy: {' and '.join(named)}{each}. This is all that the devices took meanwhile, whoever used them."
