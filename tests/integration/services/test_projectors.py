"""The image part of a model: its header is read before anything is downloaded, told of, and counted only when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.fit.result import FitResult
from localai_app.services.app_services import AppServices
from localai_app.units import format_gib
from tests.helpers.gguf_files import F16, TensorSpec, Typed, encode_gguf, write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services

REPO = "tester/Seeing-GGUF"
WEIGHTS = 3_000_000
"""1.5 million weights at F16."""


def projector(width: int = 64, architecture: str = "clip") -> bytes:
    """The image part of a tiny model, whose embeddings are 64 wide."""
    metadata = {
        "general.architecture": Typed("str", architecture), "clip.has_vision_encoder": Typed("bool", True),
        "clip.vision.projection_dim": Typed("u32", width)}
    return encode_gguf(metadata, [TensorSpec("mm.0.weight", (1000, WEIGHTS // 2000), F16, bytes(WEIGHTS))])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    files = {
        "seeing-Q4_0.gguf": model, "seeing-Q8_0.gguf": model + bytes(100_000), "mmproj-F32.gguf": projector() + bytes(64),
        "mmproj-F16.gguf": projector(), "mmproj-Q8_0.gguf": b"damaged"}
    with HubServer({REPO: RepoFixture(files)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    install_tiny_model(tmp_path / "data")
    with open_services(tmp_path / "data") as opened:
        opened.hardware.detect_now(with_engine=False)
        yield opened


def about_pictures(fit: FitResult | None) -> str:
    assert fit is not None
    return " ".join(reason for reason in fit.reasons if "mmproj" in reason)


def test_it_is_told_of_before_the_download_and_not_counted(hub: HubServer, services: AppServices) -> None:
    default = services.estimate.default_request()
    plain = services.estimate.fit_repo_variant(REPO, "Q4_0", default)
    assert f"would take {format_gib(WEIGHTS)} more" in about_pictures(plain)
    asked = [record.path.rsplit("/", 1)[-1] for record in hub.requests if "mmproj" in record.path and record.site == "hub"]
    assert asked == ["mmproj-F16.gguf"], "one of the three, the one that programs take"
    counted = services.estimate.fit_repo_variant(REPO, "Q4_0", msgspec.structs.replace(default, with_projector=True))
    assert counted.total_bytes - plain.total_bytes == WEIGHTS
    assert counted.weights_bytes - plain.weights_bytes == WEIGHTS
    assert "of the weights are its image or audio part" in about_pictures(counted)


def test_every_row_of_a_repository_tells_of_it(hub: HubServer, services: AppServices) -> None:
    repo = services.variants.find(REPO)
    rows = services.variants.read(repo)
    assert all("would take" in about_pictures(row.fit) for row in rows)
    counted = services.variants.rows(repo, msgspec.structs.replace(services.estimate.default_request(), with_projector=True))
    for before, after in zip(rows, counted, strict=True):
        assert before.fit is not None
        assert after.fit is not None
        assert after.fit.total_bytes - before.fit.total_bytes == WEIGHTS


def test_one_that_cannot_be_read_leaves_the_models_as_they_are(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "other.gguf").read_bytes()
    hub.publish("tester/Blind-GGUF", RepoFixture({"blind-Q4_0.gguf": model, "mmproj-F16.gguf": b"<html>" * 50}))
    rows = services.variants.read(services.variants.find("tester/Blind-GGUF"))
    assert about_pictures(rows[0].fit) == ""
    assert rows[0].fit is not None
    assert rows[0].fit.total_bytes > 0


def test_one_beside_an_installed_model_is_recognised(services: AppServices) -> None:
    folder = services.library.get(TINY_KEY).paths[0].parent
    plain = services.estimate.fit_installed(TINY_KEY)
    assert about_pictures(plain) == ""
    (folder / "mmproj-F16.gguf").write_bytes(projector(width=128))
    (folder / "mmproj-BF16.gguf").write_bytes(projector(architecture="llama"))
    assert services.estimate.fit_installed(TINY_KEY) == plain, "those belong to another model, or are none"
    (folder / "mmproj-F32.gguf").write_bytes(projector())
    beside = services.estimate.fit_installed(TINY_KEY)
    assert "would take" in about_pictures(beside)
    assert beside.total_bytes == plain.total_bytes
    request = msgspec.structs.replace(services.estimate.default_request(), with_projector=True)
    assert services.estimate.fit_installed(TINY_KEY, request).total_bytes == plain.total_bytes + WEIGHTS
    assert services.load_planner.plan(TINY_KEY).options.ctx > 0
