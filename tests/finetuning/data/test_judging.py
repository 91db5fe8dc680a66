"""What looks at one row at a time: it takes what is wrong, and leaves what is only unusual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from serving.finetune.data import judging
from serving.finetune.data.judging import Gone, Mended
from serving.finetune.data.rows import Part, Row

PROSE = (
    "The ferry leaves at nine, so we should be at the quay before half past eight. Bring a coat:"
    " the wind on the upper deck is colder than it looks from the shore, and there is no cabin."
)


def row(*texts: str, role: str = "assistant") -> Row:
    return Row("a:1", "chat", tuple(Part(role, text) for text in texts))


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("trÃ¨s bon cafÃ©", "très bon café"),
        ("itâ€™s fine", "it\u2019s fine"),
        ("Привет".encode().decode("latin-1"), "Привет"),
        ("one\r\ntwo", "one\ntwo"),
        ("red \x1b[31mtext\x1b[0m", "red text"),
    ],
)
def test_broken_text_is_mended(broken: str, whole: str) -> None:
    found = judging.mend(row(broken))
    assert isinstance(found, Mended)
    assert found.row.parts[0].text == whole


@pytest.mark.parametrize(
    "text",
    [
        "“curly”, ﬁ, \uff57\uff49\uff44\uff45, &lt;b&gt;",
        "def f():\n\treturn {'a': 1}\n",
        "日本語のテキスト",
        "ß ñ ç 🙂",
    ],
)
def test_unusual_text_is_left_alone(text: str) -> None:
    given_row = row(text)
    assert judging.mend(given_row) is given_row


def test_what_is_lost_cannot_be_mended() -> None:
    assert judging.mend(row("a\ufffdb")) == Gone("characters are lost")
    assert judging.mend(row("\x1b[0m")) == Gone("nothing is left of a text")


@given(some.text(max_size=200))
def test_mended_text_needs_no_mending(text: str) -> None:
    found = judging.mend(row(text))
    if isinstance(found, Mended):
        assert judging.mend(found.row) is found.row


def test_other_languages_go_and_what_is_unclear_stays() -> None:
    judge = judging.speaks(["en"])
    for stays in (
        PROSE,
        "ok",
        "print(x)",
        "0a1f 33e9 c0de 77aa 91bd 5f5f eeee",
        "1234567890 1234567890 1234567890",
    ):
        kept = row(stays)
        assert judge(kept) is kept
    german = "Die Fähre fährt um neun Uhr ab, deshalb sollten wir früher am Hafen sein."
    assert judge(row(german)) == Gone("language de")
    assert judging.speaks(["en", "de"])(row(german)) == row(german)


def test_repetition_is_the_share_that_occurred_before() -> None:
    assert judging.repetition(PROSE) == 0.0
    assert judging.repetition("no " * 100) > 0.9
    assert judging.repetition("!" * 200) > 0.9
    assert 0.4 < judging.repetition(PROSE * 2) < 0.5
    assert judging.repetition("ha ha ha ha") == 0.0, "too short to repeat itself"


@given(some.text(max_size=300))
def test_repetition_is_a_share(text: str) -> None:
    assert 0.0 <= judging.repetition(text) < 1.0


@given(some.text(alphabet="abcdefgh ", min_size=60, max_size=200), some.integers(3, 6))
def test_a_text_many_times_over_repeats_itself(text: str, times: int) -> None:
    assert judging.repetition((text + "|") * times) >= 1 - 1.25 / times


def test_each_text_of_a_row_is_judged_by_itself() -> None:
    judge = judging.repeats_at_most(0.5)
    quoted = row(PROSE, PROSE, PROSE)
    assert judge(quoted) is quoted
    gone = judge(row(PROSE, "no " * 100))
    assert isinstance(gone, Gone)
    assert gone.why.startswith("repeats itself (9")


def test_signs_that_steer_the_model_go_except_in_plain_text() -> None:
    judge = judging.says_none_of(["<|im_end|>", "</s>"])
    assert judge(row("a </s> b")) == Gone("says </s>")
    plain = row("a </s> b", role="text")
    assert judge(plain) is plain
    code = row("<s> and </sub>")
    assert judge(code) is code
