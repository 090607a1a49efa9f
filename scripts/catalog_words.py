"""One plain line about what a model is good at, and the words for its maker, made from data only."""

from __future__ import annotations

from typing import Any

Facts = dict[str, Any]
PUBLISHERS = {
    "deepseek-ai": "DeepSeek",
    "google": "Google",
    "microsoft": "Microsoft",
    "Qwen": "Qwen (Alibaba)",
    "mistralai": "Mistral AI",
    "mistral-community": "Mistral AI",
    "meta-llama": "Meta",
    "openai": "OpenAI",
    "zai-org": "Z.ai",
    "HuggingFaceTB": "Hugging Face",
    "ibm-granite": "IBM",
    "nvidia": "NVIDIA",
    "LiquidAI": "Liquid AI",
    "moonshotai": "Moonshot AI",
    "MiniMaxAI": "MiniMax",
}
_THINKING = {"none": "never", "switchable": "optional", "always": "always"}


def publisher_of(facts: Facts) -> str:
    """Who made the model."""
    owner = str(facts["hf_base_repo"]).split("/")[0]
    return PUBLISHERS.get(owner, owner)


def thinking_of(facts: Facts) -> str:
    """never, optional or always; where it was not read, optional for a model that is tagged as reasoning."""
    mode = str((facts["thinking"] or {}).get("mode"))
    return _THINKING.get(mode) or ("optional" if "reasoning" in facts["tags"] else "never")


def tasks_of(facts: Facts) -> tuple[str, ...]:
    """Of chat, code, reasoning, vision, languages, in this order."""
    tags = set(facts["tags"])
    tags |= {"vision"} if "image" in facts["modalities"] else set()
    tags |= {"languages"} if "multilingual" in tags else set()
    return tuple(task for task in ("chat", "code", "reasoning", "vision", "languages") if task in tags)


def summary_of(facts: Facts) -> str:
    """What the model is good at, from its tasks, size and make-up."""
    return f"{_size_words(facts)} {_strengths(facts)}{_extras(facts)}."


def _size_words(facts: Facts) -> str:
    billions = (facts["params_total"] or 0) / 1e9
    if billions == 0 or billions >= 200:
        return "Very large, for servers and workstations:"
    limits = ((0.7, "Tiny, runs on almost anything:"), (2.2, "Very small and quick:"), (5.5, "Small, for laptops:"),
              (10, "Compact all-rounder:"), (18, "Medium-sized:"), (50, "Large, for strong machines:"))  # fmt: skip
    words = next((words for limit, words in limits if billions < limit), "Very large:")
    if words.startswith("Compact") and "chat" not in facts["tags"]:
        return "Compact specialist:"
    return words


def _strengths(facts: Facts) -> str:
    tasks, thinking = tasks_of(facts), thinking_of(facts)
    small = 0 < (facts["params_total"] or 0) < 1.5e9
    if "chat" not in tasks and "reasoning" not in tasks:
        return "writes, explains and repairs program code" if "code" in tasks else "describes and reads images"
    if thinking == "always":
        subjects = "maths, code and hard questions" if "code" in tasks else "maths and hard questions"
        return f"thinks step by step before answering, for {subjects}"
    if tasks[:2] == ("chat", "code") and "reasoning" not in tasks and "languages" not in tasks:
        return "program code and talk about it"
    if thinking == "optional":
        return "everyday chat, with thinking on request" + (" for maths and code" if "code" in tasks else "")
    if small:
        return "short answers, summaries and simple chat"
    return "everyday chat, writing" + (" and code" if "code" in tasks else " and summaries")


def _extras(facts: Facts) -> str:
    tasks = tasks_of(facts)
    extras = []
    if "vision" in tasks:
        extras.append("sees images" + (" and hears sound" if "audio" in facts["modalities"] else ""))
    if "languages" in tasks:
        extras.append("speaks many languages")
    active, total = facts["params_active"], facts["params_total"]
    if facts["n_expert"] and active and total and active < total / 3:
        extras.append(f"quick for its size ({_billions(active)} of {_billions(total)} work on each word)")
    elif (facts["ctx_train"] or 0) >= 250_000:
        extras.append("takes very long texts")
    return "".join(f"; {extra}" for extra in extras[:3])


def _billions(params: int) -> str:
    return f"{params / 1e9:.1f}B" if params < 20e9 else f"{params / 1e9:.0f}B"
