"""The catalogue of open models: strict, sourced, and true of the engine that is installed."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from llmops.catalog import OpenModel, open_models, origins
from llmops.catalog.open_models import FILES, ModelsFile
from llmops.recommend import Request, recommend, recommendation_document

CASES = Path(__file__).parents[2] / "cases" / "architectures"
MODELS = open_models()
catalogue_of_models = importlib.import_module("llmops.catalog.open_models")
CHECKED = {
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.1-70b",
    "Qwen3-0.6B": "qwen3-0.6b",
    "Qwen3-32B": "qwen3-32b",
    "Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
    "Qwen3-235B-A22B-Instruct-2507": "qwen3-235b-a22b",
    "gemma-3-4b-it": "gemma-3-4b",
    "gemma-3-27b-it": "gemma-3-27b",
    "Mistral-Small-3.1-24B-Instruct": "mistral-small-3.1-24b",
    "gpt-oss-20b": "gpt-oss-20b",
    "gpt-oss-120b": "gpt-oss-120b",
    "SmolLM2-135M-Instruct": "smollm2-135m",
    "SmolLM3-3B": "smollm3-3b",
    "DeepSeek-V3": "deepseek-v3",
    "Qwen3-Embedding-0.6B": "qwen3-embedding-0.6b",
    "embeddinggemma-300m": "embeddinggemma-300m",
    "bart-large-cnn": "bart-large-cnn",
    "nllb-200-distilled-600M": "nllb-200-distilled-600m",
    "ModernBERT-base": "modernbert-base",
    "xlm-roberta-base": "xlm-roberta-base",
    "bge-m3": "bge-m3",
    "gte-modernbert-base": "gte-modernbert-base",
}
"""Models whose configuration is a case file, where parameters are counted."""

TABLES = {
    "in-tree": (
        "_TEXT_GENERATION_MODELS", "_EMBEDDING_MODELS", "_TOKEN_CLASSIFICATION_MODELS",
        "_SEQUENCE_CLASSIFICATION_MODELS", "_MULTIMODAL_MODELS",
    ),
    "transformers": ("_TRANSFORMERS_SUPPORTED_MODELS",),
    "plugin": ("_OOT_SUPPORTED_MODELS",),
}  # fmt: skip


@cache
def registry() -> dict[str, set[str]]:
    """Classes by table of vLLM's registry, read without importing vLLM."""
    spec = importlib.util.find_spec("vllm")
    assert spec is not None, "vLLM is not installed"
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "model_executor" / "models" / "registry.py"
    found: dict[str, set[str]] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            keys = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            found[getattr(node.targets[0], "id", "")] = {str(key) for key in keys}
    return found


def how(architecture: str) -> str:
    """How the engine that is installed serves a class."""
    for way, tables in TABLES.items():
        if any(architecture in registry()[table] for table in tables):
            return way
    return "none"


def served(model: OpenModel) -> set[str]:
    """The classes that are served: those it has once tuned, and its own for tasks left over."""
    left = set(model.tasks) - set(model.tuned)
    return set(model.tuned.values()) | ({model.architecture} if left else set())


def cited_by(model: OpenModel) -> set[str]:
    """Ids of all sources of an entry."""
    return {model.cited, *model.also.values(), *(score.cited for score in model.quality)}


def test_the_registry_is_read() -> None:
    assert how("LlamaForCausalLM") == "in-tree"
    assert how("NoSuchForCausalLM") == "none"


@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_of_vllm_is_what_its_registry_says(name: str) -> None:
    model = MODELS[name]
    for architecture in served(model):
        assert how(architecture) == model.vllm, f"{name}: {architecture}"


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_has_a_source_and_a_date(name: str) -> None:
    for cited in cited_by(MODELS[name]):
        origin = origins()[cited]
        assert date(2018, 1, 1) < origin.date <= datetime.now(UTC).date(), cited
        assert origin.title


def test_every_source_is_cited_and_says_the_same_in_each_file() -> None:
    used = {cited for model in MODELS.values() for cited in cited_by(model)}
    assert set(origins()) == used
    seen: dict[str, Any] = {}
    for path in FILES.glob("*.yaml"):
        for name, source in yaml.safe_load(path.read_text())["sources"].items():
            assert seen.setdefault(name, source) == source, f"{name} differs in {path.name}"


def test_what_nobody_confirmed_is_told() -> None:
    model = MODELS["Qwen3-8B"].model_copy(update={"unconfirmed": ("licence", "gated")})
    found = recommend(Request("chat"), catalogue={"Qwen3-8B": model})
    said = [reason.text for reason in found.options[0].reasons]
    assert any("not confirmed" in text and "its licence, whether" in text for text in said), said
    shown = recommendation_document(found)["options"][0]
    assert shown["unconfirmed"] == ["licence", "gated"]
    assert all(cited["url"].startswith("https://") for cited in shown["also_cited"].values())
    confirmed = model.model_copy(update={"unconfirmed": ()})
    told = recommend(Request("chat"), catalogue={"Qwen3-8B": confirmed}).options[0].reasons
    assert not any("not confirmed" in reason.text for reason in told)


def test_what_is_unconfirmed_weighs_nothing() -> None:
    doubted = {
        name: model.model_copy(update={"unconfirmed": ("licence", "gated", "languages")})
        for name, model in MODELS.items()
    }
    first, second = (recommend(Request("chat"), catalogue=one).options for one in (MODELS, doubted))
    assert [(one.name, one.points) for one in first] == [(one.name, one.points) for one in second]


@pytest.mark.parametrize("name", CHECKED)
def test_parameters_are_those_of_the_models_own_configuration(name: str) -> None:
    case = yaml.safe_load((CASES / f"{CHECKED[name]}.yaml").read_text())
    assert MODELS[name].parameters == case["parameters"]
    assert MODELS[name].model_type == case["config"]["model_type"]


def test_the_catalogue_covers_every_task_and_architecture() -> None:
    assert len(MODELS) >= 25
    for task in ("generation", "chat", "summarisation", "translation", "classification",
                 "extraction", "embedding"):  # fmt: skip
        assert sum(task in model.tasks for model in MODELS.values()) >= 3, task
    assert {model.kind for model in MODELS.values()} == {
        "decoder-only", "encoder-decoder", "encoder-only",
    }  # fmt: skip
    assert {model.licence.use for model in MODELS.values()} == {
        "permissive", "conditional", "non-commercial",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": 0},
        {"parameters": "8B"},
        {"source": "meta-llama/Llama-3.1-8B-Instruct"},
        {"licence": {"name": "MIT", "use": "free"}},
        {"gated": "no"},
        {"tasks": ["poetry"]},
        {"tasks": []},
        {"languages": {"listed": ["English"]}},
        {"checkpoint": "12.8"},
        {"quality": [{"benchmark": "MMLU", "value": 70.0}]},
        {"downloads": 3},
        {"unconfirmed": ["price"]},
        {"unconfirmed": "licence"},
        {"also": {"parameters": "llama-3.1"}},
    ],
    ids=str,
)
def test_an_entry_that_is_wrong_is_refused(change: dict[str, Any]) -> None:
    document = yaml.safe_load((FILES / "decoders.yaml").read_text())
    document["models"]["Llama-3.1-8B-Instruct"] |= change
    with pytest.raises(ValidationError):
        ModelsFile.model_validate(document)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cited": "hearsay"}, "no source of the file"),
        ({"also": {"licence": "hearsay"}}, "no source of the file"),
        ({"unconfirmed": ["active"]}, "has no active"),
        ({"also": {"checkpoint": "llama-3.1"}}, "has no checkpoint"),
        ({"unconfirmed": ["licence"]}, "of what is unconfirmed"),
        ({"tuned": {"embedding": "LlamaModel"}}, "not among its own"),
    ],
    ids=str,
)
def test_an_entry_that_contradicts_its_file_is_refused(
    change: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load((FILES / "decoders.yaml").read_text())
    document["models"]["Llama-3.1-8B-Instruct"] |= change
    (tmp_path / "decoders.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(catalogue_of_models, "FILES", tmp_path)
    catalogue_of_models._files.cache_clear()
    try:
        with pytest.raises(ValueError, match=words):
            catalogue_of_models.open_models.__wrapped__()
    finally:
        catalogue_of_models._files.cache_clear()
