"""What is taken of a fact for a check: a value for the host, for each GPU, or for each link. Pure.

A value of None is one that the host did not say, and is told as unknown. A GPU without application
clocks has nothing that could drift, and is left out there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bare_metal.hosts.facts import Gid, Gpu, HcaPort, HostFacts, Interface
from bare_metal.inventory import Cluster, Hca
from llmops.catalog import load_catalogue

Scalar = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, and what of the host it is of."""

    value: Scalar | tuple[int, ...]
    subject: str = ""
    """`gpu 3` or `mlx5_0`; empty for the host itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured: a fact that is known, all the host's facts, and what was declared."""

    value: Any
    """The fact's value, of the type that HostFacts says."""
    facts: HostFacts
    host: str
    cluster: Cluster


Measure = Callable[[Asked], Iterator[Measured]]


def _gpu(take: Callable[[Gpu], Scalar]) -> Measure:
    def measure(asked: Asked) -> Iterator[Measured]:
        for gpu in asked.value:
            yield Measured(take(gpu), f"gpu {gpu.index}")

    return measure


def _kind(gpu: Gpu) -> str:
    entry = load_catalogue().accelerator(gpu.name)
    return entry.name if entry is not None else gpu.name


def _clock_drift(asked: Asked) -> Iterator[Measured]:
    for gpu in asked.value:
        if gpu.clock is not None and gpu.clock_default is not None:
            yield Measured(abs(gpu.clock - gpu.clock_default), f"gpu {gpu.index}")


def _hcas(asked: Asked) -> Iterator[tuple[Hca, HcaPort | None]]:
    """Declared compute adapters, each with what the host has by that name."""
    there: dict[str, HcaPort] = {hca.device: hca for hca in asked.value}
    for hca in asked.cluster.hcas:
        if hca.use == "compute":
            yield hca, there.get(hca.device)


def _hca(take: Callable[[HcaPort], Scalar]) -> Measure:
    def measure(asked: Asked) -> Iterator[Measured]:
        for hca, port in _hcas(asked):
            if port is not None:
                yield Measured(take(port), hca.device)

    return measure


def _hca_count(asked: Asked) -> Iterator[Measured]:
    yield Measured(sum(port is not None for _, port in _hcas(asked)))


def _hca_present(asked: Asked) -> Iterator[Measured]:
    for hca, port in _hcas(asked):
        yield Measured(port is not None, hca.device)


def _hca_place(asked: Asked) -> Iterator[Measured]:
    for hca, port in _hcas(asked):
        if port is not None and hca.pci is not None:
            yield Measured(port.pci == hca.pci if port.pci else None, hca.device)


def _hca_name(asked: Asked) -> Iterator[Measured]:
    for hca, port in _hcas(asked):
        if port is not None:
            yield Measured(port.description == f"{asked.host} {hca.device}", hca.device)


V2 = "RoCE v2"
"""What the kernel calls an address of it (sysfs-class-infiniband, gid_attrs/types)."""
RDMA_MTUS, RDMA_HEADERS = (4096, 2048, 1024, 512, 256), 96
"""Bytes that an RDMA packet may have, and those of all headers that it can need on Ethernet
(include/rdma/ib_addr.h, iboe_get_mtu)."""


def rdma_mtu(mtu: int) -> int | None:
    """The largest packets that RDMA sends over an interface of such an MTU, in bytes."""
    return next((one for one in RDMA_MTUS if one <= mtu - RDMA_HEADERS), None)


def _gids(asked: Asked) -> Iterator[tuple[Hca, list[Gid]]]:
    """Declared compute adapters, each with its addresses."""
    for hca in asked.cluster.hcas:
        if hca.use == "compute":
            yield hca, [gid for gid in asked.value if gid.device == hca.device]


def _roce_interface(asked: Asked) -> Iterator[Measured]:
    for hca, gids in _gids(asked):
        found = {gid.interface.partition(".")[0] for gid in gids if gid.interface}
        if hca.interface is not None:
            yield Measured(found == {hca.interface} if found else None, hca.device)


def _roce_gid(asked: Asked) -> Iterator[Measured]:
    """Of the entry that is declared, or else of any that NCCL would choose, what it is."""
    wanted = asked.cluster.fabric.roce.gid_index
    for hca, gids in _gids(asked):
        if wanted == "auto":
            fitting = any(gid.kind == V2 and gid.ipv4 for gid in gids)
            yield Measured(f"{V2}, IPv4" if fitting else "none of RoCE v2 with IPv4", hca.device)
        else:
            kind = next((gid.kind for gid in gids if gid.index == wanted), "nothing")
            yield Measured(kind or None, hca.device)


def _adapter_interfaces(asked: Asked) -> Iterator[tuple[Hca, Interface | None]]:
    """Declared compute adapters, each with its interface: the declared one, or what it says."""
    there = asked.facts.interfaces if isinstance(asked.facts.interfaces, tuple) else ()
    gids = asked.facts.gids if isinstance(asked.facts.gids, tuple) else ()
    for hca in asked.cluster.hcas:
        if hca.use == "compute":
            said = (gid.interface for gid in gids if gid.device == hca.device and gid.interface)
            name = hca.interface or next(said, "").partition(".")[0]
            yield hca, next((one for one in there if one.device == name), None)


def _roce_mtu(asked: Asked) -> Iterator[Measured]:
    for hca, interface in _adapter_interfaces(asked):
        yield Measured(interface.mtu if interface else None, hca.device)


def _roce_rdma_mtu(asked: Asked) -> Iterator[Measured]:
    for hca, interface in _adapter_interfaces(asked):
        mtu = interface.mtu if interface else None
        yield Measured(rdma_mtu(mtu) if mtu else None, hca.device)


def _roce_flow_control(asked: Asked) -> Iterator[Measured]:
    """Priorities that nothing is dropped of, as a list: all else may be."""
    for hca, interface in _adapter_interfaces(asked):
        found = asked.value.get(interface.device) if interface else None
        said = ", ".join(map(str, found)) or "none" if found is not None else None
        yield Measured(said, hca.device)


def _nvlinks_active(asked: Asked) -> Iterator[Measured]:
    numbers: Sequence[int] = (
        [gpu.index for gpu in asked.facts.gpus]
        if isinstance(asked.facts.gpus, tuple)
        else sorted({link.gpu for link in asked.value})
    )
    for gpu in numbers:
        active = sum(link.gpu == gpu and link.rate > 0 for link in asked.value)
        yield Measured(active, f"gpu {gpu}")


def _nvlink_rate(asked: Asked) -> Iterator[Measured]:
    slowest: dict[int, float] = {}
    for link in asked.value:
        if link.rate > 0:
            slowest[link.gpu] = min(link.rate, slowest.get(link.gpu, link.rate))
    for gpu, rate in sorted(slowest.items()):
        yield Measured(rate, f"gpu {gpu}")


def _iommu(asked: Asked) -> Iterator[Measured]:
    """What the command line asks for, where groups say that there is an IOMMU at all."""
    words = asked.value.command_line
    groups = asked.facts.iommu_groups
    if not isinstance(groups, tuple):
        yield Measured(None)
    elif not groups or {"intel_iommu=off", "amd_iommu=off", "iommu=off"} & set(words):
        yield Measured("off")
    else:
        passed = "iommu=pt" in words or set(groups) == {"identity"}
        yield Measured("passthrough" if passed else "on")


def _memlock(asked: Asked) -> Iterator[Measured]:
    limit = asked.value.get("Max locked memory")
    if limit is None:
        yield Measured(None)
    else:
        yield Measured("unlimited" if limit.soft is None else f"{limit.soft} bytes")


_CARD = re.compile(r"\b((?:ib|en|eth)[a-z0-9_]*): ", re.IGNORECASE)


def _link_downs(asked: Asked) -> Iterator[Measured]:
    """Of the interface that went down most often; lines that name none count together."""
    count = Counter(found[1] if (found := _CARD.search(line)) else "" for line in asked.value)
    device, most = next(iter(count.most_common(1)), ("", 0))
    yield Measured(most, device)


def _acs(asked: Asked) -> Iterator[Measured]:
    controls = sum(device.source_validation is True for device in asked.value.devices)
    yield Measured(controls if asked.value.whole else None)


def _fabric_manager(asked: Asked) -> Iterator[Measured]:
    unit = asked.value.get("nvidia-fabricmanager.service")
    yield Measured(unit.active if unit else "not installed")


def _host(take: Callable[[Any], Scalar | tuple[int, ...]]) -> Measure:
    def measure(asked: Asked) -> Iterator[Measured]:
        yield Measured(take(asked.value))

    return measure


def _off(clock: Any) -> float:
    """Seconds that a clock is certainly off by."""
    return max(0.0, round(abs(float(clock.ahead)) - float(clock.within), 3))


def _remapped(take: str) -> Measure:
    def measure(asked: Asked) -> Iterator[Measured]:
        for one in asked.value:
            said = str(getattr(one, take))
            yield Measured(said if re.fullmatch(r"\w+", said) else None, f"gpu at {one.pci}")

    return measure


def _nvlink_errors(asked: Asked) -> Iterator[Measured]:
    yield Measured(sum(one.errors for one in asked.value))


MEASURES: dict[str, Measure] = {
    "gpu_count": _host(len),
    "gpu_kind": _gpu(_kind),
    "gpu_ecc_errors": _gpu(lambda gpu: gpu.ecc_errors),
    "gpu_ecc_mode": _gpu(lambda gpu: gpu.ecc),
    "gpu_ecc_pending": _gpu(lambda gpu: gpu.ecc_pending),
    "gpu_throttle": _gpu(lambda gpu: gpu.throttle),
    "gpu_clock_drift": _clock_drift,
    "gpu_temperature": _gpu(lambda gpu: gpu.temperature),
    "gpu_width": _gpu(lambda gpu: gpu.link_width),
    "remap_pending": _remapped("pending"),
    "remap_failure": _remapped("failure"),
    "xid_codes": _host(lambda xids: tuple(sorted({xid.code for xid in xids}))),
    "nvlinks_active": _nvlinks_active,
    "nvlink_rate": _nvlink_rate,
    "nvlink_errors": _nvlink_errors,
    "fabric_manager": _fabric_manager,
    "lines": _host(len),
    "link_downs": _link_downs,
    "number": _host(lambda value: value),
    "acs_devices": _acs,
    "iommu": _iommu,
    "peermem": _host(lambda modules: "nvidia_peermem" in modules),
    "memlock": _memlock,
    "hugepages": _host(lambda memory: memory.huge_pages),
    "synchronised": _host(lambda time: time.synchronised),
    "clock_off": _host(_off),
    "hca_count": _hca_count,
    "hca_present": _hca_present,
    "hca_state": _hca(lambda port: port.state or None),
    "hca_physical": _hca(lambda port: port.physical or None),
    "hca_rate": _hca(lambda port: port.rate),
    "hca_place": _hca_place,
    "hca_name": _hca_name,
    "hca_layer": _hca(lambda port: port.layer or None),
    "roce_interface": _roce_interface,
    "roce_gid": _roce_gid,
    "roce_mtu": _roce_mtu,
    "roce_rdma_mtu": _roce_rdma_mtu,
    "roce_flow_control": _roce_flow_control,
    "hca_firmware": _hca(lambda port: port.firmware or None),
}
"""Every measure, by the name that the table of checks calls it by."""
