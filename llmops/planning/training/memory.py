"""The memory of training on each device, every figure with its reason.

The higher of two moments, on top of what is held and of what the forward pass kept: the start of
the backward pass, with the loss over the vocabulary; and the backward pass of a layer. Optimisers
are taken as fused, as the Trainer of transformers 5.19 takes AdamW; PyTorch's `foreach` ones need
about another copy of the weights for a moment (its documentation). Left out, because nothing here
was measured on a GPU: its context, the allocator's fragmentation, temporary tensors of kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import Profile
from llmops.planning.model import Figure
from llmops.planning.refusal import Refusal
from llmops.planning.training import activations, states
from llmops.planning.training.buckets import buckets
from llmops.planning.training.dividing import share, under_way
from llmops.planning.training.setup import TrainingSetup
from llmops.planning.training.states import Held

MOMENTS = {
    "logits": "the loss itself takes less than the backward pass of a layer",
    "working": "the backward pass of a layer takes less than the loss",
}
"""Why one of the two moments is not counted."""


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes of one device."""

    parameters: Figure
    """The model's weights as they are computed with."""
    adapters: Figure
    gradients: Figure
    optimiser: Figure
    """States of the optimiser."""
    master_weights: Figure
    activations: Figure
    """What the forward pass keeps, as it was set up: one of the two below."""
    kept: Figure
    """Activations without checkpointing."""
    checkpointed: Figure
    """Activations with checkpointing."""
    logits: Figure
    """The loss over the vocabulary, at the start of the backward pass."""
    working: Figure
    """Of the backward pass of one layer, and of the logits what is still there: when that is more
    than the loss took."""
    buckets: Figure
    """Buffers of the exchange between devices."""
    total: Figure
    trainable: Figure
    """Number of parameters that are trained, over all devices; not bytes."""
    notes: tuple[str, ...]
    """Sentences for the user: what is estimated."""


def training_memory(profile: Profile, setup: TrainingSetup) -> TrainingMemory:
    """Work out the memory of training a model.

    Raises:
        Refusal: When the sequence is longer than the model can take, or no layer gets an adapter.
    """
    _check(profile, setup)
    whole, profile = profile, share(profile, setup)
    held = {
        "parameters": states.weights(profile, setup),
        "adapters": states.adapter_weights(profile, setup),
        "gradients": states.gradients(profile, setup),
        "optimiser": states.optimiser(profile, setup),
        "master_weights": states.master(profile, setup),
        "logits": _logits(profile, setup),
        "working": _working(profile, setup),
        "buckets": buckets(profile, setup),
    }
    kept, again = _kept(profile, setup), _checkpointed(profile, setup)
    chosen = again if setup.checkpointing else kept
    figures = {name: _figure(one) for name, one in held.items()}
    count = states.trainable(whole, setup)
    words = f"{100 * count / whole.parameters:.3g} % of {whole.parameters:,}"
    return TrainingMemory(
        **figures,
        activations=_figure(chosen),
        kept=_figure(kept),
        checkpointed=_figure(again),
        total=_total({**held, "activations": chosen}),
        trainable=Figure(count, words),
        notes=(*whole.notes, *activations.estimated(whole)),
    )


def _check(profile: Profile, setup: TrainingSetup) -> None:
    if setup.sequence > profile.max_positions:
        raise Refusal(
            f"sequences of {setup.sequence} tokens are longer than the {profile.max_positions}"
            f" that {profile.name} was made for",
            path="model.source",
            hint=f"train on sequences of at most {profile.max_positions} tokens",
        )


def _logits(profile: Profile, setup: TrainingSetup) -> Held:
    bytes_ = activations.logits(profile, setup)
    if not bytes_:
        return Held(0, "none: the model has no head over the vocabulary")
    return Held(
        bytes_,
        f"{profile.vocabulary:,} tokens of the vocabulary x {_batch(setup)} x"
        f" ({setup.element} bytes of logits + 3 float32 copies: softmax and two gradients)",
    )


def _kept(profile: Profile, setup: TrainingSetup) -> Held:
    layers = len(profile.layers) + len(profile.encoder)
    scores = "without" if setup.flash_attention else "with"
    words = f"{_batch(setup)} through {layers} layers, {scores} attention's matrix of scores"
    return Held(activations.saved(profile, setup) * under_way(setup), words + _under_way(setup))


def _checkpointed(profile: Profile, setup: TrainingSetup) -> Held:
    inputs = activations.checkpointed(profile, setup) * under_way(setup)
    layers = len(profile.layers) + len(profile.encoder)
    words = f"inputs of {layers} layers x {profile.hidden} x {_batch(setup)}"
    return Held(inputs, f"{words} x {setup.element} bytes, and the last norm's{_under_way(setup)}")


def _working(profile: Profile, setup: TrainingSetup) -> Held:
    parts = {
        "one layer computed anew" if setup.checkpointing else "gradients inside one layer":
            activations.backwards(profile, setup),
        "the largest gradient or weight made for a moment": states.widest(profile, setup),
        "logits": activations.held_logits(profile, setup),
    }  # fmt: skip
    words = ", ".join(f"{name} ({bytes_:,} bytes)" for name, bytes_ in parts.items() if bytes_)
    return Held(sum(parts.values()), words)


def _under_way(setup: TrainingSetup) -> str:
    """In words, how many micro batches are held at once."""
    several = under_way(setup)
    return f", of {several} micro batches under way" if several > 1 else ""


def _batch(setup: TrainingSetup) -> str:
    return f"{setup.micro_batch} x {setup.sequence} tokens"


def _figure(held: Held) -> Figure:
    return Figure(held.bytes, held.reason)


def _total(parts: dict[str, Held]) -> Figure:
    lower = min(("logits", "working"), key=lambda name: parts[name].bytes)
    there = {n.replace("_", " "): h.bytes for n, h in parts.items() if h.bytes and n != lower}
    words = " + ".join(there)
    return Figure(sum(there.values()), f"{words}; {MOMENTS[lower]}")
