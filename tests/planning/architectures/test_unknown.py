"""An architecture that no reader knows is counted, estimated with its uncertainty, or refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.planning import architecture
from llmops.planning.architecture import ByExpert, ByKvHead, ByRow, Keys, Profile, Split
from llmops.planning.architecture.families import READERS
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.headers import from_headers
from llmops.planning.architecture.unknown import estimate
from llmops.planning.model import Tensor
from llmops.planning.refusal import Refusal
from tests.effort import effort

CASES = Path(__file__).parents[2] / "cases" / "architectures"

Config = dict[str, Any]

SMALL: Config = {
    "architectures": ["StrangeForCausalLM"],
    "model_type": "strange",
    "hidden_size": 64,
    "intermediate_size": 256,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
    "vocab_size": 1000,
}


@cache
def _published(name: str) -> Config:
    config: Config = yaml.safe_load((CASES / f"{name}.yaml").read_text())["config"]
    return config


def _known(name: str) -> Profile:
    config = _published(name)
    return READERS[config["model_type"]](Fields(config))


def _strange(name: str) -> Fields:
    """The same configuration under a name that no reader knows."""
    config = copy.deepcopy(_published(name))
    return Fields({**config, "model_type": "strange", "architectures": ["StrangeForCausalLM"]})


def _fields(**changes: object) -> Fields:
    merged = {**SMALL, **changes}
    return Fields({name: value for name, value in merged.items() if value != "absent"})


def _tensors(profile: Profile) -> Iterator[Tensor]:
    """What the headers of its files list, each expert and each layer of a tower by itself."""
    for name, weight in profile.named():
        if weight.copies > 1:
            for copy_ in range(weight.copies):
                yield Tensor(name.replace(".0.", f".{copy_}.", 1), weight.shape)
        elif ".experts." in name and isinstance(weight.cut, ByExpert):
            before, after = name.split(".experts.")
            for expert in range(weight.shape[0]):
                yield Tensor(f"{before}.experts.{expert}.{after}", weight.shape[1:])
        else:
            yield Tensor(name, weight.shape)


def _small(**others: tuple[int, ...]) -> list[Tensor]:
    """The headers of the small model, and others' names with `__` for a dot."""
    layers = list(_tensors(READERS["llama"](Fields({**SMALL, "model_type": "llama"}))))
    return [*layers, *(Tensor(name.replace("__", "."), shape) for name, shape in others.items())]


KNOWN = (
    "llama-3.1-8b", "mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-20b", "gemma-2-9b", "qwen3-vl-8b",
    "mistral-small-3.1-24b", "olmoe-1b-7b", "qwen2-vl-2b", "smolvlm-256m",
)  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_headers_alone_give_the_table_that_the_proper_reader_gives(name: str) -> None:
    known = _known(name)
    found = from_headers(_strange(name), _tensors(known))
    assert found.parameters == known.parameters
    assert [layer.elements for layer in found.layers] == [x.elements for x in known.layers]
    assert found.stem == known.stem
    assert found.tied == known.tied
    assert (found.experts, found.experts_per_token) == (known.experts, known.experts_per_token)
    assert abs(found.active - known.active) < 0.001 * known.parameters
    for mine, theirs in ((found.before, known.before), (found.after, known.after)):
        assert sum(w.elements for w in mine) == sum(w.elements for w in theirs)
    assert "guessed" in found.notes[0]


@pytest.mark.parametrize("name", KNOWN)
def test_it_remembers_at_least_what_the_proper_reader_says(name: str) -> None:
    known = _known(name)
    found = from_headers(_strange(name), _tensors(known))

    def per_token(profile: Profile) -> int:
        kept = [m for layer in profile.layers for m in layer.memory if isinstance(m, Keys)]
        return sum(keys.kv_heads * (keys.key + keys.value) for keys in kept)

    assert per_token(found) == per_token(known)
    assert found.max_positions == known.max_positions


def test_what_the_headers_list_counts_before_what_can_be_estimated() -> None:
    config = {**_strange("qwen3-0.6b").raw()}
    tensors = tuple(_tensors(_known("qwen3-0.6b")))
    listed = architecture.read(config, 1, 1, tensors)
    assert listed.parameters == _known("qwen3-0.6b").parameters
    assert "exactly those" in listed.notes[0]
    assert architecture.read(_published("qwen3-0.6b"), 1, 1, tensors[:1]).notes == ()


def test_cuts_are_guessed_from_names_and_shapes() -> None:
    found = from_headers(_strange("mixtral-8x7b"), _tensors(_known("mixtral-8x7b")))
    by_name = {w.name: w for w in found.layers[0].weights}
    assert by_name["self_attn.q_proj.weight"].cut == Split(32, "attention heads")
    assert by_name["self_attn.k_proj.weight"].cut == ByKvHead(8)
    expert = next(w for name, w in by_name.items() if "down_proj" in name)
    assert expert.cut == ByExpert(8, 14336)
    assert expert.role == "expert"
    router = next(w for w in found.layers[0].weights if w.shape == (8, 4096))
    assert router.role == "router"
    assert found.before[0].cut == ByRow(32000)
    assert found.after[-1].role == "head"


def test_alike_layers_are_one_object() -> None:
    found = from_headers(_strange("llama-3.1-8b"), _tensors(_known("llama-3.1-8b")))
    assert len({id(layer) for layer in found.layers}) == 1


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-30b-a3b", "qwen3-vl-8b", "gpt-oss-20b"])
def test_a_count_alone_is_kept_to_the_last_parameter(name: str) -> None:
    known = _known(name)
    found = estimate(_strange(name), known.parameters, 2 * known.parameters)
    assert found.parameters == known.parameters
    assert len(found.layers) == len(known.layers)
    assert f"{known.parameters:,}" in found.notes[0]
    assert "assumed to be even" in found.notes[0]


@pytest.mark.parametrize(
    "name",
    ["gemma-2-9b", "llama-3.1-8b", "nemotron-mini-4b", "olmo-2-7b", "phi-2", "phi-3-mini-4k",
     "qwen2.5-7b", "smollm2-135m", "starcoder2-3b"],
)  # fmt: skip
def test_without_headers_a_dense_decoder_is_estimated_with_its_uncertainty(name: str) -> None:
    known = _known(name)
    found = estimate(_strange(name))
    most, least = (int(n.replace(",", "")) for n in re.findall(r"[\d,]{6,}", found.notes[0]))
    assert most == found.parameters
    assert 0.999 * least <= known.parameters <= 1.001 * most, f"not within: {found.notes[0]}"
    assert found.max_positions == known.max_positions


def test_what_is_missing_is_named_all_at_once() -> None:
    with pytest.raises(Refusal, match="'num_hidden_layers', 'vocab_size'") as refused:
        estimate(_fields(num_hidden_layers="absent", vocab_size="absent"), 10**9, 2 * 10**9)
    assert "StrangeForCausalLM" in refused.value.message
    with pytest.raises(Refusal, match="'intermediate_size'"):
        estimate(_fields(intermediate_size="absent"))


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("kv_lora_rank", 512, "multi-head latent attention"),
        ("ssm_state_size", 128, "state-space"),
        ("mamba_d_state", 16, "state-space"),
        ("conv_L_cache", 3, "convolution"),
        ("linear_num_value_heads", 32, "linear attention"),
        ("linear_attn_config", {"num_heads": 32}, "linear attention"),
        ("cross_attention_layers", [1], "cross-attention"),
        ("add_cross_attention", True, "cross-attention"),
        ("is_encoder_decoder", True, "an encoder"),
        ("num_kv_shared_layers", 10, "share their KV cache"),
        ("hybrid_override_pattern", "M*M", "several kinds"),
        ("layers_block_type", ["recurrent"], "several kinds"),
        ("full_attention_interval", 4, "several kinds"),
        ("block_configs", [{}], "several shapes"),
        ("layer_types", ["full_attention", "linear_attention"], "layers other than attention"),
        ("index_topk", 2048, "a cache of its own"),
    ],
)
@pytest.mark.parametrize("parameters", [0, 10**9])
def test_fields_that_betray_another_memory_are_refused_by_name(
    field: str, value: object, what: str, parameters: int
) -> None:
    with pytest.raises(Refusal, match=re.escape(what)) as refused:
        estimate(_fields(**{field: value}), parameters, 2 * parameters)
    assert field in refused.value.message
    with pytest.raises(Refusal, match=re.escape(what)):
        estimate(Fields({"model_type": "strange", "text_config": {**SMALL, field: value}}), 10**9)


@pytest.mark.parametrize("value", [None, False, 0, []])
def test_a_field_that_is_switched_off_betrays_nothing(value: object) -> None:
    assert estimate(_fields(add_cross_attention=value, cross_attention_layers=value)).parameters


@pytest.mark.parametrize(
    "name", ["deepseek-v3", "jamba-v0.1", "falcon-mamba-7b", "whisper-large-v3"]
)
def test_models_that_remember_otherwise_are_refused_even_with_their_headers(name: str) -> None:
    known = _known(name)
    with pytest.raises(Refusal, match="it has"):
        estimate(_strange(name), known.parameters, 2 * known.parameters)
    with pytest.raises(Refusal, match="it has"):
        from_headers(_strange(name), _tensors(known))


@pytest.mark.parametrize(
    "name",
    ["self_attn.kv_a_proj_with_mqa.weight", "mixer.in_proj.weight", "attn.A_log", "conv1d.weight",
     "encoder_attn.q_proj.weight", "linear_attn.in_proj.weight"],
)  # fmt: skip
def test_weights_that_betray_another_memory_are_refused_by_name(name: str) -> None:
    with pytest.raises(Refusal, match=re.escape(name)):
        from_headers(_fields(), [*_small(), Tensor(f"model.layers.1.{name}", (64, 64))])


def test_a_layer_without_the_others_attention_is_refused() -> None:
    kept = [t for t in _small() if not t.name.startswith("model.layers.1.self_attn.")]
    with pytest.raises(Refusal, match="several kinds"):
        from_headers(_fields(), kept)
    shared = [t for t in _small() if t.name != "model.layers.1.self_attn.k_proj.weight"]
    with pytest.raises(Refusal, match="several kinds"):
        from_headers(_fields(), shared)


def test_keys_of_another_size_than_the_fields_tell_are_refused() -> None:
    with pytest.raises(Refusal, match=re.escape("(32, 64)")):
        from_headers(_fields(num_key_value_heads=1), _small())


def test_fewer_layers_than_the_fields_tell_are_refused() -> None:
    with pytest.raises(Refusal, match="names 3 layers"):
        from_headers(_fields(num_hidden_layers=3), _small())


def test_layers_beyond_the_last_are_counted_beside_the_decoder() -> None:
    extra = Tensor("model.layers.2.eh_proj.weight", (64, 128))
    found = from_headers(_fields(), [*_small(), extra])
    assert len(found.layers) == 2
    assert [weight.name for weight in found.towers] == [extra.name]


def test_tables_of_whole_numbers_are_no_parameters_unless_the_files_are_quantised() -> None:
    places = Tensor("model.embeddings.position_ids", (1, 2048), "I64")
    plain = from_headers(_fields(), _small())
    assert from_headers(_fields(), [*_small(), places]).parameters == plain.parameters
    packed = from_headers(
        _fields(quantization_config={"quant_method": "gptq"}), [*_small(), places]
    )
    assert packed.parameters == plain.parameters + 2048
    assert any("quantised" in note for note in packed.notes), packed.notes


def test_quantised_files_are_said_to_count_elements() -> None:
    assert "quantised" in " ".join(estimate(_fields(), 10**6, 10**6).notes)
    assert "quantised" not in " ".join(estimate(_fields(), 10**6, 2 * 10**6).notes)


def test_a_decoder_inside_is_read_there_when_the_files_are_counted() -> None:
    outer = {"model_type": "strange", "architectures": ["Strange"], "vision_config": {"depth": 3}}
    inside = Fields({**outer, "text_config": SMALL})
    found = estimate(inside, 10**6, 2 * 10**6)
    assert (found.parameters, found.heads) == (10**6, 4)
    with pytest.raises(Refusal, match="beside its decoder"):
        estimate(inside)
    with pytest.raises(Refusal, match=re.escape("beside its decoder are (vision_config)")):
        estimate(_strange("qwen2-vl-2b"))


def test_experts_are_estimated_only_from_headers() -> None:
    with pytest.raises(Refusal, match="experts"):
        estimate(_fields(num_local_experts=8))
    assert estimate(_fields(num_local_experts=8), 10**6, 2 * 10**6).experts == 8


def test_a_window_counts_only_on_layers_that_are_named() -> None:
    kinds = ["sliding_attention", "full_attention"]
    named = estimate(_fields(sliding_window=512, layer_types=kinds))
    assert [m.window for layer in named.layers for m in layer.memory if isinstance(m, Keys)] == [
        512,
        None,
    ]
    vague = estimate(_fields(sliding_window=512))
    assert vague.layers[0].memory == (Keys(2, 16, 16),)
    assert any("window of 512" in note for note in vague.notes), vague.notes
    assert not estimate(_fields(sliding_window=512, use_sliding_window=False)).notes[1:]


def test_kv_heads_that_no_field_gives_are_said_to_be_assumed() -> None:
    found = estimate(_fields(num_key_value_heads="absent"))
    assert found.kv_heads == 4
    assert any("KV heads" in note for note in found.notes), found.notes
    assert estimate(_fields(num_key_value_heads="absent", multi_query=True)).kv_heads == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_attention_heads": 6}, "6 attention heads do not divide"),
        ({"num_attention_heads": [4, 4]}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "3, which does not divide"),
        ({"num_hidden_layers": 2**40}, "num_hidden_layers"),
        ({"num_hidden_layers": 5000}, "above 4096"),
        ({"layer_types": ["full_attention"]}, "there are 2 layers"),
        ({"layer_types": "full_attention"}, "not a list of words"),
        ({"max_position_embeddings": "absent"}, "max_position_embeddings"),
        ({"vocab_size": -1}, "vocab_size"),
        ({"text_config": [], "num_hidden_layers": "absent"}, "text_config"),
    ],
)
def test_what_is_absurd_is_refused(changes: Config, words: str) -> None:
    with pytest.raises(Refusal, match=re.escape(words)):
        estimate(_fields(**changes), 10**6, 2 * 10**6)


def test_fewer_parameters_than_the_vocabulary_takes_are_refused() -> None:
    with pytest.raises(Refusal, match="fewer than its vocabulary"):
        estimate(_fields(), 1000, 2000)


@pytest.mark.parametrize("shape", [(2**40,), (-1, 4), (2,) * 9])
def test_a_tensor_of_an_absurd_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Refusal, match="shape"):
        from_headers(_fields(), [*_small(), Tensor("x\n", shape)])


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("", ()),
        Tensor("model.layers.0.x", ()),
        Tensor("model.layers.999999999.x", (1,)),
        Tensor("model.layers.٣.x", (1,)),
        Tensor("a.0.b\n.1.c", (3, 0)),
        Tensor("model.layers.0.mlp.experts.7.w1.weight", (0, 64)),
        Tensor("model.layers.0.mlp.experts.w1.weight", (1, 1, 1)),
        Tensor("lm_head.weight", (1000,)),
    ],
)
def test_an_odd_tensor_is_counted_or_left_out(tensor: Tensor) -> None:
    plain = from_headers(_fields(), _small())
    found = from_headers(_fields(), [*_small(), tensor])
    more = 1
    for side in tensor.shape:
        more *= side
    assert found.parameters == plain.parameters + more


def test_a_hundred_thousand_tensors_are_read_in_a_moment() -> None:
    known = READERS["llama"](Fields({**SMALL, "model_type": "llama", "num_hidden_layers": 64}))
    tensors = list(_tensors(known))
    tensors += [
        Tensor(f"model.layers.{n}.mlp.experts.{expert}.{part}.weight", (256, 64))
        for n in range(64)
        for expert in range(512)
        for part in ("w1", "w2", "w3")
    ]
    with effort() as spent:
        found = from_headers(_fields(num_hidden_layers=64), tensors)
    assert spent.seconds < 5
    assert found.experts == 512
    assert found.parameters == known.parameters + 64 * 512 * 3 * 256 * 64


def test_the_order_of_the_headers_does_not_matter() -> None:
    known = _known("llama-3.1-8b")
    there = from_headers(_strange("llama-3.1-8b"), _tensors(known))
    back = from_headers(_strange("llama-3.1-8b"), reversed(list(_tensors(known))))
    assert replace(back, layers=(), after=()) == replace(there, layers=(), after=())
    assert back.parameters == there.parameters
