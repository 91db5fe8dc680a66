"""What families do otherwise between their linear layers, as far as it decides what is kept.

A profile has weights, not operations: how a norm or an activation is written decides how many
tensors it keeps. Read off the modelling files of transformers 5.19, and measured on tiny models; a
type that is not named here is counted as Llama is built. Nothing here counts bytes.
"""

from __future__ import annotations

from llmops.planning.architecture import Profile, Weight
from llmops.planning.training.adapters import Linear

_BACK = frozenset(
    "o o_proj out_proj out_lin down_proj fc2 lin2 wo w2 c_proj dense dense_4h_to_h".split()
)
"""Projections back into the hidden states, whose result nothing keeps."""

_GATES = {"gate_proj": 1, "wi_0": 1, "w1": 1, "gate_up_proj": 2, "wi": 2}
"""Projections whose activated result is multiplied, so that it is kept as well; those that hold
both factors have 2. `wi` is ModernBERT's; T5's of that name has no second factor."""

_LAYER_NORMS = frozenset({"modernbert", "mpt"})
"""Types whose norms are PyTorch's layer norm though they have no bias."""

_SEVERAL_STEPS = frozenset({"gpt2", "gptj", "mt5", "phi", "t5", "umt5"})
"""Types whose GELU is written as a product of a tangent (`gelu_new`): it keeps three tensors more
than a GELU of one step."""

_RELU = frozenset({"opt"})
"""Types with a ReLU, which keeps its result, as the next layer does, instead of its input."""

_ROTATED_PART = frozenset({"falcon", "gpt_neox", "modernbert", "phi3"})
"""Types that rotate queries and keys out of one fused result: values keep all of it."""

_BIASED = frozenset({"mt5", "t5", "umt5"})
"""Types that add a bias to attention's scores, with which no flash kernel computes."""


def goes_back(layer: Linear) -> bool:
    """Whether a linear layer's result is added to the hidden states."""
    prefix, _, last = layer.name.rpartition(".")
    return last.lower() in _BACK and not prefix.endswith("intermediate")


def attends(layer: Linear) -> bool:
    """Whether a linear layer belongs to attention."""
    return "att" in layer.name.lower()


def gate(layer: Linear, profile: Profile) -> int:
    """Features of the activated half of a gated layer; 0 where it has no gate."""
    last = layer.name.rpartition(".")[2].lower()
    if last == "wi" and profile.model_type in _BIASED:
        return 0
    return layer.outputs // _GATES[last] if last in _GATES else 0


def steps(layer: Linear, profile: Profile) -> int:
    """Tensors of a feed-forward layer's width that its activation keeps beyond its input; below 0
    when not even that."""
    last = layer.name.rpartition(".")[2].lower()
    if attends(layer) or goes_back(layer) or last in ("wi_1", "up_proj"):
        return 0
    if profile.model_type in _RELU or (last == "wi" and profile.model_type in _BIASED):
        return -1
    return 3 if profile.model_type in _SEVERAL_STEPS else 0


def kept_twice(layer: Linear, profile: Profile) -> int:
    """Features of queries and keys that are kept in a fused result and again once rotated."""
    if profile.model_type not in _ROTATED_PART or goes_back(layer) or not attends(layer):
        return 0
    return layer.outputs - profile.kv_heads * profile.head_dim


def biased(profile: Profile) -> bool:
    """Whether attention adds a bias, and so keeps its scores whatever kernel is asked for."""
    return profile.model_type in _BIASED


def layer_norm(weight: Weight, biases: frozenset[str], profile: Profile) -> bool:
    """Whether a norm is PyTorch's layer norm, which keeps its input as it is."""
    return weight.name.removesuffix(".weight") in biases or profile.model_type in _LAYER_NORMS


def normalised(element: int, profile: Profile) -> int:
    """Bytes of an element of what a trained RMS norm multiplies its weight with: Gemma's in
    float32, before it is made as small as its input."""
    return 4 if profile.model_type.startswith("gemma") else element


def times(weight: Weight, profile: Profile) -> int:
    """How often a norm is applied to a token: those of queries and keys once for each head."""
    last = weight.name.removesuffix(".weight").rpartition(".")[2]
    if last not in ("q_norm", "k_norm") or weight.shape != (profile.head_dim,):
        return 1
    return profile.heads if last == "q_norm" else profile.kv_heads
