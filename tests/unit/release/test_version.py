"""Which version comes after which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import __version__
from localai_app.release.version import is_newer, version_key

ORDER = ["0.1.dev1", "0.1.0a2", "0.1.0b1", "0.1.0rc1", "0.1.0rc10", "0.1", "0.1.1", "0.1.9", "0.1.10", "0.2", "1.0", "10.0"]


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(reversed(ORDER), key=version_key) == ORDER
    assert version_key("1.0") == version_key("1.0.0") == version_key("1.0.0+local.1")
    assert not is_newer("1.0", "1.0.0")
    assert is_newer("1.0.1", "1.0.1rc2")


@pytest.mark.parametrize("text", ["", "1.", "v1", "1.0-1", "1.0\n", "1.2.3.4.5", "١.0", "1e5"])
def test_what_is_no_version_is_never_newer(text: str) -> None:
    assert not is_newer(text, "0.0.1")
    assert not is_newer("9.0", text)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_none(text: str) -> None:
    assert is_newer(text, text) is False


def test_this_program_has_a_version() -> None:
    assert version_key(__version__)
