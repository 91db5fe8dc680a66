"""The figures of a fleet plan derived, down to catalogue entries and fields of the configuration.

Pure. Each figure of `FIGURES` is what the plan shows for its option; nothing is reckoned anew that
the plan has reckoned already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.planning.architecture import Keys, Latent
from llmops.planning.figures import kv_per_token
from llmops.planning.fleet import derived_weights
from llmops.planning.fleet.budget import capability
from llmops.planning.fleet.derivation import (
    Derivation,
    brief,
    chosen,
    cited,
    less,
    made_up,
    total,
)
from llmops.planning.fleet.document import context_reason, price_reason
from llmops.planning.fleet.lines import kv_tokens, memory_lines
from llmops.planning.fleet.model import FleetOption, FleetPlan
from llmops.planning.model import Figure
from llmops.planning.subject import Subject


@dataclass(frozen=True, slots=True)
class Case:
    """What a figure is derived from."""

    plan: FleetPlan
    subject: Subject
    config: Mapping[str, Any]
    option: FleetOption


def explain(
    plan: FleetPlan, subject: Subject, config: Mapping[str, Any], name: str, place: int = 0
) -> Derivation:
    """Derive a figure of an option.

    Args:
        plan: The plan, with at least that option.
        subject: The model.
        config: Its `config.json`.
        name: One of `FIGURES`.
        place: Which option, from 0.

    Raises:
        InputError: When there is no such figure.
    """
    make = FIGURES[chosen(name, FIGURES)]
    return make(Case(plan, subject, config, plan.options[place]))


def parameters(case: Case) -> Derivation:
    """All parameters."""
    return derived_weights.parameters(case.subject, case.config)


def weight_bytes(case: Case) -> Derivation:
    """All weights once."""
    return derived_weights.weight_bytes(case.subject, case.config)


def weights(case: Case) -> Derivation:
    """On the fullest device."""
    option = case.option
    return derived_weights.on_device(
        case.subject, option.parallel, case.config, capability(option.accelerator)
    )


def kv_bytes_per_token(case: Case) -> Derivation:
    """Of all layers, for a short request."""
    return token_bytes(case.subject, case.config, case.plan.needs.kv_dtype)


def token_bytes(subject: Subject, config: Mapping[str, Any], kv_dtype: str = "auto") -> Derivation:
    """KV cache of one token of a short request, on all devices together."""
    element = subject.kv_element(kv_dtype)
    kept = Counter(
        memory
        for layer in subject.profile.layers
        for memory in layer.memory
        if isinstance(memory, (Keys, Latent))
    )
    parts = [
        Derivation(
            f"{count} layers", count * _elements(memory) * element, "B",
            f"{count} layers x {_words(memory)} x {element} bytes", _fields(config, memory),
        )
        for memory, count in kept.items()
    ]  # fmt: skip
    figure = kv_per_token(subject, kv_dtype)
    return made_up(
        "kv_bytes_per_token", int(figure.value), parts, f"{element} bytes an element", "B",
        "pages padded to one size",
    )  # fmt: skip


def _elements(memory: Keys | Latent) -> int:
    if isinstance(memory, Latent):
        return memory.rank + memory.rope
    return memory.kv_heads * (memory.key + memory.value)


def _words(memory: Keys | Latent) -> str:
    if isinstance(memory, Latent):
        return f"({memory.rank} of a latent + {memory.rope} of a position)"
    bound = f", of the last {memory.window:,} tokens" if memory.window else ""
    bound = f", of a chunk of {memory.chunk:,} tokens" if memory.chunk else bound
    return (
        f"{memory.kv_heads} KV heads x ({memory.key} of a key + {memory.value} of a value{bound})"
    )


def _fields(config: Mapping[str, Any], memory: Keys | Latent) -> str:
    if isinstance(memory, Latent):
        return derived_weights.fields_of(config, (memory.rank, memory.rope))
    heads = derived_weights.fields_of(config, (memory.kv_heads,))
    size = derived_weights.count_of(config, "head_dim")
    return f"{heads}, head_dim {size}" if heads and size == memory.key else heads


def device(case: Case) -> Derivation:
    """Memory of a device to plan with."""
    one = case.option.accelerator
    field = "usable" if one.usable is not None else "memory"
    how = "what its driver shows" if field == "usable" else "as sold: its driver's was not sourced"
    return Derivation(
        f"memory of {one.name}", case.option.budget.memory, "B", how, cited(one.sources.get(field))
    )


def reserve(case: Case) -> Derivation:
    """What the engine leaves alone."""
    share = case.plan.needs.utilisation
    how = f"1 - {share:.4g} (gpu_memory_utilization; the engine's default is 0.92) of the memory"
    return Derivation("reserve", case.option.budget.reserve, "B", how, "", (device(case),))


def _leaf(name: str, figure: Figure) -> Derivation:
    return Derivation(name, int(figure.value), "B", figure.reason)


def activations(case: Case) -> Derivation:
    """What one full batch needs."""
    return _leaf("activations", case.option.budget.terms.activations)


def vision(case: Case) -> Derivation:
    """What one full batch of pictures needs."""
    return _leaf("vision", case.option.budget.terms.vision)


def graphs(case: Case) -> Derivation:
    """What CUDA graphs take."""
    return _leaf("graphs", case.option.budget.terms.graphs)


def outside(case: Case) -> Derivation:
    """What is not torch's."""
    return _leaf("outside", case.option.budget.terms.outside)


def loading(case: Case) -> Derivation:
    """What loading adds to the weights."""
    return _leaf("loading", case.option.budget.terms.loading)


def room(case: Case) -> Derivation:
    """What is left for the KV cache on a device."""
    parts = [device(case), less("reserve", brief(reserve(case), 0)),
             less("weights", brief(weights(case)))]  # fmt: skip
    parts += [less(one.name, one) for one in _buffers(case)]
    return total("room", parts, "what a device has, less all that is taken before the KV cache")


def _buffers(case: Case) -> list[Derivation]:
    """What the engine takes beside weights and KV cache."""
    return [
        Derivation(line.name, line.bytes, "B", line.reason)
        for line in memory_lines(case.subject, case.option, case.plan.needs)
        if line.name not in ("weights", "kv_cache", "reserve")
    ]


def per_device_bytes(case: Case) -> Derivation:
    """What the engine takes of a device."""
    parts = [brief(weights(case))]
    left = Derivation("kv_cache", case.option.budget.room, "B", "what is left (--explain room)")
    parts += [*_buffers(case), left]
    return total("per_device_bytes", parts, "everything that the engine takes of a device")


def block(case: Case) -> Derivation:
    """Bytes of one block of the KV cache on a device."""
    pool = case.option.budget.pool
    groups = "; ".join(
        f"{group.layers} layers ({group.kind}) with {group.block} tokens in a block"
        if group.block
        else f"{group.layers} layers ({group.kind}), {group.fixed} blocks for a request"
        for group in pool.groups
    )
    return Derivation("bytes of a block", pool.bytes_per_block, "B", groups)


def requests(case: Case) -> Derivation:
    """Typical requests at once in one replica."""
    option, needs = case.option, case.plan.needs
    pool, typical = option.budget.pool, min(needs.typical, option.budget.context)
    each = pool.blocks_of(typical)
    how = (
        f"(blocks - 1 place holder) / {each:,} blocks of a request of {typical:,} tokens"
        f"{_ranks(option)}"
        if each
        else "the model keeps nothing of a request"
    )
    return Derivation("requests", option.requests, "", how, "", (blocks(case),))


def blocks(case: Case) -> Derivation:
    """Blocks of KV cache on a device."""
    budget = case.option.budget
    return Derivation(
        "blocks", budget.pool.blocks(budget.room), "", "room / bytes of a block, whole ones",
        "", (brief(room(case)), block(case)),
    )  # fmt: skip


def tokens(case: Case) -> Derivation:
    """Tokens of KV cache in a replica."""
    option = case.option
    each = option.budget.pool.blocks_of(option.budget.context)
    how = (
        f"blocks / {each:,} blocks of a request of full context x {option.budget.context:,} tokens"
        f"{_ranks(option)}, as the engine reports them"
    )
    return Derivation("kv_tokens", kv_tokens(option), "token", how, "", (blocks(case),))


def _ranks(option: FleetOption) -> str:
    return f" x {option.parallel.data} data ranks" if option.parallel.data > 1 else ""


def context(case: Case) -> Derivation:
    """Longest request."""
    option, needs, trained = case.option, case.plan.needs, case.subject.profile.max_positions
    limit = Derivation(
        "trained for", trained, "token", "",
        derived_weights.fields_of(case.config, (trained,)) or "config.json",
    )  # fmt: skip
    how = context_reason(option, case.subject, case.plan)
    shortened = not needs.context and option.budget.context < trained
    parts = (limit, brief(room(case))) if shortened else (limit,)
    if len(parts) > 1:
        longest = option.budget.pool.longest(option.budget.room, trained)
        how = f"{how}: {longest:,} tokens fit, rounded down to a power of two"
    return Derivation("context", option.budget.context, "token", how, "", parts)


def price(case: Case) -> Derivation:
    """An hour of all replicas."""
    option, needs = case.option, case.plan.needs
    how = price_reason(option, case.plan)
    if option.price is None or option.free:
        return Derivation("price", option.price, "USD/h", how)
    each = Derivation(
        f"one {option.offer.name} in {option.region}", option.price / option.machines, "USD/h",
        "spot" if needs.spot else "on demand", cited(option.offer.sources.get("prices")),
    )  # fmt: skip
    return Derivation("price", option.price, "USD/h", how, "", (each, machines(case)))


def machines(case: Case) -> Derivation:
    """Machines of all replicas."""
    option, needs = case.option, case.plan.needs
    if option.per_machine:
        how = f"{_replicas(needs.replicas)}, at most {option.per_machine} on a machine"
    else:
        spread = -(-option.parallel.devices // option.offer.count)
        how = f"{_replicas(needs.replicas)} of {spread} machines each"
    count = Derivation(
        f"devices of {option.offer.name}", option.offer.count, "", "in one machine",
        cited(option.offer.sources.get("count")),
    )  # fmt: skip
    layout = Derivation("devices of a replica", option.parallel.devices, "", str(option.parallel))
    return Derivation("machines", option.machines, "", how, "", (count, layout))


def _replicas(count: int) -> str:
    return f"{count} replica{'s' if count > 1 else ''}"


FIGURES: Mapping[str, Callable[[Case], Derivation]] = {
    "parameters": parameters,
    "weight_bytes": weight_bytes,
    "kv_bytes_per_token": kv_bytes_per_token,
    "context": context,
    "weights": weights,
    "loading": loading,
    "activations": activations,
    "vision": vision,
    "graphs": graphs,
    "outside": outside,
    "reserve": reserve,
    "per_device_bytes": per_device_bytes,
    "room": room,
    "kv_tokens": tokens,
    "requests": requests,
    "machines": machines,
    "price": price,
}
"""What `--explain` takes, in the order in which it is listed."""
