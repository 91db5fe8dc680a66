"""What the forward pass keeps for the backward pass, and the buffers of the loss.

Read off the operations themselves: a trained linear layer keeps its input, an activation its input,
a product both factors, a norm its input and what it normalised, attention its queries, keys,
values, result and one float32 for each head and token. For a decoder that gives Korthikanti et al.
("Reducing Activation Recomputation in Large Transformer Models", 2022, section 4), whose
`34 s b h + 5 a b s²` is the same sum for a plain feed-forward layer of width 4h with dropout; here
the shapes are the model's own, and formats those of transformers 5.19 (norms and the softmax are
float32). Dropout is not counted: today's decoders train without.

Layers of which the profile does not tell the operations (state-space layers, latent attention,
routed experts) are counted by their projections alone and named in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llmops.planning.architecture import Keys, Latent, Layer, Profile, State, Weight
from llmops.planning.training import operations
from llmops.planning.training.adapters import Linear, alike, of_layer, targeted
from llmops.planning.training.setup import TrainingSetup

FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that a layer keeps: for each token, each pair of tokens of a sequence, and at all."""

    token: int
    pair: int = 0
    fixed: int = 0

    def of(self, setup: TrainingSetup) -> int:
        """Bytes of a micro batch."""
        pairs = self.pair * setup.sequence * setup.tokens
        return self.token * setup.tokens + pairs + self.fixed


def saved(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes that are kept without checkpointing."""
    stacks = alike((*profile.layers, *profile.encoder))
    inside = sum(kept(layer, profile, setup).of(setup) * count for layer, count in stacks)
    return inside + _tail(profile, setup) - _untrained_input(profile, setup)


def checkpointed(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes that are kept with checkpointing: the inputs of the layers."""
    layers = len(profile.layers) + len(profile.encoder)
    inputs = layers * profile.hidden * setup.element * setup.tokens
    return inputs + _tail(profile, setup)


def backwards(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes of one layer's backward pass beside what was kept.

    With checkpointing all that the layer keeps, because it is computed anew; and the gradient of
    its widest tensor.
    """
    gradient = profile.intermediate * setup.element * setup.tokens
    if not setup.checkpointing:
        return gradient
    stacks = alike((*profile.layers, *profile.encoder))
    return gradient + max((kept(layer, profile, setup).of(setup) for layer, _ in stacks), default=0)


def logits(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes of the loss over the vocabulary at its worst moment, the start of the backward pass.

    The logits, their logarithmic softmax, its gradient and that of its input: transformers makes
    float32 of the logits (its `ForCausalLMLoss`), and the 16-bit ones are still in its answer.
    """
    return held_logits(profile, setup) + 3 * FLOAT32 * _scores(profile, setup)


def held_logits(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes of the logits themselves, which are there until the step ends."""
    return setup.element * _scores(profile, setup)


def _scores(profile: Profile, setup: TrainingSetup) -> int:
    """Elements of the logits; none of a model that embeds or classifies."""
    generates = profile.task in ("generate", "transduce")
    return setup.tokens * profile.vocabulary if generates else 0


def estimated(profile: Profile) -> tuple[str, ...]:
    """What of the activations is estimated, in sentences."""
    layers = [layer for layer, _ in alike((*profile.layers, *profile.encoder))]
    memories = [memory for layer in layers for memory in layer.memory]
    found = []
    if any(isinstance(memory, State) for memory in memories):
        found.append("state-space and linear-attention layers")
    if any(isinstance(memory, Latent) for memory in memories):
        found.append("latent attention")
    if profile.experts:
        found.append("routed experts")
    if profile.towers:
        found.append("the vision or audio part, whose activations are left out")
    return tuple(f"activations are estimated for {name}" for name in found)


def kept(layer: Layer, profile: Profile, setup: TrainingSetup) -> Kept:
    """What one layer keeps."""
    linears = of_layer(layer.weights, profile.model_type, 1)
    token = sum(_norms(layer.weights, profile, setup))
    token += sum(_experts(linears, profile, setup))
    token += sum(_projections(linears, profile, setup))
    pair, fixed = 0, sum(_summed(linears, profile, setup))
    if _attends(layer) and setup.flash_attention and not operations.biased(profile):
        token += FLOAT32 * profile.heads
    elif _attends(layer):
        # The float32 softmax, and a copy of it in the format of the values; keys and values are
        # repeated for each head that shares them.
        pair = profile.heads * (FLOAT32 + (setup.element if setup.element < FLOAT32 else 0))
        repeated = 2 * (profile.heads - profile.kv_heads) * profile.head_dim * setup.element
        token += max(0, repeated)
    return Kept(token, pair, fixed)


def _attends(layer: Layer) -> bool:
    """Whether it has attention; encoders remember nothing, so their weights tell."""
    if any(isinstance(memory, State) for memory in layer.memory):
        return any(isinstance(memory, (Keys, Latent)) for memory in layer.memory)
    return any("att" in weight.name.lower() for weight in layer.weights if weight.role == "linear")


def _norms(weights: Iterable[Weight], profile: Profile, setup: TrainingSetup) -> Iterator[int]:
    """Bytes for a token of each norm.

    An RMS norm keeps its input in float32 and the root of its mean square; to train its weight also
    what it normalised. PyTorch's layer norm keeps its input as it is, its mean and its deviation.
    """
    found = [weight for weight in weights if weight.role == "norm"]
    biases = frozenset(w.name.removesuffix(".bias") for w in found if _is_bias(w))
    for weight in found:
        if _is_bias(weight):
            continue
        size, often = weight.shape[0], weight.copies * operations.times(weight, profile)
        trained = 0 if setup.adapted else operations.normalised(setup.element, profile)
        if operations.layer_norm(weight, biases, profile):
            yield often * (size * setup.element + 2 * FLOAT32)
        else:
            yield often * (size * (FLOAT32 + trained) + FLOAT32)


def _is_bias(weight: Weight) -> bool:
    return weight.name.endswith(".bias")


def _projections(
    linears: Iterable[Linear], profile: Profile, setup: TrainingSetup
) -> Iterator[int]:
    """Bytes for a token of the linear layers: results that others keep, inputs of trained ones."""
    shared: set[tuple[str, int]] = set()
    for one in linears:
        if one.role != "linear":
            continue
        yield _results(one, profile, setup) * setup.element * one.count
        back = operations.goes_back(one)
        group = one.name if back else one.name.rpartition(".")[0]
        own = back and operations.attends(one) and setup.flash_attention
        yield _input(one, targeted(one, profile, setup), setup, shared, group, own)


def _results(one: Linear, profile: Profile, setup: TrainingSetup) -> int:
    """Features of what a linear layer gives that are kept, by whatever uses them."""
    if operations.goes_back(one):
        return 0
    twice = operations.kept_twice(one, profile) if setup.flash_attention else 0
    gate = operations.gate(one, profile)
    width = gate or one.outputs
    return one.outputs + gate + twice + width * operations.steps(one, profile)


def _input(
    one: Linear,
    adapted: bool,
    setup: TrainingSetup,
    shared: set[tuple[str, int]],
    group: str,
    kept_anyway: bool,
) -> int:
    """Bytes for a token of a linear layer's input, once for those that share it.

    An adapter reads it in float32, a copy for each unless it is float32 already; and it keeps what
    its first matrix gave. Attention's result is kept by attention itself.
    """
    own = one.inputs * setup.element if kept_anyway else 0
    if not setup.adapted:
        return own or _once(shared, group, one.inputs, one.inputs * setup.element)
    if not adapted:
        return own
    between = FLOAT32 * setup.rank
    if setup.element == FLOAT32:
        return between + (own or _once(shared, group, one.inputs, one.inputs * FLOAT32))
    return between + own + one.inputs * FLOAT32


def _once(shared: set[tuple[str, int]], group: str, inputs: int, bytes_: int) -> int:
    if (group, inputs) in shared:
        return 0
    shared.add((group, inputs))
    return bytes_


def _experts(linears: Iterable[Linear], profile: Profile, setup: TrainingSetup) -> Iterator[int]:
    """Bytes for a token of routed experts: those that it is sent to, each as a layer of its own."""
    for one in linears:
        if one.role != "expert":
            continue
        trained = 0 if setup.adapted else one.inputs
        # Into an expert: the gathered input, both halves, the activated half. Out of it: the
        # product and what is weighted by the router.
        into = not operations.goes_back(one)
        inner = one.outputs + one.outputs // 2 if into else one.outputs
        yield profile.experts_per_token * (trained + inner) * setup.element


def _summed(linears: Iterable[Linear], profile: Profile, setup: TrainingSetup) -> Iterator[int]:
    """Bytes of tables of experts with their adapters added in: peft makes the sum, and it is kept
    (its `ParamWrapper`, 0.21)."""
    for one in linears:
        if one.role == "expert" and targeted(one, profile, setup):
            yield one.count * one.outputs * one.inputs * setup.element


def _tail(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes of the last norm and of the head's input."""
    norms = sum(_norms(profile.after, profile, setup))
    head = 0 if setup.adapted else profile.hidden * setup.element
    return (norms + head) * setup.tokens


def _untrained_input(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes that the first norm need not keep, since nothing before it is trained."""
    if not setup.adapted or not profile.layers:
        return 0
    first = next(_norms(profile.layers[0].weights, profile, setup), 0)
    return first * setup.tokens
