"""The words for a model's shape: its weights, how each is cut over devices, what it remembers.

Values only. One table of weights serves three questions: how many parameters there are, how many
bytes each device holds in a layout, and which layouts are legal at all. Shapes are those of the
transformers library: a linear layer's weight is (outputs, inputs), a table of experts is (experts,
outputs, inputs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Task = Literal["generate", "transduce", "embed", "classify"]
"""What the model does: decode; encode and decode; give vectors; give classes."""

Role = Literal["linear", "expert", "router", "embedding", "head", "norm", "bias", "other"]
"""What a weight is for; quantisation asks."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Every tensor parallel rank holds all of it: norms, routers, small projections."""


@dataclass(frozen=True, slots=True)
class Split:
    """Cut evenly; the tensor parallel size must divide `units`."""

    units: int
    what: str
    """Of what there are `units`, in the plural: `attention heads`."""


@dataclass(frozen=True, slots=True)
class ByKvHead:
    """Cut by KV head; with more ranks than heads each holds one, so heads are held repeatedly."""

    heads: int


@dataclass(frozen=True, slots=True)
class ByRow:
    """A table of `rows` (tokens of the vocabulary), padded to a multiple of 64 and cut evenly."""

    rows: int


@dataclass(frozen=True, slots=True)
class ByExpert:
    """`experts` of one shape: dealt whole over expert parallel ranks, else each one cut.

    Without expert parallelism the tensor parallel size must divide `units`, the width of an expert.
    """

    experts: int
    units: int
    whole: bool = False
    """Whether an expert's part is never cut: the bias of its projection out."""


Cut = Whole | Split | ByKvHead | ByRow | ByExpert


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor, or `copies` alike."""

    name: str
    """As transformers names it: `self_attn.q_proj.weight`, within its layer."""
    shape: tuple[int, ...]
    cut: Cut = Whole()
    role: Role = "linear"
    copies: int = 1
    float32: bool = False
    """Whether the engine keeps it in float32 whatever the format of the weights is."""

    @property
    def elements(self) -> int:
        """Elements of all copies."""
        return math.prod(self.shape) * self.copies


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys and values for each token: `kv_heads · (key + value)` elements a layer."""

    kv_heads: int
    key: int
    """Size of a key of one head."""
    value: int
    """Size of a value of one head."""
    window: int | None = None
    """Only the last so many tokens are attended to (sliding window)."""
    chunk: int | None = None
    """Only tokens of the same chunk of this many are attended to (Llama 4)."""


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: one compressed vector for each token, held by every rank."""

    rank: int
    """`kv_lora_rank`."""
    rope: int
    """`qk_rope_head_dim`: the part of the key that carries the position."""


@dataclass(frozen=True, slots=True)
class State:
    """What a state-space, linear-attention or convolution layer keeps for each sequence."""

    name: str
    """`conv` or `ssm`."""
    elements: int
    cut: Split | Whole
    float32: bool = False
    """Whether it is kept in float32 whatever the engine's own format is."""
    checkpoint: bool = False
    """Whether a further state is kept to go on from within a prompt (Mamba 2)."""


@dataclass(frozen=True, slots=True)
class Cross:
    """Keys and values of the encoder's tokens, for each sequence."""

    kv_heads: int
    key: int
    value: int
    tokens: int | None
    """Encoder tokens at most; None when that is the request's own length."""


Memory = Keys | Latent | State | Cross


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its weights, and what it remembers of a sequence."""

    weights: tuple[Weight, ...]
    memory: tuple[Memory, ...] = ()
    """Empty for a layer that remembers nothing, or that uses an earlier layer's memory."""

    @property
    def elements(self) -> int:
        """Parameters of the layer."""
        return sum(weight.elements for weight in self.weights)


@dataclass(frozen=True, slots=True)
class Profile:
    """A model: what its `config.json` says, as a table of weights and memories.

    Layers that are alike are one object, so that what is worked out for one need not be again.
    """

    name: str
    """The class that the configuration names: `LlamaForCausalLM`."""
    model_type: str
    task: Task
    hidden: int
    heads: int
    """Attention heads (of the decoder); 0 for a model without attention."""
    kv_heads: int
    head_dim: int
    """Size of a query of one head."""
    intermediate: int
    """Widest feed-forward layer that one token passes (all its experts together)."""
    vocabulary: int
    max_positions: int
    """Longest request in tokens that it was trained for."""
    layers: tuple[Layer, ...]
    """The decoder's (or the only stack's), in order."""
    before: tuple[Weight, ...]
    """What the first pipeline stage holds beside its layers: embeddings."""
    after: tuple[Weight, ...]
    """What the last pipeline stage holds beside its layers: the last norm and the head."""
    tied: bool = False
    """Whether the head is the embedding table: then `after` has no weight for it."""
    stem: str = "model.layers"
    """What a layer's number and a weight's name are appended to, as transformers names them."""
    encoder: tuple[Layer, ...] = ()
    """The encoder's layers, of a model that has both; on the first stage."""
    towers: tuple[Weight, ...] = ()
    """Vision and audio parts with their projectors; on every stage's first rank's stage."""
    experts: int = 0
    """Routed experts in a layer; 0 for a dense model."""
    experts_per_token: int = 0
    notes: tuple[str, ...] = field(default=())
    """What is estimated, in sentences; empty when everything follows from the configuration."""

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        outside = (*self.before, *self.after, *self.towers)
        stacks = (*self.layers, *self.encoder)
        return sum(w.elements for w in outside) + sum(layer.elements for layer in stacks)

    @property
    def active(self) -> int:
        """Parameters that one token passes: of the routed experts only those it is sent to."""
        weights = (weight for layer in self.layers for weight in layer.weights)
        return self.parameters - sum(_idle(weight, self.experts_per_token) for weight in weights)

    def named(self) -> Iterator[tuple[str, Weight]]:
        """Every weight of the decoder's stack with its full name, layer by layer."""
        for weight in (*self.before, *self.after, *self.towers):
            yield weight.name, weight
        for number, layer in enumerate(self.layers):
            for weight in layer.weights:
                yield f"{self.stem}.{number}.{weight.name}", weight


def _idle(weight: Weight, chosen: int) -> int:
    """Elements of the experts that a token is not sent to."""
    if not isinstance(weight.cut, ByExpert):
        return 0
    experts = weight.cut.experts
    return weight.elements // experts * max(0, experts - chosen)


__all__ = [
    "ByExpert", "ByKvHead", "ByRow", "Cross", "Cut", "Keys", "Latent", "Layer", "Memory", "Profile",
    "Role", "Split", "State", "Task", "Weight", "Whole",
]  # fmt: skip
