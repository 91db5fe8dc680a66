"""Phi: the first ones with layer norms and biases, Phi-3 and Phi-4 of Llama's kind."""

from __future__ import annotations

from llmops.planning.architecture import blocks, windows
from llmops.planning.architecture.decoder import Frame, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.postnorm import fused
from llmops.planning.architecture.profile import Profile
from llmops.planning.architecture.shape import Sizes, shape

PHI = Sizes(51200, 2048, 8192, 24, 32, 2048)
PHI_3 = Sizes(32064, 3072, 8192, 32, 32, 4096)


def phi(fields: Fields) -> Profile:
    """Phi-1, Phi-1.5 and Phi-2: one norm for attention and feed-forward layer, side by side."""
    found = shape(fields, PHI)
    norms = fields.flag("qk_layernorm", default=False)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *found.attention(bias=True, out_bias=True, out="dense"),
        *(blocks.norm("self_attn.q_layernorm", found.heads.size, bias=True) if norms else ()),
        *(blocks.norm("self_attn.k_layernorm", found.heads.size, bias=True) if norms else ()),
        *found.plain("fc1", "fc2"),
    )
    frame = Frame(norm="model.final_layernorm", norm_bias=True, head_bias=True)
    return whole(fields, found, weights, (None,) * found.layers, frame)


def phi3(fields: Fields) -> Profile:
    """Phi-3 (mini and medium), Phi-3.5-mini and Phi-4.

    transformers keeps queries, keys and values in one `qkv_proj`; they are apart here, because
    each is cut in its own way.
    """
    found = shape(fields, PHI_3)
    weights = (
        *found.norms("input_layernorm"),
        *found.attention(),
        *found.norms("post_attention_layernorm"),
        *fused(found),
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


READERS = {"phi": phi, "phi3": phi3}
