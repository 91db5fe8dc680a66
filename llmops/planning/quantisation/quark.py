"""Checkpoints of AMD's Quark: one scheme for all layers, others for layers by name.

Schemes are read in the order in which vLLM 0.32 tries them (`QuarkConfig`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from llmops.planning.architecture import Fields, Role
from llmops.planning.quantisation import packing
from llmops.planning.quantisation.names import Names, either, exactly, wildcards
from llmops.planning.quantisation.packing import Packing, each
from llmops.planning.quantisation.section import Section, block, group, listed, mapping, one_of
from llmops.planning.quantisation.value import LAYERS, Group, Quantisation, sentence, stay

_EXPERTS: frozenset[Role] = frozenset({"expert"})
_LINEAR: frozenset[Role] = frozenset({"linear"})

_MICROSCALED = {
    "fp4": packing.MXFP4,
    "fp6_e2m3": Packing(6, each(32), scale=1),
    "fp6_e3m2": Packing(6, each(32), scale=1),
    "fp8_e4m3": packing.MXFP8,
}  # fmt: skip
"""Forms with a shared exponent for 32 elements."""

_DTYPES = ("fp8_e4m3", "int8", "int4", "uint4", *_MICROSCALED)
_SCHEMES = ("per_tensor", "per_channel", "per_group", "per_block")


def quark(section: Section) -> Quantisation:
    """The scheme of all layers, those of some, and what is excluded.

    Raises:
        Refusal: When a scheme contradicts itself, or vLLM does not have it.
    """
    fields = section.fields
    excluded = listed(fields, "exclude")
    form, what, needs = _scheme(fields.section("global_quant_config"))
    own = []
    for name, one in mapping(fields, "layer_quant_config"):
        names = wildcards([name]) if "*" in name else exactly([name])
        scheme = _scheme(one) if one.has("weight") else (None, "", 0)
        own.append(Group(scheme[0], LAYERS, names))
        needs = max(needs, scheme[2])
    skipped = either(fields, "exclude", excluded)
    experts = replace(skipped, exact=exactly(skipped.exact).exact, single=False)
    return Quantisation(
        method="quark",
        words=sentence(f"{what} (Quark)", LAYERS, section.dtype, len(excluded)),
        groups=(*_stays(skipped, experts), *own, Group(form)),
        needs=max(70, needs),
    )


def _stays(linear: Names, experts: Names) -> Iterable[Group]:
    return (*stay(linear, _LINEAR), *stay(experts, _EXPERTS))


def _scheme(fields: Fields) -> tuple[Packing, str, int]:
    """A form, its words, and the least compute capability that vLLM asks for."""
    if isinstance(fields.raw().get("weight"), list):
        raise fields.absurd("weight", "a list of forms, which this version does not reckon with")
    weight = fields.section("weight")
    dtype = one_of(weight, "dtype", _DTYPES)
    scheme = one_of(weight, "qscheme", _SCHEMES)
    static = fields.has("input_tensors") and not _is_dynamic(fields.section("input_tensors"))
    if dtype in ("int4", "uint4"):
        size = group(weight, "group_size")
        form = Packing(4, each(size), scale=None, order="outputs", zeros=True)
        return form, f"int4 weights in groups of {size}", 70
    if scheme == "per_group" and dtype in _MICROSCALED:
        if group(weight, "group_size") != 32 or weight.text("scale_format") != "e8m0":
            raise weight.absurd("group_size", "not 32 with scales of e8m0, as vLLM 0.32 has it")
        return _MICROSCALED[dtype], f"mx{dtype} weights in groups of 32", 70
    if dtype == "fp8_e4m3" and scheme == "per_block":
        return _blocks(weight)
    if dtype in ("fp8_e4m3", "int8") and scheme in ("per_tensor", "per_channel"):
        return _whole(dtype, scheme, static=static)
    raise weight.absurd("qscheme", f"{scheme}, which vLLM 0.32 does not have for {dtype}")


def _blocks(weight: Fields) -> tuple[Packing, str, int]:
    sides = block(weight, "block_size")
    if sides is None:
        raise weight.absurd("block_size", "missing, and its scheme is per_block")
    return packing.fp8_blocks(*sides), f"fp8 weights with {sides[0]} x {sides[1]} block scales", 89


def _whole(dtype: str, scheme: str, *, static: bool) -> tuple[Packing, str, int]:
    """One scale for each weight or each output; int8 has a zero point beside each scale."""
    one = scheme == "per_tensor"
    shared = packing.TENSOR if one else packing.CHANNEL
    parts = "with one scale each" if one else "with a scale for each output"
    if dtype == "int8":
        form = Packing(8, shared, scale=5, beside=5 if static else 0)
        return form, f"int8 weights {parts}", 75
    return Packing(8, shared, beside=4 if static else 0), f"fp8 weights {parts}", 89


def _is_dynamic(fields: Fields) -> bool:
    return fields.flag("is_dynamic", default=False)


READERS: Mapping[str, Callable[[Section], Quantisation]] = {"quark": quark}
