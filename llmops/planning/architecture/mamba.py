"""State-space layers (Mamba 1 and 2) and the models that are made of nothing else.

A layer of either kind remembers two things of a sequence, however long it is: the inputs of its
convolution and its state. Figures are elements as vLLM 0.32 allocates them
(`model_executor/layers/mamba/mamba_utils.py`, `MambaStateShapeCalculator`), without speculative
decoding; both are kept in the model's own format unless `--mamba-cache-dtype` or
`--mamba-ssm-cache-dtype` say otherwise. vLLM 0.32 serves the three models below.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import blocks
from llmops.planning.architecture.decoder import Frame, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Profile, Split, State, Weight, Whole
from llmops.planning.architecture.shape import BARE, Sizes, shape

CHANNELS = "state-space channels"
STATE_HEADS = "state-space heads"
GROUPS = "state-space groups"

ASSUMED_POSITIONS = 2048
"""What vLLM 0.32 takes as the longest request where a configuration names none (`config/model.py`):
a state-space model has no length of its own."""


@dataclass(frozen=True, slots=True)
class Mixer1:
    """A Mamba 1 mixer: every channel has a state of its own."""

    hidden: int
    inner: int
    """Channels: the hidden size, expanded."""
    state: int
    kernel: int
    """Tokens that the convolution sees."""
    rank: int
    """Width of the projection that the time step is made from."""
    bias: bool = False
    conv_bias: bool = True
    norms: bool = False
    """Whether time step, B and C are normed by a learned norm (Jamba)."""

    def weights(self, prefix: str) -> tuple[Weight, ...]:
        """Its weights, cut by channel."""
        cut = Split(self.inner, CHANNELS)
        normed = (("dt", self.rank), ("b", self.state), ("c", self.state)) if self.norms else ()
        return (
            Weight(f"{prefix}.A_log", (self.inner, self.state), cut, "other", float32=True),
            Weight(f"{prefix}.D", (self.inner,), cut, "other"),
            Weight(f"{prefix}.conv1d.weight", (self.inner, 1, self.kernel), cut, "other"),
            *((Weight(f"{prefix}.conv1d.bias", (self.inner,), cut, "bias"),) * self.conv_bias),
            *blocks.linear(f"{prefix}.in_proj", 2 * self.inner, self.hidden, cut, bias=self.bias),
            *blocks.linear_in(f"{prefix}.x_proj", self.rank + 2 * self.state, self.inner, cut),
            *blocks.linear(f"{prefix}.dt_proj", self.inner, self.rank, cut, bias=True),
            *blocks.linear_in(f"{prefix}.out_proj", self.hidden, self.inner, cut, bias=self.bias),
            *(w for name, size in normed for w in blocks.norm(f"{prefix}.{name}_layernorm", size)),
        )

    @property
    def memory(self) -> tuple[State, ...]:
        """What it keeps of a sequence."""
        cut = Split(self.inner, CHANNELS)
        return (
            State("conv", self.inner * (self.kernel - 1), cut),
            State("ssm", self.inner * self.state, cut),
        )


@dataclass(frozen=True, slots=True)
class Mixer2:
    """A Mamba 2 mixer: heads with a state each; B and C are shared by a group of heads.

    Under tensor parallelism heads and groups are cut; a lone group is held by every rank. vLLM
    0.32 refuses to cut several groups over a number of ranks that does not divide them.
    """

    hidden: int
    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    bias: bool = False
    out_bias: bool = False
    conv_bias: bool = True
    norm: bool = True
    """Whether a learned norm stands before the projection out."""
    float32: bool = False
    """Whether the state is kept in float32 by default (Nemotron-H)."""

    @property
    def inner(self) -> int:
        """Channels of all heads."""
        return self.heads * self.head_dim

    @property
    def _by_head(self) -> Split:
        return Split(self.heads, STATE_HEADS)

    @property
    def _by_group(self) -> Split | Whole:
        return Split(self.groups, GROUPS) if self.groups > 1 else Whole()

    def weights(self, prefix: str) -> tuple[Weight, ...]:
        """Its weights. The parts for B and C stand apart, because they are cut otherwise."""
        by_head, shared = self._by_head, 2 * self.groups * self.state
        return (
            *(
                Weight(f"{prefix}.{name}", (self.heads,), by_head, "other", float32=full)
                for name, full in (("dt_bias", False), ("A_log", True), ("D", False))
            ),
            *self._convolution(f"{prefix}.conv1d", self.inner, by_head),
            *_part(self._convolution(f"{prefix}.conv1d", shared, self._by_group)),
            *blocks.linear(
                f"{prefix}.in_proj", 2 * self.inner + self.heads, self.hidden, by_head,
                bias=self.bias,
            ),
            *_part(
                blocks.linear(
                    f"{prefix}.in_proj", shared, self.hidden, self._by_group, bias=self.bias
                )
            ),
            *((Weight(f"{prefix}.norm.weight", (self.inner,), by_head, "norm"),) * self.norm),
            *blocks.linear_in(
                f"{prefix}.out_proj", self.hidden, self.inner, by_head, bias=self.out_bias
            ),
        )  # fmt: skip

    def _convolution(self, name: str, channels: int, cut: Split | Whole) -> tuple[Weight, ...]:
        weight = Weight(f"{name}.weight", (channels, 1, self.kernel), cut, "other")
        return (weight, *((Weight(f"{name}.bias", (channels,), cut, "bias"),) * self.conv_bias))

    @property
    def memory(self) -> tuple[State, ...]:
        """What it keeps of a sequence; the convolution's in two parts, as they are cut."""
        seen = self.kernel - 1
        return (
            State("conv", self.inner * seen, self._by_head),
            State("conv", 2 * self.groups * self.state * seen, self._by_group),
            State("ssm", self.inner * self.state, self._by_head, self.float32, checkpoint=True),
        )


def _part(weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    """The same weights, named as the part for B and C of a tensor."""
    return tuple(Weight(f"{w.name}[B, C]", w.shape, w.cut, w.role) for w in weights)


def time_step_rank(fields: Fields, field: str, hidden: int) -> int:
    """The rank of the time step's projection: `auto` stands for a sixteenth of the hidden size.

    Raises:
        Refusal: When it is neither.
    """
    unsaid = not fields.has(field) or fields.text(field) == "auto"
    return -(-hidden // 16) if unsaid else fields.number(field)


def mamba(fields: Fields) -> Profile:
    """Mamba 1, and Falcon Mamba, whose norms in the mixer have no weights.

    `intermediate_size` counts before `expand`, which Falcon Mamba's configuration has wrong.
    """
    hidden = fields.number("hidden_size")
    expanded = fields.number("expand", default=2) * hidden
    mixer = Mixer1(
        hidden=hidden,
        inner=fields.number("intermediate_size", default=expanded),
        state=fields.number("state_size", default=16),
        kernel=fields.number("conv_kernel", default=4),
        rank=time_step_rank(fields, "time_step_rank", hidden),
        bias=fields.flag("use_bias", default=False),
        conv_bias=fields.flag("use_conv_bias", default=True),
    )
    return _alone(fields, mixer, tied=True)


def mamba2(fields: Fields) -> Profile:
    """Mamba 2 without attention: Codestral Mamba, the `-hf` conversions of the first ones."""
    hidden = fields.number("hidden_size")
    bias = fields.flag("use_bias", default=False)
    mixer = Mixer2(
        hidden=hidden,
        heads=fields.number("num_heads", default=128),
        head_dim=fields.number("head_dim", default=64),
        groups=fields.number("n_groups", default=8),
        state=fields.number("state_size", default=128),
        kernel=fields.number("conv_kernel", default=4),
        bias=bias,
        out_bias=bias,
        conv_bias=fields.flag("use_conv_bias", default=True),
    )
    agrees(fields, mixer, fields.number("expand", default=2) * hidden, "num_heads")
    return _alone(fields, mixer, tied=False)


def hybrid_mixer(
    fields: Fields, hidden: int, inner: int, *, norm: bool = True, out_bias: bool | None = None
) -> Mixer2:
    """The Mamba 2 mixer of a hybrid, from the fields that begin with `mamba_`.

    Args:
        inner: Channels that the heads must make up.
        out_bias: Whether the projection out has a bias; None: when the one in has.

    Raises:
        Refusal: When heads, their size and groups do not go together.
    """
    heads = fields.number("mamba_n_heads", default=128)
    auto = not fields.has("mamba_d_head") or fields.text("mamba_d_head") == "auto"
    bias = fields.flag("mamba_proj_bias", default=False)
    mixer = Mixer2(
        hidden=hidden,
        heads=heads,
        head_dim=max(1, inner // heads) if auto else fields.number("mamba_d_head"),
        groups=fields.number("mamba_n_groups", default=1),
        state=fields.number("mamba_d_state", default=256),
        kernel=fields.number("mamba_d_conv", default=4),
        bias=bias,
        out_bias=bias if out_bias is None else out_bias,
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        norm=norm,
    )
    agrees(fields, mixer, inner, "mamba_n_heads")
    return mixer


def agrees(fields: Fields, mixer: Mixer2, inner: int, field: str) -> None:
    """Check that heads, their size and groups go together.

    Raises:
        Refusal: When the heads do not make up `inner` channels, or groups do not divide them.
    """
    if mixer.inner != inner:
        found = f"{mixer.heads}, which at {mixer.head_dim} each do not make up {inner} channels"
        raise fields.absurd(field, found)
    fields.divides(mixer.heads, mixer.groups, field, "groups")


def _alone(fields: Fields, mixer: Mixer1 | Mixer2, *, tied: bool) -> Profile:
    found = shape(fields, Sizes(positions=ASSUMED_POSITIONS), BARE)
    layer = Layer((*found.norms("norm"), *mixer.weights("mixer")), mixer.memory)
    frame = Frame("backbone.embeddings", "backbone.norm_f", "backbone.layers", tied)
    return decoder(fields, found, (layer,) * found.layers, frame, widest=mixer.inner)


READERS = {"mamba": mamba, "falcon_mamba": mamba, "mamba2": mamba2}
