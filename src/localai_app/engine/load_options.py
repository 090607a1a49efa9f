"""How a model is loaded: what `fit` decides and the worker uses as it is."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class KvType(StrEnum):
    """How the KV cache is stored."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides how a model is loaded; made by `fit`, used as it is by the worker."""

    model_path: str
    ctx: int
    gpu_layers: int = 0
    """Blocks plus one for the output head; 0 runs on the CPU."""
    threads: int = 0
    """0: the number of physical cores."""
    prompt_threads: int = 0
    """While reading a prompt; 0: as many as `threads`."""
    kv_type: KvType = KvType.F16
    batch: int = 2048
    ubatch: int = 512
    swa_full: bool = False
    use_mmap: bool = True
    use_repack: bool = True
    """Weights may be rearranged for the processor, in a copy of their own."""
    devices: tuple[str, ...] = ()
    """llama.cpp device names to use; empty: all."""
    main_device: int | None = None
    """Place in `devices` of the only one to use; None: all of them."""
    tensor_split: tuple[float, ...] = ()
    """Layers of each device in their order; empty: llama.cpp divides them by free memory."""
    kept_bytes: int = 0
    """Main memory for copies of conversations that are not being answered, beside the context itself; 0 keeps none."""
    starts_empty: bool = False
    """Nothing of an earlier answer is reused: each prompt is read from its beginning, so that times can be compared."""
    draft_path: str = ""
    """A smaller model of the same vocabulary that drafts tokens; empty: none."""
    draft_gpu_layers: int = 0
    """Layers of it on a GPU."""
    draft_tokens: int = 0
    """Most drafted tokens that are verified at once; the context has one output row more than that. 0: nothing is drafted."""
    lookup: bool = False
    """Tokens may be drafted from what stood in the conversation before."""
    draft_gain: float = 0.0
    """What drafting gained on this computer before: time without it by time with it; 0.0 where that was not measured."""
    cpu_expert_blocks: int = 0
    """Experts of so many blocks, from the first one, stay in main memory while the rest of those blocks is on a GPU."""
    chat_template: str = ""
    """Empty: the one in the file, or else its family's; a name of `template_families.FAMILIES`; or a Jinja text."""
