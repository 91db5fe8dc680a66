"""The memory of one device of an option, line by line: for text, data and picture alike. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.fleet.model import FleetOption
from llmops.planning.fleet.needs import Needs
from llmops.planning.subject import Subject
from llmops.units import Bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a device's memory."""

    name: str
    """Stable: `weights`, `activations`, `kv_cache` …"""
    label: str
    bytes: int
    reason: str


def memory_lines(subject: Subject, option: FleetOption, needs: Needs) -> tuple[Line, ...]:
    """The parts of the fullest device; their bytes add up to its memory."""
    made = option.budget
    fixed = [
        Line("weights", "weights", made.weights, weights_reason(subject, option)),
        *(
            Line(name, label, int(figure.value), figure.reason)
            for name, label, figure in (
                ("loading", "loading", made.terms.loading),
                ("activations", "activations", made.terms.activations),
                ("vision", "pictures", made.terms.vision),
                ("graphs", "CUDA graphs", made.terms.graphs),
                ("outside", "outside torch", made.terms.outside),
            )
            if figure.value
        ),
    ]
    share = f"{needs.utilisation:.4g} of the memory is the engine's (gpu_memory_utilization)"
    kept = "KV cache" if made.pool.bytes_per_block else "spare"
    return (
        *fixed,
        Line("kv_cache", kept, made.room, room_reason(option, needs)),
        Line("reserve", "left alone", made.reserve, share),
    )


def weights_reason(subject: Subject, option: FleetOption) -> str:
    """How the weights on the fullest device come about."""
    how = subject.quantisation
    form = how.words if how is not None else f"as {option.dtype}"
    whole = Bytes(subject.weight_bytes).human()
    if option.parallel.devices == 1:
        return f"all {whole} of them, {form}"
    return f"the fullest of {option.parallel.devices} devices, of {whole}; {form}"


def room_reason(option: FleetOption, needs: Needs) -> str:
    """What the KV cache of one device holds."""
    pool, room = option.budget.pool, option.budget.room
    if not pool.bytes_per_block:
        return "what is left; the model keeps nothing of a request"
    typical = min(needs.typical, option.budget.context)
    blocks = pool.blocks(room)
    ranks = f" over {option.parallel.data} data ranks" if option.parallel.data > 1 else ""
    return (
        f"what is left: {blocks:,} blocks of {Bytes(pool.bytes_per_block).human()} hold"
        f" {option.requests:,} requests of {typical:,} tokens{ranks}, and {needs.in_flight:,} are"
        f" asked; or {pool.requests(room) * option.parallel.data:,} of {option.budget.context:,}"
    )


def kv_tokens(option: FleetOption) -> int:
    """Tokens of KV cache in one replica, as the engine reports them, over all its data ranks."""
    return option.budget.pool.tokens(option.budget.room) * option.parallel.data


def spare_replicas(option: FleetOption) -> int:
    """How many more replicas the machines hold at no extra price, one's own further ones too."""
    further = spare_machines(option)
    if not option.per_machine:
        return further // -(-option.parallel.devices // option.offer.count)
    return option.idle // option.parallel.devices + further * option.per_machine


def spare_machines(option: FleetOption) -> int:
    """Machines of one's own that the option leaves alone; 0 for those that are paid by the hour."""
    if not option.free or option.offer.machines is None:
        return 0
    return option.offer.machines - option.machines
