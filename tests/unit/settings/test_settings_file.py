"""The settings file: kept whole, validated, recovered, merged."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import AppError
from localai_app.settings.declaration import SETTINGS
from localai_app.settings.file import VERSION, SettingsFile

ExpectLog = Callable[[str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.json"


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def saved(path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_without_a_file_every_default_holds_and_none_is_made(path: Path) -> None:
    settings = SettingsFile(path)
    assert {spec.key: settings.get(spec.key) for spec in SETTINGS} == {spec.key: spec.default for spec in SETTINGS}
    assert settings.changed_keys() == ()
    assert settings.notice is None
    assert not path.parent.exists()


def test_a_value_is_there_after_a_restart(path: Path) -> None:
    SettingsFile(path).set("theme", "dark")
    again = SettingsFile(path)
    assert again.get("theme") == "dark"
    assert again.changed_keys() == ("theme",)
    assert saved(path) == {"version": VERSION, "values": {"theme": "dark"}}


def test_reset_brings_the_default_back_and_leaves_the_others(path: Path) -> None:
    settings = SettingsFile(path)
    settings.set("theme", "dark")
    settings.set("temperature", 0.2)
    settings.reset("theme")
    assert settings.get("theme") == "system"
    assert SettingsFile(path).changed_keys() == ("temperature",)


def test_only_the_owner_can_read_it_and_no_temporary_file_stays(path: Path) -> None:
    SettingsFile(path).set("proxy", "http://name:password@proxy:3128")
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("text_scale_percent", 74, "Enter a whole number from 75 to 200%."),
        ("text_scale_percent", 201, "Enter a whole number from 75 to 200%."),
        ("text_scale_percent", 100.5, "Enter a whole number from 75 to 200%."),
        ("text_scale_percent", True, "Enter a whole number from 75 to 200%."),
        ("context_tokens", "8192", "Enter a whole number from 512 to 1,048,576 tokens."),
        ("temperature", float("nan"), "Enter a number from 0 to 2."),
        ("temperature", -0.1, "Enter a number from 0 to 2."),
        ("theme", "pink", "Choose one of: system, light, dark, contrast."),
        ("theme", 1, "Choose one of: system, light, dark, contrast."),
        ("models_folder", "relative/folder", "Enter the full path of a folder, or leave it empty."),
        ("models_folder", "/with\0nul", "Enter the full path of a folder, or leave it empty."),
        ("models_folder", "~no-such-user-here/x", "Enter the full path of a folder, or leave it empty."),
        ("hub_endpoint", "hub.example", "Enter an address that begins with http:// or https://, or leave it empty."),
        ("hub_endpoint", "http://", "Enter an address that begins with http:// or https://, or leave it empty."),
        ("hub_endpoint", "http://hub:99999", "Enter an address that begins with http:// or https://, or leave it empty."),
        ("proxy", "file:///etc/passwd", "Enter an address that begins with http:// or https://, or leave it empty."),
        ("system_prompt", "half a \ud800 pair", "Enter text."),
    ],
)
def test_a_value_outside_the_declaration_is_refused_with_a_hint(path: Path, key: str, value: object, hint: str) -> None:
    settings = SettingsFile(path)
    with pytest.raises(AppError) as refused:
        settings.set(key, value)  # type: ignore[arg-type]
    assert refused.value.spec is errors.SETTING_INVALID
    assert refused.value.action == hint
    assert settings.changed_keys() == ()
    assert not path.exists()


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("text_scale_percent", 75, 75),
        ("text_scale_percent", 200, 200),
        ("text_scale_percent", 150.0, 150),
        ("temperature", 0, 0.0),
        ("gpu_layers", -1, -1),
        ("hub_endpoint", " https://hub.example/path/ ", "https://hub.example/path"),
        ("hub_endpoint", "", ""),
        ("proxy", "http://[::1]:3128", "http://[::1]:3128"),
        ("system_prompt", "Two\nlines ", "Two\nlines "),
    ],
)
def test_a_value_is_kept_in_the_form_of_its_kind(path: Path, key: str, value: str | float, kept: object) -> None:
    settings = SettingsFile(path)
    settings.set(key, value)
    for file in (settings, SettingsFile(path)):
        assert file.get(key) == kept
        assert type(file.get(key)) is type(kept)


def test_an_unknown_key_is_refused_by_every_method(path: Path) -> None:
    settings = SettingsFile(path)
    for call in (lambda: settings.get("nope"), lambda: settings.set("nope", 1), lambda: settings.reset("nope")):
        with pytest.raises(AppError) as refused:
            call()
        assert refused.value.spec is errors.SETTING_UNKNOWN


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe{}", b'{"version": 1}', b'{"version": 1, "values": []}',
        b'{"version": "1", "values": {}}', b'{"version": true, "values": {}}', b'{"version": -1, "values": {}}',
        b"[" * 100_000, b'{"version": 1, "values": {}}' + b" " * 1_000_000,
    ],
)
def test_a_damaged_file_is_kept_and_the_defaults_hold(path: Path, content: bytes) -> None:
    write(path, content)
    settings = SettingsFile(path)
    assert settings.changed_keys() == ()
    assert settings.notice is not None
    assert settings.notice.spec is errors.SETTINGS_DAMAGED
    backup = path.with_name("settings.damaged-1.json")
    assert str(backup) in settings.notice.action
    assert backup.read_bytes() == content
    settings.set("theme", "light")
    assert SettingsFile(path).get("theme") == "light"


def test_a_second_damaged_file_does_not_replace_the_first_copy(path: Path) -> None:
    for content in ("first", "second"):
        write(path, content)
        SettingsFile(path)
    assert path.with_name("settings.damaged-1.json").read_text() == "first"
    assert path.with_name("settings.damaged-2.json").read_text() == "second"


def test_a_damaged_file_that_cannot_be_renamed_is_never_written_over(
    path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(path, "damaged")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        settings = SettingsFile(path)
    with pytest.raises(AppError) as refused:
        settings.set("theme", "dark")
    assert refused.value.spec is errors.SETTINGS_UNWRITABLE
    assert path.read_text() == "damaged"


def test_a_file_with_a_byte_order_mark_is_read(path: Path) -> None:
    write(path, b"\xef\xbb\xbf" + b'{"version": 1, "values": {"theme": "dark"}}')
    settings = SettingsFile(path)
    assert settings.get("theme") == "dark"
    assert settings.notice is None


def test_a_file_without_a_version_is_migrated_and_written_in_the_new_form(path: Path) -> None:
    write(path, '{"theme": "dark", "future_key": [1]}')
    settings = SettingsFile(path)
    assert settings.get("theme") == "dark"
    settings.set("threads", 2)
    assert saved(path) == {"version": VERSION, "values": {"theme": "dark", "future_key": [1], "threads": 2}}


def test_what_this_version_does_not_know_stays_in_the_file(path: Path, expect_log: ExpectLog) -> None:
    expect_log("value of text_scale_percent .* is not used")
    values = {"theme": "dark", "from_the_future": {"a": 1}, "text_scale_percent": "huge"}
    write(path, json.dumps({"version": 7, "values": values, "extra": True}))
    settings = SettingsFile(path)
    assert settings.get("text_scale_percent") == 100
    settings.set("threads", 4)
    assert saved(path) == {"version": 7, "values": {**values, "threads": 4}, "extra": True}


def test_a_change_by_another_program_is_not_undone(path: Path) -> None:
    window, command = SettingsFile(path), SettingsFile(path)
    command.set("threads", 3)
    window.set("theme", "dark")
    assert saved(path)["values"] == {"threads": 3, "theme": "dark"}
    assert window.get("threads") == 3


def test_a_file_damaged_while_the_program_runs_is_replaced_by_what_it_knows(path: Path) -> None:
    settings = SettingsFile(path)
    settings.set("theme", "dark")
    write(path, "garbage")
    settings.set("threads", 3)
    assert saved(path)["values"] == {"theme": "dark", "threads": 3}


def test_a_folder_in_the_place_of_the_file_is_an_error_in_words(path: Path) -> None:
    path.mkdir(parents=True)
    settings = SettingsFile(path)
    assert settings.notice is not None
    assert settings.notice.spec is errors.FILE_UNREADABLE
    with pytest.raises(AppError) as refused:
        settings.set("theme", "dark")
    assert refused.value.spec is errors.SETTINGS_UNWRITABLE
    assert settings.get("theme") == "system"


def test_a_file_in_the_place_of_the_folder_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("in the way")
    settings = SettingsFile(tmp_path / "config" / "settings.json")
    with pytest.raises(AppError) as refused:
        settings.set("theme", "dark")
    assert refused.value.spec is errors.SETTINGS_UNWRITABLE
    assert settings.get("theme") == "system"


def test_a_full_disk_leaves_the_old_file_and_the_old_value(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SettingsFile(path)
    settings.set("theme", "dark")
    before = path.read_bytes()

    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(AppError) as refused:
            settings.set("theme", "light")
    assert refused.value.spec is errors.SETTINGS_UNWRITABLE
    assert "no space left on device" in refused.value.message
    assert settings.get("theme") == "dark"
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "settings.json"
    write(target, '{"version": 1, "values": {}}')
    path.parent.mkdir()
    path.symlink_to(target)
    SettingsFile(path).set("theme", "dark")
    assert path.is_symlink()
    assert saved(target)["values"] == {"theme": "dark"}


def test_many_threads_may_write_at_once(path: Path) -> None:
    settings = SettingsFile(path)
    changes: list[tuple[str, str | int | float]] = [
        ("theme", "dark"), ("threads", 8), ("temperature", 0.5), ("kv_type", "q8_0"), ("gpu_layers", 3)]
    threads = [threading.Thread(target=settings.set, args=change) for change in changes * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved(path)["values"] == dict(changes)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["version", "values", "theme", "threads", "x"]), inner),
    max_leaves=10).map(lambda value: json.dumps(value).encode()))
@example(b'{"version": 1, "values": {"theme": 5}}')
def test_no_content_of_the_file_stops_the_program(
    tmp_path_factory: pytest.TempPathFactory, expect_log: ExpectLog, content: bytes,
) -> None:
    expect_log("is not used")
    path = tmp_path_factory.mktemp("any") / "settings.json"
    path.write_bytes(content)
    settings = SettingsFile(path)
    for spec in SETTINGS:
        assert type(settings.get(spec.key)) is type(spec.default)
    settings.set("theme", "dark")
    assert SettingsFile(path).get("theme") == "dark"
