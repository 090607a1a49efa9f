"""`--self-check` inside each artefact that was built here, and how large they are."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.packaging.built_here import Needs, only_artefact
from tools.package import smoke
from tools.package.smoke_report import REPORT_SUFFIX, why_untested

MOST_DEB_BYTES = 110_000_000
MOST_INSTALLED_BYTES = 350_000_000
FILES = ("", ".deb", ".tar.xz")  # The application folder first.

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the artefacts of Linux")


@pytest.mark.parametrize("ending", FILES)
def test_an_artefact_passes_and_its_report_names_its_bytes(needs: Needs, ending: str) -> None:
    """The report may be the one that `dev.py package` has just made of these very bytes."""
    artefact = only_artefact(needs, ending) if ending else needs(smoke.BUNDLE)
    if why_untested(artefact):
        assert smoke.check(artefact).problem == ""
    assert why_untested(artefact) == ""
    kept = json.loads(artefact.with_name(artefact.name + REPORT_SUFFIX).read_text(encoding="utf-8"))
    assert kept["report"]["frozen"] is True
    assert kept["report"]["decoded"]["tokens"] > 0


def test_the_deb_is_small_before_and_after_its_installation(needs: Needs) -> None:
    deb = only_artefact(needs, ".deb")
    assert deb.stat().st_size < MOST_DEB_BYTES
    field = subprocess.run(
        ["dpkg-deb", "--field", str(deb), "Installed-Size"], capture_output=True, text=True, check=True).stdout
    assert int(field) * 1024 < MOST_INSTALLED_BYTES
    bundle = needs(smoke.BUNDLE)
    files = [path.stat().st_size for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(files) < MOST_INSTALLED_BYTES
