"""The bars of a fit: figures in words, parts that never leave the bar, and too much that can be seen."""

from __future__ import annotations

import msgspec
import pytest
from PySide6.QtWidgets import QApplication, QWidget

from localai_app.fit.result import DeviceNeed
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState, apply_theme
from localai_app.gui.widgets.flow_layout import FlowLayout
from localai_app.gui.widgets.memory_bars import MemoryBars
from localai_app.units import GIB


@pytest.fixture
def theme() -> ThemeState:
    return ThemeState(LIGHT)


def need(name: str = "RTX 4070", *, weights: float = 4.5, context: float = 1.0, working: float = 0.5, free: float = 10.0,
         reserve: float = 1.0, capacity: float = 12.0, layers: int = 33) -> DeviceNeed:
    """A device with amounts in GiB."""
    parts = [round(part * GIB) for part in (weights, context, working)]
    return DeviceNeed(
        name=name, kind="gpu", layers=layers, weights_bytes=parts[0], kv_bytes=parts[1], compute_bytes=parts[2],
        free_bytes=round(free * GIB), reserve_bytes=round(reserve * GIB), total_bytes=sum(parts),
        capacity_bytes=round(capacity * GIB))


def test_a_bar_tells_its_figures_to_eyes_and_ears(qtbot, theme: ThemeState) -> None:
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    bars.show_devices([need(), need("Main memory", weights=0.25, context=0.0, working=0.25, layers=0)])
    assert [bar.words for bar in bars.bars] == ["6.0 of 9.0 GiB usable", "0.5 of 9.0 GiB usable"]
    assert bars.bars[0].bar.accessibleName() == (
        "Memory of RTX 4070: 6.0 GiB of 9.0 GiB usable. Weights 4.5 GiB, context 1.0 GiB, working memory 0.5 GiB. "
        "2.0 GiB of 12.0 GiB is in use already, 1.0 GiB is kept free.")
    for words in ("Weights 4.8 GiB", "Context 1.0 GiB", "Working memory 0.8 GiB", "In use already 4.0 GiB", "Kept free 2.0 GiB",
                  "Together 6.5 GiB"):
        assert words in bars.words


def test_devices_come_and_go_and_idle_ones_are_left_out(qtbot, theme: ThemeState) -> None:
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    bars.show_devices([need(), need("Second"), need("Idle", weights=0, context=0, working=0)])
    assert len(bars.bars) == 2
    bars.show_devices([need("Only")])
    assert [bar.bar.accessibleName().split(":")[0] for bar in bars.bars] == ["Memory of Only"]
    bars.show_devices([])
    assert bars.bars == ()


def test_twins_are_told_apart(qtbot, theme: ThemeState) -> None:
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    twins = [msgspec.structs.replace(need(), engine_name=name) for name in ("CUDA0", "CUDA1")]
    bars.show_devices([*twins, need("Main memory", layers=0)])
    assert [bar._name.text() for bar in bars.bars] == [
        "RTX 4070 (CUDA0) · 33 layers", "RTX 4070 (CUDA1) · 33 layers", "Main memory"]
    bars.show_devices(twins[:1])
    assert bars.bars[0]._name.text() == "RTX 4070 · 33 layers"


def colors_in(widget: QWidget) -> list[str]:
    image = widget.grab().toImage()
    return [image.pixelColor(x, image.height() // 2).name() for x in range(image.width())]


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST], ids=lambda palette: palette.name)
def test_too_much_is_marked_where_the_usable_memory_ends(qtbot, theme: ThemeState, palette) -> None:
    theme.update(palette, 100)
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    bars.resize(602, 200)
    bars.show_devices([need()])
    bar = bars.bars[0].bar
    assert bar.overflow == 0
    assert palette.bad not in colors_in(bar)
    assert {palette.gpu, palette.gpu_light, palette.ram, palette.faint} <= set(colors_in(bar))
    bars.show_devices([need(weights=20)])
    assert bar.overflow == pytest.approx(12.5 * GIB)
    assert bars.bars[0].words == "21.5 of 9.0 GiB usable"
    assert bars.bars[0]._figures.property("role") == "caption-bad"
    assert palette.bad in colors_in(bar)


def test_a_device_of_which_little_is_known_shows_what_is(qtbot, theme: ThemeState) -> None:
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    bars.show_devices([need(capacity=0, free=0, reserve=2)])
    assert bars.bars[0].words == "6.0 GiB of 0 MiB usable"
    assert bars.grab().width() > 0


def test_the_legend_breaks_into_lines_with_large_text(qapp: QApplication, qtbot, theme: ThemeState) -> None:
    apply_theme(qapp, "contrast", 200)
    theme.update(CONTRAST, 200)
    bars = MemoryBars(theme)
    qtbot.addWidget(bars)
    bars.show_devices([need("NVIDIA GeForce RTX 4090 with a name that goes on and on and does not end")])
    bars.resize(420, 400)
    bars.show()
    assert bars.minimumSizeHint().width() <= 420
    holder = bars.layout().itemAt(1).widget()
    flow = holder.layout()
    assert isinstance(flow, FlowLayout)
    rects = [flow.itemAt(index).geometry() for index in range(flow.count())]
    assert len({rect.y() for rect in rects}) > 1
    assert all(rect.right() < holder.width() for rect in rects)
    assert not any(a.intersects(b) for a in rects for b in rects if a is not b)
