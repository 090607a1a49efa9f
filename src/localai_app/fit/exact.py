"""llama.cpp's own plan of one placement, in place of the formulas that led to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from localai_app.engine.protocol import LoadOptions, PlannedBuffer
from localai_app.fit.result import FitResult
from localai_app.fit.shares import Placement, Share

MAIN_MEMORY = "CPU"
"""What a plan calls everything in main memory."""


class ExactPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a load with just these options takes, by device."""

    options: LoadOptions
    buffers: tuple[PlannedBuffer, ...]

    def is_of(self, options: LoadOptions) -> bool:
        """Whether it was made for these options; paths and threads change no buffer."""
        return same_load(self.options) == same_load(options)


def same_load(options: LoadOptions) -> LoadOptions:
    """The options without what changes no buffer."""
    return msgspec.structs.replace(options, model_path="", threads=0, use_mmap=True)


def with_plan(placement: Placement, plan: ExactPlan, projector_bytes: int) -> Placement | None:
    """The placement with llama.cpp's figures; None where the plan does not speak of the same devices.

    The plan knows nothing of a projector, which lies with the output head.
    """
    by_device = {buffer.device: buffer for buffer in plan.buffers}
    names = {share.budget.engine_name: share for share in placement.gpus}
    if not names.keys() <= by_device.keys() or by_device.keys() - names.keys() - {MAIN_MEMORY}:
        return None
    gpus = tuple(_planned(share, by_device[name], projector_bytes) for name, share in names.items())
    host = placement.host
    if MAIN_MEMORY in by_device:
        host = _planned(host, by_device[MAIN_MEMORY], projector_bytes)
    return msgspec.structs.replace(placement, gpus=gpus, host=host, is_planned=True)


def _planned(share: Share, buffer: PlannedBuffer, projector_bytes: int) -> Share:
    """Weights are 0 where this build of llama.cpp cannot be asked for them: then they stay as the header has them."""
    weights = buffer.weights_bytes + (projector_bytes if share.has_head else 0) if buffer.weights_bytes else share.weights_bytes
    return msgspec.structs.replace(
        share, weights_bytes=weights, kv_bytes=buffer.kv_bytes, compute_bytes=buffer.compute_bytes + buffer.output_bytes,
        repacked_bytes=buffer.repacked_bytes)


def surcharges_after(
    chosen: FitResult, planned: FitResult, before: Sequence[tuple[str, int]] = (),
) -> tuple[tuple[str, int], ...] | None:
    """What to keep free by llama.cpp's name of a device ('' is main memory) in the next choice; None where all of it fits.

    On a device that the plan would overfill that is what the plan takes beyond the formulas, and at least what is too much.
    """
    formula = {device.engine_name: device.total_bytes for device in chosen.devices}
    sums = dict(before)
    fits = True
    for device in planned.devices:
        name, over = device.engine_name, device.total_bytes - max(0, device.free_bytes - device.reserve_bytes)
        if over > 0:
            fits = False
            sums[name] = max(sums.get(name, 0) + over, device.total_bytes - formula.get(name, 0))
    return None if fits else tuple(sums.items())
