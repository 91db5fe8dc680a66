"""The older GPT kinds: layer norms with biases, feed-forward layers without a gate.

GPT-2, GPT-J, GPT-NeoX and GPT-BigCode here; those of other makers are in `open_gpt`. Most keep
queries, keys and values in one projection; where query and KV heads are equally many it is one
weight here too, else they are apart, because each is cut in its own way.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.decoder import Frame, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import Names, Shape, Sizes, shape

OLD = Names(
    hidden=("n_embd", "n_embed", "d_model", "hidden_size"),
    heads=("n_head", "n_heads", "num_attention_heads"),
    kv_heads=(),
    head_dim=(),
    width=(),
    layers=("n_layer", "n_layers", "num_hidden_layers"),
)
"""The older names, of which each family uses some."""


def sized(fields: Fields, *widths: str, positions: int, names: Names = OLD, kv: int = 0) -> Shape:
    """The sizes under the older names.

    Args:
        widths: Names of the width of the feed-forward layers, which is four times the hidden size
            where none is said.
        positions: The longest request where the configuration does not say.
        kv: KV heads; 0: as many as attention heads.

    Raises:
        Refusal: When one is missing or absurd, or heads do not divide as they must.
    """
    found = shape(fields, Sizes(positions=positions, kv_heads=kv), names)
    width = fields.optional(*widths) if widths else None
    return replace(found, width=found.width or width or 4 * found.hidden)


GPT = Frame("transformer.wte", norm="transformer.ln_f", stem="transformer.h", norm_bias=True)
"""What GPT-2 calls what is around its layers; several took it over."""


def packed(
    found: Shape, prefix: str, qkv: str, out: str, *, bias: bool = True, out_bias: bool = True
) -> tuple[Weight, ...]:
    """Multi-head attention with one projection for queries, keys and values."""
    cut = Split(found.heads.count, blocks.HEADS)
    size = found.heads.count * found.heads.size
    return (
        *blocks.linear(f"{prefix}.{qkv}", 3 * size, found.hidden, cut, bias=bias),
        *blocks.linear_in(f"{prefix}.{out}", found.hidden, size, cut, bias=out_bias),
    )


def _no_encoder(fields: Fields) -> None:
    if fields.flag("add_cross_attention", default=False):
        raise fields.absurd("add_cross_attention", "true: attention to an encoder is not reckoned")


def gpt2(fields: Fields) -> Profile:
    """GPT-2, DistilGPT-2, Cerebras-GPT and others; learned positions, a tied table."""
    _no_encoder(fields)
    found = sized(fields, "n_inner", positions=1024)
    weights = (
        *found.norms("ln_1", bias=True),
        *packed(found, "attn", "c_attn", "c_proj"),
        *found.norms("ln_2", bias=True),
        *found.plain("c_fc", "c_proj"),
    )
    return _gpt2_like(fields, found, weights)


def gpt_bigcode(fields: Fields) -> Profile:
    """StarCoder 1 and SantaCoder: as GPT-2, with one KV head.

    vLLM 0.32 runs it through transformers, which has no plan to cut it: only attention is cut,
    and every rank holds the feed-forward layers whole.
    """
    _no_encoder(fields)
    single = fields.flag("multi_query", default=True)
    found = sized(fields, "n_inner", positions=1024, kv=1 if single else 0)
    weights = (
        *found.norms("ln_1", bias=True),
        *found.attention(bias=True, out_bias=True, prefix="attn", out="c_proj"),
        *found.norms("ln_2", bias=True),
        *blocks.linear("mlp.c_fc", found.width, found.hidden, Whole(), bias=True),
        *blocks.linear("mlp.c_proj", found.hidden, found.width, Whole(), bias=True),
    )
    return _gpt2_like(fields, found, weights)


def _gpt2_like(fields: Fields, found: Shape, weights: tuple[Weight, ...]) -> Profile:
    rows = fields.number("n_positions", "max_position_embeddings", default=1024)
    learned = Weight("transformer.wpe.weight", (rows, found.hidden), Whole(), "embedding")
    frame = replace(GPT, tied=True)
    return whole(fields, found, weights, (None,) * found.layers, frame, before=(learned,))


def gptj(fields: Fields) -> Profile:
    """GPT-J: one norm for both blocks, side by side; a head with a bias."""
    found = sized(fields, "n_inner", positions=2048)
    weights = (
        *found.norms("ln_1", bias=True),
        *found.attention(prefix="attn", out="out_proj"),
        *found.plain("fc_in", "fc_out"),
    )
    frame = replace(GPT, head_bias=True)
    return whole(fields, found, weights, (None,) * found.layers, frame)


def gpt_neox(fields: Fields) -> Profile:
    """GPT-NeoX, Pythia, Dolly 2 and RedPajama-INCITE."""
    found = sized(fields, positions=2048, names=replace(OLD, width=("intermediate_size",)))
    bias = fields.flag("attention_bias", default=True)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *packed(found, "attention", "query_key_value", "dense", bias=bias, out_bias=bias),
        *found.norms("post_attention_layernorm", bias=True),
        *found.plain("dense_h_to_4h", "dense_4h_to_h"),
    )
    frame = Frame(
        "gpt_neox.embed_in", "gpt_neox.final_layer_norm", "gpt_neox.layers", norm_bias=True
    )
    return whole(fields, found, weights, (None,) * found.layers, frame)


READERS = {"gpt2": gpt2, "gpt_bigcode": gpt_bigcode, "gptj": gptj, "gpt_neox": gpt_neox}
