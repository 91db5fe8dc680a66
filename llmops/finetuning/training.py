"""How it is trained: over how many workers, with which figures, for how long.

Every field is documented by the docstring right below it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec import Section
from llmops.units import Bytes

Strategy = Literal[
    "auto",
    "ddp",
    "fsdp",
    "deepspeed-zero1",
    "deepspeed-zero2",
    "deepspeed-zero3",
    "tensor",
    "pipeline",
]
"""How workers share the work."""

Size = Annotated[int, Field(ge=1, le=1024)]


class Training(Section):
    """How it is trained."""

    strategy: Strategy = "auto"
    """How the workers share the work. `ddp`: each holds all, and they share the batch. `fsdp` and
    `deepspeed-zero3`: each holds a part of everything; `deepspeed-zero1` and `deepspeed-zero2`: of
    the optimiser's states, and of the gradients too. `tensor` cuts each layer, `pipeline` deals the
    layers out. `auto` takes the first of ddp and fsdp that fits, since what is divided less is
    exchanged less."""

    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that train, each on a device of its own or on a share of the machine's cores."""

    tensor: Size = 1
    """For `tensor`: over how many workers each layer is cut, which is all of them. Must divide the
    model's attention heads."""

    pipeline: Size = 1
    """For `pipeline`: over how many workers the layers are dealt out, which is all of them."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format that is computed in. `auto` is bfloat16 on a GPU, and float32 on a CPU, of
    which most compute nothing smaller any faster."""

    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Whether each layer keeps its input only and is computed again backwards: it takes about a
    third more time, and much less memory (Chen et al., "Training Deep Nets with Sublinear Memory
    Cost", 2016). `auto` does so only where it does not fit otherwise."""

    packing: bool = True
    """Whether several short rows share a sequence, so that little of it is padding. They do not see
    each other. Preference pairs are never packed."""

    sequence: Annotated[int, Field(ge=16, le=16_777_216)] = 2048
    """Tokens of a sequence; longer rows are what `data.filters.too_long` says. At most what the
    base was made for."""

    tokens_per_step: Annotated[int, Field(ge=16, le=1_000_000_000)] = 16_384
    """Tokens that all workers together learn from before the weights change, padding included. It
    is the batch size: how it is cut into what fits a device at once is the plan's business. The
    plan takes the nearest that the sequences and workers divide, and says so."""

    micro_batch: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    """Sequences that pass a device at once. `auto` takes as many as fit on a GPU, and on a CPU
    as many as take half of the room, which others share: it changes the speed and not what is
    learnt."""

    learning_rate: Annotated[float, Field(gt=0.0, ge=1e-8, le=1.0)] | Literal["auto"] = "auto"
    """Highest learning rate. `auto` is 2e-4 for adapters, 2e-5 for all weights, and for preference
    pairs a tenth of these."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up: by a half cosine or a line to 0, or not."""

    warmup: Annotated[float, Field(ge=0.0, le=0.5)] = 0.03
    """Share of the steps in which the learning rate rises from 0."""

    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """What the weights shrink by in each step, times the learning rate (AdamW's)."""

    clip: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    """Longest gradient, as a norm over all that is trained; a longer one is shortened. 0 shortens
    none."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    """How often each row is learnt from. Not read where `steps` is written."""

    steps: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Instead of `epochs`: how often the weights change in all."""

    beta: Annotated[float, Field(ge=0.001, le=10.0)] = 0.1
    """For preference pairs: how strongly the model is held to what the base says (Rafailov et al.,
    "Direct Preference Optimization", 2023)."""

    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] = 17
    """What decides everything that is left to chance: shuffling, dropout, new matrices, and what
    `data.split` holds out."""

    evaluate_every: Annotated[int, Field(ge=1, le=100_000_000)] | Literal["auto"] = "auto"
    """Steps between two measurements of the loss of what is held out. `auto` is as often as a
    checkpoint is kept."""


class Checkpoints(Section):
    """What a run goes on from after an interruption."""

    every: Annotated[int, Field(ge=1, le=100_000_000)] = 100
    """Steps between two checkpoints: so much is lost at most when a run is killed."""

    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    """Checkpoints that are kept, the newest. Two, so that one is left when one is damaged."""


class Hardware(Section):
    """What a worker may use of the machine."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    """`auto` takes the GPUs that are there, else the CPU."""

    cores: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """CPU cores that compute in one worker. `auto` shares what the machine has between them."""

    memory: Bytes | Literal["auto"] = "auto"
    """Memory that one worker may take in all, such as `6GiB`: of its GPU where it trains on one.
    The plan keeps within it; nothing ends a worker that takes more. `auto` shares what is free on
    the machine between them, and takes what is free on a GPU."""


__all__ = ["Checkpoints", "Hardware", "Strategy", "Training"]
