"""The models on this disk: in the models folder, linked in place, or found in other programs' folders."""

from __future__ import annotations

import contextlib
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.gguf.label import label_of_name, split_part
from localai_app.gguf.reader import read_header_file
from localai_app.hub.layout import shown_name
from localai_app.hub.variants import is_model_name
from localai_app.services.events import EventBus, LibraryChanged
from localai_app.services.found_models import FoundFile, find_elsewhere
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import InstalledModel
from localai_app.store.database import Store
from localai_app.store.records import ModelUse

OWN_SOURCE = "Local AI"
LINKED_SOURCE = "Linked file"


class LibraryService:
    """Lists, links and removes installed models. Listing reads folders only, never model files."""

    def __init__(
        self, events: EventBus, store: Store, settings: SettingsService,
        elsewhere: Callable[[], Iterable[FoundFile]] = find_elsewhere,
    ) -> None:
        self._events = events
        self._store = store
        self._settings = settings
        self._elsewhere = elsewhere
        self._lock = threading.Lock()

    def models(self) -> tuple[InstalledModel, ...]:
        """Every usable model, last used first, then by name."""
        with self._lock:
            found = [*self._own_models(), *self._linked_models()]
            uses = {use.model_key: use for use in self._store.library.uses()}
        found = [_with_use(model, uses.get(model.key)) for model in found]
        return tuple(sorted(found, key=lambda model: (-(model.last_used_s or 0.0), model.name.lower(), model.size_bytes)))

    def get(self, key: str) -> InstalledModel:
        """The model that `key` names: its key, its path, or OWNER/REPO if only one variant of it is installed."""
        models = self.models()
        for is_named in (
            lambda model: key in (model.key, str(model.paths[0])),
            lambda model: model.key.lower() == key.lower(),
        ):
            named = [model for model in models if is_named(model)]
            if len(named) == 1:
                return named[0]
        same_repo = [model for model in models if model.repo_id and model.repo_id.lower() == key.lower()]
        if len(same_repo) == 1:
            return same_repo[0]
        if same_repo:
            raise AppError(errors.VARIANT_AMBIGUOUS, repo=key, choices=", ".join(model.label for model in same_repo))
        if not key.lower().endswith(".gguf"):
            raise AppError(errors.MODEL_NOT_INSTALLED, name=key)
        model = _model_of_file(usable_file(Path(key)), LINKED_SOURCE)
        uses = {use.model_key: use for use in self._store.library.uses()}
        return _with_use(model, uses.get(model.key))

    def link(self, path: Path) -> InstalledModel:
        """List a model file where it is, without copying it; AppError if it is no usable GGUF file."""
        resolved = usable_file(path)
        read_header_file(resolved)
        self._store.library.link(str(resolved))
        self._events.publish(LibraryChanged())
        return self.get(str(resolved))

    def found_elsewhere(self) -> int:
        """How many model files other programs keep on this disk that are not listed yet."""
        return len(self._new_elsewhere())

    def link_found(self) -> int:
        """List the model files of other programs in place; returns how many were added. Damaged ones are left out."""
        added = 0
        for file in self._new_elsewhere():
            try:
                read_header_file(file.path)
            except AppError:
                continue
            self._store.library.link(str(file.path))
            added += 1
        if added:
            self._events.publish(LibraryChanged())
        return added

    def freed_bytes(self, key: str) -> int:
        """How much space removing a model frees; 0 for files that stay where they are: linked ones, and targets of symlinks."""
        model = self.get(key)
        return _own_bytes(model) if model.source == OWN_SOURCE else 0

    def remove(self, key: str) -> int:
        """Move a model's files to the trash (a linked one is only taken off the list); returns the bytes freed."""
        model = self.get(key)
        if model.source != OWN_SOURCE:
            self._store.library.unlink(str(model.paths[0]))
            self._events.publish(LibraryChanged())
            return 0
        freed_bytes = _own_bytes(model)
        _trash(model.paths)
        _remove_empty_parents(model.paths[0].parent, self._settings.models_folder)
        self._events.publish(LibraryChanged())
        return freed_bytes

    def note_use(self, key: str, tps: float | None = None, prompt_tps: float | None = None) -> None:
        """Remember that a model was used, and how fast it was."""
        self._store.library.note_use(key, tps=tps, prompt_tps=prompt_tps)
        self._events.publish(LibraryChanged())

    def changed(self) -> None:
        """Tell everybody that files came or went."""
        self._events.publish(LibraryChanged())

    def _new_elsewhere(self) -> list[FoundFile]:
        known = {str(path) for model in self.models() for path in model.paths}
        own_folder = self._settings.models_folder.resolve()
        return [
            file for file in self._elsewhere()
            if str(file.path) not in known and not file.path.is_relative_to(own_folder)
        ]

    def _own_models(self) -> list[InstalledModel]:
        folder = self._settings.models_folder
        if not folder.is_dir():
            return []
        groups: dict[tuple[Path, str], list[_File]] = {}
        for path in sorted(folder.rglob("*.gguf")):
            file = None if path.name.startswith(".") or not is_model_name(path.name) else _file_or_none(path)
            if file is not None:
                groups.setdefault((path.parent, _stem_without_part(path)), []).append(file)
        models = [_model_in_folder(folder, files) for files in groups.values()]
        labels = [(model.repo_id, model.label) for model in models]
        return [
            model if model.label and labels.count((model.repo_id, model.label)) == 1 else _keyed_by_stem(model)
            for model in models
        ]

    def _linked_models(self) -> list[InstalledModel]:
        models = []
        for linked in self._store.library.linked():
            # A drive that is not connected, or a file that goes away at this moment.
            with contextlib.suppress(AppError):
                models.append(_model_of_file(Path(linked.path), LINKED_SOURCE))
        return models


def usable_file(path: Path) -> Path:
    """The absolute path of a file that somebody named; AppError if there is none, or if it cannot be looked at."""
    try:
        resolved = path.expanduser().resolve()
        mode = resolved.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AppError(errors.MODEL_FILE_MISSING, name=path.name, detail=str(error)) from error
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: links that lead in a circle, or the home of a user who does not exist.
        reason = (getattr(error, "strerror", None) or "its path leads nowhere").lower()
        raise AppError(errors.FILE_UNREADABLE, name=shown_name(path.name), reason=reason, detail=str(error)) from error
    if not stat.S_ISREG(mode):
        raise AppError(errors.FILE_UNREADABLE, name=path.name, reason="it is not a regular file")
    return resolved


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size_bytes: int


def _file_or_none(path: Path) -> _File | None:
    """The file with its size, if it is one that can be looked at; it may vanish at any moment."""
    try:
        status = path.stat()
    except OSError:
        return None
    return _File(path, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _with_use(model: InstalledModel, use: ModelUse | None) -> InstalledModel:
    if use is None:
        return model
    return replace(model, last_used_s=use.last_used_s, tps=use.tps)


def _stem_without_part(path: Path) -> str:
    part = split_part(path.name)
    return path.stem if part is None else path.stem[: -len("-00001-of-00001")]


def _model_in_folder(folder: Path, files: list[_File]) -> InstalledModel:
    paths = tuple(file.path for file in files)
    first = paths[0]
    parts = first.relative_to(folder).parts
    repo_id = f"{parts[0]}/{parts[1]}" if len(parts) >= 3 else ""
    label = label_of_name(first.name)
    name = parts[1] if repo_id else first.stem
    return InstalledModel(
        key=f"{repo_id}:{label}" if repo_id else str(first),
        name=_readable(name), label=label, repo_id=repo_id, paths=paths,
        size_bytes=sum(file.size_bytes for file in files), source=OWN_SOURCE, is_complete=not missing_parts(paths),
    )


def _keyed_by_stem(model: InstalledModel) -> InstalledModel:
    """A model whose label does not tell it from its neighbours gets its file's stem in the key."""
    if not model.repo_id:
        return model
    return replace(model, key=f"{model.repo_id}:{_stem_without_part(model.paths[0])}")


def _model_of_file(path: Path, source: str) -> InstalledModel:
    """A model outside the models folder; AppError MODEL_FILE_MISSING if the file is gone."""
    files = [file for file in map(_file_or_none, _all_parts(path)) if file is not None]
    if not files:
        raise AppError(errors.MODEL_FILE_MISSING, name=path.name)
    paths = tuple(file.path for file in files)
    label = label_of_name(path.name)
    return InstalledModel(
        key=str(path), name=_without_label(_readable(_stem_without_part(path)), label), label=label, repo_id="", paths=paths,
        size_bytes=sum(file.size_bytes for file in files), source=source, is_complete=not missing_parts(paths),
    )


def _all_parts(path: Path) -> tuple[Path, ...]:
    part = split_part(path.name)
    if part is None:
        return (path,)
    stem = _stem_without_part(path)
    found = sorted(
        other for other in path.parent.glob("*.gguf") if split_part(other.name) and _stem_without_part(other) == stem)
    return tuple(found) or (path,)


def missing_parts(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the parts of a split model that are not there; empty for a whole one."""
    part = split_part(paths[0].name)
    if part is None:
        return ()
    names, stem = {path.name for path in paths}, _stem_without_part(paths[0])
    expected = (f"{stem}-{number:05d}-of-{part[1]:05d}{paths[0].suffix}" for number in range(1, part[1] + 1))
    return tuple(name for name in expected if name not in names)


def _without_label(name: str, label: str) -> str:
    """A file's name without the quantization label at its end, which is shown beside it; never empty."""
    if not label or not name.lower().endswith(label.lower()):
        return name
    return name[: -len(label)].rstrip("-._ ") or name


def _readable(name: str) -> str:
    """A repository's or file's name for people: without the GGUF suffix."""
    for suffix in ("-GGUF", "-gguf", "_GGUF", ".GGUF"):
        name = name.removesuffix(suffix)
    return name


def name_of_key(key: str) -> str:
    """What `InstalledModel.name` most likely is, by the key alone, for a model that was not looked for yet."""
    path = Path(key)
    if path.is_absolute():
        return _without_label(_readable(_stem_without_part(path)), label_of_name(path.name))
    return _readable(path.name.partition(":")[0])


def _own_bytes(model: InstalledModel) -> int:
    """The size of those of its files that lie in the models folder themselves."""
    return model.size_bytes - sum(path.stat().st_size for path in model.paths if path.is_symlink() and path.exists())


def _trash(paths: Iterable[Path]) -> None:
    from send2trash import TrashPermissionError, send2trash

    for path in paths:
        try:
            send2trash(path)
        except FileNotFoundError as error:
            raise AppError(errors.MODEL_FILE_MISSING, name=path.name, detail=str(error)) from error
        except (TrashPermissionError, OSError) as error:
            raise AppError(errors.FOLDER_READ_ONLY, folder=path.parent, detail=str(error)) from error


def _remove_empty_parents(folder: Path, root: Path) -> None:
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
