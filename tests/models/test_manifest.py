"""What a model was when it was had is what is loaded: one flipped byte is refused."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops.errors import ModelError
from serving.models import Models
from tests.models.making import Canary, contents_of, have, model_files
from tests.support.hub import HubServer

SOURCE = "hf://acme/tiny"
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
def commit(hub: HubServer, models: Models) -> str:
    """A model that is had."""
    commit = hub.publish("acme/tiny", model_files())
    have(models, SOURCE)
    return commit


@pytest.mark.parametrize("name", sorted(model_files()))
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_a_flipped_bit_is_refused(models: Models, commit: str, name: str, where: float) -> None:
    path = models.path(SOURCE, commit) / name
    content = bytearray(path.read_bytes())
    at = round(where * (len(content) - 1))
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} is not what its manifest says"):
        models.verified(SOURCE, commit)
    content[at] ^= 1
    path.write_bytes(content)
    assert models.verified(SOURCE, commit) == path.parent


def _add(directory: Path) -> None:
    (directory / "added_tokens.json").write_text("{}")


def _remove(directory: Path) -> None:
    (directory / SHARD).unlink()


def _shorten(directory: Path) -> None:
    path = directory / SHARD
    path.write_bytes(path.read_bytes()[:-1])


def _lead_away(directory: Path) -> None:
    path = directory / SHARD
    path.rename(directory.parent / "elsewhere")
    path.symlink_to("../elsewhere")


def _lose_the_manifest(directory: Path) -> None:
    (directory.parent / "llmops-manifest.json").unlink()


def _damage_the_manifest(directory: Path) -> None:
    (directory.parent / "llmops-manifest.json").write_text('{"config.json": 3}')


def _empty_the_manifest(directory: Path) -> None:
    (directory.parent / "llmops-manifest.json").write_text("[]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_add, "added_tokens.json is not in the model's manifest"),
        (_remove, f"{SHARD} is missing"),
        (_shorten, "its manifest says"),
        (_lead_away, "is a link that leads out"),
        (_lose_the_manifest, "llmops-manifest.json is missing"),
        (_damage_the_manifest, "llmops-manifest.json is damaged"),
        (_empty_the_manifest, "llmops-manifest.json is damaged"),
    ],
)
def test_a_changed_model_is_refused(
    models: Models, commit: str, change: Callable[[Path], None], message: str
) -> None:
    change(models.path(SOURCE, commit))
    with pytest.raises(ModelError) as caught:
        models.verified(SOURCE, commit)
    assert message in caught.value.message


def test_the_hint_of_a_refusal_mends_it(models: Models, commit: str) -> None:
    (models.path(SOURCE, commit) / SHARD).write_bytes(b"damaged")
    with pytest.raises(ModelError) as caught:
        models.verified(SOURCE, commit)
    command = shlex.split(caught.value.hint.split(", and deploy again")[0])
    assert command[:2] == ["rm", "-r"]
    assert command[2].endswith(commit)
    subprocess.run(command, check=True)
    with pytest.raises(ModelError, match="is not on this machine"):
        models.verified(SOURCE, commit)
    assert contents_of(have(models, SOURCE)) == model_files()


def test_a_pickle_put_beside_the_weights_is_not_opened(
    models: Models, commit: str, tmp_path: Path
) -> None:
    canary = Canary(tmp_path / "sang")
    directory = models.path(SOURCE, commit)
    (directory / "pytorch_model.bin").write_bytes(canary.pickled())
    models.verified(SOURCE, commit)
    models.describe(SOURCE, commit)
    assert not canary.sang


def test_a_damaged_copy_cannot_be_described_and_the_hint_names_it(
    models: Models, commit: str
) -> None:
    directory = models.path(SOURCE, commit)
    (directory / "config.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON") as caught:
        models.describe(SOURCE, commit)
    assert f"rm -r {directory.parent}" in caught.value.hint


def test_the_manifest_lists_each_file_once_with_its_digest(models: Models, commit: str) -> None:
    directory = models.path(SOURCE, commit)
    text = (directory.parent / "llmops-manifest.json").read_text()
    sizes = {name: entry["size"] for name, entry in json.loads(text).items()}
    assert sizes == {name: len(content) for name, content in model_files().items()}
    for name in model_files():
        found = subprocess.run(
            ["sha256sum", directory / name], capture_output=True, text=True, check=True
        )
        assert json.loads(text)[name]["sha256"] == found.stdout.split()[0]
