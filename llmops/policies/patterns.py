"""Names that a policy allows, in which `*` stands for anything. Nothing else in one is special.

No regular expression is made of them: a few stars in one can take it years to say no.
"""

from __future__ import annotations

from collections.abc import Iterable


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether the whole of a name is what one of the patterns says."""
    return any(_matches(name, pattern) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    """Each part between stars at the first place that it is found at: none further on is better."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
