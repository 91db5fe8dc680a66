"""Each file in tests/cases/architectures: a published model, its size, and what it remembers.

That `parameters` there is what transformers itself counts is tests/engines/test_parameters.py's to
say; here the same files are read as a plan reads them. What a rank keeps of a state was worked out
by vLLM 0.32's own model classes (their `get_mamba_state_shape_from_config`).
"""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import architecture
from llmops.planning.architecture import (
    Cross,
    Keys,
    Latent,
    Layer,
    Memory,
    Profile,
    State,
    Whole,
)
from llmops.planning.memory import Stored
from llmops.planning.parallel import Parallel
from tests.planning.architectures.cases import CASES, profile

NAMES = sorted(CASES)
ROUNDED = 0.04
"""Makers publish active parameters rounded to two digits: 37 billion for 37.55, 1.5 for 1.56."""

PLAIN: dict[str, Any] = {
    "task": "generate",
    "tied": False,
    "encoder_layers": 0,
    "window_layers": 0,
    "window": None,
    "chunk_layers": 0,
    "cross_elements_per_token": 0,
    "float32": [],
}
"""What holds where a case says nothing else."""

WORKED_BY_HAND = {"kv_elements_per_token", "active_billions", "active_leaves_out", "positions",
                  "rank_bytes", "state_elements"}  # fmt: skip


UNPUBLISHED = {"granitemoeshared", "hunyuan_v1_dense", "kimi_k2", "ministral", "ministral3",
               "vaultgemma"}  # fmt: skip
"""Kinds of which there is no case yet; tests/engines/test_parameters.py counts small models of
them, but for kimi_k2, which transformers does not have."""

PARTS = {"mllama_text_model", "qwen2_5_vl_text", "qwen2_vl_text", "qwen3_vl_moe_text",
         "qwen3_vl_text"}  # fmt: skip
"""Text parts, which are read in the cases of the models that they are parts of."""


def memories(found: Profile) -> list[Memory]:
    return [memory for layer in found.layers for memory in layer.memory]


def elements(memory: Memory) -> int:
    """Elements kept for one token; a state is none of a token's."""
    if isinstance(memory, Latent):
        return memory.rank + memory.rope
    return 0 if isinstance(memory, State) else memory.kv_heads * (memory.key + memory.value)


def share(state: State, tensor: int) -> int:
    """Elements on one of so many ranks."""
    if isinstance(state.cut, Whole):
        return state.elements
    assert state.cut.units % tensor == 0, f"{state.name} is not cut by {tensor}"
    return state.elements // tensor


def stacks(found: Profile) -> list[tuple[Layer, ...]]:
    return [stack for stack in (found.layers, found.encoder) if stack]


def told(found: Profile) -> dict[str, Any]:
    """What the profile has for each of `PLAIN`."""
    kept = memories(found)
    keys = [memory for memory in kept if isinstance(memory, Keys)]
    windows = {memory.window for memory in keys if memory.window is not None}
    return {
        "task": found.task,
        "tied": found.tied,
        "encoder_layers": len(found.encoder),
        "window_layers": sum(memory.window is not None for memory in keys),
        "window": windows.pop() if len(windows) == 1 else sorted(windows) or None,
        "chunk_layers": sum(memory.chunk is not None for memory in keys),
        "cross_elements_per_token": sum(map(elements, (m for m in kept if isinstance(m, Cross)))),
        "float32": sorted({m.name for m in kept if isinstance(m, State) and m.float32}),
    }


def with_fact(name: str) -> list[str]:
    """Models of which this is known."""
    found = [model for model in NAMES if name in CASES[model]["facts"]]
    assert found, f"no case knows {name}"
    return found


def test_there_are_published_models_of_many_kinds() -> None:
    assert len({case["config"]["model_type"] for case in CASES.values()}) >= 90


@pytest.mark.parametrize("name", NAMES)
def test_a_case_says_whose_figures_it_has_and_nothing_that_nobody_checks(name: str) -> None:
    case = CASES[name]
    assert case["what"]
    assert case["source"].startswith("https://")
    assert case["facts"].keys() <= PLAIN.keys() | WORKED_BY_HAND


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_to_the_last(name: str) -> None:
    assert profile(name).parameters == CASES[name]["parameters"]
    assert "does not know" not in " ".join(profile(name).notes), "it is estimated, not read"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_of_a_model_is_read(name: str) -> None:
    facts = {key: value for key, value in CASES[name]["facts"].items() if key in PLAIN}
    assert told(profile(name)) == PLAIN | facts


@pytest.mark.parametrize("name", NAMES)
def test_a_token_is_kept_as_worked_by_hand(name: str) -> None:
    kept = [memory for memory in memories(profile(name)) if not isinstance(memory, Cross)]
    assert sum(map(elements, kept)) == CASES[name]["facts"]["kv_elements_per_token"]


@pytest.mark.parametrize("name", with_fact("active_billions"))
def test_active_parameters_are_those_that_the_maker_publishes(name: str) -> None:
    facts, found = CASES[name]["facts"], profile(name)
    # Some makers count neither the embedding table nor the head.
    out = facts.get("active_leaves_out", [])
    left = sum(w.elements for w in (*found.before, *found.after) if w.role in out)
    assert (found.active - left) / 1e9 == pytest.approx(facts["active_billions"], rel=ROUNDED)


@pytest.mark.parametrize("name", with_fact("positions"))
def test_the_longest_request_is_as_published(name: str) -> None:
    assert profile(name).max_positions == CASES[name]["facts"]["positions"]


@pytest.mark.parametrize("name", with_fact("state_elements"))
def test_a_rank_keeps_of_a_sequence_what_the_engine_allocates(name: str) -> None:
    states = [memory for memory in memories(profile(name)) if isinstance(memory, State)]
    for tensor, kept in CASES[name]["facts"]["state_elements"].items():
        assert sum(share(state, tensor) for state in states) == kept


@pytest.mark.parametrize("name", with_fact("rank_bytes"))
def test_a_rank_holds_of_the_weights_what_the_engine_holds(name: str) -> None:
    stored = Stored.of(profile(name), 2)
    for tensor, held in CASES[name]["facts"]["rank_bytes"].items():
        assert stored.on(Parallel(tensor)) == (held,)


@pytest.mark.parametrize("name", NAMES)
def test_states_are_known_as_the_engine_allocates_them(name: str) -> None:
    has = any(isinstance(memory, State) for memory in memories(profile(name)))
    assert has == ("state_elements" in CASES[name]["facts"])


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_sane(name: str) -> None:
    found = profile(name)
    assert 1 <= len(found.layers) <= 200
    assert len(found.encoder) <= 200
    assert found.active <= found.parameters
    assert found.experts_per_token <= found.experts
    assert (found.active < found.parameters) == (found.experts > 0)
    assert min(found.hidden, found.vocabulary, found.max_positions, found.intermediate) > 0
    assert found.kv_heads <= found.heads
    names = [weight_name for weight_name, _ in found.named()]
    assert len(names) == len(set(names)), "two weights have one name"


@pytest.mark.parametrize("name", NAMES)
def test_layers_that_are_alike_are_one_object(name: str) -> None:
    for stack in stacks(profile(name)):
        assert len({id(layer) for layer in stack}) == len(set(stack))


def test_every_kind_that_is_read_has_a_published_model() -> None:
    published = {case["config"]["model_type"] for case in CASES.values()}
    assert set(architecture.known()) == published | UNPUBLISHED | PARTS
