"""Checkpoints of the compressed-tensors library: groups of modules, each with a scheme of its own.

Which scheme vLLM 0.32 takes for which arguments is read here in the same order as in its
`CompressedTensorsConfig`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from llmops.planning.architecture import Fields, Role
from llmops.planning.quantisation import packing
from llmops.planning.quantisation.arguments import Arguments, read_arguments
from llmops.planning.quantisation.names import either
from llmops.planning.quantisation.packing import Packing, each
from llmops.planning.quantisation.section import Section, listed, mapping
from llmops.planning.quantisation.value import ANY, LAYERS, Group, Quantisation, sentence, stay

_SHARES = {"tensor": "with one scale each", "channel": "with a scale for each output"}

_SHAPE = 16
"""Bytes of `weight_shape`, two int64, beside each packed weight."""

_ACTIVATIONS = ("naive-quantized", "int-quantized", "float-quantized", "nvfp4-pack-quantized")
"""Formats whose inputs may be quantised (vLLM's `is_activation_quantization_format`)."""

_FLOOR = 70
"""What vLLM asks for whatever the scheme is."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The form of the weights of a group."""

    packing: Packing
    what: str
    needs: int


def compressed(section: Section) -> Quantisation:
    """Every group's scheme, and the list of modules that are ignored.

    Raises:
        Refusal: When a group contradicts itself, or has a scheme that vLLM has not.
    """
    fields = section.fields
    ignored = listed(fields, "ignore")
    named: list[Group] = []
    classes: list[Group] = []
    schemes: list[Scheme] = []
    unloadable = ""
    for _, one in mapping(fields, "config_groups"):
        targets = listed(one, "targets")
        if not targets:
            raise one.absurd("targets", "missing")
        if len(targets) == 1 and targets[0].endswith("Attention"):
            continue  # says how keys and values are quantised
        scheme, reordered = _scheme(fields, one)
        schemes.append(scheme)
        unloadable = unloadable or (_REORDERED if reordered else "")
        names = either(one, "targets", (t for t in targets if "." in t or ":" in t or "_" in t))
        named += [Group(scheme.packing, ANY, names)] if names else []
        roles = _roles(targets)
        classes += [Group(scheme.packing, roles)] if roles else []
    quantised = {role for one in classes for role in one.roles} or (LAYERS if named else set())
    what = " and ".join(dict.fromkeys(scheme.what for scheme in schemes)) or "nothing"
    return Quantisation(
        method="compressed-tensors",
        words=sentence(what, quantised, section.dtype, len(ignored)),
        groups=(*stay(either(fields, "ignore", ignored), ANY), *named, *classes),
        needs=max([_FLOOR, *(scheme.needs for scheme in schemes)]),
        kv_dtype=_kv(fields),
        unloadable=unloadable or _sparse(fields),
    )


_REORDERED = "vLLM 0.32 no longer loads compressed-tensors with activation ordering (actorder)"


def _roles(targets: Iterable[str]) -> frozenset[Role]:
    """What a class of modules stands for; vLLM takes a part of its own class's name, too."""
    found: set[Role] = set()
    for target in targets:
        if target.lower() in "mergedcolumnparallellinear":
            found |= LAYERS
        elif target.lower() in "routedexperts":
            found.add("expert")
        elif target.lower() in "vocabparallelembedding":
            found.add("embedding")
    return frozenset(found)


def _scheme(whole: Fields, one: Fields) -> tuple[Scheme, bool]:
    form = one.text("format") or whole.text("format")
    weights = read_arguments(one.section("weights"))
    takes = form in _ACTIVATIONS or bool(one.raw().get("input_activations"))
    given = takes and one.has("input_activations")
    inputs = read_arguments(one.section("input_activations")) if given else None
    if weights.dynamic:
        raise one.absurd("weights.dynamic", "true, and a checkpoint's weights have fixed scales")
    scheme = _float4(weights, inputs) or _float8(weights, inputs) or _int(weights, inputs, form)
    if scheme is None:
        told = f"{weights.kind}{weights.bits} by {weights.strategy} as '{form[:40]}'"
        raise one.absurd("weights", f"a scheme that vLLM 0.32 does not have: {told}")
    return scheme, weights.reordered


def _float4(weights: Arguments, inputs: Arguments | None) -> Scheme | None:
    if weights.kind != "float" or weights.bits != 4 or not weights.symmetric:
        return None
    if weights.strategy == "tensor_group" and weights.size == 16:
        form = packing.NVFP4 if inputs else packing.NVFP4_A16
        return Scheme(form, "nvfp4 weights in groups of 16", 75)
    if weights.strategy == "group" and weights.size == 32:
        return Scheme(packing.MXFP4, "mxfp4 weights in groups of 32", 80)
    return None


def _float8(weights: Arguments, inputs: Arguments | None) -> Scheme | None:
    """vLLM takes 8 bit weights with 16 bit activations where a GPU has no fp8: from 7.5 on."""
    if weights.kind != "float" or weights.bits != 8 or not weights.symmetric:
        return None
    beside = 4 if inputs and not inputs.dynamic else 0
    if weights.strategy == "group" and weights.size == 32 and weights.shared_exponent:
        return Scheme(packing.MXFP8, "mxfp8 weights in groups of 32", 75)
    if weights.sides:
        high, wide = weights.sides
        what = f"fp8 weights with {high} x {wide} block scales"
        return Scheme(packing.fp8_blocks(high, wide), what, 75)
    if weights.strategy == "channel":
        form = replace(packing.FP8_CHANNEL, beside=beside)
        return Scheme(form, "fp8 weights with a scale for each output", 75)
    if weights.strategy == "tensor":
        return Scheme(replace(packing.FP8, beside=beside), "fp8 weights with one scale each", 75)
    return None


def _int(weights: Arguments, inputs: Arguments | None, form: str) -> Scheme | None:
    if weights.kind != "int":
        return None
    grouped = weights.strategy in ("group", "channel")
    if grouped and form == "pack-quantized":
        hopper = inputs is not None and inputs.kind == "float"
        if hopper and (weights.bits != 4 or not weights.size):
            return None
        shape = Packing(
            bits=weights.bits,
            block=each(weights.size),
            scale=None,
            order="inputs",
            zeros=not weights.symmetric,
            beside=_SHAPE,
        )
        parts = f"in groups of {weights.size}" if weights.size else "with a scale for each output"
        return Scheme(shape, f"int{weights.bits} weights {parts}", 90 if hopper else 75)
    if inputs is None or inputs.kind != "int" or form not in _ACTIVATIONS:
        return None
    if weights.bits == 8 and inputs.bits == 8 and weights.strategy in ("channel", "tensor"):
        beside = 0 if inputs.dynamic else 4 + (not inputs.symmetric)
        own = packing.CHANNEL if weights.strategy == "channel" else packing.TENSOR
        return Scheme(
            Packing(8, own, beside=beside), f"int8 weights {_SHARES[weights.strategy]}", 75
        )
    if weights.bits == 4 and grouped and inputs.dynamic:
        unpacked = Packing(8, each(weights.size), scale=None)
        return Scheme(unpacked, "int4 weights, a byte each", _FLOOR)
    return None


def _kv(fields: Fields) -> str | None:
    if not fields.has("kv_cache_scheme"):
        return None
    scheme = read_arguments(fields.section("kv_cache_scheme"))
    if (scheme.kind, scheme.bits) != ("float", 8):
        raise fields.absurd("kv_cache_scheme", f"{scheme.kind}{scheme.bits}; vLLM 0.32 knows fp8")
    return "fp8"


def _sparse(fields: Fields) -> str:
    if fields.has("sparsity_config") and fields.section("sparsity_config").raw().get("targets"):
        return "vLLM 0.32 no longer loads sparse weights (sparsity_config)"
    return ""


READERS: Mapping[str, Callable[[Section], Quantisation]] = {"compressed-tensors": compressed}
