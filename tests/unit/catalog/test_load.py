from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.catalog.load import MAX_CATALOG_BYTES, load_catalog
from localai_app.errors import AppError

GOOD: dict[str, Any] = {
    "version": 1,
    "made_from": "test",
    "models": [
        {
            "id": "a",
            "name": "A",
            "family": "F",
            "publisher": "P",
            "repo_id": "owner/a-GGUF",
            "license": "MIT",
            "gated": False,
            "summary": "Good at things.",
            "tasks": ["chat"],
            "thinking": "never",
            "params_total": 1000,
            "params_active": 1000,
            "quality": 50,
            "quality_is_estimated": True,
            "quality_source": "test",
            "files": [{"label": "Q8_0", "size_bytes": 10, "source": "test", "is_exact": True}],
            "geometry": {
                "architecture": "llama",
                "n_layer": 2,
                "n_embd": 8,
                "n_vocab": 10,
                "n_ff": 16,
                "n_head": 2,
                "head_dim": 4,
                "ctx_train": 128,
                "cache_layers": [{"k_elements": 4, "v_elements": 4}] * 2,
                "params_total": 1000,
            },
        }
    ],
}


def _write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "catalog.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def _changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(GOOD))
    change(copy)
    return copy


def _model(**values: object) -> dict[str, Any]:
    return _changed(lambda catalog: catalog["models"][0].update(values))


def _geometry(**values: object) -> dict[str, Any]:
    return _changed(lambda catalog: catalog["models"][0]["geometry"].update(values))


def test_a_good_catalog(tmp_path: Path) -> None:
    catalog = load_catalog(_write(tmp_path, GOOD))
    assert catalog.models[0].files[0].size_bytes == 10
    assert catalog.models[0].geometry is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated"),
        (b"not json", "invalid"),
        (b"\xff\xfe", ""),
        (b"[" * 200_000, ""),
        ({}, "version"),
        (_changed(lambda c: c.update(version=2)), "version 2"),
        (_changed(lambda c: c["models"].append(c["models"][0])), "twice"),
        (_changed(lambda c: c.update(models=c["models"] * 2001)), "more than 2000"),
        (_model(id=""), "missing or too long"),
        (_model(summary="x" * 3000), "missing or too long"),
        (_model(quality=101), "quality"),
        (_model(quality="high"), "quality"),
        (_model(tasks=["dancing"]), "tasks"),
        (_model(thinking="sometimes"), "thinking"),
        (_model(repo_id="nowhere"), "owner/name"),
        (_model(files=[{"label": "Q8_0", "size_bytes": 0, "source": ""}]), "no size"),
        (_model(files=[{"label": "Q8_0", "size_bytes": 1, "source": ""}] * 101), "too many files"),
        (_geometry(n_layer=0), "dimension"),
        (_geometry(n_layer=513), "dimension"),
        (_geometry(cache_layers=[{"k_elements": 4, "v_elements": 4}] * 3), "more layers"),
        (_geometry(cache_layers=[{"k_elements": -4, "v_elements": 4}]), "negative"),
        (_geometry(cache_layers=[{"k_elements": 4, "v_elements": 4, "block": 2}]), "does not exist"),
        (_geometry(recurrent_blocks=[-1]), "does not exist"),
        (_model(expert_blocks=[2]), "does not exist"),
        (_model(expert_blocks=[1, 1]), "named twice"),
        (_geometry(n_embd="8"), "n_embd"),
    ],
)
def test_a_bad_catalog_is_refused_with_the_place(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(AppError) as caught:
        load_catalog(_write(tmp_path, content))
    assert caught.value.code == "file_invalid"
    assert words in caught.value.message
    assert "catalog.json" in caught.value.message


def test_a_catalog_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="larger than 16 MB"):
        load_catalog(_write(tmp_path, b" " * (MAX_CATALOG_BYTES + 1)))


def test_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(AppError) as caught:
            load_catalog(path)
        assert caught.value.code == "file_unreadable"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_a_catalog_or_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(AppError):
        load_catalog(_write(tmp_path, _model(geometry=content) if content is not None else content))


@pytest.mark.parametrize(
    ("n_caches", "state_bytes", "owners", "keepers"),
    [(8, 0, [0, 1, 2, 3, 4, 5, 6, 7], ()), (5, 0, [0, 1, 2, 3, 4], ()), (2, 900, [3, 7], (0, 1, 2, 4, 5, 6)),
     (8, 900, [0, 1, 2, 3, 4, 5, 6, 7], (0, 1, 2, 3, 4, 5, 6, 7))])
def test_a_file_that_does_not_name_the_blocks_of_caches_and_state(
    tmp_path: Path, n_caches: int, state_bytes: int, owners: list[int], keepers: tuple[int, ...]
) -> None:
    caches = [{"k_elements": 4, "v_elements": 4}] * n_caches
    content = _geometry(n_layer=8, cache_layers=caches, recurrent_state_bytes=state_bytes)
    geometry = load_catalog(_write(tmp_path, content)).models[0].geometry
    assert geometry is not None
    assert ([layer.block for layer in geometry.cache_layers], geometry.recurrent_blocks) == (owners, keepers)
