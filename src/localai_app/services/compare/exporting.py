"""Comparisons as files: written whole or not at all, under names that every file system takes, and read back."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from localai_app import errors
from localai_app.compare.comparison import Comparison
from localai_app.compare.export_csv import csv_text
from localai_app.compare.export_html import html_text
from localai_app.compare.export_json import json_text, read_json
from localai_app.compare.export_markdown import markdown_text
from localai_app.compare.export_report import report_of
from localai_app.compare.export_withheld import exportable
from localai_app.errors import AppError
from localai_app.paths import resources_dir
from localai_app.whole_file import write_whole

MAX_NAME_CHARS = 48
MAX_IMPORT_BYTES = 256 * 1024**2


class ExportFormat(StrEnum):
    """What a comparison can be written as."""

    MARKDOWN = "markdown"
    HTML = "html"
    CSV = "csv"
    JSON = "json"

    @property
    def suffix(self) -> str:
        """Of files, with its dot."""
        return ".md" if self is ExportFormat.MARKDOWN else f".{self.value}"

    @property
    def label(self) -> str:
        """For people."""
        return "Markdown" if self is ExportFormat.MARKDOWN else self.value.upper()


def format_of(path: Path) -> ExportFormat | None:
    """The format that a file's name asks for; None where it asks for none."""
    return next((one for one in ExportFormat if path.suffix.lower() == one.suffix), None)


def export_text(comparison: Comparison, form: ExportFormat) -> str:
    """The comparison in a format; of a blind one before the votes, without what tells a contestant."""
    whole = exportable(comparison)
    match form:
        case ExportFormat.MARKDOWN:
            return markdown_text(report_of(whole))
        case ExportFormat.HTML:
            return html_text(report_of(whole), (resources_dir() / "style" / "report.css").read_text(encoding="utf-8"))
        case ExportFormat.CSV:
            return csv_text(whole)
        case ExportFormat.JSON:
            return json_text(whole)


def suggested_name(comparison: Comparison, form: ExportFormat) -> str:
    """A file name of the day and the title: letters, digits and hyphens only, whatever the title has in it."""
    day = datetime.fromtimestamp(comparison.created_s).strftime("%Y-%m-%d")
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", comparison.title)).strip("-").lower()
    words = words[:MAX_NAME_CHARS].strip("-")
    return f"comparison-{day}{f'-{words}' if words else ''}{form.suffix}"


def write_export(comparison: Comparison, form: ExportFormat, path: Path) -> None:
    """Write a file; AppError where that fails, and then what was there before is still there.

    CSV begins with a byte order mark, without which spreadsheets take it for another encoding.
    """
    data = export_text(comparison, form).encode("utf-8-sig" if form is ExportFormat.CSV else "utf-8", "replace")
    try:
        write_whole(path, data, mode=0o644)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise AppError(errors.FILE_UNWRITABLE, name=path.name, reason=reason, detail=str(error)) from error


def read_export(path: Path) -> Comparison:
    """The comparison in a JSON file that `write_export` made; AppError with the reason where there is none."""
    try:
        if path.stat().st_size > MAX_IMPORT_BYTES:
            raise AppError(errors.COMPARISON_FILE_INVALID, name=path.name, reason="it is too large")
        return read_json(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise AppError(errors.COMPARISON_FILE_INVALID, name=path.name, reason=reason, detail=str(error)) from error
    except ValueError as error:
        raise AppError(errors.COMPARISON_FILE_INVALID, name=path.name, reason=str(error)) from error
