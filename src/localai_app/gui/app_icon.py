"""The program's own icon."""

from __future__ import annotations

from PySide6.QtGui import QIcon, QPixmap

from localai_app.paths import resources_dir

SIZES = (16, 32, 48, 64, 128, 256)


def app_icon() -> QIcon:
    """The icon for windows and task bars; each size is read when it is needed."""
    icon = QIcon()
    for size in SIZES:
        icon.addFile(str(resources_dir() / "icons" / f"localai-app-{size}.png"))
    return icon


def brand_pixmap(size: int, device_pixel_ratio: float) -> QPixmap:
    """The icon as a picture of `size` device-independent pixels."""
    wanted = round(size * device_pixel_ratio)
    source = next((known for known in (20, 32, 40, 64, 128, 256) if known >= wanted), 256)
    pixmap = QPixmap(str(resources_dir() / "icons" / f"localai-app-{source}.png"))
    pixmap.setDevicePixelRatio(source / size)
    return pixmap
