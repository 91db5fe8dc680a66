"""A `config.json` is a stranger's: whatever is in it is planned with, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.planning import architecture, make_plan
from tests.planning.worlds import deployment, make_facts, published

T = TypeVar("T")
GOOD: dict[str, Any] = published()["smollm2-135m"]["config"]
STRANGE = GOOD | {"model_type": "strange", "architectures": ["StrangeForCausalLM"]}
"""The same under a name that nobody knows."""

FIELDS = [*GOOD, "rope_scaling", "rope_parameters", "head_dim", "layer_types", "num_kv_heads",
          "multi_query", "num_experts", "text_config", "quantization_config"]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["linear", "yarn", "bfloat16", "float64", "9"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "rope_type", "factor", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
kinds = st.sampled_from(["strange", *architecture.known()])
configs = st.builds(
    lambda kind, part: GOOD | kind | part,
    st.just({})
    | st.sampled_from(["strange", *architecture.known()]).map(lambda kind: {"model_type": kind}),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=6),
)


def outcome(make: Callable[[], T]) -> T | RefusedError:
    try:
        return make()
    except RefusedError as refused:
        return refused


@settings(deadline=None)
@given(configs)
@example(GOOD | {"rope_scaling": {"type": "linear", "factor": float("nan")}})
@example(GOOD | {"rope_scaling": {"type": "linear", "factor": 1e300}})
@example(GOOD | {"architectures": "Llama", "model_type": 3})
@example(GOOD | {"rope_scaling": {"type": ["linear"], "factor": 2}})
@example({})
def test_any_configuration_is_planned_or_refused(config: dict[str, Any]) -> None:
    facts = make_facts(machine={"memory": "64GiB"})
    facts.model.config.clear()
    facts.model.config.update(config)
    counted = (facts.model.parameters, facts.model.weight_bytes)
    arch = outcome(lambda: architecture.read(config, *counted))
    plan = outcome(lambda: make_plan(deployment(), facts))
    if isinstance(arch, RefusedError):
        assert "cannot plan" in arch.message or "does not know" in arch.message
        assert arch.hint
        assert arch.path == "model.source"
        assert isinstance(plan, RefusedError)
        return
    for figure in (len(arch.layers), arch.hidden, arch.parameters, arch.max_positions,
                   arch.vocabulary):  # fmt: skip
        assert isinstance(figure, int)
        assert figure > 0
    if isinstance(plan, RefusedError):
        assert plan.hint
        assert plan.path


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_attention_heads", 0, "'num_attention_heads' is no whole number"),
        ("num_attention_heads", "9", "'num_attention_heads' is no whole number"),
        ("num_attention_heads", -9, "'num_attention_heads' is no whole number"),
        ("num_attention_heads", 9.0, "'num_attention_heads' is no whole number"),
        ("num_attention_heads", True, "'num_attention_heads' is no whole number"),
        ("num_attention_heads", None, "'num_attention_heads' is missing"),
        ("num_attention_heads", 10**30, "'num_attention_heads' is no whole number"),
        ("num_attention_heads", 7, "3, which does not divide 7 attention heads"),
        ("num_hidden_layers", 0, "'num_hidden_layers' is no whole number"),
        ("hidden_size", None, "'hidden_size' is missing"),
        ("hidden_size", 577, "577, which 9 attention heads do not divide"),
        ("num_key_value_heads", 4, "4, which does not divide 9 attention heads"),
        ("num_key_value_heads", 0, "'num_key_value_heads' is no whole number"),
        ("num_key_value_heads", [3], "'num_key_value_heads' is no whole number"),
        ("head_dim", "64", "'head_dim' is no whole number"),
        ("head_dim", -64, "'head_dim' is no whole number"),
        ("vocab_size", {}, "'vocab_size' is no whole number"),
        ("max_position_embeddings", 10**12, "'max_position_embeddings' is no whole number"),
        ("rope_scaling", {"type": "linear", "factor": 0}, "not a number above 0"),
        ("rope_scaling", {"type": "linear", "factor": "2"}, "not a number above 0"),
        ("layer_types", ["full_attention"] * 29, "a list of 29, and there are 30 layers"),
        ("layer_types", ["full_attention"] * 29 + ["linear_attention"], "other than full or sl"),
        ("layer_types", [3], "not a list of words"),
        ("sliding_window", "4096", "'sliding_window' is no whole number"),
    ],
)
def test_an_absurd_field_is_refused_by_its_name(field: str, value: Any, says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        architecture.read(GOOD | {field: value})
    assert says in caught.value.message
    assert "LlamaForCausalLM" in caught.value.message


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("kv_lora_rank", 512, "it has multi-head latent attention (kv_lora_rank)"),
        ("is_encoder_decoder", True, "it has an encoder beside the decoder (is_encoder_decoder)"),
        ("layers_block_type", ["mamba"], "it has layers of several kinds (layers_block_type)"),
        ("layer_types", ["linear_attention"] * 30, "it has layers other than attention"),
        ("vision_config", {"x": 1}, "how large the parts beside its decoder are (vision_config)"),
        ("num_local_experts", 8, "in which layers its experts are"),
        ("num_attention_heads", 0, "'num_attention_heads' is no whole number"),
        ("num_key_value_heads", 4, "4, which does not divide"),
        ("max_position_embeddings", None, "'max_position_embeddings' is missing"),
    ],
)
def test_what_a_kind_that_nobody_knows_may_mean_is_refused_by_its_name(
    field: str, value: Any, says: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        architecture.read(STRANGE | {field: value})
    assert says in caught.value.message
    assert "StrangeForCausalLM" in caught.value.message


@pytest.mark.parametrize(
    ("good", "field"),
    [
        (GOOD, "num_experts"),
        (GOOD, "vision_config"),
        (GOOD, "is_encoder_decoder"),
        (STRANGE, "kv_lora_rank"),
        (STRANGE, "vision_config"),
        (STRANGE, "is_encoder_decoder"),
    ],
)
def test_a_field_that_is_switched_off_is_no_reason_to_refuse(
    good: dict[str, Any], field: str
) -> None:
    switched_off: list[Any] = [0, False, None, {}]
    for off in switched_off:
        assert architecture.read(good | {field: off}) == architecture.read(good)


@pytest.mark.parametrize("field", ["num_local_experts", "kv_lora_rank", "vision_config"])
def test_a_field_that_a_known_kind_does_not_have_means_nothing(field: str) -> None:
    # transformers and the engine build a Llama whatever else stands in its file.
    assert architecture.read(GOOD | {field: 8}) == architecture.read(GOOD)


def test_a_known_kind_that_does_not_say_its_length_has_the_one_that_its_class_has() -> None:
    assert architecture.read(GOOD | {"max_position_embeddings": None}).max_positions == 2048


def test_sliding_windows_bound_what_is_kept_and_change_no_weight() -> None:
    windows = {"sliding_window": 1024, "layer_types": ["sliding_attention", "full_attention"] * 15}
    whole, bound = (make_plan(deployment(), make_facts(config=part)) for part in ({}, windows))
    assert bound.memory.weights == whole.memory.weights
    assert bound.model.kv_bytes_per_token.value == whole.model.kv_bytes_per_token.value
    # Of 64 blocks of 128 windowed layers keep 25: 1023 tokens, 2048 in flight, and one more.
    assert bound.memory.kv_cache == whole.memory.kv_cache
    assert int(bound.memory.kv_tokens.value) == int(728 / (64 + 25) * 8192)
    assert int(whole.memory.kv_tokens.value) == 364 * 128


def test_a_name_from_a_stranger_cannot_write_to_the_terminal() -> None:
    with pytest.raises(RefusedError) as caught:
        architecture.read({"architectures": ["\x1b[2J\nevil" + "x" * 500]})
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
