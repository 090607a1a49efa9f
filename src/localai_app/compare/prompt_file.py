"""Prompt sets as files.

- `.json`: an object with "name", "description" and "prompts", or just the list of prompts. A prompt is a text, or an object
  with the keys of `prompt_records.KEYS`; "checks" is a list such as [{"type": "number", "value": 4}].
- `.jsonl`: one such prompt on each line.
- `.csv`, `.tsv`: a heading with the same keys, then one prompt a row; several texts of "contains" have | between them.
- `.txt`, `.md`: prompts with lines of three or more hyphens between them; where there is no such line, one each paragraph.

Files are UTF-8 (UTF-16 where it begins with its mark).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from localai_app.compare.prompt_records import KEYS, MAX_NAME_CHARS, MAX_PROMPTS, RecordError, prompt_of
from localai_app.compare.prompts import Prompt, PromptSet

MAX_FILE_BYTES = 8_000_000
MAX_DESCRIPTION_CHARS = 2_000
_MAX_PROBLEMS = 50
_SEPARATOR = re.compile(r"^[ \t]*-{3,}[ \t]*$", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


class PromptProblem(NamedTuple):
    """Something in a file that is wrong. `line` counts from 1; None: it is about the file, or the words say where."""

    words: str
    line: int | None = None

    def __str__(self) -> str:
        """As a person reads it."""
        return self.words if self.line is None else f"Line {self.line}: {self.words}"


class ReadPrompts(NamedTuple):
    """What was found in a file. The set holds the prompts that can be used; None where there is none."""

    prompt_set: PromptSet | None
    problems: tuple[PromptProblem, ...]


class _FileError(Exception):
    def __init__(self, words: str, line: int | None = None) -> None:
        self.problem = PromptProblem(words, line)
        super().__init__(words)


class _Found:
    """Prompts and problems as they are found, within their bounds."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []
        self.problems: list[PromptProblem] = []
        self.name = ""
        self.description = ""

    def add(self, record: Any, line: int | None = None, *, where: str = "", is_table: bool = False) -> None:
        """A prompt out of a text or of named values."""
        if len(self.prompts) >= MAX_PROMPTS:
            raise _FileError(f"There are more than {MAX_PROMPTS:,} prompts.", line)
        try:
            if isinstance(record, str):
                record = {"text": record}
            if not isinstance(record, dict):
                raise RecordError("A prompt is neither a text nor an object.")
            self.prompts.append(prompt_of(record, is_table=is_table))
        except RecordError as error:
            self.complain(f"{where}{error}", line)

    def complain(self, words: str, line: int | None) -> None:
        """Something is wrong, and the rest is read nevertheless."""
        if len(self.problems) >= _MAX_PROBLEMS:
            raise _FileError("There are too many mistakes to list more of them.", line)
        self.problems.append(PromptProblem(words, line))


def read_prompts(file_name: str, data: bytes) -> ReadPrompts:
    """The prompts of a file by its name and content; never raises."""
    found = _Found()
    try:
        reader = _READERS.get(PurePath(file_name).suffix.lower())
        if reader is None:
            raise _FileError(f"The file's name has to end in {', '.join(_READERS)}.")
        if len(data) > MAX_FILE_BYTES:
            raise _FileError(f"The file is larger than {MAX_FILE_BYTES // 1_000_000} MB.")
        reader(_decoded(data), found)
    except _FileError as error:
        found.problems.append(error.problem)
    if not found.prompts:
        if not found.problems:
            found.problems.append(PromptProblem("There is no prompt in the file."))
        return ReadPrompts(None, tuple(found.problems))
    name = " ".join((found.name or PurePath(file_name).stem).split())[:MAX_NAME_CHARS].strip() or "Prompts"
    prompt_set = PromptSet(
        name=name, prompts=tuple(found.prompts), description=found.description.strip()[:MAX_DESCRIPTION_CHARS])
    return ReadPrompts(prompt_set, tuple(found.problems))


def written_prompts(prompt_set: PromptSet) -> bytes:
    """A set as the content of a .json file; `read_prompts` finds the same in it."""
    content = {"name": prompt_set.name, "description": prompt_set.description, "prompts": prompt_set.prompts}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _decoded(data: bytes) -> str:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = None if is_utf16 else data.count(b"\n", 0, error.start) + 1
        raise _FileError("This is no text in UTF-8. Save the file as UTF-8 and try again.", line) from error
    if "\0" in text:
        raise _FileError("This is no text: there is a zero byte.", text.count("\n", 0, text.index("\0")) + 1)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_json(text: str, found: _Found) -> None:
    content = _json(text, 1)
    if isinstance(content, dict) and "prompts" in content:
        unknown = content.keys() - {"name", "description", "prompts", "is_built_in"}
        if unknown:
            raise _FileError(f"{min(unknown)!r} beside the prompts is not known. Known are name, description and prompts.")
        for key in ("name", "description"):
            if not isinstance(content.get(key, ""), str):
                raise _FileError(f"{key!r} has to be a text.")
        found.name, found.description = content.get("name", ""), content.get("description", "")
        content = content["prompts"]
    if not isinstance(content, list):
        raise _FileError("The file has neither a list of prompts nor an object with one under \"prompts\".")
    for number, record in enumerate(content, 1):
        found.add(record, where=f"Prompt {number}: ")


def _read_json_lines(text: str, found: _Found) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                record = _json(line, number)
            except _FileError as error:
                found.complain(error.problem.words, number)
            else:
                found.add(record, number)


def _json(text: str, first_line: int) -> Any:
    """A JSON value in which no text has half a character, as JSON's escapes may."""
    try:
        return _whole(json.loads(text, object_pairs_hook=_object, parse_constant=_refused))
    except json.JSONDecodeError as error:
        raise _FileError(f"This is no JSON: {error.msg} at column {error.colno}.", first_line + error.lineno - 1) from error
    except RecursionError as error:
        raise _FileError("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise _FileError(f"This is no JSON: {error}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{max(keys, key=keys.count)!r} is given twice in one object")
    return {_whole(key): _whole(value) for key, value in pairs}


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _read_commas(text: str, found: _Found) -> None:
    heading = text.partition("\n")[0]
    _read_table(text, found, max(",;\t", key=heading.count))


def _read_tabs(text: str, found: _Found) -> None:
    _read_table(text, found, "\t")


def _read_table(text: str, found: _Found, delimiter: str) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    heading: list[str] | None = None
    for line, row in _rows_with_lines(rows):
        if not any(cell.strip() for cell in row):
            continue
        if heading is None:
            heading = [cell.strip().lower() for cell in row]
            _check_heading(heading, line)
        elif len(row) > len(heading):
            found.complain(f"There are {len(row)} cells, but the heading has {len(heading)}.", line)
        else:
            found.add(dict(zip(heading, row, strict=False)), line, is_table=True)


def _rows_with_lines(rows: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it begins."""
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise _FileError(f"The table cannot be read: {error}.", line) from error
        yield line, row


def _check_heading(heading: list[str], line: int) -> None:
    unknown = [cell for cell in heading if cell not in KEYS or cell == "checks"]
    if unknown:
        known = ", ".join(key for key in KEYS if key != "checks")
        raise _FileError(f"The column {unknown[0]!r} is not known. Known are {known}.", line)
    if "text" not in [KEYS[cell] for cell in heading]:
        raise _FileError("No column is called text or prompt.", line)
    if len({KEYS[cell] for cell in heading}) < len(heading):
        raise _FileError("Two columns of the heading mean the same.", line)


def _read_text(text: str, found: _Found) -> None:
    separator = _SEPARATOR if _SEPARATOR.search(text) else _PARAGRAPHS
    start, line = 0, 1
    for end, next_start in [*((match.start(), match.end()) for match in separator.finditer(text)), (len(text), len(text))]:
        part = text[start:end]
        if part.strip():
            found.add(part.strip(), line + part.count("\n", 0, len(part) - len(part.lstrip())))
        line += text.count("\n", start, next_start)
        start = next_start


_READERS: dict[str, Callable[[str, _Found], None]] = {
    ".json": _read_json, ".jsonl": _read_json_lines, ".csv": _read_commas, ".tsv": _read_tabs, ".txt": _read_text,
    ".md": _read_text,
}
FILE_SUFFIXES = tuple(_READERS)
