"""Where a quantisation is found, how its lists of modules match, and what a KV cache takes."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning.architecture import ByExpert, Role, Weight
from llmops.planning.quantisation import kv_element, read
from llmops.planning.refusal import Refusal
from tests.planning.quantisation import cases

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}


def compressed(**fields: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": INT4}
    whole = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    return whole | {"config_groups": {"group_0": group}} | fields


def quantised(config: dict[str, Any], name: str, role: Role = "linear") -> bool:
    """Whether a weight of that name is quantised."""
    shape = (4, 256, 256) if role == "expert" else (256, 256)
    weight = Weight(name, shape, ByExpert(4, 128), role)
    return cases.understood({"quantization_config": config}).packing(name, weight) is not None


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}, {"quantization_config": {}}])
def test_a_model_that_is_not_quantised_has_no_quantisation(config: dict[str, Any]) -> None:
    assert read(config) is None


@pytest.mark.parametrize(
    "config",
    [
        {"compression_config": AWQ},
        {"text_config": {"quantization_config": AWQ}},
        {"quantization_config": AWQ, "compression_config": AWQ},
    ],
)
def test_the_section_is_found_wherever_vllm_looks(config: dict[str, Any]) -> None:
    assert cases.understood(config).method == "awq"


@pytest.mark.parametrize(
    ("config", "name", "role", "expected"),
    [
        # awq: a part of a name
        (AWQ, "model.layers.0.mlp.up_proj.weight", "linear", True),
        (AWQ, "model.visual.blocks.0.attn.qkv.weight", "linear", False),
        (AWQ, "model.projector.weight", "linear", False),
        (AWQ, "lm_head.weight", "head", False),
        (AWQ | {"lm_head": True}, "lm_head.weight", "head", True),
        (AWQ | {"modules_to_not_convert": ["layers.0."]}, "model.layers.0.q_proj", "linear", False),
        (AWQ | {"modules_to_not_convert": ["layers.0."]}, "model.layers.1.q_proj", "linear", True),
        (AWQ | {"modules_to_not_convert": ["gate"]}, "model.layers.1.mlp.experts.gate_up_proj",
         "expert", True),
        # fp8: whole names, of any projection that is fused
        (FP8 | {"ignored_layers": ["model.layers.1.q_proj"]}, "model.layers.1.q_proj.weight",
         "linear", False),
        (FP8 | {"ignored_layers": ["model.layers.1.q_proj"]}, "model.layers.11.q_proj.weight",
         "linear", True),
        (FP8 | {"ignored_layers": ["model.layers.1.qkv_proj"]}, "model.layers.1.k_proj.weight",
         "linear", False),
        (FP8 | {"ignored_layers": ["m.layers.1.mlp.experts.0.up_proj"]},
         "m.layers.1.mlp.experts.gate_up_proj", "expert", False),
        (FP8 | {"modules_to_not_convert": ["language_model.model.layers.1.q_proj"]},
         "model.language_model.layers.1.q_proj.weight", "linear", False),
        (FP8, "lm_head.weight", "head", False),
        # gptq: a list of what is, and rules
        ({"quant_method": "gptq", "bits": 4, "group_size": 128,
          "modules_in_block_to_quantize": [["q_proj"]]}, "model.layers.1.q_proj.weight",
         "linear", True),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128,
          "modules_in_block_to_quantize": [["q_proj"]]}, "model.layers.1.o_proj.weight",
         "linear", False),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {r"-:.*\.1\..*": {}}},
         "model.layers.1.o_proj.weight", "linear", False),
        # compressed-tensors: names, expressions, classes
        (compressed(ignore=["re:.*down_proj"]), "model.layers.1.mlp.down_proj.weight", "linear",
         False),
        (compressed(ignore=["re:.*down_proj"]), "model.layers.1.mlp.up_proj.weight", "linear",
         True),
        (compressed(ignore=["re:.*experts.*"]), "model.layers.1.mlp.experts.down_proj", "expert",
         False),
        (compressed(), "model.layers.1.mlp.experts.down_proj", "expert", True),
        (compressed(), "lm_head.weight", "head", False),
        (compressed(config_groups={"g": {"targets": ["re:.*lm_head"], "weights": INT4}}),
         "lm_head.weight", "head", True),
        (compressed(config_groups={"g": {"targets": ["Embedding"], "weights": INT4}}),
         "model.embed_tokens.weight", "embedding", True),
        (compressed(config_groups={"g": {"targets": ["LlamaAttention"], "weights": INT4}}),
         "model.layers.1.q_proj.weight", "linear", False),
        # Model Optimizer: names, parts, wildcards; the head too
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "lm_head.weight", "head", True),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]},
         "lm_head.weight", "head", False),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["model.layers.1*"]},
         "model.layers.1.q_proj.weight", "linear", False),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["*.self_attn.*_proj"]},
         "model.layers.1.self_attn.q_proj.weight", "linear", False),
        ({"quant_method": "modelopt", "quant_algo": "FP8"},
         "model.vision_tower.layers.1.fc1.weight", "linear", False),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION",
          "quantized_layers": {"model.layers.1.q_proj": {"quant_algo": "FP8"}}},
         "model.layers.1.q_proj.weight", "linear", True),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION",
          "quantized_layers": {"model.layers.1.q_proj": {"quant_algo": "FP8"}}},
         "model.layers.2.q_proj.weight", "linear", False),
        # mxfp4: experts, whatever the list says
        ({"quant_method": "mxfp4"}, "model.layers.1.mlp.experts.down_proj", "expert", True),
        ({"quant_method": "mxfp4"}, "model.layers.1.self_attn.q_proj.weight", "linear", False),
        # bitsandbytes: components of a name
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "llm_int8_skip_modules": ["mlp"]},
         "model.layers.1.mlp.up_proj.weight", "linear", False),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "llm_int8_skip_modules": ["ml"]},
         "model.layers.1.mlp.up_proj.weight", "linear", True),
    ],
)  # fmt: skip
def test_a_list_of_modules_matches_as_its_method_does(
    config: dict[str, Any], name: str, role: Role, expected: bool
) -> None:
    assert quantised(config, name, role) is expected


def test_a_rule_may_give_a_layer_other_bits() -> None:
    config = {"quant_method": "gptq", "bits": 4, "group_size": 128,
              "dynamic": {r"+:.*\.1\..*": {"bits": 8}}}  # fmt: skip
    found = cases.understood({"quantization_config": config})
    weight = Weight("q_proj.weight", (256, 256))
    four, eight = (found.stored(f"model.layers.{n}.q_proj.weight", weight, 2) for n in (0, 1))
    assert eight - four == 256 * 256 // 2 + 2 * 256 // 2  # half a byte an element and a zero point


def test_files_in_ggufs_own_types_need_no_configuration() -> None:
    found = read({}, {"Q4_K": 2560, "Q6_K": 256, "F32": 10})
    assert found is not None
    assert found.method == "gguf"
    assert found.words == "matrices of Q4_K, Q6_K; norms stay as they are"
    assert found.stored("x.weight", Weight("x.weight", (11, 256)), 2) == 10 * 144 + 210
    assert found.stored("x.weight", Weight("x.weight", (11,), role="norm"), 4) == 44


def test_the_words_tell_how_many_modules_a_list_names() -> None:
    config = FP8 | {"modules_to_not_convert": ["lm_head", "model.layers.0.mlp.gate"]}
    said = cases.understood({"quantization_config": config, "dtype": "float16"}).words
    assert said == (
        "fp8 weights with one scale each;"
        " norms, routers, embeddings, head and 2 listed modules stay float16"
    )


@pytest.mark.parametrize(
    ("word", "element", "expected"),
    [("auto", 2, 2), ("auto", 4, 4), ("bfloat16", 4, 2), ("float16", 4, 2), ("fp8", 2, 1),
     ("fp8_e4m3", 2, 1), ("fp8_e5m2", 4, 1), ("fp8_inc", 2, 1)],
)  # fmt: skip
def test_an_element_of_the_kv_cache(word: str, element: int, expected: int) -> None:
    assert kv_element(word, element) == expected


@pytest.mark.parametrize(
    ("word", "hint"),
    [("fp8_e4m4", "did you mean fp8_e4m3?"), ("nvfp4", "set kv_cache_dtype to one of auto"),
     ("turboquant_k8v4", "set kv_cache_dtype to one of"), ("", "it has auto"), ("\n", "it has")],
)  # fmt: skip
def test_a_kv_cache_that_is_not_reckoned_with_is_refused(word: str, hint: str) -> None:
    with pytest.raises(Refusal) as caught:
        kv_element(word, 2)
    assert hint in caught.value.hint
    assert caught.value.message.isprintable()
