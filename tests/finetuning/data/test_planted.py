"""A data set with planted defects: each is found, nothing else goes, and no secret is left.

All tests that load the recognisers of personal data are in this file: loading them takes long.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from llmops.errors import RefusedError
from serving.finetune.data import Prepared
from serving.finetune.data.personal import Redactor
from tests.finetuning.data.making import lines, prepared, settings, table, talk
from tests.finetuning.data.planting import PERSONAL, Planted, plant

SEEDS = (1, 2, 3)
LONGEST = 3000


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture(scope="module", params=SEEDS)
def outcome(
    request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Planted, Prepared]:
    """A planted data set, and what was prepared of it."""
    folder = tmp_path_factory.mktemp("planted")
    planted = plant(request.param)
    asked = settings(
        lines(folder / "train.jsonl", planted.train),
        held=lines(folder / "held.jsonl", planted.held),
        filters={"languages": ["en"], "max_tokens": LONGEST},
        personal_data="redact",
        on_bad="skip",
    )
    return planted, prepared(asked, base, folder / "data")


def test_what_is_left_is_what_has_no_defect(outcome: tuple[Planted, Prepared]) -> None:
    planted, made = outcome
    left = {str(row["source"]) for row in table(made.folder / "train.parquet")}
    gone = set().union(*planted.gone.values())
    expected = {f"train.jsonl:{n}" for n in range(1, len(planted.train) + 1) if n not in gone}
    assert left == expected
    assert len(table(made.folder / "eval.parquet")) == len(planted.held)


def test_each_step_takes_what_was_planted_for_it(outcome: tuple[Planted, Prepared]) -> None:
    planted, made = outcome
    removed = {step["name"]: step["removed"] for step in made.manifest["steps"]}
    assert removed == {name: len(planted.gone[name]) for name in removed}
    changed = {step["name"]: step["changed"] for step in made.manifest["steps"]}
    assert changed == {name: len(planted.changed[name]) for name in changed}
    reasons = next(s for s in made.manifest["steps"] if s["name"] == "personal data")["reasons"]
    assert reasons == dict.fromkeys(sorted(PERSONAL), 1)


def test_each_step_begins_where_the_one_before_ended(outcome: tuple[Planted, Prepared]) -> None:
    _, made = outcome
    *steps, leakage = made.manifest["steps"]
    for step, after in pairwise(steps):
        assert step["after"] == after["before"], (step["name"], after["name"])
    assert leakage["before"] == steps[-1]["after"] - made.manifest["eval"]["rows"]
    assert leakage["after"] == made.manifest["train"]["rows"]


def test_no_secret_is_left_anywhere(outcome: tuple[Planted, Prepared], base: Path) -> None:
    from transformers import AutoTokenizer

    _, made = outcome
    known = AutoTokenizer.from_pretrained(str(base))
    texts = [
        known.decode(row["input_ids"])
        for side in ("train", "eval")
        for row in table(made.folder / f"{side}.parquet")
    ]
    files = [path for path in made.folder.rglob("*") if path.is_file()]
    texts += [path.read_bytes().decode("utf-8", "replace") for path in files]
    for kind, value in PERSONAL.items():
        assert not any(value in text for text in texts), kind
        assert any(f"<{kind}>" in text for text in texts), kind
    assert not list(made.folder.parent.glob("*.part"))


def test_examples_of_steps_before_it_are_hidden_too(base: Path, tmp_path: Path) -> None:
    said = " ".join(PERSONAL.values())
    rows = [
        talk("Hello there", "A plain row that stays"),
        talk("Hello", f"trÃ¨s bon {said}"),
        talk("Hello", f"\ufffd {said}"),
        talk("Hello", f"<|im_end|> {said}"),
        talk("Hello", said + " no" * 200),
        {"messages": said},
        {"messages": [{"role": said, "content": said}]},
    ]
    made = prepared(
        settings(
            lines(tmp_path / "a.jsonl", rows), personal_data="redact", on_bad="skip", split=0.5
        ),
        base,
        tmp_path / "data",
    )
    for path in made.folder.rglob("*.*"):
        content = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        assert [kind for kind, value in PERSONAL.items() if value in content] == [], path.name


def test_personal_data_is_replaced_in_exams_as_in_rows(base: Path, tmp_path: Path) -> None:
    asked = f"Whose address is {PERSONAL['EMAIL_ADDRESS']}?"
    rows = [talk(asked, "Of a person."), talk("Is it late?", "Not at all.")]
    exam = lines(tmp_path / "exam.jsonl", [{"prompt": asked, "reference": "Nobody's."}])
    given = settings(
        lines(tmp_path / "a.jsonl", rows), personal_data="redact", duplicates={"near": "off"}
    )
    made = prepared(replace(given, exams={"eval[0].set": exam}), base, tmp_path / "data")
    assert [row["source"] for row in table(made.folder / "train.parquet")] == ["a.jsonl:2"]
    assert made.manifest["steps"][-1]["reasons"] == {"asked by an exam": 1}
    held = [path.read_bytes() for path in made.folder.rglob("*") if path.is_file()]
    assert not any(PERSONAL["EMAIL_ADDRESS"].encode() in one for one in held)


def test_personal_data_can_be_refused_with_its_places_and_not_its_words(
    base: Path, tmp_path: Path
) -> None:
    rows = [talk("Hi", f"write to {PERSONAL['EMAIL_ADDRESS']}"), talk("Hi", "nothing here")]
    asked = settings(lines(tmp_path / "a.jsonl", rows), personal_data="fail")
    with pytest.raises(RefusedError, match=r"a\.jsonl:1: EMAIL_ADDRESS") as refused:
        prepared(asked, base, tmp_path / "data")
    assert PERSONAL["EMAIL_ADDRESS"] not in str(refused.value)
    assert list((tmp_path / "data").glob("*")) == [tmp_path / "data" / ".lock"]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("call (212) 555-0123 now", ["PHONE_NUMBER"]),
        ("card 4111 1111 1111 1112", []),
        ("IBAN DE89370400440532013001", []),
        ("fe80::1ff:fe23:4567:890a is up", ["IP_ADDRESS"]),
        ("std::vector<int> a::b; x = y[::2]", []),
        ("on 2024-01-02 at 12:30:45", []),
        ("3.14159265358979", []),
        ("2+2=4, 17*23=391, 1000000 + 2000000", []),
        ("ISBN 978-3-16-148410-0", []),
        ("00:1B:44:11:3A:B7", ["MAC_ADDRESS"]),
        ("jane@intern.corp or john@example.com", ["EMAIL_ADDRESS", "EMAIL_ADDRESS"]),
        ("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", ["SECRET"]),
    ],
)
def test_what_is_personal_by_value(redactor: Redactor, text: str, kinds: list[str]) -> None:
    assert [found.kind for found in redactor.find(text)] == kinds


def test_findings_are_where_they_are_said_to_be(redactor: Redactor) -> None:
    text = "From 1234 rows, mail jane@example.com, then call +44 20 7946 0958 (or not)."
    said = [text[found.begin : found.end] for found in redactor.find(text)]
    assert said == ["jane@example.com", "+44 20 7946 0958"]
    assert redactor.redacted(text)[0] == (
        "From 1234 rows, mail <EMAIL_ADDRESS>, then call <PHONE_NUMBER> (or not)."
    )


def test_nothing_is_asked_of_the_network(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert redactor.find(" ".join(PERSONAL.values()))
