"""How several GPUs share a model, as controls."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from localai_app.gui.load.load_form import LoadForm
from localai_app.services.load_previews import LoadGpu
from localai_app.services.load_settings import LoadSettings

Show = Callable[..., QWidget]
TWO = [LoadGpu(id="CUDA0", name="NVIDIA GeForce RTX 4090", free_bytes=22 << 30),
       LoadGpu(id="RPC0", name="192.168.1.20:50052", free_bytes=12 << 30)]


def test_the_main_gpu_and_the_parts_are_offered_where_there_are_two(show: Show, qtbot) -> None:
    form = LoadForm()
    show(form, 420, 600)
    form._show_gpus(TWO[:1])
    assert form.shared.isHidden()
    form._show_gpus(TWO)
    form.show_settings(LoadSettings())
    assert form.shared.isVisible()
    assert [form.shared.main_box.itemText(at) for at in range(3)] == [
        "Automatic", "RTX 4090 (CUDA0)", "192.168.1.20:50052 (RPC0)"]
    changes: list[LoadSettings] = []
    form.changed.connect(lambda: changes.append(form.settings))
    form.shared.main_box.setCurrentIndex(2)
    form.shared.main_box.activated.emit(2)
    assert form.settings.main_device == "RPC0"
    qtbot.keyClicks(form.shared.parts, "3 1")
    qtbot.keyClick(form.shared.parts, Qt.Key.Key_Return)
    assert changes[-1] == LoadSettings(main_device="RPC0", tensor_split=(3.0, 1.0))
    form.shared.parts.setText("most of it")
    qtbot.keyClick(form.shared.parts, Qt.Key.Key_Return)
    assert form.shared.parts.property("invalid") is True
    assert form.settings.tensor_split == (3.0, 1.0), "nonsense changes nothing"
    form.shared.parts.clear()
    qtbot.keyClick(form.shared.parts, Qt.Key.Key_Return)
    assert form.settings.tensor_split == ()
    form.show_settings(LoadSettings(main_device="CUDA7", tensor_split=(1.0, 2.5)))
    assert form.shared.main_box.currentText() == "CUDA7, not here now"
    assert form.shared.parts.text() == "1, 2.5"
    assert form.settings == LoadSettings(main_device="CUDA7", tensor_split=(1.0, 2.5)), "what is remembered is kept"
