"""Which runtime packs this computer gains from, and why the others are of no use to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from localai_app.engine.pack_folder import Verified
from localai_app.hardware.report import Gpu, HardwareReport, Vendor
from localai_app.release.fields import number_parts
from localai_app.release.pack_document import Pack, PackDocument

OTHER_VERSION = "It belongs to another version of Local AI."


class Standing(StrEnum):
    """What there is to do with a pack."""

    OFFERED = "offered"
    NEWER = "newer"
    """A newer version than the installed one."""
    INSTALLED = "installed"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class PackOffer:
    """One pack for this computer. `reason` is a sentence: why it is offered, or why it is of no use."""

    pack: Pack
    standing: Standing
    reason: str

    @property
    def can_install(self) -> bool:
        """Whether it would be used here."""
        return self.standing in (Standing.OFFERED, Standing.NEWER)


@dataclass(frozen=True, slots=True)
class Here:
    """What decides: the platform, the builds of llama.cpp by their ids, the hardware, what is installed and what computes."""

    platform: str
    engine_ids: Sequence[str]
    report: HardwareReport
    installed: Sequence[Verified]
    in_use: str = ""
    """What computes now, in words."""


def offers(document: PackDocument, here: Here) -> tuple[PackOffer, ...]:
    """Every pack for this platform and these builds of llama.cpp, those to install first; none of other platforms."""
    found = [_offer(pack, here) for pack in document.packs if pack.platform == here.platform]
    order = list(Standing)
    return tuple(sorted(found, key=lambda offer: (order.index(offer.standing), offer.pack.label)))


def gaining_gpus(pack: Pack, report: HardwareReport) -> list[Gpu]:
    """The cards of this computer that a pack is for, whatever their driver."""
    if not pack.min_compute_capability and not pack.max_compute_capability and not pack.min_driver:
        return list(report.gpus)
    return [gpu for gpu in report.gpus if gpu.vendor is Vendor.NVIDIA and _is_in_range(gpu, pack)]


def _offer(pack: Pack, here: Here) -> PackOffer:
    installed = next(
        (each for each in here.installed if (each.pack_id, each.engine_id) == (pack.pack_id, pack.engine_id)), None)
    if installed is not None and installed.archive_sha256 == pack.archive.sha256:
        return PackOffer(pack, Standing.INSTALLED, f"Version {pack.version} is installed.")
    problem = _problem(pack, here)
    if problem:
        return PackOffer(pack, Standing.UNFIT, problem)
    names = " and ".join(dict.fromkeys(gpu.name for gpu in gaining_gpus(pack, here.report))) or "this computer"
    if installed is not None:
        return PackOffer(pack, Standing.NEWER, f"Version {pack.version} for {names}; version {installed.version} is installed.")
    now = f"{here.in_use} computes now. " if here.in_use else ""
    return PackOffer(
        pack, Standing.OFFERED,
        f"{now}This pack is made for {names}; it is used if it computes right and is faster in the self-test.")


def _problem(pack: Pack, here: Here) -> str:
    """Why a pack is of no use here; empty where it is of use."""
    if pack.engine_id not in here.engine_ids:
        return OTHER_VERSION
    needs_card = pack.min_compute_capability or pack.max_compute_capability or pack.min_driver
    if not needs_card:
        return ""
    cards = [gpu for gpu in here.report.gpus if gpu.vendor is Vendor.NVIDIA]
    if not cards:
        return "No NVIDIA card was found in this computer."
    fitting = gaining_gpus(pack, here.report)
    if not fitting:
        seen = ", ".join(f"{gpu.name} ({gpu.compute_capability or 'unknown'})" for gpu in cards)
        wanted = f"{pack.min_compute_capability or 'any'} to {pack.max_compute_capability or 'newest'}"
        return f"It is for cards of compute capability {wanted}; here is {seen}."
    if not any(_has_driver(gpu, pack.min_driver) for gpu in fitting):
        have = fitting[0].driver or "unknown"
        return f"It needs NVIDIA's driver {pack.min_driver} or newer; {have} is installed."
    return ""


def _is_in_range(gpu: Gpu, pack: Pack) -> bool:
    have = _parts(gpu.compute_capability)
    if have is None:
        return False
    low, high = number_parts(pack.min_compute_capability), number_parts(pack.max_compute_capability)
    return have >= low and (not high or have <= high)


def _has_driver(gpu: Gpu, wanted: str) -> bool:
    have = _parts(gpu.driver)
    return not wanted or (have is not None and have >= number_parts(wanted))


def _parts(text: str | None) -> tuple[int, ...] | None:
    try:
        return number_parts(text or "") or None
    except ValueError:
        return None
