"""State-space, linear-attention and convolution hybrids: how they are cut, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning.architecture import (
    Keys,
    Profile,
    Split,
    State,
    Weight,
    Whole,
    hybrid,
    lfm2,
    linear_attention,
    mamba,
    nemotron_h,
    zamba,
)
from llmops.planning.architecture.fields import Fields
from llmops.planning.refusal import Refusal
from tests.planning.architectures.cases import CASES, ODD

READERS: dict[str, Callable[[Fields], Profile]] = {
    kind: reader
    for family in (mamba, hybrid, linear_attention, lfm2, nemotron_h, zamba)
    for kind, reader in family.READERS.items()
}
PUBLISHED = {n: case for n, case in CASES.items() if case["config"]["model_type"] in READERS}
BY_TYPE = {case["config"]["model_type"]: name for name, case in PUBLISHED.items()}
"""One model of each type; its configuration is what the tests below start from."""

FIXED = ("mamba", "falcon_mamba", "mamba2")
"""Types without attention."""


def read(name: str, **changes: Any) -> Profile:
    """The profile of a case, with fields changed; `...` takes one away."""
    config = PUBLISHED[name]["config"] | changes
    config = {field: value for field, value in config.items() if value is not ...}
    return READERS[config["model_type"]](Fields(config))


def states(profile: Profile) -> list[State]:
    return [m for layer in profile.layers for m in layer.memory if isinstance(m, State)]


def keys(profile: Profile) -> list[Keys]:
    return [m for layer in profile.layers for m in layer.memory if isinstance(m, Keys)]


def units(profile: Profile) -> set[int]:
    """Of what every tensor parallel size must be a divisor."""
    weights: list[Weight | State] = [w for layer in profile.layers for w in layer.weights]
    return {c.cut.units for c in (*weights, *states(profile)) if isinstance(c.cut, Split)}


# What a tensor parallel size must divide


def test_a_lone_group_is_held_by_every_rank_and_several_are_cut() -> None:
    lone, several = read("granite-4.0-h-small"), read("mamba-codestral-7b")
    assert [s.cut for s in states(lone)[:3]] == [
        Split(128, mamba.STATE_HEADS),
        Whole(),
        Split(128, mamba.STATE_HEADS),
    ]
    assert Split(8, mamba.GROUPS) in [s.cut for s in states(several)]
    assert 8 in units(several)
    assert 1 not in units(lone)


def test_the_parts_of_a_mamba_2_projection_are_cut_as_they_are_used() -> None:
    layer = read("granite-4.0-h-small").layers[0]
    found = {w.name: (w.shape, w.cut) for w in layer.weights if "in_proj" in w.name}
    by_head = Split(128, mamba.STATE_HEADS)
    assert found == {
        "mamba.in_proj.weight": ((2 * 8192 + 128, 4096), by_head),
        "mamba.in_proj.weight[B, C]": ((2 * 128, 4096), Whole()),
    }


def test_delta_nets_are_cut_by_key_heads() -> None:
    profile = read("qwen3-next-80b-a3b")
    assert {s.cut for s in states(profile)} == {Split(16, linear_attention.KEY_HEADS)}


def test_the_projection_of_gated_attention_makes_a_gate_beside_every_query() -> None:
    layer = read("qwen3-next-80b-a3b").layers[3]
    shapes = {w.name: w.shape for w in layer.weights}
    assert shapes["self_attn.q_proj.weight"] == (2 * 16 * 256, 2048)
    assert shapes["self_attn.o_proj.weight"] == (2048, 16 * 256)


def test_the_decay_of_a_state_is_kept_in_float32() -> None:
    for name in ("mamba-130m", "bamba-9b", "qwen3-next-80b-a3b"):
        wide = [w.name for w in read(name).layers[0].weights if w.float32]
        assert [full.rpartition(".")[2] for full in wide] == ["A_log"], name


# Which layers attend


def test_jamba_attends_in_one_layer_of_a_period() -> None:
    profile = read("jamba-v0.1", attn_layer_period=4, attn_layer_offset=1)
    attending = [n for n, layer in enumerate(profile.layers) if isinstance(layer.memory[0], Keys)]
    assert attending == list(range(1, 32, 4))


def test_jamba_with_one_expert_is_dense() -> None:
    profile = read("jamba-v0.1", num_experts=1)
    assert profile.experts == 0
    assert profile.active == profile.parameters


def test_bamba_without_named_layers_attends_nowhere() -> None:
    assert not keys(read("bamba-9b", attn_layer_indices=None))


def test_falcon_h1_keeps_keys_and_states_in_every_layer() -> None:
    for layer in read("falcon-h1-0.5b").layers:
        assert [type(memory) for memory in layer.memory] == [Keys, State, State, State]


def test_key_heads_that_are_null_are_as_many_as_heads_and_not_the_default() -> None:
    for name in ("bamba-9b", "falcon-h1-7b", "jamba-v0.1"):
        heads = PUBLISHED[name]["config"]["num_attention_heads"]
        assert read(name, num_key_value_heads=None).kv_heads == heads, name
    assert read("bamba-9b", num_key_value_heads=...).kv_heads == 8


def test_falcon_h1_expands_where_the_width_is_null_and_not_where_it_is_missing() -> None:
    wide = read("falcon-h1-0.5b", mamba_d_ssm=None, mamba_d_head="auto", mamba_n_heads=32)
    narrow = read("falcon-h1-0.5b", mamba_d_ssm=..., mamba_d_head="auto", mamba_n_heads=32)
    assert wide.parameters > narrow.parameters
    assert {s.elements for s in states(wide) if s.name == "ssm"} == {2 * 1024 * 128}
    assert {s.elements for s in states(narrow) if s.name == "ssm"} == {1024 * 128}


def test_both_names_of_a_layer_of_granite_mean_the_same() -> None:
    old = PUBLISHED["granite-4.0-h-micro"]["config"]["layer_types"]
    new = [{"mamba": "linear_attention", "attention": "full_attention"}[kind] for kind in old]
    assert read("granite-4.0-h-micro", layer_types=new) == read("granite-4.0-h-micro")


def test_lfm2_attends_everywhere_where_nothing_is_said() -> None:
    assert len(keys(read("lfm2-1.2b", full_attn_idxs=None))) == 16


def test_lfm2_takes_its_feed_forward_width_as_it_is_when_told_so() -> None:
    assert read("lfm2-1.2b", block_auto_adjust_ff_dim=False).intermediate == 12288


def test_the_older_name_of_tied_embeddings_counts_first_in_lfm2() -> None:
    assert not read("lfm2-1.2b", tie_embedding=False, tie_word_embeddings=True).tied
    assert read("lfm2-1.2b", tie_embedding=True, tie_word_embeddings=False).tied


def test_qwen3_next_attends_in_the_last_layer_of_an_interval() -> None:
    profile = read("qwen3-next-80b-a3b", full_attention_interval=6)
    attending = [n for n, layer in enumerate(profile.layers) if isinstance(layer.memory[0], Keys)]
    assert attending == list(range(5, 48, 6))


def test_layers_of_qwen3_next_that_are_named_dense_have_no_experts() -> None:
    dense = read("qwen3-next-80b-a3b", mlp_only_layers=[0, 1])
    assert dense.layers[0].elements < dense.layers[2].elements / 10


def test_a_list_of_layers_counts_before_the_word_in_nemotron_h() -> None:
    profile = read("nemotron-h-8b", layers_block_type=["mamba", "attention", "moe", "mlp"])
    assert len(profile.layers) == 4
    assert profile.experts == 8


def test_a_state_of_nemotron_h_is_as_wide_as_the_configuration_says() -> None:
    narrow = read("nemotron-h-8b", mamba_ssm_cache_dtype="bfloat16")
    assert not any(state.float32 for state in states(narrow))


def test_experts_of_nemotron_3_may_work_in_a_narrower_space() -> None:
    config = {"hybrid_override_pattern": "E", "moe_latent_size": 1024}
    shapes = {w.name: w.shape for w in read("nemotron-3-nano-30b-a3b", **config).layers[0].weights}
    assert shapes["mixer.experts.up_proj"] == (128, 1856, 1024)
    assert shapes["mixer.fc2_latent_proj.weight"] == (2688, 1024)


def test_a_shared_block_of_zamba_is_counted_where_it_is_used_first() -> None:
    profile = read("zamba2-7b")
    users = [layer for layer in profile.layers if isinstance(layer.memory[0], Keys)]
    holders = [
        n
        for n, layer in enumerate(users)
        if any("self_attn.q_proj" in w.name for w in layer.weights)
    ]
    assert len(users) == 13
    assert holders == [0, 1]


def test_a_long_context_of_zamba_is_longer() -> None:
    assert read("zamba2-7b", use_long_context=True).max_positions == 16384


def test_a_state_space_model_without_a_length_gets_the_one_that_the_engine_assumes() -> None:
    assert read("mamba-130m").max_positions == 2048


# What is refused


@pytest.mark.parametrize("kind", BY_TYPE)
@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_size_that_is_none_is_refused_by_its_name(kind: str, field: str) -> None:
    if kind == "nemotron_h" and field == "num_hidden_layers":
        field = "mamba_num_heads"  # it counts the layers of its pattern
    absurd: list[Any] = [0, -1, 2**31, 2**80, 1.5, "64", True, [64], {}]
    for value in absurd:
        with pytest.raises(Refusal, match=f"'{field}'") as refused:
            read(BY_TYPE[kind], **{field: value})
        assert refused.value.hint


@pytest.mark.parametrize("kind", [kind for kind in BY_TYPE if kind not in FIXED])
def test_heads_that_do_not_divide_are_refused(kind: str) -> None:
    with pytest.raises(Refusal, match="not divide"):
        read(BY_TYPE[kind], num_attention_heads=7, num_key_value_heads=3)


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("mamba2-130m", {"num_heads": 25}, "num_heads"),
        ("mamba2-130m", {"n_groups": 7}, "num_heads"),
        ("bamba-9b", {"mamba_n_heads": 127}, "mamba_n_heads"),
        ("bamba-9b", {"mamba_d_head": 65}, "mamba_n_heads"),
        ("bamba-9b", {"mamba_n_heads": 2**30, "mamba_d_head": "auto"}, "mamba_n_heads"),
        ("bamba-9b", {"mamba_d_head": "wide"}, "mamba_d_head"),
        ("bamba-9b", {"attn_layer_indices": 9}, "attn_layer_indices"),
        ("jamba-v0.1", {"attn_layer_offset": 8}, "attn_layer_offset"),
        ("jamba-v0.1", {"expert_layer_period": 0}, "expert_layer_period"),
        ("jamba-v0.1", {"mamba_dt_rank": "much"}, "mamba_dt_rank"),
        ("falcon-h1-0.5b", {"mamba_d_ssm": 1537}, "mamba_n_heads"),
        ("granite-4.0-h-micro", {"layer_types": ["mamba"] * 39}, "layer_types"),
        ("granite-4.0-h-micro", {"layer_types": ["mamba"] * 39 + ["\n\x1b[31m"]}, "layer_types"),
        ("granite-4.0-h-micro", {"layer_types": "mamba"}, "layer_types"),
        ("lfm2-1.2b", {"layer_types": ["conv"] * 15}, "layer_types"),
        ("lfm2-1.2b", {"layer_types": ["mamba"] * 16}, "layer_types"),
        ("lfm2-1.2b", {"full_attn_idxs": [-1]}, "full_attn_idxs"),
        ("lfm2-1.2b", {"block_ffn_dim_multiplier": float("nan")}, "block_ffn_dim_multiplier"),
        ("qwen3-next-80b-a3b", {"linear_num_value_heads": 33}, "linear_num_value_heads"),
        ("qwen3-next-80b-a3b", {"layer_types": ["full_attention"] * 47}, "layer_types"),
        ("qwen3-next-80b-a3b", {"full_attention_interval": 0}, "full_attention_interval"),
        ("nemotron-h-8b", {"hybrid_override_pattern": "MX"}, "hybrid_override_pattern"),
        ("nemotron-h-8b", {"hybrid_override_pattern": ""}, "hybrid_override_pattern"),
        ("nemotron-h-8b", {"hybrid_override_pattern": "M" * 5000}, "hybrid_override_pattern"),
        ("nemotron-h-8b", {"layers_block_type": ["M"]}, "layers_block_type"),
        ("zamba2-7b", {"layers_block_type": None}, "layers_block_type"),
        ("zamba2-7b", {"layers_block_type": ["mamba"] * 80 + ["odd"]}, "layers_block_type"),
        ("zamba2-7b", {"n_mamba_heads": 100}, "n_mamba_heads"),
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
    assert all(state.elements >= 0 for state in states(profile))
