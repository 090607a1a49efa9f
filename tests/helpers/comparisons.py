"""Comparisons of tiny models with the echo back end."""

from __future__ import annotations

from pathlib import Path

from localai_app.compare.comparison import ComparisonSpec
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.services.app_services import AppServices
from tests.helpers.services_fixture import install_tiny_model

WAIT_S = 60.0
REPOS = ("tester/One-GGUF", "tester/Two-GGUF", "tester/Three-GGUF")
KEYS = tuple(f"{repo}:F32" for repo in REPOS)
QUICK = ("--tokens", "4", "--tokens-per-s", "400")
SLOW = ("--tokens", "1000", "--tokens-per-s", "50")


def install(folder: Path) -> None:
    """Three models that are alike."""
    for repo in REPOS:
        install_tiny_model(folder, repo, f"{repo.partition('/')[2].lower()}-F32.gguf")


def contestants(count: int = 2) -> tuple[Contestant, ...]:
    """The first ones of them."""
    return tuple(Contestant(model_key=key, name=key.partition("/")[2].partition("-")[0], label="F32") for key in KEYS[:count])


def spec(**changes: object) -> ComparisonSpec:
    """Two of them and one prompt, unless told otherwise."""
    given: dict[str, object] = {"contestants": contestants(), "prompts": (Prompt(text="Say something."),)}
    return ComparisonSpec(**(given | changes))  # type: ignore[arg-type]


def finished(services: AppServices, wish: ComparisonSpec) -> int:
    """Run a comparison to its end; its number."""
    comparison_id = services.compare.comparisons.start(wish)
    assert services.compare.comparisons.wait(WAIT_S)
    return comparison_id
