"""A figure's derivation adds up, ends in a source, and is the plan's own figure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmops.errors import InputError
from llmops.planning.fleet import (
    Derivation,
    Needs,
    derivation_lines,
    document,
    explain,
    plain_derivation,
    search,
)
from llmops.planning.fleet.derived import FIGURES
from tests.planning.fleet import worlds

MODELS = ("smollm2-135m", "llama-3.1-70b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-20b",
          "gemma-3-27b", "qwen3-next-80b-a3b", "falcon-h1-7b", "t5-11b", "bert-base-uncased",
          "whisper-large-v3", "qwen2-vl-2b")  # fmt: skip
SUMS = ("parameters", "weight_bytes", "weights", "kv_bytes_per_token", "room", "per_device_bytes")


def _nodes(tree: Derivation) -> Iterator[Derivation]:
    yield tree
    for part in tree.parts:
        yield from _nodes(part)


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_of_a_figure_add_up_to_it(name: str) -> None:
    subject = worlds.subject(name)
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    layouts = {option.parallel: place for place, option in enumerate(plan.options)}
    for place in layouts.values():
        for figure in FIGURES:
            tree = explain(plan, subject, worlds.config(name), figure, place)
            assert tree.adds is (figure in SUMS), figure
            for node in _nodes(tree):
                if node.adds:
                    found = sum(part.value for part in node.parts if isinstance(part.value, int))
                    assert found == node.value, f"{figure}: {node.name} in {layouts}"


@pytest.mark.parametrize("name", MODELS)
def test_a_derived_figure_is_the_one_that_the_plan_shows(name: str) -> None:
    subject = worlds.subject(name)
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    shown, config = document(plan, subject), worlds.config(name)
    option = shown["options"][0]
    expected = {
        "parameters": shown["model"]["parameters"], "weight_bytes": shown["model"]["weight_bytes"],
        "kv_bytes_per_token": shown["model"]["kv_bytes_per_token"], "price": option["price"],
        "context": option["context"], "requests": option["requests"],
        "kv_tokens": option["kv_tokens"], "weights": shown["memory"]["weights"],
        "room": shown["memory"]["kv_cache"], "reserve": shown["memory"]["reserve"],
        "per_device_bytes": shown["memory"]["per_device_bytes"],
        "activations": shown["memory"]["activations"],
    }  # fmt: skip
    for figure, in_plan in expected.items():
        found = explain(plan, subject, config, figure)
        assert found.value == in_plan["value"], figure
        assert found.unit == in_plan.get("unit", ""), figure


def test_a_derivation_ends_in_fields_of_the_configuration_and_in_documents() -> None:
    subject = worlds.subject("llama-3.1-70b")
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    config = worlds.config("llama-3.1-70b")
    weights = list(_nodes(explain(plan, subject, config, "weights")))
    leaves = [node for node in weights if not node.parts]
    assert all(node.source.startswith("config.json: ") for node in leaves)
    queries = next(node for node in leaves if "q_proj" in node.name)
    assert queries.name == "80 x self_attn.q_proj.weight"
    assert "80 x (8,192 x 8,192) x 2 bytes" in queries.how
    assert "hidden_size 8192" in queries.source
    price = list(_nodes(explain(plan, subject, config, "price")))
    assert any("https://" in node.source and "as of 20" in node.source for node in price)


def test_a_cut_is_said_in_words() -> None:
    subject = worlds.subject("llama-3.1-70b")
    needs = worlds.needs({"parallel": {"tensor": 16}})
    shop = worlds.shop([worlds.device("large", 80, domain=16)], [worlds.machine("large", 16, 9.0)])
    plan = search(subject, needs, shop)
    tree = explain(plan, subject, worlds.config("llama-3.1-70b"), "weights")
    words = {node.name: node.how for node in _nodes(tree)}
    assert words["80 x self_attn.k_proj.weight"].endswith(
        "8 KV heads over 16 devices: one on each, held repeatedly"
    )
    assert words["80 x self_attn.q_proj.weight"].endswith("64 attention heads over 16 devices")
    assert words["80 x input_layernorm.weight"].endswith("all of it on every device")


def test_a_derivation_is_lines_for_people_and_plain_data_for_programs() -> None:
    subject = worlds.subject("smollm2-135m")
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    tree = explain(plan, subject, worlds.config("smollm2-135m"), "room")
    lines = list(derivation_lines(tree))
    assert lines[0][0] == 0
    assert lines[0][1].startswith("room ")
    assert max(depth for depth, _ in lines) >= 2
    data = plain_derivation(tree)
    assert data["value"] == tree.value
    assert {part["name"] for part in data["parts"]} >= {"weights", "reserve", "activations"}


def test_an_unknown_figure_is_refused_with_the_list() -> None:
    subject = worlds.subject("smollm2-135m")
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    with pytest.raises(InputError) as caught:
        explain(plan, subject, {}, "wieghts")
    assert "did you mean 'weights'?" in caught.value.hint
    for figure in FIGURES:
        assert figure in caught.value.hint
