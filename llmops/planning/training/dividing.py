"""A model cut over devices: what the device that holds most has of it, as a profile of its own.

Tensor parallelism cuts each layer's linear layers, and attention by its heads; norms, embeddings
and the head stay whole (Shoeybi et al., "Megatron-LM", 2019, section 3; transformers' plans of
`colwise` and `rowwise` layers). So what is kept is divided as Korthikanti et al. say ("Reducing
Activation Recomputation in Large Transformer Models", 2022, section 4.2): all but the inputs of
norms and of the first layer of each pair. Pipeline parallelism deals layers out, the first device
with the embeddings and the last with the head; so many micro batches are under way at once as there
are devices (Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters",
2021, section 2.2). What a family does otherwise is not known here.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.planning.architecture import Layer, Profile, Weight
from llmops.planning.refusal import Refusal
from llmops.planning.training.setup import TrainingSetup

_BACK = frozenset("o_proj out_proj down_proj fc2 c_proj dense dense_4h_to_h wo w2".split())
"""Linear layers that are cut by their inputs, because a cut layer is before them."""


def share(profile: Profile, setup: TrainingSetup) -> Profile:
    """What one device holds of a model; all of it where nothing is cut.

    Raises:
        Refusal: When the model cannot be cut over so many devices.
    """
    if setup.strategy == "tensor":
        return _cut(profile, setup.devices)
    if setup.strategy == "pipeline":
        return _stage(profile, setup.devices)
    return profile


def under_way(setup: TrainingSetup) -> int:
    """Micro batches whose activations a device holds at once, at most."""
    return setup.devices if setup.strategy == "pipeline" else 1


def _cut(profile: Profile, over: int) -> Profile:
    for count, what in (
        (profile.heads, "attention heads"),
        (profile.kv_heads, "key-value heads"),
        (profile.intermediate, "features of a feed-forward layer"),
    ):
        if count % over:
            raise Refusal(
                f"{profile.name} has {count} {what}, which {over} workers do not divide",
                path="training.tensor",
                hint="cut over a number that divides them, or have training.strategy: fsdp",
            )
    if profile.experts or profile.encoder or profile.towers:
        raise Refusal(
            f"{profile.name} has more than a plain decoder, and how that is cut is not known",
            path="training.strategy",
            hint="have training.strategy: fsdp",
        )
    layers: dict[int, Layer] = {}
    for layer in profile.layers:
        if id(layer) not in layers:
            weights = tuple(_part(weight, over) for weight in layer.weights)
            layers[id(layer)] = replace(layer, weights=weights)
    return replace(
        profile,
        heads=profile.heads // over,
        kv_heads=profile.kv_heads // over,
        intermediate=profile.intermediate // over,
        layers=tuple(layers[id(layer)] for layer in profile.layers),
    )


def _part(weight: Weight, over: int) -> Weight:
    """One device's part of a weight of a layer."""
    if weight.role == "linear" and len(weight.shape) == 2:
        outputs, inputs = weight.shape
        name = weight.name.removesuffix(".weight").rpartition(".")[2]
        if name in _BACK and inputs % over == 0:
            return replace(weight, shape=(outputs, inputs // over))
        if name not in _BACK and outputs % over == 0:
            return replace(weight, shape=(outputs // over, inputs))
    return weight


def _stage(profile: Profile, over: int) -> Profile:
    count = len(profile.layers)
    if over > count:
        raise Refusal(
            f"{profile.name} has {count} layers, too few for {over} workers",
            path="training.pipeline",
            hint=f"have at most {count} workers, or training.strategy: fsdp",
        )
    if profile.encoder or profile.towers:
        raise Refusal(
            f"{profile.name} has more than a plain decoder, and how that is dealt out is not known",
            path="training.strategy",
            hint="have training.strategy: fsdp",
        )
    layers = profile.layers[: -(-count // over)]
    tables = tuple(weight for weight in profile.before if weight.role == "embedding")
    after = (*(tables if profile.tied else ()), *profile.after)
    first = sum(weight.elements for weight in profile.before)
    last = sum(weight.elements for weight in after)
    # Counted is the heavier end together with the loss, which only the last has: none takes more.
    return replace(profile, layers=layers, before=() if last >= first else profile.before,
                   after=after if last >= first else profile.after)  # fmt: skip


__all__ = ["share", "under_way"]
