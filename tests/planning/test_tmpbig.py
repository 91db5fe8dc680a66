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
configs = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6).map(lambda part: GOOD | part)


def outcome(make: Callable[[], T]) -> T | RefusedError:
    try:
        return make()
    except RefusedError as refused:
        return refused


@settings(deadline=None, max_examples=20000)
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
    arch = outcome(lambda: architecture.read(config))
    if isinstance(arch, RefusedError):
        assert "cannot plan" in arch.message
        assert arch.hint
        assert arch.path == "model.source"
        return
    for figure in (arch.layers, arch.hidden, arch.heads, arch.kv_heads, arch.head_dim,
                   arch.max_positions, arch.vocabulary):  # fmt: skip
        assert isinstance(figure, int)
        assert figure > 0
    plan = outcome(lambda: make_plan(deployment(), facts))
    assert not isinstance(plan, RefusedError) or plan.hint


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
        ("max_position_embeddings", None, "'max_position_embeddings' is missing"),
        ("max_position_embeddings", 10**12, "'max_position_embeddings' is no whole number"),
        ("rope_scaling", {"type": "linear", "factor": 0}, "not a number above 0"),
        ("rope_scaling", {"type": "linear", "factor": "2"}, "not a number above 0"),
        ("text_config", {"hidden_size": 576}, "a decoder inside a larger model (text_config)"),
        ("vision_config", {"x": 1}, "a vision tower (vision_config)"),
        ("num_local_experts", 8, "mixture of experts (num_local_experts)"),
        ("kv_lora_rank", 512, "multi-head latent attention (kv_lora_rank)"),
        ("is_encoder_decoder", True, "encoder and decoder"),
        ("layer_types", ["full_attention", "linear_attention"], "layers other than attention"),
        ("layer_types", [3], "layers other than attention"),
        ("layers_block_type", ["mamba"], "layers of several kinds"),
    ],
)
def test_an_absurd_or_uncovered_field_is_refused_by_its_name(
    field: str, value: Any, says: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        architecture.read(GOOD | {field: value})
    assert says in caught.value.message
    assert "LlamaForCausalLM" in caught.value.message


@pytest.mark.parametrize("field", ["num_experts", "vision_config", "is_encoder_decoder"])
def test_a_field_that_is_switched_off_is_no_reason_to_refuse(field: str) -> None:
    switched_off: list[Any] = [0, False, None, {}]
    for off in switched_off:
        assert architecture.read(GOOD | {field: off}).layers == 30


def test_sliding_windows_are_planned_as_if_they_were_whole() -> None:
    windows = {"sliding_window": 4096, "layer_types": ["sliding_attention", "full_attention"] * 15}
    assert architecture.read(GOOD | windows) == architecture.read(GOOD)


def test_a_name_from_a_stranger_cannot_write_to_the_terminal() -> None:
    with pytest.raises(RefusedError) as caught:
        architecture.read({"architectures": ["\x1b[2J\nevil" + "x" * 500]})
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
