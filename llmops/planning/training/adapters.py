"""Which layers get adapters, and how many parameters those have.

An adapter of a linear layer is two matrices, `(rank, inputs)` and `(outputs, rank)`, so it has
`rank · (inputs + outputs)` parameters (Hu et al., "LoRA", 2021, section 4.1). What counts as a
linear layer is what peft 0.21 finds in the models of transformers 5.19: names are matched whole or
by their end after a full stop. Projections that the profile lists apart and the model has as one
are one here too. `all-linear` reaches the routed experts of some families only, and then leaves out
their other feed-forward layers, as peft does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llmops.planning.architecture import Layer, Profile, Weight
from llmops.planning.refusal import Refusal
from llmops.planning.training.setup import ALL_LINEAR, TrainingSetup

_EXPERTS_TOO = frozenset(
    "afmoe cohere2_moe deepseek_v2 deepseek_v3 deepseek_v32 dots1 ernie4_5_moe exaone_moe flex_olmo"
    " glm4_moe glm4_moe_lite glm4v_moe glm_moe_dsa hunyuan_v1_moe longcat_flash mellum minimax"
    " minimax_m2 mixtral olmoe qwen3_moe qwen3_next qwen3_omni_moe solar_open".split()
)
"""Types whose expert projections peft finds as tables of three dimensions (its
`transformers_weight_conversion`): those count for `all-linear`, with a rank for each half of a
fused table, the router too; dense and shared layers of the same names do not."""

_ROUTER_IS_LINEAR = frozenset({"jamba", "llama4", "llama4_text", "phimoe"})

_FUSED_HEADS = {"falcon": "query_key_value", "gpt_bigcode": "c_attn", "phi3": "qkv_proj"}
"""Types in which queries, keys and values are one layer of this name."""

_HEADS = ("q_proj", "k_proj", "v_proj")

_NOT_IN_MAMBA = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
"""Types in which peft refuses an adapter of `out_proj`."""

_NEVER = frozenset({"bias", "norm", "other"})

_HALVES = {"gate_up_proj": 2}
"""Fused tables of experts, and the projections in them."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A layer that can have an adapter."""

    name: str
    """Within its layer: `self_attn.q_proj`."""
    outputs: int
    inputs: int
    role: str
    """As in the profile; `linear` for what is one in a vision or audio part."""
    count: int
    """How often it occurs; experts each."""
    ranks: int = 1
    """Adapters that it holds as one, of the rank each."""

    def parameters(self, rank: int) -> int:
        """Parameters of all its adapters."""
        return self.count * self.ranks * rank * (self.inputs + self.outputs)


def adapters(profile: Profile, setup: TrainingSetup) -> tuple[Linear, ...]:
    """The layers that get adapters; none for full training.

    Raises:
        Refusal: When no layer has such a name, or peft cannot give it one.
    """
    if not setup.adapted:
        return ()
    every = linears(profile)
    found = tuple(one for one in every if targeted(one, profile, setup))
    if not found:
        names = dict.fromkeys(_last(one.name) for one in every if one.role == "linear")
        raise Refusal(
            f"no layer of {profile.name} is called {' or '.join(setup.targets)},"
            " so there is nothing to train",
            path="model.source",
            hint=f"its linear layers are {', '.join(names) or 'none'}",
        )
    if profile.model_type in _NOT_IN_MAMBA and any(_last(one.name) == "out_proj" for one in found):
        names = dict.fromkeys(_last(one.name) for one in found if _last(one.name) != "out_proj")
        raise Refusal(
            f"peft gives 'out_proj' of {profile.name} no adapter: its kernels read the weight"
            " past the layer",
            path="model.source",
            hint=f"name other layers: {', '.join(names) or 'there are none'}",
        )
    return found


def adapter_parameters(profile: Profile, setup: TrainingSetup) -> int:
    """Parameters of all adapters: what peft's `get_peft_model` makes trainable.

    Raises:
        Refusal: When no layer has such a name, or peft cannot give it one.
    """
    return sum(one.parameters(setup.rank) for one in adapters(profile, setup))


def targeted(layer: Linear, profile: Profile, setup: TrainingSetup) -> bool:
    """Whether a layer gets an adapter."""
    if not setup.adapted:
        return False
    if setup.targets == (ALL_LINEAR,):
        return _every(layer, profile.model_type)
    return layer.role in ("linear", "embedding", "head") and any(
        layer.name == target or layer.name.endswith(f".{target}") for target in setup.targets
    )


def _every(layer: Linear, kind: str) -> bool:
    last = _last(layer.name)
    if kind in _EXPERTS_TOO:
        fused = last in ("gate_proj", "up_proj", "down_proj") and layer.role == "linear"
        more = layer.role == "expert" or last in ("gate", "shared_expert_gate")
        return more or (layer.role == "linear" and not fused)
    if layer.role == "router":
        return kind in _ROUTER_IS_LINEAR or last == "shared_expert_gate"
    return layer.role == "linear"


def linears(profile: Profile) -> tuple[Linear, ...]:
    """All layers that could have an adapter, alike ones of alike layers together."""
    found: list[Linear] = []
    for layer, count in alike((*profile.layers, *profile.encoder)):
        found += of_layer(layer.weights, profile.model_type, count)
    found += of_layer((*profile.before, *profile.after), profile.model_type, 1)
    for one in of_layer(profile.towers, profile.model_type, 1, everything=True):
        table = "embed" in one.name or one.role == "embedding"
        found += [] if table else [one]
    return tuple(found)


def of_layer(
    weights: Iterable[Weight], kind: str, count: int, *, everything: bool = False
) -> list[Linear]:
    """The layers among some weights, parts of one put together.

    Args:
        kind: The model type, which tells what is one layer.
        count: How often these weights occur.
        everything: Whether any matrix is a linear layer, as in a vision part, where the profile
            marks what is never quantised as `other`.
    """
    found: dict[str, Linear] = {}
    for weight in weights:
        name, dot, _ = weight.name.partition(".weight")
        if weight.role == "expert" and len(weight.shape) == 3:
            found[weight.name] = _expert(weight, count)
            continue
        if not dot or len(weight.shape) != 2 or (weight.role in _NEVER and not everything):
            continue
        one = _linear(_called(name, kind), weight, count, everything)
        there = found.get(one.name)
        found[one.name] = _together(there, one) if there else one
    return list(found.values())


def _linear(name: str, weight: Weight, count: int, everything: bool) -> Linear:
    outputs, inputs = weight.shape
    role = "linear" if everything and weight.role != "embedding" else weight.role
    return Linear(name, outputs, inputs, role, count * weight.copies)


def _expert(weight: Weight, count: int) -> Linear:
    number, outputs, inputs = weight.shape
    ranks = _HALVES.get(_last(weight.name), 1)
    return Linear(weight.name, outputs, inputs, "expert", count * weight.copies * number, ranks)


def _together(one: Linear, other: Linear) -> Linear:
    """Two parts of one layer that differ in their outputs."""
    outputs = one.outputs + other.outputs
    return Linear(one.name, outputs, one.inputs, one.role, one.count)


def _called(name: str, kind: str) -> str:
    prefix, dot, last = name.rpartition(".")
    if kind in _FUSED_HEADS and last in _HEADS:
        return f"{prefix}{dot}{_FUSED_HEADS[kind]}"
    return name


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def counted(profile: Profile) -> Iterator[tuple[Weight, int]]:
    """Every weight of the model, with the number of layers that have it."""
    for layer, count in alike((*profile.layers, *profile.encoder)):
        for weight in layer.weights:
            yield weight, count
    for weight in (*profile.before, *profile.after, *profile.towers):
        yield weight, 1


def alike(layers: Iterable[Layer]) -> list[tuple[Layer, int]]:
    """Layers that are one object, with their number; in the order of their first.

    A model of thousands of layers costs no more than its kinds of layers.
    """
    counts: dict[int, list[Layer]] = {}
    for layer in layers:
        counts.setdefault(id(layer), []).append(layer)
    return [(same[0], len(same)) for same in counts.values()]
