"""`hf://`: the real client against a hub on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops.errors import InputError
from llmops.finetuning import Data
from serving.finetune.data import Settings
from serving.finetune.data.inputs import Input, find
from tests.finetuning.data.making import prepared, table, talk
from tests.support.hub import HubServer, running

SOURCE = "hf://acme/talks"
TOKEN = "canary-token-8c21f0"
"""Planted, to be searched for."""


def packed(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FILES = {
    "README.md": b"# Talks\n",
    "load.py": b"raise SystemExit('code of others was run')\n",
    "data/train-00000.jsonl": packed(talk("One?", "The first of all answers.")),
    "data/train-00001.jsonl": packed(talk("Two?", "Another answer altogether.")),
    "data/test-00000.jsonl": packed(talk("Three?", "What is held out of it.")),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that the client in this process asks, with a planted token."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with running() as server:
        server.use(monkeypatch)
        yield server


def data(part: str = "train", **more: object) -> Data:
    rows = {"source": SOURCE, "format": "chat", "part": part} | more
    return Data.model_validate({"train": [rows], "personal_data": "keep"})


def found(given: Data) -> tuple[Input, ...]:
    return find(given, lambda _: None)


def test_the_files_of_a_split_are_fetched_and_prepared(
    hub: HubServer, base: Path, tmp_path: Path
) -> None:
    commit = hub.publish("datasets/acme/talks", FILES)
    made = prepared(Settings(data(), 1024, 17), base, tmp_path / "data")
    assert [one["path"] for one in made.manifest["inputs"]] == [
        "train-00000.jsonl", "train-00001.jsonl",
    ]  # fmt: skip
    assert {one["revision"] for one in made.manifest["inputs"]} == {commit}
    assert len(table(made.folder / "train.parquet")) == 2
    assert hub.names() == {"data/train-00000.jsonl", "data/train-00001.jsonl"}
    written = b"".join(path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    assert TOKEN.encode() not in written


def test_a_revision_is_kept_to(hub: HubServer) -> None:
    first = hub.publish("datasets/acme/talks", FILES)
    hub.publish("datasets/acme/talks", {"train.jsonl": packed(talk("New?", "New."))})
    assert {one.revision for one in found(data(revision=first))} == {first}
    assert [one.label for one in found(data())] == ["train.jsonl"]


def test_a_single_file_without_a_split_is_all_of_it(hub: HubServer) -> None:
    hub.publish("datasets/acme/talks", {"talks.jsonl": packed(talk("One?", "Yes."))})
    assert [one.label for one in found(data())] == ["talks.jsonl"]


@pytest.mark.parametrize(
    ("given", "said", "field"),
    [
        (data("validation"), "no file of the split 'validation'", "data.train[0].part"),
        (data(revision="nowhere"), "has no revision 'nowhere'", "data.train[0].revision"),
        (data(source="hf://acme/none"), "is not there", "data.train[0].source"),
        (data(source="hf://acme"), "expected hf://owner/name", "data.train[0].source"),
    ],
)
def test_what_is_not_there_is_told_at_its_field(
    hub: HubServer, given: Data, said: str, field: str
) -> None:
    hub.publish("datasets/acme/talks", FILES)
    with pytest.raises(InputError, match=said) as refused:
        found(given)
    assert refused.value.path == field
    assert TOKEN not in str(refused.value)


def test_a_hub_that_does_not_answer_is_told(hub: HubServer) -> None:
    hub.publish("datasets/acme/talks", FILES)
    hub.answer("/api/datasets/", *[500] * 20)
    with pytest.raises(InputError, match="cannot be had"):
        found(data())
