"""Exports as files: whole or not at all, under names that every file system takes."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from localai_app.compare.export_withheld import exportable
from localai_app.errors import AppError
from localai_app.services.compare.exporting import (
    ExportFormat,
    export_text,
    format_of,
    read_export,
    suggested_name,
    write_export,
)
from tests.helpers.kept_comparisons import Texts, person_votes, two_models

NOT_THERE = "(cannot find the file|file not found)" if sys.platform == "win32" else "no such file"
"""Windows says it in words of its own."""


@pytest.mark.parametrize("form", list(ExportFormat))
def test_a_file_holds_what_was_exported_and_nothing_is_left_beside_it(form: ExportFormat, tmp_path: Path) -> None:
    comparison = two_models(votes=person_votes())
    path = tmp_path / suggested_name(comparison, form)
    path.write_text("before")
    write_export(comparison, form, path)
    assert path.read_bytes().decode("utf-8-sig" if form is ExportFormat.CSV else "utf-8") == export_text(comparison, form)
    assert list(tmp_path.iterdir()) == [path]
    assert format_of(path) is form


def test_json_is_read_back_from_its_file(tmp_path: Path) -> None:
    comparison = two_models(votes=person_votes())
    write_export(comparison, ExportFormat.JSON, tmp_path / "a.json")
    assert read_export(tmp_path / "a.json") == exportable(comparison).comparison == comparison


@pytest.mark.parametrize(("title", "expected"), [
    ('What is "x/y"? <b>: a|b*c\\d', "what-is-x-y-b-a-b-c-d"), ("", ""), ("../../etc/passwd", "etc-passwd"), ("CON. ", "con"),
    ("Wärmepumpe, 熱ポンプ\x00\x1b[31m", "wärmepumpe-熱ポンプ-31m"), ("word " * 40, "word-" * 9 + "wor"), ("\ud800", "")])
def test_suggested_names_have_letters_digits_and_hyphens_only(title: str, expected: str) -> None:
    comparison = two_models(Texts(prompt=title))
    name = suggested_name(comparison, ExportFormat.HTML)
    assert name == f"comparison-2025-11-26{f'-{expected}' if expected else ''}.html"


def test_a_folder_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"The file a\.md cannot be written: no such file or directory"):
        write_export(two_models(), ExportFormat.MARKDOWN, tmp_path / "missing" / "a.md")


def test_what_stood_there_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    path.write_text("before")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AppError, match="no space left on device"):
        write_export(two_models(), ExportFormat.HTML, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lone_half_of_a_surrogate_pair_does_not_stop_an_export(tmp_path: Path) -> None:
    comparison = two_models()
    odd = msgspec.structs.replace(comparison.answers[0], text="half \ud83d of one")
    for form in (ExportFormat.MARKDOWN, ExportFormat.HTML, ExportFormat.CSV):
        write_export(msgspec.structs.replace(comparison, answers=(odd,)), form, tmp_path / "a")
        assert b"half ? of one" in (tmp_path / "a").read_bytes()


@pytest.mark.parametrize(("content", "reason"), [
    (None, NOT_THERE), (b"", "not an exported comparison"), (b"\xff\xfe\x00", "not an exported comparison"),
    (b'{"format": "localai-comparison", "version": 1, "comparison": {}}', "damaged")])
def test_a_file_that_cannot_be_imported_is_told_in_words(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AppError, match=rf"The file a\.json cannot be imported: .*{reason}"):
        read_export(path)


def test_a_folder_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="cannot be imported"):
        read_export(tmp_path)
