"""Fits, speeds and downloads in the words of the pages about models."""

from __future__ import annotations

from localai_app.fit.result import DeviceNeed, FitResult, SpeedBasis, SpeedRange
from localai_app.services.views import DownloadStatus, DownloadView, SuggestionKind
from localai_app.units import (
    GIB,
    format_bytes_per_s,
    format_duration,
    format_file_size,
    format_gib,
    format_speed_range,
)

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


def speed_words(speed: SpeedRange) -> str:
    """A speed range, or that it is unknown."""
    if speed.low is None or speed.high is None:
        return "known after first run"
    return format_speed_range(speed.low, speed.high)


def main_device(fit: FitResult) -> DeviceNeed | None:
    """The device that carries most of the model."""
    return max(fit.devices, key=lambda device: device.total_bytes, default=None)


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
        case DownloadStatus.PAUSED:
            return f"Paused at {format_file_size(view.done_bytes)} of {format_file_size(view.total_bytes)}"
        case DownloadStatus.FAILED:
            return view.error.message if view.error is not None else "Stopped"
        case DownloadStatus.DOWNLOADING:
            parts = [f"{format_file_size(view.done_bytes)} of {format_file_size(view.total_bytes)}"]
            if view.bytes_per_s:
                parts.append(format_bytes_per_s(view.bytes_per_s))
            if view.eta_s is not None:
                parts.append(f"{format_duration(max(1.0, view.eta_s))} left")
            return " · ".join(parts)
