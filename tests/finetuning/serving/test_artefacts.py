"""Artefacts: kept whole or not at all, checked to the byte, never a pickle; adapters by address."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import ModelError
from serving.finetune.artefacts import (
    Artefact,
    Base,
    Gated,
    adapter_facts,
    base_of,
    keep,
    locate,
    read,
    verify,
)
from serving.finetune.training.checkpoints import seal
from tests.support.adapters import lineage, make_adapter, make_run
from tests.support.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def base(model: Path) -> Base:
    return base_of(model, "hf://owner/tiny", "b" * 40)


@pytest.fixture
def made(model: Path, tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "final", model, seed=1)


@pytest.fixture
def kept(made: Path, base: Base, tmp_path: Path) -> Artefact:
    return keep(made, tmp_path / "artefact", lineage("style", 1, base))


def test_what_is_kept_says_where_it_comes_from(kept: Artefact, base: Base) -> None:
    found = read(kept.directory)
    assert found == kept
    assert found.kind == "adapter"
    assert found.lineage == lineage("style", 1, base)
    assert set(found.files) == {
        "adapter_config.json", "adapter_model.safetensors", "lineage.json",
    }  # fmt: skip
    assert set(base.files) == {"config.json", "model.safetensors"}


def test_what_a_training_has_sealed_is_kept(made: Path, base: Base, tmp_path: Path) -> None:
    """Its folder has a manifest of its own, which is none of the artefact's files."""
    seal(made, tmp_path / "sealed", {"step": 24})
    found = keep(tmp_path / "sealed", tmp_path / "artefact", lineage("style", 1, base))
    assert verify(found.directory) == found
    assert "manifest.json" not in found.files


def test_keeping_it_again_gives_the_first_back(
    kept: Artefact, made: Path, base: Base, tmp_path: Path
) -> None:
    marks = {path: path.stat().st_mtime_ns for path in kept.directory.iterdir()}
    assert keep(made, tmp_path / "artefact", lineage("style", 1, base)) == kept
    assert {path: path.stat().st_mtime_ns for path in kept.directory.iterdir()} == marks
    with pytest.raises(ModelError, match="of another lineage"):
        keep(made, tmp_path / "artefact", lineage("style", 2, base))


def test_what_a_killed_run_left_aside_is_written_anew(
    made: Path, base: Base, tmp_path: Path
) -> None:
    aside = tmp_path / ".artefact.part"
    aside.mkdir()
    (aside / "adapter_model.safetensors").write_bytes(b"half")
    found = keep(made, tmp_path / "artefact", lineage("style", 1, base))
    assert verify(found.directory) == found
    assert not aside.exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json",
                                  "lineage.json"])  # fmt: skip
def test_one_flipped_byte_is_refused(kept: Artefact, name: str) -> None:
    file = kept.directory / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name} is not what its manifest says: SHA-256 is"):
        verify(kept.directory)


def test_a_file_that_is_missing_or_new_is_refused(kept: Artefact) -> None:
    (kept.directory / "extra.json").write_text("{}")
    with pytest.raises(ModelError, match=r"extra\.json is not in the artefact's manifest"):
        verify(kept.directory)
    (kept.directory / "extra.json").unlink()
    (kept.directory / "lineage.json").unlink()
    with pytest.raises(ModelError, match=r"lineage\.json is missing"):
        verify(kept.directory)


@pytest.mark.parametrize("name", ["adapter_model.bin", "training_args.pkl", "optimizer.pt"])
def test_a_pickle_is_neither_kept_nor_loaded(
    made: Path, base: Base, tmp_path: Path, name: str
) -> None:
    (made / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=rf"{name} can run code when it is opened"):
        keep(made, tmp_path / "artefact", lineage("style", 1, base))
    assert not (tmp_path / "artefact").exists()
    with pytest.raises(ModelError, match=rf"{name} can run code when it is opened"):
        locate(tmp_path, f"file://{made}")


def test_a_folder_without_safetensors_is_no_artefact(base: Base, tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="neither an adapter"):
        keep(tmp_path / "final", tmp_path / "artefact", lineage("style", 1, base))


# By address


def test_an_adapter_is_found_by_its_run(
    model: Path, made: Path, base: Base, tmp_path: Path
) -> None:
    artefact = make_run(tmp_path, lineage("style", 3, base), made)
    found = locate(tmp_path, "run://style/3")
    assert (found.directory, found.digest) == (artefact.directory, artefact.digest)
    with pytest.raises(ModelError, match="run 4 of style has no artefact here") as caught:
        locate(tmp_path, "run://style/4")
    assert "runs of style with one: 3" in caught.value.hint
    with pytest.raises(ModelError, match="has changed since it was planned with"):
        locate(tmp_path, "run://style/3", expected="0" * 64)
    facts = adapter_facts(tmp_path, "run://style/3", base)
    assert (facts.base, facts.run, facts.rank, facts.data) == ("same", "style/3", 8, "d" * 64)
    [first, *_] = facts.layers
    assert (first.name, first.outputs, first.inputs) == ("model.layers.0.mlp.down_proj", 128, 256)
    assert len(facts.layers) == 8


def test_a_base_is_the_same_by_its_files_wherever_it_lies(
    made: Path, base: Base, tmp_path: Path
) -> None:
    make_run(tmp_path, lineage("style", 1, base), made)

    def kinship(served: Base) -> str:
        return adapter_facts(tmp_path, "run://style/1", served).base

    assert kinship(replace(base, source="file:///copy", revision="c" * 64)) == "same"
    assert kinship(replace(base, files={**base.files, "model.safetensors": "0" * 64})) == "other"
    assert kinship(replace(base, files={})) == "same"
    assert kinship(replace(base, files={}, revision="c" * 40)) == "other"


def test_a_plain_folder_of_peft_is_pinned_by_its_files(
    model: Path, made: Path, base: Base, tmp_path: Path
) -> None:
    facts = adapter_facts(tmp_path, f"file://{made}", base)
    assert (facts.base, facts.run, facts.trained_on) == ("untold", "", "")
    assert locate(tmp_path, f"file://{made}", expected=facts.digest).artefact is None
    make_adapter(made, model, seed=2)
    with pytest.raises(ModelError, match="has changed since it was planned with"):
        locate(tmp_path, f"file://{made}", expected=facts.digest)


def test_what_the_gate_said_is_a_fact(made: Path, base: Base, tmp_path: Path) -> None:
    gate = Gated("refused", ("exact_match 0.2, 0.5 at least", "bleu 3, 10 at least"))
    make_run(tmp_path, lineage("style", 1, base, gate), made)
    refused = adapter_facts(tmp_path, "run://style/1", base).refused
    assert refused == "exact_match 0.2, 0.5 at least; bleu 3, 10 at least"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"peft_type": "IA3"}, "it is of the kind IA3, not LORA"),
        ({"use_dora": True}, "it has DoRA"),
        ({"bias": "all"}, "it has trained biases"),
        ({"modules_to_save": ["lm_head"]}, "it has modules_to_save"),
        ({"init_lora_weights": "pissa"}, "it has weights that began as pissa"),
        ({"init_lora_weights": "gaussian", "use_rslora": True}, ""),
    ],
    ids=str,
)
def test_what_the_engine_leaves_out_is_told(
    model: Path, base: Base, tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    folder = make_adapter(tmp_path / "final", model, seed=1, changed=changed)
    found = adapter_facts(tmp_path, f"file://{folder}", base).unsupported
    assert found.startswith(says)
    assert bool(found) == bool(says)


def test_a_damaged_configuration_is_an_error_of_ours(
    made: Path, base: Base, tmp_path: Path
) -> None:
    (made / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        adapter_facts(tmp_path, f"file://{made}", base)
    (made / "adapter_config.json").write_text(json.dumps([]))
    with pytest.raises(ModelError, match="is no JSON object"):
        adapter_facts(tmp_path, f"file://{made}", base)
