"""Checkpoints of fp8 weights: `fp8` (with one scale, or scales of blocks) and `fbgemm_fp8`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from llmops.planning.quantisation import packing
from llmops.planning.quantisation.names import exactly
from llmops.planning.quantisation.section import Section, block, listed, one_of
from llmops.planning.quantisation.value import Group, Quantisation, sentence, stay


def fp8(section: Section) -> Quantisation:
    """One scale for each weight, or for each block of it (DeepSeek V3, Qwen3-FP8)."""
    fields = section.fields
    scheme = one_of(fields, "activation_scheme", ("static", "dynamic"))
    sides = block(fields, "weight_block_size")
    if sides and scheme == "static":
        raise fields.absurd("activation_scheme", "static, and blocks have scales made on the fly")
    skipped = listed(fields, "ignored_layers", "modules_to_not_convert")
    if sides:
        form = packing.fp8_blocks(*sides)
        what = f"fp8 weights with {sides[0]} x {sides[1]} block scales"
    else:
        form = replace(packing.FP8, beside=4 if scheme == "static" else 0)
        what = "fp8 weights with one scale each"
    groups = [Group(form)]
    if fields.has("store_dtype"):
        one_of(fields, "store_dtype", ("mxfp4",))
        groups.insert(0, Group(packing.MXFP4, frozenset({"expert"})))
        what += ", mxfp4 experts"
    return Quantisation(
        method="fp8",
        words=sentence(what, ("linear", "expert"), section.dtype, len(skipped)),
        groups=(*stay(exactly(skipped)), *groups),
        needs=75,
    )


def fbgemm(section: Section) -> Quantisation:
    """A scale for each output (Llama-3.1-405B-FP8); experts stay as they are."""
    fields = section.fields
    fields.real("activation_scale_ub", 1.0)
    skipped = listed(fields, "modules_to_not_convert")
    form = replace(packing.FP8_CHANNEL, beside=4)
    return Quantisation(
        method="fbgemm_fp8",
        words=sentence(
            "fp8 weights with a scale for each output", ("linear",), section.dtype, len(skipped)
        ),
        groups=(*stay(exactly(skipped)), Group(form, frozenset({"linear"}))),
        needs=80,
        unloadable="vLLM 0.32 loads fbgemm_fp8 only with --allow-deprecated-quantization",
    )


READERS: Mapping[str, Callable[[Section], Quantisation]] = {"fp8": fp8, "fbgemm_fp8": fbgemm}
