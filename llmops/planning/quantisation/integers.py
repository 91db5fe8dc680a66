"""Checkpoints of 4 and 8 bit integers in groups: `awq` and `gptq`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmops.planning.architecture import Fields, Role
from llmops.planning.quantisation.names import Names, expression
from llmops.planning.quantisation.packing import Packing, each
from llmops.planning.quantisation.section import Section, group, listed, mapping, one_of
from llmops.planning.quantisation.value import LAYERS, Group, Quantisation, sentence, stay

_NUMBERED = Names(regexes=(re.compile(r".*\.\d+\."),))
_NO_LAYERS = Names(
    inside=("visual", "vision", "vit_", "audio", "multi_modal_projector", "mm_projector")
)
"""What AutoAWQ, AutoGPTQ and their successors leave alone without being told: towers, and what is
in no numbered layer. vLLM sees that in the files themselves."""


_NOT_EXPERTS: frozenset[Role] = frozenset({"linear", "head"})
"""What vLLM asks `modules_in_block_to_quantize` for."""


def awq(section: Section) -> Quantisation:
    """4 bit in groups along the inputs, packed along the outputs, with zero points."""
    fields = section.fields
    for name in ("w_bit", "bits"):
        if fields.has(name):
            one_of(fields, name, (4,))
    fields.number("w_bit", "bits")
    size = group(fields, "q_group_size", "group_size")
    fields.flag("zero_point", default=True)
    form = Packing(bits=4, block=each(size), scale=None, order="outputs", zeros=True)
    skipped = listed(fields, "modules_to_not_convert")
    roles = _roles(fields)
    return Quantisation(
        method="awq",
        words=sentence(
            f"int4 weights {_in_groups(size)} (AWQ)", roles, section.dtype, len(skipped)
        ),
        groups=(*stay(Names(inside=skipped), roles), *_untold(), Group(form, roles)),
        needs=75,
    )


def gptq(section: Section) -> Quantisation:
    """2 to 8 bit in groups along the inputs, packed along them, with zero points."""
    fields = section.fields
    base = _gptq_form(fields)
    roles = _roles(fields)
    only = _flat(fields, "modules_in_block_to_quantize")
    chosen = (Group(None, _NOT_EXPERTS, Names(inside=only), others=True),) if only else ()
    what = f"int{base.bits} weights {_in_groups(base.block[1])} (GPTQ)"
    what += " where its list says so" if only else ""
    return Quantisation(
        method="gptq",
        words=sentence(what, roles, section.dtype),
        groups=(*_dynamic(fields, base), *chosen, *_untold(), Group(base, roles)),
        needs=60,
        unloadable=_not_loaded(fields, base),
    )


def _gptq_form(fields: Fields, base: Packing | None = None) -> Packing:
    bits = one_of(fields, "bits", (2, 3, 4, 8), base.bits if base else None)
    size = group(fields, "group_size", default=base.block[1] or None if base else None)
    return Packing(bits=bits, block=each(size), scale=None, order="inputs", zeros=True)


def _dynamic(fields: Fields, base: Packing) -> tuple[Group, ...]:
    """Rules of GPTQModel: `-:` leaves what matches alone, others have fields of their own."""
    found = []
    for key, rule in mapping(fields, "dynamic"):
        names = Names(regexes=(expression(fields, "dynamic", key.lstrip("+-").lstrip(":")),))
        form = None if key.startswith("-:") else _gptq_form(rule, base)
        found.append(Group(form, LAYERS | {"head"}, names))
    return tuple(found)


def _not_loaded(fields: Fields, base: Packing) -> str:
    if fields.flag("desc_act", default=False) and base.block[1]:
        return "vLLM 0.32 no longer loads GPTQ with activation ordering (desc_act) in groups"
    if not fields.flag("sym", default=True):
        return "vLLM 0.32 loads symmetric GPTQ weights only (sym)"
    return "" if base.bits in (4, 8) else f"vLLM 0.32 loads GPTQ of 4 and 8 bits, not {base.bits}"


def _roles(fields: Fields) -> frozenset[Role]:
    head: frozenset[Role] = frozenset({"head"})
    return LAYERS | head if fields.flag("lm_head", default=False) else LAYERS


def _untold() -> tuple[Group, ...]:
    return (Group(None, LAYERS, _NO_LAYERS), Group(None, LAYERS, _NUMBERED, others=True))


def _flat(fields: Fields, field: str) -> tuple[str, ...]:
    """A list of names, or of lists of them."""
    value = fields.raw().get(field)
    entries: list[Any] = []
    for item in value if isinstance(value, list) else [value] if value is not None else []:
        entries += item if isinstance(item, list) else [item]
    if not all(isinstance(entry, str) for entry in entries):
        raise fields.absurd(field, "not a list of words")
    return tuple(entries)


def _in_groups(size: int) -> str:
    return f"in groups of {size}" if size else "with a scale for each output"


READERS: Mapping[str, Callable[[Section], Quantisation]] = {
    "awq": awq, "awq_marlin": awq, "auto_awq": awq,
    "gptq": gptq, "gptq_marlin": gptq, "auto_gptq": gptq,
}  # fmt: skip
