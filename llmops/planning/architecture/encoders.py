"""Encoders of BERT's kind: BERT, RoBERTa, XLM-RoBERTa, CamemBERT, DistilBERT, MPNet, Nomic BERT.

They read a text at once, both ways, and keep nothing of it: no layer has a memory. vLLM 0.32 serves
BERT, RoBERTa, XLM-RoBERTa and Nomic BERT (`model_executor/models/registry.py`; of Nomic BERT the
plain model only), CamemBERT by the modelling code of transformers, and not DistilBERT and MPNet.
Position tables are cut by rows, as it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import blocks
from llmops.planning.architecture.ends import End, Ends, end
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import Names, Shape, Sizes, shape

_SIZES = Names(
    hidden=("hidden_size", "dim", "n_embd"),
    heads=("num_attention_heads", "n_heads", "n_head"),
    kv_heads=(),
    width=("intermediate_size", "hidden_dim", "n_inner"),
)

_POOLED = Ends(pooled=frozenset({"plain", "text"}))

_ROBERTA = Ends(
    pooled=frozenset({"plain"}),
    dense="classifier.dense",
    classes="classifier.out_proj",
    transform="lm_head.dense",
    norm="lm_head.layer_norm",
    bias="lm_head.bias",
    decoder="lm_head.decoder",
)

_DISTILBERT = Ends(
    dense="pre_classifier",
    transform="vocab_transform",
    norm="vocab_layer_norm",
    bias="vocab_projector.bias",
    decoder="vocab_projector",
    biased=False,
)

_NOMIC = Ends(
    pooled=frozenset({"text"}),
    norm="cls.predictions.transform.layer_norm",
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a family calls the parts of a layer."""

    stem: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    out: str = "attention.output.dense"
    after_attention: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    after_forward: str = "output.LayerNorm"


_BERT = Parts()

_MPNET = Parts(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    out="attention.attn.o",
    after_attention="attention.LayerNorm",
)

_DISTIL = Parts(
    stem="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    out="attention.out_lin",
    after_attention="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    after_forward="output_layer_norm",
)


def layer(found: Shape, names: Parts) -> Layer:
    """A layer with biases everywhere and norms behind its two parts."""
    cut = Split(found.heads.count, blocks.HEADS)
    inner = found.heads.count * found.heads.size
    return Layer(
        (
            *blocks.linear(names.query, inner, found.hidden, cut, bias=True),
            *blocks.linear(names.key, inner, found.hidden, cut, bias=True),
            *blocks.linear(names.value, inner, found.hidden, cut, bias=True),
            *blocks.linear_in(names.out, found.hidden, inner, cut, bias=True),
            *blocks.norm(names.after_attention, found.hidden, bias=True),
            *forward(names, found),
            *blocks.norm(names.after_forward, found.hidden, bias=True),
        )
    )


def forward(names: Parts, found: Shape) -> tuple[Weight, ...]:
    """The feed-forward layer."""
    return blocks.plain(found.hidden, found.width, prefix="", up=names.up, down=names.down)


def sizes(fields: Fields, positions: int = 512) -> Shape:
    """The sizes, under the names of all families.

    Args:
        positions: The longest text where the configuration does not say.

    Raises:
        Refusal: When one is missing or absurd, or the heads do not divide the hidden size.
    """
    return shape(fields, Sizes(positions=positions), _SIZES)


def profile(
    fields: Fields,
    found: Shape,
    layers: tuple[Layer, ...],
    before: tuple[Weight, ...],
    last: End,
    *,
    stem: str,
    positions: int,
    between: tuple[Weight, ...] = (),
) -> Profile:
    """The whole encoder.

    Args:
        before: Its tables, that of tokens first, and the norm behind them.
        between: What stands between the layers and the head: a last norm.
    """
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task=last.task,
        hidden=found.hidden,
        heads=found.heads.count,
        kv_heads=found.heads.kv,
        head_dim=found.heads.size,
        intermediate=found.width,
        vocabulary=found.vocabulary,
        max_positions=positions,
        layers=layers,
        before=before,
        after=(*between, *last.weights),
        tied=last.tied,
        stem=stem,
    )


def embeddings(
    found: Shape, *, positions: int = 0, types: int = 0, name: str = "embeddings"
) -> tuple[Weight, ...]:
    """Tables of tokens, of positions, of parts of the text; and the norm behind them."""
    places = blocks.table(f"{name}.position_embeddings", positions, found.hidden)
    parts = blocks.table(f"{name}.token_type_embeddings", types, found.hidden)
    return (
        *blocks.table(f"{name}.word_embeddings", found.vocabulary, found.hidden),
        *(places if positions else ()),
        *(parts if types else ()),
        *blocks.norm(f"{name}.LayerNorm", found.hidden, bias=True),
    )


def bert(fields: Fields) -> Profile:
    """BERT."""
    return _encoder(fields, _BERT, _POOLED, types=2)


def roberta(fields: Fields) -> Profile:
    """RoBERTa and its kin: the first positions are for padding, so a text has some fewer."""
    padding = fields.number("pad_token_id", default=1, least=0) + 1
    return _encoder(fields, _BERT, _ROBERTA, types=2, padding=padding)


def distilbert(fields: Fields) -> Profile:
    """DistilBERT; sinusoidal positions are a table among the parameters as learned ones are."""
    return _encoder(fields, _DISTIL, _DISTILBERT, types=0)


def mpnet(fields: Fields) -> Profile:
    """MPNet: one table of relative positions for all layers."""
    buckets = fields.number("relative_attention_num_buckets", default=32)
    heads = fields.number("num_attention_heads")
    bias = Weight("encoder.relative_attention_bias.weight", (buckets, heads), Whole(), "other")
    padding = fields.number("pad_token_id", default=1, least=0) + 1
    return _encoder(fields, _MPNET, _ROBERTA, types=0, padding=padding, more=(bias,))


def _encoder(
    fields: Fields,
    names: Parts,
    style: Ends,
    *,
    types: int,
    padding: int = 0,
    more: tuple[Weight, ...] = (),
) -> Profile:
    """An encoder with a table of positions.

    Args:
        types: Rows of the table of the text's parts where the configuration is silent; 0: none.
        padding: Rows of the table of positions that no text uses.
    """
    found = sizes(fields)
    positions = fields.number("max_position_embeddings", default=512)
    if positions <= padding:
        raise fields.absurd("max_position_embeddings", f"{positions}, all of them for padding")
    parts = fields.number("type_vocab_size", default=types, least=0) if types else 0
    return profile(
        fields,
        found,
        (layer(found, names),) * found.layers,
        (*embeddings(found, positions=positions, types=parts), *more),
        end(fields, style, found.hidden, found.vocabulary),
        stem=names.stem,
        positions=positions - padding,
    )


def nomic_bert(fields: Fields) -> Profile:
    """Nomic BERT: rotary positions, gated feed-forward layers, hardly a bias.

    Raises:
        Refusal: When some layers have experts, which transformers' class has not.
    """
    if fields.number("moe_every_n_layers", default=0, least=0):
        raise fields.absurd("moe_every_n_layers", "above 0, and layers with experts are not known")
    found = sizes(fields, 2048)
    bias = fields.flag("qkv_proj_bias", default=False)
    every = Layer(
        (
            *found.attention(bias=bias, out_bias=bias),
            *found.norms("post_attention_layernorm", bias=True),
            *found.gated(bias=_gated_bias(fields)),
            *found.norms("post_mlp_layernorm", bias=True),
        )
    )
    trained = fields.optional("max_trained_positions")
    return profile(
        fields,
        found,
        (every,) * found.layers,
        embeddings(found, types=fields.number("type_vocab_size", default=2, least=0)),
        end(fields, _NOMIC, found.hidden, found.vocabulary),
        stem="layers",
        positions=min(found.positions, trained or found.positions),
    )


def _gated_bias(fields: Fields) -> bool:
    first = fields.flag("mlp_fc1_bias", default=False)
    if fields.flag("mlp_fc2_bias", default=False) != first:
        raise fields.absurd("mlp_fc2_bias", "not as 'mlp_fc1_bias', which is not known")
    return first


READERS = {
    "bert": bert,
    "roberta": roberta,
    "xlm-roberta": roberta,
    "camembert": roberta,
    "distilbert": distilbert,
    "mpnet": mpnet,
    "nomic_bert": nomic_bert,
}
