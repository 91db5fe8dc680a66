"""Figures of published models, each worked by hand in tests/cases/plans/models/published.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.errors import RefusedError
from llmops.planning import architecture, make_plan
from llmops.planning.memory import BLOCK, CPU_BATCH, CacheSettings, Pool, pool
from llmops.planning.parallel import Cuts, Parallel, tensor_sizes
from llmops.planning.served import UNTIL
from tests.planning.worlds import (
    ARCHITECTURES,
    GIB,
    GPU,
    deployment,
    known,
    make_facts,
    published,
)

NAMES = sorted(published())
ROOMY = {"cores": 8, "memory": "512GiB", "free": "500GiB"}


def kept(name: str, context: int, tensor: int = 1) -> Pool:
    """How a CPU engine keeps the cache of a model in bfloat16."""
    profile = architecture.read(make_facts(name).model.config)
    settings = CacheSettings(element=2, block=BLOCK, in_flight=CPU_BATCH, context=context)
    return pool(profile, Parallel(tensor), settings)


@pytest.mark.parametrize("name", NAMES)
def test_kv_bytes_per_token_are_as_worked_by_hand(name: str) -> None:
    plan = make_plan(deployment(), make_facts(name, machine=ROOMY))
    assert plan.model.kv_bytes_per_token.value == published()[name]["kv"]
    assert plan.model.parameters.value == published()[name]["parameters"]
    assert not [note for note in plan.notes if "its files hold" in note]


@pytest.mark.parametrize("name", NAMES)
def test_tensor_sizes_are_as_worked_by_hand(name: str) -> None:
    arch = architecture.read(make_facts(name).model.config)
    assert tensor_sizes(Cuts.of(arch), 8) == published()[name]["tensor"]
    plan = make_plan(deployment(), make_facts(name, machine=ROOMY))
    assert [option.tensor for option in plan.options] == published()[name]["tensor"]


@pytest.mark.parametrize("name", sorted(path.stem for path in ARCHITECTURES.glob("*.yaml")))
def test_every_published_model_is_planned_if_it_generates(name: str) -> None:
    plain = {"quantization_config": None}  # whose files would be others than those of model_facts
    facts = make_facts(name, config=plain, engine=GPU, machine={"gpus": [{"memory": "4096GiB"}]})
    task = architecture.read(facts.model.config).task
    gone = facts.model.config.get("architectures", [""])[0] in UNTIL
    if gone or task != "generate":
        with pytest.raises(RefusedError, match="has not served" if gone else "chats and complet"):
            make_plan(deployment(), facts)
        return
    plan = make_plan(deployment(), facts)
    assert plan.model.parameters.value == known(name)["parameters"]
    assert not [note for note in plan.notes if "its files hold" in note or "not know" in note]


def test_more_shards_than_kv_heads_hold_heads_more_than_once() -> None:
    whole, *cut = (kept("tinyllama-1.1b", 2048, n).token_bytes for n in (1, 2, 4, 8))  # 4 KV heads
    assert cut == [whole // 2, whole // 4, whole // 4]


def test_one_gib_for_smollm2_holds_the_tokens_that_the_engine_reports() -> None:
    assert kept("smollm2-135m", 8192).tokens(GIB) == 46592


def test_the_longest_request_leaves_the_block_that_the_engine_keeps_back() -> None:
    per_block, made = 128 * 23040, kept("smollm2-135m", 8192)
    assert made.longest(3 * per_block, 8192) == 256
    assert made.longest(3 * per_block - 1, 8192) == 128
    assert made.longest(per_block, 8192) == 0
    assert made.longest(0, 8192) == 0
    for tokens in (1, 127, 128, 129, 8192):
        need = made.at(tokens).least
        assert made.longest(need, 10000) >= tokens
        assert made.longest(need - 1, 10000) < tokens


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


STRANGE = {"model_type": "strange", "num_key_value_heads": None}
FALCON = {"model_type": "falcon", "multi_query": None}


@pytest.mark.parametrize(
    ("config", "kv_heads"),
    [
        ({"num_key_value_heads": None}, 32),
        ({"num_key_value_heads": 8}, 8),
        (STRANGE, 32),
        (STRANGE | {"num_kv_heads": 2}, 2),
        (STRANGE | {"n_head_kv": 8}, 8),
        (STRANGE | {"multi_query_group_num": 2}, 2),
        (STRANGE | {"multi_query": True}, 1),
        ({"model_type": "strange", "multi_query": False}, 4),
        (FALCON, 1),
        (FALCON | {"new_decoder_architecture": True, "num_kv_heads": 8}, 8),
        ({"model_type": "gpt_bigcode", "n_inner": 5632}, 1),
    ],
)
def test_kv_heads_are_found_under_each_name(config: dict[str, Any], kv_heads: int) -> None:
    base = make_facts("tinyllama-1.1b").model.config
    assert architecture.read(base | config).kv_heads == kv_heads


@pytest.mark.parametrize("name", ["num_kv_heads", "n_head_kv", "multi_query_group_num"])
def test_a_name_that_a_known_kind_does_not_have_means_nothing(name: str) -> None:
    base = make_facts("tinyllama-1.1b").model.config
    assert architecture.read(base | {name: 2}) == architecture.read(base)


def test_the_least_of_several_lengths_holds() -> None:
    config = make_facts("tinyllama-1.1b").model.config
    assert architecture.read(config | {"max_seq_len": 1024}).max_positions == 1024
