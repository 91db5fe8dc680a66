"""Which rank of which replica computes on which device of which machine. Pure.

Ranks are numbered as vLLM numbers them (its `initialize_model_parallel`): tensor the fastest, then
pipeline, then data. Consecutive ranks fill a machine from its first device on, so that a tensor
parallel group lies in one fast domain. Device i of a machine is served by rail i modulo the rails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from llmops.planning.fleet.model import FleetOption
from llmops.planning.fleet.network import rack


@dataclass(frozen=True, slots=True)
class Rank:
    """One process of the engine; everything counts from 0."""

    replica: int
    rank: int
    """Within its replica."""
    tensor: int
    pipeline: int
    data: int
    machine: int
    device: int
    """Within its machine."""
    island: int
    """Its fast domain, numbered over all machines: ranks of one are joined by NVLink or the like.
    A rack that is one (NVL72) has several machines, and a machine may have several."""
    rail: int | None
    """The network adapter beside it; None where the machine's rails are not known."""


def place(option: FleetOption) -> tuple[Rank, ...]:
    """Every rank of every replica."""
    replicas = _replicas(option)
    return tuple(rank for replica in range(replicas) for rank in _of(option, replica))


def _replicas(option: FleetOption) -> int:
    spread = -(-option.parallel.devices // option.offer.count)
    if not option.per_machine:
        return option.machines // spread
    used = option.machines * option.offer.count - option.idle
    return used // option.parallel.devices


def _of(option: FleetOption, replica: int) -> Iterator[Rank]:
    parallel, offer = option.parallel, option.offer
    spread = -(-parallel.devices // offer.count)
    if option.per_machine:
        first, offset = divmod(replica, option.per_machine)
        start = first * offer.count + offset * parallel.devices
    else:
        start = replica * spread * offer.count
    for rank in range(parallel.devices):
        machine, device = divmod(start + rank, offer.count)
        stage, tensor = divmod(rank, parallel.tensor)
        data, pipeline = divmod(stage, parallel.pipeline)
        yield Rank(
            replica=replica,
            rank=rank,
            tensor=tensor,
            pipeline=pipeline,
            data=data,
            machine=machine,
            device=device,
            island=_island(option, replica, machine, device),
            rail=device % offer.rails if offer.rails else None,
        )


def _island(option: FleetOption, replica: int, machine: int, device: int) -> int:
    """Replicas that take several machines of a rack are never cut by its end."""
    offer, link = option.offer, option.offer.link or option.accelerator.link
    machines = rack(offer)
    if machines > 1:
        spread = -(-option.parallel.devices // offer.count)
        return replica // (machines // spread) if 1 < spread <= machines else machine // machines
    size = max(1, min(offer.count, link.domain if link is not None else 1))
    return machine * -(-offer.count // size) + device // size


def words(option: FleetOption, most: int = 8) -> tuple[str, ...]:
    """The placement in lines of at most `most`: one for each tensor parallel group."""
    ranks = place(option)
    lines = []
    for _, group in groupby(ranks, key=lambda one: (one.replica, one.data, one.pipeline)):
        lines.append(_line(option, tuple(group)))
    if len(lines) > most:
        return (*lines[:most], f"and {len(lines) - most} groups more in the same way")
    return tuple(lines)


def _line(option: FleetOption, group: Sequence[Rank]) -> str:
    first, last, parallel = group[0], group[-1], option.parallel
    parts = [f"replica {first.replica + 1}"] if _replicas(option) > 1 else []
    if parallel.data > 1:
        parts.append(f"data {first.data}")
    if parallel.pipeline > 1:
        parts.append(f"stage {first.pipeline}")
    who = f"{', '.join(parts)}: " if parts else ""
    several = first.rank != last.rank
    ranks = f"ranks {first.rank}-{last.rank}" if several else f"rank {first.rank}"
    if first.machine == last.machine:
        devices = f"{first.device}-{last.device}" if several else str(first.device)
        where = f"machine {first.machine + 1}, device{'s' if several else ''} {devices}"
    else:
        where = f"machines {first.machine + 1} to {last.machine + 1}, all devices of each"
    rails = sorted({one.rail for one in group if one.rail is not None})
    beside = f", rail{'s' if len(rails) > 1 else ''} {_span(rails)}" if rails else ""
    return f"{who}{ranks} on {where}{beside}"


def _span(numbers: Sequence[int]) -> str:
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ", ".join(str(number) for number in numbers)
