"""The error tree: exit codes, where a mistake is shown, and that a key is never printed."""

from __future__ import annotations

import pytest

from llmops import errors
from llmops.errors import (
    BusyError,
    InputError,
    LlmopsError,
    ModelError,
    Problem,
    RefusedError,
    SpecError,
    TargetError,
    UnreachableError,
)
from llmops.events import KeyMade

CODES = [
    (LlmopsError("x"), 1),
    (InputError("x"), 2),
    (SpecError(()), 2),
    (ModelError("x"), 2),
    (RefusedError("x"), 3),
    (BusyError("x"), 3),
    (TargetError("x", serving=True), 4),
    (TargetError("x"), 5),
    (UnreachableError("x", serving=True), 4),
    (UnreachableError("x"), 5),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_knows_its_exit_code(error: LlmopsError, code: int) -> None:
    assert error.exit_code == code


def test_every_error_of_the_tree_has_a_code_here() -> None:
    listed = {getattr(errors, name) for name in errors.__all__} - {Problem}
    assert {type(error) for error, _ in CODES} == listed


def test_an_error_is_about_a_field_or_about_none() -> None:
    assert InputError("x").path == ""
    assert InputError("x", path="engine.args.seed").path == "engine.args.seed"
    refused = RefusedError("x", hint="y", path="model.context", changes={"model.context": 16})
    assert (refused.path, refused.hint, refused.changes) == (
        "model.context", "y", {"model.context": 16},
    )  # fmt: skip
    assert RefusedError("x").changes == {}


def test_a_problem_is_printed_with_its_place_and_what_to_do() -> None:
    problem = Problem("llmops.yaml", 3, 8, "model.context", "expected 16 or more, found 3", "no")
    assert str(problem) == (
        "llmops.yaml:3:8: model.context: expected 16 or more, found 3\nhint: no"
    )
    assert str(Problem("f", 1, 1, "", "empty")) == "f:1:1: empty"
    assert str(SpecError((problem, problem))).count("llmops.yaml:3:8") == 2


def test_an_event_of_a_new_key_does_not_print_it() -> None:
    made = KeyMade("chat", "default", "the-key")
    assert "the-key" not in f"{made!r} {made}"
    assert made.key == "the-key"
