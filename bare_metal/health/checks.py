"""Checks as data: what is read, what it must be, where that is from, what to do.

A threshold comes from the table of this package, or from a file of the user's that names its own
source; one that is declared is what the cluster file says. Nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Literal

import yaml

from bare_metal.fabric import Verdict
from bare_metal.health.measures import V2, rdma_mtu
from bare_metal.health.thresholds import Thresholds
from bare_metal.hosts.facts import facts_of
from bare_metal.inventory import Cluster, rails_of
from llmops.catalog import accelerators_called, load_catalogue

Value = bool | int | float | str | tuple[int | str, ...] | None
How = Literal["equals", "at_least", "at_most", "one_of", "none_of"]

LANES = {"EDR": 25, "HDR": 50, "NDR": 100, "XDR": 200}
"""Gb/s of a lane (InfiniBand Trade Association, roadmap)."""
NVLINK = {"H100-SXM": (18, 26.562), "H200-SXM": (18, 26.562)}
"""Links of a GPU and GB/s of each, as NVIDIA's Health Validation expects them."""
OF_GPUS = ("gpus", "remapped", "nvlinks", "nvlink_errors", "xids", "dcgm", "nccl")
"""Facts that only hosts with GPUs have: nothing is checked of them where none is declared."""
NCCL = {"H100-SXM": 460.0}
"""GB/s of all_reduce_perf with 16 GB within a host, by Azure's health checks."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a host, or of each of its links."""

    id: str
    fact: str
    measure: str
    how: How
    value: Value
    """What it must be; None where the check is off."""
    declared: str
    """What of the cluster file is the value; empty where `value` is it."""
    verdict: Verdict
    """What a reading that is not so means."""
    source: str
    action: str
    link: bool = False
    """Whether it is of links."""
    load: bool = False
    """Whether it loads the host, and is made only where that was asked for."""

    @property
    def reads(self) -> str:
        """The command or the files that are read."""
        return next(fact.asks for fact in facts_of(load=True) if fact.name == self.fact)


@cache
def table() -> tuple[Check, ...]:
    """All checks, as they come with llmops."""
    text = (resources.files(__package__) / "checks.yaml").read_text(encoding="utf-8")
    return tuple(_check(row) for row in yaml.safe_load(text))


def _check(row: Mapping[str, object]) -> Check:
    value = row["value"]
    declared = str(value["declared"]) if isinstance(value, dict) else ""
    how: How = row["is"]  # type: ignore[assignment]
    return Check(
        str(row["id"]), str(row["fact"]), str(row["measure"]), how,
        None if declared else _value(value), declared, Verdict(str(row["verdict"])),
        str(row.get("source", "")), str(row.get("action", "")),
        row.get("of") == "link", row.get("load") is True,
    )  # fmt: skip


def _value(value: object) -> Value:
    if isinstance(value, list):
        return tuple(one if isinstance(one, int) else str(one) for one in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"no value of a check: {value!r}")


def checks_of(
    cluster: Cluster, thresholds: Thresholds | None = None, *, load: bool = False
) -> tuple[Check, ...]:
    """The checks that apply to a cluster, each with its value.

    Args:
        cluster: What is declared.
        thresholds: Other values of the user's.
        load: Whether checks that load the hosts are made too.
    """
    said = declared(cluster)
    own = {one.id: one for one in thresholds.checks} if thresholds else {}
    found = []
    for check in table():
        if check.declared:
            check = replace(check, value=said[check.declared])  # noqa: PLW2901
        other = own.get(check.id)
        if other is not None:
            value = None if other.skip else _value(_listed(other.value))
            check = replace(check, value=value, source=other.source)  # noqa: PLW2901
        applies = cluster.gpus is not None or check.fact not in OF_GPUS
        if applies and check.value is not None and (load or not check.load):
            found.append(check)
    return tuple(found)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def declared(cluster: Cluster) -> dict[str, Value]:
    """What a cluster file says that checks hold hosts against; None where it says nothing."""
    gpus, system = cluster.gpus, cluster.system
    kinds = accelerators_called(load_catalogue(), gpus.kind) if gpus else ()
    kind = kinds[0] if kinds else None
    links, rate = NVLINK.get(kind.name, (None, None)) if kind else (None, None)
    return {
        "gpus": gpus.count if gpus else None,
        "gpu_kind": kind.name if kind else None,
        "nvlinks": links,
        "nvlink_rate": rate,
        "fabric_manager": "active" if links else None,
        "nccl": NCCL.get(kind.name) if kind and gpus and gpus.count > 1 else None,
        "hcas": len(rails_of(cluster)),
        "rate": _rate(cluster.fabric.speed),
        "iommu": system.iommu,
        "memlock": system.memlock,
        "hugepages": system.hugepages,
        "peermem": True if any(m.name == "nvidia_peermem" for m in system.modules) else None,
        **_declared_fabric(cluster),
    }


def _rate(link: str) -> int:
    """Gb/s of a link."""
    if link.endswith("GbE"):
        return int(link.removesuffix("GbE"))
    lanes, _, speed = link.partition("x")
    return int(lanes) * LANES[speed]


def _declared_fabric(cluster: Cluster) -> dict[str, Value]:
    """What is declared of one kind of fabric; None of what the other has."""
    roce = cluster.fabric.roce if cluster.fabric.kind == "roce" else None
    named = any(hca.interface for hca in cluster.hcas)
    return {
        "layer": "Ethernet" if roce else "InfiniBand",
        "node_names": None if roce else True,
        "interfaces": True if roce and named else None,
        "gid": (f"{V2}, IPv4" if roce.gid_index == "auto" else V2) if roce else None,
        "mtu": roce.mtu if roce else None,
        "rdma_mtu": rdma_mtu(roce.mtu) if roce else None,
        "priority": str(roce.priority) if roce else None,
    }
