"""Names of people, found by a token classifier that is read from a folder: a tiny one, whose
weights say of each word whether it is a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, ModelError, RefusedError
from llmops.finetuning import Entities, parse_finetune
from serving.finetune.data.entities import Names
from serving.finetune.data.personal import Redactor
from tests.finetuning.data.making import lines, prepared, settings, table, talk

pytestmark = pytest.mark.engines

PEOPLE, PLACES = ("alice", "bob"), ("paris",)
WORDS = ("is", "in", "and", "asked", "hello", "<", ">", "person", "email_address", ".", "?")
LABELS = ("O", "B-PER", "B-LOC")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings and a head, no layer between: a word's vector is its label's own."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    words = ("[UNK]", "[PAD]", *WORDS, *PEOPLE, *PLACES)
    made = Tokenizer(models.WordLevel({w: at for at, w in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    folder = tmp_path_factory.mktemp("classifier")
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(folder)
    model = BertForTokenClassification(
        BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=0, num_attention_heads=1,
            intermediate_size=16, max_position_embeddings=64, pad_token_id=1,
            id2label=dict(enumerate(LABELS)), label2id={w: at for at, w in enumerate(LABELS)},
        )
    )  # fmt: skip
    kinds = [1 if word in PEOPLE else 2 if word in PLACES else 0 for word in words]
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1)
        vectors = torch.eye(16)[torch.tensor(kinds)]
        model.bert.embeddings.word_embeddings.weight.copy_(vectors)
        model.classifier.weight.copy_(4 * torch.eye(16)[:3])
    model.config.architectures = ["BertForTokenClassification"]
    model.config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def asked(folder: Path, **more: Any) -> Entities:
    return Entities.model_validate({"model": f"file://{folder}", **more})


@pytest.fixture(scope="module")
def names(classifier: Path) -> Names:
    return Names(asked(classifier))


def test_people_are_replaced_and_places_stay(names: Names) -> None:
    text, counted = Redactor(names).redacted("Alice is in Paris, and Bob asked a@b.example.")
    assert text == "<PERSON> is in Paris, and <PERSON> asked <EMAIL_ADDRESS>."
    assert counted == {"PERSON": 2, "EMAIL_ADDRESS": 1}


def test_without_a_model_no_name_is_found() -> None:
    assert Redactor().redacted("Alice is in Paris.")[0] == "Alice is in Paris."


def test_a_name_beyond_the_models_context_is_found_too(names: Names) -> None:
    text = "hello and " * 100 + "Alice asked"
    [found] = names.find(text)
    assert text[found.begin : found.end] == "Alice"


def test_labels_and_the_score_are_as_asked(classifier: Path) -> None:
    both = Names(asked(classifier, labels=["PER", "LOC"]))
    assert [one.kind for one in both.find("alice in paris")] == ["PERSON", "LOCATION"]
    assert not list(Names(asked(classifier, score=1.0)).find("alice in paris"))
    with pytest.raises(InputError) as caught:
        Names(asked(classifier, labels=["PERSON"]))
    assert caught.value.path == "data.entities.labels"
    assert "it has LOC, PER" in caught.value.hint


def test_what_stands_for_something_is_nobodys_name() -> None:
    class Eager(Names):
        """Takes every word for a name."""

        def __init__(self) -> None:
            self._asked = Entities(model="file:///x")
            self._pipeline = lambda text: [
                {"entity_group": "PER", "score": 1.0, "start": 0, "end": len(text)}
            ]

    text = "<EMAIL_ADDRESS> alice"
    assert [text[one.begin : one.end] for one in Eager().find(text)] == [" alice"]
    assert not list(Eager().find("<EMAIL_ADDRESS>"))


def test_prepared_data_holds_no_name_and_is_named_by_the_model(
    base: Path, classifier: Path, tmp_path: Path
) -> None:
    rows = lines(tmp_path / "rows.jsonl", [talk("Is Alice in Paris?", "Bob asked. Hello.")])
    given = settings(rows, personal_data="redact", entities={"model": f"file://{classifier}"})
    made = prepared(given, base, tmp_path / "data")
    [row] = table(made.folder / "train.parquet")
    from transformers import AutoTokenizer

    text = AutoTokenizer.from_pretrained(base).decode(row["input_ids"])
    assert "Is <PERSON> in Paris?" in text
    assert "Alice" not in text
    [step] = [step for step in made.manifest["steps"] if step["name"] == "personal data"]
    assert step["reasons"] == {"PERSON": 2}
    assert len(made.manifest["names"]["sha256"]) == 64
    assert not prepared(given, base, tmp_path / "data").fresh
    plain = prepared(settings(rows, personal_data="redact"), base, tmp_path / "data")
    assert plain.digest != made.digest
    failing = settings(rows, personal_data="fail", entities={"model": f"file://{classifier}"})
    with pytest.raises(RefusedError, match=r"rows\.jsonl:1: PERSON"):
        prepared(failing, base, tmp_path / "data")


def test_a_folder_that_is_no_classifier_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        Names(asked(base))
    rows = lines(tmp_path / "rows.jsonl", [talk("a", "b")])
    missing = settings(rows, personal_data="redact", entities={"model": f"file://{tmp_path}/no"})
    with pytest.raises(ModelError, match="cannot be read"):
        prepared(missing, base, tmp_path / "data")


def test_weights_that_may_run_code_are_not_read(classifier: Path, tmp_path: Path) -> None:
    for path in classifier.iterdir():
        name = "pytorch_model.bin" if path.suffix == ".safetensors" else path.name
        (tmp_path / name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        Names(asked(tmp_path))


def test_a_model_that_nobody_asks_is_said_at_its_line() -> None:
    head = "kind: FineTune\nname: a\nmodel: {source: hf://o/n}\n"
    data = "data: {train: [{source: a.jsonl}], personal_data: keep, entities: {model: ner}}\n"
    with pytest.raises(InputError) as caught:
        parse_finetune(head + data)
    assert "data.entities: expected none where data.personal_data is keep" in str(caught.value)
    with pytest.raises(InputError) as caught:
        parse_finetune(head + data.replace("keep", "redact").replace("ner", "hf://o/ner"))
    assert "data.entities.model: expected a path beside this file" in str(caught.value)
