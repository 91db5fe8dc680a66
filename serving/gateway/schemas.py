"""How much an answer may be constrained: JSON schemas, patterns, grammars. Pure.

The engine compiles these, and some that are short take it minutes: then everybody's constrained
requests wait. The bounds follow what xgrammar 0.2 took for each on one core with a vocabulary of
49,000 tokens (vLLM 0.32's own bounds are the nesting of a schema and 5 s for one pattern):

- a counted repetition of text, such as `maxLength` or `[^x]{1,300}`: 8 ms for each time it can
  happen, up to 255 times (2.1 s), once per distinct count; of a group with counts inside, such as
  `([a-z]{1,100}[0-9]{1,100}){1,100}`, 8 s. Hence REPETITIONS: half a minute at the very worst.
- `minProperties` or `maxProperties` beside n optional properties: grows with n to the third; 0.2 s
  for 50, 2 s for 100, 54 s for 300. Hence COUNTED_PROPERTIES.
- 500 patterns: 6 s. Hence PATTERNS.
- `patternProperties`: where neither xgrammar nor guidance takes the schema, vLLM falls back on
  outlines, which turns patterns into automata that double with each character (`.*a.{20}`), in a
  thread that goes on after vLLM has given it up. So these are refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

from serving.gateway.answers import SHOWN, Refusal, bad
from serving.gateway.messages import MAX_DEPTH, too_deep

NODES = 2000
"""Values in one schema."""
TEXT = 131072
"""Characters in one schema, its keys and strings together: 0.4 s as one constant."""
PATTERNS, PATTERN = 32, 512
"""Patterns in one schema, and characters in one of them."""
GRAMMAR = 8192
"""Characters of a grammar."""
REPETITIONS, ONE_REPETITION = 4096, 256
"""Counted repetitions of text in one schema, each distinct one counted up to ONE_REPETITION."""
OF_GROUP = 10
"""How much more a repetition of a group counts."""
COUNTED_PROPERTIES = 64
"""Properties of all objects that bound their number."""
MAX_TOOLS = 128
"""Of OpenAI's API."""

STRUCTURED = frozenset(
    "json regex choice grammar json_object structural_tag disable_any_whitespace"
    " disable_additional_properties".split()
)
"""Ways of vLLM's `structured_outputs`, by its names."""
NESTED_JSON = frozenset({"json", "structural_tag"})
"""Those that may hold a schema as text."""
REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
BRACES = re.compile(r"(\)?)\{\s*+(\d*+)\s*+(?:,\s*+(\d*+)\s*+)?\}")
"""Possessive, so that a run of blanks is gone through once: otherwise 8 kB of them take hours."""


def check(field: str, value: Any) -> None:
    """Refuse a constraint that would take the engine too long, or that reaches out.

    Args:
        field: `response_format`, `structured_outputs` or `tools`.
        value: What the request holds there.

    Raises:
        Refusal: Naming the field, and in its message the bound.
    """
    if field == "tools" and len(value) > MAX_TOOLS:
        raise bad(f"'tools' takes at most {MAX_TOOLS} entries", field)
    if field == "structured_outputs":
        value = _unfolded(value)
    _Walk(field).through(value)


def _unfolded(value: dict[str, Any]) -> dict[str, Any]:
    field = "structured_outputs"
    if unknown := value.keys() - STRUCTURED:
        raise bad(f"'{field}' has no '{min(unknown)[:SHOWN]}'", field)
    found = dict(value)
    for key in NESTED_JSON & value.keys():
        if isinstance(value[key], str):
            try:
                found[key] = json.loads(value[key])
            except (ValueError, RecursionError) as error:
                raise bad(f"'{field}.{key}' is not valid JSON", field) from error
    if too_deep(found):
        raise bad(f"'{field}' is nested deeper than {MAX_DEPTH}", field)
    return found


class _Walk:
    """One way through one constraint, counting as it goes."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._nodes = self._text = self._patterns = self._counted_properties = self._repeated = 0
        self._repetitions: set[tuple[str, int]] = set()

    def through(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            item = waiting.pop()
            self._nodes += 1
            if isinstance(item, dict):
                self._text += sum(len(key) for key in item)
                self._object(item)
                waiting.extend(item.values())
            elif isinstance(item, list):
                waiting.extend(item)
            elif isinstance(item, str):
                self._text += len(item)
                self._refuse_if("\0" in item, "must not contain a NUL character")
            elif type(item) is int:
                self._refuse_if(abs(item) >= 2**63, "holds a number beyond 64 bits")
            self._refuse_if(self._nodes > NODES, f"is larger than {NODES} values")
            self._refuse_if(self._text > TEXT, f"is longer than {TEXT} characters")

    def _object(self, item: dict[str, Any]) -> None:
        for name in REFERENCES & item.keys():
            target = item[name]
            outside = isinstance(target, str) and not target.startswith("#")
            self._refuse_if(outside, f"refers with '{name}' to another document")
        self._refuse_if(
            isinstance(item.get("patternProperties"), dict), "must not use 'patternProperties'"
        )
        for name in ("pattern", "regex"):
            if isinstance(pattern := item.get(name), str):
                self._pattern(pattern)
        if isinstance(grammar := item.get("grammar"), str):
            self._refuse_if(len(grammar) > GRAMMAR, f"has a grammar above {GRAMMAR} characters")
            self._braces(grammar)
        if item.keys() & {"minLength", "maxLength"}:
            low, high = item.get("minLength"), item.get("maxLength")
            self._repeat((f"{low}..{high}", 0), low if high is None else high)
        counted = item.keys() & {"minProperties", "maxProperties"}
        if counted and isinstance(properties := item.get("properties"), dict):
            self._counted_properties += len(properties)
            self._refuse_if(
                self._counted_properties > COUNTED_PROPERTIES,
                f"bounds the number of more than {COUNTED_PROPERTIES} properties",
            )

    def _pattern(self, pattern: str) -> None:
        self._patterns += 1
        self._refuse_if(self._patterns > PATTERNS, f"has more than {PATTERNS} patterns")
        self._refuse_if(len(pattern) > PATTERN, f"has a pattern above {PATTERN} characters")
        self._braces(pattern)

    def _braces(self, pattern: str) -> None:
        for index, match in enumerate(BRACES.finditer(pattern)):
            group, *counts = match.groups()
            times = max((int(text[:9]) for text in counts if text), default=1)
            self._repeat((pattern, index), times, OF_GROUP if group else 1)

    def _repeat(self, which: tuple[str, int], times: object, weight: int = 1) -> None:
        """Count a repetition once, however often it is written down; `which` is its text, and its
        place there."""
        if which in self._repetitions or not isinstance(times, (int, float)):
            return
        self._repetitions.add(which)
        self._repeated += weight * int(min(max(float(times), 0), ONE_REPETITION))
        self._refuse_if(self._repeated > REPETITIONS, f"counts more than {REPETITIONS} repetitions")

    def _refuse_if(self, wrong: bool, what: str) -> None:
        if wrong:
            raise _refusal(self._field, what)


def _refusal(field: str, what: str) -> Refusal:
    return bad(f"'{field}' {what}", field)
