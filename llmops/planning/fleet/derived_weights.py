"""Weights and parameters derived: every kind of tensor, its shape, format and cut. Pure.

The same table of weights that the plan sums up (`memory.weights`), kept apart by what it is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.planning.architecture import ByExpert, ByKvHead, ByRow, Cut, Split, Weight, Whole
from llmops.planning.fleet.derivation import Derivation, made_up, total
from llmops.planning.memory import FLOAT32, share
from llmops.planning.parallel import Parallel, padded, stages
from llmops.planning.subject import Subject

GROUPS = ("embedding", "attention", "state layers", "feed-forward", "experts", "router", "norms",
          "head", "encoder", "towers", "other")  # fmt: skip
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Tensors that are alike."""

    group: str
    name: str
    shape: tuple[int, ...]
    copies: int
    cut: Cut
    bytes: int
    """Of one of them, on all devices together."""
    whole_precision: bool
    """Whether it is kept in float32."""

    @property
    def elements(self) -> int:
        """Of one of them."""
        size = self.copies
        for side in self.shape:
            size *= side
        return size


def parameters(subject: Subject, config: Mapping[str, Any]) -> Derivation:
    """Parameters, group by group, tied ones once."""
    counts = Counter(_everything(subject, lambda _, weight: weight.elements))
    found = _grouped(
        counts,
        lambda kind, count: Derivation(
            _name(kind, count), kind.elements * count, "", _shape(kind, count),
            _fields_of(config, kind),
        ),
        "",
    )  # fmt: skip
    how = "the head is the embedding table, counted once" if subject.profile.tied else ""
    return total("parameters", found, how, "")


def weight_bytes(subject: Subject, config: Mapping[str, Any]) -> Derivation:
    """Bytes of all weights once, group by group."""
    counts = Counter(_everything(subject, _sizes(subject)))
    found = _grouped(
        counts,
        lambda kind, count: Derivation(
            _name(kind, count), kind.bytes * count, "B", _arithmetic(kind, count),
            _fields_of(config, kind),
        ),
        "B",
    )  # fmt: skip
    return made_up(
        "weight_bytes", subject.weight_bytes, found, _form(subject), "B",
        "what the weight files hold beyond config.json",
    )  # fmt: skip


def on_device(
    subject: Subject, parallel: Parallel, config: Mapping[str, Any], capability: int | None = None
) -> Derivation:
    """Bytes of weights on the fullest device of a layout, group by group."""
    held = subject.stored_on(parallel, capability).on(parallel)
    stage = max(range(len(held)), key=lambda number: held[number])
    counts = Counter(_of_stage(subject, parallel, stage, _sizes(subject, parallel, capability)))
    found = _grouped(
        counts,
        lambda kind, count: Derivation(
            _name(kind, count),
            share(kind.cut, kind.bytes * count, parallel),
            "B",
            f"{_arithmetic(kind, count)}; {_cut(kind.cut, parallel)}",
            _fields_of(config, kind),
        ),
        "B",
    )
    where = f"{parallel}; " if parallel.devices > 1 else ""
    where += f"stage {stage} of {parallel.pipeline} holds most; " if parallel.pipeline > 1 else ""
    return made_up(
        "weights", subject.weights(parallel, capability), found, where + _form(subject), "B",
        "shares rounded, and what the weight files hold beyond config.json",
    )  # fmt: skip


def _form(subject: Subject) -> str:
    how = subject.quantisation
    return how.words if how is not None else f"as {subject.dtype}, {subject.element} bytes each"


def _sizes(
    subject: Subject, parallel: Parallel | None = None, capability: int | None = None
) -> Callable[[str, Weight], int]:
    """Bytes of one weight by its full name, as the plan has it."""
    how, element = subject.quantisation, subject.element
    ranks = 1 if parallel is None or parallel.expert else parallel.ranks

    def size(name: str, weight: Weight) -> int:
        if weight.float32:
            return weight.elements * FLOAT32
        if how is None:
            return weight.elements * element
        if how.tiles and parallel is not None:
            return how.padded(name, weight, element, ranks, capability)
        return how.stored(name, weight, element)

    return size


Sizes = Callable[[str, Weight], int]


def _everything(subject: Subject, sizes: Sizes) -> Iterator[_Kind]:
    profile = subject.profile
    yield from _layers(subject, 0, len(profile.layers), sizes)
    yield from _beside(subject, sizes, first=True, last=True)


def _of_stage(subject: Subject, parallel: Parallel, stage: int, sizes: Sizes) -> Iterator[_Kind]:
    profile = subject.profile
    start, end = stages(len(profile.layers), parallel.pipeline)[stage]
    first, last = stage == 0, stage == parallel.pipeline - 1
    yield from _layers(subject, start, end, sizes)
    yield from _beside(subject, sizes, first=first, last=last)
    if last and not first and profile.tied:
        tables = [w for w in profile.before if isinstance(w.cut, ByRow)]
        for weight in tables[:1]:
            yield _kind("head", weight, sizes(weight.name, weight))


def _layers(subject: Subject, start: int, end: int, sizes: Sizes) -> Iterator[_Kind]:
    profile = subject.profile
    for number in range(start, end):
        for weight in profile.layers[number].weights:
            name = f"{profile.stem}.{number}.{weight.name}"
            yield _kind(_group(weight), weight, sizes(name, weight))


def _beside(subject: Subject, sizes: Sizes, *, first: bool, last: bool) -> Iterator[_Kind]:
    profile = subject.profile
    if first:
        for weight in profile.before:
            yield _kind(_group(weight), weight, sizes(weight.name, weight))
        for weight in profile.towers:
            yield _kind("towers", weight, sizes(weight.name, weight))
        for number, layer in enumerate(profile.encoder):
            for weight in layer.weights:
                yield _kind("encoder", weight, sizes(f"encoder.{number}.{weight.name}", weight))
    if last:
        for weight in profile.after:
            yield _kind(_group(weight), weight, sizes(weight.name, weight))


def _kind(group: str, weight: Weight, size: int) -> _Kind:
    return _Kind(group, weight.name, weight.shape, weight.copies, weight.cut, size, weight.float32)


def _group(weight: Weight) -> str:
    named = {"embedding": "embedding", "head": "head", "norm": "norms", "expert": "experts",
             "router": "router"}.get(weight.role)  # fmt: skip
    if named:
        return named
    name, cut = weight.name, weight.cut
    if isinstance(cut, ByExpert):
        return "experts"
    if "router" in name:
        return "router"
    if isinstance(cut, ByKvHead) or "attn" in name or "attention" in name:
        return "attention"
    if any(word in name for word in ("mixer", "mamba", "ssm", "conv", "linear_attn")):
        return "state layers"
    if isinstance(cut, Split):
        return "attention" if "heads" in cut.what else "feed-forward"
    return "feed-forward" if "mlp" in name or "ffn" in name or "fc" in name else "other"


def _grouped(
    counts: Counter[_Kind], leaf: Callable[[_Kind, int], Derivation], unit: str
) -> Iterator[Derivation]:
    for group in GROUPS:
        kinds = [(kind, count) for kind, count in counts.items() if kind.group == group]
        if kinds:
            yield total(group, (leaf(kind, count) for kind, count in kinds), "", unit)


def _name(kind: _Kind, count: int) -> str:
    return f"{count} x {kind.name}" if count > 1 else kind.name


def _shape(kind: _Kind, count: int) -> str:
    shape = " x ".join(f"{side:,}" for side in kind.shape)
    times = "".join(f"{n:,} x " for n in (count, kind.copies) if n > 1)
    return f"{times}({shape})" if len(kind.shape) > 1 and times else f"{times}{shape}"


def _arithmetic(kind: _Kind, count: int) -> str:
    each, rest = divmod(kind.bytes, kind.elements)
    if rest:
        bits = 8 * kind.bytes / kind.elements
        return f"{_shape(kind, count)} x {bits:.4g} bits, scales and all"
    kept = " (kept in float32)" if kind.whole_precision else ""
    return f"{_shape(kind, count)} x {each} byte{'s' if each != 1 else ''}{kept}"


def _cut(cut: Cut, parallel: Parallel) -> str:
    tensor = parallel.tensor
    if isinstance(cut, Whole) or parallel.ranks == 1:
        return "all of it on every device"
    if isinstance(cut, ByExpert):
        if parallel.expert:
            each = -(-cut.experts // parallel.ranks)
            return f"{each} of {cut.experts} experts on a device"
        if cut.whole:
            return "whole on every device"
        return f"each of {cut.experts} experts cut over {parallel.ranks} devices"
    if tensor == 1:
        return "all of it on every device"
    if isinstance(cut, ByKvHead):
        if cut.heads < tensor:
            return f"{cut.heads} KV heads over {tensor} devices: one on each, held repeatedly"
        return f"{cut.heads // tensor} of {cut.heads} KV heads on a device"
    if isinstance(cut, ByRow):
        rows = padded(cut.rows)
        return f"{cut.rows:,} rows, padded to {rows:,}, over {tensor} devices"
    return f"{cut.units:,} {cut.what} over {tensor} devices"


_FIELDS = (
    "hidden_size", "n_embd", "d_model", "vocab_size", "intermediate_size", "d_ff", "ffn_dim",
    "moe_intermediate_size", "shared_expert_intermediate_size", "n_routed_experts", "num_experts",
    "num_local_experts", "num_attention_heads", "num_key_value_heads", "head_dim", "q_lora_rank",
    "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "mamba_d_ssm",
    "max_position_embeddings", "num_heads", "d_kv",
)  # fmt: skip
_SIZED = (("num_attention_heads", "head_dim"), ("num_key_value_heads", "head_dim"),
          ("num_heads", "d_kv"), ("num_attention_heads", "v_head_dim"))  # fmt: skip


def _fields_of(config: Mapping[str, Any], kind: _Kind) -> str:
    """Those of the text part say nothing of a tower, whatever sizes they share."""
    return "" if kind.group == "towers" else fields_of(config, kind.shape)


def fields_of(config: Mapping[str, Any], shape: tuple[int, ...]) -> str:
    """The fields of a configuration that the sides of a shape are; empty when none is known."""
    known = _counts(config)
    found = [words for side in shape if (words := _field(known, side))]
    return f"config.json: {', '.join(dict.fromkeys(found))}" if found else ""


def count_of(config: Mapping[str, Any], name: str) -> int | None:
    """A count of a configuration, or of its text part."""
    return _counts(config).get(name)


def _counts(config: Mapping[str, Any]) -> dict[str, int]:
    text = config.get("text_config")
    flat = {**config, **text} if isinstance(text, Mapping) else dict(config)
    known = {name: flat[name] for name in _FIELDS if _is_count(flat.get(name))}
    heads, hidden = known.get("num_attention_heads"), known.get("hidden_size")
    if "head_dim" not in known and heads and hidden:
        known["head_dim"] = hidden // heads
    return known


def _field(known: Mapping[str, int], side: int) -> str:
    for name, value in known.items():
        if value == side:
            return f"{name} {value}"
    for one, other in _SIZED:
        if one in known and other in known and known[one] * known[other] == side:
            return f"{one} {known[one]} x {other} {known[other]}"
    for name in ("intermediate_size", "moe_intermediate_size"):
        if 2 * known.get(name, 0) == side:
            return f"2 x {name} {known[name]}"
    return ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1
