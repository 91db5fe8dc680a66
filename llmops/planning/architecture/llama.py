"""Dense decoders of Llama's kind: RMS norms, rotary positions, a gated feed-forward layer.

What differs among them is which projections have biases, which defaults a configuration leaves
out, and how far back a layer attends. Defaults are those of transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llmops.planning.architecture import blocks, windows
from llmops.planning.architecture.decoder import TIED, Frame, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Profile, Weight
from llmops.planning.architecture.shape import Shape, Sizes, shape

LLAMA = Sizes(32000, 4096, 11008, 32, 32, 2048)
MLLAMA = Sizes(128256, 4096, 14336, 40, 32, 131072, kv_heads=8)
MISTRAL = Sizes(32000, 4096, 14336, 32, 32, 131072, kv_heads=8)
MINISTRAL_3 = Sizes(131072, 4096, 14336, 34, 32, 262144, kv_heads=8, head_dim=128)
SMOLLM_3 = Sizes(128256, 2048, 11008, 36, 16, 32768, kv_heads=4)
SEED_OSS = Sizes(155136, 4096, 27648, 64, 80, 524288, kv_heads=8, head_dim=128)
HELIUM = Sizes(48000, 2560, 7040, 24, 20, 4096, kv_heads=20, head_dim=128)
ARCEE = Sizes(32000, 2560, 18432, 32, 32, 4096)
OLMO = Sizes(50304, 4096, 11008, 32, 32, 2048)
ERNIE = Sizes(103424, 1024, 3072, 18, 16, 131072, kv_heads=2, head_dim=128)
HUNYUAN = Sizes(290943, 4096, 11008, 32, 32, 2048)
APERTUS = Sizes(131072, 4096, 14336, 32, 32, 65536)
CWM = Sizes(128256, 6144, 21504, 64, 48, 131072, kv_heads=8, head_dim=128)


def layer(
    found: Shape,
    *,
    bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    qk_norm: int = 0,
) -> tuple[Weight, ...]:
    """A layer with a norm before attention and a norm before the gated feed-forward layer."""
    return (
        *found.norms("input_layernorm"),
        *found.attention(bias=bias, out_bias=out_bias, qk_norm=qk_norm),
        *found.norms("post_attention_layernorm"),
        *found.gated(bias=mlp_bias),
    )


def llama(fields: Fields, sizes: Sizes = LLAMA) -> Profile:
    """Llama 1 to 3, SmolLM2, Granite and others that are built exactly so."""
    found = shape(fields, sizes)
    bias = fields.flag("attention_bias", default=False)
    weights = layer(
        found, bias=bias, out_bias=bias, mlp_bias=fields.flag("mlp_bias", default=False)
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def mistral(fields: Fields) -> Profile:
    """Mistral 7B and the models after it, and Ministral: the window is on every layer or some."""
    found = shape(fields, MISTRAL)
    return whole(fields, found, layer(found), windows.alike(fields, found.layers, 4096))


def ministral3(fields: Fields) -> Profile:
    """Ministral 3: the text part of Mistral's models of 2025."""
    found = shape(fields, MINISTRAL_3)
    return whole(fields, found, layer(found), windows.alike(fields, found.layers))


def smollm3(fields: Fields) -> Profile:
    """SmolLM3: tied; layers without rotary positions may have a window."""
    found = shape(fields, SMOLLM_3)
    bias = fields.flag("attention_bias", default=False)
    mlp_bias = fields.flag("mlp_bias", default=False)
    weights = layer(found, bias=bias, out_bias=bias, mlp_bias=mlp_bias)
    return whole(fields, found, weights, _smollm3_windows(fields, found.layers), TIED)


def _smollm3_windows(fields: Fields, layers: int) -> windows.Windows:
    window = windows.size(fields) if fields.flag("use_sliding_window", default=False) else None
    if window is None or fields.has("layer_types"):
        return windows.switched(fields, layers, None)
    rotary = fields.numbers("no_rope_layers")
    every = fields.number("no_rope_layer_interval", default=4)
    if rotary is None:
        rotary = tuple(int((at + 1) % every != 0) for at in range(layers))
    if len(rotary) != layers:
        what = f"a list of {len(rotary)}, and there are {layers} layers"
        raise fields.absurd("no_rope_layers", what)
    return tuple(None if turned else window for turned in rotary)


def seed_oss(fields: Fields) -> Profile:
    """Seed-OSS: biases on queries, keys and values."""
    found = shape(fields, SEED_OSS)
    weights = layer(
        found,
        bias=fields.flag("attention_bias", default=True),
        out_bias=fields.flag("attention_out_bias", default=False),
        mlp_bias=fields.flag("mlp_bias", default=False),
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def helium(fields: Fields) -> Profile:
    """Helium: the projection out of attention never has a bias."""
    found = shape(fields, HELIUM)
    bias = fields.flag("attention_bias", default=False)
    mlp_bias = fields.flag("mlp_bias", default=False)
    weights = layer(found, bias=bias, mlp_bias=mlp_bias)
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def arcee(fields: Fields) -> Profile:
    """AFM of Arcee: a feed-forward layer without a gate."""
    found = shape(fields, ARCEE)
    bias = fields.flag("attention_bias", default=False)
    mlp_bias = fields.flag("mlp_bias", default=False)
    weights = (
        *found.norms("input_layernorm"),
        *found.attention(bias=bias, out_bias=bias),
        *found.norms("post_attention_layernorm"),
        *found.plain("up_proj", "down_proj", bias=mlp_bias),
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def olmo(fields: Fields) -> Profile:
    """OLMo 1, whose norms have no weights."""
    found = shape(fields, OLMO)
    bias = fields.flag("attention_bias", default=False)
    weights = (*found.attention(bias=bias, out_bias=bias), *found.gated())
    return whole(fields, found, weights, windows.alike(fields, found.layers), Frame(norm=""))


def ernie(fields: Fields) -> Profile:
    """ERNIE 4.5 without experts (0.3B): tied; one field for all biases."""
    found = shape(fields, ERNIE)
    bias = fields.flag("use_bias", default=False)
    weights = layer(found, bias=bias, out_bias=bias, mlp_bias=bias)
    return whole(fields, found, weights, windows.alike(fields, found.layers), TIED)


def hunyuan(fields: Fields) -> Profile:
    """Hunyuan without experts: norms on each head's queries and keys."""
    found = shape(fields, HUNYUAN)
    bias = fields.flag("attention_bias", default=False)
    weights = (
        *found.norms("input_layernorm"),
        *found.attention(bias=bias, out_bias=bias),
        *blocks.norm("self_attn.query_layernorm", found.heads.size),
        *blocks.norm("self_attn.key_layernorm", found.heads.size),
        *found.norms("post_attention_layernorm"),
        *found.gated(),
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def apertus(fields: Fields) -> Profile:
    """Apertus: no gate, an activation with two learnt numbers, norms on queries and keys."""
    found = shape(fields, APERTUS)
    bias = fields.flag("attention_bias", default=False)
    learnt = fields.text("hidden_act", "xielu") == "xielu"
    weights = (
        *found.norms("attention_layernorm"),
        *found.attention(bias=bias, out_bias=bias, qk_norm=found.heads.size),
        *found.norms("feedforward_layernorm"),
        *found.plain("up_proj", "down_proj", bias=False),
        *(Weight(f"mlp.act_fn.alpha_{of}", (1,), role="other") for of in "pn" if learnt),
    )
    return whole(fields, found, weights, windows.alike(fields, found.layers))


def cwm(fields: Fields) -> Profile:
    """CWM 32B: the first layer of each four attends everywhere, the others over a window."""
    found = shape(fields, CWM)
    if fields.has("layer_types"):
        spans = windows.by_type(fields, found.layers, 4, 8192)
    else:
        window = windows.size(fields, 8192)
        spans = tuple(window if at % 4 else None for at in range(found.layers))
    weights = layer(found, mlp_bias=fields.flag("mlp_bias", default=False))
    return whole(fields, found, weights, spans)


READERS: dict[str, Callable[[Fields], Profile]] = {
    "llama": llama,
    "granite": llama,
    "mllama_text_model": partial(llama, sizes=MLLAMA),
    "mistral": mistral,
    "ministral": mistral,
    "ministral3": ministral3,
    "smollm3": smollm3,
    "seed_oss": seed_oss,
    "helium": helium,
    "arcee": arcee,
    "olmo": olmo,
    "ernie4_5": ernie,
    "hunyuan_v1_dense": hunyuan,
    "apertus": apertus,
    "cwm": cwm,
}
