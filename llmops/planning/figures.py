"""Figures of a model for a plan, each with its arithmetic. Pure."""

from __future__ import annotations

from collections import Counter

from llmops.planning.architecture import Keys, Latent, Memory
from llmops.planning.memory import CacheSettings, pool
from llmops.planning.model import Figure, ModelFacts
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject

UNREAD = "as config.json has it: the weight files were not read"


def parameters(model: ModelFacts, subject: Subject) -> Figure:
    """Parameters: as many as the files have elements, unless several are packed into one."""
    if not model.parameters:
        return Figure(subject.profile.parameters, UNREAD)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(model.dtypes.items()))
    if subject.quantisation is None:
        return Figure(model.parameters, f"counted in the weight files' headers: {kinds}")
    why = f"as config.json has it; the weight files are quantised and hold elements of {kinds}"
    return Figure(subject.profile.parameters, why)


def weight_bytes(model: ModelFacts, subject: Subject) -> Figure:
    """Bytes of the weight files' tensors."""
    if not model.weight_bytes:
        return Figure(subject.weight_bytes, UNREAD)
    return Figure(model.weight_bytes, "bytes of tensors in the weight files")


def kv_per_token(subject: Subject, kv_dtype: str = "auto") -> Figure:
    """Bytes of KV cache for one token of a short request, all layers together.

    `2 · layers · KV heads · head size · bytes of an element` for attention: a key and a value for
    each head and layer (Pope et al., "Efficiently Scaling Transformer Inference", 2022).
    """
    element = subject.kv_element(kv_dtype)
    settings = CacheSettings(element=element, block=1, in_flight=0, context=1)
    memories = (memory for layer in subject.profile.layers for memory in layer.memory)
    kept = Counter(memory for memory in memories if isinstance(memory, (Keys, Latent)))
    words = " + ".join(f"{count} layers x {_words(memory)}" for memory, count in kept.items())
    size = pool(subject.profile, Parallel(), settings).token_bytes
    if not kept:
        return Figure(0, "no layer keeps anything for each token")
    return Figure(size, f"({words}) x {element} bytes" if len(kept) > 1
                  else f"{words} x {element} bytes")  # fmt: skip


def _words(memory: Memory) -> str:
    if isinstance(memory, Latent):
        return f"({memory.rank} latent + {memory.rope} position)"
    if not isinstance(memory, Keys):
        return ""
    both = f"2 x {memory.key}" if memory.key == memory.value else f"({memory.key}+{memory.value})"
    bound = f" (window of {memory.window})" if memory.window else ""
    bound = f" (chunks of {memory.chunk})" if memory.chunk else bound
    return f"{memory.kv_heads} KV heads x {both}{bound}"
