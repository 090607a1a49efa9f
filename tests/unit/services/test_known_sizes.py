"""Sizes that the Hub gave replace the computed ones of the catalog, and damaged notes of them are forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.sizes import with_sizes
from localai_app.hub.model import Repo, RepoFile, Variant
from localai_app.paths import resources_dir
from localai_app.services import known_sizes
from localai_app.services.known_sizes import KnownSizes


def repo(repo_id: str = "Owner/Model-GGUF", **sizes: int) -> Repo:
    variants = tuple(
        Variant(label=label, files=(RepoFile(path=f"{label}.gguf", size_bytes=size),)) for label, size in sizes.items())
    return Repo(repo_id=repo_id, commit="a" * 40, variants=variants)


def test_sizes_are_kept_for_the_next_start(tmp_path: Path) -> None:
    sizes = KnownSizes(tmp_path)
    assert sizes.note(repo(Q4_K_M=100, Q8_0=200))
    assert not sizes.note(repo(Q4_K_M=100, Q8_0=200)), "nothing new"
    assert sizes.note(repo(Q4_K_M=101))
    assert KnownSizes(tmp_path).all() == {"owner/model-gguf": {"Q4_K_M": 101}}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": {"Q8_0": -1}}', b'{"a": {"Q8_0": "1"}}', b"\xff\x00"])
def test_a_damaged_file_is_forgotten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sizes.json").write_bytes(content)
    sizes = KnownSizes(tmp_path)
    assert sizes.all() == {}
    assert sizes.note(repo(Q8_0=5))


def test_the_oldest_repositories_are_forgotten_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_sizes, "MAX_REPOS", 3)
    sizes = KnownSizes(tmp_path)
    for number in range(5):
        sizes.note(repo(f"owner/{number}", Q8_0=1))
    sizes.note(repo("owner/2", Q8_0=1))
    sizes.note(repo("owner/5", Q8_0=1))
    assert list(KnownSizes(tmp_path).all()) == ["owner/4", "owner/2", "owner/5"]


def test_a_folder_that_cannot_be_written_costs_only_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    sizes = KnownSizes(tmp_path / "cache")
    assert sizes.note(repo(Q8_0=5))
    assert sizes.all() == {"owner/model-gguf": {"Q8_0": 5}}


def test_the_catalog_takes_them_for_the_labels_that_it_lists() -> None:
    catalog = load_catalog(resources_dir() / "catalog" / "models.json")
    before = next(model for model in catalog.models if model.id == "qwen3-8b")
    after = with_sizes(catalog, {before.repo_id.lower(): {"Q6_K": 6_725_900_000, "Q8_0": 800_000, "UD-Q4_K_XL": 1}})
    model = next(model for model in after.models if model.id == "qwen3-8b")
    assert [file.label for file in model.files] == [file.label for file in before.files]
    changed = {file.label: (file.size_bytes, file.is_exact) for file in model.files if file not in before.files}
    assert changed == {"Q6_K": (6_725_900_000, True)}
    assert [one for one in after.models if one.id != "qwen3-8b"] == [one for one in catalog.models if one.id != "qwen3-8b"]
