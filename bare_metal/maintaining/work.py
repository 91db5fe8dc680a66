"""What runs on hosts, beside what llmops serves there too: whoever takes a host down ends it.

What is seen: processes that hold a GPU's memory, as the driver tells; steps of Slurm's jobs; and
who is logged in to a terminal. Only looks. A job that holds no GPU and is not Slurm's is not seen.
What llmops serves is of its account, and moved by itself; a training that `llmops finetune` runs is
its user's, and is named like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bare_metal.hosts.connection import LookingConnector, Unreachable
from bare_metal.hosts.facts import HostFacts, Unknown, gather
from bare_metal.hosts.operations import ACCOUNT, serves
from bare_metal.inventory import Cluster, Placed

ASKED = ("ours", "gpu_processes", "slurm_steps", "logins")
NO_ADDRESS = "the cluster file has no address of it"
MOST_NAMED = 4
"""Hosts that a line names."""


@dataclass(frozen=True, slots=True)
class Work:
    """What runs on a host."""

    served: str = ""
    """What its agent does: `head`, `worker`, or empty where it has none."""
    store: str = ""
    """The store that the agent works for."""
    others: tuple[str, ...] = ()
    """What else runs there, and whose it is."""
    unknown: tuple[str, ...] = ()
    """What could not be told, and why."""


def work_of(found: HostFacts | Unreachable, cluster: Cluster) -> Work:
    """What runs on a host.

    Args:
        found: What is known of it.
        cluster: Whose it is: where it declares no GPUs, none are asked about.
    """
    if isinstance(found, Unreachable):
        return Work(unknown=(found.reason,))
    unknown = []
    if isinstance(found.ours, Unknown):
        unknown.append(f"whether it serves: {found.ours.reason}")
    agent = None if isinstance(found.ours, Unknown) else serves(found)
    if isinstance(found.gpu_processes, Unknown) and cluster.gpus is not None:
        unknown.append(f"who holds its GPUs: {found.gpu_processes.reason}")
    for what, value in (("Slurm's jobs", found.slurm_steps), ("who is logged in", found.logins)):
        if isinstance(value, Unknown):
            unknown.append(f"{what}: {value.reason}")
    role, store = agent or ("", "")
    return Work(role, store, tuple(_others(found)), tuple(unknown))


def _others(found: HostFacts) -> Iterator[str]:
    for one in () if isinstance(found.gpu_processes, Unknown) else found.gpu_processes:
        if one.user != ACCOUNT:
            size = f"{one.memory.human()} of its GPUs" if one.memory else "its GPUs"
            yield f"{one.name} (pid {one.pid}) of {one.user or 'nobody known'} holds {size}"
    for step in () if isinstance(found.slurm_steps, Unknown) else found.slurm_steps:
        yield f"a step of a Slurm job (pid {step})"
    for who in () if isinstance(found.logins, Unknown) else found.logins:
        yield f"{who} is logged in"


def look_at(
    cluster: Cluster, hosts: Sequence[Placed], by: LookingConnector, *, recorded: bool = False
) -> dict[str, Work]:
    """What runs on each of some hosts, those included that cannot be asked.

    Args:
        cluster: Whose they are.
        hosts: The hosts.
        by: The way to them.
        recorded: Whether they were recorded, so that no address is needed.
    """
    asked = [host for host in hosts if recorded or host.address]
    readings = gather(asked, by, only=ASKED)
    silent = Work(unknown=(NO_ADDRESS,))
    return {
        host.name: work_of(readings[host.name], cluster) if host.name in readings else silent
        for host in hosts
    }


def work_lines(works: Mapping[str, Work]) -> Iterator[str]:
    """What runs on hosts, for people; one on which nothing runs is only counted."""
    idle = 0
    silent: dict[str, list[str]] = {}
    for name, work in works.items():
        lines = [f"it serves for {work.store}, as its {work.served}"] if work.served else []
        lines += work.others
        for line in lines:
            yield f"  {name}: {line}"
        for why in work.unknown:
            silent.setdefault(why, []).append(name)
        idle += not lines and not work.unknown
    for why, names in silent.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        yield f"  what runs on {', '.join(names[:MOST_NAMED])}{more} is not all known: {why}"
    if idle:
        yield f"  on {idle} of these hosts nothing was seen to run"


__all__ = ["Work", "look_at", "work_lines", "work_of"]
