"""Dense decoders of the Qwen family.

Qwen 2 has biases on queries, keys and values; Qwen 3 has norms on queries and keys instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from llmops.planning.architecture import windows
from llmops.planning.architecture.decoder import whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.llama import layer
from llmops.planning.architecture.profile import Profile
from llmops.planning.architecture.shape import Sizes, shape

QWEN_2 = Sizes(151936, 4096, 22016, 32, 32, 32768, kv_heads=32)
QWEN_2_VL = Sizes(152064, 8192, 29568, 80, 64, 32768, kv_heads=8)
QWEN_3 = Sizes(151936, 4096, 22016, 32, 32, 32768, kv_heads=32, head_dim=128)


QWEN_3_VL = replace(QWEN_3, positions=128000)


def qwen2(fields: Fields, sizes: Sizes = QWEN_2) -> Profile:
    """Qwen 1.5, 2 and 2.5, models distilled into them, and the text parts of those that see."""
    found = shape(fields, sizes)
    return whole(fields, found, layer(found, bias=True), windows.switched(fields, found.layers))


def qwen3(fields: Fields, sizes: Sizes = QWEN_3) -> Profile:
    """Qwen 3, its embedding models and rerankers, and the text part of Qwen3-VL."""
    found = shape(fields, sizes)
    bias = fields.flag("attention_bias", default=False)
    weights = layer(found, bias=bias, out_bias=bias, qk_norm=found.heads.size)
    return whole(fields, found, weights, windows.switched(fields, found.layers))


READERS: dict[str, Callable[[Fields], Profile]] = {
    "qwen2": qwen2,
    "qwen2_vl_text": partial(qwen2, sizes=QWEN_2_VL),
    "qwen2_5_vl_text": partial(qwen2, sizes=QWEN_2_VL),
    "qwen3": qwen3,
    "qwen3_vl_text": partial(qwen3, sizes=QWEN_3_VL),
}
