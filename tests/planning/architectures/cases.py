"""The published models in tests/cases/architectures: their configurations, and what is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from llmops.planning import architecture
from llmops.planning.architecture import Profile

FILES = Path(__file__).parents[2] / "cases" / "architectures"
KEYS = {"what", "source", "class", "parameters", "facts", "config"}


def _case(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    assert {*case, "facts"} == KEYS, f"{path.name} has the keys {', '.join(case)}"
    return {"facts": {}} | case


CASES = {path.stem: _case(path) for path in sorted(FILES.glob("*.yaml"))}
"""By name; `class` is what transformers makes of it, `parameters` how many that has."""


@cache
def profile(name: str) -> Profile:
    """The profile of a case, as `architecture.read` gives it to anybody."""
    return architecture.read(CASES[name]["config"])


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**40), st.floats(), st.text(max_size=8),
    st.lists(st.integers(-1, 99), max_size=3), st.lists(st.text(max_size=8), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip
"""What a stranger's configuration may hold where a figure is due."""
