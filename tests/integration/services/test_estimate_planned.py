"""Fits of real services: llama.cpp's own plan where it can be had, words where it refuses."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import KvType
from localai_app.fit.result import Basis, Request, Verdict
from tests.helpers.gguf_architectures import ARCHITECTURES, write_architecture
from tests.helpers.gguf_files import Typed, write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.real_load import allocated
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services

pytestmark = pytest.mark.model

REPO = "tester/Planned-GGUF"
CLOSE_BYTES = 64 * 1024


@pytest.mark.parametrize("model", [smollm2_path, gemma_path])
def test_a_fit_of_a_real_model_is_what_a_load_takes(model, tmp_path: Path) -> None:
    path = model()
    cases = [(ctx, kv_type) for ctx in (5000, 8192) for kv_type in (KvType.F16, KvType.Q8_0)]
    with open_services(tmp_path, echo=None) as services:
        fits = [services.estimate.fit_installed(str(path), Request(ctx=ctx, kv_type=kv_type)) for ctx, kv_type in cases]
    for (ctx, kv_type), fit, load in zip(cases, fits, allocated([(path, *case) for case in cases]), strict=True):
        assert fit.basis is Basis.DRY_RUN
        assert (fit.ctx, fit.kv_type) == (ctx, kv_type)
        assert fit.kv_bytes == pytest.approx(load["kv"], abs=CLOSE_BYTES)
        assert fit.compute_bytes == pytest.approx(load["compute"] + load["output"], abs=CLOSE_BYTES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_kind_of_model_is_planned(name: str, tmp_path: Path) -> None:
    path = write_architecture(tmp_path / f"{name}.gguf", name)
    with open_services(tmp_path, echo=None) as services:
        fit = services.estimate.fit_installed(str(path), Request(ctx=6000))
    assert fit.basis is Basis.DRY_RUN
    (load,) = allocated([(path, 6000, "f16")])
    assert fit.kv_bytes == pytest.approx(load["kv"], abs=CLOSE_BYTES)
    assert fit.compute_bytes == pytest.approx(load["compute"] + load["output"], abs=CLOSE_BYTES)


def test_a_variant_on_the_hub_is_planned_before_it_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = write_tiny_gguf(tmp_path / "large.gguf", n_layer=6).read_bytes()
    small = write_architecture(tmp_path / "small.gguf", "llama").read_bytes()
    repo = RepoFixture({"planned-F16.gguf": small + bytes(3_000_000), "planned-Q8_0.gguf": large})
    with HubServer({REPO: repo}) as hub, open_services(tmp_path, echo=None) as services:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        fit = services.estimate.fit_repo_variant(REPO, "F16")
        assert fit.basis is Basis.DRY_RUN
        found = services.variants.find(REPO)
        rows = services.variants.read(found)
        assert [row.fit.basis for row in rows if row.fit is not None] == [Basis.DRY_RUN, Basis.DRY_RUN]
        asked = len(hub.requests)
        again = services.variants.rows(found, msgspec.structs.replace(services.estimate.default_request(), ctx=2048))
        assert [row.fit.basis for row in again if row.fit is not None] == [Basis.DRY_RUN, Basis.DRY_RUN]
        assert len(hub.requests) == asked


def test_an_architecture_that_llama_cpp_does_not_know_is_unknown_in_words(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "wombat.gguf")
    name = struct.pack("<Q", 12) + b"general.name"
    path.write_bytes(path.read_bytes().replace(b"llama.", b"wombt.").replace(
        struct.pack("<Q", 5) + b"llama" + name, struct.pack("<Q", 5) + b"wombt" + name))
    with open_services(tmp_path, echo=None) as services:
        fit = services.estimate.fit_installed(str(path))
    assert fit.verdict is Verdict.UNKNOWN
    assert "wombt" in fit.reasons[0]


def test_a_model_that_llama_cpp_refuses_has_the_figures_of_its_header_and_the_reason(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "odd.gguf", metadata={"llama.feed_forward_length": Typed("u32", 77)})
    with open_services(tmp_path, echo=None) as services:
        fit = services.estimate.fit_installed(str(path))
    assert fit.basis is Basis.HEADER
    assert fit.total_bytes > 0
    assert "llama.cpp did not plan it" in fit.reasons[-1]


def test_a_cache_type_that_the_model_cannot_have_is_named(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    with open_services(tmp_path, echo=None) as services:
        fit = services.estimate.fit_installed(TINY_KEY, Request(ctx=1024, kv_type=KvType.Q8_0))
    assert fit.verdict is Verdict.UNKNOWN
    assert "q8_0" in fit.reasons[0]
    assert fit.max_ctx["q8_0"] == 0


def test_another_engine_plans_nothing(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    with open_services(tmp_path) as services:
        assert services.estimate.fit_installed(TINY_KEY).basis is Basis.HEADER
