"""Where files go, and which names are refused."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.layout import check_no_clash, check_path, shown_name, target_path

MODELS = Path("/models")
HOSTILE = [
    "", ".", "..", "../x.gguf", "a/../../x.gguf", "/etc/passwd", "//server/share/x.gguf",
    "\\\\server\\share\\x.gguf", "a\\..\\x.gguf", "C:x.gguf", "C:/x.gguf", "c:\\x.gguf", "x.gguf:stream", "CON",
    "con.gguf", "NUL.Q4_0.gguf", "a/aux/x.gguf", "COM1.gguf", "lpt9", "COM¹.gguf", "CONOUT$", "x.gguf.", "x.gguf ",
    " x.gguf", "a /x.gguf", "a./x.gguf", "x\n.gguf", "x\0.gguf", "x\x7f.gguf", "x\x85y", "\u202efugg.exe",
    "x\u200b.gguf", "x\u2066.gguf", "\ufeffx.gguf", "x\ud800.gguf", "a//x.gguf", "a/", "x?.gguf", "x*.gguf",
    "<x>.gguf", 'x".gguf', "x|y.gguf", "e\u0301.gguf", "x" * 300 + ".gguf", "é" * 130 + ".gguf",
    "/".join(["a"] * 600), "x.gguf.part", "x.gguf.PART.json", "x.gguf.part.lock", "\u2028.gguf",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_and_shown_safely(name: str) -> None:
    with pytest.raises(AppError) as caught:
        target_path(MODELS, "owner/name", name)
    assert caught.value.spec is errors.UNSAFE_FILE_NAME
    assert "\u202e" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    caught.value.message.encode()


@pytest.mark.parametrize(
    "name",
    [
        "m-Q4_K_M.gguf", "BF16/m-00001-of-00002.gguf", "模型-Q4_0.gguf", "é.gguf", "a b (1).gguf", "console.gguf",
        ".hidden.gguf",
    ],
)
def test_ordinary_names_are_taken_over_unchanged(name: str) -> None:
    assert target_path(MODELS, "owner/Name.v2-GGUF", name) == MODELS / "owner" / "Name.v2-GGUF" / Path(name)


@pytest.mark.parametrize(
    "repo_id", ["", "name", "a/b/c", "../b", "a/..", "a/.b", "con/name", "owner/nul", "own er/x", "a\\b/c", "a/b."]
)
def test_hostile_repository_names_are_refused(repo_id: str) -> None:
    with pytest.raises(AppError) as caught:
        target_path(MODELS, repo_id, "m.gguf")
    assert caught.value.spec is errors.UNSAFE_FILE_NAME


def test_two_files_that_one_disk_would_merge_are_refused() -> None:
    check_no_clash(["a.gguf", "b.gguf", "A/a.gguf", "a.gguf"])
    for pair in (["m.gguf", "M.gguf"], ["a/x.gguf", "A/x.gguf"], ["é.gguf", "e\u0301.gguf"], ["straße.gguf", "STRASSE.gguf"]):
        with pytest.raises(AppError):
            check_no_clash(pair)


@given(st.text(max_size=60))
def test_what_is_accepted_stays_inside_and_is_the_same_everywhere(name: str) -> None:
    try:
        target = target_path(MODELS, "owner/name", name)
    except AppError:
        return
    folder = MODELS / "owner" / "name"
    assert target.is_relative_to(folder)
    assert target != folder
    assert target.relative_to(folder).as_posix() == name
    windows = PureWindowsPath("D:/models/owner/name") / name
    assert windows.relative_to("D:/models/owner/name").as_posix() == name
    assert not windows.is_reserved()
    assert all(part not in ("..", ".") for part in PurePosixPath(name).parts)
    assert unicodedata.normalize("NFC", name) == name


@given(st.lists(st.text(alphabet="abAB./\\:\u202e é\u0301\nCON", min_size=1, max_size=12), max_size=6))
def test_accepted_names_that_do_not_clash_are_different_files(names: list[str]) -> None:
    accepted = []
    for name in set(names):
        try:
            check_path(name)
        except AppError:
            continue
        accepted.append(name)
    try:
        check_no_clash(accepted)
    except AppError:
        return
    assert len({unicodedata.normalize("NFC", name.lower()) for name in accepted}) == len(accepted)


@given(st.text(max_size=500))
def test_shown_names_are_short_and_printable(name: str) -> None:
    shown = shown_name(name)
    assert len(shown) <= 120
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in shown)
