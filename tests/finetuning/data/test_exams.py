"""Exams of the spec are not learnt: what asks the same goes, whatever it answers, and no more."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, RefusedError, SpecError
from llmops.evaluating import ItemSet
from llmops.finetuning import located, parse_finetune
from llmops.finetuning.planning.notes import warnings_of
from serving.finetune.data import Prepared, settings_of
from serving.finetune.data.duplicates import Index, signature_of
from serving.finetune.data.exams import WITHIN, Asked, Exam, read_exams
from serving.finetune.data.rows import Part, Row
from tests.finetuning.data.making import lines, prepared, settings, table, talk

PROMPT = "Why does the ferry to the northern island leave before the tide has turned?"
ANSWER = "Because the harbour is too shallow for it at low water."
PLAIN = [talk(f"What is item {at * 7919}?", f"Number {at * at}.") for at in range(8)]
OFF = {"near": "off"}
EXAMPLE = Path("examples/finetune")


def exam(path: Path, *items: object) -> Path:
    """An exam of one question, unless others are given."""
    return lines(path, items or [{"prompt": PROMPT, "reference": ANSWER}])


def made(base: Path, folder: Path, rows: Sequence[object], asked: Path, **data: Any) -> Prepared:
    """Data prepared of rows, with an exam held out."""
    given = settings(lines(folder / "rows.jsonl", [*PLAIN, *rows]), **data)
    return prepared(replace(given, exams={"eval[0].set": asked}), base, folder / "data")


def learnt(of: Prepared) -> set[int]:
    """Which rows are learnt, by their number after the plain ones, from 1; all plain ones are."""
    numbers = {int(row["source"].rpartition(":")[2]) for row in table(of.folder / "train.parquet")}
    assert set(range(1, len(PLAIN) + 1)) <= numbers, "an honest row has gone"
    return {number - len(PLAIN) for number in numbers if number > len(PLAIN)}


def step(of: Prepared) -> Mapping[str, Any]:
    """What the step 'leakage' did."""
    found: Mapping[str, Any] = of.manifest["steps"][-1]
    assert found["name"] == "leakage"
    return found


def told(row: Row, *items: object, folder: Path, near: float | None = 0.8) -> str:
    """Why a row is what an exam asks."""
    index = Index(folder)
    asked = Asked(index, near, lambda one: one)
    for one in read_exams({"eval[0].set": exam(folder / "exam.jsonl", *items)}, print):
        asked.add(one)
    try:
        return asked.told_by(row, signature_of(row.text))
    finally:
        index.close()


PLANTED: Sequence[tuple[object, str]] = (
    (talk(PROMPT, "An answer in words of its own."), "asked by an exam (exam.jsonl:2)"),
    (talk(f"  {PROMPT.upper()}\n", "Another one, again."), "asked by an exam (exam.jsonl:2)"),
    (talk(PROMPT.replace("turned", "turn"), "It would run aground."), "like what an exam asks ("),
    (talk(f"Be short. {PROMPT} Thanks!", "Shallow harbour."), "says what an exam asks (exam.jso"),
    (talk("Good morning to you", "Yes?", PROMPT, "Low water."), "asked by an exam (exam.jsonl:2)"),
    (talk("Say again what I have to learn", f"It is: {PROMPT}"), "says what an exam asks ("),
)  # fmt: skip


def test_rows_that_ask_what_an_exam_asks_go_and_an_answer_alone_stays(
    base: Path, tmp_path: Path
) -> None:
    asked = exam(
        tmp_path / "exam.jsonl",
        {"prompt": "Which colour has the sea in winter?", "label": "grey"},
        {"prompt": PROMPT, "reference": ANSWER},
    )
    honest = [talk("When may boats not go in?", ANSWER), talk("Whose coat is it?", "grey")]
    of = made(base, tmp_path, [*(row for row, _ in PLANTED), *honest], asked)
    assert learnt(of) == {len(PLANTED) + 1, len(PLANTED) + 2}
    assert step(of)["removed"] == len(PLANTED)
    assert step(of)["reasons"] == {
        "asked by an exam": 3, "like what an exam asks": 1, "says what an exam asks": 2,
    }  # fmt: skip
    shown = [
        json.loads(line) for line in (of.folder / "examples/leakage.jsonl").open(encoding="utf-8")
    ]
    assert len(shown) == 5
    for one, (_, why) in zip(shown, PLANTED, strict=False):
        assert one["why"].startswith(why), one
    report = (of.folder / "report.md").read_text(encoding="utf-8")
    assert "asked by an exam (exam.jsonl:2)" in report
    assert "| exam.jsonl | exam | set | 2 |" in report


def test_leakage_says_whether_they_go_fail_or_stay(base: Path, tmp_path: Path) -> None:
    asked = exam(tmp_path / "exam.jsonl")
    rows = [talk(PROMPT, "An answer in words of its own.")]
    with pytest.raises(RefusedError, match=r"rows\.jsonl:9: asked by an exam \(exam\.jsonl:1\)"):
        made(base, tmp_path, rows, asked, leakage="fail")
    spec = (
        "kind: FineTune\nname: a\nmodel: {source: hf://a/b}\n"
        f"data: {{train: [{{source: 'file:///rows.jsonl'}}], leakage: %s}}\n"
        f"eval:\n- {{set: 'file://{asked}', metric: exact_match, min: 0.1}}\n"
        f"- {{set: 'file://{asked}', metric: rouge1, min: 0.1}}\n"
    )
    for word, exams in (("keep", {}), ("remove", {"eval[0].set": asked})):
        written = located(parse_finetune(spec % word))
        assert settings_of(written).exams == exams
        warned = [note for note in warnings_of(written) if "the gate may ask" in note]
        assert bool(warned) is (word == "keep")


def test_without_near_duplicates_only_the_same_words_go(base: Path, tmp_path: Path) -> None:
    asked = exam(tmp_path / "exam.jsonl")
    rows = [row for row, _ in PLANTED]
    assert learnt(made(base, tmp_path, rows, asked, duplicates=OFF)) == {3}


def test_a_changed_exam_prepares_the_data_anew_and_the_same_does_not(
    base: Path, tmp_path: Path
) -> None:
    asked = exam(tmp_path / "exam.jsonl")
    rows = [talk(PROMPT, "An answer in words of its own."), talk("And why is that so?", "Tides.")]
    first = made(base, tmp_path, rows, asked)
    assert first.manifest["inputs"][-1]["path"] == "exam.jsonl"
    assert first.manifest["inputs"][-1]["side"] == "exam"
    assert learnt(first) == {2}
    assert not made(base, tmp_path, rows, asked).fresh
    exam(asked, {"prompt": "And why is that so?", "reference": "Who knows."})
    changed = made(base, tmp_path, rows, asked)
    assert changed.fresh
    assert learnt(changed) == {1}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = made(base, elsewhere, rows, exam(elsewhere / "exam.jsonl"))
    assert again.digest == first.digest
    for name in ("train.parquet", "manifest.json", "report.md", "examples/leakage.jsonl"):
        assert (again.folder / name).read_bytes() == (first.folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (None, InputError, "No such file"),
        (b"\xff\xfe", InputError, "cannot be read"),
        (b'{"prompt": "a", "refrence": "b"}\n', SpecError, r"exam\.jsonl:1.*refrence"),
    ],
)
def test_an_exam_that_cannot_be_read_is_told_before_anything_is_prepared(
    base: Path, tmp_path: Path, content: bytes | None, error: type[InputError], said: str
) -> None:
    asked = tmp_path / "exam.jsonl"
    if content is not None:
        asked.write_bytes(content)
    with pytest.raises(error, match=said) as failed:
        made(base, tmp_path, [], asked)
    assert failed.value.exit_code == 2
    if content is None:
        assert failed.value.path == "eval[0].set"
    assert not (tmp_path / "data").exists()


def test_of_an_exam_in_turns_all_turns_are_compared(tmp_path: Path) -> None:
    turns = talk("Is the ferry in?", "Not yet.", "Why?", "Low water.")
    row = Row("a:1", "chat", (Part("user", "Why?"), Part("assistant", "Low water.")))
    assert told(row, turns, folder=tmp_path) == ""
    before = (Part("user", "is the FERRY in?"), Part("assistant", "Not yet."))
    (tmp_path / "index.sqlite").unlink()
    longer = replace(row, parts=(Part("system", "Be kind."), *before, *row.parts))
    assert told(longer, turns, folder=tmp_path) == "asked by an exam (exam.jsonl:1)"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("user: Who is there? assistant: Me. user: And? assistant: You.", "asked by an exam"),
        ("user: Hm. assistant: And? user: Who is there? assistant: Me.", "asked by an exam"),
        ("user: Is it? system: Hm. assistant: No. user: Why? assistant: So.", "asked by an exam"),
        ("user: What is said at a door? assistant: Who is there?", ""),
        ("system: Who is there? user: What is asked? assistant: Something.", ""),
        ("user: Is it? assistant: Yes. user: Why? assistant: Tides.", ""),
    ],
)
def test_of_a_conversation_what_the_user_asks_is_compared(
    tmp_path: Path, said: str, why: str
) -> None:
    items = ({"prompt": "Who is there?", "label": "me"}, talk("Is it?", "No.", "Why?", "Tides."))
    found = re.findall(r"(\w+): (.+?)(?= \w+: |$)", said)
    row = Row("a:1", "chat", tuple(Part(role, text) for role, text in found))
    assert told(row, *items, folder=tmp_path).partition(" (")[0] == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"One. {PROMPT} Two.", "says what an exam asks"),
        (f"{PROMPT}\n{ANSWER}", "asked by an exam"),
        ("2 + 2 =\n4", "asked by an exam"),
        ("He said that 2 + 2 = 5, and left.", ""),
        (ANSWER, ""),
        ("x" * WITHIN, ""),
    ],
)
def test_a_text_is_compared_with_question_and_answer(tmp_path: Path, text: str, why: str) -> None:
    items = ({"prompt": PROMPT, "reference": ANSWER}, {"prompt": "2 + 2 =", "reference": "4"})
    row = Row("a:1", "text", (Part("text", text),))
    assert told(row, *items, folder=tmp_path, near=None).partition(" (")[0] == why


def test_an_exam_is_mended_as_rows_are(base: Path, tmp_path: Path) -> None:
    broken = "Où est le café trÃ¨s bon de la ville?"
    asked = exam(tmp_path / "exam.jsonl", {"prompt": broken, "reference": "Là"})
    assert learnt(made(base, tmp_path, [talk(broken, "Ici.")], asked, duplicates=OFF)) == set()


def test_a_packed_exam_is_read_as_any_other(tmp_path: Path) -> None:
    plain = exam(tmp_path / "exam.jsonl")
    packed = tmp_path / "exam.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    first, second = read_exams({"eval[0].set": plain, "eval[1].set": packed}, print)
    assert first.items == second.items
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_exams({"eval[0].set": packed}, print)


def test_an_exam_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import evaluate

    def changing(path: Path) -> ItemSet:
        items = read_set(path)
        exam(path, {"prompt": "Another question?", "label": "yes"})
        return items

    read_set = evaluate.read_set
    monkeypatch.setattr(evaluate, "read_set", changing)
    with pytest.raises(InputError, match="has changed while it was read") as failed:
        read_exams({"eval[0].set": exam(tmp_path / "exam.jsonl")}, print)
    assert failed.value.path == "eval[0].set"


def test_exams_of_one_name_are_told_apart(tmp_path: Path) -> None:
    places = {}
    for at, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        places[f"eval[{at}].set"] = exam(tmp_path / name / "exam.jsonl")
    found: tuple[Exam, ...] = read_exams(places, print)
    assert [one.label for one in found] == ["a/exam.jsonl", "b/exam.jsonl"]


def test_the_example_keeps_all_that_it_kept_before(base: Path, tmp_path: Path) -> None:
    given = settings((EXAMPLE / "data/train.jsonl").absolute(), split=0.05)
    before = prepared(given, base, tmp_path / "data")
    exams = {"eval[0].set": (EXAMPLE / "data/exam.jsonl").absolute()}
    after = prepared(replace(given, exams=exams), base, tmp_path / "data")
    assert after.digest != before.digest
    assert step(after)["before"] > 250
    assert step(after)["removed"] == step(before)["removed"]
