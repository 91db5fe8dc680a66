"""A prepared folder: whole or not there, the same bytes for the same input, and never twice."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import BusyError, InputError, RefusedError, TargetError
from serving.finetune.data import writing
from serving.finetune.data.folder import held
from tests.finetuning.data.making import lines, prepared, settings, table, talk

ROWS = [
    talk(f"What is item {at * 7919}?", f"It is number {at * at}, of course.") for at in range(60)
]
OFF = {"near": "off"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return lines(tmp_path / "rows.jsonl", ROWS)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_the_same_input_gives_the_same_bytes(base: Path, rows: Path, tmp_path: Path) -> None:
    asked = settings(rows, split=0.2, duplicates=OFF)
    one = prepared(asked, base, tmp_path / "one")
    other_rows = tmp_path / "elsewhere" / "rows.jsonl"
    other_rows.parent.mkdir()
    other_rows.write_bytes(rows.read_bytes())
    other = prepared(settings(other_rows, split=0.2, duplicates=OFF), base, tmp_path / "other")
    assert digests(tmp_path / "one") == digests(tmp_path / "other")
    assert one.digest == other.digest == one.folder.name
    assert {"train.parquet", "eval.parquet", "manifest.json", "report.md", "report.html"} <= {
        path.name for path in one.folder.iterdir()
    }


def test_the_second_time_nothing_is_done(base: Path, rows: Path, tmp_path: Path) -> None:
    asked = settings(rows, split=0.2)
    first = prepared(asked, base, tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    told: list[str] = []
    second = prepared(asked, base, tmp_path / "data", told)
    assert (first.fresh, second.fresh) == (True, False)
    assert second.manifest == first.manifest
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    assert not any(text.startswith("preparing") for text in told)


@pytest.mark.parametrize("name", ["train.parquet", "eval.parquet", "manifest.json"])
def test_what_is_damaged_is_prepared_anew(
    base: Path, rows: Path, tmp_path: Path, name: str
) -> None:
    asked = settings(rows, split=0.2)
    first = prepared(asked, base, tmp_path / "data")
    whole = digests(first.folder)
    damaged = bytearray((first.folder / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (first.folder / name).write_bytes(damaged)
    if name == "manifest.json":
        (first.folder / name).write_bytes(damaged[:100])
    assert prepared(asked, base, tmp_path / "data").fresh
    assert digests(first.folder) == whole


@pytest.mark.parametrize(
    "other",
    [
        {"split": 0.3},
        {"split": 0.2, "filters": {"min_tokens": 3}},
        {"split": 0.2, "learn": "all"},
    ],
)
def test_other_settings_are_another_folder(
    base: Path, rows: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    one = prepared(settings(rows, split=0.2), base, tmp_path / "data")
    two = prepared(settings(rows, **other), base, tmp_path / "data")
    assert one.folder != two.folder
    assert one.folder.is_dir()


def test_which_rows_are_held_out_follows_from_their_text(
    base: Path, rows: Path, tmp_path: Path
) -> None:
    def held_out(path: Path) -> set[tuple[int, ...]]:
        made = prepared(settings(path, split=0.3, duplicates=OFF), base, tmp_path / "data")
        sides = [
            {tuple(row["input_ids"]) for row in table(made.folder / f"{side}.parquet")}
            for side in ("train", "eval")
        ]
        assert not sides[0] & sides[1]
        assert len(sides[0] | sides[1]) == len(ROWS)
        return sides[1]

    first = held_out(rows)
    assert 5 <= len(first) <= 32
    turned = lines(tmp_path / "turned.jsonl", [*ROWS[30:], *ROWS[:30], *ROWS[:5]])
    assert held_out(turned) == first


def test_duplicates_are_never_on_both_sides_even_when_they_are_kept(
    base: Path, tmp_path: Path
) -> None:
    path = lines(tmp_path / "rows.jsonl", ROWS * 3)
    asked = settings(path, split=0.3, duplicates={"exact": False, "near": "off"})
    made = prepared(asked, base, tmp_path / "data")
    sides = [
        [tuple(row["input_ids"]) for row in table(made.folder / f"{side}.parquet")]
        for side in ("train", "eval")
    ]
    assert not set(sides[0]) & set(sides[1])
    assert sum(len(side) for side in sides) == 3 * len(ROWS)


def test_what_is_held_out_leaves_what_is_learnt_or_fails_or_stays(
    base: Path, rows: Path, tmp_path: Path
) -> None:
    exam = lines(tmp_path / "exam.jsonl", [ROWS[3], talk("Other?", "Entirely different text.")])
    made = prepared(settings(rows, held=exam), base, tmp_path / "data")
    assert "rows.jsonl:4" not in {row["source"] for row in table(made.folder / "train.parquet")}
    assert "leaks" not in json.dumps(dict(made.manifest))
    with pytest.raises(RefusedError, match=r"rows\.jsonl:4: also held out \(exam\.jsonl:1\)"):
        prepared(settings(rows, held=exam, leakage="fail"), base, tmp_path / "data")
    kept = prepared(settings(rows, held=exam, leakage="keep"), base, tmp_path / "data")
    assert "rows.jsonl:4" in {row["source"] for row in table(kept.folder / "train.parquet")}


def test_bad_rows_fail_with_the_first_twenty_named_or_are_skipped_and_listed(
    base: Path, rows: Path, tmp_path: Path
) -> None:
    with rows.open("a") as file:
        file.write('{"messages": 1}\n' * 30 + '{"broken": \n')
    with pytest.raises(InputError) as failed:
        prepared(settings(rows), base, tmp_path / "data")
    said = str(failed.value)
    assert said.startswith("31 of 91 rows are bad:\n  rows.jsonl:61: column 'messages'")
    assert said.endswith("… and 11 more")
    assert failed.value.exit_code == 2
    made = prepared(settings(rows, on_bad="skip"), base, tmp_path / "data")
    assert made.manifest["steps"][0]["removed"] == 31
    assert len(made.manifest["bad"]) == 20
    assert "rows.jsonl:61" in (made.folder / "report.md").read_text()


def test_nothing_left_to_learn_from_is_an_error_that_says_what_took_it(
    base: Path, rows: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no row is left to learn from.*60 by 'tokens'"):
        prepared(settings(rows, filters={"min_tokens": 1000}), base, tmp_path / "data")
    assert list((tmp_path / "data").glob("*")) == [tmp_path / "data" / ".lock"]


@pytest.mark.parametrize("form", ["text", "instruction", "preference"])
def test_every_format_becomes_what_training_reads(base: Path, tmp_path: Path, form: str) -> None:
    value = {
        "text": "A text that is all learnt, word for word, to its end. " * 2,
        "prompt": "What is asked?",
        "completion": "What is answered.",
        "chosen": "A good answer.",
        "rejected": "A bad one.",
    }
    path = lines(tmp_path / "rows.jsonl", [value])
    made = prepared(settings(path, form=form, duplicates=OFF), base, tmp_path / "data")
    (row,) = table(made.folder / "train.parquet")
    pairs = form == "preference"
    names = ["chosen_ids", "rejected_ids"] if pairs else ["input_ids"]
    assert set(row) == {
        *names, "length", "source",
        *(["chosen_mask", "rejected_mask"] if pairs else ["loss_mask"]),
    }  # fmt: skip
    assert row["length"] == max(len(row[name]) for name in names)
    assert made.manifest["kind"] == form
    assert made.manifest["train"]["tokens"] == sum(len(row[n]) for n in names)


def test_long_texts_are_cut_into_pieces_and_long_answers_at_their_end(
    base: Path, tmp_path: Path
) -> None:
    import itertools

    text = " ".join(f"word{at}" for at in range(200))
    cut = {"too_long": "cut", "max_tokens": 100}
    path = lines(tmp_path / "text.jsonl", [{"text": text}])
    made = prepared(settings(path, form="text", filters=cut), base, tmp_path / "data")
    pieces = table(made.folder / "train.parquet")
    assert {row["source"] for row in pieces} == {"text.jsonl:1"}
    whole = list(itertools.chain.from_iterable(row["input_ids"] for row in pieces))
    assert len(whole) == len(text) + 1
    talks = lines(tmp_path / "talk.jsonl", [talk("Q?", text), talk(text, "A.")])
    made = prepared(settings(talks, filters=cut), base, tmp_path / "data")
    (row,) = table(made.folder / "train.parquet")
    assert (row["source"], row["length"]) == ("talk.jsonl:1", 100)


def test_two_at_once_and_one_is_told(base: Path, rows: Path, tmp_path: Path) -> None:
    with held(tmp_path / "data"), pytest.raises(BusyError, match="another llmops prepares data"):
        prepared(settings(rows), base, tmp_path / "data")
    assert prepared(settings(rows), base, tmp_path / "data").fresh


def test_a_full_disk_says_so_and_leaves_nothing(
    base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, "add", full)
        with pytest.raises(TargetError, match="the disk is full"):
            prepared(settings(rows), base, tmp_path / "data")
    assert list((tmp_path / "data").glob("*")) == [tmp_path / "data" / ".lock"]
    assert prepared(settings(rows), base, tmp_path / "data").fresh


KILLED = textwrap.dedent(
    """
    import os, sys
    from importlib import import_module
    from pathlib import Path
    from tests.finetuning.data.making import prepared, settings

    rows, base, folder, module, name, count = sys.argv[1:7]
    owner, _, attribute = name.rpartition(".")
    owner = getattr(import_module(module), owner) if owner else import_module(module)
    real, left = getattr(owner, attribute), int(count)

    def struck(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            print("struck", flush=True)
            os.kill(os.getpid(), 9)
        return real(*arguments, **options)

    setattr(owner, attribute, struck)
    prepared(settings(Path(rows), split=0.2), Path(base), Path(folder))
    """
)


@pytest.mark.parametrize(
    ("module", "name", "count"),
    [
        ("serving.finetune.data.scratch", "Scratch.add", 20),
        ("serving.finetune.data.writing", "Writer.add", 10),
        ("serving.finetune.data.report", "write", 0),
        ("pathlib", "Path.rename", 0),
    ],
)
def test_killed_at_any_moment_the_next_one_finishes(
    base: Path, rows: Path, tmp_path: Path, module: str, name: str, count: int
) -> None:
    folder = tmp_path / "data"
    command = [sys.executable, "-c", KILLED, str(rows), str(base), str(folder), module, name]
    done = subprocess.run(
        [*command, str(count)], capture_output=True, text=True, timeout=280, cwd=Path.cwd()
    )
    assert done.returncode == -9, done.stderr
    assert "struck" in done.stdout
    assert list(folder.glob("*.part")), "the killed one left nothing: the fault did not land"
    made = prepared(settings(rows, split=0.2), base, folder)
    assert made.fresh
    assert sorted(path.name for path in folder.iterdir()) == sorted([".lock", made.digest])
    whole = prepared(settings(rows, split=0.2), base, tmp_path / "whole")
    assert digests(made.folder) == digests(whole.folder)
