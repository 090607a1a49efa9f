"""How a model is loaded, from the command line: the options of chat and fit, and the command that remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from localai_app import errors
from localai_app.cli.session import Session
from localai_app.engine.protocol import KvType
from localai_app.engine.template_families import FAMILIES
from localai_app.errors import AppError
from localai_app.fit.result import DRAFT_BY_LOOKUP, Request
from localai_app.hardware.report import HardwareReport
from localai_app.services.app_services import AppServices
from localai_app.services.chat_format_words import OWN, template_kind, template_label
from localai_app.services.library_service import LibraryService
from localai_app.services.load_settings import LoadSettings, parse_parts, split_words
from localai_app.services.template_preview import preview_template
from localai_app.services.what_if import for_other_computer
from localai_app.units import format_count

MAX_CTX = 100_000_000
MAX_LAYER_DIGITS = 6
CtxOption = Annotated[int | None, typer.Option("--ctx", min=256, max=MAX_CTX, help="Context in tokens.")]
KvOption = Annotated[KvType | None, typer.Option("--kv-type", help="How the context is stored.")]
LayersOption = Annotated[str | None, typer.Option("--gpu-layers", help="auto, or a number of layers.")]
ExpertsOption = Annotated[
    str | None,
    typer.Option("--experts-on-cpu", help="auto, or the number of blocks whose experts stay in main memory (MoE models).")]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without-device", help="A GPU that is left alone; may be given several times.")]

MainDeviceOption = Annotated[
    str | None, typer.Option("--main-device", help="auto, or the GPU to use alone where the model fits on it.")]
SplitOption = Annotated[
    str | None, typer.Option("--tensor-split", help="auto, or how the GPUs share the layers, such as 3,1.")]
NO_DRAFT = "off"
DraftOption = Annotated[
    str | None,
    typer.Option(
        "--draft", help="Who drafts tokens, used while that is measured to be faster: off, lookup (from the conversation), or "
                        "a smaller installed model of the same vocabulary.")]


@dataclass(frozen=True, slots=True)
class LoadChoices:
    """What was given on the command line; None where nothing was."""

    ctx: int | None = None
    kv_type: KvType | None = None
    gpu_layers: str | None = None
    experts_on_cpu: str | None = None
    without: Sequence[str] | None = None
    main_device: str | None = None
    tensor_split: str | None = None
    with_projector: bool = False
    """For a fit only: a load has no image or audio part."""
    draft: str | None = None

    def applied_to(self, request: Request) -> Request:
        """A request with these in place of what it says; `auto` lets the program choose."""
        changes = self._changes()
        if self.with_projector:
            changes["with_projector"] = True
        if "without_devices" in changes:
            changes["excluded_devices"] = changes.pop("without_devices")
        if "draft" in changes:
            changes["draft"] = changes["draft"] or ""
        return msgspec.structs.replace(request, **changes)

    def remembered_in(self, settings: LoadSettings) -> LoadSettings:
        """Load settings with these in place of what they say; `auto` forgets one."""
        return msgspec.structs.replace(settings, **self._changes())

    def _changes(self) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if self.ctx is not None:
            changes["ctx"] = self.ctx
        if self.kv_type is not None:
            changes["kv_type"] = self.kv_type
        if self.gpu_layers is not None:
            changes["gpu_layers"] = number_or_auto(self.gpu_layers, "--gpu-layers")
        if self.experts_on_cpu is not None:
            changes["experts_on_cpu"] = number_or_auto(self.experts_on_cpu, "--experts-on-cpu")
        if self.draft is not None:
            changes["draft"] = None if self.draft == NO_DRAFT else self.draft
        if self.without:
            changes["without_devices"] = tuple(dict.fromkeys(self.without))
        if self.main_device is not None:
            changes["main_device"] = "" if self.main_device == "auto" else self.main_device
        if self.tensor_split is not None:
            changes["tensor_split"] = parts_or_auto(self.tensor_split)
        return changes

    @property
    def names_devices(self) -> bool:
        """Whether they say something of single devices, which the engine has to be asked for."""
        return bool(self.without or self.main_device or self.tensor_split)

    def with_known_draft(self, library: LibraryService) -> LoadChoices:
        """The same with the key of the model that is to draft; AppError where there is no such model."""
        if self.draft in (None, NO_DRAFT, DRAFT_BY_LOOKUP):
            return self
        return replace(self, draft=library.get(str(self.draft)).key)

    def require_devices(self, report: HardwareReport) -> None:
        """Wrong usage where a device to leave alone is not there."""
        known = [gpu.name for gpu in report.gpus]
        named = [*known, *(device.name for device in report.engine_devices or () if device.kind != "cpu")]
        asked = [(name, "--without-device") for name in self.without or ()]
        if self.main_device not in (None, "auto"):
            asked.append((str(self.main_device), "--main-device"))
        for name, option in asked:
            if name not in named:
                there_is = f"there is {', '.join(dict.fromkeys(named))}" if named else "this computer has none"
                raise typer.BadParameter(f"no GPU is called {name}; {there_is}", param_hint=option)


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("load-settings")(load_settings)


def load_settings(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it, or a .gguf file.")],
    ctx: CtxOption = None,
    kv_type: KvOption = None,
    gpu_layers: LayersOption = None,
    experts_on_cpu: ExpertsOption = None,
    without_device: WithoutOption = None,
    main_device: MainDeviceOption = None,
    tensor_split: SplitOption = None,
    draft: DraftOption = None,
    chat_template: Annotated[
        str | None, typer.Option(
            "--chat-template", help="own, a family such as chatml, or a file with a Jinja text, which is tried.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what is remembered first.")] = False,
) -> None:
    """Show or change how a model is loaded, here and in the window."""
    session: Session = context.obj
    choices = LoadChoices(ctx, kv_type, gpu_layers, experts_on_cpu, without_device, main_device, tensor_split, draft=draft)
    with session.services() as services:
        key = services.library.get(model).key
        choices = choices.with_known_draft(services.library)
        before = services.load_settings.get(key)
        after = choices.remembered_in(LoadSettings() if reset else before)
        if chat_template is not None:
            after = msgspec.structs.replace(after, chat_template=chosen_template(chat_template, services))
        services.load_settings.set(key, after)
        in_force = services.load_planner.request_for(key)
    session.output.document({"model": key, "load_settings": after, "in_force": request_document(in_force)})
    session.output.words(f"{key} is loaded with:")
    for name, words, is_set in settings_lines(in_force, after):
        session.output.words(f"  {name}: {words}" + ("" if is_set else " (as for all models)"))
    session.output.words(f"  chat template: {template_label(template_kind(after.chat_template)).lower()}")


def chosen_template(text: str, services: AppServices) -> str:
    """What `LoadSettings.chat_template` is for an answer on the command line; AppError for a file that is no template."""
    if text == OWN:
        return ""
    if text in FAMILIES:
        return text
    path = Path(text)
    if not path.is_file():
        names = ", ".join([OWN, *FAMILIES])
        raise typer.BadParameter(f"no such file, and none of {names}", param_hint="--chat-template")
    try:
        source = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise AppError(errors.FILE_UNREADABLE, name=text, reason=str(error)) from error
    preview_template(source, services.paths.worker_dir)
    return source


def asked_for(services: AppServices, report: HardwareReport | None, key: str = "") -> Request:
    """What is asked for where the command line says nothing: as remembered for the installed model `key`, else by the settings.

    `report`: another computer than this one.
    """
    request = services.load_planner.request_for(key) if key else services.estimate.default_request()
    return request if report is None else for_other_computer(request)


def request_document(request: Request) -> dict[str, object]:
    """A request for JSON; null: chosen to fit."""
    return {
        "ctx": request.ctx, "default_ctx": request.default_ctx, "kv_type": request.kv_type, "gpu_layers": request.gpu_layers,
        "experts_on_cpu": request.experts_on_cpu, "without_devices": request.excluded_devices,
        "draft": request.draft,
        "main_device": request.main_device or None, "tensor_split": request.tensor_split or None,
    }


def settings_lines(request: Request, settings: LoadSettings) -> list[tuple[str, str, bool]]:
    """(name, value in words, whether it is remembered for this model)."""
    ctx = format_count(request.ctx) if request.ctx is not None else f"up to {format_count(request.default_ctx)}"
    without = ", ".join(request.excluded_devices) or "none"
    return [
        ("context", f"{ctx} tokens", settings.ctx is not None),
        ("context precision", request.kv_type.value, settings.kv_type is not None),
        ("layers on the GPU", _or_auto(request.gpu_layers), settings.gpu_layers is not None),
        ("blocks with experts in main memory", _or_auto(request.experts_on_cpu), settings.experts_on_cpu is not None),
        ("tokens drafted by", _draft_words(request.draft), bool(settings.draft)),
        ("GPUs left alone", without, bool(settings.without_devices)),
        ("main GPU", request.main_device or "automatic", bool(settings.main_device)),
        ("layers shared by the GPUs", split_words(request.tensor_split), bool(settings.tensor_split)),
    ]


def number_or_auto(text: str, option: str) -> int | None:
    """A number, or None for `auto`; wrong usage for anything else."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LAYER_DIGITS):
        raise typer.BadParameter("enter auto or a number", param_hint=option)
    return int(text)


def parts_or_auto(text: str) -> tuple[float, ...]:
    """Parts such as 3,1; empty for `auto`; wrong usage for anything else."""
    if text == "auto":
        return ()
    parts = parse_parts(text)
    if parts is None:
        raise typer.BadParameter("enter auto, or a number for each GPU, such as 3,1", param_hint="--tensor-split")
    return parts


def _draft_words(draft: str) -> str:
    return {"": "nobody", DRAFT_BY_LOOKUP: "the conversation itself"}.get(draft, draft)


def _or_auto(number: int | None) -> str:
    return "automatic" if number is None else str(number)
