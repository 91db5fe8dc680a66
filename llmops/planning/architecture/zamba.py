"""Zamba 2: Mamba 2 in every layer, and now and then a shared block of attention before it.

There are one or two such blocks for the whole model; a layer that uses one adds adapters, keys and
values of its own. A shared block is counted in the layer that uses it first. vLLM 0.32 serves these
models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import Heads, heads
from llmops.planning.architecture.decoder import Frame, decoder
from llmops.planning.architecture.fields import Fields, printable
from llmops.planning.architecture.mamba import Mixer2, agrees
from llmops.planning.architecture.profile import Layer, Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import BARE, Sizes, shape

_STATE_SPACE = frozenset({"mamba", "linear_attention"})

_UNSAID = (
    "mamba", *(*("mamba",) * 5, "hybrid") * 7, *("mamba",) * 4, "hybrid", *("mamba",) * 3,
    "hybrid", *("mamba",) * 2,
)  # fmt: skip
"""The layers where the configuration names none, as transformers takes them."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A block of attention and a feed-forward layer that several layers use."""

    hidden: int
    width: int
    attention: Heads
    rank: int
    """Of the adapters."""
    adapted: bool
    """Whether queries, keys and values have adapters too."""

    @property
    def _wide(self) -> int:
        """It attends over the layer's input beside the model's."""
        return 2 * self.hidden

    def block(self) -> tuple[Weight, ...]:
        """What all users of it share."""
        name, wide = "shared_transformer", self._wide
        found = self.attention
        inner = blocks.attention(
            wide, found.count, found.kv, found.size, prefix=f"{name}.self_attn"
        )
        forward = f"{name}.feed_forward"
        out = blocks.linear_in(
            f"{name}.self_attn.o_proj", self.hidden, wide, Split(self.attention.count, blocks.HEADS)
        )
        return (
            *(weight for weight in inner if "o_proj" not in weight.name),
            *out,
            *blocks.gated_fused(
                self.hidden, self.width, f"{forward}.gate_up_proj", f"{forward}.down_proj"
            ),
            *blocks.norm(f"{name}.input_layernorm", wide),
            *blocks.norm(f"{name}.pre_ff_layernorm", self.hidden),
        )

    def adapters(self, user: int) -> tuple[Weight, ...]:
        """What the `user`-th layer that uses it adds."""
        wide, heads = self._wide, Split(self.attention.count, blocks.HEADS)
        forward = Split(self.width, blocks.FEED_FORWARD)
        own = [("feed_forward.gate_up_proj", 2 * self.width, self.hidden, forward)]
        if self.adapted:
            own += [(f"self_attn.linear_{part}", wide, wide, heads) for part in "qkv"]
        return tuple(
            weight
            for name, outputs, inputs, cut in own
            for weight in self._adapter(f"shared_transformer.{name}", user, outputs, inputs, cut)
        )

    def _adapter(
        self, name: str, user: int, outputs: int, inputs: int, cut: Split
    ) -> tuple[Weight, ...]:
        narrow = Split(self.rank, "rows of an adapter")
        return (
            *blocks.linear(f"{name}_adapter_list.{user}.0", self.rank, inputs, narrow),
            *blocks.linear(f"{name}_adapter_list.{user}.1", outputs, self.rank, cut),
        )


def zamba2(fields: Fields) -> Profile:
    """Zamba 2 of 1.2B, 2.7B and 7B."""
    if fields.flag("use_long_context", default=False):  # it stretches the rotary positions to this
        fields = fields.like({**fields.raw(), "max_position_embeddings": 16384})
    sizes = shape(fields, Sizes(positions=4096), BARE)
    hidden = sizes.hidden
    shared = _shared(fields, hidden)
    mixer = _mixer(fields, hidden)
    alone = (*blocks.norm("input_layernorm", hidden), *mixer.weights("mamba"))
    plain = Layer(alone, mixer.memory)
    inside = (
        *blocks.linear("linear", hidden, hidden, Whole()),
        *(replace(weight, name=f"mamba_decoder.{weight.name}") for weight in alone),
    )
    block = shared.block()
    holders = fields.number("num_mem_blocks", default=1)
    layers: list[Layer] = []
    users = 0
    for kind in _kinds(fields, sizes.layers):
        if kind != "hybrid":
            layers.append(plain)
            continue
        own = (*(block if users < holders else ()), *shared.adapters(users))
        layers.append(Layer((*inside, *own), (shared.attention.keys(), *mixer.memory)))
        users += 1
    return decoder(
        fields,
        replace(sizes, heads=shared.attention),
        layers,
        Frame(norm="model.final_layernorm", tied=True),
        widest=max(shared.width, mixer.inner),
    )


def _shared(fields: Fields, hidden: int) -> Shared:
    return Shared(
        hidden=hidden,
        width=fields.number("intermediate_size", default=4 * hidden),
        attention=heads(fields, 2 * hidden, size=()),
        rank=fields.number("adapter_rank", default=128),
        adapted=fields.flag("use_shared_attention_adapter", default=False),
    )


def _mixer(fields: Fields, hidden: int) -> Mixer2:
    inner = fields.number("mamba_expand", default=2) * hidden
    heads = fields.number("n_mamba_heads", default=8)
    mixer = Mixer2(
        hidden=hidden,
        heads=heads,
        head_dim=max(1, inner // heads),
        groups=fields.number("mamba_ngroups", default=1),
        state=fields.number("mamba_d_state", default=64),
        kernel=fields.number("mamba_d_conv", default=4),
    )
    agrees(fields, mixer, inner, "n_mamba_heads")
    return mixer


def _kinds(fields: Fields, layers: int) -> tuple[str, ...]:
    """Of each layer whether it is a mixer alone, or a hybrid.

    Raises:
        Refusal: When a layer is neither, or there is not a word for each layer.
    """
    field = "layers_block_type"
    kinds = fields.texts(field, layers)
    if kinds is None:
        kinds = _UNSAID
    if len(kinds) != layers:
        raise fields.absurd(field, f"missing, and there are {layers} layers and not {len(kinds)}")
    unknown = [kind for kind in kinds if kind != "hybrid" and kind not in _STATE_SPACE]
    if unknown:
        raise fields.absurd(field, f"a list with '{printable(unknown[0])}', no known layer")
    return kinds


READERS = {"zamba2": zamba2}
