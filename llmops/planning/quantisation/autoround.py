"""Checkpoints of Intel's AutoRound: integers in the form of GPTQ or AWQ, and some layers apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmops.planning.architecture import Fields
from llmops.planning.quantisation import packing
from llmops.planning.quantisation.names import Names, exactly, expression
from llmops.planning.quantisation.packing import Order, Packing, each
from llmops.planning.quantisation.section import Section, block, group, listed, mapping, one_of
from llmops.planning.quantisation.value import LAYERS, Group, Quantisation, sentence

_FORMATS: Mapping[str, Order] = {
    "auto_round:auto_gptq": "inputs", "auto_round:gptq": "inputs", "auto_gptq": "inputs",
    "auto_round:auto_awq": "outputs", "auto_round:awq": "outputs", "auto_awq": "outputs",
    "auto_round:llm_compressor": "bytes", "auto_round:fp8": "bytes",
}  # fmt: skip
"""Along what each format packs."""

_UNQUANTISED = 16
_SPECIAL = set(r"*+?^$()[]{}|\\")


def autoround(section: Section) -> Quantisation:
    """One form for the blocks that are named, and others in `extra_config`.

    Raises:
        Refusal: When a form contradicts itself, or vLLM does not have it.
    """
    fields = section.fields
    form, what = _form(fields, fields)
    blocks = _blocks(fields)
    only = (Group(None, LAYERS, Names(starts=blocks), others=True),) if blocks else ()
    own = []
    for name, one in mapping(fields, "extra_config"):
        other = None if one.raw().get("bits") == _UNQUANTISED else _form(one, fields)[0]
        own.append(Group(other, LAYERS | {"head"}, _names(fields, name)))
    return Quantisation(
        method="inc",
        words=sentence(f"{what} (AutoRound)", LAYERS, section.dtype, len(own)),
        groups=(*own, *only, Group(form)),
        needs=60,
    )


def _form(fields: Fields, base: Fields) -> tuple[Packing, str]:
    """The form of a section, whose missing fields `base` has."""
    own = base.like({**base.raw(), **fields.raw()})
    bits = one_of(own, "bits", (2, 3, 4, 5, 6, 7, 8))
    kind = own.text("data_type", "int")
    if kind.startswith("mx_fp"):
        if bits not in (4, 8):
            raise own.absurd("bits", f"{bits}, and {kind} has 4 or 8")
        form = packing.MXFP4 if bits == 4 else packing.MXFP8
        return form, f"mxfp{bits} weights in groups of 32"
    if kind in ("fp", "fp8"):
        sides = block(own, "group_size")
        if sides is None or bits != 8:
            raise own.absurd("group_size", "no block, and its weights are fp8")
        return packing.fp8_blocks(*sides), f"fp8 weights with {sides[0]} x {sides[1]} block scales"
    if kind != "int":
        one_of(own, "data_type", ("int", "fp", "mx_fp"))
    size = group(own, "group_size")
    order = _FORMATS[one_of(own, "packing_format", tuple(_FORMATS), "auto_round:auto_gptq")]
    if order == "bytes":
        raise own.absurd("packing_format", "one for floating point, and its weights are integers")
    parts = f"in groups of {size}" if size else "with a scale for each output"
    form = Packing(bits, each(size), scale=None, order=order, zeros=True)
    return form, f"int{bits} weights {parts}"


def _blocks(fields: Fields) -> tuple[str, ...]:
    for name in ("block_name_to_quantize", "to_quant_block_names"):
        text = fields.text(name)
        if text:
            return tuple(part for part in text.split(",") if part)
    return listed(fields, "block_name_to_quantize", "to_quant_block_names")


def _names(fields: Fields, name: str) -> Names:
    """A name, or an expression that is searched for."""
    if _SPECIAL & set(name):
        return Names(regexes=(expression(fields, "extra_config", f".*(?:{name})"),))
    return exactly([name])


READERS: Mapping[str, Callable[[Section], Quantisation]] = {
    "auto-round": autoround,
    "inc": autoround,
}
