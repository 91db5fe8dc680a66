"""The pool of blocks that requests share: what holds for every model, layout and setting."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning.architecture import Cross, Keys, Latent
from llmops.planning.memory import CacheSettings, Pool, pool
from llmops.planning.parallel import Cuts, Parallel
from tests.planning.architectures.cases import CASES, profile

GIB = 2**30
MOST = 2**20
"""Tokens: the longest request that is looked for."""

KEEPING = sorted(name for name in CASES if any(layer.memory for layer in profile(name).layers))
DECODERS = [name for name in KEEPING if profile(name).task == "generate"]


@cache
def layouts(name: str) -> tuple[Parallel, ...]:
    cuts = Cuts.of(profile(name))
    found = (
        Parallel(tensor, pipeline, context=context)
        for tensor in (1, 2, 4, 8, 16)
        for pipeline in (1, 2, 3)
        for context in (1, 2, 4)
    )
    return tuple(parallel for parallel in found if not cuts.why_not(parallel))


chosen = st.builds(
    CacheSettings,
    element=st.sampled_from([1, 2, 4]),
    block=st.sampled_from([1, 16, 32, 128]),
    in_flight=st.sampled_from([0, 512, 2048, 16384]),
    context=st.integers(1, MOST),
    state_element=st.sampled_from([None, 2, 4]),
    prefix_caching=st.booleans(),
)


def kept(names: list[str]) -> st.SearchStrategy[tuple[str, Parallel, CacheSettings]]:
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(layouts(name)), chosen)
    )


def pooled(case: tuple[str, Parallel, CacheSettings]) -> Pool:
    name, parallel, how = case
    return pool(profile(name), parallel, how)


memories = st.integers(0, 80 * GIB) | st.integers(0, 80).map(lambda gib: gib * GIB)
pools = kept(KEEPING).map(pooled)


@settings(deadline=None)
@given(pools, memories, memories)
def test_more_bytes_never_hold_less(made: Pool, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert made.blocks(less) <= made.blocks(more)
    assert made.tokens(less) <= made.tokens(more)
    assert made.requests(less) <= made.requests(more)
    assert made.longest(less, MOST) <= made.longest(more, MOST)


@settings(deadline=None)
@given(pools, st.integers(1, MOST), st.integers(1, MOST))
def test_a_longer_request_never_takes_less(made: Pool, one: int, other: int) -> None:
    shorter, longer = sorted((one, other))
    assert made.blocks_of(shorter) <= made.blocks_of(longer)
    assert made.at(shorter).least <= made.at(longer).least
    assert made.requests(16 * GIB, shorter) >= made.requests(16 * GIB, longer)


@settings(deadline=None)
@given(pools, memories, st.integers(1, MOST))
def test_the_longest_request_is_the_last_whose_least_fits(
    made: Pool, memory: int, most: int
) -> None:
    longest = made.longest(memory, most)
    assert 0 <= longest <= most
    if longest:
        assert made.at(longest).least <= memory
    if longest < most:
        assert made.at(longest + 1).least > memory


@settings(deadline=None)
@given(pools)
def test_the_least_holds_one_request_and_a_byte_less_holds_none(made: Pool) -> None:
    assert made.requests(made.least) == 1
    assert made.requests(made.least - 1) == 0
    assert made.tokens(made.least) >= made.context
    assert made.longest(made.least, made.context) == made.context
    assert made.longest(made.least - 1, made.context) < made.context


@settings(deadline=None)
@given(pools, memories)
def test_tokens_are_those_of_the_requests_that_are_held(made: Pool, memory: int) -> None:
    assert made.tokens(memory) >= made.requests(memory) * made.context


@settings(deadline=None)
@given(kept(DECODERS), st.integers(1, MOST))
def test_the_same_pool_for_another_length_is_the_pool_of_that_length(
    case: tuple[str, Parallel, CacheSettings], context: int
) -> None:
    name, parallel, how = case
    assert pooled(case).at(context) == pool(profile(name), parallel, replace(how, context=context))


@settings(deadline=None)
@given(kept(DECODERS))
def test_all_stages_take_blocks_of_the_fullest(
    case: tuple[str, Parallel, CacheSettings],
) -> None:
    name, parallel, how = case
    whole = pool(profile(name), replace(parallel, pipeline=1), how)
    assert pooled(case).bytes_per_block <= whole.bytes_per_block
    assert pooled(case).bytes_per_block * parallel.pipeline >= whole.bytes_per_block
    assert pooled(case).groups == whole.groups


@settings(deadline=None)
@given(pools, st.integers(1, MOST), st.integers(1, MOST))
def test_beyond_its_bound_a_request_takes_no_more(made: Pool, tokens: int, more: int) -> None:
    for group in made.groups:
        if group.bound is not None:
            assert group.kind in ("window", "chunk")
            assert group.blocks(group.bound + tokens) == group.blocks(group.bound)
        elif group.kind == "full":
            assert group.blocks(tokens + more * group.block) == group.blocks(tokens) + more
        else:
            assert group.blocks(tokens) == group.blocks(tokens + more) == group.fixed


@given(st.sampled_from(sorted(set(CASES) - set(KEEPING))), chosen)
def test_a_model_that_keeps_nothing_takes_nothing(name: str, how: CacheSettings) -> None:
    made = pool(profile(name), Parallel(), how)
    assert (made.bytes_per_block, made.least, made.token_bytes, made.groups) == (0, 0, 0, ())
    assert made.longest(0, MOST) == MOST


def test_a_token_takes_what_each_layer_keeps_of_it() -> None:
    for name in DECODERS:
        memories = [memory for layer in profile(name).layers for memory in layer.memory]
        keys = sum(m.kv_heads * (m.key + m.value) for m in memories if isinstance(m, Keys))
        latent = sum(m.rank + m.rope for m in memories if isinstance(m, Latent))
        how = CacheSettings(element=2, block=1, in_flight=0, context=1)
        if not any(isinstance(memory, Cross) for memory in memories):
            found = pool(profile(name), Parallel(), how).token_bytes
            assert found == 2 * (keys + latent), name
