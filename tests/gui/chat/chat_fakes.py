"""Small stand-ins for the services that the chat page talks to; they keep what they were asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from PySide6.QtCore import QObject, Signal

from localai_app.engine.protocol import ChatFormat, GenerationStats, Loaded
from localai_app.engine.sampling import SAMPLING_SPECS, Sampling
from localai_app.engine.sampling_values import SamplingValues
from localai_app.fit.result import FitResult
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.events import (
    AnswerEnded,
    AnswerProgressed,
    ConversationsChanged,
    EngineChanged,
    LibraryChanged,
    MessageAdded,
    ModelLoaded,
)
from localai_app.services.sampling_service import BUILT_IN_PRESETS, EffectiveSampling, Origin, Preset
from localai_app.services.vendor_sampling import Recommendation
from localai_app.services.views import EngineState, EngineStatus, InstalledModel, LoadedModel
from localai_app.settings.declaration import SPECS
from localai_app.store.records import Conversation, Message, MessageState, MessageStats, Role

KEY = "acme/tiny-GGUF:Q4_K_M"


class FakeBridge(QObject):
    """Delivers events at once."""

    event_published = Signal(object)


def installed(key: str = KEY, name: str = "tiny", label: str = "Q4_K_M") -> InstalledModel:
    return InstalledModel(
        key=key, name=name, label=label, repo_id="acme/tiny-GGUF", paths=(Path("/models") / f"{name}.gguf",),
        size_bytes=5_030_000_000, source="Local AI")


def loaded(*, has_chat_template: bool = True) -> Loaded:
    return Loaded(
        id=1, description="tiny", ctx=16_384, ctx_train=32_768, n_layer=37, gpu_layers=37, threads=8, model_bytes=5_030_000_000,
        load_s=1.2, has_chat_template=has_chat_template, format=ChatFormat(template="own" if has_chat_template else "none"))


def stats(tokens: int = 412) -> GenerationStats:
    return GenerationStats(
        prompt_tokens=184, completion_tokens=tokens, prompt_s=0.1, completion_s=tokens / 61.3, ttft_s=0.21, context_used=1204,
        context_total=16_384)


def kept(numbers: GenerationStats, reason: str = "stop") -> MessageStats:
    return MessageStats(
        prompt_tokens=numbers.prompt_tokens, completion_tokens=numbers.completion_tokens, prompt_tps=numbers.prompt_tps,
        tps=numbers.tps, ttft_s=numbers.ttft_s, context_used=numbers.context_used, context_total=numbers.context_total,
        finish_reason=reason)


@dataclass
class FakeLibrary:
    installed: tuple[InstalledModel, ...] = (installed(),)

    def models(self) -> tuple[InstalledModel, ...]:
        return self.installed


@dataclass
class FakeEngine:
    bridge: FakeBridge
    state: EngineState = field(default_factory=lambda: EngineState(EngineStatus.NONE))
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def loaded(self) -> tuple[LoadedModel, ...]:
        return (LoadedModel(self.state, None, 0.0),) if self.state.is_alive else ()

    def use(self, _key: str) -> bool:
        return False

    def load(self, key: str, **how: bool) -> None:
        self.calls.append(("load", key, *(name for name, is_wanted in how.items() if is_wanted)))
        self.become(EngineState(EngineStatus.LOADING, key, "tiny"))

    def unload(self) -> None:
        self.calls.append(("unload",))
        self.become(EngineState(EngineStatus.NONE))

    def reload(self) -> None:
        self.calls.append(("reload",))

    def become(self, state: EngineState) -> None:
        self.state = state
        self.bridge.event_published.emit(EngineChanged())

    def become_ready(self, *, has_chat_template: bool = True, used: int = 1204) -> None:
        info = loaded(has_chat_template=has_chat_template)
        self.become(EngineState(EngineStatus.READY, KEY, "tiny", loaded=info, fraction=1.0, context_used=used))
        self.bridge.event_published.emit(ModelLoaded(KEY, info))


class FakeChat:
    """Keeps chats in lists and publishes as the real service does; answers come from the test."""

    def __init__(self, bridge: FakeBridge) -> None:
        self.bridge = bridge
        self.calls: list[tuple[Any, ...]] = []
        self.chats: dict[int, Conversation] = {}
        self.kept_messages: dict[int, list[Message]] = {}
        self.deleted: list[Conversation] = []
        self.answering_conversation_id: int | None = None
        self.waiting: set[int] = set()
        self.checked: list[tuple[int | None, str]] = []
        self.can_outgrow = True
        self._next_id = 1

    def add_chat(self, title: str, age_s: float = 0.0) -> int:
        chat = Conversation(
            id=self._new_id(), title=title, model_key=KEY, created_s=time.time() - age_s, updated_s=time.time() - age_s)
        self.chats[chat.id] = chat
        self.kept_messages[chat.id] = []
        return chat.id

    def add(self, chat_id: int, role: Role, text: str, state: MessageState = MessageState.DONE, **more: Any) -> Message:
        message = Message(
            id=self._new_id(), conversation_id=chat_id, role=role, text=text, state=state, created_s=time.time(), **more)
        self.kept_messages[chat_id].append(message)
        return message

    def begin_answer(self, chat_id: int) -> Message:
        message = self.add(chat_id, Role.ASSISTANT, "", MessageState.STREAMING, model_key=KEY)
        self.waiting.discard(chat_id)
        self.answering_conversation_id = chat_id
        self.bridge.event_published.emit(MessageAdded(message))
        return message

    def stream(self, message: Message, text: str, numbers: GenerationStats | None = None) -> None:
        self.bridge.event_published.emit(AnswerProgressed(message.conversation_id, message.id, text, numbers or stats()))

    def end_answer(self, message: Message, text: str, state: MessageState = MessageState.DONE, **more: Any) -> Message:
        ended = msgspec.structs.replace(message, text=text, state=state, **more)
        known = self.kept_messages[message.conversation_id]
        known[[each.id for each in known].index(message.id)] = ended
        self.answering_conversation_id = None
        self.bridge.event_published.emit(AnswerEnded(ended))
        return ended

    def conversations(self, query: str = "") -> tuple[Conversation, ...]:
        found = [chat for chat in self.chats.values() if query.lower() in chat.title.lower()]
        return tuple(sorted(found, key=lambda chat: -chat.updated_s))

    def messages(self, conversation_id: int) -> tuple[Message, ...]:
        return tuple(self.kept_messages[conversation_id])

    def is_waiting(self, conversation_id: int) -> bool:
        return conversation_id in self.waiting

    def create(self) -> Conversation:
        chat_id = self.add_chat("New chat")
        self.bridge.event_published.emit(ConversationsChanged())
        return self.chats[chat_id]

    def rename(self, conversation_id: int, title: str) -> None:
        self.calls.append(("rename", conversation_id, title))
        self.chats[conversation_id] = msgspec.structs.replace(self.chats[conversation_id], title=title)
        self.bridge.event_published.emit(ConversationsChanged())

    def delete(self, conversation_id: int) -> None:
        self.calls.append(("delete", conversation_id))
        self.deleted.append(self.chats.pop(conversation_id))
        self.bridge.event_published.emit(ConversationsChanged())

    def undo_delete(self) -> Conversation | None:
        self.calls.append(("undo_delete",))
        if not self.deleted:
            return None
        chat = self.deleted.pop()
        self.chats[chat.id] = chat
        self.bridge.event_published.emit(ConversationsChanged())
        return chat

    def send(self, conversation_id: int, text: str, model_key: str = "") -> None:
        self.calls.append(("send", conversation_id, text, model_key))
        message = self.add(conversation_id, Role.USER, text)
        self.waiting.add(conversation_id)
        self.bridge.event_published.emit(MessageAdded(message))

    def stop(self, conversation_id: int) -> None:
        self.calls.append(("stop", conversation_id))
        self.waiting.discard(conversation_id)

    def retry(self, conversation_id: int) -> None:
        self.calls.append(("retry", conversation_id))
        last = self.kept_messages[conversation_id][-1]
        if last.role is Role.ASSISTANT and not (last.state is MessageState.INTERRUPTED and last.text):
            self.kept_messages[conversation_id].pop()
        self.waiting.add(conversation_id)

    def continue_answer(self, conversation_id: int) -> None:
        self.calls.append(("continue", conversation_id))
        self.waiting.add(conversation_id)

    def check_context(self, conversation_id: int | None, draft: str) -> None:
        self.checked.append((conversation_id, draft))

    def can_outgrow_context(self, conversation_id: int) -> bool:
        return self.can_outgrow

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id


@dataclass
class FakeInstalledFits:
    known: dict[str, FitResult] = field(default_factory=dict)

    def fit(self, model_key: str) -> FitResult | None:
        return self.known.get(model_key)


@dataclass
class FakeSetUps:
    forgotten: list[str] = field(default_factory=list)

    def forget(self, model_key: str) -> None:
        self.forgotten.append(model_key)


@dataclass
class FakeChatSettings:
    bridge: FakeBridge
    kept: dict[int, ChatSettings] = field(default_factory=dict)
    is_open: bool = False

    def get(self, conversation_id: int) -> ChatSettings:
        return self.kept.get(conversation_id, ChatSettings())

    def set(self, conversation_id: int, settings: ChatSettings) -> None:
        self.kept[conversation_id] = settings

    def is_panel_open(self) -> bool:
        return self.is_open

    def remember_panel(self, is_open: bool) -> None:
        self.is_open = is_open


@dataclass
class FakeSampling:
    """What is recommended for the one model, with the real rules of what goes before what."""

    recommended: dict[str, float] = field(default_factory=lambda: {"temperature": 0.6, "top_k": 20})
    kept: dict[str, SamplingValues] = field(default_factory=dict)
    own_presets: dict[str, SamplingValues] = field(default_factory=dict)

    def effective(self, model_key: str, chat: ChatSettings) -> EffectiveSampling:
        layers = ((Origin.RECOMMENDED, SamplingValues(numbers=self.recommended)), (Origin.MODEL, self.of_model(model_key)))
        base, origins = Sampling(), {spec.key: Origin.PROGRAM for spec in SAMPLING_SPECS}
        for origin, values in layers:
            base = values.applied_to(base)
            origins |= dict.fromkeys(values.numbers, origin)
        origins |= dict.fromkeys(chat.sampling.numbers, Origin.CHAT)
        recommendation = Recommendation(self.recommended, "Recommended by Acme", "its card")
        return EffectiveSampling(chat.sampling.applied_to(base), origins, recommendation, base)

    def of_model(self, model_key: str) -> SamplingValues:
        return self.kept.get(model_key, SamplingValues())

    def set_of_model(self, model_key: str, values: SamplingValues) -> None:
        self.kept[model_key] = values

    def presets(self) -> tuple[Preset, ...]:
        return (*BUILT_IN_PRESETS, *(Preset(name, values) for name, values in self.own_presets.items()))

    def save_preset(self, name: str, values: SamplingValues) -> str:
        self.own_presets[name] = values
        return name

    def remove_preset(self, name: str) -> None:
        del self.own_presets[name]


class FakeSettings:
    def text(self, key: str) -> str:
        return str(SPECS[key].default)


@dataclass
class FakeServices:
    bridge: FakeBridge
    chat: FakeChat
    engine: FakeEngine
    library: FakeLibrary
    chat_settings: FakeChatSettings
    set_ups: FakeSetUps = field(default_factory=FakeSetUps)
    installed_fits: FakeInstalledFits = field(default_factory=FakeInstalledFits)
    sampling: FakeSampling = field(default_factory=FakeSampling)
    settings: FakeSettings = field(default_factory=FakeSettings)

    def install(self, *models: InstalledModel) -> None:
        self.library.installed = models
        self.bridge.event_published.emit(LibraryChanged())


def fake_services(*, has_model: bool = True) -> FakeServices:
    bridge = FakeBridge()
    library = FakeLibrary() if has_model else FakeLibrary(())
    return FakeServices(bridge, FakeChat(bridge), FakeEngine(bridge), library, FakeChatSettings(bridge))


def second_model() -> InstalledModel:
    return replace(installed(), key="acme/big-GGUF:Q8_0", name="big", label="Q8_0")
