"""What llama.cpp says that a load takes, per device: read from its log, made exact by its table where it has one.

A dry run and a real load log the same lines; only the weights are missing from a dry run's, which allocates none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from localai_app.engine.protocol import PlannedBuffer
from localai_app.engine.worker.breakdown import BufferTypeUse

_MIB = 1024 * 1024
_NO_OWNERS: Mapping[str, str] = {}
_HOST = "CPU"
_REPACKED = ("_REPACK", "AMX", "KLEIDIAI")
"""How the names of buffers end in which weights lie rearranged for the processor."""
_LOG_ROUNDING_BYTES = 32 * 1024
"""The log is in MiB with two decimals, one line for each of at most three caches."""
_WEIGHTS = re.compile(r"^load_tensors: +(\S+) model buffer size = +([\d.]+) MiB")
_COMPUTE = re.compile(r"^sched_reserve: +(\S+) compute buffer size = +([\d.]+) MiB")
_OUTPUT = re.compile(r"^llama_context: +(\S+) +output buffer size = +([\d.]+) MiB")
_CACHE_LAYER = re.compile(r"^llama_(?:kv_cache|memory|dsv4)\w*[:,] layer +\d+: dev = (\S+)")
_CACHE = re.compile(r"^llama_(?:kv_cache|memory|dsv4)\w*: (?:size = |.+, size = ) *([\d.]+) MiB")


@dataclass(slots=True)
class _Device:
    weights: float = 0.0
    repacked: float = 0.0
    kv: float = 0.0
    compute: float = 0.0
    output: float = 0.0


def buffers_in_log(
    lines: Sequence[str], kinds: Mapping[str, str], owners: Mapping[str, str] = _NO_OWNERS,
) -> tuple[PlannedBuffer, ...]:
    """The buffers that llama.cpp's log of a load tells of, main memory last.

    `kinds`: each device's kind by its name; `owners`: the devices of buffers that are not named like their device. A cache
    that is spread over devices is logged as one sum and a device per layer: it is divided by layers.
    """
    devices: dict[str, _Device] = {}
    compute: dict[str, float] = {}
    layers: list[str] = []
    for line in lines:
        if found := _CACHE_LAYER.match(line):
            layers.append(_device_of(found[1], kinds, owners))
        elif found := _CACHE.match(line):
            for name in layers or [_HOST]:
                devices.setdefault(name, _Device()).kv += float(found[1]) * _MIB / (len(layers) or 1)
            layers = []
        elif found := _COMPUTE.match(line):
            # Logged again where the context was built a second time: the last one counts.
            compute[found[1]] = float(found[2]) * _MIB
        elif found := _WEIGHTS.match(line):
            device = devices.setdefault(_device_of(found[1], kinds, owners), _Device())
            device.weights += float(found[2]) * _MIB
            device.repacked += float(found[2]) * _MIB if found[1].endswith(_REPACKED) else 0.0
        elif found := _OUTPUT.match(line):
            devices.setdefault(_device_of(found[1], kinds, owners), _Device()).output += float(found[2]) * _MIB
    for buffer_name, size in compute.items():
        devices.setdefault(_device_of(buffer_name, kinds, owners), _Device()).compute += size
    return tuple(
        PlannedBuffer(
            device=name, kind=kinds.get(name, "cpu") if name != _HOST else "cpu", weights_bytes=round(found.weights),
            repacked_bytes=round(found.repacked), kv_bytes=round(found.kv), compute_bytes=round(found.compute),
            output_bytes=round(found.output))
        for name, found in sorted(devices.items(), key=lambda item: (item[0] == _HOST, item[0]))
    )


def with_table(
    logged: tuple[PlannedBuffer, ...], table: Sequence[BufferTypeUse], kinds: Mapping[str, str],
    owners: Mapping[str, str] = _NO_OWNERS,
) -> tuple[PlannedBuffer, ...]:
    """The buffers with the exact bytes of llama.cpp's table, and the weights; as logged if the two do not agree."""
    sums: dict[str, list[int]] = {}
    for use in table:
        entry = sums.setdefault(_device_of(use.buffer_type, kinds, owners), [0, 0, 0, 0])
        entry[0] += use.weights_bytes
        entry[1] += use.weights_bytes if use.buffer_type.endswith(_REPACKED) else 0
        entry[2] += use.context_bytes
        entry[3] += use.compute_bytes
    by_device = {buffer.device: buffer for buffer in logged}
    agrees = abs(sum(buffer.kv_bytes for buffer in logged) - sum(kv for _w, _r, kv, _c in sums.values())) <= _LOG_ROUNDING_BYTES
    agrees = agrees and all(
        abs(by_device[name].compute_bytes - compute) <= _LOG_ROUNDING_BYTES
        for name, (_weights, _repacked, _kv, compute) in sums.items() if name in by_device)
    if set(sums) != set(by_device) or not agrees:
        return logged
    return tuple(
        msgspec.structs.replace(
            buffer, weights_bytes=sums[buffer.device][0], repacked_bytes=sums[buffer.device][1],
            kv_bytes=sums[buffer.device][2], compute_bytes=sums[buffer.device][3])
        for buffer in logged)


def _device_of(buffer_name: str, kinds: Mapping[str, str], owners: Mapping[str, str]) -> str:
    """The device of a buffer by its name: CUDA0 is one, CUDA_Host and CPU_REPACK are main memory."""
    buffer_name = owners.get(buffer_name, buffer_name)
    own = [name for name, kind in kinds.items() if kind in ("gpu", "integrated_gpu") and buffer_name.startswith(name)]
    return max(own, key=len, default=_HOST)
