"""The table of an unknown architecture's weights, from the headers of its safetensors files.

What there is and how large is exact; how each weight is cut over devices is guessed from its shape
and name, and a note says so. Where the weights tell of a memory that the fields do not, or of
another than the fields do, the model is refused. Nothing here opens a file: names, shapes and types
are handed in.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from llmops.planning.architecture.fields import MOST, Fields, printable
from llmops.planning.architecture.guess import Rules, guessed, outside
from llmops.planning.architecture.profile import Layer, Profile, Weight, Whole
from llmops.planning.architecture.unknown import (
    HINT,
    PACKED,
    Standard,
    betrayed,
    profile,
    standard,
)
from llmops.planning.model import Tensor
from llmops.planning.refusal import Refusal

MOST_DIMENSIONS = 8

BETRAYING = {
    "a_log": "state-space layers",
    "dt_bias": "state-space layers",
    "ssm": "state-space layers",
    "mamba": "state-space layers",
    "mixer.": "state-space layers",
    "conv1d": "convolution layers",
    "short_conv": "convolution layers",
    "time_mix": "recurrent layers",
    "rg_lru": "recurrent layers",
    "linear_attn": "linear attention",
    "kv_a_proj": "multi-head latent attention",
    "kv_b_proj": "multi-head latent attention",
    "cross_attn": "cross-attention",
    "crossattention": "cross-attention",
    "encoder_attn": "cross-attention",
    "encdecattention": "cross-attention",
}
"""Parts of weights' names within a layer, and what a model with such weights has."""

FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
"""Types of which one element is one parameter."""

_NUMBERED = re.compile(r"(.*?)\.(\d{1,9})\.(.+)", re.ASCII | re.DOTALL)
_EXPERT = re.compile(r"(.*?\bexperts)\.\d{1,9}\.(.+)", re.ASCII | re.DOTALL)
_ATTENTION = re.compile(r"attn|attention|q_proj|qkv|query", re.IGNORECASE)
_KEYS = re.compile(r"\b(k_proj|key|wk|k)\b")


Stack = Mapping[int, Sequence[Tensor]]
"""The tensors of each number, named from behind it."""


def from_headers(fields: Fields, tensors: Iterable[Tensor]) -> Profile:
    """A profile with the weights that the headers list.

    Its parameters are the headers' own count, but for tables of whole numbers that are no weights.
    Layers beyond those that the configuration names (for predicting several tokens at once) are
    counted among the towers.

    Raises:
        Refusal: When the fields do not tell what it remembers, the weights tell of something else,
            there are fewer layers than the fields name, or a tensor is absurd.
    """
    found = standard(fields)
    packed = fields.has("quantization_config")
    kept = _checked(fields, tensors, packed)
    lone, stacks = _stacked(kept)
    stem = _decoder(fields, found, stacks)
    decoder = stacks.pop(stem)
    _check(fields, found, decoder, packed)
    rules = Rules.of(found)
    layers = _layers(found, rules, decoder)
    spare = [
        Weight(f"{stem}.{number}.{tensor.name}", tensor.shape, role="other")
        for number, tensors in decoder.items()
        if number >= found.layers
        for tensor in tensors
    ]
    before, after, beside = outside(rules, [Weight(t.name, t.shape) for t in lone])
    return _with_experts(
        profile(
            fields,
            found,
            layers,
            before,
            after,
            towers=(*beside, *_beside(stacks), *spare),
            stem=stem,
            tied=not any(weight.role == "head" for weight in after),
            notes=(_note(fields), *((PACKED,) if packed else ())),
        )
    )


def _note(fields: Fields) -> str:
    return (
        f"This version does not know {fields.name}. Its weights are exactly those that the headers"
        " of its files list; how each is cut over devices is guessed from its name and shape."
    )


def _checked(fields: Fields, tensors: Iterable[Tensor], packed: bool) -> list[Tensor]:
    """The tensors that are weights: none that are empty, and none of whole numbers in files that
    are not quantised.

    Raises:
        Refusal: When one has a shape that no weight has.
    """
    kept = []
    for tensor in tensors:
        if len(tensor.shape) > MOST_DIMENSIONS or not all(0 <= n < MOST for n in tensor.shape):
            shown = printable(tensor.name)
            raise _refusal(fields, f"its weight files have '{shown}' in a shape that no weight has")
        if all(tensor.shape) and (packed or tensor.dtype in FLOATS):
            kept.append(tensor)
    return kept


def _stacked(tensors: Iterable[Tensor]) -> tuple[list[Tensor], dict[str, Stack]]:
    """What stands alone, and what stands in numbered layers: by what their names begin with."""
    lone: list[Tensor] = []
    stacks: dict[str, dict[int, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for tensor in tensors:
        match = _NUMBERED.fullmatch(tensor.name)
        if match is None:
            lone.append(tensor)
            continue
        stem, number, rest = match.groups()
        stacks[stem][int(number)].append(Tensor(rest, tensor.shape, tensor.dtype))
    return lone, dict(stacks)


def _decoder(fields: Fields, found: Standard, stacks: Mapping[str, Stack]) -> str:
    """What the decoder's layers begin with: of those with enough layers, the largest."""
    wanted = range(found.layers)
    whole = [stem for stem, stack in stacks.items() if all(n in stack for n in wanted)]
    if not whole:
        raise _refusal(
            fields,
            f"its config.json names {found.layers} layers, and its weight files have no layers that"
            " are numbered so",
        )
    return max(whole, key=lambda stem: sum(map(_elements, stacks[stem].values())))


def _elements(tensors: Iterable[Tensor]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


def _check(fields: Fields, found: Standard, decoder: Stack, packed: bool) -> None:
    """Refuse layers that keep something else than the fields say."""
    attending: Counter[str] = Counter()
    for number in range(found.layers):
        names = {tensor.name for tensor in decoder[number]}
        for name in names:
            lower = name.lower()
            for part, what in BETRAYING.items():
                if part in lower:
                    raise betrayed(fields, what, name)
        attending["attention"] += any(map(_ATTENTION.search, names))
        attending["keys"] += any(map(_KEYS.search, names))
        if not packed:
            _check_keys(fields, found, decoder[number])
    if any(0 < count < found.layers for count in attending.values()):
        raise betrayed(fields, "layers of several kinds", "not all have the same attention")


def _check_keys(fields: Fields, found: Standard, tensors: Iterable[Tensor]) -> None:
    rows = found.kv_heads * found.head_dim
    for tensor in tensors:
        if tensor.name.endswith("k_proj.weight") and tensor.shape[:1] != (rows,):
            shown = printable(tensor.name)
            raise _refusal(
                fields,
                f"its config.json tells of keys of {rows:,} features, and in its weight files"
                f" '{shown}' has the shape {tensor.shape}",
            )


def _layers(found: Standard, rules: Rules, decoder: Stack) -> tuple[Layer, ...]:
    """The decoder's layers; those that are alike are one object."""
    known: dict[Layer, Layer] = {}
    made = []
    for number, memory in enumerate(found.memories):
        gathered = _gathered(decoder[number])
        layer = Layer(tuple(guessed(rules, weight) for weight in gathered), (memory,))
        made.append(known.setdefault(layer, layer))
    return tuple(made)


def _gathered(tensors: Iterable[Tensor]) -> list[Weight]:
    """A layer's weights, those of the same part of each expert as one table."""
    counts: Counter[tuple[str, tuple[int, ...], bool]] = Counter()
    for tensor in tensors:
        match = _EXPERT.fullmatch(tensor.name)
        name = f"{match[1]}.{match[2]}" if match else tensor.name
        counts[name, tensor.shape, match is not None] += 1
    return [
        Weight(name, (count, *shape) if routed else shape, role="expert" if routed else "linear")
        for (name, shape, routed), count in counts.items()
    ]


def _beside(stacks: Mapping[str, Stack]) -> tuple[Weight, ...]:
    """Layers of towers, whole on every rank; those that are alike are counted together."""
    made = []
    for stem, stack in stacks.items():
        counts = Counter((t.name, t.shape) for tensors in stack.values() for t in tensors)
        first = min(stack)
        made += [
            Weight(f"{stem}.{first}.{name}", shape, Whole(), "other", copies=count)
            for (name, shape), count in counts.items()
        ]
    return tuple(made)


def _with_experts(made: Profile) -> Profile:
    """Experts that the weights show and the fields do not: all of them are taken to work."""
    shown = [w.shape[0] for layer in made.layers for w in layer.weights if w.role == "expert"]
    experts = made.experts or max(shown, default=0)
    return replace(made, experts=experts, experts_per_token=made.experts_per_token or experts)


def _refusal(fields: Fields, what: str) -> Refusal:
    return Refusal(
        f"this version does not know {fields.name}, and cannot estimate it: {what}",
        hint=HINT,
        path="model.source",
    )
