"""What holds NVIDIA GPUs back at this moment: heat and power limits. Others do not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from localai_app.hardware.nvidia import nvml_session

_HEAT = 0x20 | 0x40
"""nvmlClocksEventReasonSwThermalSlowdown and HwThermalSlowdown, of nvml.h."""
_POWER_BRAKE = 0x80
_TEMPERATURE_GPU = 0
"""NVML_TEMPERATURE_GPU."""


class GpuConditions(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU; None where its driver does not tell."""

    name: str
    is_hot: bool = False
    """It clocks itself down because of its temperature."""
    is_braked: bool = False
    """The power supply makes it clock down."""
    temperature_c: int | None = None
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None


def read_gpu_conditions() -> tuple[GpuConditions, ...]:
    """Every NVIDIA GPU now; none where there is no working driver."""
    with nvml_session() as pynvml:
        if pynvml is None:
            return ()
        found = []
        for index in range(_ask(pynvml, pynvml.nvmlDeviceGetCount) or 0):
            handle = _ask(pynvml, pynvml.nvmlDeviceGetHandleByIndex, index)
            name = _ask(pynvml, pynvml.nvmlDeviceGetName, handle) if handle is not None else None
            if name is not None:
                found.append(_conditions(pynvml, handle, str(name)))
        return tuple(found)


def _conditions(pynvml: Any, handle: Any, name: str) -> GpuConditions:
    reasons = _ask(pynvml, pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if reasons is None:
        # Drivers before 535 know it by its older name only.
        reasons = _ask(pynvml, pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    limit = _ask(pynvml, pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    default = _ask(pynvml, pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
    return GpuConditions(
        name=name, is_hot=bool(reasons & _HEAT), is_braked=bool(reasons & _POWER_BRAKE),
        temperature_c=_ask(pynvml, pynvml.nvmlDeviceGetTemperature, handle, _TEMPERATURE_GPU),
        power_limit_w=None if limit is None else limit / 1000,
        default_power_limit_w=None if default is None else default / 1000)


def _ask(pynvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """A figure that may be missing: None instead of an error."""
    try:
        return function(*arguments)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
