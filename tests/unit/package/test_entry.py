"""The first lines of the frozen program: its children get the variables of the user's session, not the bootloader's."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

ENTRY = Path(__file__).resolve().parents[3] / "packaging" / "entry.py"


@pytest.mark.parametrize(("before", "after"), [
    ({"LD_LIBRARY_PATH": "/opt/bundle", "LD_LIBRARY_PATH_ORIG": "/usr/local/lib"}, {"LD_LIBRARY_PATH": "/usr/local/lib"}),
    ({"LD_LIBRARY_PATH": "/opt/bundle"}, {}),
    ({"DYLD_LIBRARY_PATH": "/opt/bundle", "DYLD_LIBRARY_PATH_ORIG": ""}, {"DYLD_LIBRARY_PATH": ""}),
    ({}, {}),
])
def test_a_browser_is_opened_with_its_own_libraries(
    before: dict[str, str], after: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    for name in list(os.environ):
        if "LIBRARY_PATH" in name:
            monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["localai-app", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ENTRY), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("localai-app ")
    assert {name: value for name, value in os.environ.items() if "LIBRARY_PATH" in name} == after
