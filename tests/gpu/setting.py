"""What every check works with: services over a folder, the driver, and models that are made when they are first wanted."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.fit.result import FitResult
from localai_app.services.app_services import AppServices
from tests.gpu.driver import Driver
from tests.gpu.filled_model import write_model

MIB = 1024 * 1024


@dataclass
class Setting:
    """One run of the checks. `facts` and `misses` are what a check says in the end."""

    folder: Path
    """Of this check alone."""
    shared: Path
    """Of all checks: `profile`, whose builds were tested already, and `models`."""
    services: AppServices
    driver: Driver
    facts: dict[str, object] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)

    def model(self, model_id: str, label: str = "Q4_K_M", *, is_filled: bool = True) -> Path:
        """The file of a model; made once, by whoever asks first."""
        folder = self.shared / "models"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{model_id}-{label}{'' if is_filled else '-zeros'}.gguf"
        with (folder / f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                part = path.with_suffix(".part")
                write_model(part, model_id, label, is_filled=is_filled)
                part.rename(path)
        return path

    def require(self, holds: bool, sentence: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.misses.append(sentence)


Check = Callable[[Setting], None]


@contextmanager
def setting(shared: Path, name: str) -> Iterator[Setting]:
    """A profile of its own for a check, with the builds and the results of their self-tests taken from the shared one."""
    folder = shared / "checks" / name
    shutil.rmtree(folder, ignore_errors=True)
    profile = folder / "profile"
    (profile / "cache").mkdir(parents=True)
    origin = shared / "profile"
    if (origin / "runtimes").is_dir():
        (profile / "runtimes").symlink_to((origin / "runtimes").resolve(), target_is_directory=True)
    if (origin / "cache" / "runtimes.json").is_file():
        shutil.copy(origin / "cache" / "runtimes.json", profile / "cache" / "runtimes.json")
    services = build_services(LaunchOptions(data_dir=profile))
    try:
        services.hardware.detect_now(with_engine=False)
        yield Setting(folder, shared, services, Driver())
    finally:
        services.close()


def on_gpus(fit: FitResult) -> dict[str, int]:
    """Predicted MiB on GPUs, by part."""
    devices = [device for device in fit.devices if device.kind == "gpu"]
    return {
        "weights": sum(device.weights_bytes for device in devices) // MIB,
        "kv": sum(device.kv_bytes for device in devices) // MIB,
        "compute": sum(device.compute_bytes for device in devices) // MIB,
        "overhead": sum(device.overhead_bytes for device in devices) // MIB,
        "total": sum(device.total_bytes for device in devices) // MIB}


def with_engine(setting_now: Setting) -> None:
    """Ask the engine for its devices, as the program does after its start."""
    setting_now.services.hardware.detect_now()
