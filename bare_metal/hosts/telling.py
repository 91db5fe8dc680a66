"""Facts as lines for people. Pure; programs take all of them by `-o json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields

from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import HostFacts, Unknown


def facts_lines(name: str, found: HostFacts | Unreachable) -> Iterator[str]:
    """What is known of a host, in some lines."""
    if isinstance(found, Unreachable):
        yield f"{name}: unreachable: {found.reason}"
        if found.hint:
            yield f"    fix: {found.hint}"
        return
    yield f"{name}:"
    if not isinstance(found.kernel, Unknown):
        yield f"  system   {found.kernel.system}, Linux {found.kernel.release}"
    if not isinstance(found.cpu, Unknown):
        cpu = found.cpu
        yield f"  cpu      {cpu.sockets} x {cpu.model}, {cpu.cores} cores, {cpu.threads} threads"
    if not isinstance(found.memory, Unknown):
        yield f"  memory   {found.memory.total.human()}, {found.memory.huge_pages} huge pages"
    if not isinstance(found.gpus, Unknown):
        kinds = Counter(gpu.name for gpu in found.gpus)
        yield f"  gpus     {', '.join(f'{n} x {kind}' for kind, n in kinds.items())}"
    if not isinstance(found.hcas, Unknown):
        states = Counter(f"{hca.state} {hca.rate or 0:g} Gb/s" for hca in found.hcas)
        told = ", ".join(f"{n} x {state}" for state, n in states.items())
        yield f"  adapters {told or 'none'}"
    unknown = [
        f"{one.name} ({value.reason})"
        for one in fields(found)
        if isinstance(value := getattr(found, one.name), Unknown)
        and one.name not in ("dcgm", "nccl")
    ]
    for text in unknown:
        yield f"  unknown  {text}"
