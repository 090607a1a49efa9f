"""What the probes found against what llama.cpp can use: the difference is what a user has to know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from localai_app.hardware.report import EngineDevice, Gpu, HardwareReport, ProbeNote, Vendor, is_lent

PROBE_NAME = "engine"
GPU_KINDS = ("gpu", "integrated_gpu")
BUILD_WORDS = {
    Vendor.NVIDIA: "CUDA or Vulkan", Vendor.AMD: "ROCm or Vulkan", Vendor.INTEL: "Vulkan or SYCL", Vendor.APPLE: "Metal",
    Vendor.OTHER: "Vulkan",
}
"""The back ends of llama.cpp that serve a maker's GPUs."""
VENDOR_WORDS = {
    Vendor.NVIDIA: ("nvidia", "geforce", "quadro", "tesla"), Vendor.AMD: ("amd", "radeon", "instinct"),
    Vendor.INTEL: ("intel", "arc"), Vendor.APPLE: ("apple",),
}


MOST_CONTEXT_BYTES = 1024**3
"""A larger difference is what another program took meanwhile."""


def cross_check(report: HardwareReport, engine_devices: Sequence[EngineDevice]) -> HardwareReport:
    """The report with llama.cpp's own devices and a note for every difference; checking again replaces the notes.

    A GPU whose memory no probe could read takes the figures of the device that llama.cpp lists for it. What its process sees
    less than the driver said before it started is the context that the driver made for it.
    """
    seen = [device for device in engine_devices if device.kind in GPU_KINDS]
    matched = _match(report.gpus, [device for device in seen if not is_lent(device.name)])
    known_devices = {id(device) for devices in matched.values() for device in devices}
    notes = [note for note in report.notes if note.probe != PROBE_NAME]
    unused = [gpu for gpu in report.gpus if not matched[gpu.index]]
    if unused and all(is_lent(device.name) for device in seen):
        notes.append(_no_gpu_note(unused))
    elif unused:
        notes.extend(_unused_note(gpu) for gpu in unused)
    notes.extend(_unknown_note(device) for device in seen if id(device) not in known_devices and not is_lent(device.name))
    gpus = tuple(_filled(gpu, matched[gpu.index]) for gpu in report.gpus)
    return msgspec.structs.replace(report, gpus=gpus, notes=tuple(notes), engine_devices=tuple(engine_devices))


def _match(gpus: Sequence[Gpu], devices: Sequence[EngineDevice]) -> defaultdict[int, list[EngineDevice]]:
    """The devices of each GPU by its index. One card may show up once for each back end (CUDA0 and Vulkan0)."""
    by_backend: defaultdict[str, list[EngineDevice]] = defaultdict(list)
    for device in devices:
        by_backend[device.name.rstrip("0123456789")].append(device)
    matched: defaultdict[int, list[EngineDevice]] = defaultdict(list)
    for listed in by_backend.values():
        free_gpus, free_devices = list(gpus), list(listed)
        for is_same in (_same_name, _same_kind, _same_vendor):
            for device in tuple(free_devices):
                gpu = next((gpu for gpu in free_gpus if is_same(gpu, device)), None)
                if gpu is not None:
                    matched[gpu.index].append(device)
                    free_gpus.remove(gpu)
                    free_devices.remove(device)
    return matched


def _same_name(gpu: Gpu, device: EngineDevice) -> bool:
    ours, theirs = _plain_name(gpu.name), _plain_name(device.description or device.name)
    return bool(ours and theirs) and (ours == theirs or ours in theirs or theirs in ours)


def _same_kind(gpu: Gpu, device: EngineDevice) -> bool:
    return _same_vendor(gpu, device) and gpu.unified == (device.kind == "integrated_gpu")


def _same_vendor(gpu: Gpu, device: EngineDevice) -> bool:
    words = set(_plain_name(f"{device.description} {device.name}", keep_maker=True).split())
    named = {vendor for vendor, known in VENDOR_WORDS.items() if words.intersection(known)}
    if device.name.upper().startswith("CUDA"):
        named.add(Vendor.NVIDIA)
    return gpu.vendor in named


def _plain_name(name: str, *, keep_maker: bool = False) -> str:
    """A name without trade marks, parentheses, maker and punctuation, to compare spellings of different drivers."""
    plain = re.sub(r"\((?:tm|r|c)\)|[®™]", " ", name, flags=re.IGNORECASE)
    plain = re.sub(r"\([^)]*\)", " ", plain)
    words = re.findall(r"[a-z0-9.+]+", plain.lower())
    return " ".join(word for word in words if keep_maker or word not in ("nvidia", "amd", "intel", "graphics"))


def _filled(gpu: Gpu, devices: Sequence[EngineDevice]) -> Gpu:
    device = next((device for device in devices if device.total_bytes > 0), None)
    if device is None:
        return gpu
    if gpu.total_bytes is not None:
        taken = (gpu.free_bytes or 0) - device.free_bytes
        is_context = gpu.free_bytes is not None and not gpu.unified and 0 < taken <= MOST_CONTEXT_BYTES
        return msgspec.structs.replace(gpu, engine_context_bytes=taken if is_context else 0)
    return msgspec.structs.replace(gpu, total_bytes=device.total_bytes, free_bytes=device.free_bytes)


def _no_gpu_note(gpus: Sequence[Gpu]) -> ProbeNote:
    names = ", ".join(gpu.name for gpu in gpus)
    builds = BUILD_WORDS[gpus[0].vendor]
    return ProbeNote(
        probe=PROBE_NAME,
        message=f"The engine (llama.cpp) sees no GPU, although this computer has {names}: models run on the processor.",
        remedy=f"Install the engine built with {builds}: `python3 dev.py run` does so where the tools for it are there.")


def _unused_note(gpu: Gpu) -> ProbeNote:
    return ProbeNote(
        probe=PROBE_NAME, message=f"The engine (llama.cpp) does not use {gpu.name}.",
        remedy=f"Its driver may be missing, or the engine is built without {BUILD_WORDS[gpu.vendor]}.")


def _unknown_note(device: EngineDevice) -> ProbeNote:
    return ProbeNote(
        probe=PROBE_NAME,
        message=f"The engine (llama.cpp) sees {device.description or device.name}, which the hardware probes did not find.",
        remedy="It is used all the same; what other programs hold of its memory is not shown.")
