"""Right fine-tune files: what they say is what is read, and every field is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from llmops.errors import InputError
from llmops.finetuning import (
    FINETUNE,
    FineTune,
    Full,
    Lora,
    Qlora,
    generate,
    located,
    parse_finetune,
    path_of,
    read_finetune,
    starter,
)
from llmops.spec import SPEC, Deployment, Document, explain, fields, read_one_of, schema_of
from tests.finetuning.spec_strategies import finetunes
from tests.house import tree

SMALL = (
    "kind: FineTune\nname: style\nmodel: {source: hf://o/n}\ndata: {train: [{source: a.jsonl}]}\n"
)
OPTION = re.compile(r"^#(?=[a-z]|  [a-z])", re.MULTILINE)
VALIDATOR = jsonschema.Draft202012Validator(schema_of(FineTune, "finetune.yaml"))


def test_a_small_file_has_defaults_that_are_safe() -> None:
    spec = parse_finetune(SMALL).value
    assert isinstance(spec.method, Lora)
    assert (spec.method.rank, spec.method.scale, spec.training.packing) == (16, 32, True)
    assert (spec.data.personal_data, spec.data.leakage) == ("redact", "remove")
    assert (spec.data.on_bad, spec.preference) == ("fail", False)


@pytest.mark.parametrize(("kind", "section"), [("lora", Lora), ("full", Full), ("qlora", Qlora)])
def test_the_kind_says_which_method_it_is(kind: str, section: type) -> None:
    spec = parse_finetune(SMALL + f"method: {{kind: {kind}}}\n").value
    assert type(spec.method) is section


@given(spec=finetunes)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_spec_survives_its_json_and_its_file(spec: FineTune) -> None:
    document = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert FineTune.model_validate(document) == spec
    VALIDATOR.validate(spec.model_dump(mode="json", exclude_unset=True))
    written = json.dumps(spec.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)
    assert parse_finetune(written).value == spec


def test_relative_places_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    base, over = tmp_path / "base.yaml", tmp_path / "sub" / "over.yaml"
    base.write_text(
        "kind: FineTune\nname: style\nmodel: {source: hf://o/n}\n"
        "data: {train: [{source: data/a.jsonl}, {source: 'hf://o/n'}], chat_template: c.jinja}\n"
        "eval:\n- {set: ../e.jsonl, metric: accuracy, min: 0.5}\n"
    )
    over.write_text("data: {eval: [{source: b.jsonl}]}\n")
    spec = located(read_finetune([base, over]))
    assert [rows.source for rows in spec.data.train] == [
        f"file://{tmp_path}/data/a.jsonl",
        "hf://o/n",
    ]
    assert spec.data.eval[0].source == f"file://{tmp_path}/sub/b.jsonl"
    assert spec.data.chat_template == f"file://{tmp_path}/c.jinja"
    assert path_of(spec.eval[0].set) == tmp_path / ".." / "e.jsonl"
    assert FineTune.model_validate(spec.model_dump(mode="json")) == spec


def test_standard_input_has_no_folder_for_a_relative_place() -> None:
    placed = parse_finetune(SMALL, "<stdin>")
    with pytest.raises(InputError, match="standard input has no folder"):
        located(placed)


def test_files_are_read_as_the_kind_that_they_say(tmp_path: Path) -> None:
    documents: dict[str, Document[Any]] = {"Service": SPEC, "FineTune": FINETUNE}
    train, serve = tmp_path / "finetune.yaml", tmp_path / "llmops.yaml"
    train.write_text(SMALL)
    serve.write_text("name: chat\nmodel: {source: hf://o/n}\n")
    assert isinstance(read_one_of(documents, "Service", [train]).value, FineTune)
    assert isinstance(read_one_of(documents, "Service", [serve]).value, Deployment)


def test_the_starter_is_read_as_it_is_and_with_every_option() -> None:
    text = starter("style", "hf://o/n")
    made, taken = parse_finetune(text).value, parse_finetune(OPTION.sub("", text)).value
    assert len(OPTION.findall(text)) > 12
    assert taken == made, "the options show the defaults"
    assert (made.name, made.model.source) == ("style", "hf://o/n")
    assert max(len(line) for line in text.splitlines()) <= 100
    with pytest.raises(InputError, match="expected a name") as caught:
        starter("My Style", "hf://o/n")
    assert caught.value.hint == "such as support-style"


def test_every_field_is_documented_on_the_page_and_explained() -> None:
    page = " ".join(generate.made()[Path("docs/reference/finetune.md")].split())
    for doc in fields(FineTune):
        assert doc.doc.endswith("."), doc.path
        assert f"`{doc.path}`" in page
        assert doc.doc in page, doc.path
        assert doc.doc in {one.doc for one in explain(doc.path, FineTune)}


@pytest.mark.parametrize("overlays", [(), ("worse.yaml",)])
def test_the_examples_are_right(overlays: tuple[str, ...]) -> None:
    folder = tree.ROOT / "examples" / "finetune"
    placed = read_finetune([folder / "finetune.yaml", *(folder / name for name in overlays)])
    spec = located(placed)
    VALIDATOR.validate(placed.value.model_dump(mode="json", exclude_unset=True))
    for place in (*(rows.source for rows in spec.data.train), *(exam.set for exam in spec.eval)):
        file = path_of(place)
        assert file is not None
        assert file.is_file(), f"the example names {file}"
