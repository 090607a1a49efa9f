"""For all tests of commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.program import warm_programs


@pytest.fixture(scope="session", autouse=True)
def program_imported_once() -> Iterator[None]:
    """Most of these tests run several commands, and half of the time of each is the import of the program."""
    with warm_programs():
        yield
