"""The memory of one device in a layout: what is taken before the KV cache, and what is left. Pure.

The order is the engine's own: of the device's memory it takes a share (`gpu_memory_utilization`),
loads the weights, runs one batch of full size to see the peak of its activations, sets aside what
CUDA graphs will take, and gives the rest to the KV cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.catalog import Accelerator
from llmops.planning.fleet.needs import Needs
from llmops.planning.memory import GPU_BLOCK, CacheSettings, Pool, gpu
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes on one device; `room` may be below 0."""

    memory: int
    """What its driver shows, else as sold."""
    reserve: int
    """What the engine leaves alone."""
    weights: int
    terms: gpu.Terms
    """What the engine takes beside weights and KV cache."""
    batch: gpu.BatchDefaults
    """What it works on at once."""
    pool: Pool
    """How the KV cache is kept, for the context below."""
    context: int
    """Longest request in tokens."""

    @property
    def fixed(self) -> int:
        """What is taken before the KV cache."""
        return self.weights + self.terms.total

    @property
    def room(self) -> int:
        """Left for the KV cache."""
        return self.memory - self.reserve - self.fixed


def capability(accelerator: Accelerator) -> int | None:
    """CUDA compute capability as a whole number (8.9 is 89); None when it has none."""
    major, _, minor = accelerator.capability.partition(".")
    if accelerator.vendor != "nvidia" or not (major + minor).isdecimal():
        return None
    return int(major) * 10 + int(minor or 0)


def own_batch(accelerator: Accelerator, memory: int, needs: Needs) -> gpu.BatchDefaults:
    """What the engine works on at once by itself, or what it was told."""
    own = gpu.batch_defaults(memory, accelerator.name, context=needs.context)
    return gpu.BatchDefaults(needs.batch_tokens or own.tokens, needs.sequences or own.sequences)


def batches(
    accelerator: Accelerator, memory: int, needs: Needs, data: int = 1
) -> list[gpu.BatchDefaults]:
    """Batches to plan with: the engine's own for such a device, and on a large one the batch of
    smaller ones, whose activations leave the KV cache more; either for as many sequences as are in
    flight in one of the `data` ranks. What the user told the engine holds."""
    wanted = -(-needs.in_flight // data)
    found = (
        gpu.batch_defaults(memory, accelerator.name, context=needs.context),
        gpu.batch_defaults(0, "", context=needs.context),
    )
    asked = []
    for batch in found:
        sequences = needs.sequences or max(batch.sequences, wanted)
        tokens = needs.batch_tokens or max(batch.tokens, sequences)
        asked.append(gpu.BatchDefaults(tokens, sequences))
    return list(dict.fromkeys(asked))


def budget(
    subject: Subject,
    parallel: Parallel,
    accelerator: Accelerator,
    memory: int,
    needs: Needs,
    batch: gpu.BatchDefaults | None = None,
) -> Budget:
    """The budget of the fullest device of a layout.

    Args:
        subject: The model.
        parallel: A legal layout of it.
        accelerator: The device.
        memory: Bytes of it to plan with.
        needs: What is asked; its context is planned for, or the longest that fits.
        batch: What the engine works on at once; its own for such a device without.
    """
    batch = batch or batches(accelerator, memory, needs, parallel.data)[0]
    context = needs.context or subject.profile.max_positions
    quantised = subject.quantisation is not None
    made = Budget(
        memory=memory,
        reserve=memory - int(memory * needs.utilisation),
        weights=subject.weights(parallel, capability(accelerator)),
        terms=gpu.terms(
            subject.profile, parallel, subject.element, batch,
            quantised=quantised, eager=needs.eager,
        ),
        batch=batch,
        pool=_pool(subject, parallel, needs, batch.tokens, context),
        context=context,
    )  # fmt: skip
    if needs.context is not None or made.pool.least <= made.room:
        return made
    longest = made.pool.longest(made.room, context)
    if longest < needs.typical:
        return made
    shorter = 1 << (longest.bit_length() - 1)  # people ask for powers of two
    return replace(made, pool=made.pool.at(shorter), context=shorter)


def _pool(subject: Subject, parallel: Parallel, needs: Needs, tokens: int, context: int) -> Pool:
    settings = CacheSettings(
        element=subject.kv_element(needs.kv_dtype),
        state_element=subject.element,
        block=needs.block or GPU_BLOCK,
        in_flight=tokens * max(parallel.pipeline, gpu.CONCURRENT_BATCHES),
        context=context,
    )
    return subject.pool(parallel, settings)
