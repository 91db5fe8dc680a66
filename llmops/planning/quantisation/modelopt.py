"""Checkpoints of NVIDIA's Model Optimizer: `modelopt` and its kin, and `mxfp8` of the same form.

The section stands in `config.json`; older exports nest it, or keep it in `hf_quant_config.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from llmops.planning.architecture import Fields, Role
from llmops.planning.quantisation import packing
from llmops.planning.quantisation.names import Names, exactly, wildcards
from llmops.planning.quantisation.packing import Packing, each
from llmops.planning.quantisation.section import Section, group, listed, mapping, one_of
from llmops.planning.quantisation.value import ANY, LAYERS, Group, Quantisation, sentence

_STATIC_FP8 = replace(packing.FP8, beside=4)

_FORMS: Mapping[str, tuple[Packing, str, int]] = {
    "FP8": (_STATIC_FP8, "fp8 weights with one scale each", 80),
    "FP8_PER_CHANNEL_PER_TOKEN": (
        packing.FP8_CHANNEL, "fp8 weights with a scale for each output", 80,
    ),
    "FP8_PB_WO": (packing.fp8_blocks(128, 128), "fp8 weights with 128 x 128 block scales", 80),
    "NVFP4": (packing.NVFP4, "nvfp4 weights in groups of 16", 75),
    "W4A16_NVFP4": (packing.NVFP4_A16, "nvfp4 weights in groups of 16", 75),
    "MXFP8": (packing.MXFP8, "mxfp8 weights in groups of 32", 80),
}  # fmt: skip
"""Algorithms that vLLM 0.32 has (`LINEAR_ALGOS`), with the least compute capability of each."""

_MIXED = "MIXED_PRECISION"
_TOWERS = Names(inside=("vision_tower", "vision_model", "vit_large_projector"))
"""What vLLM never quantises here."""

_ROLES: frozenset[Role] = LAYERS | {"head"}


def modelopt(section: Section) -> Quantisation:
    """One algorithm for all layers, or one for each.

    Raises:
        Refusal: When vLLM does not have the algorithm.
    """
    outer = section.fields
    inner = outer.section("quantization") if outer.has("quantization") else outer
    named = inner.text("quant_algo").upper() or ("MXFP8" if _is_mxfp8(outer) else "")
    if named not in _FORMS and named != _MIXED:
        one_of(inner, "quant_algo", (*_FORMS, _MIXED))
    skipped = listed(inner, "exclude_modules", "ignore", "ignored_layers")
    groups = _mixed(inner) if named == _MIXED else (Group(_form(inner, named, outer), _ROLES),)
    what = "weights of mixed precision" if named == _MIXED else _FORMS[named][1]
    stays = (Group(None, ANY, _excluded(skipped)), Group(None, ANY, _TOWERS))
    return Quantisation(
        method=outer.text("quant_method").lower() or "modelopt",
        words=sentence(what, _ROLES, section.dtype, len(skipped)),
        groups=(*(one for one in stays if one.names), *groups),
        needs=75 if named == _MIXED else _FORMS[named][2],
        kv_dtype=_kv(inner) or _kv(outer),
    )


def _is_mxfp8(fields: Fields) -> bool:
    return fields.text("quant_method").lower() in ("mxfp8", "modelopt_mxfp8")


def _form(fields: Fields, algorithm: str, outer: Fields | None = None) -> Packing:
    form = _FORMS[algorithm][0]
    if "NVFP4" in algorithm:
        size = group(fields, "group_size", default=16)
        if not size:
            raise fields.absurd("group_size", "-1, and nvfp4 has groups")
        form = replace(form, block=each(size))
        only_weights = outer is not None and _no_activations(outer)
        return replace(form, beside=packing.NVFP4_A16.beside) if only_weights else form
    return form


def _no_activations(fields: Fields) -> bool:
    """Whether every group says so; vLLM then takes the form without input scales."""
    found = [one.has("input_activations") for _, one in mapping(fields, "config_groups")]
    return bool(found) and not any(found)


def _mixed(fields: Fields) -> tuple[Group, ...]:
    """A form for each name; a module that none names stays as it is."""
    forms: dict[Packing, set[str]] = {}
    for name, one in mapping(fields, "quantized_layers"):
        named = one.text("quant_algo").upper()
        if named not in _FORMS:
            one_of(one, "quant_algo", tuple(_FORMS))
        forms.setdefault(_form(one, named), set()).add(name)
    if not forms:
        raise fields.absurd("quantized_layers", "missing, and its precision is mixed")
    return tuple(Group(form, _ROLES, exactly(names)) for form, names in forms.items())


def _excluded(entries: Iterable[str]) -> Names:
    """Names, parts of names, and wildcards: each entry is tried as all three."""
    known = tuple(entries)
    plain = tuple(entry for entry in known if "*" not in entry)
    globs = wildcards(entry for entry in known if "*" in entry)
    return replace(globs, exact=exactly(plain).exact, inside=plain)


def _kv(fields: Fields) -> str | None:
    """What vLLM makes of it (`get_kv_cache_quant_algo_string`); it passes over what it knows not.

    Raises:
        Refusal: When it is neither a word nor a mapping.
    """
    if fields.has("kv_cache_scheme") and not fields.text("kv_cache_scheme"):
        scheme = fields.section("kv_cache_scheme").raw()
        kind = (scheme.get("type"), scheme.get("num_bits"))
        if kind == ("float", 8) and scheme.get("dynamic") is False:
            return "fp8_e4m3"
        return "nvfp4" if kind == ("float", 4) else None
    word = (fields.text("kv_cache_scheme") or fields.text("kv_cache_quant_algo")).lower()
    return {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}.get(word)


READERS: Mapping[str, Callable[[Section], Quantisation]] = dict.fromkeys(
    ("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "mxfp8"), modelopt
)
