"""Dense decoders: what is odd about a family, and what is refused of a stranger's file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning.architecture import (
    ByKvHead,
    Keys,
    Profile,
    Split,
    Weight,
    Whole,
    gemma,
    gpt,
    layernorm,
    llama,
    open_gpt,
    phi,
    postnorm,
    qwen,
)
from llmops.planning.architecture.fields import Fields
from llmops.planning.refusal import Refusal

FAMILIES = (llama, qwen, gemma, postnorm, phi, layernorm, gpt, open_gpt)
READERS: dict[str, Callable[[Fields], Profile]] = {
    kind: reader for family in FAMILIES for kind, reader in family.READERS.items()
}

MODERN = {
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
}
OLD = {"vocab_size": 100, "n_embd": 64, "n_layer": 6, "n_head": 8, "n_positions": 128}
SMALL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(READERS, MODERN),
    "gpt2": OLD,
    "gptj": OLD,
    "gpt_bigcode": OLD,
    "opt": MODERN | {"ffn_dim": 96},
    "bloom": {"vocab_size": 100, "hidden_size": 64, "n_layer": 6, "n_head": 8, "seq_length": 128},
    "falcon": MODERN | {"num_kv_heads": 4, "new_decoder_architecture": True},
    "mpt": {"vocab_size": 100, "d_model": 64, "n_layers": 6, "n_heads": 8, "max_seq_len": 128},
}
HIDDEN, HEADS, LAYERS = (
    ("hidden_size", "n_embd", "d_model"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("num_hidden_layers", "n_layer", "n_layers"),
)


def read(kind: str, **changes: Any) -> Profile:
    config = SMALL[kind] | changes
    return READERS[kind](Fields({"model_type": kind, **config}))


def windows(profile: Profile) -> list[int | None]:
    return [k.window for layer in profile.layers for k in layer.memory if isinstance(k, Keys)]


def weight(profile: Profile, name: str) -> Weight:
    return dict(profile.named())[name]


def said(kind: str, names: tuple[str, ...]) -> str:
    return next(name for name in names if name in SMALL[kind])


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("names", [HIDDEN, HEADS, LAYERS, ("vocab_size",)], ids=lambda n: n[0])
def test_a_size_that_is_none_is_refused_by_its_name(kind: str, names: tuple[str, ...]) -> None:
    field = said(kind, names)
    absurd: list[Any] = [0, -1, 2**31, 2**80, 1.5, "64", True, [64], {}]
    for value in absurd:
        with pytest.raises(Refusal, match=f"'{field}'") as refused:
            read(kind, **{field: value})
        assert refused.value.hint


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_size_of_a_whole_configuration_is_refused(kind: str) -> None:
    for names in (HIDDEN, HEADS, LAYERS, ("vocab_size",)):
        lacking = {k: v for k, v in SMALL[kind].items() if k != said(kind, names)}
        with pytest.raises(Refusal, match="missing"):
            READERS[kind](Fields({"model_type": kind, **lacking}))


@pytest.mark.parametrize("kind", [k for k in READERS if SMALL[k] is MODERN and k != "gpt_neox"])
def test_key_value_heads_must_divide_the_heads(kind: str) -> None:
    with pytest.raises(Refusal, match=r"num_key_value_heads.* is 3, which does not divide 8"):
        read(kind, num_key_value_heads=3)


def test_key_value_heads_of_falcon_must_divide_the_heads() -> None:
    with pytest.raises(Refusal, match="3, which does not divide 8"):
        read("falcon", num_kv_heads=3)


@pytest.mark.parametrize("kind", ["llama", "mistral", "phi3", "gpt2", "bloom", "falcon", "opt"])
def test_heads_must_divide_the_hidden_size_where_no_head_size_is_said(kind: str) -> None:
    with pytest.raises(Refusal, match="65, which 8 attention heads do not divide"):
        read(kind, **{said(kind, HIDDEN): 65})


def test_a_said_head_size_needs_no_division() -> None:
    profile = read("llama", hidden_size=65, head_dim=16)
    assert weight(profile, "model.layers.0.self_attn.q_proj.weight").shape == (128, 65)


def test_more_layers_than_any_model_has_are_refused() -> None:
    with pytest.raises(Refusal, match="num_hidden_layers"):
        read("llama", num_hidden_layers=5000)


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_types": ["full_attention"] * 5},
        {"layer_types": []},
        {"layer_types": ["full_attention"] * 5 + ["linear_attention"]},
        {"layer_types": "full_attention"},
        {"layer_types": [1] * 6},
        {"sliding_window": -1},
        {"sliding_window": 2**40},
        {"sliding_window": "4096"},
        {"sliding_window_pattern": 0},
        {"sliding_window_pattern": "LLLG"},
        {"attention_bias": "yes"},
    ],
    ids=str,
)
def test_an_absurd_pattern_of_layers_is_refused_by_its_name(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=next(iter(changes))):
        read("gemma3_text", **changes)


@pytest.mark.parametrize(
    "changes",
    [{"no_rope_layers": [1, 0]}, {"no_rope_layers": [True] * 6}, {"no_rope_layer_interval": 0}],
    ids=str,
)
def test_an_absurd_list_of_rotary_layers_is_refused_by_its_name(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=next(iter(changes))):
        read("smollm3", use_sliding_window=True, sliding_window=16, **changes)


values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 8)
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.sampled_from(["full_attention", "sliding_attention", "", 0]), max_size=7)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)
NAMES = [
    *MODERN, *OLD, "architectures", "head_dim", "layer_types", "sliding_window", "id2label",
    "sliding_window_pattern", "use_sliding_window", "max_window_layers", "no_rope_layers",
    "no_rope_layer_interval", "attention_bias", "mlp_bias", "tie_word_embeddings", "num_labels",
    "qk_layernorm", "use_qk_norm", "multi_query", "num_kv_heads", "ffn_dim", "ffn_hidden_size",
    "new_decoder_architecture", "word_embed_proj_dim", "n_inner", "n_embed", "is_causal",
    "num_ln_in_parallel_attn", "rope_scaling", "rope_parameters",
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(READERS)),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=4),
    st.booleans(),
)
def test_whatever_a_file_holds_it_is_a_profile_or_refused(
    kind: str, changes: dict[str, Any], nested: bool
) -> None:
    fields = Fields(SMALL[kind] | changes | {"model_type": kind}, "x." if nested else "")
    try:
        profile = READERS[kind](fields)
    except Refusal:
        return
    assert profile.parameters > 0
    assert profile.max_positions > 0
    assert profile.heads % profile.kv_heads == 0


def test_a_section_leaves_out_what_its_class_has_as_a_default() -> None:
    inner = {"model_type": "gemma3_text", "num_hidden_layers": 34}
    profile = gemma.gemma3(Fields({"text_config": inner}).section("text_config"))
    assert (profile.heads, profile.kv_heads, profile.head_dim) == (8, 4, 256)
    assert (profile.vocabulary, len(profile.layers)) == (262208, 34)


@pytest.mark.parametrize(
    ("name", "task", "head"),
    [
        ("LlamaForCausalLM", "generate", ["lm_head.weight"]),
        ("LlamaForSequenceClassification", "classify", ["score.weight"]),
        ("LlamaForTokenClassification", "classify", ["score.weight", "score.bias"]),
        ("LlamaModel", "embed", []),
        ("LlamaBidirectionalModel", "embed", []),
    ],
)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "opt", "phi"])
def test_the_class_decides_the_head(kind: str, name: str, task: str, head: list[str]) -> None:
    profile = read(kind, architectures=[name], tie_word_embeddings=False)
    known = ("lm_head.weight", "score.weight", "score.bias")
    assert profile.task == task
    assert [w.name for w in profile.after if w.name in known] == head
    assert not profile.tied


def test_a_configuration_without_a_class_generates() -> None:
    assert read("llama").task == "generate"
    assert read("llama", architectures=[]).task == "generate"


@pytest.mark.parametrize(
    "name", ["LlamaForQuestionAnswering", "Qwen2ForRewardModel", "LlamaForCausalLMEagle3", "Odd"]
)
def test_a_class_whose_head_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="architectures"):
        read("llama", architectures=[name])


@pytest.mark.parametrize(
    ("changes", "classes"),
    [
        ({}, 2),
        ({"num_labels": 1}, 1),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, 3),
        ({"id2label": {"0": "a"}, "num_labels": 7}, 1),
    ],
    ids=str,
)
def test_labels_are_counted_as_transformers_counts_them(
    changes: dict[str, Any], classes: int
) -> None:
    profile = read("llama", architectures=["LlamaForSequenceClassification"], **changes)
    score = Weight("score.weight", (classes, 64), Whole(), "head", float32=True)
    assert weight(profile, "score.weight") == score


@pytest.mark.parametrize("changes", [{"id2label": {}}, {"id2label": ["a"]}, {"num_labels": 0}])
def test_absurd_labels_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=next(iter(changes))):
        read("llama", architectures=["LlamaForSequenceClassification"], **changes)


def test_a_classifier_of_a_narrow_table_takes_the_tables_width() -> None:
    name = ["OPTForSequenceClassification"]
    profile = read("opt", word_embed_proj_dim=32, architectures=name)
    assert weight(profile, "score.weight").shape == (2, 32)


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("llama", {}, [None] * 6),
        ("mistral", {}, [4096] * 6),
        ("mistral", {"sliding_window": None}, [None] * 6),
        ("mistral", {"sliding_window": 0}, [None] * 6),
        ("mistral", {"sliding_window": 16}, [16] * 6),
        ("qwen2", {"sliding_window": 16}, [None] * 6),
        ("qwen2", {"sliding_window": 16, "use_sliding_window": True}, [None] * 6),
        (
            "qwen3",
            {"sliding_window": 16, "use_sliding_window": True, "max_window_layers": 4},
            [None] * 4 + [16] * 2,
        ),
        ("gemma2", {"sliding_window": 16}, [16, None] * 3),
        ("gemma3_text", {"sliding_window": 16}, [16] * 5 + [None]),
        ("gemma3_text", {"sliding_window": 16, "sliding_window_pattern": 3}, [16, 16, None] * 2),
        (
            "gemma3_text",
            {"layer_types": ["full_attention", "sliding_attention"] * 3},
            [None, 4096] * 3,
        ),
        ("exaone4", {}, [4096] * 3 + [None] + [4096] * 2),
        ("exaone4", {"sliding_window": None}, [None] * 6),
        ("cohere2", {"sliding_window": 16}, [17] * 3 + [None] + [17] * 2),
        ("smollm3", {"sliding_window": 16}, [None] * 6),
        (
            "smollm3",
            {"sliding_window": 16, "use_sliding_window": True},
            [None] * 3 + [16] + [None] * 2,
        ),
    ],
    ids=str,
)
def test_windows_are_where_the_engine_has_them(
    kind: str, changes: dict[str, Any], expected: list[int | None]
) -> None:
    assert windows(read(kind, **changes)) == expected


@pytest.mark.parametrize("kind", READERS)
def test_layers_that_are_alike_are_one_object(kind: str) -> None:
    layers = read(kind).layers
    assert len({id(layer) for layer in layers}) == len(set(layers))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gemma3_text", {"use_bidirectional_attention": True}),
        ("qwen2", {"is_causal": False}),
        ("llama", {"architectures": ["LlamaBidirectionalModel"]}),
    ],
    ids=str,
)
def test_a_model_that_attends_both_ways_remembers_nothing(
    kind: str, changes: dict[str, Any]
) -> None:
    assert all(not layer.memory for layer in read(kind, **changes).layers)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "phi3", "falcon", "cohere", "starcoder2"])
def test_keys_are_cut_by_key_value_heads_and_queries_by_heads(kind: str) -> None:
    weights = {w.name.rsplit(".", 2)[-2]: w for w in read(kind).layers[0].weights}
    assert weights["q_proj"].cut == Split(8, "attention heads")
    assert weights["k_proj"].cut == weights["v_proj"].cut == ByKvHead(4)


def test_a_bias_after_a_sum_is_whole_and_one_before_it_is_cut() -> None:
    profile = read("phi")
    assert weight(profile, "model.layers.0.self_attn.dense.bias").cut == Whole()
    assert weight(profile, "model.layers.0.mlp.fc1.bias").cut == Split(96, "feed-forward columns")


def test_feed_forward_layers_without_a_plan_in_transformers_are_whole_on_every_rank() -> None:
    profile = read("gpt_bigcode")
    assert weight(profile, "transformer.h.0.mlp.c_fc.weight").cut == Whole()
    assert profile.kv_heads == 1


@pytest.mark.parametrize("kind", ["gpt2", "gpt_bigcode"])
def test_attention_to_an_encoder_is_refused(kind: str) -> None:
    with pytest.raises(Refusal, match="add_cross_attention"):
        read(kind, add_cross_attention=True)


@pytest.mark.parametrize(
    ("changes", "kv_heads", "norms"),
    [
        ({}, 4, {"ln_attn", "ln_mlp"}),
        ({"new_decoder_architecture": False}, 1, {"input_layernorm"}),
        ({"new_decoder_architecture": False, "multi_query": False}, 8, {"input_layernorm"}),
        ({"num_ln_in_parallel_attn": 1}, 4, {"input_layernorm"}),
        ({"parallel_attn": False}, 4, {"input_layernorm", "post_attention_layernorm"}),
    ],
    ids=["old", "grouped", "alike", "one norm", "one after another"],
)
def test_falcon_has_three_shapes_of_attention(
    changes: dict[str, Any], kv_heads: int, norms: set[str]
) -> None:
    profile = read("falcon", **changes)
    named = {w.name.split(".")[0] for w in profile.layers[0].weights if w.role == "norm"}
    assert (profile.kv_heads, named) == (kv_heads, norms)


def test_stablelm_with_norms_for_each_head_has_as_many_as_heads() -> None:
    without = read("stablelm").parameters
    assert read("stablelm", qk_layernorm=True).parameters - without == 6 * (8 + 4) * 8
    assert without - read("stablelm", use_parallel_residual=True).parameters == 6 * 2 * 64


def test_a_head_that_generates_may_have_a_bias_even_when_tied() -> None:
    profile = read("gptj", tie_word_embeddings=True)
    assert [w.name for w in profile.after if "lm_head" in w.name] == ["lm_head.bias"]
    assert profile.tied
