"""Takes the pictures of docs/images: the main job in both themes, in the real window with a real small model.

`python3 -m scripts.make_screenshots [FOLDER]` from the checkout, in the environment of `dev.py`, with Xvfb installed
and the two small models where `dev.py test` puts them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.display import virtual_display
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.isolation import FOLDERS
from tests.helpers.real_models import GEMMA_FILE, SMOLLM2_FILE, models_folder

CHECKOUT = Path(__file__).resolve().parents[1]
CATALOGS = {
    "first_run": CHECKOUT / "resources" / "catalog" / "demo.json",
    "tour": CHECKOUT / "resources" / "catalog" / "models.json",
    "compare": CHECKOUT / "resources" / "catalog" / "demo.json",
}
BYTES_PER_S = 30_000_000
"""Slow enough for a picture of a download."""


def folders_in(home: Path) -> dict[str, str]:
    """A user of its own with the usual folders, so that the pictures show the paths that everybody has."""
    return {name: str(home / part) for name, part in FOLDERS.items()}


def main() -> int:
    """Write one PNG for each page and theme."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    models = models_folder()
    repos = {
        "local-ai-demo/SmolLM2-135M-Instruct-GGUF": RepoFixture({SMOLLM2_FILE: models / SMOLLM2_FILE}),
        "local-ai-demo/gemma-3-270m-GGUF": RepoFixture({GEMMA_FILE: models / GEMMA_FILE}),
    }
    with HubServer(repos, bytes_per_s=BYTES_PER_S) as hub, virtual_display() as display, \
            tempfile.TemporaryDirectory() as folder:
        for theme in ("light", "dark"):
            home = Path(folder) / theme
            for scenario, catalog in CATALOGS.items():
                shots = Path(folder) / "shots"
                subprocess.run(
                    [sys.executable, "-m", "tests.e2e.driver", scenario, "--catalog", str(catalog), "--shots", str(shots),
                     "--theme", theme],
                    cwd=CHECKOUT, env={**os.environ, **display, **folders_in(home), "HF_ENDPOINT": hub.endpoint}, check=True,
                    stdout=subprocess.DEVNULL)
                for picture in shots.glob("*.png"):
                    shutil.move(picture, target / f"{picture.stem}-{theme}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
