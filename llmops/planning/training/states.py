"""What a device holds between steps: weights, gradients, and what the optimiser remembers.

Mixed-precision Adam holds 16 bytes a parameter: 2 for the weight, 2 for the gradient, 12 for the
float32 weight and two moments. Sharding over N devices divides the 12 (ZeRO 1), the gradient too
(ZeRO 2), and the weight too (ZeRO 3, FSDP): Rajbhandari et al., "ZeRO: Memory Optimizations Toward
Training Trillion Parameter Models", 2020, section 3.1 and figure 1. Gradients are counted as held,
as they are from the second micro batch of an accumulation on.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import Profile, Weight
from llmops.planning.training.adapters import adapter_parameters, adapters, counted
from llmops.planning.training.setup import ELEMENT, TrainingSetup

BLOCK_8BIT = 256
"""Elements that share a float32 scale in bitsandbytes' 8-bit states (its optim/optimizer.py,
0.50; 2048 in the paper, Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022)."""

LEAST_8BIT = 4096
"""Tensors of fewer elements keep float32 states (its `min_8bit_size`)."""

NF4_BLOCK = 64
"""Weights that share a scale in NF4."""

NF4_GROUP = 256
"""Scales, themselves in 8 bits, that share a float32 scale (double quantisation)."""

_SHARDED = {
    "ddp": frozenset[str](),
    "tensor": frozenset[str](),
    "pipeline": frozenset[str](),
    "zero1": frozenset({"states"}),
    "zero2": frozenset({"states", "gradients"}),
    "zero3": frozenset({"states", "gradients", "weights"}),
    "fsdp": frozenset({"states", "gradients", "weights"}),
}
"""What each strategy divides over the devices, of what it has of the model."""


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of one device, and in words what they are made of."""

    bytes: int
    reason: str


def nf4_bytes(elements: int) -> int:
    """Bytes of a tensor in NF4 with double quantisation.

    4 bits, 8/64 for the scale and 32/(64 · 256) for the scale's scale: 4.127 bits a weight
    (Dettmers et al., "QLoRA", 2023, section 3), each kind of scale rounded up to whole ones.
    """
    scales = -(-elements // NF4_BLOCK)
    return -(-elements // 2) + scales + 4 * -(-scales // NF4_GROUP)


def shards(setup: TrainingSetup, what: str) -> int:
    """Over how many devices something is divided."""
    return setup.devices if what in _SHARDED[setup.strategy] else 1


def quantised(weight: Weight, inside: bool) -> bool:
    """Whether bitsandbytes puts it into 4 bits: linear layers of the stacks; never the head."""
    return inside and weight.role == "linear" and len(weight.shape) == 2


def weights(profile: Profile, setup: TrainingSetup) -> Held:
    """The model's own weights, in the format that is computed in."""
    count, over = profile.parameters, shards(setup, "weights")
    if setup.method == "qlora":
        return _quantised(profile, setup, over)
    if setup.mixed and setup.strategy == "fsdp":
        return Held(0, "FSDP keeps the float32 weights, and 16-bit ones of gathered layers only")
    return Held(
        _divided(count * setup.element, over),
        f"{count:,} parameters x {setup.element} bytes ({setup.dtype}){_over(over)}",
    )


def _quantised(profile: Profile, setup: TrainingSetup, over: int) -> Held:
    outside = sum(w.elements for w in (*profile.before, *profile.after))
    packed = rest = inside = 0
    for weight, count in counted(profile):
        if quantised(weight, True):
            packed += nf4_bytes(weight.elements // weight.copies) * weight.copies * count
            inside += weight.elements * count
    rest = profile.parameters - inside
    kind = "float32" if setup.upcast else setup.dtype
    held = packed + rest * setup.element
    return Held(
        _divided(held, over),
        f"{inside:,} parameters of linear layers in NF4 (4.127 bits) and {rest:,} in {kind},"
        f" {outside:,} of them embeddings, head and last norm{_over(over)}",
    )


def master(profile: Profile, setup: TrainingSetup) -> Held:
    """Float32 weights beside 16-bit ones."""
    if not setup.mixed:
        why = "the adapters are float32" if setup.adapted else "the weights are updated themselves"
        return Held(0, f"none: {why}")
    over, count = shards(setup, "states"), profile.parameters
    return Held(_divided(4 * count, over), f"{count:,} parameters x 4 bytes (float32){_over(over)}")


def adapter_weights(profile: Profile, setup: TrainingSetup) -> Held:
    """The adapters, which peft makes float32 whatever the model is (`autocast_adapter_dtype`)."""
    count, over = adapter_parameters(profile, setup), shards(setup, "weights")
    if not setup.adapted:
        return Held(0, "none: every weight is trained")
    layers = sum(one.count for one in adapters(profile, setup))
    words = f"rank {setup.rank} x (inputs + outputs) of {layers} linear layers: {count:,} x 4 bytes"
    return Held(_divided(4 * count, over), f"{words} (float32){_over(over)}")


def trainable(profile: Profile, setup: TrainingSetup) -> int:
    """Parameters that are trained."""
    return adapter_parameters(profile, setup) if setup.adapted else profile.parameters


def gradients(profile: Profile, setup: TrainingSetup) -> Held:
    """A gradient for each parameter that is trained, in its format."""
    count, over = trainable(profile, setup), shards(setup, "gradients")
    element = gradient_element(setup)
    return Held(
        _divided(count * element, over), f"{count:,} trained x {element} bytes{_over(over)}"
    )


def gradient_element(setup: TrainingSetup) -> int:
    """Bytes of an element of a held gradient: adapters and FSDP's float32 weights have 4."""
    sharded = setup.mixed and setup.strategy == "fsdp"
    return 4 if setup.adapted or sharded else setup.element


def widest(profile: Profile, setup: TrainingSetup) -> int:
    """Bytes of the largest tensor made for one weight at a time in the backward pass.

    The new gradient of a weight before it is added to the held one; of a weight in 4 bits, the
    weight itself in the format that is computed in.
    """
    every = [weight for weight, _ in counted(profile)]
    if setup.method == "qlora":
        every = [weight for weight in every if quantised(weight, True)]
    elif setup.adapted:
        return max(
            4 * one.ranks * setup.rank * max(one.outputs, one.inputs)
            for one in adapters(profile, setup)
        )
    element = ELEMENT[setup.dtype]
    return max((element * weight.elements // weight.copies for weight in every), default=0)


def optimiser(profile: Profile, setup: TrainingSetup) -> Held:
    """What the optimiser remembers of each parameter that is trained."""
    over = shards(setup, "states")
    element = 4 if setup.adapted or setup.mixed else setup.element
    bytes_ = sum(
        _states(shape, setup, element) * count for shape, count in _trained(profile, setup)
    )
    kind = {4: "float32", 2: "16 bits"}[element]
    words = {
        "adamw": f"two moments in {kind}",
        "adamw_8bit": f"two moments of 1 byte, a scale of 4 bytes for {BLOCK_8BIT} elements",
        "adafactor": f"a row and a column of each matrix in {kind}",
        "sgd": "nothing: there is no momentum",
    }
    held = f"{words[setup.optimiser]}, for {trainable(profile, setup):,} trained parameters"
    return Held(_divided(bytes_, over), held + _over(over))


def _trained(profile: Profile, setup: TrainingSetup) -> list[tuple[tuple[int, ...], int]]:
    """Shapes of the tensors that are trained, and how many there are of each."""
    if not setup.adapted:
        return [(weight.shape, weight.copies * count) for weight, count in counted(profile)]
    pairs: list[tuple[tuple[int, ...], int]] = []
    for one in adapters(profile, setup):
        rank = one.ranks * setup.rank
        pairs += [((rank, one.inputs), one.count), ((one.outputs, rank), one.count)]
    return pairs


def _states(shape: tuple[int, ...], setup: TrainingSetup, element: int) -> int:
    """Bytes of the states of one tensor; PyTorch's optimisers add a float32 count of steps."""
    size = 1
    for part in shape:
        size *= part
    if setup.optimiser == "adamw":
        return 2 * size * element + 4
    if setup.optimiser == "adamw_8bit":
        return 2 * (4 * size if size < LEAST_8BIT else size + 4 * -(-size // BLOCK_8BIT))
    if setup.optimiser == "adafactor":
        factors = size // shape[-1] + size // shape[-2] if len(shape) > 1 else size
        return factors * element + 4
    return 0


def _divided(bytes_: int, over: int) -> int:
    return -(-bytes_ // over)


def _over(over: int) -> str:
    return f", over {over} devices" if over > 1 else ""
