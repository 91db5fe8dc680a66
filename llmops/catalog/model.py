"""The words of the catalogue: accelerators, offers of machines, and where each figure is from.

Values only: nothing here reads a file. A figure that could not be sourced is None, never a guess;
who plans with it says that it is missing. Sizes in bytes, rates in bytes or operations a second,
money in US dollars an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure was read, and on which day it held."""

    id: str
    title: str
    url: str
    date: date


@dataclass(frozen=True, slots=True)
class Link:
    """What joins the accelerators of one fast domain: NVLink, Infinity Fabric or ICI."""

    kind: str
    """`nvlink`, `infinity-fabric`, `ici`, `ethernet` (Gaudi), or `pcie` where there is nothing
    better."""
    bandwidth: float
    """Bytes a second of one device, both directions together, as makers state it."""
    domain: int
    """Devices in one fast domain at most (8 in an HGX board, 72 in an NVL72 rack)."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of device that computes."""

    name: str
    """The catalogue's name, such as `H100-SXM`."""
    vendor: str
    """`nvidia`, `amd`, `google`, `intel`, `aws`."""
    kind: str
    """`gpu`, `tpu` or `cpu`."""
    aliases: tuple[str, ...]
    """Other names that users, clouds and drivers give it."""
    memory: int | None
    """Bytes of device memory as sold; None for a CPU, whose memory is its machine's."""
    usable: int | None
    """Bytes that its driver shows a program, where that was sourced."""
    bandwidth: float | None
    """Bytes a second of its memory."""
    flops: Mapping[str, float]
    """Dense operations a second by number format: `fp64 fp32 tf32 bf16 fp16 fp8 int8 fp4`."""
    link: Link | None
    pcie: float | None
    """Bytes a second of its host link, one direction."""
    capability: str
    """CUDA compute capability or AMD's gfx name, `` where there is none."""
    year: int | None
    sources: Mapping[str, Source]
    """By the name of the field above."""

    def planned(self) -> int | None:
        """Bytes to plan with: usable where sourced, else as sold."""
        return self.usable if self.usable is not None else self.memory


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of a machine costs in one region, in US dollars; None where not sourced."""

    region: str
    on_demand: float | None
    spot: float | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A type of machine that can be had from somebody, or stands in one's own racks."""

    provider: str
    """`aws`, `gcp`, `azure`, `lambda` …; `own` for an inventory."""
    instance: str
    accelerator: str
    """Name of an Accelerator in the catalogue."""
    count: int
    """Accelerators in one machine; sockets where the accelerator is a CPU."""
    vcpus: int | None
    memory: int | None
    """Bytes of host memory."""
    network: float | None
    """Bits a second of all of its network interfaces together, one direction."""
    fabric: str
    """`efa`, `infiniband`, `roce`, `gpudirect-tcpx`, `gpudirect-tcpxo`, `gvnic`, `ici`, `ethernet`,
    or `` where not sourced."""
    gpudirect: bool | None
    """Whether the network reads device memory itself (GPUDirect RDMA)."""
    prices: tuple[Price, ...]
    """Empty for one's own machines: they cost nothing by the hour."""
    machines: int | None = None
    """How many there are, for an inventory; None where as many as one pays for."""
    rails: int | None = None
    """Network rails: adapters that each serve one accelerator of the machine."""
    link: Link | None = None
    """What joins the accelerators of this machine, where it differs from the accelerator's."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """By the name of the field above; `prices` for all of them."""

    @property
    def name(self) -> str:
        """`aws/p5.48xlarge`."""
        return f"{self.provider}/{self.instance}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is known, the user's entries in place of the shipped ones of the same name."""

    accelerators: Mapping[str, Accelerator]
    offers: tuple[Offer, ...]

    def accelerator(self, name: str) -> Accelerator | None:
        """By its name or one of its other names, in any case."""
        wanted = name.casefold()
        for one in self.accelerators.values():
            if wanted == one.name.casefold() or wanted in (a.casefold() for a in one.aliases):
                return one
        return None


__all__ = ["Accelerator", "Catalogue", "Link", "Offer", "Price", "Source"]
