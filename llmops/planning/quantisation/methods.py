"""Which reader knows which `quant_method`: the one list of what is covered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from llmops.planning.architecture import Fields
from llmops.planning.quantisation import (
    autoround,
    compressed,
    experts,
    fp8,
    integers,
    modelopt,
    others,
    quark,
)
from llmops.planning.quantisation.gguf import gguf
from llmops.planning.quantisation.names import shown
from llmops.planning.quantisation.section import Section, find
from llmops.planning.quantisation.value import Quantisation
from llmops.planning.refusal import Refusal
from llmops.spec import nearest

READERS: Mapping[str, Callable[[Section], Quantisation]] = {
    **autoround.READERS,
    **compressed.READERS,
    **experts.READERS,
    **fp8.READERS,
    **integers.READERS,
    **modelopt.READERS,
    **others.READERS,
    **quark.READERS,
}

_BYTES = {"F8_E4M3", "F8_E4M3FNUZ"}
_STORED: Mapping[str, set[str]] = {
    "fp8": _BYTES, "fbgemm_fp8": _BYTES, "awq": {"I32"}, "gptq": {"I32"}, "mxfp4": {"U8"},
    "bitsandbytes": {"U8", "I8"}, "compressed-tensors": {*_BYTES, "I32", "I8", "U8"},
}  # fmt: skip
"""Of which a checkpoint's files hold at least one, in the words of safetensors."""


def read(
    config: Mapping[str, Any], files_dtypes: Mapping[str, int] = MappingProxyType({})
) -> Quantisation | None:
    """How a model's weights are stored; None when they are as they are.

    Args:
        config: Its `config.json`.
        files_dtypes: Elements by type as its files' headers say, when they are known.

    Raises:
        Refusal: When the method is unknown, or what is said of it contradicts itself or the files.
    """
    section = find(config)
    if section is None:
        return gguf(files_dtypes)
    method = _method(section.fields)
    if method == "gguf":
        found = gguf(files_dtypes)
        if found is None:
            raise section.fields.absurd("quant_method", "gguf, and the files' types are not known")
        return found
    if method not in READERS:
        raise _unknown(section.fields, method)
    quantisation = READERS[method](section)
    _agree(section.fields, quantisation, files_dtypes)
    return quantisation


def _method(fields: Fields) -> str:
    """The name as vLLM makes it out (`_normalize_quantization_config`)."""
    if fields.has("quant_method") and not fields.text("quant_method"):
        raise fields.absurd("quant_method", "no word")
    said = fields.text("quant_method").lower().replace("compressed_tensors", "compressed-tensors")
    if said:
        return said
    if fields.has("quantization") and fields.section("quantization").text("quant_algo"):
        return "modelopt"
    if fields.has("load_in_4bit") or fields.has("load_in_8bit"):
        return "bitsandbytes"
    raise fields.absurd("quant_method", "missing")


def _unknown(fields: Fields, method: str) -> Refusal:
    known = sorted({*READERS, "gguf"})
    near = nearest(method, known)
    refusal = fields.absurd("quant_method", f"{shown(method)}, which is not known")
    refusal.hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
    return refusal


def _agree(fields: Fields, quantisation: Quantisation, dtypes: Mapping[str, int]) -> None:
    wanted = _STORED.get(quantisation.method)
    if wanted and quantisation.groups and dtypes and not wanted & set(dtypes):
        held = ", ".join(sorted(dtypes))
        raise fields.absurd(
            "quant_method", f"{quantisation.method}, and the files hold {shown(held)} only"
        )
