"""Every command explains itself."""

from __future__ import annotations

import pytest
import typer

from localai_app.cli.main import app
from tests.helpers.program import run_program

NAMES = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    outcome = run_program(name, "--help")
    assert outcome.code == 0, outcome.stderr
    assert f"localai-app {name}" in outcome.stdout
