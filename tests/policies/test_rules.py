"""Rules in CEL: bounded before they run, and never ignored when they cannot be evaluated."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.policies.expressions import MOST_STEPS, TooMuchError, cost, extent
from llmops.policies.findings import Severity
from llmops.policies.model import Policy
from llmops.policies.rules import check_rule, check_rules
from tests.effort import effort

GOOD = [
    'deployment.engine.dtype != "float16"',
    "deployment.engine.dtype != 'float16' // a comment with all( and map(",
    'deployment.name == "a.all(x, y.all(z, x))" || deployment.name == "\\"" || true',
    'has(deployment.image) && deployment.image.matches(r"^registry\\.example/\\w+@[0-9a-f]{64}$")',
    'deployment.security.keys.all(k, k.startsWith("team-"))',
    "deployment.security.keys.exists(a, deployment.security.keys.exists_one(b, a == b))",
    'plan == null || plan.layout.device in ["gpu", "cpu"]',
    'size(deployment.engine.args) < 3 && !("seed" in deployment.engine.args)',
    'deployment.security.keys.filter(k, k != "x").map(k, size(k)).all(n, n > 2)',
    "{'a': [1, 2]}['a'].all(n, n > 0) ? deployment.name != '' : false",
    'duration("1h") < duration("2h") && timestamp("2026-01-01T00:00:00Z").getFullYear() == 2026',
]

BAD = {
    "1 +": "not CEL: line 1, column 4",
    "deployment.": "not CEL",
    "/* x */ true": "not CEL",
    "service.name == 'x'": "it names service",
    "deployment.a.all(x, deployment.a.all(y, deployment.a.all(z, x == y || y == z)))": "steps",
    "lists.range(1000000).size() > 1": "calls range()",
    "cel.bind(x, 1, x == 1)": "calls bind()",
    "deployment.name.matches(deployment.image)": "must be written out",
    'deployment.name.matches("(((a{1,90}){1,90}){1,90})")': "steps",
    'deployment.name.matches("a\\x7b1,90\\x7d")': "escaped",
    f'deployment.name.matches("{"a" * 300}")': "pattern",
    "[deployment].map(x, [x, x])" + ".map(x, [x, x])" * 30 + ".size() > 0": "may",
    '["aaaaaaaa"]' + ".map(x, x + x)" * 60 + ".size() > 0": "may",
    "[1].all(a, " * 40 + "true" + ")" * 40: "nested",
    "(" * 80 + "true" + ")" * 80: "nested",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_a_rule_may_say(text: str) -> None:
    assert check_rule(text) is None


@pytest.mark.parametrize(("text", "why"), BAD.items(), ids=[text[:40] for text in BAD])
def test_what_a_rule_may_not_say_is_told_at_once(text: str, why: str) -> None:
    with effort() as spent:
        wrong = check_rule(text)
    assert wrong is not None
    assert why in wrong
    assert "\n" not in wrong
    assert spent.seconds < 2


def of(text: str, severity: str = "block") -> Policy:
    rule = {"id": "own", "that": text, "message": "not kept", "severity": severity}
    return Policy.model_validate({"kind": "Policy", "name": "base", "rules": [rule]})


def found(text: str, plan: Any = None, severity: str = "block") -> list[tuple[Severity, str]]:
    deployment = {"name": "chat", "long": list(range(500)), "engine": {"args": {"seed": 1}}}
    return [(f.severity, f.message) for f in check_rules(of(text, severity), deployment, plan)]


def test_a_rule_that_is_true_says_nothing() -> None:
    assert found('deployment.name == "chat" && deployment.engine.args.seed == 1') == []


def test_a_rule_that_is_false_has_its_own_severity() -> None:
    assert found("false") == [(Severity.BLOCK, "not kept")]
    assert found("false", severity="warn") == [(Severity.WARN, "not kept")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("deployment.absent == 1", "there is no 'absent'"),
        ("1 / 0 == 1", "division by zero"),
        ("deployment.name", "gives str"),
        ("1", "gives int"),
        ("deployment.name + 1 == 'x'", "could not be checked"),
        ("nobody.name == 'x'", "nobody"),
        ("true &&", "not CEL"),
        ("deployment.name.matches('(')", "regex"),
        ("deployment.long.filter(x, true).size() == deployment.long.map(x, x).size()", "steps"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_blocks_and_says_why(text: str, why: str) -> None:
    for severity in ("block", "warn"):
        [(level, message)] = found(text, severity=severity)
        assert level is Severity.BLOCK
        assert why in message


def test_a_rule_over_the_plan_is_not_checked_without_one() -> None:
    text = "plan.layout.tensor == 2"
    assert found(text)[0][0] is Severity.INFO
    assert found(text, {"layout": {"tensor": 2}}) == []
    assert found(text, {"layout": {"tensor": 1}}) == [(Severity.BLOCK, "not kept")]


def test_a_rule_cannot_change_what_it_looks_at() -> None:
    deployment = {"name": "chat", "keys": ["a"]}
    list(check_rules(of("deployment.keys.map(k, k + k) == ['aa']"), deployment, None))
    assert deployment == {"name": "chat", "keys": ["a"]}


WORDS = st.sampled_from(["d.a", "d.b", "d.n", "x", "y", "'ab'", "1", "[1, 2]", "[d.a, d.b]"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda t: f"({t[0]} + {t[1]})"),
        two.map(lambda t: f"[{t[0]}, {t[1]}]"),
        two.map(lambda t: f"{t[0]}.map(x, {t[1]})"),
        two.map(lambda t: f"{t[0]}.filter(y, {t[1]} == y)"),
        two.map(lambda t: f"{t[0]}.all(x, {t[1]} != x)"),
        inner.map(lambda t: f"size({t})"),
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(WORDS, _grown, max_leaves=12))
def test_what_is_within_the_bound_is_done_in_a_moment(text: str) -> None:
    """A step is worth some microseconds at most, so the bound is a time."""
    import cel

    context = {"d": {"a": list(range(60)), "b": [["q" * 200] * 40] * 40, "n": 3}, "x": 1, "y": "s"}
    try:
        cost(text, {name: extent(value) for name, value in context.items()})
        program = cel.compile(text)
    except (TooMuchError, ValueError):
        return
    wrong = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
    with effort() as spent, contextlib.suppress(*wrong):
        program.execute(context)
    assert spent.seconds < 2


def test_steps_are_as_many_as_the_loops_make() -> None:
    values = {"a": extent(list(range(100)))}
    once, twice = (cost(f"a.all(x, {body})", values) for body in ("true", "a.all(y, true)"))
    assert 100 <= once <= 1_000
    assert 10_000 <= twice <= MOST_STEPS
    with pytest.raises(TooMuchError):
        cost("a.all(x, a.all(y, a.all(z, true)))", values)


PIECES = [
    "a", "x", "in", " ", "\n", "(", ")", "[", "]", "{", "}", ",", ".", "?", ":", "+", "&&", "//",
    '"', ".all(x, ", ".map(x, ", ".matches(", "size(", "'t'", "r'\\d{9}'", "1", "é",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_whatever_is_written_is_reckoned_or_refused(text: str) -> None:
    with contextlib.suppress(TooMuchError):
        assert 0 < cost(text, {"a": extent([1, 2, 3])}) <= MOST_STEPS
    assert check_rule(text) is None or isinstance(check_rule(text), str)
