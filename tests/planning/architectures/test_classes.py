"""What the class that a configuration names has behind the layers, over all families."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import architecture
from llmops.planning.architecture import Profile
from llmops.planning.refusal import Refusal
from tests.planning.architectures.cases import CASES

ODD = "ForQuestionAnswering"


def as_class(name: str, ending: str, **changes: Any) -> Profile:
    """A published model as another class of its family."""
    config = CASES[name]["config"] | changes
    return architecture.read(config | {"architectures": [f"Some{ending}"]})


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_family_takes_an_unknown_class_for_one_that_it_knows(name: str) -> None:
    with pytest.raises(Refusal, match="'architectures' is a class whose head"):
        as_class(name, ODD)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_model_of_rewards_is_none_that_embeds(name: str) -> None:
    with pytest.raises(Refusal, match="'architectures' is a class whose head"):
        as_class(name, "RewardModel")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("bart-large-cnn", "ForCausalLM"),
        ("t5-small", "ForCausalLM"),
        ("whisper-large-v3", "ForCausalLM"),
        ("whisper-large-v3", "ForSequenceClassification"),
        ("bert-base-uncased", "LMHeadModel"),
        ("llama-3.1-8b", "ForMaskedLM"),
    ],
)
def test_a_class_that_a_family_does_not_have_is_refused(name: str, ending: str) -> None:
    with pytest.raises(Refusal, match="'architectures' is a class whose head"):
        as_class(name, ending)


@pytest.mark.parametrize("ending", ["ForSequenceClassification", "ForTokenClassification"])
@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-30b-a3b", "gpt2", "mamba-130m", "bge-m3"])
def test_layers_that_make_classes_are_float32_in_decoders_as_in_encoders(
    name: str, ending: str
) -> None:
    head = [w for w in as_class(name, ending).after if w.name.startswith(("score", "classifier"))]
    assert head
    assert all(weight.float32 for weight in head)


def test_the_head_of_words_stays_in_the_format_of_the_model() -> None:
    head = [w for w in as_class("llama-3.1-8b", "ForCausalLM").after if "lm_head" in w.name]
    assert [weight.float32 for weight in head] == [False]


def test_whisper_without_its_head_gives_vectors() -> None:
    bare = as_class("whisper-large-v3", "Model")
    assert bare.task == "embed"
    assert not bare.tied


def test_a_section_is_of_the_class_of_the_whole() -> None:
    classes = as_class("gemma-3-4b", "ForSequenceClassification")
    assert classes.task == "classify"
    unnamed = {k: v for k, v in CASES["gemma-3-4b"]["config"].items() if k != "architectures"}
    assert architecture.read(unnamed).task == "generate"


@pytest.mark.parametrize(("name", "assumed"), [("MiniV", True), ("MiniForCausalLM", False)])
def test_what_a_strange_class_does_is_said_to_be_assumed_where_it_is(
    name: str, assumed: bool
) -> None:
    config = CASES["llama-3.1-8b"]["config"] | {"model_type": "mini", "architectures": [name]}
    strange = architecture.read(config)
    assert strange.task == "generate"
    assert any("it is taken to generate" in note for note in strange.notes) is assumed
