"""Encoders and encoder-decoders: heads by class, what is odd of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning.architecture import (
    ByRow,
    Cross,
    Keys,
    Profile,
    Whole,
    bart,
    deberta,
    encoders,
    modernbert,
    t5,
)
from llmops.planning.architecture.fields import Fields
from llmops.planning.refusal import Refusal
from tests.planning.architectures.cases import CASES, ODD

TRANSDUCERS = {**t5.READERS, **bart.READERS}
READERS: dict[str, Callable[[Fields], Profile]] = {
    **TRANSDUCERS,
    **encoders.READERS,
    **modernbert.READERS,
    **deberta.READERS,
}
PUBLISHED = {n: case for n, case in CASES.items() if case["config"]["model_type"] in READERS}
BY_TYPE = {case["config"]["model_type"]: name for name, case in PUBLISHED.items()}
"""One model of each type; its configuration is what the tests below start from."""


SIZES = {
    "hidden": ("hidden_size", "d_model", "dim", "n_embd"),
    "heads": ("num_attention_heads", "num_heads", "n_heads", "n_head", "decoder_attention_heads"),
    "layers": ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "decoder_layers"),
    "width": ("intermediate_size", "d_ff", "hidden_dim", "n_inner", "decoder_ffn_dim"),
    "vocabulary": ("vocab_size",),
}


def read(name: str, **changes: Any) -> Profile:
    """The profile of a case, with fields changed; `...` takes one away."""
    config = PUBLISHED[name]["config"] | changes
    config = {field: value for field, value in config.items() if value is not ...}
    return READERS[config["model_type"]](Fields(config))


def as_class(name: str, head: str, **changes: Any) -> Profile:
    """The same model under another class of its family."""
    family = PUBLISHED[name]["config"]["architectures"][0].partition("For")[0]
    return read(name, architectures=[f"{family.removesuffix('Model')}{head}"], **changes)


def said(name: str, size: str) -> str:
    return next(field for field in SIZES[size] if field in PUBLISHED[name]["config"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_encoder_remembers_nothing(name: str) -> None:
    profile = read(name)
    stack = profile.encoder if profile.task == "transduce" else ()
    only = profile.layers if PUBLISHED[name]["config"]["model_type"] not in TRANSDUCERS else ()
    assert not any(layer.memory for layer in (*stack, *only))


# Encoder-decoders


def test_a_layer_of_a_decoder_keeps_its_own_keys_and_those_of_the_encoder() -> None:
    for layer in read("bart-large-cnn").layers:
        assert [type(memory) for memory in layer.memory] == [Keys, Cross]


def test_tokens_of_an_encoder_are_bounded_by_its_positions_where_it_has_any() -> None:
    bounds = [m.tokens for m in read("bart-large-cnn").layers[0].memory if isinstance(m, Cross)]
    free = [m.tokens for m in read("t5-small").layers[0].memory if isinstance(m, Cross)]
    assert (bounds, free) == ([1024], [None])


def test_the_table_of_distances_stands_in_the_first_layer_of_t5_and_in_all_of_umt5() -> None:
    for name, everywhere in (("t5-small", False), ("mt5-small", False), ("umt5-small", True)):
        profile = read(name)
        for stack in (profile.layers, profile.encoder):
            tables = [any("relative" in w.name for w in layer.weights) for layer in stack]
            assert tables == [True, *[everywhere] * (len(stack) - 1)], name


def test_a_decoder_of_t5_is_as_deep_as_its_encoder_unless_said() -> None:
    profile = read("t5-small", num_decoder_layers=2)
    assert (len(profile.layers), len(profile.encoder)) == (2, 6)
    assert len(read("t5-small", num_decoder_layers=...).layers) == 6


def test_a_head_that_the_files_may_hold_is_told_of() -> None:
    (note,) = read("flan-t5-base").notes
    assert str(32128 * 768) in note
    assert not read("t5-small").notes


def test_the_encoder_of_t5_alone_gives_vectors() -> None:
    alone = as_class("t5-small", "EncoderModel")
    assert alone.task == "embed"
    assert not alone.encoder
    assert not any(layer.memory for layer in alone.layers)
    assert alone.parameters == 35330816  # what transformers makes of T5EncoderModel


def test_positions_that_are_worked_out_are_no_parameters() -> None:
    names = [weight.name for weight in read("nllb-200-distilled-600m").before]
    assert not [name for name in names if "position" in name]
    shapes = {weight.name: weight.shape for weight in read("pegasus-xsum").before}
    assert shapes["model.encoder.embed_positions.weight"] == (512, 1024)


def test_untied_tables_of_bart_are_four() -> None:
    tied, untied = read("bart-large-cnn"), read("bart-large-cnn", tie_word_embeddings=False)
    assert untied.parameters - tied.parameters == 3 * 50264 * 1024
    assert not untied.tied


def test_a_marian_with_two_vocabularies_has_two_tables() -> None:
    both = read("opus-mt-en-de", share_encoder_decoder_embeddings=False, decoder_vocab_size=60000)
    assert both.parameters - read("opus-mt-en-de").parameters == 60000 * 512


# Heads by class


@pytest.mark.parametrize(
    ("name", "head", "task", "more"),
    [
        # beside the plain layers and tables: poolers, layers before the classes, words
        ("bert-base-uncased", "Model", "embed", 768 * 769),
        ("bert-base-uncased", "ForSequenceClassification", "classify", 768 * 769 + 2 * 769),
        ("bert-base-uncased", "ForTokenClassification", "classify", 2 * 769),
        ("bert-base-uncased", "ForMaskedLM", "embed", 768 * 769 + 2 * 768 + 30522),
        ("xlm-roberta-base", "Model", "embed", 768 * 769),
        ("xlm-roberta-base", "ForSequenceClassification", "classify", 768 * 769 + 2 * 769),
        ("xlm-roberta-base", "ForTokenClassification", "classify", 2 * 769),
        ("distilbert-sst-2", "Model", "embed", 0),
        ("distilbert-sst-2", "ForMaskedLM", "embed", 768 * 769 + 2 * 768 + 30522),
        ("nomic-embed-text-v1.5", "ForSequenceClassification", "classify", 768 * 769 + 2 * 769),
        ("deberta-v3-base-mnli", "Model", "embed", 0),
        ("deberta-v3-base-mnli", "ForMaskedLM", "embed", 768 * 769 + 2 * 768 + 128100),
        ("modernbert-base", "ForSequenceClassification", "classify", 768 * 769 + 2 * 769),
        ("modernbert-base", "Model", "embed", 0),
    ],
)
def test_a_class_has_its_own_head(name: str, head: str, task: str, more: int) -> None:
    profile = as_class(name, head, id2label=...)
    norms = sum(w.elements for w in profile.after if w.name.startswith("final_norm"))
    assert profile.task == task
    assert sum(weight.elements for weight in profile.after) - norms == more


def test_a_model_without_a_class_is_the_plain_one() -> None:
    plain = read("bge-m3", architectures=...)
    assert plain.task == "embed"
    assert plain.parameters == PUBLISHED["bge-m3"]["parameters"]


def test_an_own_table_of_words_counts_where_it_is_not_that_of_the_tokens() -> None:
    untied = read("bert-base-uncased", tie_word_embeddings=False)
    more = untied.parameters - read("bert-base-uncased").parameters
    assert more == 30522 * 769  # and a bias of its own, as transformers makes it
    assert not untied.tied


@pytest.mark.parametrize("name", ["bge-m3", "modernbert-base", "bart-large-cnn", "t5-small"])
def test_a_class_whose_head_is_unknown_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="'architectures' is a class whose head"):
        as_class(name, "ForQuestionAnswering")


# Odd ones


def test_positions_for_padding_are_none_of_a_text() -> None:
    assert read("roberta-large-mnli").max_positions == 512
    with pytest.raises(Refusal, match="all of them for padding"):
        read("roberta-large-mnli", max_position_embeddings=2)


def test_tables_of_tokens_and_positions_are_cut_by_rows() -> None:
    cuts = {w.name: w.cut for w in read("bge-m3").before if w.role == "embedding"}
    assert cuts == {
        "embeddings.word_embeddings.weight": ByRow(250002),
        "embeddings.position_embeddings.weight": ByRow(8194),
        "embeddings.token_type_embeddings.weight": ByRow(1),
    }


def test_the_first_layer_of_modernbert_has_no_norm_before_its_attention() -> None:
    profile = read("modernbert-base")
    norms = [any(w.name.startswith("attn_norm") for w in layer.weights) for layer in profile.layers]
    assert norms == [False, *[True] * 21]


def test_one_table_of_relative_positions_serves_all_layers_of_deberta() -> None:
    (table,) = [w for w in read("deberta-v3-base-mnli").before if "rel_embeddings" in w.name]
    assert (table.shape, table.cut) == ((512, 768), Whole())


def test_deberta_may_project_positions_apart() -> None:
    apart = read("deberta-v3-base-mnli", share_att_key=False, pos_att_type="c2p|p2c")
    more = apart.parameters - read("deberta-v3-base-mnli").parameters
    assert more == 12 * 2 * 768 * 769


def test_deberta_without_relative_positions_has_absolute_ones() -> None:
    names = [
        weight.name
        for weight in read(
            "deberta-v3-base-mnli", relative_attention=False, position_biased_input=True
        ).before
    ]
    assert "embeddings.position_embeddings.weight" in names
    assert not [name for name in names if "rel_embeddings" in name]


def test_a_nomic_bert_with_experts_is_refused() -> None:
    with pytest.raises(Refusal, match="moe_every_n_layers"):
        read("nomic-embed-text-v1.5", moe_every_n_layers=2)


# What is refused


@pytest.mark.parametrize("kind", BY_TYPE)
@pytest.mark.parametrize("size", SIZES)
def test_a_size_that_is_none_is_refused_by_its_name(kind: str, size: str) -> None:
    field = said(BY_TYPE[kind], size)
    absurd: list[Any] = [0, -1, 2**31, 2**80, 1.5, "64", True, [64], {}]
    for value in absurd:
        with pytest.raises(Refusal, match=f"'{field}'") as refused:
            read(BY_TYPE[kind], **{field: value})
        assert refused.value.hint


@pytest.mark.parametrize("kind", BY_TYPE)
@pytest.mark.parametrize("size", SIZES)
def test_a_missing_size_is_refused(kind: str, size: str) -> None:
    with pytest.raises(Refusal, match="missing"):
        read(BY_TYPE[kind], **{said(BY_TYPE[kind], size): ...})


@pytest.mark.parametrize("kind", [kind for kind in BY_TYPE if kind not in t5.READERS])
def test_heads_that_do_not_divide_are_refused(kind: str) -> None:
    with pytest.raises(Refusal, match="7 attention heads do not divide"):
        read(BY_TYPE[kind], **{said(BY_TYPE[kind], "heads"): 7})


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("t5-small", {"feed_forward_proj": "gated-gelu-new"}, "feed_forward_proj"),
        ("t5-small", {"feed_forward_proj": "un-gated"}, "feed_forward_proj"),
        ("t5-small", {"num_decoder_layers": 5000}, "num_decoder_layers"),
        ("bart-large-cnn", {"encoder_attention_heads": 7}, "d_model"),
        ("bart-large-mnli", {"id2label": {}}, "id2label"),
        ("bart-large-mnli", {"id2label": "three"}, "id2label"),
        ("opus-mt-en-de", {"decoder_vocab_size": 0}, "decoder_vocab_size"),
        ("bge-m3", {"pad_token_id": -1}, "pad_token_id"),
        ("bge-reranker-v2-m3", {"id2label": ..., "num_labels": 0}, "num_labels"),
        ("modernbert-base", {"norm_bias": "no"}, "norm_bias"),
        ("deberta-v3-base-mnli", {"position_buckets": -2}, "position_buckets"),
        ("deberta-v3-base-mnli", {"conv_kernel_size": 3, "conv_groups": 7}, "conv_groups"),
        ("deberta-v3-base-mnli", {"share_att_key": False, "pos_att_type": 3}, "pos_att_type"),
        ("nomic-embed-text-v1.5", {"mlp_fc1_bias": True}, "mlp_fc2_bias"),
    ],
)
def test_what_does_not_go_together_is_refused_by_its_name(
    name: str, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(Refusal, match=f"'{named}'") as refused:
        read(name, **changes)
    assert refused.value.message.isprintable()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_strangers_file_ends_in_a_profile_or_a_refusal(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PUBLISHED)))
    fields = sorted(PUBLISHED[name]["config"].keys() - {"model_type"})
    changes = data.draw(st.dictionaries(st.sampled_from(fields), ODD, max_size=3))
    try:
        profile = read(name, **changes)
    except Refusal:
        return
    assert profile.parameters > 0
    assert profile.max_positions > 0
