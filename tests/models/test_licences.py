"""What a model says of its licence: read where it lies, kept with the copy, never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.models import Models, licences
from tests.models.making import have, model_files, write
from tests.models.test_packages import DEMO
from tests.support.hub import HubServer

CARD = b"---\nlicense: Apache-2.0\nlanguage: [en]\n---\n# Tiny\n"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (CARD, "apache-2.0"),
        (b"---\r\nlicense: mit\r\n---\r\n", "mit"),
        (b"---\nlicense: [mit]\n---\n", "mit"),
        (b"---\nlicense: [mit, apache-2.0]\n---\n", ""),
        (b"---\nlicense: other\nlicense_name: llama3\n---\n", "llama3"),
        (b"---\nlicense: other\n---\n", ""),
        (b"---\nlicense: 7\n---\n", ""),
        (b"---\nlicense: !!python/object/apply:os.system [id]\n---\n", ""),
        (b"---\n- license: mit\n---\n", ""),
        (b"---\nlicense: mit\n", ""),
        (b"# Tiny\nlicense: mit\n", ""),
        (b"", ""),
        (b'---\nlicense: "mit\\nforged"\n---\n', ""),
    ],
)
def test_a_card_says_one_licence_or_none(card: bytes, licence: str) -> None:
    assert licences.of_card(card) == licence


def test_a_directory_is_given_under_what_its_card_says(models: Models, tmp_path: Path) -> None:
    model = write(tmp_path / "model", model_files() | {"README.md": CARD})
    assert models.describe(f"file://{model}", None).licence == "apache-2.0"


def test_a_directory_without_a_card_is_of_unknown_licence(models: Models, tmp_path: Path) -> None:
    model = write(tmp_path / "model", model_files())
    assert models.describe(f"file://{model}", None).licence == ""


def test_a_file_of_a_package_says_it_itself(models: Models) -> None:
    assert models.describe(DEMO, None).licence == "apache-2.0"


def test_the_hub_says_it_and_the_copy_remembers(hub: HubServer, models: Models) -> None:
    commit = hub.publish("acme/tiny", model_files() | {"README.md": CARD})
    assert models.describe("hf://acme/tiny", None).licence == "apache-2.0"
    have(models, "hf://acme/tiny")
    asked = len(hub.asked)
    assert models.describe("hf://acme/tiny", commit, offline=True).licence == "apache-2.0"
    assert len(hub.asked) == asked


def test_a_record_that_is_older_than_licences_still_loads(
    hub: HubServer, models: Models, root: Path
) -> None:
    commit = hub.publish("acme/tiny", model_files() | {"README.md": CARD})
    have(models, "hf://acme/tiny")
    record = next(root.glob("*/*/model.json"))
    document = json.loads(record.read_text())
    del document["licence"]
    record.write_text(json.dumps(document))
    assert models.describe("hf://acme/tiny", commit, offline=True).licence == ""
    assert models.describe("hf://acme/tiny", None).licence == "apache-2.0"
