"""When an answer counts as a reference, and which label it names."""

from __future__ import annotations

import pytest

from llmops.evaluating import is_exact, named_label, split_prompt


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        (" Paris.\n", True),
        ("PARIS", True),
        ("\uff30aris", True),
        ("It is Paris", False),
        ("", False),
    ],
)
def test_exact_match_forgives_spelling_and_nothing_else(answer: str, same: bool) -> None:
    assert is_exact(answer, ["Lutetia", "Paris"]) is same


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("positive", "positive"),
        ("Positive!", "positive"),
        ("negative, since it bores", "negative"),
        ("not sure, but rather negative", "negative"),
        ("neither positive nor negative", ""),
        ("positively so", ""),
        ("very negative indeed", "very negative"),
        ("", ""),
    ],
)
def test_a_label_is_named_by_whole_words(answer: str, label: str) -> None:
    assert named_label(answer, ["positive", "negative", "very negative"]) == label


def test_white_space_at_the_border_is_the_references() -> None:
    assert split_prompt("The capital is ", "Paris") == ("The capital is", " Paris")
    assert split_prompt("  ", "Paris") == ("  ", "Paris")
