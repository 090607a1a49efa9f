"""Computers in files: what `hardware --json` prints, or a few lines written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hardware.report import HardwareReport
from localai_app.services.machine_parts import KnownGpu
from localai_app.services.what_if import GpuChoice, MachineSpec, build_machine
from localai_app.units import GIB, format_gib

MAX_FILE_BYTES = 1_000_000
KIND = "hardware"


class _Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    count: int = 1
    vram_gib: float | None = None


class _Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The short form. Only `ram_gib` is needed; None: what is usual beside such GPUs."""

    ram_gib: float
    name: str = ""
    ram_gbs: float | None = None
    """Peak speed of main memory, in 10^9 bytes per second."""
    cores: int | None = None
    gpus: tuple[_Gpu, ...] = ()
    is_server: bool | None = None


def read_machine(path: Path, known: Sequence[KnownGpu]) -> HardwareReport:
    """The computer that a file describes: a whole report, what `what-if --json` prints, or the short form.

    A report is taken as it is; a computer in the short form is idle. Raises `AppError` FILE_UNREADABLE, FILE_INVALID,
    GPU_UNKNOWN, GPU_AMBIGUOUS or MACHINE_INVALID.
    """
    content = _content(path)
    try:
        fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if "hardware" in fields:
            return msgspec.json.decode(fields["hardware"], type=HardwareReport)
        if "cpu" in fields or "memory" in fields or "system" in fields:
            return msgspec.json.decode(content, type=HardwareReport)
        if "ram_gib" not in fields:
            raise AppError(
                errors.FILE_INVALID, name=path.name, kind=KIND,
                reason="it has neither `ram_gib` nor the parts of what `hardware --json` prints")
        return build_machine(_spec(msgspec.json.decode(content, type=_Machine)), known)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AppError(errors.FILE_INVALID, name=path.name, kind=KIND, reason=str(error)) from error


def write_machine(path: Path, spec: MachineSpec) -> None:
    """Write a computer in the short form. Raises `AppError` FILE_UNWRITABLE."""
    machine = _Machine(
        name=spec.name, ram_gib=spec.ram_bytes / GIB, cores=spec.cores, is_server=spec.is_server,
        ram_gbs=spec.ram_bandwidth_bytes_per_s / 1e9 if spec.ram_bandwidth_bytes_per_s is not None else None,
        gpus=tuple(_Gpu(name=gpu.name, count=gpu.count, vram_gib=gpu.memory_gib) for gpu in spec.gpus))
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(machine), indent=2) + b"\n")
    except OSError as error:
        raise AppError(errors.FILE_UNWRITABLE, name=path.name, reason=(error.strerror or str(error)).lower()) from error


def machine_words(report: HardwareReport) -> str:
    """A computer in a few words: its GPUs and its memory."""
    names = [gpu.name for gpu in report.gpus]
    gpus = ", ".join(
        f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)) or "no GPU"
    return f"{gpus}, {format_gib(report.memory.total_bytes)}"


def _spec(machine: _Machine) -> MachineSpec:
    return MachineSpec(
        name=machine.name, ram_bytes=round(machine.ram_gib * GIB) if abs(machine.ram_gib) < 1e9 else -1,
        ram_bandwidth_bytes_per_s=machine.ram_gbs * 1e9 if machine.ram_gbs is not None else None, cores=machine.cores,
        gpus=tuple(GpuChoice(name=gpu.name, count=gpu.count, memory_gib=gpu.vram_gib) for gpu in machine.gpus),
        is_server=machine.is_server)


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise AppError(errors.FILE_UNREADABLE, name=path, reason="it is not a regular file")
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=path.name, reason=(error.strerror or str(error)).lower()) from error
