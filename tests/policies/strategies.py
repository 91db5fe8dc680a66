"""Policies by value, of any kind, for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from llmops.policies import WAYS, Layer, Policy
from llmops.policies.ways import (
    COMMON,
    DEMANDED,
    EVERY,
    EXPOSURE,
    HIGHEST,
    HOLES,
    KEPT,
    LOWEST,
    PERMITTED,
    RANGE,
    TENANTS,
    Way,
)
from llmops.units import Duration, Replicas

TIMES = {
    "security.key_age": "h",
    "scaling.objective.ttft": "s",
    "scaling.objective.tpot": "ms",
    "maintenance.drain": "min",
}
"""Fields that are times, and a unit that is within their bounds."""

STRATEGIES = ("rolling", "canary", "recreate")
NAMES = ("hf://a/b", "hf://a/c", "pkg://m/f", "apache-2.0", "eu-north-1")
PATTERNS = (*NAMES, "hf://*", "hf://a/*", "*", "eu-*", "*b")

_lists = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3).map(tuple)
_ranges = st.tuples(st.integers(1, 6), st.integers(0, 5)).map(lambda r: Replicas(r[0], r[0] + r[1]))
_words = st.lists(st.sampled_from(STRATEGIES), min_size=1, unique=True).map(tuple)

SAID: dict[Way, st.SearchStrategy[Any]] = {
    EVERY: _lists,
    RANGE: _ranges,
    COMMON: _words,
    DEMANDED: st.booleans(),
    PERMITTED: st.booleans(),
    EXPOSURE: st.sampled_from(["machine", "network", "internet"]),
    HOLES: st.sampled_from(["refuse", "warn"]),
    TENANTS: st.sampled_from(["apart", "together"]),
    LOWEST: st.integers(1, 9),
    HIGHEST: st.integers(1, 9),
    KEPT: st.integers(1, 9),
}
"""By way: what a policy may say."""

ASKED: dict[Way, st.SearchStrategy[Any]] = {
    **SAID,
    EVERY: st.sampled_from(NAMES),
    COMMON: st.sampled_from(STRATEGIES),
    LOWEST: st.one_of(st.none(), st.integers(1, 9)),
    KEPT: st.one_of(st.just("all"), st.integers(1, 9)),
}
"""By way: what a deployment may have."""


def said(path: str) -> st.SearchStrategy[Any]:
    """What a policy may say of a field."""
    return _in_units(path, SAID[WAYS[path]])


def asked(path: str) -> st.SearchStrategy[Any]:
    """What a deployment may have in a field."""
    return _in_units(path, ASKED[WAYS[path]])


def _in_units(path: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    if path not in TIMES:
        return strategy
    unit = TIMES[path]
    return strategy.map(lambda n: None if n is None else Duration.parse(f"{n}{unit}"))


@st.composite
def policies(draw: st.DrawFn, name: str) -> Policy:
    """A policy that says anything of any fields."""
    paths = draw(st.lists(st.sampled_from(sorted(WAYS)), unique=True, max_size=8))
    layer = draw(st.sampled_from(list(Layer)))
    return policy(name, layer, {path: draw(said(path)) for path in paths})


def policy(name: str, layer: Layer = Layer.ORGANISATION, values: Any = None) -> Policy:
    """A policy that says these values, by path."""
    tree: dict[str, Any] = {}
    for path, value in (values or {}).items():
        *above, last = path.split(".")
        section = tree
        for step in above:
            section = section.setdefault(step, {})
        section[last] = value
    return Policy.model_validate({"kind": "Policy", "name": name, "layer": layer, **tree})
