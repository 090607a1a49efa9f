"""Fits, speeds and downloads in the words of the pages about models."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from localai_app.catalog.model import CatalogModel
from localai_app.errors import AppError
from localai_app.fit.result import Basis, DeviceNeed, FitResult, SpeedBasis, SpeedRange, Verdict
from localai_app.hub.model import Repo
from localai_app.services.views import DownloadStatus, DownloadView, SuggestionKind, VariantRow
from localai_app.units import (
    GIB,
    format_bytes_per_s,
    format_count,
    format_file_size,
    format_gib,
    format_speed_range,
    format_wait,
)

LONG_WORD = 32
ZERO_WIDTH_SPACE = "\u200b"
KIND_WORDS = {
    SuggestionKind.BEST_ANSWERS: "BEST ANSWERS",
    SuggestionKind.BALANCED: "BALANCED",
    SuggestionKind.FASTEST: "FASTEST",
}
BASIS_WORDS = {
    SpeedBasis.MEASURED_HERE: "Measured on this computer.",
    SpeedBasis.CALIBRATED: "Calculated, and corrected by what was measured on this computer.",
    SpeedBasis.FORMULA: "Calculated from the bytes that each token reads and the memory's speed.",
    SpeedBasis.UNKNOWN: "Not known before the first run: nothing tells how fast this device is.",
}

FIGURE_WORDS = {
    Basis.DRY_RUN: "llama.cpp's own plan",
    Basis.HEADER: "from the file's header",
    Basis.CATALOG: "from its size",
}
"""Where the memory figures of a fit come from."""


def need_words(fit: FitResult) -> str:
    """What a variant needs; marked where that follows from its size alone."""
    if fit.verdict is Verdict.UNKNOWN:
        return "not known"
    mark = "≈ " if fit.basis is Basis.CATALOG else ""
    return f"{mark}{format_gib(fit.total_bytes)}"


def need_details(fit: FitResult) -> str:
    """Where that figure comes from, or why there is none."""
    if fit.verdict is Verdict.UNKNOWN:
        return " ".join(fit.reasons)
    return f"Figures: {FIGURE_WORDS[fit.basis]}"


def note_of_rows(note: str, rows: Sequence[VariantRow], problem: AppError | None) -> str:
    """What to say below a table whose rows get better figures one after the other."""
    left = sum(row.is_refining for row in rows)
    if left:
        return f"{note} Reading what each file says of itself: {len(rows) - left} of {len(rows)}."
    if problem is None:
        return note
    is_rough = any(row.fit is not None and row.fit.basis is Basis.CATALOG for row in rows)
    rough = "Needs marked ≈ follow from the sizes: " if is_rough else ""
    return f"{note} {rough}{problem.message}"


def speed_words(speed: SpeedRange) -> str:
    """A speed range, or that it is unknown."""
    if speed.low is None or speed.high is None:
        return "known after first run"
    return format_speed_range(speed.low, speed.high)


def speed_figures(fit: FitResult) -> str:
    """A speed range without its unit, for a column that names it; empty where the model does not run."""
    if fit.verdict in (Verdict.NO, Verdict.UNKNOWN):
        return ""
    if fit.speed.low is None or fit.speed.high is None:
        return "unknown"
    return format_speed_range(fit.speed.low, fit.speed.high).removesuffix(" tok/s").replace(" to ", "–")


def size_words(size_bytes: int, *, is_exact: bool) -> str:
    """A file's size, marked where it is calculated."""
    return format_file_size(size_bytes) if is_exact else f"≈ {format_file_size(size_bytes)}"


def unbroken_parts(words: str) -> str:
    """The same words with line breaks only between their parts, where they have several."""
    parts = words.split(" · ")
    return words if len(parts) == 1 else " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)


def breakable(words: str) -> str:
    """The same words with places for line breaks in those that are too long for a line, such as names of files."""
    return " ".join(
        re.sub(r"(?<=[._])(?=[^._])", ZERO_WIDTH_SPACE, word) if len(word) > LONG_WORD else word for word in words.split(" "))


def main_device(fit: FitResult) -> DeviceNeed | None:
    """The device that carries most of the model; several GPUs count as one."""
    gpus = [device for device in fit.devices if device.kind == "gpu" and device.total_bytes]
    others = [device for device in fit.devices if device not in gpus]
    if len(gpus) > 1:
        gpus = [msgspec.structs.replace(
            gpus[0], name=" and ".join(device.name for device in gpus),
            total_bytes=sum(device.total_bytes for device in gpus), free_bytes=sum(device.free_bytes for device in gpus))]
    return max((*gpus, *others), key=lambda device: device.total_bytes, default=None)


def memory_words(device: DeviceNeed) -> str:
    """Needed of free memory on one device: 9.8 of 10.4 GiB."""
    if device.total_bytes < 0.1 * GIB:
        return f"{format_gib(device.total_bytes)} of {format_gib(device.free_bytes)}"
    return f"{device.total_bytes / GIB:.1f} of {format_gib(device.free_bytes)}"


def progress_words(view: DownloadView) -> str:
    """Where a download stands, in one line."""
    match view.status:
        case DownloadStatus.WAITING:
            return "Waiting to start"
        case DownloadStatus.VERIFYING:
            return "Checking what has arrived"
        case DownloadStatus.PAUSED if not view.total_bytes:
            return "Paused before it began"
        case DownloadStatus.PAUSED:
            return f"Paused at {format_file_size(view.done_bytes)} of {format_file_size(view.total_bytes)}"
        case DownloadStatus.FAILED:
            return view.error.message if view.error is not None else "Stopped"
        case DownloadStatus.DOWNLOADING:
            parts = [f"{format_file_size(view.done_bytes)} of {format_file_size(view.total_bytes)}"]
            if view.bytes_per_s:
                parts.append(format_bytes_per_s(view.bytes_per_s))
            if view.eta_s is not None:
                parts.append(f"{format_wait(view.eta_s)} left")
            return " · ".join(parts)


def facts_of_model(model: CatalogModel) -> str:
    """What a catalog model is, in a few sentences."""
    parts = [f"{model.summary.rstrip('.')}."]
    if model.geometry is not None:
        parts.append(f"Up to {format_count(model.geometry.ctx_train)} tokens of context.")
    licence = "licence not stated" if model.license == "not stated" else model.license
    parts.append(f"{model.publisher}, {licence}.")
    if model.gated:
        parts.append("Its licence has to be accepted on the Hub first.")
    if model.is_base and "base model" not in model.summary.lower():
        parts.append("A base model: it continues text and does not chat.")
    return " ".join(parts)


def no_file_words(model: CatalogModel) -> str:
    """Why a catalog model has no variants to download."""
    if model.files:
        return ""
    if not model.repo_id:
        return "No repository with files for this program (GGUF) is known, so there is nothing to download yet."
    return "Its files are not known before the Hub was asked."


def facts_of_repo(repo: Repo) -> str:
    """What the Hub says about a repository, in one line."""
    gate = "licence to accept on its page" if repo.gated else ""
    noun = "download" if repo.downloads == 1 else "downloads"
    return " · ".join(part for part in (repo.repo_id, repo.license, f"{format_count(repo.downloads)} {noun}", gate) if part)
