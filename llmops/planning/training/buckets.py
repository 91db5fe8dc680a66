"""Buffers of the exchange between devices: gradients on their way, weights gathered for a moment.

The libraries' defaults, since a tuned bucket is the user's own figure. Nothing was measured here:
this needs several devices.
"""

from __future__ import annotations

from collections.abc import Iterable

from llmops.planning.architecture import Profile, Weight
from llmops.planning.training.adapters import alike
from llmops.planning.training.setup import TrainingSetup
from llmops.planning.training.states import (
    Held,
    gradient_element,
    nf4_bytes,
    quantised,
    trainable,
)

BUCKET = 500_000_000
"""Elements of DeepSpeed's `reduce_bucket_size` and `allgather_bucket_size`; the first is taken
whole whatever is trained (its stage_1_and_2.py, stage3.py)."""

LIVE = 1_000_000_000
"""Elements of weights that ZeRO 3 lets stay gathered (its `stage3_max_live_parameters`)."""


def buckets(profile: Profile, setup: TrainingSetup) -> Held:
    """Buffers of one device.

    Raises:
        Refusal: When no layer gets an adapter.
    """
    if setup.strategy.startswith("zero"):
        return _deepspeed(profile, setup)
    if setup.devices == 1:
        return Held(0, "none: one device exchanges nothing")
    if setup.strategy in ("tensor", "pipeline"):
        return Held(0, "none: hidden states are exchanged, and are counted where they are kept")
    return _ddp(profile, setup) if setup.strategy == "ddp" else _fsdp(profile, setup)


def _ddp(profile: Profile, setup: TrainingSetup) -> Held:
    """PyTorch's DDP copies gradients into buckets, unless `gradient_as_bucket_view` is set; that
    saves as much as the gradients take (its documentation)."""
    count, element = trainable(profile, setup), gradient_element(setup)
    words = f"DDP's buckets are a copy of the gradients: {count:,} x {element} bytes"
    return Held(count * element, words)


def _deepspeed(profile: Profile, setup: TrainingSetup) -> Held:
    reduce = BUCKET * setup.element
    if setup.strategy == "zero3":
        live = min(LIVE, profile.parameters)
        words = f"{live:,} gathered parameters and a bucket of {BUCKET:,} gradients"
        return Held(live * setup.element + reduce, f"{words} x {setup.element} bytes")
    gather = min(BUCKET, trainable(profile, setup))
    words = f"a bucket of {BUCKET:,} gradients and one of {gather:,} weights"
    return Held(reduce + gather * setup.element, f"{words} x {setup.element} bytes")


def _fsdp(profile: Profile, setup: TrainingSetup) -> Held:
    """What is outside the layers stays gathered (`reshard_after_forward` of the root); of the
    layers one is computed with while the next is fetched; a layer's gradients are whole until they
    are dealt out (Zhao et al., "PyTorch FSDP", 2023, section 3)."""
    outside = _gathered((*profile.before, *profile.after, *profile.towers), setup, inside=False)
    layers = [layer for layer, _ in alike((*profile.layers, *profile.encoder))]
    largest = max((_gathered(layer.weights, setup, inside=True) for layer in layers), default=0)
    own = max((layer.elements for layer in layers), default=0)
    gradient = 0 if setup.adapted else own * setup.element
    words = "embeddings, head and last norm stay gathered, with two layers"
    words += "" if setup.adapted else " and the gradients of one"
    return Held(outside + 2 * largest + gradient, words)


def _gathered(weights: Iterable[Weight], setup: TrainingSetup, *, inside: bool) -> int:
    """Bytes of weights once gathered, in the format that is computed in or in 4 bits."""
    return sum(
        nf4_bytes(weight.elements)
        if setup.method == "qlora" and quantised(weight, inside)
        else weight.elements * setup.element
        for weight in weights
    )
