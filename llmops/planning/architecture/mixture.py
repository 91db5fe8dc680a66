"""What models with a mixture of experts have in common: how tokens are routed, and their layers.

It knows no model: the readers in `moe`, `deepseek`, `llama4` and `gpt_oss` say which layers are of
which kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.decoder import PLAIN, Frame, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Memory, Profile, Weight
from llmops.planning.architecture.shape import Shape

COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""Names of the number of routed experts; transformers takes one for another."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Routed experts: all of one shape, of which each token is sent to a few."""

    experts: int
    per_token: int
    width: int
    """Feed-forward width of one expert."""
    float32: bool = False
    """Whether vLLM keeps the router in float32."""

    def weights(
        self,
        hidden: int,
        *,
        prefix: str = "mlp",
        router: str = "gate",
        bias: bool = False,
    ) -> tuple[Weight, ...]:
        """Router and experts of a layer."""
        chooser, *rest = blocks.experts(
            hidden, self.width, self.experts,
            prefix=prefix, router=router, router_bias=bias, bias=bias,
        )  # fmt: skip
        return (replace(chooser, float32=self.float32), *rest)

    def passes(self, *beside: int) -> int:
        """Feed-forward columns that a token passes, with those of shared experts."""
        return self.per_token * self.width + sum(beside)


def routing(
    fields: Fields,
    *widths: str,
    counts: Sequence[str] = COUNTS,
    per_token: Sequence[str] = ("num_experts_per_tok",),
    default: int | None = None,
    section: tuple[int, int] = (0, 0),
    least: int = 1,
    float32: bool = False,
) -> Routing:
    """The routed experts that a configuration names.

    Args:
        widths: Names of the width of an expert.
        counts: Names of the number of experts.
        per_token: Names of the number of experts that a token is sent to.
        default: That number where the configuration names none.
        section: What a section inside a larger configuration may leave out: the number of experts
            and the width of one; 0: nothing.
        least: 0 where a model without experts is one of the family too.
        float32: Whether vLLM keeps the router in float32.

    Raises:
        Refusal: When a figure is absurd, or a token is sent to more experts than there are.
    """
    unsaid = section[0] if fields.nested and section[0] else None
    experts = fields.number(*counts, default=unsaid, least=least)
    if not experts:
        return Routing(0, 0, 0)
    chosen = fields.number(*per_token, default=default)
    if chosen > experts:
        raise fields.absurd(per_token[0], f"{chosen}, and there are {experts} experts")
    return Routing(experts, chosen, fields.deciding(*widths, default=section[1]), float32)


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the routed experts, and what chooses among them is called."""

    weights: tuple[Weight, ...] = ()
    width: int = 0
    """Feed-forward columns that every token passes."""
    router: str = "gate"


ALONE = Beside()


def shared(
    fields: Fields, hidden: int, routed: Routing, *, default: int, bias: bool = False
) -> Beside:
    """Shared experts, which vLLM and transformers build as one wide feed-forward layer.

    Args:
        default: How many where the configuration does not speak of them; null is none.

    Raises:
        Refusal: When their number is absurd.
    """
    field = "n_shared_experts"
    count = fields.number(field, default=0 if fields.says(field) else default, least=0)
    if not count:
        return ALONE
    width = routed.width * count
    return Beside(blocks.gated(hidden, width, prefix="mlp.shared_experts", bias=bias), width)


@dataclass(frozen=True, slots=True)
class Half:
    """The first half of a layer: its attention, and what that remembers."""

    weights: tuple[Weight, ...]
    memory: Memory


def model(
    fields: Fields,
    found: Shape,
    half: Half,
    routed: Routing,
    has_experts: Sequence[bool],
    frame: Frame = PLAIN,
    *,
    beside: Beside = ALONE,
    bias: bool = False,
    norm_bias: bool = False,
) -> Profile:
    """A decoder of which some layers have experts and the others one feed-forward layer.

    Args:
        has_experts: For each layer, whether it has experts.
        bias: Whether the feed-forward layers have biases.
        norm_bias: Whether the layers' norms have.

    Raises:
        Refusal: When a figure is absurd.
    """
    width = 0 if all(has_experts) else fields.number("intermediate_size")
    forward = {True: (*routed.weights(found.hidden, router=beside.router), *beside.weights)}
    if width:
        forward[False] = blocks.gated(found.hidden, width, bias=bias)
    kinds = {
        many: Layer(
            blocks.halves(found.hidden, half.weights, weights, bias=norm_bias), (half.memory,)
        )
        for many, weights in forward.items()
    }
    some = any(has_experts)
    return decoder(
        fields,
        found,
        [kinds[has] for has in has_experts],
        frame,
        widest=max(width, routed.passes(beside.width) if some else 0),
        experts=routed.experts if some else 0,
        experts_per_token=routed.per_token if some else 0,
    )
