"""Which reader knows which `model_type`: the one list of what is covered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmops.planning.architecture import (
    audio,
    bart,
    deberta,
    deepseek,
    encoders,
    gemma,
    gpt,
    gpt_oss,
    hybrid,
    layernorm,
    lfm2,
    linear_attention,
    llama,
    llama4,
    mamba,
    modernbert,
    moe,
    moe_shared,
    multimodal,
    nemotron_h,
    open_gpt,
    phi,
    postnorm,
    qwen,
    t5,
    zamba,
)
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Profile

Reader = Callable[[Fields], Profile]

SINGLE: Mapping[str, Reader] = {
    **deberta.READERS,
    **modernbert.READERS,
    **encoders.READERS,
    **bart.READERS,
    **t5.READERS,
    **zamba.READERS,
    **nemotron_h.READERS,
    **linear_attention.READERS,
    **lfm2.READERS,
    **audio.READERS,
    **llama.READERS,
    **gpt_oss.READERS,
    **llama4.READERS,
    **deepseek.READERS,
    **moe.READERS,
    **moe_shared.READERS,
    **qwen.READERS,
    **gemma.READERS,
    **postnorm.READERS,
    **phi.READERS,
    **layernorm.READERS,
    **gpt.READERS,
    **open_gpt.READERS,
    **mamba.READERS,
    **hybrid.READERS,
}
"""Models of one part."""

READERS: Mapping[str, Reader] = {
    **SINGLE,
    **multimodal.readers(SINGLE),
}
"""These, and models with one of them inside."""
