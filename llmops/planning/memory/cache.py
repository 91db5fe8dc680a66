"""The KV cache: how many blocks and tokens a number of bytes holds, as vLLM 0.32 reckons it. Pure.

Every layer keeps pages: one page holds a block of tokens (attention), or the state of a sequence
(state-space layers). Layers that keep the same are a group with one table of blocks; all groups
draw blocks from one pool, so a block is as large as the largest group's pages together. Follows the
engine's `kv_cache_utils` and `kv_cache_interface` (groups, padding, windows, the place holder
block), and is held against what the engine reports in docs/reference/predictions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llmops.planning.architecture import (
    Cross,
    Keys,
    Latent,
    Memory,
    Profile,
    Split,
    State,
)
from llmops.planning.parallel import Parallel, stages

FLOAT32 = 4

FEW_LAYERS_MORE = 1.5
"""Kinds of layers whose numbers differ by less than this are padded to the larger number, others
are cut into groups of the smaller (`_get_kv_cache_groups_uniform_page_size`)."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What of the engine decides how it keeps a cache."""

    element: int
    """Bytes of an element of keys and values."""
    block: int
    """Tokens in a block, before the engine fits it to the states of a hybrid."""
    in_flight: int
    """Tokens that may be scheduled and not yet settled: `max_num_batched_tokens` for each batch
    that runs at once (`max_in_flight_tokens`)."""
    context: int
    """Longest request in tokens (`max_model_len`)."""
    state_element: int | None = None
    """Bytes of an element of what a convolution keeps (`mamba_cache_dtype`); None: as `element`."""
    ssm_element: int | None = None
    """Bytes of an element of a state (`mamba_ssm_cache_dtype`), where the model does not demand
    float32; None: as `state_element`."""
    prefix_caching: bool = True
    """Whether the engine keeps prefixes: a hybrid's sequence then holds more than one state."""
    encoder_tokens: int = 0
    """Tokens of the encoder at most, for cross-attention; 0: as the model says."""
    hybrid: bool = False
    """Whether the model has both attention and states; `pool` sees to it."""

    def states(self, of: Iterable[State]) -> int:
        """States that a sequence holds: of a hybrid with prefix caching the one it works on, the
        last one that others may go on from, and a Mamba 2 layer's checkpoint (`mamba_cache_mode:
        align`, `num_prefill_checkpoint_blocks`)."""
        if not (self.hybrid and self.prefix_caching):
            return 1
        return 2 + any(state.checkpoint for state in of)


Kind = Literal["full", "window", "chunk", "state", "cross"]


@dataclass(frozen=True, slots=True)
class _Page:
    """What one layer keeps for a block."""

    kind: Kind
    bytes: int
    block: int
    """Tokens in it; 0 for a state."""
    shape: tuple[int, ...] = ()
    """What must be equal for layers to share a group."""
    bound: int | None = None
    """Tokens of a request that are kept at most; None: all."""
    fixed: int = 0
    """Blocks of a request whatever its length: of states and of an encoder's tokens."""


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share a table of blocks."""

    kind: Kind
    layers: int
    block: int
    """Tokens in a block, over all ranks that share a cache; 0 where that does not count."""
    bound: int | None
    """Tokens of a request that are kept at most; None: all."""
    fixed: int
    """Blocks of a request whatever its length: of states and of an encoder's tokens."""

    def blocks(self, tokens: int) -> int:
        """Blocks that a request of `tokens` takes."""
        if not self.block:
            return self.fixed
        kept = tokens if self.bound is None else min(self.bound, tokens)
        # One more: a window need not begin where a block does.
        return _ceil(kept, self.block) + (1 if self.kind == "window" else 0)


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool of blocks on each device of one replica (of its tightest stage)."""

    bytes_per_block: int
    """Of all layers together; 0 when the model keeps nothing."""
    groups: tuple[Group, ...]
    context: int
    """Longest request in tokens."""
    token_bytes: int
    """Bytes on a device for one more token of a request that no window bounds yet."""

    def at(self, context: int) -> Pool:
        """The same pool for requests of another length."""
        return replace(self, context=context)

    def blocks_of(self, tokens: int) -> int:
        """Blocks that a request of `tokens` takes, over all groups."""
        return sum(group.blocks(tokens) for group in self.groups)

    def blocks(self, memory: int) -> int:
        """Blocks that `memory` bytes on each device hold."""
        return max(0, memory) // self.bytes_per_block if self.bytes_per_block else 0

    def requests(self, memory: int, tokens: int | None = None) -> int:
        """Requests of `tokens` each (of full length without) that fit into `memory` at once.

        One block is the engine's place holder. 0 for a model that keeps nothing: any number fits.
        """
        each = self.blocks_of(self.context if tokens is None else tokens)
        return max(0, self.blocks(memory) - 1) // each if each else 0

    def tokens(self, memory: int) -> int:
        """Tokens that the engine reports for `memory` bytes: requests of full length x length."""
        each = self.blocks_of(self.context)
        return int(self.blocks(memory) / each * self.context) if each else 0

    @property
    def least(self) -> int:
        """Least bytes for one request of full length, with the engine's place holder."""
        each = self.blocks_of(self.context)
        return (each + 1) * self.bytes_per_block if each else 0

    def longest(self, memory: int, most: int) -> int:
        """Tokens of the longest request, up to `most`, that `memory` holds; 0 when none fits.

        vLLM refuses to start with a context that is longer (`check_enough_kv_cache_memory`).
        """
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.at(middle).least <= memory:
                low = middle
            else:
                high = middle - 1
        return low


def _ceil(value: int, step: int) -> int:
    return -(-value // step)


def pool(profile: Profile, parallel: Parallel, settings: CacheSettings) -> Pool:
    """How the cache of a replica is kept in a layout."""
    settings = _fitted(profile, parallel, settings)
    known: dict[int, list[_Page]] = {}
    numbered = []
    for number, layer in enumerate(profile.layers):
        if id(layer) not in known:
            pages = [_page(memory, parallel, settings) for memory in _merged(layer.memory)]
            known[id(layer)] = [page for page in pages if page.bytes]
        numbered += [(number, page) for page in known[id(layer)]]
    if not numbered:
        return Pool(0, (), settings.context, 0)
    groups = _groups(numbered)
    spans = stages(len(profile.layers), parallel.pipeline)
    bytes_per_block = max(_largest(groups, range(*span)) for span in spans)
    shown = tuple(_group(group, parallel) for group in groups)
    tokens = max(_token_bytes(numbered, range(*span)) for span in spans)
    return Pool(bytes_per_block, shown, settings.context, tokens)


def _merged(memories: tuple[Memory, ...]) -> list[Memory | tuple[State, ...]]:
    """The states of a layer are one page."""
    states = tuple(memory for memory in memories if isinstance(memory, State))
    others: list[Memory | tuple[State, ...]] = [m for m in memories if not isinstance(m, State)]
    return [*others, states] if states else others


def _page(memory: Memory | tuple[State, ...], parallel: Parallel, settings: CacheSettings) -> _Page:
    block = settings.block
    if isinstance(memory, tuple):
        size = _state_bytes(memory, parallel.tensor, settings)
        return _Page("state", size, 0, (size,), fixed=settings.states(memory))
    if isinstance(memory, Latent):
        width = memory.rank + memory.rope
        return _Page("full", width * settings.element * block, block, (0, width))
    if isinstance(memory, (Keys, Cross)):
        heads = max(1, memory.kv_heads // parallel.tensor)
        size = heads * (memory.key + memory.value) * settings.element * block
        shape = (heads, memory.key, memory.value)
        if isinstance(memory, Cross):
            encoder = settings.encoder_tokens or memory.tokens or settings.context
            return _Page("cross", size, block, shape, fixed=_ceil(encoder, block))
        if memory.window is not None:
            bound = memory.window - 1 + settings.in_flight
            return _Page("window", size, block, (*shape, bound), bound)
        if memory.chunk is not None:
            bound = memory.chunk + settings.in_flight
            return _Page("chunk", size, block, (*shape, bound), bound)
        return _Page("full", size, block, shape)
    raise TypeError(type(memory))


def _state_bytes(states: Iterable[State], tensor: int, settings: CacheSettings) -> int:
    conv = settings.state_element or settings.element
    ssm = settings.ssm_element or conv
    total = 0
    for state in states:
        own = FLOAT32 if state.float32 else ssm if state.name == "ssm" else conv
        size = state.elements * own
        total += size // tensor if isinstance(state.cut, Split) else size
    return total


def _fitted(profile: Profile, parallel: Parallel, settings: CacheSettings) -> CacheSettings:
    """A hybrid's attention blocks are made as large as its states (`_align_hybrid_block_size`)."""
    memories = [m for layer in profile.layers for m in _merged(layer.memory)]
    states = [m for m in memories if isinstance(m, tuple)]
    attention = [m for m in memories if isinstance(m, (Keys, Latent))]
    if not states or not attention:
        return settings
    largest = max(_state_bytes(state, parallel.tensor, settings) for state in states)
    token = _page(attention[0], parallel, replace(settings, block=1)).bytes
    block = settings.block * _ceil(largest, settings.block * token)
    return replace(settings, block=max(block, settings.block), hybrid=True)


Numbered = tuple[int, _Page]


def _groups(numbered: Sequence[Numbered]) -> list[list[Numbered]]:
    pages = [page for _, page in numbered]
    kinds = {page.kind for page in pages}
    full = kinds == {"full"}
    same_bound = kinds in ({"window"}, {"chunk"}) and len({page.bound for page in pages}) == 1
    same_states = kinds == {"state"} and len({page.bytes for page in pages}) == 1
    if full or same_bound or same_states or len({(p.kind, p.shape) for p in pages}) == 1:
        return [list(numbered)]
    alike: dict[tuple[Kind, tuple[int, ...], int], list[Numbered]] = {}
    for number, page in _one_size(numbered):
        alike.setdefault((page.kind, page.shape, page.block), []).append((number, page))
    buckets = list(alike.values())
    least, most = min(map(len, buckets)), max(map(len, buckets))
    size = most if most < least * FEW_LAYERS_MORE else least
    dealt = []
    for bucket in buckets:
        count = -(-len(bucket) // size)
        dealt += [bucket[start::count] for start in range(count)]
    return dealt


def _one_size(numbered: Sequence[Numbered]) -> list[Numbered]:
    """Pages of one size: smaller blocks take more tokens where that fits, else are padded."""
    largest = max(page.bytes for _, page in numbered)
    made = []
    for number, page in numbered:
        ratio, rest = divmod(largest, page.bytes)
        block = page.block * ratio if not rest else page.block
        made.append((number, replace(page, bytes=largest, block=block)))
    return made


def _largest(groups: Iterable[Sequence[Numbered]], span: range) -> int:
    return max(sum(page.bytes for number, page in group if number in span) for group in groups)


def _group(group: Sequence[Numbered], parallel: Parallel) -> Group:
    page = group[0][1]
    block = 0 if page.fixed else page.block * parallel.context
    return Group(page.kind, len(group), block, page.bound, page.fixed)


def _token_bytes(numbered: Sequence[Numbered], span: range) -> int:
    """Of layers that keep something for each token."""
    kept = (page for number, page in numbered if number in span and not page.fixed)
    return sum(page.bytes // page.block for page in kept)
