"""Headers of catalog models at their true dimensions, in sparse files that llama.cpp plans and loads.

`synthesise(facts)` takes one row of resources/catalog/sources/models.json; `write_sparse` writes a file of the model's full
length of which only the header takes room: its weights are zeros.
"""

from __future__ import annotations

from tests.helpers.synthetic import compressed, dense, gemma, hybrid, mla, moe
from tests.helpers.synthetic.model import Builder, Facts, SyntheticModel, assembled, write_sparse

BUILDERS: dict[str, Builder] = {
    **dense.BUILDERS, **gemma.BUILDERS, **moe.BUILDERS, **mla.BUILDERS, **compressed.BUILDERS, **hybrid.BUILDERS,
}
"""One builder per gguf architecture."""


def synthesise(facts: Facts, label: str = "Q4_K_M") -> SyntheticModel:
    """The header of a model of the catalog. `label`: F32, F16, BF16, Q8_0, Q4_K_M or MXFP4; KeyError for an architecture or a
    dimension that is not known."""
    return assembled(facts, BUILDERS[facts["gguf_arch"]](facts), label)


__all__ = ["BUILDERS", "Facts", "SyntheticModel", "synthesise", "write_sparse"]
