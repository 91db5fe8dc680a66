"""Open models of GPT's kind from 2022 and 2023: OPT, BLOOM, Falcon, MPT.

Each has a peculiarity that changes the count: OPT's table may be narrower than its layers, BLOOM
has a norm behind its table, Falcon has three shapes of attention, MPT has no biases at all.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.decoder import Frame, decoder, stack, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.gpt import GPT, OLD, packed, sized
from llmops.planning.architecture.profile import Profile, Weight, Whole
from llmops.planning.architecture.shape import Shape

_OPT_OFFSET = 2
"""Rows before the first position in OPT's table of positions (transformers' `offset`)."""


WORDS = replace(GPT, embeddings="transformer.word_embeddings", tied=True)


def opt(fields: Fields) -> Profile:
    """OPT; of the released ones only 350M has a table that is narrower than its layers."""
    found = sized(fields, positions=2048, names=replace(OLD, width=("ffn_dim",)))
    bias = fields.flag("enable_bias", default=True)
    affine = fields.flag("layer_norm_elementwise_affine", default=True)
    norms = found.norms("self_attn_layer_norm", "final_layer_norm", bias=True) if affine else ()
    weights = (
        *norms,
        *found.attention(bias=bias, out_bias=bias, out="out_proj"),
        *found.plain("fc1", "fc2", bias=bias),
    )
    table = fields.number("word_embed_proj_dim", default=found.hidden)
    rows = fields.number("max_position_embeddings", default=2048) + _OPT_OFFSET
    learned = Weight(
        "model.decoder.embed_positions.weight", (rows, found.hidden), Whole(), "embedding"
    )
    layers = stack(fields, found, weights, (None,) * found.layers)
    narrow = table != found.hidden
    out = blocks.linear("model.decoder.project_out", table, found.hidden, Whole())
    into = blocks.linear("model.decoder.project_in", found.hidden, table, Whole())
    return decoder(
        fields,
        found,
        layers,
        Frame(
            "model.decoder.embed_tokens",
            "model.decoder.final_layer_norm" if _opt_last_norm(fields, affine=affine) else "",
            "model.decoder.layers",
            tied=True,
            norm_bias=True,
        ),
        before=(learned, *(into if narrow else ())),
        behind=out if narrow else (),
        outputs=table,
    )


def _opt_last_norm(fields: Fields, *, affine: bool) -> bool:
    before = fields.flag("do_layer_norm_before", default=True)
    removed = fields.flag("_remove_final_layer_norm", default=False)
    return before and not removed and affine


def bloom(fields: Fields) -> Profile:
    """BLOOM and BLOOMZ."""
    found = sized(fields, positions=2048)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *packed(found, "self_attention", "query_key_value", "dense"),
        *found.norms("post_attention_layernorm", bias=True),
        *found.plain("dense_h_to_4h", "dense_4h_to_h"),
    )
    first = found.norms("transformer.word_embeddings_layernorm", bias=True)
    return whole(fields, found, weights, (None,) * found.layers, WORDS, before=first)


def falcon(fields: Fields) -> Profile:
    """Falcon 1 and 2: one KV head (7B), a group of them (40B, 180B, 11B), or as many as heads."""
    new = fields.flag("new_decoder_architecture", default=False)
    one = not new and fields.flag("multi_query", default=True)
    groups = fields.optional("num_kv_heads") if new else None
    found = sized(fields, "ffn_hidden_size", positions=2048, kv=1 if one else groups or 0)
    bias = fields.flag("bias", default=False)
    weights = (
        *_falcon_norms(fields, found, new=new),
        *found.attention(bias=bias, out_bias=bias, prefix="self_attention", out="dense"),
        *found.plain("dense_h_to_4h", "dense_4h_to_h", bias=bias),
    )
    return whole(fields, found, weights, (None,) * found.layers, WORDS)


def _falcon_norms(fields: Fields, found: Shape, *, new: bool) -> tuple[Weight, ...]:
    if not fields.flag("parallel_attn", default=True):
        return found.norms("input_layernorm", "post_attention_layernorm", bias=True)
    if fields.number("num_ln_in_parallel_attn", default=2 if new else 1) == 2:
        return found.norms("ln_attn", "ln_mlp", bias=True)
    return found.norms("input_layernorm", bias=True)


def mpt(fields: Fields) -> Profile:
    """MPT, which vLLM 0.32 no longer runs; cut here as others of its kind are.

    Its feed-forward layers are four times as wide in transformers whatever `expansion_ratio` says.
    """
    found = sized(fields, positions=2048)
    weights = (
        *found.norms("norm_1"),
        *packed(found, "attn", "Wqkv", "out_proj", bias=False, out_bias=False),
        *found.norms("norm_2"),
        *blocks.plain(
            found.hidden, found.width, bias=False, prefix="ffn", up="up_proj", down="down_proj"
        ),
    )
    frame = Frame("transformer.wte", "transformer.norm_f", "transformer.blocks", tied=True)
    return whole(fields, found, weights, (None,) * found.layers, frame)


READERS = {"opt": opt, "bloom": bloom, "falcon": falcon, "mpt": mpt}
