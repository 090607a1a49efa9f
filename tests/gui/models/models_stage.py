"""A small catalog, a computer, and views of downloads for tests of the pages about models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QCoreApplication, QThreadPool
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListView, QSlider, QWidget

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import Catalog
from localai_app.errors import AppError
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, Vendor
from localai_app.paths import resources_dir
from localai_app.services.app_services import AppServices
from localai_app.services.views import DownloadStatus, DownloadView, InstalledModel

GIB = 1024**3
CATALOG_IDS = ("qwen3-8b", "gemma-3-27b-it", "gemma-3-4b-it", "gpt-oss-20b", "llama-3.3-70b-instruct", "smollm2-135m-instruct")
REPORT = HardwareReport(
    system="linux",
    cpu=Cpu(model="AMD Ryzen 7 7700 8-Core Processor", architecture="x86_64", physical_cores=8, logical_cores=16),
    memory=Memory(total_bytes=32 * GIB, available_bytes=20 * GIB, bandwidth_bytes_per_s=60e9),
    gpus=(Gpu(index=0, name="NVIDIA GeForce RTX 4070", vendor=Vendor.NVIDIA, total_bytes=12 * GIB, free_bytes=10 * GIB),),
    engine_devices=(
        EngineDevice(name="CUDA0", description="RTX 4070", kind="gpu", total_bytes=12 * GIB, free_bytes=10 * GIB),),
)
TINY_COMPUTER = msgspec.structs.replace(
    REPORT, memory=Memory(total_bytes=2 * GIB, available_bytes=GIB // 10), gpus=(), engine_devices=())


def write_catalog(path: Path, repo_ids: dict[str, str] | None = None) -> Path:
    """A catalog of a few real models, one whose repository is not known, and others' repositories replaced by `repo_ids`."""
    known = load_catalog(resources_dir() / "catalog" / "models.json")
    wanted = [model for model in known.models if model.id in CATALOG_IDS or not model.repo_id]
    models = [msgspec.structs.replace(model, repo_id=(repo_ids or {}).get(model.id, model.repo_id)) for model in wanted]
    path.write_bytes(msgspec.json.encode(Catalog(version=known.version, made_from="test", models=tuple(models))))
    return path


def show_computer(services: AppServices, report: HardwareReport = REPORT) -> None:
    """As if the probes had found this computer."""
    services.hardware._report = report
    services.discovery.compute_now()


def download(
    status: DownloadStatus = DownloadStatus.DOWNLOADING, *, error: AppError | None = None, done_bytes: int = 2_100_000_000,
    total_bytes: int = 5_000_000_000, label: str = "Q4_K_M", repo_id: str = "owner/Model-GGUF", download_id: int = 1,
) -> DownloadView:
    """A download as the service shows it."""
    runs = status is DownloadStatus.DOWNLOADING
    return DownloadView(
        id=download_id, repo_id=repo_id, label=label, status=status, done_bytes=done_bytes, total_bytes=total_bytes,
        bytes_per_s=42e6 if runs else None, eta_s=(total_bytes - done_bytes) / 42e6 if runs else None, error=error)


def installed(key: str = "owner/Model-GGUF:Q4_K_M", **changes: object) -> InstalledModel:
    """A model on disk."""
    fields: dict[str, object] = {
        "key": key, "name": "Model", "label": "Q4_K_M", "repo_id": "owner/Model-GGUF", "paths": (Path("/models/m.gguf"),),
        "size_bytes": 5_000_000_000, "source": "Local AI"}
    return InstalledModel(**{**fields, **changes})  # type: ignore[arg-type]


def nameless(page: QWidget) -> list[str]:
    """Everything to operate on a page that says nothing to a screen reader."""
    controls = [
        widget for kind in (QAbstractButton, QLineEdit, QComboBox, QSlider, QListView) for widget in page.findChildren(kind)
        if not widget.objectName().startswith("qt_") and type(widget.parentWidget()).__name__ not in ("QLineEdit", "QComboBox")]
    silent = [
        widget for widget in controls
        if not widget.accessibleName() and not (isinstance(widget, QAbstractButton) and widget.text())]
    return [f"{type(widget).__name__} {widget.objectName()}" for widget in silent if widget.isVisibleTo(page)]


def finish_background_work() -> None:
    """Wait for the thread pool and deliver what it found."""
    QThreadPool.globalInstance().waitForDone(10_000)
    QCoreApplication.processEvents()


def eventually(qtbot: object, condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    qtbot.waitUntil(condition, timeout=15_000)  # type: ignore[attr-defined]
