"""Which of the files that PyInstaller finds go into the bundle."""

from __future__ import annotations

import pytest

from tools.package import trim

SITE = "/opt/venv/lib/python3.11/site-packages"
DEBIAN = "/usr/lib/x86_64-linux-gnu"


@pytest.mark.parametrize(("place", "source", "is_kept"), [
    ("PySide6/Qt/lib/libQt6Core.so.6", f"{SITE}/PySide6/Qt/lib/libQt6Core.so.6", True),
    ("PySide6/Qt/lib/libQt6Quick.so.6", f"{SITE}/PySide6/Qt/lib/libQt6Quick.so.6", False),
    ("PySide6/Qt6Network.dll", "C:/venv/Lib/site-packages/PySide6/Qt6Network.dll", True),
    ("PySide6/Qt6Pdf.dll", "C:/venv/Lib/site-packages/PySide6/Qt6Pdf.dll", False),
    ("PySide6/Qt/plugins/platforms/libqxcb.so", f"{SITE}/PySide6/Qt/plugins/platforms/libqxcb.so", True),
    ("PySide6/Qt/plugins/platforms/libqeglfs.so", f"{SITE}/PySide6/Qt/plugins/platforms/libqeglfs.so", False),
    ("PySide6\\plugins\\platforms\\qwindows.dll", "C:/venv/PySide6/plugins/platforms/qwindows.dll", True),
    ("PySide6/Qt/plugins/platformthemes/libqgtk3.so", f"{SITE}/PySide6/Qt/plugins/platformthemes/libqgtk3.so", False),
    ("libstdc++.so.6", f"{DEBIAN}/libstdc++.so.6", False),
    ("libgcc_s.so.1", "/lib/x86_64-linux-gnu/libgcc_s.so.1", False),
    ("libexpat.so.1", f"{DEBIAN}/libexpat.so.1", False),
    ("libX11.so.6", f"{DEBIAN}/libX11.so.6", False),
    ("libxcb-cursor.so.0", f"{DEBIAN}/libxcb-cursor.so.0", True),
    ("libssl.so.3", f"{DEBIAN}/libssl.so.3", True),
    ("python3.11/lib-dynload/_ssl.cpython-311.so", "/usr/lib/python3.11/lib-dynload/_ssl.cpython-311.so", True),
    ("numpy/_core/_multiarray_umath.so", "/usr/lib/python3/dist-packages/numpy/_core/_multiarray_umath.so", True),
])
def test_a_library_stays_or_goes(place: str, source: str, is_kept: bool) -> None:
    assert trim.keeps_binary(place, source) is is_kept


@pytest.mark.parametrize(("place", "is_kept"), [
    ("localai_app/resources/catalog/models.json", True),
    ("PySide6/Qt/translations/qtbase_de.qm", False),
    ("numpy/tests/data/a.csv", False),
    ("msgspec/py.typed", False),
])
def test_a_data_file_stays_or_goes(place: str, is_kept: bool) -> None:
    assert trim.keeps_data(place) is is_kept
