"""How a model is trained: what is trained, in which format, with which optimiser, over how many.

Values only. What contradicts itself whatever the model is refused here, as a ValueError; what only
a model can decide (a context that is too long, adapters that find no layer) is refused when the
memory is worked out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["full", "lora", "qlora"]
"""Every weight; low-rank adapters (Hu et al., "LoRA", 2021); adapters over weights in 4 bits
(Dettmers et al., "QLoRA", 2023)."""

DType = Literal["bfloat16", "float16", "float32"]
"""The format that is computed in."""

Optimiser = Literal["adamw", "adamw_8bit", "adafactor", "sgd"]
"""AdamW as PyTorch has it; as bitsandbytes has it in 8 bits; Adafactor without a first moment; SGD
without momentum."""

Strategy = Literal["ddp", "fsdp", "zero1", "zero2", "zero3", "tensor", "pipeline"]
"""Who holds what: everybody all (PyTorch's DDP); everybody a part of everything (its FSDP, full
shard); DeepSpeed's ZeRO in its stages (Rajbhandari et al., 2020); a part of each layer; some of the
layers (see `dividing`)."""

ALL_LINEAR = "all-linear"
"""The word of peft for every linear layer but the head."""

ELEMENT: dict[str, int] = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of an element."""

MOST = 2**31
"""No figure of a training is as large."""


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """A way of training. Sizes are those of one device; nothing here looks at a model.

    Raises:
        ValueError: When it contradicts itself; the message names the field.
    """

    method: Method = "full"
    sequence: int = 2048
    """Tokens of a sequence, padding included."""
    micro_batch: int = 1
    """Sequences that pass a device at once; accumulation of gradients needs no more memory."""
    dtype: DType = "bfloat16"
    optimiser: Optimiser = "adamw"
    master_weights: bool = True
    """Whether float32 weights are kept beside the 16-bit ones and updated in their place (mixed
    precision, Micikevicius et al., 2018). Of no meaning with float32 or adapters, which are float32
    themselves. Without it the optimiser's states are in 16 bits too."""
    checkpointing: bool = True
    """Whether each layer keeps its input only and is computed again backwards (Chen et al.,
    "Training Deep Nets with Sublinear Memory Cost", 2016)."""
    flash_attention: bool = True
    """Whether attention keeps no matrix of scores (Dao et al., "FlashAttention", 2022)."""
    strategy: Strategy = "ddp"
    devices: int = 1
    rank: int = 16
    """Rank of the adapters; of no meaning for `full`."""
    targets: tuple[str, ...] = (ALL_LINEAR,)
    """Layers that get adapters, as peft's `target_modules`: ends of names, or `all-linear`."""
    upcast: bool = True
    """For `qlora`: whether what stays unquantised (embeddings, head, norms) is float32, which is
    what peft's `prepare_model_for_kbit_training` makes of it; then hidden states are float32 too,
    and so are the activations. False: all in `dtype`."""

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise ValueError(problem)

    @property
    def adapted(self) -> bool:
        """Whether adapters are trained, and nothing else."""
        return self.method != "full"

    @property
    def element(self) -> int:
        """Bytes of an element of the hidden states, and of a weight that is not quantised."""
        return 4 if self.method == "qlora" and self.upcast else ELEMENT[self.dtype]

    @property
    def tokens(self) -> int:
        """Tokens that pass a device at once."""
        return self.micro_batch * self.sequence

    @property
    def mixed(self) -> bool:
        """Whether there are float32 weights beside 16-bit ones."""
        return self.method == "full" and self.master_weights and self.dtype != "float32"


def _problems(setup: TrainingSetup) -> Iterator[str]:
    yield from _values(setup)
    yield from _contradictions(setup)


def _values(setup: TrainingSetup) -> Iterator[str]:
    words = {"method": Method, "dtype": DType, "optimiser": Optimiser, "strategy": Strategy}
    for name, known in words.items():
        if (found := getattr(setup, name)) not in get_args(known):
            yield f"{name}: expected one of {', '.join(get_args(known))}, found {found!r}"
    for name in ("sequence", "micro_batch", "devices", "rank"):
        found = getattr(setup, name)
        if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found < MOST:
            yield f"{name}: expected a whole number from 1 to {MOST - 1}, found {found!r}"


def _contradictions(setup: TrainingSetup) -> Iterator[str]:
    names: tuple[object, ...] = setup.targets
    if not all(isinstance(name, str) and name for name in names):
        yield f"targets: expected names of layers, found {names!r}"
    elif setup.adapted and not names:
        yield f"targets: {setup.method} trains adapters, and no layer is to get one"
    elif ALL_LINEAR in names and len(names) > 1:
        yield f"targets: '{ALL_LINEAR}' is every linear layer already, and others are named too"
    if setup.adapted and setup.strategy in ("tensor", "pipeline"):
        yield f"strategy: {setup.strategy} divides weights that are trained, and adapters are not"
    if setup.method == "full" and setup.dtype == "float16" and not setup.master_weights:
        # torch.amp.GradScaler ends with "Attempting to unscale FP16 gradients".
        yield "master_weights: float16 gradients cannot be scaled without float32 weights"
    if setup.optimiser == "adafactor" and setup.strategy.startswith("zero"):
        yield (
            f"optimiser: {setup.strategy} hands the optimiser flat pieces of weights,"
            " in which adafactor finds no rows and columns"
        )


__all__ = ["ALL_LINEAR", "DType", "ELEMENT", "Method", "Optimiser", "Strategy", "TrainingSetup"]
