"""Models on the disk: own, split, linked, found in other programs' folders, removed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.services.library_service import name_of_key
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model, open_services

LARGE = b"\0" * 1_100_000


def test_models_are_listed_by_repository_and_label(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    with open_services(tmp_path) as services:
        (model,) = services.library.models()
    assert (model.key, model.name, model.label) == (TINY_KEY, "Tiny-Chat", "F32")


def test_two_owners_may_have_the_same_file_name(tmp_path: Path) -> None:
    install_tiny_model(tmp_path, "one/Tiny-GGUF")
    install_tiny_model(tmp_path, "two/Tiny-GGUF")
    with open_services(tmp_path) as services:
        assert {model.key for model in services.library.models()} == {"one/Tiny-GGUF:F32", "two/Tiny-GGUF:F32"}


def test_a_split_model_with_a_missing_part_is_listed_as_incomplete_and_not_loaded(tmp_path: Path) -> None:
    first = install_tiny_model(tmp_path, name="tiny-F32-00001-of-00002.gguf")
    with open_services(tmp_path) as services:
        (model,) = services.library.models()
        assert not model.is_complete
        with pytest.raises(AppError) as caught:
            services.load_planner.plan(model.key)
        assert caught.value.code == "model_parts_missing"
    shutil.copy(first, first.with_name("tiny-F32-00002-of-00002.gguf"))
    with open_services(tmp_path) as services:
        (model,) = services.library.models()
        assert model.is_complete
        assert len(model.paths) == 2


def test_a_linked_file_stays_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere ünïcode"
    folder.mkdir()
    outside = write_tiny_gguf(folder / "my model-Q8_0.gguf")
    with open_services(tmp_path / "data") as services:
        model = services.library.link(outside)
        assert (model.name, model.label) == ("my model", "Q8_0")
        assert services.library.freed_bytes(model.key) == 0
        assert services.library.remove(model.key) == 0
        assert services.library.models() == ()
    assert outside.is_file()


@pytest.mark.parametrize(("content", "code"), [(b"no model", "not_a_gguf"), (b"GGUF\x03\0\0\0", "gguf_truncated")])
def test_linking_something_else_is_refused_in_words(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with open_services(tmp_path / "data") as services:
        with pytest.raises(AppError) as caught:
            services.library.link(path)
        assert services.library.models() == ()
    assert caught.value.code == code


@pytest.fixture
def home_with_trash(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a trash of its own."""
    # The module notes the place of the trash when it is imported, which another test may have done with its own home.
    for name in [name for name in sys.modules if name.partition(".")[0] == "send2trash"]:
        monkeypatch.delitem(sys.modules, name)
    return private_home


def test_removing_moves_to_the_trash_and_says_how_much_it_frees(home_with_trash: Path) -> None:
    data_dir = home_with_trash / "data"
    path = install_tiny_model(data_dir)
    size_bytes = path.stat().st_size
    with open_services(data_dir) as services:
        assert services.library.freed_bytes(TINY_KEY) == size_bytes
        assert services.library.remove(TINY_KEY) == size_bytes
        assert services.library.models() == ()
    assert not path.exists()
    assert [trashed.stat().st_size for trashed in home_with_trash.rglob("tiny-chat-F32.gguf")] == [size_bytes]


def test_a_symlink_frees_nothing_and_its_target_stays(home_with_trash: Path) -> None:
    data_dir = home_with_trash / "data"
    path = install_tiny_model(data_dir)
    target = path.rename(home_with_trash / "target.gguf")
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system makes no symlinks")
    with open_services(data_dir) as services:
        assert services.library.freed_bytes(TINY_KEY) == 0
        assert services.library.remove(TINY_KEY) == 0
        assert services.library.models() == ()
    assert target.is_file()


def test_other_programs_models_are_found_in_place(tmp_path: Path, private_home: Path) -> None:
    studio = private_home / ".lmstudio" / "models" / "someone" / "thing-GGUF"
    studio.mkdir(parents=True)
    good = write_tiny_gguf(studio / "thing-Q4_K_M.gguf")
    with good.open("ab") as file:
        file.write(LARGE)
    (studio / "mmproj-thing.gguf").write_bytes(b"GGUF" + LARGE)
    ollama = private_home / ".ollama" / "models"
    manifest = ollama / "manifests" / "registry" / "library" / "thing" / "latest"
    manifest.parent.mkdir(parents=True)
    (ollama / "blobs").mkdir()
    shutil.copy(good, ollama / "blobs" / "sha256-abc")
    manifest.write_text(json.dumps({"layers": [
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": "../../../etc/passwd"},
    ]}))
    with open_services(tmp_path / "data") as services:
        assert services.library.found_elsewhere() == 2
        assert services.library.link_found() == 2
        assert services.library.found_elsewhere() == 0
        assert {model.paths[0].name for model in services.library.models()} == {"thing-Q4_K_M.gguf", "sha256-abc"}


def test_a_key_alone_tells_the_name_that_people_read(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    linked = tmp_path / "elsewhere" / "My-Model-Q8_0.gguf"
    linked.parent.mkdir()
    write_tiny_gguf(linked)
    with open_services(tmp_path) as services:
        services.library.link(linked)
        models = services.library.models()
        assert {name_of_key(model.key) for model in models} == {model.name for model in models} == {"Tiny-Chat", "My-Model"}


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with open_services(tmp_path) as services, pytest.raises(AppError) as caught:
        services.library.get("nobody/nothing:Q4_K_M")
    assert caught.value.code == "model_not_installed"
    assert "nobody/nothing:Q4_K_M" in caught.value.message
