"""What the window may not import before its first painting: each of these costs tens to hundreds of milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.services_fixture import install_tiny_model

HEAVY = ("huggingface_hub", "numpy", "llama_cpp", "typer", "click", "rich", "pygments", "markdown_it", "httpx", "httpx2",
         "requests", "jinja2", "pynvml", "send2trash", "asyncio", "multiprocessing", "qtawesome", "unittest")
PROGRAM = """
import json, sys
from pathlib import Path
from localai_app import __main__ as start
from localai_app.gui import app as app_module
from localai_app.gui.first_paint import FirstPaint


def report_and_end(self):
    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), flush=True)
    app_module.QApplication.instance().quit()

FirstPaint._announce = report_and_end
sys.exit(start.main(["--data-dir", sys.argv[1]]))
"""


@pytest.mark.parametrize("has_model", [False, True], ids=["fresh", "with a model"])
def test_nothing_heavy_is_imported_before_the_first_painting(tmp_path: Path, has_model: bool) -> None:
    if has_model:
        install_tiny_model(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    imported = set(json.loads(result.stdout))
    assert "PySide6" in imported
    assert sorted(imported & set(HEAVY)) == []
