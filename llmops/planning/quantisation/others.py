"""Checkpoints that vLLM 0.32 does not load, and other engines do: `bitsandbytes` and `hqq`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmops.planning.quantisation import packing
from llmops.planning.quantisation.names import Names
from llmops.planning.quantisation.packing import Packing, each
from llmops.planning.quantisation.section import Section, group, listed, one_of
from llmops.planning.quantisation.value import LAYERS, Group, Quantisation, sentence, stay

_BLOCK = 64
"""Elements that share a scale (bitsandbytes' `quantize_4bit`)."""

_TABLE = 16 * 4
"""Bytes of the 16 values that 4 bits stand for, float32, beside each weight."""

_SECOND_TABLE = 256 * 4 + 4
"""The same for scales of 8 bits, and what is added to them."""


def bitsandbytes(section: Section) -> Quantisation:
    """4 bit (nf4, fp4) with a scale for 64 elements, or 8 bit with one for each output."""
    fields = section.fields
    four = fields.flag("load_in_4bit", default=False) or fields.flag("_load_in_4bit", default=False)
    eight = fields.flag("load_in_8bit", default=False)
    if four is eight:
        raise fields.absurd("load_in_4bit", "as 'load_in_8bit': one of them must be true")
    form = packing.INT8_CHANNEL
    what = "int8 weights with a scale for each output"
    if four:
        kind = one_of(fields, "bnb_4bit_quant_type", ("nf4", "fp4"), "fp4")
        twice = fields.flag("bnb_4bit_use_double_quant", default=False)
        form = _twice() if twice else Packing(4, each(_BLOCK), beside=_TABLE, uneven=True)
        what = f"{kind} weights in groups of {_BLOCK}{', twice quantised' if twice else ''}"
    skipped = listed(fields, "llm_int8_skip_modules")
    return Quantisation(
        method="bitsandbytes",
        words=sentence(what, LAYERS, section.dtype, len(skipped)),
        groups=(*stay(Names(parts=skipped)), Group(form)),
        unloadable="vLLM 0.32 does not load bitsandbytes checkpoints",
    )


def _twice() -> Packing:
    """Scales of 8 bits, 256 of which share one of float32."""
    beside = _TABLE + _SECOND_TABLE
    return Packing(4, each(_BLOCK), scale=1, beside=beside, uneven=True, again=256)


def hqq(section: Section) -> Quantisation:
    """1 to 8 bit in groups, each with a scale and a zero point of 16 bits."""
    params = section.fields.section("quant_config").section("weight_quant_params")
    bits = one_of(params, "nbits", (1, 2, 4, 8))
    size = group(params, "group_size")
    skipped = listed(section.fields, "skip_modules")
    return Quantisation(
        method="hqq",
        words=sentence(
            f"int{bits} weights in groups of {size} (HQQ)", LAYERS, section.dtype, len(skipped)
        ),
        groups=(*stay(Names(parts=skipped)), Group(Packing(bits, each(size), uneven=True))),
        unloadable="vLLM 0.32 does not load hqq checkpoints",
    )


READERS: Mapping[str, Callable[[Section], Quantisation]] = {
    "bitsandbytes": bitsandbytes,
    "hqq": hqq,
}
