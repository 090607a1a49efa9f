"""Which packs are offered: card, driver, build, platform and what is installed decide, each with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from localai_app.engine.pack_folder import Verified
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, Vendor
from localai_app.release.fields import number_parts
from localai_app.release.pack_document import Pack, PackArchive, PackDocument, PackFile
from localai_app.services.installation import is_system_old
from localai_app.services.packs.offers import Here, PackOffer, Standing, offers

CARD = Gpu(
    index=0, name="NVIDIA GeForce RTX 4090", vendor=Vendor.NVIDIA, total_bytes=24 << 30, free_bytes=22 << 30,
    driver="580.95.05", compute_capability="8.9")
PACK = Pack(
    pack_id="cuda13", engine_id="lcpp-1", platform="linux-x64", version="1.0", label="NVIDIA CUDA 13",
    archive=PackArchive(url="a.tar.xz", size_bytes=640_000_000, sha256="a" * 64), unpacked_bytes=10,
    files=(PackFile(path="a.so", size_bytes=10, sha256="0" * 64),), min_driver="580", min_compute_capability="7.5")


def offer(pack: Pack = PACK, *gpus: Gpu, **changes: Any) -> PackOffer | None:
    document = PackDocument(
        number=1, published=datetime(2026, 1, 1, tzinfo=UTC), expires=datetime(2027, 1, 1, tzinfo=UTC), packs=(pack,))
    report = HardwareReport(
        system="linux", cpu=Cpu(model="x", architecture="x86_64", physical_cores=1, logical_cores=1),
        memory=Memory(total_bytes=1, available_bytes=1), gpus=gpus)
    here = Here(**{
        "platform": "linux-x64", "engine_ids": ["lcpp-1"], "report": report, "installed": [],
        "in_use": "llama.cpp 1, vulkan+haswell", **changes})
    return next(iter(offers(document, here)), None)


def card(**changes: Any) -> Gpu:
    return msgspec.structs.replace(CARD, **changes)


def installed(sha256: str, version: str = "0.9") -> Verified:
    return Verified(
        pack_id="cuda13", engine_id="lcpp-1", version=version, label="NVIDIA CUDA 13", archive_sha256=sha256, size_bytes=10,
        installed_s=0, order=1)


def test_a_card_that_gains_is_offered_the_pack_and_told_what_computes_now() -> None:
    found = offer(PACK, CARD)
    assert found is not None
    assert found.standing is Standing.OFFERED
    assert found.can_install
    assert found.reason == (
        "llama.cpp 1, vulkan+haswell computes now. This pack is made for NVIDIA GeForce RTX 4090; "
        "it is used if it computes right and is faster in the self-test.")


@pytest.mark.parametrize(("gpu", "reason"), [
    (card(compute_capability="7.0"), "It is for cards of compute capability 7.5 to newest; here is"),
    (card(compute_capability=None), "here is NVIDIA GeForce RTX 4090 (unknown)."),
    (card(driver="570.172.08"), "It needs NVIDIA's driver 580 or newer; 570.172.08 is installed."),
    (card(driver=None), "unknown is installed."),
    (card(driver="new"), "new is installed."),
    (card(vendor=Vendor.AMD), "No NVIDIA card was found in this computer."),
])
def test_other_cards_and_drivers_are_told_why_not(gpu: Gpu, reason: str) -> None:
    found = offer(PACK, gpu)
    assert found is not None
    assert found.standing is Standing.UNFIT
    assert reason in found.reason


def test_versions_are_compared_as_numbers() -> None:
    for cc, driver in (("10.0", "580"), ("12.0", "1000.1"), ("7.5", "580.0")):
        found = offer(PACK, card(compute_capability=cc, driver=driver))
        assert found is not None
        assert found.can_install, (cc, driver)


def test_a_number_without_its_last_zeros_is_the_same() -> None:
    assert number_parts("12") == number_parts("12.0")
    assert number_parts("580.65.0") == number_parts("580.65") < number_parts("580.65.1") < number_parts("580.100")
    assert not is_system_old("2.35.0", lambda: "2.35")
    assert is_system_old("2.35.1", lambda: "2.35")


def test_an_upper_limit_counts() -> None:
    pack = msgspec.structs.replace(PACK, max_compute_capability="8.9")
    found, newer = offer(pack, CARD), offer(pack, card(compute_capability="9.0"))
    assert found is not None
    assert newer is not None
    assert (found.can_install, newer.can_install) == (True, False)


def test_one_of_two_cards_is_enough() -> None:
    found = offer(PACK, card(name="Old", compute_capability="6.1"), CARD)
    assert found is not None
    assert found.can_install
    assert "Old" not in found.reason


def test_other_builds_and_platforms() -> None:
    found = offer(PACK, CARD, engine_ids=["lcpp-2"])
    assert found is not None
    assert (found.standing, found.reason) == (Standing.UNFIT, "It belongs to another version of Local AI.")
    assert offer(PACK, CARD, platform="windows-x64") is None


def test_what_is_installed() -> None:
    same, older = offer(PACK, CARD, installed=[installed("a" * 64)]), offer(PACK, CARD, installed=[installed("b" * 64)])
    assert same is not None
    assert older is not None
    assert same.standing is Standing.INSTALLED
    assert not same.can_install
    assert older.standing is Standing.NEWER
    assert older.reason == "Version 1.0 for NVIDIA GeForce RTX 4090; version 0.9 is installed."


def test_a_pack_without_wishes_is_for_everybody() -> None:
    found = offer(msgspec.structs.replace(PACK, min_driver="", min_compute_capability=""))
    assert found is not None
    assert found.can_install
