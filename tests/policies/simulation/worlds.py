"""Small traces and replicas whose figures can be reckoned by hand."""

from __future__ import annotations

from hypothesis import strategies as st

from llmops.policies.simulation import Profile, Request, Trace, made

PLAIN = Profile(
    slots=2, prefill_rate=100.0, step=0.1, step_each=0.0, chunk=100, startup=10.0, devices=1
)
"""One step takes 0.1 s whatever the batch; a prompt of 100 tokens takes 1 s more."""


def trace(*requests: tuple[float, int, int]) -> Trace:
    return Trace("by hand", tuple(Request(*one) for one in requests))


@st.composite
def traces(draw: st.DrawFn, most: int = 40, seconds: float = 120.0) -> Trace:
    """Any few requests."""
    arrivals = draw(st.lists(st.floats(0, seconds), min_size=1, max_size=most))
    tokens = st.integers(1, 300)
    return made("drawn", [Request(at, draw(tokens), draw(tokens)) for at in arrivals])


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any replica that answers at some time."""
    return Profile(
        slots=draw(st.integers(1, 8)),
        prefill_rate=draw(st.floats(50, 5000)),
        step=draw(st.floats(0.005, 0.1)),
        step_each=draw(st.floats(0, 0.01)),
        chunk=draw(st.integers(16, 2048)),
        startup=draw(st.floats(1, 60)),
        takes=draw(st.none() | st.integers(1, 50)),
        kv_tokens=draw(st.none() | st.integers(100, 10_000)),
    )
