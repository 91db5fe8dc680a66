"""Models that see or hear: their text part is planned, the rest is counted and cut."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.planning.architecture import ByRow, Cross, Keys, Profile, Split, Weight, Whole
from llmops.planning.architecture.families import READERS
from llmops.planning.architecture.fields import Fields
from llmops.planning.refusal import Refusal
from tests.effort import effort

CASES = Path(__file__).parents[2] / "cases" / "architectures"

SEEING = (
    "gemma-3-4b", "internvl3-8b", "llama-3.2-11b-vision", "llama-4-scout", "llava-1.5-7b",
    "llava-onevision-qwen2-7b", "llava-v1.6-mistral-7b", "mistral-small-3.1-24b", "paligemma-3b",
    "pixtral-12b", "qwen2-vl-2b", "qwen2.5-vl-7b", "qwen3-vl-30b-a3b", "qwen3-vl-8b",
    "smolvlm-256m", "smolvlm2-500m",
)  # fmt: skip
HEARING = ("qwen2-audio-7b", "whisper-large-v3")

Config = dict[str, Any]
Change = Callable[[Config], None]


@cache
def _published(name: str) -> Config:
    config: Config = yaml.safe_load((CASES / f"{name}.yaml").read_text())["config"]
    return config


def _read(name: str, change: Change | None = None) -> Profile:
    config = copy.deepcopy(_published(name))
    if change:
        change(config)
    return READERS[config["model_type"]](Fields(config))


def _tower(profile: Profile, name: str) -> Weight:
    found = [weight for weight in profile.towers if weight.name == name]
    assert len(found) == 1, f"{name} is {len(found)} times among the towers"
    return found[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("llava-1.5-7b", "llama"), ("pixtral-12b", "mistral"), ("gemma-3-4b", "gemma3_text")],
)
def test_the_text_part_is_what_its_own_reader_says(name: str, kind: str) -> None:
    alone = READERS[kind](Fields(_published(name)).section("text_config"))
    whole = _read(name)
    assert whole.layers == alone.layers
    assert whole.max_positions == alone.max_positions
    assert whole.parameters == alone.parameters + sum(w.elements for w in whole.towers)


@pytest.mark.parametrize("name", SEEING)
def test_a_vision_tower_is_counted_but_remembers_nothing(name: str) -> None:
    profile = _read(name)
    seen = sum(weight.elements for weight in profile.towers)
    assert 0.002 < seen / profile.parameters < 0.4, f"{seen:,} of {profile.parameters:,}"
    assert profile.name == _published(name)["architectures"][0]
    kept = {type(m) for layer in profile.layers for m in layer.memory}
    assert kept <= {Keys, Cross}


def test_names_are_those_of_the_whole_model() -> None:
    named = dict(_read("llava-1.5-7b").named())
    for name in (
        "lm_head.weight",
        "model.language_model.embed_tokens.weight",
        "model.language_model.norm.weight",
        "model.language_model.layers.31.self_attn.q_proj.weight",
        "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight",
        "model.multi_modal_projector.linear_1.weight",
    ):
        assert name in named, f"{name} is missing"
    inside = dict(_read("llama-4-scout").named())
    assert "language_model.lm_head.weight" in inside
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in inside


def test_alike_layers_of_a_tower_are_one_weight_with_copies() -> None:
    weight = _tower(
        _read("llava-1.5-7b"), "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight"
    )
    assert (weight.shape, weight.copies) == ((1024, 1024), 24)


def test_towers_are_cut_as_the_engine_cuts_them() -> None:
    llava, onevision = _read("llava-1.5-7b"), _read("llava-onevision-qwen2-7b")
    projector = "model.multi_modal_projector.linear_1.weight"
    assert isinstance(_tower(llava, projector).cut, Split)
    assert isinstance(_tower(onevision, projector).cut, Whole)
    query = "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight"
    cut = _tower(llava, query).cut
    assert isinstance(cut, Split)
    assert cut.units == 16
    intern = "model.vision_tower.encoder.layer.0.attention.q_proj.weight"
    assert isinstance(_tower(_read("internvl3-8b"), intern).cut, Whole)
    assert {type(weight.cut) for weight in _read("qwen2-audio-7b").towers} == {Whole}


def test_what_the_engine_never_quantises_is_no_linear_layer() -> None:
    assert not [w.name for w in _read("llama-4-scout").towers if w.role == "linear"]
    gemma = _read("gemma-3-27b")  # 64 does not divide the width of its SigLIP, 4304
    roles = {w.name.split(".0.")[-1]: w.role for w in gemma.towers}
    assert roles["mlp.fc1.weight"] == "other"
    assert roles["self_attn.q_proj.weight"] == "linear"


def test_a_text_part_at_the_top_or_in_a_section_is_the_same_model() -> None:
    def nested(config: Config) -> None:
        outer = {"architectures", "model_type", "vision_config"}
        config["text_config"] = {k: config.pop(k) for k in set(config) - outer}

    assert _read("qwen2-vl-2b", nested) == _read("qwen2-vl-2b")


def test_a_head_that_the_configuration_does_not_mention_is_counted() -> None:
    def silent(config: Config) -> None:
        del config["tie_word_embeddings"]

    for name in ("mistral-small-3.1-24b", "internvl3-8b"):
        assert _read(name, silent).parameters == _read(name).parameters, name


def test_a_text_part_that_ties_its_head_ties_the_whole() -> None:
    def tied(config: Config) -> None:
        config["text_config"]["tie_word_embeddings"] = True

    one, two = _read("llava-1.5-7b", tied), _read("llava-1.5-7b")
    assert one.tied
    assert two.parameters - one.parameters == 32064 * 4096


def test_a_pooling_head_of_siglip_is_counted_where_it_is() -> None:
    def pooled(config: Config) -> None:
        config["vision_config"]["vision_use_head"] = True

    more = _read("gemma-3-4b", pooled).parameters - _read("gemma-3-4b").parameters
    hidden, width = 1152, 4304
    linear = 4 * hidden * hidden + 4 * hidden + 2 * hidden * width + width + hidden
    assert more == linear + hidden + 2 * hidden  # a probe and a norm


def test_features_of_several_layers_widen_the_projector() -> None:
    def several(config: Config) -> None:
        config["vision_feature_layer"] = [-2, -5, -8]

    widened = _tower(_read("llava-1.5-7b", several), "model.multi_modal_projector.linear_1.weight")
    assert widened.shape == (4096, 3 * 1024)


def test_layers_that_attend_to_the_image_keep_the_image_only() -> None:
    profile = _read("llama-3.2-11b-vision")
    crossing = [n for n, layer in enumerate(profile.layers) if isinstance(layer.memory[0], Cross)]
    assert crossing == [3, 8, 13, 18, 23, 28, 33, 38]
    memory = profile.layers[3].memory
    assert memory == (Cross(8, 128, 128, tokens=4 * (40**2 + 1)),)
    assert any("0.10.2" in note for note in profile.notes), profile.notes


def test_whisper_keeps_what_it_heard_beside_what_it_said() -> None:
    profile = _read("whisper-large-v3")
    assert profile.task == "transduce"
    assert len(profile.encoder) == 32
    assert not any(layer.memory for layer in profile.encoder)
    assert profile.layers[0].memory == (Keys(20, 64, 64), Cross(20, 64, 64, tokens=1500))
    assert not any(isinstance(weight.cut, ByRow) for weight in profile.before)


def _set(section: str, field: str, value: object) -> Change:
    def change(config: Config) -> None:
        (config[section] if section else config)[field] = value

    return change


def _drop(section: str) -> Change:
    def change(config: Config) -> None:
        del config[section]

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("llava-1.5-7b", _drop("vision_config"), "'vision_config' is missing"),
        ("llava-1.5-7b", _drop("text_config"), "'text_config' is missing"),
        ("llava-1.5-7b", _set("", "vision_config", []), "'vision_config' is not a mapping"),
        ("llava-1.5-7b", _set("vision_config", "model_type", "eye\n"), "tower is 'eye?'"),
        ("llava-1.5-7b", _set("text_config", "model_type", "tongue"), "text part is 'tongue'"),
        ("llava-1.5-7b", _set("vision_config", "num_attention_heads", 0), "num_attention_heads"),
        ("llava-1.5-7b", _set("vision_config", "num_attention_heads", 15), "15 attention heads"),
        ("llava-1.5-7b", _set("vision_config", "patch_size", 0), "patch_size"),
        ("llava-1.5-7b", _set("text_config", "vocab_size", "many"), "'text_config.vocab_size'"),
        ("llava-1.5-7b", _set("", "vision_feature_layer", []), "an empty list"),
        ("qwen2.5-vl-7b", _set("vision_config", "num_heads", 7), "7 attention heads"),
        ("qwen3-vl-8b", _set("vision_config", "deepstack_visual_indexes", "all"), "not a list"),
        ("internvl3-8b", _set("vision_config", "image_size", [448]), "not a pair"),
        ("internvl3-8b", _set("vision_config", "patch_size", [0, 14]), "not a pair"),
        ("internvl3-8b", _set("", "downsample_ratio", 0), "not a number above 0"),
        ("llama-3.2-11b-vision", _set("text_config", "cross_attention_layers", 3), "not a list"),
        ("qwen2-audio-7b", _set("audio_config", "encoder_attention_heads", 3), "3 attention heads"),
        ("whisper-large-v3", _set("", "decoder_layers", 2**30), "above 4096"),
        ("whisper-large-v3", _set("", "decoder_attention_heads", 7), "7 attention heads"),
    ],
)
def test_what_is_absurd_is_refused_by_name(name: str, change: Change, words: str) -> None:
    with pytest.raises(Refusal, match=re.escape(words)) as refused:
        _read(name, change)
    assert refused.value.message.isprintable()


def _wrecked(config: Config) -> Iterator[tuple[str, Config]]:
    """The configuration with one field at a time turned into nonsense."""
    nonsense: tuple[object, ...] = (0, -1, 2**70, 1.5, True, "x", None, [], {}, [0, "x"])
    for section in (None, "text_config", "vision_config", "audio_config"):
        inner = config if section is None else config.get(section, {})
        for field in inner:
            for value in nonsense:
                wrecked = dict(config)
                if section is None:
                    wrecked[field] = value
                else:
                    wrecked[section] = {**inner, field: value}
                yield f"{section or ''}.{field} = {value!r}", wrecked


@pytest.mark.parametrize("name", [*SEEING, *HEARING])
def test_a_strangers_configuration_ends_in_a_profile_or_a_refusal(name: str) -> None:
    config = _published(name)
    read = READERS[config["model_type"]]
    for what, wrecked in _wrecked(config):
        with effort() as spent:
            try:
                assert read(Fields(wrecked)).parameters > 0
            except Refusal:
                pass
            except Exception as error:  # noqa: BLE001 - any other is the finding
                pytest.fail(f"{name}: {what} ended in {error!r}")
        assert spent.seconds < 1, f"{name}: {what} took too long"
