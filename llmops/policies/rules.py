"""Rules of one's own: CEL expressions over a deployment and its plan, bounded and never ignored.

CEL (cel.dev/specification) is the language that Kubernetes checks objects with. It has no loops but
over lists that are there, no side effects and no way out; what its work may come to is bounded
before (`expressions`). Regular expressions are those of the library, Rust's, which take a time that
is linear in the text. A rule that is not true blocks, or warns where it says so. One that cannot be
evaluated blocks, with the reason: a rule that silently does not hold is worse than none. The
library is imported when there is a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from llmops.policies.expressions import UNKNOWN, cost, extent
from llmops.policies.findings import Finding, Severity
from llmops.policies.model import Policy, Rule

if TYPE_CHECKING:
    import cel

VARIABLES = ("deployment", "plan")

_BOUND = re.compile(r"\.\s*[A-Za-z_]+\s*\(\s*([A-Za-z_]\w*)\s*,", re.ASCII)
_SYNTAX = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")

FAILURES = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What the library raises when an expression cannot be evaluated."""


def check_rule(text: str) -> str | None:
    """What is wrong with an expression, before anything is known to evaluate it over.

    None when it is CEL, names nothing but `deployment` and `plan`, and stays within its bounds as
    long as no list has more than thirty elements.
    """
    try:
        program = _compiled(text)
        cost(text, dict.fromkeys(VARIABLES, UNKNOWN))
    except ValueError as error:
        return _first_line(error)
    unknown = sorted(set(_free(program, text)) - set(VARIABLES))
    if unknown:
        return f"it names {unknown[0]}, and there are {' and '.join(VARIABLES)}"
    return None


def check_rules(
    policy: Policy, deployment: Mapping[str, Any], plan: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Findings of a policy's own rules.

    Args:
        policy: Whose rules.
        deployment: The deployment as plain data.
        plan: The plan as plain data; a rule that looks at it is not checked without one.
    """
    for rule in policy.rules:
        yield from _of_rule(policy, rule, {"deployment": deployment, "plan": plan})


def _of_rule(policy: Policy, rule: Rule, context: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        program = _compiled(rule.that)
        if context["plan"] is None and "plan" in program.variables():
            yield _finding(
                policy, rule, Severity.INFO, "the rule looks at the plan, and there is none yet",
                "not checked", "llmops plan checks it",
            )  # fmt: skip
            return
        cost(rule.that, {name: extent(context[name]) for name in VARIABLES})
        kept = program.execute(dict(context))
    except FAILURES as error:
        yield _broken(policy, rule, _first_line(error))
        return
    if not isinstance(kept, bool):
        yield _broken(policy, rule, f"it gives {type(kept).__name__}, and not true or false")
    elif not kept:
        yield _finding(policy, rule, Severity(rule.severity), rule.message, rule.that, rule.fix)


def _broken(policy: Policy, rule: Rule, why: str) -> Finding:
    """Whatever its severity: nobody knows whether it is kept."""
    return _finding(
        policy, rule, Severity.BLOCK, f"the rule could not be checked: {why}", rule.that,
        f"mend rules.{rule.id} of the policy {policy.name}",
    )  # fmt: skip


def _finding(
    policy: Policy, rule: Rule, severity: Severity, message: str, proof: str, fix: str
) -> Finding:
    return Finding(
        f"rules.{rule.id}", severity, rule.path, message, proof, fix, policy.name, policy.layer
    )


def _compiled(text: str) -> cel.Program:
    import cel

    try:
        return cel.compile(text)
    except FAILURES as error:
        found = _SYNTAX.search(str(error))
        where = f"line {found[1]}, column {found[2]}: {found[3]}" if found else _first_line(error)
        raise ValueError(f"it is not CEL: {where.partition(' expecting ')[0][:200]}") from error


def _free(program: cel.Program, text: str) -> Iterator[str]:
    """Variables that no loop of the expression binds.

    The library lists a loop's own variables too; a name that is bound anywhere is left to fail when
    the rule is evaluated.
    """
    bound = set(_BOUND.findall(text))
    yield from (name for name in program.variables() if name not in bound)


def _first_line(error: Exception) -> str:
    """What an error says, in one line, and without the library's own words around it."""
    if isinstance(error, KeyError):
        return f"there is no '{str(error.args[0]).strip(chr(39)) if error.args else ''}'"
    return " ".join(str(error).split("\n| ")[0].split())[:300]
