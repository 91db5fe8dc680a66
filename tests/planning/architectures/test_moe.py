"""Mixtures of experts, latent attention and chunked attention: what is odd about each family."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from llmops.planning.architecture import (
    ByExpert,
    ByKvHead,
    Keys,
    Latent,
    Layer,
    Profile,
    Split,
    Weight,
    Whole,
    deepseek,
    gpt_oss,
    llama4,
    moe,
    moe_shared,
)
from llmops.planning.architecture.families import Reader
from llmops.planning.architecture.fields import Fields
from llmops.planning.refusal import Refusal
from tests.planning.architectures.cases import CASES

READERS: dict[str, Reader] = {
    **moe.READERS,
    **moe_shared.READERS,
    **deepseek.READERS,
    **gpt_oss.READERS,
    **llama4.READERS,
}
PUBLISHED = {n: case for n, case in CASES.items() if case["config"]["model_type"] in READERS}
BY_TYPE = {case["config"]["model_type"]: name for name, case in PUBLISHED.items()}
"""One model of each type; its configuration is what the tests below start from."""


def read(name: str, **changes: Any) -> Profile:
    """The profile of a case, with fields changed; `...` takes one away."""
    config = PUBLISHED[name]["config"] | changes
    config = {field: value for field, value in config.items() if value is not ...}
    return READERS[config["model_type"]](Fields(config))


def weight(layer: Layer, name: str) -> Weight:
    return next(found for found in layer.weights if found.name == name)


def has_experts(profile: Profile) -> list[bool]:
    return [any(isinstance(w.cut, ByExpert) for w in layer.weights) for layer in profile.layers]


def windows(profile: Profile) -> list[int | None]:
    return [m.window for layer in profile.layers for m in layer.memory if isinstance(m, Keys)]


def test_kimi_k2_is_read_as_deepseek_v3() -> None:
    # The figures of its config.json; transformers 5.19 has no name for its type, but counts
    # 1,026,408,209,408 when it is called deepseek_v3.
    kimi = read(
        "deepseek-v3", model_type="kimi_k2", first_k_dense_replace=1, n_group=1, topk_group=1,
        n_routed_experts=384, num_attention_heads=64, num_key_value_heads=64, vocab_size=163840,
    )  # fmt: skip
    assert kimi.parameters == 1_026_408_209_408
    assert (kimi.experts, kimi.experts_per_token) == (384, 8)


# Experts


def test_experts_are_dealt_or_cut_and_the_router_is_whole() -> None:
    layer = read("mixtral-8x7b").layers[0]
    assert weight(layer, "mlp.gate.weight").cut == Whole()
    assert weight(layer, "mlp.gate.weight").role == "router"
    assert weight(layer, "mlp.experts.gate_up_proj").cut == ByExpert(8, 14336)
    assert weight(layer, "mlp.experts.down_proj").shape == (8, 4096, 14336)


@pytest.mark.parametrize(
    ("name", "prefix", "width"),
    [
        ("qwen1.5-moe-a2.7b", "mlp.shared_expert", 5632),
        ("deepseek-v2-lite", "mlp.shared_experts", 2 * 1408),
        ("llama-4-scout-text", "feed_forward.shared_expert", 8192),
        ("ernie-4.5-21b-a3b", "mlp.shared_experts", 2 * 1536),
    ],
)
def test_shared_experts_are_one_layer_that_is_cut_as_any_other(
    name: str, prefix: str, width: int
) -> None:
    layer = read(name).layers[-1]
    for part in ("gate_proj", "up_proj", "down_proj"):
        assert weight(layer, f"{prefix}.{part}.weight").cut == Split(width, "feed-forward columns")


def test_every_second_layer_has_experts_when_the_step_says_so() -> None:
    stepped = read("qwen3-30b-a3b", num_hidden_layers=6, decoder_sparse_step=2)
    assert has_experts(stepped) == [False, True, False, True, False, True]
    named = read("qwen3-30b-a3b", num_hidden_layers=4, mlp_only_layers=[0, 3])
    assert has_experts(named) == [False, True, True, False]


def test_the_first_layers_of_deepseek_are_dense() -> None:
    assert has_experts(read("deepseek-v3"))[:5] == [False, False, False, True, True]
    all_dense = read("deepseek-v3", first_k_dense_replace=99)
    assert all_dense.experts == 0
    assert all_dense.active == all_dense.parameters


def test_layers_that_are_alike_are_one_object() -> None:
    for name in PUBLISHED:
        assert len({id(layer) for layer in read(name).layers}) <= 4, name


def test_a_model_of_the_family_without_experts_is_dense() -> None:
    for name in ("qwen1.5-moe-a2.7b", "qwen3-30b-a3b"):
        dense = read(name, num_experts=0)
        assert (dense.experts, dense.experts_per_token) == (0, 0)
        assert dense.intermediate == PUBLISHED[name]["config"]["intermediate_size"]
    dense = read("llama-4-scout-text", interleave_moe_layer_step=0, num_local_experts=0)
    assert not any(has_experts(dense))
    assert dense.experts == 0


def test_routers_that_vllm_keeps_in_float32_are_marked() -> None:
    for name in ("glm-4.5-air", "ernie-4.5-21b-a3b", "minimax-m2"):
        assert weight(read(name).layers[-1], "mlp.gate.weight").float32, name
    assert not weight(read("deepseek-v3").layers[-1], "mlp.gate.weight").float32


# gpt-oss


def test_gpt_oss_slides_in_even_layers_only() -> None:
    assert windows(read("gpt-oss-20b"))[:4] == [128, None, 128, None]
    assert windows(read("gpt-oss-20b", layer_types=...))[:4] == [128, None, 128, None]


def test_gpt_oss_counts_on_a_window_only_where_both_libraries_have_one() -> None:
    everywhere = read("gpt-oss-20b", layer_types=["sliding_attention"] * 24)
    assert windows(everywhere)[:4] == [128, None, 128, None]
    nowhere = read("gpt-oss-20b", layer_types=["full_attention"] * 24)
    assert set(windows(nowhere)) == {None}


def test_gpt_oss_has_sinks_and_biases_and_never_repeats_kv_heads() -> None:
    layer = read("gpt-oss-20b").layers[0]
    assert weight(layer, "self_attn.sinks").cut == Split(64, "attention heads")
    assert weight(layer, "mlp.router.bias").shape == (32,)
    assert weight(layer, "mlp.experts.gate_up_proj_bias").cut == ByExpert(32, 2880)
    # Every rank that holds a part of an expert holds the whole bias of its projection out.
    assert weight(layer, "mlp.experts.down_proj_bias").cut == ByExpert(32, 2880, whole=True)
    assert weight(layer, "self_attn.k_proj.weight").cut == Split(8, "KV heads")


# Llama 4


def test_llama4_sees_all_in_every_fourth_layer_and_its_chunk_in_the_others() -> None:
    memories = [memory for layer in read("llama-4-maverick-text").layers for memory in layer.memory]
    chunks = [memory.chunk for memory in memories if isinstance(memory, Keys)]
    assert chunks[:4] == [8192, 8192, 8192, None]
    assert chunks == chunks[:4] * 12


def test_llama4_takes_the_list_of_layers_with_positions_before_the_interval() -> None:
    some = read("llama-4-scout-text", num_hidden_layers=3, no_rope_layers=[0, 1, 0])
    chunks = [m.chunk for layer in some.layers for m in layer.memory if isinstance(m, Keys)]
    assert chunks == [None, 8192, None]
    assert read("llama-4-scout-text", no_rope_layers=[]) == read("llama-4-scout-text")


def test_llama4_maverick_has_experts_in_every_other_layer() -> None:
    assert has_experts(read("llama-4-maverick-text"))[:4] == [False, True, False, True]
    named = read("llama-4-maverick-text", moe_layers=list(range(1, 48, 2)))
    assert named == read("llama-4-maverick-text")


# Latent attention


def test_latent_attention_keeps_one_vector_a_token_and_cuts_only_what_has_heads() -> None:
    layer = read("deepseek-v3").layers[0]
    assert layer.memory == (Latent(rank=512, rope=64),)
    whole = ("q_a_proj.weight", "kv_a_proj_with_mqa.weight", "q_a_layernorm.weight")
    cut = ("q_b_proj.weight", "kv_b_proj.weight", "o_proj.weight")
    for name in whole:
        assert weight(layer, f"self_attn.{name}").cut == Whole()
    for name in cut:
        assert weight(layer, f"self_attn.{name}").cut == Split(128, "attention heads")


def test_a_query_rank_that_is_null_is_not_one_that_is_missing() -> None:
    names = {w.name for w in read("deepseek-v3", q_lora_rank=None).layers[0].weights}
    assert "self_attn.q_proj.weight" in names
    assert "self_attn.q_a_proj.weight" not in names
    missing = read("deepseek-v3", q_lora_rank=...)
    assert missing == read("deepseek-v3")


def test_null_or_no_shared_experts_are_none() -> None:
    for none in (None, 0):
        layer = read("deepseek-v3", n_shared_experts=none).layers[-1]
        assert not [w.name for w in layer.weights if "shared" in w.name]


# Windows and norms of the others


def test_a_window_holds_for_all_layers_or_for_none() -> None:
    four = {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 4096}
    assert windows(read("qwen3-30b-a3b", **four)) == [4096] * 4
    mixed = ["sliding_attention", "full_attention"] * 2
    assert windows(read("qwen3-30b-a3b", **four, layer_types=mixed)) == [None] * 4
    assert windows(read("qwen3-30b-a3b", **four | {"use_sliding_window": False})) == [None] * 4
    # transformers makes every other layer of this one slide, and vLLM then gives up on windows.
    assert windows(read("qwen1.5-moe-a2.7b", **four)) == [None] * 4
    alike = ["sliding_attention"] * 4
    assert windows(read("qwen1.5-moe-a2.7b", **four, layer_types=alike)) == [4096] * 4
    assert set(windows(read("mixtral-8x7b", sliding_window=0))) == {None}
    assert set(windows(read("mixtral-8x7b", sliding_window=4096))) == {4096}


def test_norms_over_all_heads_are_whole_in_olmoe_and_cut_in_minimax() -> None:
    assert weight(read("olmoe-1b-7b").layers[0], "self_attn.q_norm.weight").cut == Whole()
    layer = read("minimax-m2").layers[0]
    assert weight(layer, "self_attn.q_norm.weight").cut == Split(48, "attention heads")
    assert weight(layer, "self_attn.k_norm.weight").cut == ByKvHead(8)


def test_kv_heads_that_are_null_are_as_many_as_heads_and_missing_ones_are_the_familys() -> None:
    assert read("mixtral-8x7b", num_key_value_heads=None).kv_heads == 32
    assert read("mixtral-8x7b", num_key_value_heads=...).kv_heads == 8


def test_a_feed_forward_layer_beside_granites_experts_is_counted() -> None:
    shared = {"model_type": "granitemoeshared", "shared_intermediate_size": 1024}
    more = read("granite-3.0-1b-a400m", **shared)
    plain = read("granite-3.0-1b-a400m")
    assert more.parameters - plain.parameters == 24 * 3 * 1024 * 1024
    assert more.intermediate == plain.intermediate + 1024


# Strangers


@pytest.mark.parametrize(
    ("name", "changes", "blamed"),
    [
        ("mixtral-8x7b", {"num_local_experts": 0}, "num_local_experts"),
        ("mixtral-8x7b", {"num_local_experts": ...}, "num_local_experts"),
        ("mixtral-8x7b", {"num_local_experts": 2**40}, "num_local_experts"),
        ("mixtral-8x7b", {"num_experts_per_tok": 9}, "num_experts_per_tok"),
        ("mixtral-8x7b", {"num_experts_per_tok": "2"}, "num_experts_per_tok"),
        ("mixtral-8x7b", {"num_attention_heads": 0}, "num_attention_heads"),
        ("mixtral-8x7b", {"num_key_value_heads": 5}, "num_key_value_heads"),
        ("mixtral-8x7b", {"num_attention_heads": 24}, "hidden_size"),
        ("mixtral-8x7b", {"num_hidden_layers": 10**6}, "num_hidden_layers"),
        ("mixtral-8x7b", {"sliding_window": -1}, "sliding_window"),
        ("mixtral-8x7b", {"layer_types": "sliding_attention"}, "layer_types"),
        ("mixtral-8x7b", {"layer_types": ["sliding_attention"]}, "layer_types"),
        ("qwen1.5-moe-a2.7b", {"moe_intermediate_size": ...}, "moe_intermediate_size"),
        ("qwen1.5-moe-a2.7b", {"decoder_sparse_step": 0}, "decoder_sparse_step"),
        ("qwen3-30b-a3b", {"mlp_only_layers": [-1]}, "mlp_only_layers"),
        ("qwen3-30b-a3b", {"mlp_only_layers": 3}, "mlp_only_layers"),
        ("qwen3-30b-a3b", {"use_sliding_window": "yes"}, "use_sliding_window"),
        ("deepseek-v2", {"num_experts_per_tok": ...}, "num_experts_per_tok"),
        ("deepseek-v3", {"kv_lora_rank": 0}, "kv_lora_rank"),
        ("deepseek-v3", {"q_lora_rank": 0}, "q_lora_rank"),
        ("deepseek-v3", {"qk_rope_head_dim": 0}, "qk_rope_head_dim"),
        ("deepseek-v3", {"first_k_dense_replace": -3}, "first_k_dense_replace"),
        ("deepseek-v3", {"n_shared_experts": 1.5}, "n_shared_experts"),
        ("deepseek-v3", {"moe_layer_freq": 2}, "moe_layer_freq"),
        ("deepseek-v3", {"index_topk": 2048}, "index_topk"),
        ("glm-4.7-flash", {"mlp_layer_types": ["sparse"] * 47}, "mlp_layer_types"),
        ("glm-4.7-flash", {"mlp_layer_types": ["dense"]}, "mlp_layer_types"),
        ("gpt-oss-20b", {"layer_types": ["sliding_attention"]}, "layer_types"),
        ("llama-4-scout-text", {"no_rope_layers": [1, 0]}, "no_rope_layers"),
        ("llama-4-scout-text", {"moe_layers": [1]}, "moe_layers"),
        ("llama-4-scout-text", {"interleave_moe_layer_step": -1}, "interleave_moe_layer_step"),
        ("llama-4-scout-text", {"no_rope_layer_interval": 0}, "no_rope_layer_interval"),
        ("ernie-4.5-21b-a3b", {"moe_layer_interval": 0}, "moe_layer_interval"),
        ("ernie-4.5-21b-a3b", {"moe_layer_end_index": -2}, "moe_layer_end_index"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_by_name(
    name: str, changes: dict[str, Any], blamed: str
) -> None:
    with pytest.raises(Refusal, match=blamed):
        read(name, **changes)


ABSURD: list[Any] = [
    ..., None, True, False, 0, 1, -1, 7, 2**31, 2**70, 1.5, math.nan, math.inf, "", "8", [], [1],
    [-1], [2**70], ["x"], [None], [[1]], {}, {"factor": "x"},
]  # fmt: skip


def outcome(name: str, field: str, value: Any) -> Profile | Refusal:
    try:
        return read(name, **{field: value})
    except Refusal as refused:
        return refused


@pytest.mark.parametrize("model_type", BY_TYPE)
def test_whatever_a_field_holds_the_answer_is_a_profile_or_a_refusal(model_type: str) -> None:
    name = BY_TYPE[model_type]
    fields = [field for field in PUBLISHED[name]["config"] if field != "model_type"]
    for field, value in itertools.product(fields, ABSURD):
        found = outcome(name, field, value)
        if isinstance(found, Profile):
            assert 0 < found.active <= found.parameters, (field, value)
        else:
            assert "cannot plan" in found.message, (field, value)
