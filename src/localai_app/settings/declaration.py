"""Every setting, declared once: the settings page, validation, defaults, the command line and the docs read this."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from localai_app.units import GIB

SettingValue = str | int | float | bool


class Section(StrEnum):
    """Groups of the settings page, in its order."""

    APPEARANCE = "Appearance"
    MODELS = "Models and downloads"
    NETWORK = "Network"
    ENGINE = "Engine"
    SHARING = "Other computers"
    CHAT = "Chat"
    PRIVACY = "Updates and privacy"


class Kind(StrEnum):
    """What a setting holds, which decides its control."""

    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    MEMORY = "memory"
    """Bytes, shown and entered in GiB."""
    SWITCH = "switch"
    TEXT = "text"
    LONG_TEXT = "long_text"
    FOLDER = "folder"
    URL = "url"
    ADDRESS = "address"
    ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class Choice:
    """One allowed value and its name on screen."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """One setting. `default` of a folder may be empty: the platform's own place."""

    key: str
    section: Section
    kind: Kind
    default: SettingValue
    label: str
    help: str
    """One sentence in plain words."""
    effect: str
    """When a change takes effect."""
    choices: tuple[Choice, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    zero_means: str = ""
    """What 0 stands for on screen (such as: automatic), where it is special."""
    keywords: tuple[str, ...] = field(default=())
    """Further words under which the search finds it."""


AT_ONCE = "At once"
NEXT_LOAD = "When a model is loaded next"
NEXT_COMPARISON = "With the next comparison"
NEXT_ANSWER = "With the next answer"
NEXT_REQUEST = "With the next request to the Hub"

SETTINGS: tuple[SettingSpec, ...] = (
    SettingSpec(
        "theme", Section.APPEARANCE, Kind.CHOICE, "system", "Theme", "Colours of the window.", AT_ONCE,
        choices=(Choice("system", "Follow the system"), Choice("light", "Light"), Choice("dark", "Dark"),
                 Choice("contrast", "High contrast")),
        keywords=("dark", "light", "colour", "color", "contrast")),
    SettingSpec(
        "text_scale_percent", Section.APPEARANCE, Kind.INTEGER, 100, "Text size", "Size of all text in the window.", AT_ONCE,
        minimum=75, maximum=200, unit="%", keywords=("font", "zoom", "scale")),
    SettingSpec(
        "models_folder", Section.MODELS, Kind.FOLDER, "", "Models folder",
        "Where downloaded models are kept; models in the old folder stay there.", AT_ONCE,
        keywords=("disk", "directory", "path", "download")),
    SettingSpec(
        "task", Section.MODELS, Kind.CHOICE, "chat", "Mostly used for",
        "Suggestions and the recommended order of models follow it.", AT_ONCE,
        choices=(Choice("chat", "Everyday chat"), Choice("code", "Code"), Choice("reasoning", "Reasoning"),
                 Choice("vision", "Vision"), Choice("languages", "Languages")),
        keywords=("suggestions", "ranking", "purpose", "code", "vision")),
    SettingSpec(
        "bandwidth_limit_mb_per_s", Section.MODELS, Kind.INTEGER, 0, "Download speed limit",
        "The most that downloads may use, so that others in the house can still work.", AT_ONCE,
        minimum=0, maximum=10_000, unit="MB/s", zero_means="No limit", keywords=("bandwidth", "throttle")),
    SettingSpec(
        "hub_endpoint", Section.NETWORK, Kind.URL, "", "Hub address",
        "Another server with the interface of the Hub; leave it empty for the public one.", NEXT_REQUEST,
        keywords=("mirror", "hugging face", "server")),
    SettingSpec(
        "proxy", Section.NETWORK, Kind.URL, "", "Proxy", "Address of a proxy for all connections, such as http://proxy:3128.",
        NEXT_REQUEST, keywords=("network", "company", "firewall")),
    SettingSpec(
        "context_tokens", Section.ENGINE, Kind.INTEGER, 8192, "Context length",
        "How many tokens of a conversation a model keeps in mind; more needs more memory.", NEXT_LOAD,
        minimum=512, maximum=1_048_576, unit="tokens", keywords=("memory", "n_ctx", "window")),
    SettingSpec(
        "kv_type", Section.ENGINE, Kind.CHOICE, "f16", "Context precision",
        "How exactly the context is stored: smaller types save memory and may cost speed and quality.", NEXT_LOAD,
        choices=(Choice("f16", "16 bit, exact (f16)"), Choice("q8_0", "8 bit, half (q8_0)"),
                 Choice("q4_0", "4 bit, quarter (q4_0)")),
        keywords=("kv cache", "quantization", "memory")),
    SettingSpec(
        "gpu_layers", Section.ENGINE, Kind.INTEGER, -1, "Layers on the GPU",
        "How much of a model runs on the GPU; automatic uses as many as fit, 0 uses none.", NEXT_LOAD,
        minimum=-1, maximum=1000, unit="layers", keywords=("offload", "cuda", "metal", "vulkan", "automatic")),
    SettingSpec(
        "threads", Section.ENGINE, Kind.INTEGER, 0, "Processor threads",
        "How many processor threads compute; automatic takes what was measured as fastest, else the physical cores.", NEXT_LOAD,
        minimum=0, maximum=512, unit="threads", zero_means="Automatic", keywords=("cpu", "cores")),
    SettingSpec(
        "measure_models", Section.ENGINE, Kind.SWITCH, True, "Measure how models run fastest",
        "A model that is idle after its first load is measured for some seconds; an answer ends that at once.", NEXT_LOAD,
        keywords=("tuning", "threads", "speed", "ubatch", "batch")),
    SettingSpec(
        "memory_short", Section.ENGINE, Kind.CHOICE, "unload", "When memory is short",
        "What happens where a model does not fit beside those that are loaded; one that answers is never unloaded unasked.",
        NEXT_LOAD,
        choices=(Choice("unload", "Unload what was not used for longest"), Choice("ask", "Ask first"),
                 Choice("one", "Never keep more than one model")),
        keywords=("evict", "several models", "unload", "room")),
    SettingSpec(
        "most_models", Section.ENGINE, Kind.INTEGER, 0, "Most models at once",
        "More than this many are never loaded side by side.", NEXT_LOAD, minimum=0, maximum=32, unit="models",
        zero_means="As many as fit", keywords=("several models", "limit", "memory")),
    SettingSpec(
        "memory_limit_bytes", Section.ENGINE, Kind.MEMORY, 0, "Memory limit of comparisons",
        "The most that all models of a comparison may take together; where they need more, they run in turn.", NEXT_COMPARISON,
        minimum=0, maximum=1024 * GIB, unit="GiB", zero_means="What is free",
        keywords=("guardrail", "memory", "compare", "ram")),
    SettingSpec(
        "idle_unload_minutes", Section.ENGINE, Kind.INTEGER, 0, "Unload idle models after",
        "A model that nobody asked for that long gives its memory back; the next message loads it again.", AT_ONCE,
        minimum=0, maximum=10_080, unit="minutes", zero_means="Never", keywords=("idle", "timeout", "memory", "keep alive")),
    SettingSpec(
        "chat_states_gb", Section.ENGINE, Kind.INTEGER, 4, "Space for reopening chats",
        "Disk space for what a model has read of your chats, so that it goes on with a long one without reading it again.",
        AT_ONCE, minimum=0, maximum=1000, unit="GB", zero_means="None: chats are read again",
        keywords=("disk", "cache", "prompt", "state")),
    SettingSpec(
        "lent_addresses", Section.SHARING, Kind.ADDRESSES, "", "Devices of other computers",
        "Addresses of computers that lend their devices, such as 192.168.1.20:50052; models are placed on them as on GPUs.",
        NEXT_LOAD, keywords=("rpc", "network", "remote", "distributed", "gpu")),
    SettingSpec(
        "lend_devices", Section.SHARING, Kind.SWITCH, False, "Lend this computer's devices",
        "While Local AI is open, other programs may compute on the GPUs of this computer, or on its processor without one.",
        AT_ONCE, keywords=("rpc", "network", "share", "server")),
    SettingSpec(
        "lend_address", Section.SHARING, Kind.ADDRESS, "127.0.0.1:50052", "Lend them at",
        "Where to listen: 127.0.0.1 is reached from this computer alone, 0.0.0.0 from the whole network.", AT_ONCE,
        keywords=("rpc", "port", "listen")),
    SettingSpec(
        "network_is_trusted", Section.SHARING, Kind.SWITCH, False, "Trust the network",
        "Needed for addresses beyond this computer. llama.cpp's RPC knows no passwords and no encryption: whoever reaches it "
        "can read what is computed, use this computer and crash the engine. Only for networks in which you trust everybody.",
        AT_ONCE, keywords=("rpc", "security", "danger")),
    SettingSpec(
        "system_prompt", Section.CHAT, Kind.LONG_TEXT, "", "System prompt",
        "Standing instructions that every new chat begins with.", NEXT_ANSWER, keywords=("instructions", "persona")),
    SettingSpec(
        "temperature", Section.CHAT, Kind.NUMBER, 0.8, "Temperature",
        "Low values give predictable answers, high values more varied ones; used where a model recommends none itself.",
        NEXT_ANSWER, minimum=0.0, maximum=2.0,
        keywords=("sampling", "creativity")),
    SettingSpec(
        "max_answer_tokens", Section.CHAT, Kind.INTEGER, 0, "Longest answer", "Answers end after this many tokens.",
        NEXT_ANSWER, minimum=0, maximum=1_048_576, unit="tokens", zero_means="Until the model is done",
        keywords=("limit", "length")),
    SettingSpec(
        "context_policy", Section.CHAT, Kind.CHOICE, "drop_oldest", "When the context is full",
        "What happens to a chat that has become longer than the context; it is said before a message is sent.", NEXT_ANSWER,
        choices=(Choice("stop", "Do not answer"), Choice("drop_oldest", "Leave out the oldest messages"),
                 Choice("cut_middle", "Leave out the middle, keep the beginning")),
        keywords=("overflow", "truncate", "window", "forget", "memory")),
    SettingSpec(
        "check_for_updates", Section.PRIVACY, Kind.SWITCH, True, "Look for newer versions",
        "Once a day at most, the list of releases is fetched from the publishers' server. Nothing about you, this computer or "
        "your version is sent, and nothing is downloaded or installed unless you press a button.", AT_ONCE,
        keywords=("update", "upgrade", "release", "privacy", "telemetry", "tracking", "version")),
)

SPECS: dict[str, SettingSpec] = {spec.key: spec for spec in SETTINGS}
