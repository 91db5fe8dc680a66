"""Figures of published models, each worked by hand in tests/cases/plans/models/published.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import architecture, make_plan, memory
from llmops.planning.layout import tensor_sizes
from tests.planning.worlds import GIB, deployment, make_facts, published

NAMES = sorted(published())
ROOMY = {"cores": 8, "memory": "512GiB", "free": "500GiB"}


@pytest.mark.parametrize("name", NAMES)
def test_kv_bytes_per_token_are_as_worked_by_hand(name: str) -> None:
    plan = make_plan(deployment(), make_facts(name, machine=ROOMY))
    assert plan.model.kv_bytes_per_token.value == published()[name]["kv"]
    assert plan.model.parameters.value == published()[name]["parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_tensor_sizes_are_as_worked_by_hand(name: str) -> None:
    arch = architecture.read(make_facts(name).model.config)
    assert tensor_sizes(arch, 8) == published()[name]["tensor"]
    plan = make_plan(deployment(), make_facts(name, machine=ROOMY))
    assert [option.tensor for option in plan.options] == published()[name]["tensor"]


def test_more_shards_than_kv_heads_hold_heads_more_than_once() -> None:
    arch = architecture.read(make_facts("tinyllama-1.1b").model.config)  # 4 KV heads
    whole = memory.kv_bytes_per_token(arch, 2)
    assert [memory.kv_bytes_per_token(arch, 2, n) for n in (2, 4, 8)] == [
        whole // 2, whole // 4, whole // 4,
    ]  # fmt: skip


def test_one_gib_for_smollm2_holds_the_tokens_that_the_engine_reports() -> None:
    assert memory.kv_tokens(GIB, 23040, memory.BLOCK) == 46592


def test_the_longest_request_leaves_the_block_that_the_engine_keeps_back() -> None:
    per_block = 128 * 23040
    assert memory.longest_request(3 * per_block, 23040, 128) == 256
    assert memory.longest_request(3 * per_block - 1, 23040, 128) == 128
    assert memory.longest_request(per_block, 23040, 128) == 0
    assert memory.longest_request(0, 23040, 128) == 0
    for tokens in (1, 127, 128, 129, 8192):
        need = memory.request_bytes(tokens, 23040, 128)
        assert memory.longest_request(need, 23040, 128) >= tokens
        assert memory.longest_request(need - 1, 23040, 128) < tokens


@pytest.mark.parametrize(
    ("rope", "positions"),
    [
        (None, 4096),
        ({"type": "linear", "factor": 2.0}, 8192),
        ({"rope_type": "dynamic", "factor": 4}, 16384),
        ({"rope_type": "llama3", "factor": 8.0}, 4096),
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}, 4096),
        ({"type": "longrope", "factor": 32.0}, 4096),
        ({"rope_type": "default", "rope_theta": 10000.0}, 4096),
        ({"rope_type": "linear", "factor": None}, 4096),
        (
            {"full_attention": {"rope_type": "linear", "factor": 8.0}, "sliding_attention": {}},
            32768,
        ),
    ],
)
def test_rotary_scaling_lengthens_a_context_as_the_engine_derives_it(
    rope: Any, positions: int
) -> None:
    config = make_facts("tinyllama-1.1b").model.config | {"max_position_embeddings": 4096}
    for field in ("rope_scaling", "rope_parameters"):
        assert architecture.read(config | {field: rope}).max_positions == positions


@pytest.mark.parametrize(
    ("config", "kv_heads"),
    [
        ({"num_key_value_heads": None}, 32),
        ({"num_key_value_heads": 8}, 8),
        ({"num_key_value_heads": None, "num_kv_heads": 2}, 2),
        ({"multi_query": True}, 1),
        ({"multi_query": False}, 4),
        ({"model_type": "falcon"}, 1),
        ({"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 8}, 8),
    ],
)
def test_kv_heads_are_found_under_each_name(config: dict[str, Any], kv_heads: int) -> None:
    known = make_facts("tinyllama-1.1b").model.config
    assert architecture.read(known | config).kv_heads == kv_heads


def test_the_least_of_several_lengths_holds() -> None:
    config = make_facts("tinyllama-1.1b").model.config
    assert architecture.read(config | {"max_seq_len": 1024}).max_positions == 1024
