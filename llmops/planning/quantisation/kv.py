"""How many bytes an element of the KV cache takes."""

from __future__ import annotations

from llmops.planning.quantisation.names import shown
from llmops.planning.refusal import Refusal
from llmops.spec import nearest

_BYTES = {
    "float16": 2, "bfloat16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1,
}  # fmt: skip
_NOT_RECKONED = (
    "fp8_ds_mla", "nvfp4_ds_mla", "turboquant_k8v4", "turboquant_4bit_nc", "turboquant_k3v4_nc",
    "turboquant_3bit_nc", "ultraquant_4bit", "int4_per_token_head", "int8_per_token_head",
    "fp8_per_token_head", "nvfp4", "nvfp4_4over6",
)  # fmt: skip
"""vLLM 0.32 has these too; their pages hold more than elements, or less than a byte of each."""


def kv_element(kv_cache_dtype: str, element: int) -> int:
    """Bytes of an element of the KV cache.

    Args:
        kv_cache_dtype: vLLM's argument of that name (0.32, `CacheDType`).
        element: Bytes of an element of the model, which `auto` follows.

    Raises:
        Refusal: When vLLM does not have it, or its pages are not made of whole elements.
    """
    if kv_cache_dtype == "auto":
        return element
    if kv_cache_dtype in _BYTES:
        return _BYTES[kv_cache_dtype]
    known = ("auto", *_BYTES)
    if kv_cache_dtype in _NOT_RECKONED:
        raise Refusal(
            f"this version cannot plan a KV cache of {kv_cache_dtype}",
            hint=f"set kv_cache_dtype to one of {', '.join(known)}",
            path="engine.args",
        )
    near = nearest(kv_cache_dtype, known)
    raise Refusal(
        f"vLLM has no KV cache of {shown(kv_cache_dtype)}",
        hint=f"did you mean {near}?" if near else f"it has {', '.join(known)}",
        path="engine.args",
    )
