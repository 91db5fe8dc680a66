"""An architecture that no reader knows: what can be said of it all the same, and how surely.

Counted from the headers of its weight files where they were read, else reckoned as a dense decoder.
Either way the notes say what is not certain; what it remembers of a request follows from fields
that mean the same in every published configuration. Fields that betray a memory which those do not
tell of are refused by name: a guess there is an out-of-memory on the machine later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import Heads, heads
from llmops.planning.architecture.ends import ending
from llmops.planning.architecture.fields import Fields, printable
from llmops.planning.architecture.profile import Keys, Layer, Profile, Split, Task, Weight, Whole
from llmops.planning.refusal import Refusal

HINT = "use a model of an architecture that this version knows, or measure this one on the machine"

BETRAYING = {
    "kv_lora_rank": "multi-head latent attention",
    "qk_rope_head_dim": "multi-head latent attention",
    "is_encoder_decoder": "an encoder beside the decoder",
    "add_cross_attention": "cross-attention",
    "cross_attention": "cross-attention",
    "kv_shared": "layers that share their KV cache",
    "cla_share_factor": "layers that share their KV cache",
    "index_topk": "a cache of its own for choosing tokens",
    "ssm": "state-space layers",
    "mamba": "state-space layers",
    "state_size": "state-space layers",
    "d_state": "state-space layers",
    "d_conv": "convolution layers",
    "conv_kernel": "convolution layers",
    "conv_l_cache": "convolution layers",
    "linear_attn": "linear attention",
    "linear_attention": "linear attention",
    "linear_num": "linear attention",
    "lightning": "linear attention",
    "lru_width": "recurrent layers",
    "rwkv": "recurrent layers",
    "time_mix": "recurrent layers",
    "recurrent": "recurrent layers",
    "hybrid": "layers of several kinds",
    "layers_block_type": "layers of several kinds",
    "block_types": "layers of several kinds",
    "block_pattern": "layers of several kinds",
    "attn_layer_period": "layers of several kinds",
    "attn_layer_indices": "layers of several kinds",
    "attn_type_list": "layers of several kinds",
    "full_attention_interval": "layers of several kinds",
    "block_configs": "layers of several shapes",
    "per_layer": "layers of several shapes",
}
"""Parts of field names, and what a model that sets such a field has."""

SENSES = ("vision", "visual", "image", "img", "video", "audio", "speech", "projector", "tower")
"""Parts of field names of a model that has more than a decoder."""

DECODERS = ("text_config", "llm_config", "language_config")
"""Where configurations of larger models describe their decoder."""

PACKED = (
    "Its weight files are quantised: what is counted is elements as they are stored, each of which"
    " may be several parameters."
)

_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "attention"}
"""Kinds of layers that keep keys and values; the engine keeps those of all chunks."""

_MISSING = (
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    ("hidden_size", "n_embd", "n_embed", "d_model"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("vocab_size", "padded_vocab_size"),
)
_WIDTH = ("intermediate_size", "ffn_hidden_size", "n_inner", "d_ff", "ffn_dim")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
_SIZE = ("head_dim", "hidden_size_per_head", "kv_channels")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_EXPERTS_EACH = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k")


@dataclass(frozen=True, slots=True)
class Standard:
    """What the fields that mean the same everywhere say of a decoder."""

    fields: Fields
    """The section that describes it."""
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    positions: int
    memories: tuple[Keys, ...]
    """One for each layer."""
    notes: tuple[str, ...]

    @property
    def layers(self) -> int:
        return len(self.memories)

    @property
    def experts(self) -> int:
        """Routed experts; 0 when no field says so."""
        return self.fields.number(*_EXPERTS, default=0, least=0)

    @property
    def experts_per_token(self) -> int:
        return min(self.experts, self.fields.optional(*_EXPERTS_EACH) or 0)


def standard(fields: Fields) -> Standard:
    """Read the fields that mean the same everywhere.

    Raises:
        Refusal: When one is missing or absurd, or another betrays a memory that they do not tell.
    """
    inner = _decoder(fields)
    for section in (fields, inner):
        _check(section)
    _complain(fields, [names[0] for names in _MISSING if not any(map(inner.has, names))])
    layers, hidden, counts, vocabulary = _MISSING
    count, wide = inner.layers(*layers), inner.number(*hidden)
    # Some configurations say `multi_query` where others give the number of KV heads.
    single = inner.flag("multi_query", default=False)
    one = Heads(kv=1) if single else None
    kv = () if single else _KV_HEADS
    found = heads(inner, wide, count=counts, kv=kv, size=_SIZE, default=one)
    memories, notes = _memories(inner, count, found)
    if not any(map(inner.has, _KV_HEADS)) and found.kv == found.count:
        notes += (f"No field gives KV heads: there are taken to be as many as heads, {found.kv}.",)
    return Standard(
        fields=inner,
        hidden=wide,
        heads=found.count,
        kv_heads=found.kv,
        head_dim=found.size,
        vocabulary=inner.number(*vocabulary),
        positions=inner.positions(),
        memories=memories,
        notes=notes,
    )


def estimate(fields: Fields, parameters: int = 0, weight_bytes: int = 0) -> Profile:
    """A profile of an unknown architecture.

    Args:
        fields: Its configuration.
        parameters: Elements that the headers of its weight files count; 0 when they were not read.
        weight_bytes: Bytes of those.

    Raises:
        Refusal: When the fields do not tell enough, or tell of what is not reckoned here.
    """
    found = standard(fields)
    if parameters > 0:
        return _counted(fields, found, parameters, weight_bytes)
    return _reckoned(fields, found)


def _counted(fields: Fields, found: Standard, parameters: int, weight_bytes: int) -> Profile:
    """As many parameters as the files have, dealt evenly over the layers."""
    table = blocks.table("embed_tokens", found.vocabulary, found.hidden)
    rest = parameters - sum(weight.elements for weight in table)
    if rest < found.layers:
        raise Refusal(
            f"this version does not know {fields.name}, and its weight files hold {parameters:,}"
            f" parameters, fewer than its vocabulary of {found.vocabulary:,} takes",
            hint=HINT,
            path="model.source",
        )
    each, left = divmod(rest, found.layers)
    weight = Weight("weights", (each,), Split(found.heads, blocks.HEADS))
    after = (Weight("others", (left,), Whole(), "other"),) if left else ()
    note = (
        f"This version does not know {fields.name}. Its {parameters:,} parameters are those that"
        f" the headers of its weight files count; how they are dealt over {found.layers} layers,"
        " and over devices, is assumed to be even."
    )
    layers = tuple(Layer((weight,), (memory,)) for memory in found.memories)
    odd = weight_bytes > 0 and not 2 * parameters <= weight_bytes <= 4 * parameters
    packed = (PACKED,) if odd or fields.has("quantization_config") else ()
    return profile(fields, found, layers, table, after, notes=(note, *packed))


def _reckoned(fields: Fields, found: Standard) -> Profile:
    """As a dense decoder with a gated feed-forward layer has it: the most that is usual."""
    inner = found.fields
    seen = next((name for name, value in fields.raw().items() if value and _sense(name)), "")
    if inner is not fields or seen:
        told = f" ({printable(seen)})" if seen else ""
        raise _not_told(fields, f"how large the parts beside its decoder are{told}")
    if found.experts:
        raise _not_told(fields, "in which layers its experts are, and how large they are")
    _complain(fields, [] if any(map(inner.has, _WIDTH)) else [_WIDTH[0]])
    width, hidden = inner.number(*_WIDTH), found.hidden
    weights = (
        *blocks.norm("norm_1", hidden),
        *blocks.attention(hidden, found.heads, found.kv_heads, found.head_dim),
        *blocks.norm("norm_2", hidden),
        *blocks.gated(hidden, width),
    )
    tied = inner.flag("tie_word_embeddings", default=False)
    table = blocks.table("embed_tokens", found.vocabulary, hidden)
    head = () if tied else blocks.table("lm_head", found.vocabulary, hidden, role="head")
    layers = tuple(Layer(weights, (memory,)) for memory in found.memories)
    made = profile(fields, found, layers, table, (*blocks.norm("norm", hidden), *head), tied=tied)
    spared = found.layers * width * hidden
    if not inner.has("tie_word_embeddings"):
        spared += found.vocabulary * hidden
    note = (
        f"This version does not know {fields.name}, and its weight files were not read: it is"
        f" reckoned as a dense decoder of {made.parameters:,} parameters. Without gates in its"
        " feed-forward layers, and with one table for words and head where no field says"
        f" otherwise, it has {made.parameters - spared:,}; it may differ by more."
    )
    return replace(made, notes=(note, *made.notes))


def profile(
    fields: Fields,
    found: Standard,
    layers: tuple[Layer, ...],
    before: tuple[Weight, ...],
    after: tuple[Weight, ...],
    *,
    towers: tuple[Weight, ...] = (),
    stem: str = "model.layers",
    tied: bool = False,
    notes: tuple[str, ...] = (),
) -> Profile:
    """A profile around the standard fields."""
    width = found.fields.optional(*_WIDTH) or 4 * found.hidden
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task=_task(fields.name),
        hidden=found.hidden,
        heads=found.heads,
        kv_heads=found.kv_heads,
        head_dim=found.head_dim,
        intermediate=width,
        vocabulary=found.vocabulary,
        max_positions=found.positions,
        layers=layers,
        before=before,
        after=after,
        towers=towers,
        stem=stem,
        tied=tied,
        experts=found.experts,
        experts_per_token=found.experts_per_token,
        notes=(*notes, *found.notes, *_untold(fields)),
    )


def _untold(fields: Fields) -> tuple[str, ...]:
    """That a class is taken for one that generates, where its name does not say what it does."""
    if not fields.classed or ending(fields.name) is not None:
        return ()
    return (f"What {fields.name} does is not told by its name: it is taken to generate.",)


def _task(name: str) -> Task:
    """What its class does; some that generate are called a model only (`ChatGLMModel`)."""
    found = ending(name)
    if found in ("text", "tokens"):
        return "classify"
    return "embed" if found == "plain" and "LM" not in name else "generate"


def _decoder(fields: Fields) -> Fields:
    """The section that describes the decoder: the top, or one of those that larger models have."""
    if any(map(fields.has, _MISSING[0])):
        return fields
    for name in DECODERS:
        if fields.has(name):
            return fields.section(name)
    return fields


def _check(fields: Fields) -> None:
    for name, value in fields.raw().items():
        if not value or not isinstance(name, str):
            continue
        lower = name.lower()
        for part, what in BETRAYING.items():
            if part in lower:
                raise betrayed(fields, what, name)
    for kind in fields.texts("layer_types") or ():
        if kind not in _ATTENTION:
            raise betrayed(fields, "layers other than attention", "layer_types")


def betrayed(fields: Fields, what: str, name: str) -> Refusal:
    """The refusal of a model for what a field, or a weight, tells of it."""
    return Refusal(
        f"this version does not know {fields.name}, and cannot estimate it: it has {what}"
        f" ({printable(name)})",
        hint=HINT,
        path="model.source",
    )


def _sense(name: object) -> bool:
    """Whether a field is of a part that sees or hears."""
    return isinstance(name, str) and any(sense in name.lower() for sense in SENSES)


def _not_told(fields: Fields, what: str) -> Refusal:
    return Refusal(
        f"this version does not know {fields.name}, its weight files were not read, and its"
        f" config.json does not tell {what}",
        hint="plan it from where its weight files can be read",
        path="model.source",
    )


def _complain(fields: Fields, missing: list[str]) -> None:
    if missing:
        named = ", ".join(f"'{name}'" for name in missing)
        raise Refusal(
            f"this version does not know {fields.name}, and cannot estimate it: its config.json"
            f" lacks {named}",
            hint=HINT,
            path="model.source",
        )


def _memories(inner: Fields, count: int, found: Heads) -> tuple[tuple[Keys, ...], tuple[str, ...]]:
    """What each layer remembers, and what is not certain of it."""
    full = replace(found.keys(), value=inner.number("v_head_dim", default=found.size))
    kinds = inner.texts("layer_types", count)
    window = inner.optional("sliding_window")
    if window is None or not inner.flag("use_sliding_window", default=True):
        return (full,) * count, ()
    if kinds is None:
        note = (
            f"It has a window of {window:,} tokens, and no field says in which layers: all are"
            " reckoned without, which is more than it can take."
        )
        return (full,) * count, (note,)
    bound = replace(full, window=window)
    return tuple(bound if kind == "sliding_attention" else full for kind in kinds), ()
