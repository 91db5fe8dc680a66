"""Gemma 1 to 3, text only: tied tables of a large vocabulary, heads that outgrow the hidden size.

Gemma 2 and 3 have a norm before and after each block, and windows on most of their layers.
"""

from __future__ import annotations

from llmops.planning.architecture import windows
from llmops.planning.architecture.decoder import TIED, decoder, stack, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.llama import layer
from llmops.planning.architecture.profile import Layer, Profile, Weight
from llmops.planning.architecture.shape import Shape, Sizes, shape

GEMMA = Sizes(256000, 3072, 24576, 28, 16, 8192, kv_heads=16, head_dim=256)
GEMMA_2 = Sizes(256000, 2304, 9216, 26, 8, 8192, kv_heads=4, head_dim=256)
GEMMA_3 = Sizes(262208, 2304, 9216, 26, 8, 131072, kv_heads=4, head_dim=256)
WINDOW = 4096
"""Window of Gemma 2 and 3 in tokens where the configuration does not say (transformers 5.19)."""


def gemma(fields: Fields) -> Profile:
    """Gemma 1 and CodeGemma."""
    found = shape(fields, GEMMA)
    bias = fields.flag("attention_bias", default=False)
    spans = windows.alike(fields, found.layers)
    return whole(fields, found, layer(found, bias=bias, out_bias=bias), spans, TIED)


def gemma2(fields: Fields) -> Profile:
    """Gemma 2: every other layer has a window."""
    found = shape(fields, GEMMA_2)
    spans = windows.by_type(fields, found.layers, 2, WINDOW)
    return decoder(fields, found, _layers(fields, found, spans, qk_norm=0), TIED)


def gemma3(fields: Fields) -> Profile:
    """Gemma 3: five layers with a window to one without, norms on queries and keys.

    EmbeddingGemma is one that attends both ways: it keeps nothing.
    """
    found = shape(fields, GEMMA_3)
    every = fields.number("sliding_window_pattern", default=6)
    spans = windows.by_type(fields, found.layers, every, WINDOW)
    layers = _layers(fields, found, spans, qk_norm=found.heads.size)
    if fields.flag("use_bidirectional_attention", default=False):
        layers = (Layer(layers[0].weights),) * found.layers
    return decoder(fields, found, layers, TIED)


def _layers(
    fields: Fields, found: Shape, spans: windows.Windows, *, qk_norm: int
) -> tuple[Layer, ...]:
    bias = fields.flag("attention_bias", default=False)
    weights: tuple[Weight, ...] = (
        *found.norms("input_layernorm"),
        *found.attention(bias=bias, out_bias=bias, qk_norm=qk_norm),
        *found.norms("post_attention_layernorm", "pre_feedforward_layernorm"),
        *found.gated(),
        *found.norms("post_feedforward_layernorm"),
    )
    return stack(fields, found, weights, spans)


def vaultgemma(fields: Fields) -> Profile:
    """VaultGemma: Gemma 2 with norms only before the blocks."""
    found = shape(fields, GEMMA_2)
    bias = fields.flag("attention_bias", default=False)
    weights = (
        *found.norms("input_layernorm"),
        *found.attention(bias=bias, out_bias=bias),
        *found.norms("pre_feedforward_layernorm"),
        *found.gated(),
    )
    spans = windows.by_type(fields, found.layers, 2, WINDOW)
    return whole(fields, found, weights, spans, TIED)


READERS = {"gemma": gemma, "gemma2": gemma2, "gemma3_text": gemma3, "vaultgemma": vaultgemma}
