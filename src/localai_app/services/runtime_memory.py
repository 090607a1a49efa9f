"""What is remembered of self-tests: for one state of this computer, in a file that may be deleted at any time."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from localai_app.engine.runtimes import Runtime
from localai_app.hardware.report import HardwareReport
from localai_app.services.self_test_run import TestResult
from localai_app.whole_file import write_whole

log = logging.getLogger(__name__)

_MOST_BYTES = 1024 * 1024


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """Results by `result_key`. `machine` is what they hold for; `verified` are fingerprints of files that were hashed."""

    machine: str = ""
    results: dict[str, TestResult] = {}
    chosen: str = ""
    """`Runtime.key` of the one in use."""
    build: str = ""
    """Names the files of the build in use; empty for the installed package as it is."""
    verified: tuple[str, ...] = ()


def result_key(runtime: Runtime) -> str:
    """A result holds for these very files."""
    return f"{runtime.key}@{runtime.fingerprint}"


def machine_fingerprint(report: HardwareReport) -> str:
    """Changes with the processor, its instructions, the GPUs, their drivers and the operating system's build."""
    facts = [
        report.system, _system_build(), report.cpu.model, *report.cpu.instruction_sets,
        *(f"{gpu.name}:{gpu.driver}" for gpu in report.gpus)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def read_remembered(path: Path) -> Remembered:
    """What the file says; nothing where there is none, or where it makes no sense."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=Remembered)
    except FileNotFoundError:
        return Remembered()
    except (OSError, msgspec.MsgspecError) as error:
        log.info("the results of self-tests cannot be read and are made again: %s", error)
        return Remembered()


def write_remembered(path: Path, remembered: Remembered) -> None:
    """Write the file, whole or not at all; a disk that refuses costs the tests of the next start."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(remembered))
    except OSError as error:
        log.info("the results of self-tests cannot be kept: %s", error)


def _system_build() -> str:
    import platform

    return f"{platform.release()} {platform.version()}"
