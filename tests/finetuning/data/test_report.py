"""The report: it shows what was done, needs nothing beside itself, and no row breaks out of it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serving.finetune.data import Prepared, plots
from serving.finetune.data.plots import summary
from tests.finetuning.data.making import lines, prepared, settings, talk

SCRIPT = "<script>alert(1)</script> ``` | </pre>"


class Page(HTMLParser):
    """Tags, what they load, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("report")
    rows: list[object] = [talk(SCRIPT, f"Answer of the {at * 7919}th kind.") for at in range(30)]
    rows += [rows[2], talk("Long?", "yes " + "x1y2z3 ".join(map(str, range(400)))), {"no": 1}]
    rows += [talk("Mend?", "trÃ¨s bon cafÃ©")]
    asked = settings(
        lines(folder / "rows.jsonl", rows),
        split=0.2,
        on_bad="skip",
        duplicates={"near": "off"},
        filters={"max_tokens": 800, "repetition": 1.0},
    )
    return prepared(asked, base, folder / "data")


def test_the_page_is_whole_and_loads_nothing(made: Prepared) -> None:
    page = Page((made.folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2
    assert [one for one in page.loads if not one.startswith("#")] == []
    assert SCRIPT in page.text, "a row is shown as it is, not as a part of the page"


def test_the_page_is_light_and_dark(made: Prepared) -> None:
    text = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    for stand_in in plots.VARIABLES:
        assert stand_in not in text
    svg = text[text.index("<svg") : text.rindex("</svg>")]
    assert "#000000" not in svg, "a colour that is lost in the dark"


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_the_report_says_what_was_done(made: Prepared, name: str) -> None:
    text = (made.folder / name).read_text(encoding="utf-8")
    for said in (made.digest, "rows.jsonl:31", "rows.jsonl:33", "same (as rows.jsonl:3)",
                 "exact duplicates", "held out", "2,048 to 4,095", "très bon café"):  # fmt: skip
        assert said in text, said


def test_what_is_learnt_is_marked(made: Prepared) -> None:
    (rendered,) = [
        json.loads(line) for line in (made.folder / "examples/rendered.jsonl").open("rb")
    ]
    learnt = "".join(one["text"] for one in rendered["stretches"] if one["learnt"])
    whole = "".join(one["text"] for one in rendered["stretches"])
    assert learnt == "Answer of the 0th kind.<|im_end|>"
    assert whole.startswith("<|im_start|>user\n" + SCRIPT)
    markdown = (made.folder / "report.md").read_text(encoding="utf-8")
    assert f"    ⟦{learnt}⟧" in markdown


def test_examples_are_of_the_first_rows_and_few(made: Prepared) -> None:
    names = {path.name for path in (made.folder / "examples").iterdir()}
    assert names == {"broken-text.jsonl", "exact-duplicates.jsonl", "tokens.jsonl",
                     "rendered.jsonl"}  # fmt: skip
    (mended,) = [
        json.loads(line) for line in (made.folder / "examples/broken-text.jsonl").open("rb")
    ]
    assert mended["text"] == "Mend?\ntrÃ¨s bon cafÃ©"
    assert mended["after"] == "Mend?\ntrès bon café"


def test_lengths_are_summed_up() -> None:
    from collections import Counter

    assert summary(Counter()) == {}
    assert summary(Counter({1: 50, 2: 40, 3: 9, 100: 1})) == {
        "median": 1, "90 %": 2, "99 %": 3, "longest": 100,
    }  # fmt: skip
